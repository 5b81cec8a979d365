//! A field table that is kept for long and read seldom.

use std::fmt;

use triomphe::ThinArc;

use crate::table::{FieldTable, TableRef};

/// A field table as the bytes that it is on the wire, in one shared allocation, and none if it is
/// empty: a third of what a [`FieldTable`] takes. Cloning shares. Two are equal if their bytes
/// are; for what RabbitMQ calls the same arguments there is [`PackedTable::is_equivalent`].
#[derive(Clone, Default, PartialEq)]
pub struct PackedTable(Option<ThinArc<(), u8>>);

impl PackedTable {
    /// The fields to read in place.
    pub fn as_table(&self) -> TableRef<'_> {
        self.0.as_ref().map_or(TableRef::EMPTY, |fields| TableRef::trusted(&fields.slice))
    }

    /// An owned copy of the fields.
    pub fn to_table(&self) -> FieldTable {
        self.as_table().to_owned()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether both hold the same fields, in whatever order and with integers of whatever width
    /// ([`FieldTable::is_equivalent`]).
    pub fn is_equivalent(&self, other: &Self) -> bool {
        self == other || self.to_table().is_equivalent(&other.to_table())
    }
}

impl From<TableRef<'_>> for PackedTable {
    fn from(table: TableRef<'_>) -> Self {
        let fields = table.as_bytes();
        Self((!fields.is_empty()).then(|| ThinArc::from_header_and_slice((), fields)))
    }
}

/// As [`FieldTable::encode`] writes it. How deep tables nest is not looked at: who reads one, off
/// the wire or from JSON, has done that.
impl From<&FieldTable> for PackedTable {
    fn from(table: &FieldTable) -> Self {
        let mut bytes = Vec::new();
        table.encode(&mut bytes);
        TableRef::trusted(&bytes[size_of::<u32>()..]).into()
    }
}

impl fmt::Debug for PackedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_table().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;
    use crate::wire::Reader;

    fn table(fields: &[(&str, Value)]) -> FieldTable {
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn a_packed_table_is_the_table() {
        let inner = table(&[("n", Value::Array(vec![Value::Void, Value::F64(0.5)]))]);
        let owned = table(&[("a", Value::from("x")), ("b", Value::I8(-1)), ("t", inner.into())]);
        let packed = PackedTable::from(&owned);
        assert_eq!(packed.to_table(), owned);
        let mut bytes = Vec::new();
        packed.as_table().encode(&mut bytes);
        let mut reader = Reader::new(&bytes);
        let off_the_wire = TableRef::decode(&mut reader).unwrap();
        assert!(reader.is_empty());
        assert_eq!(PackedTable::from(off_the_wire), packed);
        assert_eq!(format!("{packed:?}"), format!("{owned:?}"));
    }

    #[test]
    fn an_empty_one_costs_a_pointer() {
        for empty in [PackedTable::from(&FieldTable::new()), TableRef::EMPTY.into()] {
            assert!(empty.is_empty() && empty.0.is_none());
            assert_eq!(empty.as_table(), TableRef::EMPTY);
        }
        assert_eq!(size_of::<PackedTable>(), size_of::<usize>());
    }

    #[test]
    fn tables_are_the_same_in_whatever_order_and_width() {
        let packed = |fields: &[_]| PackedTable::from(&table(fields));
        let (a, b) = (("a", Value::I32(5)), ("b", Value::from("x")));
        let one = packed(&[a.clone(), b.clone()]);
        assert!(one.is_equivalent(&packed(&[b.clone(), ("a", Value::I64(5))])));
        assert!(!one.is_equivalent(&packed(&[b, ("a", Value::I64(6))])));
        assert!(!one.is_equivalent(&packed(&[a])));
        assert!(!one.is_equivalent(&PackedTable::default()));
    }
}
