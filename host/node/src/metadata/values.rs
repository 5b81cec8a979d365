//! Field tables as records keep them.

use serde::{Deserialize, Serialize};
use shunt_types::{FieldTable, Value};

/// Fields in order.
pub(super) type Fields = Vec<(String, Field)>;

/// A field's value; the AMQP type is part of it, so that it comes back as it went.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Field {
    Boolean(bool),
    I8(i8),
    U8(u8),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    F32(f32),
    F64(f64),
    Decimal(u8, i32),
    LongString(Vec<u8>),
    ByteArray(Vec<u8>),
    Timestamp(u64),
    Array(Vec<Field>),
    Table(Fields),
    Void,
}

pub(super) fn fields(table: &FieldTable) -> Fields {
    table.iter().map(|(name, value)| (name.to_owned(), field(value))).collect()
}

pub(super) fn table(fields: Fields) -> FieldTable {
    fields.into_iter().map(|(name, field)| (name, value(field))).collect()
}

fn field(value: &Value) -> Field {
    match value {
        Value::Boolean(v) => Field::Boolean(*v),
        Value::I8(v) => Field::I8(*v),
        Value::U8(v) => Field::U8(*v),
        Value::I16(v) => Field::I16(*v),
        Value::U16(v) => Field::U16(*v),
        Value::I32(v) => Field::I32(*v),
        Value::U32(v) => Field::U32(*v),
        Value::I64(v) => Field::I64(*v),
        Value::F32(v) => Field::F32(*v),
        Value::F64(v) => Field::F64(*v),
        Value::Decimal { scale, value } => Field::Decimal(*scale, *value),
        Value::LongString(v) => Field::LongString(v.clone()),
        Value::ByteArray(v) => Field::ByteArray(v.clone()),
        Value::Timestamp(v) => Field::Timestamp(*v),
        Value::Array(v) => Field::Array(v.iter().map(field).collect()),
        Value::Table(v) => Field::Table(fields(v)),
        Value::Void => Field::Void,
    }
}

fn value(field: Field) -> Value {
    match field {
        Field::Boolean(v) => Value::Boolean(v),
        Field::I8(v) => Value::I8(v),
        Field::U8(v) => Value::U8(v),
        Field::I16(v) => Value::I16(v),
        Field::U16(v) => Value::U16(v),
        Field::I32(v) => Value::I32(v),
        Field::U32(v) => Value::U32(v),
        Field::I64(v) => Value::I64(v),
        Field::F32(v) => Value::F32(v),
        Field::F64(v) => Value::F64(v),
        Field::Decimal(scale, value) => Value::Decimal { scale, value },
        Field::LongString(v) => Value::LongString(v),
        Field::ByteArray(v) => Value::ByteArray(v),
        Field::Timestamp(v) => Value::Timestamp(v),
        Field::Array(v) => Value::Array(v.into_iter().map(value).collect()),
        Field::Table(v) => Value::Table(table(v)),
        Field::Void => Value::Void,
    }
}
