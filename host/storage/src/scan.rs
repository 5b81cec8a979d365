//! A file of the log, as far as it makes sense: whole records, and gaps between them.

use crate::header::HEADER_SIZE;
use crate::record::{self, Found, KIND_BATCH, KIND_SEGMENT_END};
use crate::salt;

/// What a file's bytes are.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) gaps: Vec<Gap>,
    /// All before this offset was synced once.
    pub(crate) synced_to: usize,
    /// Behind the last record or gap; zeros follow, if anything, and in a segment perhaps what the
    /// file held before.
    pub(crate) end: usize,
    /// Whether there is any whole record.
    pub(crate) has_records: bool,
    /// The kind of what stands last, if that is a whole record.
    pub(crate) last_kind: Option<u8>,
}

/// A whole record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScannedRecord<'a> {
    pub(crate) offset: usize,
    pub(crate) kind: u8,
    pub(crate) payload: &'a [u8],
}

/// Bytes that are no record.
#[derive(Debug)]
pub(crate) struct Gap {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) reason: &'static str,
}

impl Scan {
    /// Verifies all that follows the header of the file with that id.
    pub(crate) fn of(bytes: &[u8], id: u64) -> Self {
        Self::of_file(bytes, id, true)
    }

    /// As [`Scan::of`]. A segment that another one follows ends behind an end record only.
    pub(crate) fn of_file(bytes: &[u8], id: u64, is_last: bool) -> Self {
        let mut scan = Self {
            gaps: Vec::new(),
            synced_to: 0,
            end: HEADER_SIZE,
            has_records: false,
            last_kind: None,
        };
        loop {
            let offset = scan.end;
            match record::read(bytes, id, offset) {
                Found::Record { kind, next, .. } => {
                    if kind == KIND_BATCH {
                        scan.synced_to = offset;
                    }
                    scan.has_records = true;
                    scan.last_kind = Some(kind);
                    scan.end = next;
                }
                Found::NotWritten => return scan,
                Found::Damaged(_)
                    if (is_last || scan.last_kind == Some(KIND_SEGMENT_END))
                        && salt::ends_at(bytes, id, offset) =>
                {
                    return scan;
                }
                Found::Damaged(reason) => {
                    let to = record::find_next(bytes, id, offset).unwrap_or(bytes.len());
                    scan.gaps.push(Gap { from: offset, to, reason });
                    scan.last_kind = None;
                    scan.end = to;
                }
            }
        }
    }

    /// The whole records of the same bytes, not verified again.
    pub(crate) fn records<'a>(
        &'a self,
        bytes: &'a [u8],
    ) -> impl Iterator<Item = ScannedRecord<'a>> {
        let mut gaps = self.gaps.iter().peekable();
        let mut offset = HEADER_SIZE;
        std::iter::from_fn(move || {
            // A gap ends where a whole record or the file's end is: never in another gap.
            if let Some(gap) = gaps.next_if(|gap| gap.from == offset) {
                offset = gap.to;
            }
            if offset >= self.end {
                return None;
            }
            let (kind, payload, next) = record::reread(bytes, offset)?;
            let record = ScannedRecord { offset, kind, payload };
            offset = next;
            Some(record)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::put;

    fn file() -> Vec<u8> {
        let mut bytes = vec![0; HEADER_SIZE];
        for (kind, payload) in [(KIND_BATCH, &b""[..]), (1, b"one"), (2, b"two"), (3, b"three")] {
            let offset = bytes.len() as u64;
            put(&mut bytes, 7, offset, kind, payload);
        }
        bytes
    }

    #[track_caller]
    fn check(bytes: &[u8], kinds: &[u8], gaps: &[(usize, usize)]) {
        let scan = Scan::of(bytes, 7);
        assert!(scan.records(bytes).map(|record| record.kind).eq(kinds.iter().copied()));
        let found: Vec<_> = scan.gaps.iter().map(|gap| (gap.from, gap.to)).collect();
        assert_eq!(found, gaps);
    }

    #[test]
    fn records_are_listed_and_gaps_skipped() {
        let mut bytes = file();
        let (one, two, three) = (HEADER_SIZE + 9, HEADER_SIZE + 21, HEADER_SIZE + 33);
        check(&bytes, &[KIND_BATCH, 1, 2, 3], &[]);
        bytes[one + 10] ^= 1;
        check(&bytes, &[KIND_BATCH, 2, 3], &[(one, two)]);
        bytes[three + 10] ^= 1;
        check(&bytes, &[KIND_BATCH, 2], &[(one, two), (three, bytes.len())]);
        assert_eq!(Scan::of(&bytes, 7).last_kind, None);
    }

    #[test]
    fn zeros_end_a_file() {
        let mut bytes = file();
        let end = bytes.len();
        bytes.resize(end + 100, 0);
        let scan = Scan::of(&bytes, 7);
        assert_eq!((scan.end, scan.synced_to, scan.last_kind), (end, HEADER_SIZE, Some(3)));
        check(&[], &[], &[]);
    }
}
