//! AMQP values, bindings and exchanges as the contract's types.

use std::slice;

use shunt_routing::{Binding, Destination, ExchangeSpec};
use shunt_types::{FieldTable, Reader, TableRef, ValueRef};

use super::contract::shunt::route::types;
use super::contract::shunt::route::types::{DestinationKind, Value};
use crate::fields::{FieldValue, put_keys};
use crate::msgpack::Writer;
use crate::values::{put_table, put_value};

/// MessagePack of nested values, one after the other. They are written first, since the values
/// that go into a call borrow from it.
#[derive(Default)]
pub(super) struct Nested {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Nested {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Appends what `write` writes.
    fn push(&mut self, write: impl Fn(&mut Writer<'_>)) {
        let start = self.bytes.len();
        let mut measured = Writer::new(&mut []);
        write(&mut measured);
        self.bytes.resize(start + measured.length(), 0);
        write(&mut Writer::new(&mut self.bytes[start..]));
        self.ends.push(self.bytes.len());
    }

    /// Writes the value of a field if it is nested.
    pub(super) fn push_field(&mut self, value: FieldValue<'_>) {
        match value {
            FieldValue::Keys(keys) => self.push(|out| put_keys(out, keys)),
            FieldValue::Table(table) => self.push(|out| put_table(out, table)),
            FieldValue::Value(value) => self.push_value(value),
            _ => {}
        }
    }

    fn push_value(&mut self, value: ValueRef<'_>) {
        if is_nested(value) {
            self.push(|out| put_value(out, value));
        }
    }

    /// The nested values in the order in which they were written.
    pub(super) fn in_order(&self) -> InOrder<'_> {
        InOrder { nested: self, ends: self.ends.iter(), start: 0 }
    }
}

/// Hands nested values out, one by one.
pub(super) struct InOrder<'a> {
    nested: &'a Nested,
    ends: slice::Iter<'a, usize>,
    start: usize,
}

impl<'a> InOrder<'a> {
    fn take(&mut self) -> Value<'a> {
        let end = self.ends.next().copied().unwrap_or(self.start);
        let bytes = &self.nested.bytes[self.start..end];
        self.start = end;
        Value::Nested(bytes)
    }

    pub(super) fn field(&mut self, value: FieldValue<'a>) -> Value<'a> {
        match value {
            FieldValue::Absent => Value::Absent,
            FieldValue::Text(text) => Value::Text(text),
            FieldValue::Unsigned(number) => Value::Integer(signed(number)),
            FieldValue::Timestamp(seconds) => Value::Timestamp(signed(seconds)),
            FieldValue::Keys(_) | FieldValue::Table(_) => self.take(),
            FieldValue::Value(value) => self.value(value),
        }
    }

    fn value(&mut self, value: ValueRef<'a>) -> Value<'a> {
        match value {
            ValueRef::Boolean(v) => Value::Boolean(v),
            ValueRef::I8(v) => Value::Integer(v.into()),
            ValueRef::U8(v) => Value::Integer(v.into()),
            ValueRef::I16(v) => Value::Integer(v.into()),
            ValueRef::U16(v) => Value::Integer(v.into()),
            ValueRef::I32(v) => Value::Integer(v.into()),
            ValueRef::U32(v) => Value::Integer(v.into()),
            ValueRef::I64(v) => Value::Integer(v),
            ValueRef::F32(v) => Value::Double(v.into()),
            ValueRef::F64(v) => Value::Double(v),
            ValueRef::LongString(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Value::Text(text),
                Err(_) => Value::Bytes(bytes),
            },
            ValueRef::ByteArray(bytes) => Value::Bytes(bytes),
            ValueRef::Timestamp(seconds) => Value::Timestamp(signed(seconds)),
            ValueRef::Void => Value::Absent,
            ValueRef::Array(_) | ValueRef::Table(_) | ValueRef::Decimal { .. } => self.take(),
        }
    }
}

/// The contract's integers are signed; AMQP has unsigned ones of 64 bits only where no number
/// that large means anything.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn is_nested(value: ValueRef<'_>) -> bool {
    matches!(value, ValueRef::Array(_) | ValueRef::Table(_) | ValueRef::Decimal { .. })
}

/// Arguments of a binding or an exchange, on their way into a call.
pub(super) struct Arguments {
    /// The table as on the wire, so that there is one reader of values.
    encoded: Vec<u8>,
    nested: Nested,
}

impl Arguments {
    pub(super) fn new(table: &FieldTable) -> Result<Self, String> {
        let mut encoded = Vec::new();
        table.encode(&mut encoded);
        Self::of_encoded(encoded)
    }

    pub(super) fn of(table: TableRef<'_>) -> Result<Self, String> {
        let mut encoded = Vec::new();
        table.encode(&mut encoded);
        Self::of_encoded(encoded)
    }

    fn of_encoded(encoded: Vec<u8>) -> Result<Self, String> {
        let mut nested = Nested::default();
        for (_, value) in decoded(&encoded)?.iter() {
            nested.push_value(value);
        }
        Ok(Self { encoded, nested })
    }

    pub(super) fn list(&self) -> Result<Vec<(&str, Value<'_>)>, String> {
        let mut nested = self.nested.in_order();
        let fields = decoded(&self.encoded)?.iter();
        Ok(fields.map(|(name, value)| (name, nested.value(value))).collect())
    }
}

fn decoded(encoded: &[u8]) -> Result<TableRef<'_>, String> {
    TableRef::decode(&mut Reader::new(encoded))
        .map_err(|error| format!("the arguments can't be encoded: {error}"))
}

/// A binding with its arguments.
pub(super) fn binding<'a>(
    binding: &'a Binding,
    arguments: &'a [(&'a str, Value<'a>)],
) -> types::Binding<'a> {
    types::Binding {
        kind: match binding.destination {
            Destination::Queue(_) => DestinationKind::Queue,
            Destination::Exchange(_) => DestinationKind::Exchange,
        },
        name: &binding.destination_name,
        key: &binding.key,
        arguments,
    }
}

/// An exchange with its arguments.
pub(super) fn exchange<'a>(
    exchange: &'a ExchangeSpec,
    arguments: &'a [(&'a str, Value<'a>)],
) -> types::Exchange<'a> {
    types::Exchange { name: exchange.name.as_str(), vhost: exchange.vhost.as_str(), arguments }
}

#[cfg(test)]
mod tests {
    use shunt_types::Value as Amqp;

    use super::*;

    #[track_caller]
    fn check(value: Amqp, expected: &str) {
        let mut table = FieldTable::new();
        table.insert("x", value);
        let arguments = Arguments::new(&table).unwrap();
        assert_eq!(format!("{:?}", arguments.list().unwrap()), format!("[(\"x\", {expected})]"));
    }

    #[test]
    fn every_amqp_type_has_its_case() {
        check(Amqp::Boolean(true), "Value::Boolean(true)");
        check(Amqp::I8(-5), "Value::Integer(-5)");
        check(Amqp::U32(u32::MAX), "Value::Integer(4294967295)");
        check(Amqp::F32(1.5), "Value::Double(1.5)");
        check(Amqp::from("a"), "Value::Text(\"a\")");
        check(Amqp::LongString(vec![0xff]), "Value::Bytes([255])");
        check(Amqp::ByteArray(b"a".to_vec()), "Value::Bytes([97])");
        check(Amqp::Timestamp(7), "Value::Timestamp(7)");
        check(Amqp::Timestamp(u64::MAX), "Value::Timestamp(9223372036854775807)");
        check(Amqp::Void, "Value::Absent");
        check(Amqp::Array(vec![Amqp::U8(1)]), "Value::Nested([145, 1])");
        let decimal = Amqp::Decimal { scale: 1, value: 2 };
        check(decimal, "Value::Nested([199, 5, 1, 1, 0, 0, 0, 2])");
    }

    #[test]
    fn nested_values_keep_their_places() {
        let mut table = FieldTable::new();
        table.insert("a", Amqp::Array(vec![]));
        table.insert("b", Amqp::U8(1));
        table.insert("c", Amqp::Table(FieldTable::new()));
        let arguments = Arguments::new(&table).unwrap();
        let list = format!("{:?}", arguments.list().unwrap());
        let expected = "[(\"a\", Value::Nested([144])), (\"b\", Value::Integer(1)), \
                        (\"c\", Value::Nested([128]))]";
        assert_eq!(list, expected);
    }
}
