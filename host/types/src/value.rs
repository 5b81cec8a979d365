//! A field's value, owned and borrowed.

use crate::table::{ArrayRef, FieldTable, TableRef};

/// A value of a field table, owned (AMQP 0-9-1, section 4.2.5.5, with RabbitMQ's type letters).
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the AMQP type of its name")]
pub enum Value {
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
    Decimal { scale: u8, value: i32 },
    LongString(Vec<u8>),
    ByteArray(Vec<u8>),
    Timestamp(u64),
    Array(Vec<Value>),
    Table(FieldTable),
    Void,
}

/// A value of a field table, in the bytes that it came in.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the AMQP type of its name")]
pub enum ValueRef<'a> {
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
    Decimal { scale: u8, value: i32 },
    LongString(&'a [u8]),
    ByteArray(&'a [u8]),
    Timestamp(u64),
    Array(ArrayRef<'a>),
    Table(TableRef<'a>),
    Void,
}

impl Value {
    /// The value as text, where it is a long string of UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::LongString(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The value as an integer, whatever its width.
    pub fn as_integer(&self) -> Option<i64> {
        match *self {
            Self::I8(n) => Some(n.into()),
            Self::U8(n) => Some(n.into()),
            Self::I16(n) => Some(n.into()),
            Self::U16(n) => Some(n.into()),
            Self::I32(n) => Some(n.into()),
            Self::U32(n) => Some(n.into()),
            Self::I64(n) => Some(n),
            _ => None,
        }
    }

    /// The value as a boolean.
    pub fn as_boolean(&self) -> Option<bool> {
        match *self {
            Self::Boolean(value) => Some(value),
            _ => None,
        }
    }

    /// The value for a text that refuses it: a text in quotes, its first 64 characters at most; a
    /// number as it is; anything else by its type's name.
    pub fn shown(&self) -> String {
        match (self.as_text(), self.as_integer(), self) {
            (Some(text), _, _) => format!("'{}'", text.chars().take(64).collect::<String>()),
            (_, Some(n), _) => n.to_string(),
            (_, _, Self::F32(number)) => number.to_string(),
            (_, _, Self::F64(number)) => number.to_string(),
            (_, _, Self::Boolean(flag)) => flag.to_string(),
            _ => self.type_name().to_owned(),
        }
    }

    /// What RabbitMQ calls the type in its error texts.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Boolean(_) => "bool",
            Self::I8(_) => "byte",
            Self::U8(_) => "unsignedbyte",
            Self::I16(_) => "short",
            Self::U16(_) => "unsignedshort",
            Self::I32(_) => "signedint",
            Self::U32(_) => "unsignedint",
            Self::I64(_) => "long",
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::Decimal { .. } => "decimal",
            Self::LongString(_) => "longstr",
            Self::ByteArray(_) => "binary",
            Self::Timestamp(_) => "timestamp",
            Self::Array(_) => "array",
            Self::Table(_) => "table",
            Self::Void => "void",
        }
    }
}

impl<'a> ValueRef<'a> {
    /// The value as text, where it is a long string of UTF-8.
    pub fn as_text(self) -> Option<&'a str> {
        match self {
            Self::LongString(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The value as an integer, whatever its width.
    pub fn as_integer(self) -> Option<i64> {
        match self {
            Self::I8(n) => Some(n.into()),
            Self::U8(n) => Some(n.into()),
            Self::I16(n) => Some(n.into()),
            Self::U16(n) => Some(n.into()),
            Self::I32(n) => Some(n.into()),
            Self::U32(n) => Some(n.into()),
            Self::I64(n) => Some(n),
            _ => None,
        }
    }

    /// An owned copy. The bytes were validated when the message came in; what can't be read all
    /// the same becomes `Void`.
    pub fn to_owned(self) -> Value {
        match self {
            Self::Boolean(v) => Value::Boolean(v),
            Self::I8(v) => Value::I8(v),
            Self::U8(v) => Value::U8(v),
            Self::I16(v) => Value::I16(v),
            Self::U16(v) => Value::U16(v),
            Self::I32(v) => Value::I32(v),
            Self::U32(v) => Value::U32(v),
            Self::I64(v) => Value::I64(v),
            Self::F32(v) => Value::F32(v),
            Self::F64(v) => Value::F64(v),
            Self::Decimal { scale, value } => Value::Decimal { scale, value },
            Self::LongString(v) => Value::LongString(v.to_vec()),
            Self::ByteArray(v) => Value::ByteArray(v.to_vec()),
            Self::Timestamp(v) => Value::Timestamp(v),
            Self::Array(v) => Value::Array(v.iter().map(ValueRef::to_owned).collect()),
            Self::Table(v) => Value::Table(v.to_owned()),
            Self::Void => Value::Void,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::LongString(text.as_bytes().to_vec())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::LongString(text.into_bytes())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::I64(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::I32(value)
    }
}

impl From<FieldTable> for Value {
    fn from(table: FieldTable) -> Self {
        Self::Table(table)
    }
}
