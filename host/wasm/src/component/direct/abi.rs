//! The contract's types in linear memory, as the canonical ABI lays them out
//! (WebAssembly/component-model, `CanonicalABI.md`: "Flattening", "Loading", "Storing").

use wasmtime::{Memory, Store, TypedFunc};

use super::super::contract::shunt::route::types::{Binding, DestinationKind, Value};
use crate::guest::Guest;
use crate::window::Window;

/// Bytes and alignment of `value`: a variant of which some cases have eight bytes.
const VALUE: (usize, usize) = (16, 8);
/// Of `tuple<string, value>`.
const ARGUMENT: (usize, usize) = (24, 8);
/// Of `binding`.
const BINDING: (usize, usize) = (28, 4);
/// Of `string`: address and length.
const TEXT: (usize, usize) = (8, 4);
/// Of `destination`.
const DESTINATION: (usize, usize) = (12, 4);
/// Of the results of all calls but `describe`, whose record has the same alignment.
const RESULT: (usize, usize) = (12, 4);

/// Address and number of items, as a core function takes them.
type Place = (i32, i32);
type Realloc = TypedFunc<(i32, i32, i32, i32), i32>;

/// Writes inputs into the memory of an instance.
pub(super) struct Abi {
    memory: Window,
    realloc: Option<Realloc>,
}

impl Abi {
    pub(super) fn new(memory: Memory, realloc: Option<Realloc>, store: &mut Store<Guest>) -> Self {
        Self { memory: Window::new(memory, store), realloc }
    }

    /// Room that the guest gives, checked.
    #[inline]
    fn room(
        &mut self,
        store: &mut Store<Guest>,
        length: usize,
        align: usize,
    ) -> wasmtime::Result<usize> {
        let Some(realloc) = &self.realloc else {
            wasmtime::bail!("there is no realloc");
        };
        let wanted = i32::try_from(length)?;
        let at = realloc.call(&mut *store, (0, 0, align as i32, wanted))? as u32 as usize;
        if !at.is_multiple_of(align) {
            wasmtime::bail!("realloc return: result not aligned");
        }
        let end = at + length;
        if self.memory.write(store, end).get(at..end).is_none() {
            wasmtime::bail!("realloc return: beyond end of memory");
        }
        Ok(at)
    }

    /// Writes into room that was checked.
    #[inline]
    fn put(&mut self, store: &mut Store<Guest>, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if let Some(room) = self.memory.write(store, end).get_mut(at..end) {
            room.copy_from_slice(bytes);
        }
    }

    #[inline]
    fn put_place(&mut self, store: &mut Store<Guest>, at: usize, (address, count): Place) {
        let (address, count) = (u64::from(address as u32), u64::from(count as u32));
        self.put(store, at, &(address | count << 32).to_le_bytes());
    }

    #[inline]
    fn bytes(&mut self, store: &mut Store<Guest>, bytes: &[u8]) -> wasmtime::Result<Place> {
        let at = self.room(store, bytes.len(), 1)?;
        self.put(store, at, bytes);
        Ok((at as i32, bytes.len() as i32))
    }

    #[inline]
    pub(super) fn text(&mut self, store: &mut Store<Guest>, text: &str) -> wasmtime::Result<Place> {
        self.bytes(store, text.as_bytes())
    }

    #[inline]
    fn list<T>(
        &mut self,
        store: &mut Store<Guest>,
        items: &[T],
        (size, align): (usize, usize),
        put: impl Fn(&mut Self, &mut Store<Guest>, usize, &T) -> wasmtime::Result<()>,
    ) -> wasmtime::Result<Place> {
        let at = self.room(store, items.len().saturating_mul(size), align)?;
        for (n, item) in items.iter().enumerate() {
            put(self, store, at + n * size, item)?;
        }
        Ok((at as i32, items.len() as i32))
    }

    /// A `list<value>`.
    #[inline]
    pub(super) fn values(
        &mut self,
        store: &mut Store<Guest>,
        values: &[Value<'_>],
    ) -> wasmtime::Result<Place> {
        self.list(store, values, VALUE, Self::put_value)
    }

    /// A `list<tuple<string, value>>`.
    pub(super) fn arguments(
        &mut self,
        store: &mut Store<Guest>,
        arguments: &[(&str, Value<'_>)],
    ) -> wasmtime::Result<Place> {
        self.list(store, arguments, ARGUMENT, |abi, store, at, (name, value)| {
            let name = abi.text(store, name)?;
            abi.put_place(store, at, name);
            abi.put_value(store, at + 8, value)
        })
    }

    /// A `list<binding>`.
    pub(super) fn bindings(
        &mut self,
        store: &mut Store<Guest>,
        bindings: &[Binding<'_>],
    ) -> wasmtime::Result<Place> {
        self.list(store, bindings, BINDING, |abi, store, at, binding| {
            abi.put(store, at, &[kind(binding.kind)]);
            let name = abi.text(store, binding.name)?;
            abi.put_place(store, at + 4, name);
            let key = abi.text(store, binding.key)?;
            abi.put_place(store, at + 12, key);
            let arguments = abi.arguments(store, binding.arguments)?;
            abi.put_place(store, at + 20, arguments);
            Ok(())
        })
    }

    #[inline]
    fn put_value(
        &mut self,
        store: &mut Store<Guest>,
        at: usize,
        value: &Value<'_>,
    ) -> wasmtime::Result<()> {
        let case = match value {
            Value::Absent => 0,
            Value::Boolean(_) => 1,
            Value::Integer(_) => 2,
            Value::Double(_) => 3,
            Value::Text(_) => 4,
            Value::Bytes(_) => 5,
            Value::Timestamp(_) => 6,
            Value::Nested(_) => 7,
        };
        match value {
            Value::Absent => {}
            Value::Boolean(flag) => self.put(store, at + 8, &[u8::from(*flag)]),
            Value::Integer(number) | Value::Timestamp(number) => {
                self.put(store, at + 8, &number.to_le_bytes());
            }
            Value::Double(number) => self.put(store, at + 8, &number.to_le_bytes()),
            Value::Text(text) => {
                let place = self.text(store, text)?;
                self.put_place(store, at + 8, place);
            }
            Value::Bytes(bytes) | Value::Nested(bytes) => {
                let place = self.bytes(store, bytes)?;
                self.put_place(store, at + 8, place);
            }
        }
        self.put(store, at, &[case]);
        Ok(())
    }

    /// To read what the guest answered.
    #[inline]
    pub(super) fn answer<'a>(&'a mut self, store: &'a Store<Guest>) -> Read<'a> {
        // Answers lie anywhere, and are bounded by what there is.
        Read { memory: self.memory.read(store, usize::MAX) }
    }
}

/// The case of a binding's kind.
pub(super) fn kind(kind: DestinationKind) -> u8 {
    match kind {
        DestinationKind::Queue => 0,
        DestinationKind::Exchange => 1,
    }
}

/// Reads answers; every address and length in them is hostile.
#[derive(Clone, Copy)]
pub(crate) struct Read<'a> {
    memory: &'a [u8],
}

/// A destination as it lies in memory.
pub(crate) enum Lying<'a> {
    Binding(u32),
    Queue(&'a str),
}

impl<'a> Read<'a> {
    #[inline]
    fn part(self, at: usize, length: usize, align: usize) -> wasmtime::Result<&'a [u8]> {
        if !at.is_multiple_of(align) {
            wasmtime::bail!("an address in the answer is not aligned");
        }
        let end = at.saturating_add(length);
        let part = self.memory.get(at..end);
        part.ok_or_else(|| wasmtime::format_err!("an address in the answer is out of bounds"))
    }

    #[inline]
    fn word(bytes: &[u8], at: usize) -> u32 {
        let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
        word.map_or(0, |word| u32::from_le_bytes(*word))
    }

    /// The text whose address and length lie there.
    pub(super) fn text(self, at: usize) -> wasmtime::Result<&'a str> {
        let place = self.part(at, TEXT.0, TEXT.1)?;
        let (address, length) = (Self::word(place, 0), Self::word(place, 4));
        Ok(std::str::from_utf8(self.part(address as usize, length as usize, 1)?)?)
    }

    /// The items of a list whose address and count lie there.
    #[inline]
    fn items(
        self,
        at: usize,
        (size, align): (usize, usize),
    ) -> wasmtime::Result<(usize, &'a [u8])> {
        let place = self.part(at, TEXT.0, TEXT.1)?;
        let (address, count) = (Self::word(place, 0) as usize, Self::word(place, 4) as usize);
        Ok((address, self.part(address, count.saturating_mul(size), align)?))
    }

    pub(super) fn texts(self, at: usize) -> wasmtime::Result<Vec<String>> {
        let (address, items) = self.items(at, TEXT)?;
        let count = items.len() / TEXT.0;
        (0..count).map(|n| Ok(self.text(address + n * TEXT.0)?.to_owned())).collect()
    }

    /// Whether a result is ok.
    #[inline]
    fn is_ok(self, at: usize) -> wasmtime::Result<bool> {
        match self.part(at, RESULT.0, RESULT.1)?.first() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => wasmtime::bail!("invalid expected discriminant"),
        }
    }

    /// A `result<_, string>`.
    pub(super) fn told(self, at: usize) -> wasmtime::Result<Result<(), String>> {
        Ok(if self.is_ok(at)? { Ok(()) } else { Err(self.text(at + 4)?.to_owned()) })
    }

    /// A `result<list<destination>, string>`: its items, or the reason.
    #[inline]
    pub(crate) fn routed(self, at: usize) -> wasmtime::Result<Result<&'a [u8], &'a str>> {
        Ok(if self.is_ok(at)? {
            Ok(self.items(at + 4, DESTINATION)?.1)
        } else {
            Err(self.text(at + 4)?)
        })
    }

    /// Bytes of all names of queues in an answer, those that lie at the same place too.
    #[inline]
    pub(crate) fn names_length(self, items: &[u8]) -> usize {
        let names = items.chunks_exact(DESTINATION.0).filter(|item| item.first() == Some(&1));
        names.map(|item| Self::word(item, 8) as usize).fold(0, usize::saturating_add)
    }

    /// The destinations of an answer, one after the other.
    #[inline]
    pub(crate) fn destinations(
        self,
        items: &'a [u8],
    ) -> impl ExactSizeIterator<Item = wasmtime::Result<Lying<'a>>> + Clone {
        items.chunks_exact(DESTINATION.0).map(move |item| match item.first() {
            Some(0) => Ok(Lying::Binding(Self::word(item, 4))),
            Some(1) => {
                let (address, length) = (Self::word(item, 4), Self::word(item, 8));
                let bytes = self.part(address as usize, length as usize, 1)?;
                Ok(Lying::Queue(std::str::from_utf8(bytes)?))
            }
            _ => wasmtime::bail!("unexpected discriminant: {}", item.first().unwrap_or(&0)),
        })
    }
}
