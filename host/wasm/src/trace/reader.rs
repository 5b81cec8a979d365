//! Reading a trace.

use std::collections::HashMap;
use std::sync::Arc;

use shunt_routing::{Binding, Destination, ExchangeSpec, Header};
use shunt_types::{
    ExchangeId, ExchangeName, FieldTable, PropertiesRef, QueueId, Reader, ShardId, VhostName,
};

use super::format::{ABOUT, CHUNK_HEAD_BYTES, EXCHANGE, HEADER_BYTES, MAGIC, MESSAGE, VERSION};

/// Why bytes are no trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// They don't begin as a trace does.
    #[error("this is no trace of a route: it doesn't begin with 'SHUNTTRC'")]
    NoTrace,
    /// Made by another version.
    #[error("the trace has version {0}, this version of shunt reads version 1")]
    Version(u8),
    /// A chunk isn't what was written.
    #[error("the trace is damaged at byte {0}: the checksum doesn't fit")]
    Checksum(usize),
    /// A chunk can't be read though its checksum fits.
    #[error("the trace can't be read at byte {0}")]
    Unreadable(usize),
}

/// An exchange as it was when messages came.
#[derive(Clone, Debug)]
pub struct TracedExchange {
    /// Its name and arguments.
    pub spec: ExchangeSpec,
    /// Its bindings in the order of their indexes. The ids in them stand for nothing.
    pub bindings: Vec<Arc<Binding>>,
}

/// A recorded message.
#[derive(Clone, Copy, Debug)]
pub struct TracedMessage<'a> {
    /// The exchange's place among those that the reader has met.
    pub exchange: usize,
    /// When it came, in Unix milliseconds.
    pub time_ms: u64,
    /// What of its header was recorded.
    pub header: Header<'a>,
}

/// Reads a trace from its start to its end. A last chunk that was cut short is left out.
pub struct TraceReader<'a> {
    bytes: &'a [u8],
    vhost: VhostName,
    fields: Vec<String>,
    exchanges: Vec<TracedExchange>,
    /// An exchange's record, to know one that comes again.
    known: HashMap<&'a [u8], usize>,
}

impl<'a> TraceReader<'a> {
    /// Looks at the head of a trace. The virtual host isn't part of it, since it may be taken
    /// from one broker to another.
    ///
    /// # Errors
    /// The bytes are no trace, or one of another version.
    pub fn new(bytes: &'a [u8], vhost: VhostName) -> Result<Self, TraceError> {
        head(bytes)?;
        Ok(Self { bytes, vhost, fields: Vec::new(), exchanges: Vec::new(), known: HashMap::new() })
    }

    /// The fields that were recorded, once a message was read.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// The exchanges that were met so far; one whose bindings changed is met again.
    pub fn exchanges(&self) -> &[TracedExchange] {
        &self.exchanges
    }

    /// Calls `each` for every message in the order in which they came.
    ///
    /// # Errors
    /// The trace is damaged; or the first error of `each`.
    pub fn read<E: From<TraceError>>(
        &mut self,
        mut each: impl FnMut(&[String], &[TracedExchange], TracedMessage<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let bytes = self.bytes;
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if rest.starts_with(MAGIC) {
                at += head(rest)?;
                continue;
            }
            let Some((length, checksum)) = chunk_head(rest) else { break };
            let end = CHUNK_HEAD_BYTES.saturating_add(length);
            let Some(payload) = rest.get(CHUNK_HEAD_BYTES..end) else { break };
            if crc32c::crc32c(payload) != checksum {
                return Err(TraceError::Checksum(at).into());
            }
            self.chunk(payload, at, &mut each)?;
            at += end;
        }
        Ok(())
    }

    fn chunk<E: From<TraceError>>(
        &mut self,
        payload: &'a [u8],
        at: usize,
        each: &mut impl FnMut(&[String], &[TracedExchange], TracedMessage<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let unreadable = || TraceError::Unreadable(at);
        let mut cursor = Cursor(payload);
        let mut numbers: HashMap<u16, usize> = HashMap::new();
        let mut keys: Vec<&str> = Vec::new();
        while !cursor.0.is_empty() {
            match cursor.u8().ok_or_else(unreadable)? {
                ABOUT => {
                    let text = cursor.long().and_then(|text| std::str::from_utf8(text).ok());
                    let text = text.ok_or_else(unreadable)?;
                    if self.fields.is_empty() {
                        self.fields = text.lines().map(str::to_owned).collect();
                    }
                }
                EXCHANGE => {
                    let number = cursor.u16().ok_or_else(unreadable)?;
                    let place = self.exchange(&mut cursor).ok_or_else(unreadable)?;
                    numbers.insert(number, place);
                }
                MESSAGE => {
                    let read = message(&mut cursor, &self.vhost, &mut keys);
                    let (number, time_ms, header) = read.ok_or_else(unreadable)?;
                    let exchange = *numbers.get(&number).ok_or_else(unreadable)?;
                    let message = TracedMessage { exchange, time_ms, header };
                    each(&self.fields, &self.exchanges, message)?;
                }
                _ => return Err(unreadable().into()),
            }
        }
        Ok(())
    }

    /// Reads an exchange's record, and answers its place.
    fn exchange(&mut self, cursor: &mut Cursor<'a>) -> Option<usize> {
        let start = cursor.0;
        let name = cursor.text()?;
        let arguments = cursor.table()?;
        let count = cursor.u32()?;
        let mut bindings = Vec::new();
        for index in 0..count {
            let is_exchange = cursor.u8()? == 1;
            bindings.push(Arc::new(Binding {
                destination: if is_exchange {
                    Destination::Exchange(ExchangeId(index.into()))
                } else {
                    Destination::Queue(QueueId::new(ShardId(0), index, 0))
                },
                destination_name: cursor.text()?.into(),
                key: cursor.text()?.into(),
                arguments: (&cursor.table()?).into(),
                sequence: index.into(),
            }));
        }
        let record = &start[..start.len() - cursor.0.len()];
        if let Some(&known) = self.known.get(record) {
            return Some(known);
        }
        let name = ExchangeName::new(name).ok()?;
        let spec = ExchangeSpec { vhost: self.vhost.clone(), name, arguments: Arc::new(arguments) };
        self.exchanges.push(TracedExchange { spec, bindings });
        let place = self.exchanges.len() - 1;
        self.known.insert(record, place);
        Some(place)
    }
}

fn message<'p: 'h, 'h>(
    cursor: &mut Cursor<'p>,
    vhost: &'h VhostName,
    keys: &'h mut Vec<&'p str>,
) -> Option<(u16, u64, Header<'h>)> {
    keys.clear();
    let number = cursor.u16()?;
    let time_ms = cursor.u64()?;
    let body_size = cursor.u64()?;
    let user = cursor.text()?;
    let exchange = cursor.text()?;
    for _ in 0..cursor.u16()? {
        keys.push(cursor.text()?);
    }
    if keys.is_empty() {
        keys.push("");
    }
    let properties = PropertiesRef::decode(cursor.long()?).ok()?;
    let header = Header {
        vhost,
        exchange,
        routing_keys: keys,
        properties,
        body_size,
        user,
        now_ms: time_ms,
        random: 0,
    };
    Some((number, time_ms, header))
}

/// Checks the head of a segment, and answers its length.
fn head(bytes: &[u8]) -> Result<usize, TraceError> {
    if !bytes.starts_with(MAGIC) || bytes.len() < HEADER_BYTES {
        return Err(TraceError::NoTrace);
    }
    match bytes[MAGIC.len()] {
        VERSION => Ok(HEADER_BYTES),
        other => Err(TraceError::Version(other)),
    }
}

/// Length and checksum of a chunk; `None` where the bytes end before.
fn chunk_head(bytes: &[u8]) -> Option<(usize, u32)> {
    let mut cursor = Cursor(bytes);
    Some((cursor.u32()? as usize, cursor.u32()?))
}

/// Takes values from the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.chunk().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.chunk().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.u16()?;
        std::str::from_utf8(self.bytes(length.into())?).ok()
    }

    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.bytes(length as usize)
    }

    fn table(&mut self) -> Option<FieldTable> {
        FieldTable::decode(&mut Reader::new(self.long()?)).ok()
    }
}
