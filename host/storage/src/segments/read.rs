//! Records that are read back, and how many of them one read takes.

use std::ops::Range;
use std::path::PathBuf;

use crate::record::{self, Found, KIND_MAX, RECORD_OVERHEAD};
use crate::segments::waiting::Source;
use crate::segments::{ReadError, RecordPosition};
use crate::verdict::HEAD_TOO_LONG;

/// Most bytes that one read of several records takes.
pub(super) const RUN_SIZE_MAX: u64 = 1024 * 1024;

/// A record of the log, borrowed from wherever it was read to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordRef<'a> {
    /// Its kind, at most [`KIND_MAX`](crate::KIND_MAX).
    pub kind: u8,
    /// What a start hands out: the head of a split record, all of any other.
    pub head: &'a [u8],
    /// The body of a split record; empty for any other.
    pub body: &'a [u8],
}

/// A record of the log, read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedRecord {
    /// The record as it stands on disk.
    bytes: Vec<u8>,
    kind: u8,
    head: Range<usize>,
}

impl OwnedRecord {
    /// Its kind, at most [`KIND_MAX`](crate::KIND_MAX).
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// What a start hands out: the head of a split record, all of any other.
    pub fn head(&self) -> &[u8] {
        &self.bytes[self.head.clone()]
    }

    /// The body of a split record; empty for any other.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.head.end..]
    }

    /// The same, borrowed.
    pub fn as_record_ref(&self) -> RecordRef<'_> {
        RecordRef { kind: self.kind, head: self.head(), body: self.body() }
    }

    /// The record that was verified to be all of these bytes.
    pub(super) fn verified(
        at: RecordPosition,
        id: u64,
        bytes: Vec<u8>,
        path: impl FnOnce() -> PathBuf,
    ) -> Result<Self, ReadError> {
        let RecordRef { kind, head, body } = verify(at, id, &bytes, path)?;
        let end = bytes.len() - body.len();
        let head = end - head.len()..end;
        Ok(Self { bytes, kind, head })
    }
}

/// The record, if the bytes that stand at its place, in the segment with that id, begin with it and
/// are as many. `path` is asked for a message to people.
pub(super) fn verify(
    at: RecordPosition,
    id: u64,
    bytes: &[u8],
    path: impl FnOnce() -> PathBuf,
) -> Result<RecordRef<'_>, ReadError> {
    let reason = match record::read_rest(bytes, id, at.offset as usize) {
        Found::Record { payload, .. } if RECORD_OVERHEAD + payload.len() != at.size as usize => {
            "the record there has another size"
        }
        Found::Record { kind, .. } if kind > KIND_MAX => "the record there is the log's own",
        Found::Record { kind, payload, .. } => match record::split(kind, payload) {
            Some((head, body)) => return Ok(RecordRef { kind, head, body }),
            None => HEAD_TOO_LONG,
        },
        Found::NotWritten => "nothing was written there",
        Found::Damaged(reason) => reason,
    };
    Err(ReadError::Damaged { path: path(), offset: u64::from(at.offset), reason })
}

/// How many of the first records one read takes, and the bytes of their segment that it reads:
/// neighbours that follow one another in one segment's file, as long as half of the bytes are
/// theirs. At least the first record, whatever its size.
pub(super) fn run(positions: &[RecordPosition], sources: &[Source]) -> (usize, Range<u64>) {
    let Some(first) = positions.first() else { return (0, 0..0) };
    let mut range = bytes_of(first);
    let mut wanted = u64::from(first.size);
    let mut count = 1;
    for (at, source) in positions.iter().zip(sources).skip(1) {
        let next = bytes_of(at);
        let whole = range.start..next.end;
        wanted += u64::from(at.size);
        let follows = at.segment == first.segment
            && next.start >= range.end
            && matches!(source, Source::Disk(_));
        let size = whole.end.saturating_sub(whole.start);
        if !follows || size > RUN_SIZE_MAX || size > 2 * wanted {
            break;
        }
        range = whole;
        count += 1;
    }
    (count, range)
}

fn bytes_of(at: &RecordPosition) -> Range<u64> {
    let start = u64::from(at.offset);
    start..start + u64::from(at.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(places: &[(u32, u32, u32)], count: usize, range: Range<u64>) {
        let position = |&(segment, offset, size)| RecordPosition { segment, offset, size };
        let positions: Vec<_> = places.iter().map(position).collect();
        let sources: Vec<_> = places.iter().map(|_| Source::Disk(1)).collect();
        assert_eq!(run(&positions, &sources), (count, range));
    }

    #[test]
    fn one_read_takes_neighbours() {
        check(&[], 0, 0..0);
        check(&[(1, 100, 10)], 1, 100..110);
        check(&[(1, 100, 10), (1, 110, 10), (1, 125, 10)], 3, 100..135);
        // Another segment, backwards, twice the same.
        check(&[(1, 100, 10), (2, 110, 10)], 1, 100..110);
        check(&[(1, 100, 10), (1, 90, 10)], 1, 100..110);
        check(&[(1, 100, 10), (1, 100, 10)], 1, 100..110);
    }

    #[test]
    fn half_of_what_is_read_is_wanted() {
        check(&[(1, 100, 10), (1, 130, 10)], 2, 100..140);
        check(&[(1, 100, 10), (1, 131, 10)], 1, 100..110);
    }

    #[test]
    fn a_read_is_bounded_but_for_a_large_record() {
        let half = RUN_SIZE_MAX as u32 / 2;
        check(&[(1, 0, half), (1, half, half), (1, 2 * half, 1)], 2, 0..RUN_SIZE_MAX);
        check(&[(1, 0, 4 * half), (1, 4 * half, 1)], 1, 0..2 * RUN_SIZE_MAX);
    }

    #[test]
    fn what_waits_in_memory_is_not_read() {
        let positions = [100, 110].map(|offset| RecordPosition { segment: 1, offset, size: 10 });
        assert_eq!(run(&positions, &[Source::Disk(1), Source::Gone]).0, 1);
    }
}
