//! AMQP values, bindings and exchanges as MessagePack (ROUTE-ABI section 2).

use shunt_routing::{Binding, Destination, ExchangeSpec};
use shunt_types::{FieldTable, Reader, TableRef, ValueRef};

use crate::msgpack::Writer;

/// A value of a field table. Nesting is bounded by what the table was validated with.
pub(crate) fn put_value(out: &mut Writer<'_>, value: ValueRef<'_>) {
    match value {
        ValueRef::Boolean(v) => out.boolean(v),
        ValueRef::I8(v) => out.integer(v.into()),
        ValueRef::U8(v) => out.unsigned(v.into()),
        ValueRef::I16(v) => out.integer(v.into()),
        ValueRef::U16(v) => out.unsigned(v.into()),
        ValueRef::I32(v) => out.integer(v.into()),
        ValueRef::U32(v) => out.unsigned(v.into()),
        ValueRef::I64(v) => out.integer(v),
        ValueRef::F32(v) => out.float32(v),
        ValueRef::F64(v) => out.float64(v),
        ValueRef::Decimal { scale, value } => out.decimal(scale, value),
        ValueRef::LongString(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => out.text(text),
            Err(_) => out.binary(bytes),
        },
        ValueRef::ByteArray(bytes) => out.binary(bytes),
        ValueRef::Timestamp(seconds) => out.timestamp(seconds),
        ValueRef::Array(array) => {
            out.array(array.iter().count());
            array.iter().for_each(|item| put_value(out, item));
        }
        ValueRef::Table(table) => put_table(out, table),
        ValueRef::Void => out.nil(),
    }
}

/// A field table as a map.
pub(crate) fn put_table(out: &mut Writer<'_>, table: TableRef<'_>) {
    out.map(table.iter().count());
    for (name, value) in table.iter() {
        out.text(name);
        put_value(out, value);
    }
}

/// An owned table, by way of its bytes on the wire, so that there is one writer of values.
fn put_owned_table(out: &mut Writer<'_>, table: &FieldTable) -> Result<(), String> {
    if table.is_empty() {
        out.map(0);
        return Ok(());
    }
    let mut bytes = Vec::new();
    table.encode(&mut bytes);
    let table = TableRef::decode(&mut Reader::new(&bytes))
        .map_err(|error| format!("the arguments can't be encoded: {error}"))?;
    put_table(out, table);
    Ok(())
}

/// Input of `shunt_configure`.
pub(crate) fn put_exchange(out: &mut Writer<'_>, exchange: &ExchangeSpec) -> Result<(), String> {
    out.map(3);
    out.text("exchange");
    out.text(exchange.name.as_str());
    out.text("vhost");
    out.text(exchange.vhost.as_str());
    out.text("arguments");
    put_owned_table(out, &exchange.arguments)
}

/// Input of `shunt_check_binding`, and an element of that of `shunt_bindings`.
pub(crate) fn put_binding(out: &mut Writer<'_>, binding: &Binding) {
    out.array(4);
    out.text(match binding.destination {
        Destination::Queue(_) => "queue",
        Destination::Exchange(_) => "exchange",
    });
    out.text(&binding.destination_name);
    out.text(&binding.key);
    put_table(out, binding.arguments.as_table());
}

#[cfg(test)]
mod tests {
    use shunt_types::{PackedTable, QueueId, ShardId, Value};

    use super::*;

    fn written(write: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
        let mut buffer = vec![0; 1_000];
        let mut writer = Writer::new(&mut buffer);
        write(&mut writer);
        let length = writer.length();
        buffer.truncate(length);
        buffer
    }

    #[test]
    fn every_amqp_type_has_its_place() {
        let mut inner = FieldTable::new();
        inner.insert("k", Value::Void);
        let cases: [(Value, &[u8]); 13] = [
            (Value::Boolean(false), &[0xc2]),
            (Value::I8(-5), &[0xfb]),
            (Value::U16(300), &[0xcd, 1, 44]),
            (Value::I64(1), &[1]),
            (Value::F32(1.0), &[0xca, 0x3f, 0x80, 0, 0]),
            (Value::F64(1.0), &[0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]),
            (Value::from("a"), &[0xa1, b'a']),
            (Value::LongString(vec![0xff]), &[0xc4, 1, 0xff]),
            (Value::ByteArray(b"a".to_vec()), &[0xc4, 1, b'a']),
            (Value::Timestamp(5), &[0xd6, 0xff, 0, 0, 0, 5]),
            (Value::Decimal { scale: 1, value: 2 }, &[0xc7, 5, 1, 1, 0, 0, 0, 2]),
            (Value::Array(vec![Value::U8(1), Value::Void]), &[0x92, 1, 0xc0]),
            (Value::Table(inner), &[0x81, 0xa1, b'k', 0xc0]),
        ];
        for (value, expected) in cases {
            let mut table = FieldTable::new();
            table.insert("x", value.clone());
            let bytes = written(|out| put_owned_table(out, &table).unwrap());
            assert_eq!(&bytes[3..], expected, "{value:?}");
        }
    }

    #[test]
    fn a_binding_is_an_array_of_four() {
        let binding = Binding {
            destination: Destination::Queue(QueueId::new(ShardId(0), 1, 1)),
            destination_name: "q".into(),
            key: "k".into(),
            arguments: PackedTable::default(),
            sequence: 0,
        };
        let bytes = written(|out| put_binding(out, &binding));
        assert_eq!(bytes, b"\x94\xa5queue\xa1q\xa1k\x80");
    }
}
