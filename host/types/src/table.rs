//! Field tables and arrays: owned, and as a view of the bytes that came in.

use crate::limits::TABLE_DEPTH_MAX;
use crate::value::{Value, ValueRef};
use crate::wire::{DecodeError, Reader, put_long_string, put_short_string};

/// A field table, owned; fields keep their order, and a name that stands twice stays twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldTable(Vec<(String, Value)>);

impl FieldTable {
    /// A table without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first field of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// Sets the field: in its place where it stands already, else at the end.
    pub fn insert(&mut self, name: impl Into<String>, value: Value) {
        let name = name.into();
        match self.0.iter_mut().find(|(field, _)| *field == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Takes every field of that name out, and answers the first.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(field, _)| field == name)?;
        let (_, value) = self.0.remove(index);
        self.0.retain(|(field, _)| field != name);
        Some(value)
    }

    /// The fields in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the table at the cursor, its length first.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(TableRef::decode(reader)?.to_owned())
    }

    /// Appends the table, its length first.
    pub fn encode(&self, out: &mut Vec<u8>) {
        with_length(out, |out| {
            for (name, value) in self.iter() {
                put_short_string(out, name);
                put_value(out, value);
            }
        });
    }

    /// Whether both hold the same fields, in whatever order and with integers of whatever width:
    /// RabbitMQ's notion of the same arguments.
    pub fn is_equivalent(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().all(|(name, value)| {
                other.get(name).is_some_and(|theirs| equivalent(value, theirs))
            })
    }
}

impl FromIterator<(String, Value)> for FieldTable {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(fields: I) -> Self {
        let mut table = Self::new();
        for (name, value) in fields {
            table.insert(name, value);
        }
        table
    }
}

fn equivalent(a: &Value, b: &Value) -> bool {
    match (a.as_integer(), b.as_integer()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// A field table in the bytes that it came in, validated once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableRef<'a> {
    fields: &'a [u8],
}

/// An array of values in the bytes that it came in, validated once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArrayRef<'a> {
    items: &'a [u8],
}

impl<'a> TableRef<'a> {
    /// A table without fields.
    pub const EMPTY: TableRef<'static> = TableRef { fields: &[] };

    /// Reads the table at the cursor, its length first, and validates it to the bottom.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let fields = reader.long_string()?;
        validate_table(fields, TABLE_DEPTH_MAX)?;
        Ok(Self { fields })
    }

    /// The table of the long string `fields`, which the caller has validated before.
    pub(crate) fn trusted(fields: &'a [u8]) -> Self {
        Self { fields }
    }

    /// The first field of that name.
    pub fn get(self, name: &str) -> Option<ValueRef<'a>> {
        let mut reader = Reader::new(self.fields);
        while !reader.is_empty() {
            let is_it = reader.short_bytes().ok()? == name.as_bytes();
            let value = value(&mut reader).ok()?;
            if is_it {
                return Some(value);
            }
        }
        None
    }

    /// The fields in order.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> {
        let mut reader = Reader::new(self.fields);
        std::iter::from_fn(move || {
            if reader.is_empty() {
                return None;
            }
            let name = reader.short_string().ok()?;
            Some((name, value(&mut reader).ok()?))
        })
    }

    /// Whether there is no field.
    pub fn is_empty(self) -> bool {
        self.fields.is_empty()
    }

    /// Appends the table, its length first.
    pub fn encode(self, out: &mut Vec<u8>) {
        put_long_string(out, self.fields);
    }

    /// The encoded fields, without the length before them.
    pub fn as_bytes(self) -> &'a [u8] {
        self.fields
    }

    /// An owned copy.
    pub fn to_owned(self) -> FieldTable {
        // Without room to grow: a binding keeps its arguments as long as it lives.
        let mut fields = Vec::with_capacity(self.iter().count());
        fields.extend(self.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        FieldTable(fields)
    }
}

impl<'a> ArrayRef<'a> {
    /// The values in order.
    pub fn iter(self) -> impl Iterator<Item = ValueRef<'a>> {
        let mut reader = Reader::new(self.items);
        std::iter::from_fn(move || if reader.is_empty() { None } else { value(&mut reader).ok() })
    }
}

fn validate_table(fields: &[u8], depth: usize) -> Result<(), DecodeError> {
    let mut reader = Reader::new(fields);
    while !reader.is_empty() {
        reader.short_string()?;
        validate_value(&mut reader, depth)?;
    }
    Ok(())
}

fn validate_value(reader: &mut Reader<'_>, depth: usize) -> Result<(), DecodeError> {
    match value(reader)? {
        ValueRef::Table(_) | ValueRef::Array(_) if depth == 0 => Err(DecodeError::TooDeep),
        ValueRef::Table(table) => validate_table(table.fields, depth - 1),
        ValueRef::Array(array) => {
            let mut items = Reader::new(array.items);
            while !items.is_empty() {
                validate_value(&mut items, depth - 1)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// One value with its type letter; the inside of a table or array is left as it is.
fn value<'a>(reader: &mut Reader<'a>) -> Result<ValueRef<'a>, DecodeError> {
    Ok(match reader.u8()? {
        b't' => ValueRef::Boolean(reader.u8()? != 0),
        b'b' => ValueRef::I8(reader.i8()?),
        b'B' => ValueRef::U8(reader.u8()?),
        b's' => ValueRef::I16(reader.i16()?),
        b'u' => ValueRef::U16(reader.u16()?),
        b'I' => ValueRef::I32(reader.i32()?),
        b'i' => ValueRef::U32(reader.u32()?),
        // RabbitMQ reads both letters as signed.
        b'l' | b'L' => ValueRef::I64(reader.i64()?),
        b'f' => ValueRef::F32(reader.f32()?),
        b'd' => ValueRef::F64(reader.f64()?),
        b'D' => ValueRef::Decimal { scale: reader.u8()?, value: reader.i32()? },
        b'S' => ValueRef::LongString(reader.long_string()?),
        b'x' => ValueRef::ByteArray(reader.long_string()?),
        b'T' => ValueRef::Timestamp(reader.u64()?),
        b'A' => ValueRef::Array(ArrayRef { items: reader.long_string()? }),
        b'F' => ValueRef::Table(TableRef { fields: reader.long_string()? }),
        b'V' => ValueRef::Void,
        other => return Err(DecodeError::UnknownFieldType(other)),
    })
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Boolean(v) => out.extend_from_slice(&[b't', u8::from(*v)]),
        Value::I8(v) => put(out, b'b', &v.to_be_bytes()),
        Value::U8(v) => put(out, b'B', &v.to_be_bytes()),
        Value::I16(v) => put(out, b's', &v.to_be_bytes()),
        Value::U16(v) => put(out, b'u', &v.to_be_bytes()),
        Value::I32(v) => put(out, b'I', &v.to_be_bytes()),
        Value::U32(v) => put(out, b'i', &v.to_be_bytes()),
        Value::I64(v) => put(out, b'l', &v.to_be_bytes()),
        Value::F32(v) => put(out, b'f', &v.to_be_bytes()),
        Value::F64(v) => put(out, b'd', &v.to_be_bytes()),
        Value::Decimal { scale, value } => {
            put(out, b'D', &[*scale]);
            out.extend_from_slice(&value.to_be_bytes());
        }
        Value::LongString(v) => {
            out.push(b'S');
            put_long_string(out, v);
        }
        Value::ByteArray(v) => {
            out.push(b'x');
            put_long_string(out, v);
        }
        Value::Timestamp(v) => put(out, b'T', &v.to_be_bytes()),
        Value::Array(items) => {
            out.push(b'A');
            with_length(out, |out| items.iter().for_each(|item| put_value(out, item)));
        }
        Value::Table(table) => {
            out.push(b'F');
            table.encode(out);
        }
        Value::Void => out.push(b'V'),
    }
}

fn put(out: &mut Vec<u8>, letter: u8, bytes: &[u8]) {
    out.push(letter);
    out.extend_from_slice(bytes);
}

/// Writes what `fill` appends, with its length in four octets before it.
fn with_length(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Boolean),
            any::<i8>().prop_map(Value::I8),
            any::<u8>().prop_map(Value::U8),
            any::<i16>().prop_map(Value::I16),
            any::<u16>().prop_map(Value::U16),
            any::<i32>().prop_map(Value::I32),
            any::<u32>().prop_map(Value::U32),
            any::<i64>().prop_map(Value::I64),
            (-1e30f32..1e30).prop_map(Value::F32),
            (-1e300f64..1e300).prop_map(Value::F64),
            (any::<u8>(), any::<i32>()).prop_map(|(scale, value)| Value::Decimal { scale, value }),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::LongString),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::ByteArray),
            any::<u64>().prop_map(Value::Timestamp),
            Just(Value::Void),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::vec((".{0,12}", inner), 0..6)
                    .prop_map(|fields| Value::Table(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_table_survives_the_wire(fields in prop::collection::vec((".{0,20}", any_value()), 0..8)) {
            let table: FieldTable = fields.into_iter().collect();
            let mut bytes = Vec::new();
            table.encode(&mut bytes);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(FieldTable::decode(&mut reader).unwrap(), table);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn hostile_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(table) = TableRef::decode(&mut Reader::new(&bytes)) {
                let _ = table.to_owned();
            }
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nest = |depth: usize| {
            let mut table = FieldTable::new();
            for _ in 0..depth {
                let mut outer = FieldTable::new();
                outer.insert("t", Value::Table(table));
                table = outer;
            }
            let mut bytes = Vec::new();
            table.encode(&mut bytes);
            TableRef::decode(&mut Reader::new(&bytes)).map(|_| ())
        };
        assert_eq!(nest(TABLE_DEPTH_MAX), Ok(()));
        assert_eq!(nest(TABLE_DEPTH_MAX + 1), Err(DecodeError::TooDeep));
    }

    #[test]
    fn arguments_are_the_same_whatever_the_width_of_integers() {
        let table =
            |value| [("x-max-length".to_owned(), value)].into_iter().collect::<FieldTable>();
        assert!(table(Value::I32(5)).is_equivalent(&table(Value::I64(5))));
        assert!(!table(Value::I32(5)).is_equivalent(&table(Value::I32(6))));
        assert!(!table(Value::I32(5)).is_equivalent(&table(Value::from("5"))));
    }
}
