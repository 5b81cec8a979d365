//! What is wrong with a file of a log: the one rule for the start, for the check and for the
//! repair.

use std::ops::Range;

use crate::header::{FileRole, HEADER_SIZE};
use crate::record::{self, KIND_BATCH, KIND_MAX, KIND_REMOVED, KIND_SEGMENT_END, RECORD_OVERHEAD};
use crate::recover::BAD_HEADER;
use crate::scan::Scan;

/// Why a split record that is whole says nothing.
pub(crate) const HEAD_TOO_LONG: &str = "a record's head is longer than the record";
/// Why a segment is not whole, though every record is.
pub(crate) const NO_END: &str = "the end is missing";

/// Bytes that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) range: Range<usize>,
    pub(crate) reason: &'static str,
}

/// What is wrong with a file.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// What was once synced and can't be read, in order.
    pub(crate) flaws: Vec<Flaw>,
    /// Whether there is something behind `end` that a crash left of a batch.
    pub(crate) is_torn: bool,
    /// Where what counts ends.
    pub(crate) end: usize,
    /// Whether batches may go on in it.
    pub(crate) may_append: bool,
    /// How many records there are, those of the log itself not counted.
    pub(crate) records: u64,
}

/// Judges a file of batches by all of its bytes and their scan. Only the last one may have a torn
/// end, and only if its header says that it is ours.
pub(crate) fn judge(
    role: FileRole,
    scan: &Scan,
    bytes: &[u8],
    has_header: bool,
    is_last: bool,
) -> Verdict {
    let may_cut = is_last && has_header;
    let torn = scan.gaps.iter().find(|gap| may_cut && gap.from >= scan.synced_to);
    let end = torn.map_or(scan.end, |gap| gap.from);
    let mut flaws = Vec::new();
    if !has_header {
        flaws.push(Flaw { range: 0..bytes.len().min(HEADER_SIZE), reason: BAD_HEADER });
    }
    let gaps = scan.gaps.iter().filter(|gap| gap.from < end);
    flaws.extend(gaps.map(|gap| Flaw { range: gap.from..gap.to, reason: gap.reason }));
    // Behind an end record, too, something may be torn: the zeros, in a file that was used before.
    let last = scan.records(bytes).take_while(|record| record.offset < end).last();
    let is_ended = last
        .is_some_and(|last| last.kind == KIND_SEGMENT_END && last.offset + RECORD_OVERHEAD == end);
    let ends_in_gap = scan.gaps.last().is_some_and(|gap| gap.to == scan.end);
    if role == FileRole::Segment && !is_last && has_header && !is_ended && !ends_in_gap {
        flaws.push(Flaw { range: scan.end..scan.end, reason: NO_END });
    }
    let mut records = 0;
    for record in scan.records(bytes).take_while(|record| record.offset < end) {
        let range = record.offset..record.offset + RECORD_OVERHEAD + record.payload.len();
        match record.kind {
            KIND_BATCH | KIND_REMOVED => {}
            KIND_SEGMENT_END if role == FileRole::Segment => {}
            kind if kind > KIND_MAX => {
                flaws.push(Flaw {
                    range,
                    reason: "a record of a kind that such a file doesn't have",
                });
            }
            kind if record::split(kind, record.payload).is_none() => {
                flaws.push(Flaw { range, reason: HEAD_TOO_LONG });
            }
            _ => records += 1,
        }
    }
    flaws.sort_by_key(|flaw| flaw.range.start);
    Verdict { flaws, is_torn: torn.is_some(), end, may_append: may_cut && !is_ended, records }
}
