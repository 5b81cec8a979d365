//! The bindings of the exchange that a route serves.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

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

/// A binding as it is kept. Its parts are decoded once, when the bindings change, so that a
/// message finds them as they are.
#[derive(Debug)]
pub(crate) struct KeptBinding {
    name: Box<str>,
    key: Box<str>,
    arguments: Box<[u8]>,
    argument_count: u32,
    kind: DestinationKind,
}

impl KeptBinding {
    fn new(binding: &Binding<'_>) -> Self {
        Self {
            name: binding.name.into(),
            key: binding.key.into(),
            arguments: binding.arguments.items().into(),
            argument_count: binding.arguments.len(),
            kind: binding.kind,
        }
    }

    #[inline]
    fn get(&self, index: BindingIndex) -> Binding<'_> {
        Binding {
            index,
            kind: self.kind,
            name: &self.name,
            key: &self.key,
            arguments: Table::new(self.argument_count, &self.arguments),
        }
    }
}

/// All bindings of the exchange, in the order of their indexes.
#[derive(Clone, Copy, Debug)]
pub struct Bindings<'a> {
    kept: &'a Arc<Vec<KeptBinding>>,
}

impl<'a> Bindings<'a> {
    pub(crate) fn parse(input: &[u8]) -> Result<Arc<Vec<KeptBinding>>, Malformed> {
        let array = Cursor::new(input).read_array()?;
        // Each of them has a byte at least, so the count is no lie.
        let mut kept = Vec::with_capacity(array.len() as usize);
        for (value, index) in array.iter().zip(0..) {
            let binding = Binding::from_value(value, BindingIndex(index)).ok_or(Malformed)?;
            kept.push(KeptBinding::new(&binding));
        }
        Ok(Arc::new(kept))
    }

    #[inline]
    pub(crate) fn new(kept: &'a Arc<Vec<KeptBinding>>) -> Self {
        Self { kept }
    }

    pub(crate) fn kept(&self) -> &'a Arc<Vec<KeptBinding>> {
        self.kept
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.kept.len() as u32
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The bindings, in order. They are decoded already: walking them costs next to nothing.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Binding<'a>> + use<'a> {
        self.kept.iter().zip(0..).map(|(kept, index)| kept.get(BindingIndex(index)))
    }
}
