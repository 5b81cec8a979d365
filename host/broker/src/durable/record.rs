//! The records of queues in the node's log.
//!
//! ```text
//! message    head: version u8 | placement          body: content
//! page       head: version u8                      body: content
//! reference  version u8 | segment u32 | offset u32 | size u32 | placement
//! settled    version u8 | (queue u64, sequence u64)*
//! handed out version u8 | (queue u64, lane u8, sequence u64)*
//! dropped    version u8 | queue u64 | below u64 | kept u32 | sequence u64*
//! deleted    version u8 | queue u64
//!
//! placement  shares u16 | body size u32 | priority u8
//!            | targets u16 | target* | settled u16 | (queue u64, sequence u64)*
//! target     queue u64 | sequence u64 | expires at u64 | redelivered u8
//! content    names u16 | properties u32 | hidden | names | properties | body
//! hidden     nothing; where the highest bit of `names` is set: size u32 | flags u8
//!            | (size u32 big-endian | key)*
//! ```
//! Numbers are little-endian. A message stands once, however many queues it went to: those of
//! other shards than its publisher's refer to its record by position (reference). `shares` is how
//! many queues that makes. What dead-lettering settles stands in the same record as the letter, so
//! that neither is there without the other. A page is a message that a restart forgets, written so
//! that memory need not hold it. A queue is named by the id that its declaration was given, which
//! is never used again. The heads are all that a start reads.

use shunt_storage::RecordPosition;
use shunt_types::{Hidden, Message, MessageBody, Names, Reader};
use smallvec::SmallVec;

/// Version of the records' format.
const VERSION: u8 = 2;
/// Version of the records of messages that have something hidden, which a build that knows nothing
/// of it can't read.
const VERSION_HIDDEN: u8 = 3;
/// Set in the length of a message's names where something hidden stands before them. Two short
/// strings are far shorter.
const HAS_HIDDEN: u16 = 1 << 15;

/// A queue's id in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueUid(pub u64);

/// A message's place in one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The queue.
    pub queue: QueueUid,
    /// The message's place in the queue's order.
    pub sequence: u64,
    /// Unix milliseconds; `u64::MAX` for never.
    pub expires_at_ms: u64,
    /// Whether it was handed out before.
    pub redelivered: bool,
}

/// A queue's message that is settled.
pub(crate) type Settled = (QueueUid, u64);

/// Which queues a message is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placement {
    /// How many queues share the record, those that refer to it included.
    pub(crate) shares: u16,
    pub(crate) body_size: u32,
    pub(crate) priority: u8,
    pub(crate) targets: SmallVec<[Target; 1]>,
    /// What left its queue by becoming this message (dead-lettering).
    pub(crate) settled: SmallVec<[Settled; 1]>,
}

/// What the log says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A message is in these queues.
    Message(Placement),
    /// The message of an earlier record is in these queues too.
    Reference(RecordPosition, Placement),
    /// Nothing that a restart cares for.
    Page,
    /// Messages left their queues.
    Settled(Vec<Settled>),
    /// All messages of a lane up to a sequence were handed out.
    HandedOut(Vec<(QueueUid, u8, u64)>),
    /// Everything below a sequence left the queue, but for these.
    Dropped { queue: QueueUid, below: u64, kept: Vec<u64> },
    /// The queue was deleted.
    Deleted(QueueUid),
}

/// Kinds of records in the log. From 128 on a record has a head and a body.
pub(crate) mod kind {
    pub(crate) const SETTLED: u8 = 2;
    pub(crate) const HANDED_OUT: u8 = 3;
    pub(crate) const DROPPED: u8 = 4;
    pub(crate) const DELETED: u8 = 5;
    pub(crate) const REFERENCE: u8 = 6;
    pub(crate) const MESSAGE: u8 = 128;
    pub(crate) const PAGE: u8 = 129;
}

/// Why a record has no meaning. Its checksum was right: another version wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A version that this build doesn't know.
    #[error("a record of version {0}, this shunt reads versions {VERSION} and {VERSION_HIDDEN}")]
    UnknownVersion(u8),
    /// A kind that this build doesn't know.
    #[error("a record of the unknown kind {0}")]
    UnknownKind(u8),
    /// The bytes are no record.
    #[error("a record of kind {0} can't be read")]
    Damaged(u8),
}

/// Writes the head of a message's record.
pub(crate) fn put_message(out: &mut Vec<u8>, message: &Message, placement: &Placement) {
    out.push(version_of(message));
    put_placement(out, placement);
}

/// Writes the head of a page.
pub(crate) fn put_page(out: &mut Vec<u8>, message: &Message) {
    out.push(version_of(message));
}

fn version_of(message: &Message) -> u8 {
    if message.hidden().is_some() { VERSION_HIDDEN } else { VERSION }
}

/// Writes the payload of a reference.
pub(crate) fn put_reference(out: &mut Vec<u8>, at: RecordPosition, placement: &Placement) {
    out.push(VERSION);
    for number in [at.segment, at.offset, at.size] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    put_placement(out, placement);
}

fn put_placement(out: &mut Vec<u8>, placement: &Placement) {
    out.extend_from_slice(&placement.shares.to_le_bytes());
    out.extend_from_slice(&placement.body_size.to_le_bytes());
    out.push(placement.priority);
    out.extend_from_slice(&(placement.targets.len() as u16).to_le_bytes());
    for target in &placement.targets {
        put_numbers(out, &[target.queue.0, target.sequence, target.expires_at_ms]);
        out.push(u8::from(target.redelivered));
    }
    out.extend_from_slice(&(placement.settled.len() as u16).to_le_bytes());
    for (queue, sequence) in &placement.settled {
        put_numbers(out, &[queue.0, *sequence]);
    }
}

/// What stands before the names, the properties and the body in a record's body: lengths, and what
/// is hidden.
pub(crate) fn put_content_head(out: &mut Vec<u8>, message: &Message) {
    let names = message.names().as_bytes().len() as u16;
    let properties = message.properties().as_bytes().len() as u32;
    let Some(hidden) = message.hidden() else {
        out.extend_from_slice(&names.to_le_bytes());
        out.extend_from_slice(&properties.to_le_bytes());
        return;
    };
    out.extend_from_slice(&(names | HAS_HIDDEN).to_le_bytes());
    out.extend_from_slice(&properties.to_le_bytes());
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    hidden.encode(out);
    let length = (out.len() - length_at - 4) as u32;
    out[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
}

/// The rest of a record's body: names, properties, body.
pub(crate) fn content(message: &Message) -> [&[u8]; 3] {
    [message.names().as_bytes(), message.properties().as_bytes(), message.body()]
}

/// Reads a record's body; nothing where it is none.
pub(crate) fn read_content(body: &[u8]) -> Option<Message> {
    let mut cursor = Cursor(Reader::new(body));
    let (names, properties) = (cursor.u16()?, cursor.u32()?);
    let hidden = match names & HAS_HIDDEN {
        0 => None,
        _ => {
            let length = cursor.u32()?;
            Some(Box::new(Hidden::decode(cursor.0.bytes(length as usize).ok()?)?))
        }
    };
    let names = Names::new(cursor.0.bytes((names & !HAS_HIDDEN).into()).ok()?)?;
    let properties = cursor.0.bytes(properties as usize).ok()?;
    Message::with_hidden(names, properties, MessageBody::Borrowed(cursor.0.rest()), hidden).ok()
}

/// Writes the payload of a record of settled messages.
pub(crate) fn put_settled(out: &mut Vec<u8>, settled: &[(QueueUid, u64)]) {
    out.push(VERSION);
    for (queue, sequence) in settled {
        put_numbers(out, &[queue.0, *sequence]);
    }
}

/// Writes the payload of a record of what was handed out.
pub(crate) fn put_handed_out(out: &mut Vec<u8>, marks: &[(QueueUid, u8, u64)]) {
    out.push(VERSION);
    for (queue, lane, sequence) in marks {
        put_numbers(out, &[queue.0]);
        out.push(*lane);
        put_numbers(out, &[*sequence]);
    }
}

/// Writes the payload of a record of a purge.
pub(crate) fn put_dropped(out: &mut Vec<u8>, queue: QueueUid, below: u64, kept: &[u64]) {
    out.push(VERSION);
    put_numbers(out, &[queue.0, below]);
    out.extend_from_slice(&(kept.len() as u32).to_le_bytes());
    put_numbers(out, kept);
}

/// Writes the payload of a record of a queue's deletion.
pub(crate) fn put_deleted(out: &mut Vec<u8>, queue: QueueUid) {
    out.push(VERSION);
    put_numbers(out, &[queue.0]);
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

impl Record {
    /// Reads a record of the log: its head, where it has one.
    pub(crate) fn decode(kind: u8, payload: &[u8]) -> Result<Self, RecordError> {
        let (&version, bytes) = payload.split_first().ok_or(RecordError::Damaged(kind))?;
        let has_message = matches!(kind, kind::MESSAGE | kind::PAGE);
        if version != VERSION && !(version == VERSION_HIDDEN && has_message) {
            return Err(RecordError::UnknownVersion(version));
        }
        let mut cursor = Cursor(Reader::new(bytes));
        let record = match kind {
            kind::MESSAGE => cursor.placement().map(Record::Message),
            kind::PAGE => Some(Record::Page),
            kind::REFERENCE => cursor.reference(),
            kind::SETTLED => cursor.settled().map(Record::Settled),
            kind::HANDED_OUT => cursor.handed_out().map(Record::HandedOut),
            kind::DROPPED => cursor.dropped(),
            kind::DELETED => cursor.u64().map(|queue| Record::Deleted(QueueUid(queue))),
            other => return Err(RecordError::UnknownKind(other)),
        };
        record.ok_or(RecordError::Damaged(kind))
    }
}

/// Little-endian numbers off checked bytes.
struct Cursor<'a>(Reader<'a>);

impl Cursor<'_> {
    fn u8(&mut self) -> Option<u8> {
        self.0.u8().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.0.u16().ok().map(u16::swap_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.0.u32().ok().map(u32::swap_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.0.u64().ok().map(u64::swap_bytes)
    }

    fn pair(&mut self) -> Option<(QueueUid, u64)> {
        Some((QueueUid(self.u64()?), self.u64()?))
    }

    fn settled(&mut self) -> Option<Vec<(QueueUid, u64)>> {
        let mut settled = Vec::new();
        while !self.0.is_empty() {
            settled.push(self.pair()?);
        }
        Some(settled)
    }

    fn handed_out(&mut self) -> Option<Vec<(QueueUid, u8, u64)>> {
        let mut marks = Vec::new();
        while !self.0.is_empty() {
            marks.push((QueueUid(self.u64()?), self.u8()?, self.u64()?));
        }
        Some(marks)
    }

    fn dropped(&mut self) -> Option<Record> {
        let (queue, below) = self.pair()?;
        let count = self.u32()?;
        let kept = (0..count).map(|_| self.u64()).collect::<Option<_>>()?;
        Some(Record::Dropped { queue, below, kept })
    }

    fn reference(&mut self) -> Option<Record> {
        let (segment, offset, size) = (self.u32()?, self.u32()?, self.u32()?);
        Some(Record::Reference(RecordPosition { segment, offset, size }, self.placement()?))
    }

    fn placement(&mut self) -> Option<Placement> {
        let (shares, body_size, priority) = (self.u16()?, self.u32()?, self.u8()?);
        let count = self.u16()?;
        let targets = (0..count).map(|_| self.target()).collect::<Option<_>>()?;
        let count = self.u16()?;
        let settled = (0..count).map(|_| self.pair()).collect::<Option<_>>()?;
        Some(Placement { shares, body_size, priority, targets, settled })
    }

    fn target(&mut self) -> Option<Target> {
        Some(Target {
            queue: QueueUid(self.u64()?),
            sequence: self.u64()?,
            expires_at_ms: self.u64()?,
            redelivered: self.u8()? != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shunt_types::Properties;
    use smallvec::smallvec;

    use super::*;

    fn placement() -> Placement {
        let target =
            Target { queue: QueueUid(7), sequence: u64::MAX, expires_at_ms: 5, redelivered: true };
        let settled = [(QueueUid(1), 2), (QueueUid(3), 4)];
        Placement {
            shares: 3,
            body_size: 4,
            priority: 9,
            targets: smallvec![target],
            settled: SmallVec::from_slice(&settled),
        }
    }

    #[test]
    fn a_message_comes_back_with_its_placement() {
        let properties = Properties { delivery_mode: Some(2), ..Properties::default() };
        let message = Message::build("orders", "eu", &properties, b"body").unwrap();
        let hidden = Hidden { blind_keys: vec!["k".into(), "".into()], ..Hidden::default() };
        let names = message.names();
        let bytes = message.properties().as_bytes();
        let body = || MessageBody::Borrowed(b"body");
        let other = Message::with_hidden(names, bytes, body(), Some(Box::new(hidden))).unwrap();
        for (message, version) in [(&message, VERSION), (&other, VERSION_HIDDEN)] {
            let mut head = Vec::new();
            put_message(&mut head, message, &placement());
            assert_eq!(head[0], version);
            assert_eq!(Record::decode(kind::MESSAGE, &head), Ok(Record::Message(placement())));

            let mut bytes = Vec::new();
            put_content_head(&mut bytes, message);
            let same = read_content(&[bytes, content(message).concat()].concat()).unwrap();
            assert_eq!(same.names(), message.names());
            assert_eq!(same.body(), b"body");
            assert_eq!(same.hidden(), message.hidden());
            assert!(same.is_persistent());
        }
    }

    #[test]
    fn a_reference_comes_back_with_the_position() {
        let at = RecordPosition { segment: 1, offset: 2, size: 3 };
        let mut payload = Vec::new();
        put_reference(&mut payload, at, &placement());
        let read = Record::decode(kind::REFERENCE, &payload);
        assert_eq!(read, Ok(Record::Reference(at, placement())));
    }

    #[test]
    fn the_other_records_come_back() {
        let mut bytes = Vec::new();
        put_dropped(&mut bytes, QueueUid(1), 9, &[3, 5]);
        let Ok(Record::Dropped { queue, below, kept }) = Record::decode(kind::DROPPED, &bytes)
        else {
            panic!()
        };
        assert_eq!((queue, below, &kept[..]), (QueueUid(1), 9, &[3, 5][..]));

        bytes.clear();
        put_handed_out(&mut bytes, &[(QueueUid(1), 2, 3)]);
        let Ok(Record::HandedOut(marks)) = Record::decode(kind::HANDED_OUT, &bytes) else {
            panic!()
        };
        assert_eq!(marks, [(QueueUid(1), 2, 3)]);
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_or_read(
            kind in prop_oneof![0u8..8, 127u8..131],
            version in prop_oneof![VERSION..=VERSION_HIDDEN, any::<u8>()],
            bytes in prop::collection::vec(any::<u8>(), 0..120),
        ) {
            let _ = Record::decode(kind, &[&[version], &bytes[..]].concat());
            let _ = read_content(&bytes);
        }
    }
}
