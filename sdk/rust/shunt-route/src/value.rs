//! The values of fields and arguments, as a guest sees them.

use crate::cursor::Cursor;

/// A value that the host passed. It borrows from the host's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// The field is not there, or it is AMQP's void.
    Absent,
    /// A boolean.
    Boolean(bool),
    /// An integer of any AMQP type.
    Integer(i64),
    /// An integer that only an unsigned type of 64 bits can hold.
    Unsigned(u64),
    /// A float or a double.
    Double(f64),
    /// A string. A long string that is not UTF-8 is [`Value::Bytes`].
    Text(&'a str),
    /// A byte array, or a long string that is not UTF-8.
    Bytes(&'a [u8]),
    /// An array.
    Array(Array<'a>),
    /// A field table.
    Table(Table<'a>),
    /// Seconds since the Unix epoch.
    Timestamp(i64),
    /// A decimal.
    Decimal(Decimal),
}

impl Value<'_> {
    /// Whether the field is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Value::Absent)
    }
}

/// AMQP's decimal: `digits` divided by ten to the power of `scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// How many of the digits stand behind the point.
    pub scale: u8,
    /// All digits.
    pub digits: i32,
}

/// Values in a row. Two are equal when their encodings are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array<'a> {
    count: u32,
    items: &'a [u8],
}

impl<'a> Array<'a> {
    /// `items` must have been checked by a cursor.
    pub(crate) fn new(count: u32, items: &'a [u8]) -> Self {
        Self { count, items }
    }

    /// How many values there are.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The values, in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let mut cursor = Cursor::new(self.items);
        core::iter::from_fn(move || cursor.read().ok())
    }
}

/// Names with values: a field table. Two are equal when their encodings are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Table<'a> {
    count: u32,
    items: &'a [u8],
}

impl<'a> Table<'a> {
    /// `items` must have been checked by a cursor.
    #[inline]
    pub(crate) fn new(count: u32, items: &'a [u8]) -> Self {
        Self { count, items }
    }

    pub(crate) fn items(&self) -> &'a [u8] {
        self.items
    }

    /// How many names there are.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value of `name`; [`Value::Absent`] where there is none.
    pub fn get(&self, name: &str) -> Value<'a> {
        self.iter().find(|(other, _)| *other == name).map_or(Value::Absent, |(_, value)| value)
    }

    /// The names and values, in order. A name that is not a string is passed over: the
    /// contract allows none.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        let mut cursor = Cursor::new(self.items);
        core::iter::from_fn(move || {
            loop {
                let name = cursor.read().ok()?;
                let value = cursor.read().ok()?;
                if let Value::Text(name) = name {
                    return Some((name, value));
                }
            }
        })
    }
}
