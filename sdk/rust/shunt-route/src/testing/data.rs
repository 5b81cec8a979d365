//! AMQP values that a test passes in.

use std::string::String;
use std::vec::Vec;

use crate::value::{Decimal, Value};
use crate::writer;

/// A value of a field, an argument or a header. `"text".into()`, `5.into()` and the like make
/// one.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the variants are those of `Value`")]
pub enum Data {
    Absent,
    Boolean(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f32),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Array(Vec<Data>),
    Table(Vec<(String, Data)>),
    Timestamp(i64),
    Decimal(Decimal),
}

impl Data {
    /// The value as the host passes it to a guest.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Data::Absent => bytes.push(0xc0),
            Data::Boolean(value) => bytes.push(0xc2 + u8::from(*value)),
            Data::Integer(value) => write_integer(bytes, *value),
            Data::Unsigned(value) => write_fixed(bytes, &[0xcf], &value.to_be_bytes()),
            Data::Float(value) => write_fixed(bytes, &[0xca], &value.to_be_bytes()),
            Data::Double(value) => write_fixed(bytes, &[0xcb], &value.to_be_bytes()),
            Data::Text(text) => writer::write_text(bytes, text),
            Data::Bytes(value) => {
                let length = value.len() as u32;
                write_fixed(bytes, &[0xc6], &length.to_be_bytes());
                bytes.extend_from_slice(value);
            }
            Data::Array(values) => {
                writer::write_array(bytes, values.len() as u32);
                values.iter().for_each(|value| value.write(bytes));
            }
            Data::Table(pairs) => {
                writer::write_table(bytes, pairs.len() as u32);
                for (name, value) in pairs {
                    writer::write_text(bytes, name);
                    value.write(bytes);
                }
            }
            Data::Timestamp(seconds) => match u32::try_from(*seconds) {
                Ok(seconds) => write_fixed(bytes, &[0xd6, 0xff], &seconds.to_be_bytes()),
                Err(_) => {
                    write_fixed(bytes, &[0xc7, 12, 0xff], &[0; 4]);
                    bytes.extend_from_slice(&seconds.to_be_bytes());
                }
            },
            Data::Decimal(Decimal { scale, digits }) => {
                write_fixed(bytes, &[0xc7, 5, 1, *scale], &digits.to_be_bytes());
            }
        }
    }
}

fn write_integer(bytes: &mut Vec<u8>, integer: i64) {
    if let Ok(integer) = u32::try_from(integer) {
        writer::write_unsigned(bytes, integer);
    } else if let Ok(integer) = i8::try_from(integer) {
        write_fixed(bytes, &[0xd0], &integer.to_be_bytes());
    } else if let Ok(integer) = i16::try_from(integer) {
        write_fixed(bytes, &[0xd1], &integer.to_be_bytes());
    } else if let Ok(integer) = i32::try_from(integer) {
        write_fixed(bytes, &[0xd2], &integer.to_be_bytes());
    } else {
        write_fixed(bytes, &[0xd3], &integer.to_be_bytes());
    }
}

fn write_fixed(bytes: &mut Vec<u8>, tag: &[u8], fixed: &[u8]) {
    bytes.extend_from_slice(tag);
    bytes.extend_from_slice(fixed);
}

impl From<bool> for Data {
    fn from(value: bool) -> Self {
        Data::Boolean(value)
    }
}

impl From<i64> for Data {
    fn from(value: i64) -> Self {
        Data::Integer(value)
    }
}

impl From<i32> for Data {
    fn from(value: i32) -> Self {
        Data::Integer(value.into())
    }
}

impl From<f64> for Data {
    fn from(value: f64) -> Self {
        Data::Double(value)
    }
}

impl From<&str> for Data {
    fn from(text: &str) -> Self {
        Data::Text(text.into())
    }
}

impl From<&[u8]> for Data {
    fn from(bytes: &[u8]) -> Self {
        Data::Bytes(bytes.into())
    }
}

impl<T: Into<Data>> From<Vec<T>> for Data {
    fn from(values: Vec<T>) -> Self {
        Data::Array(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Data>, const N: usize> From<[T; N]> for Data {
    fn from(values: [T; N]) -> Self {
        Data::Array(values.into_iter().map(Into::into).collect())
    }
}

impl From<Value<'_>> for Data {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Absent => Data::Absent,
            Value::Boolean(value) => Data::Boolean(value),
            Value::Integer(value) => Data::Integer(value),
            Value::Unsigned(value) => Data::Unsigned(value),
            Value::Double(value) => Data::Double(value),
            Value::Text(value) => Data::Text(value.into()),
            Value::Bytes(value) => Data::Bytes(value.into()),
            Value::Array(values) => Data::Array(values.iter().map(Data::from).collect()),
            Value::Table(pairs) => table(pairs.iter()),
            Value::Timestamp(seconds) => Data::Timestamp(seconds),
            Value::Decimal(value) => Data::Decimal(value),
        }
    }
}

/// A table from names and values.
pub(super) fn table<'a, T: Into<Data>>(pairs: impl IntoIterator<Item = (&'a str, T)>) -> Data {
    let pairs = pairs.into_iter();
    Data::Table(pairs.map(|(name, value)| (name.into(), value.into())).collect())
}
