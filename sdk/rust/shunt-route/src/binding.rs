//! The bindings of the exchange that a route serves.

use crate::cursor::{Cursor, Malformed};
use crate::value::{Table, Value};

/// One binding of the exchange: from it, to a queue or to another exchange.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Binding<'a> {
    /// Its place among the bindings: what a route answers.
    pub index: BindingIndex,
    /// Whether it leads to a queue or to an exchange.
    pub kind: DestinationKind,
    /// Name of the queue or of the exchange.
    pub name: &'a str,
    /// The binding key.
    pub key: &'a str,
    /// The binding's arguments.
    pub arguments: Table<'a>,
}

/// The place of a binding among those of its exchange. It holds until the next call of
/// [`Route::bindings`](crate::Route::bindings).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingIndex(pub u32);

/// What a binding leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationKind {
    /// A queue.
    Queue,
    /// An exchange.
    Exchange,
}

impl<'a> Binding<'a> {
    /// The binding is not stored yet, so its index is none of the exchange's.
    pub(crate) fn parse(input: &'a [u8], index: BindingIndex) -> Result<Self, Malformed> {
        Self::from_value(Cursor::new(input).read()?, index).ok_or(Malformed)
    }

    fn from_value(value: Value<'a>, index: BindingIndex) -> Option<Self> {
        let Value::Array(parts) = value else {
            return None;
        };
        let mut parts = parts.iter();
        let Value::Text(kind) = parts.next()? else {
            return None;
        };
        let kind = match kind {
            "queue" => DestinationKind::Queue,
            "exchange" => DestinationKind::Exchange,
            _ => return None,
        };
        let Value::Text(name) = parts.next()? else {
            return None;
        };
        let Value::Text(key) = parts.next()? else {
            return None;
        };
        let Value::Table(arguments) = parts.next()? else {
            return None;
        };
        Some(Self { index, kind, name, key, arguments })
    }
}

/// All bindings of the exchange, in the order of their indexes.
#[derive(Clone, Copy, Debug)]
pub struct Bindings<'a> {
    count: u32,
    /// An array that has been checked, with what stands before its items.
    input: &'a [u8],
}

impl<'a> Bindings<'a> {
    pub(crate) fn parse(input: &'a [u8]) -> Result<Self, Malformed> {
        let array = Cursor::new(input).read_array()?;
        let bindings = Self::checked(input);
        if bindings.iter().count() != array.len() as usize {
            return Err(Malformed);
        }
        Ok(bindings)
    }

    /// `input` must have passed [`Bindings::parse`].
    pub(crate) fn checked(input: &'a [u8]) -> Self {
        let count = Cursor::new(input).enter_array().unwrap_or(0);
        Self { count, input }
    }

    pub(crate) fn input(&self) -> &'a [u8] {
        self.input
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bindings, in order.
    pub fn iter(&self) -> impl Iterator<Item = Binding<'a>> + use<'a> {
        let mut cursor = Cursor::new(self.input);
        let count = cursor.enter_array().unwrap_or(0);
        (0..count)
            .map_while(move |index| Binding::from_value(cursor.read().ok()?, BindingIndex(index)))
    }
}
