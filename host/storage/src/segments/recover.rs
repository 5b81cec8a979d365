//! What a folder of segments says, and what a crash left of it. Reads only; [`SegmentWriter`]
//! acts on the answer.
//!
//! A segment is begun only when all before it is synced. So only the last one that has records
//! may have a torn tail, behind its last batch record; a later one has no record yet, and is
//! made anew when its turn comes. Whatever else is wrong is damage.
//!
//! [`SegmentWriter`]: crate::SegmentWriter

use crate::disk::{Disk, DiskFile};
use crate::header::{self, FileRole, HEADER_SIZE};
use crate::record::{self, KIND_BATCH, KIND_MAX, KIND_SEGMENT_END, RECORD_OVERHEAD};
use crate::recover::{BAD_HEADER, CutTail, Damage, LastFile, MISSING, OpenError};
use crate::scan::Scan;
use crate::segments::handles::name;
use crate::segments::read::HEAD_TOO_LONG;
use crate::segments::waiting::SEGMENT_SIZE_MAX;
use crate::segments::{RecordPosition, SegmentInfo};

/// What was found when the log was opened.
#[derive(Debug, Default)]
pub struct SegmentRecovery {
    /// How many records were handed out.
    pub records: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// What was cut from the end: a batch that a crash interrupted, confirmed to nobody.
    pub cut_tail: Option<CutTail>,
    /// What could not be read though it had been synced once.
    pub damaged: Vec<Damage>,
}

/// What is to be done before the log can be appended to.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The segments that hold records.
    pub(super) segments: Vec<SegmentInfo>,
    /// The last of them.
    pub(super) last: Option<LastFile>,
    /// Whether batches may go on in it.
    pub(super) may_append: bool,
    /// Files that were made for later segments.
    pub(super) unused: Vec<u32>,
}

/// Hands out what every takes.
pub(super) type Replay<'a> = &'a mut dyn FnMut(RecordPosition, u8, &[u8]);

/// Reads the folder.
pub(super) fn recover(
    disk: &dyn Disk,
    replay: Replay<'_>,
) -> Result<(SegmentRecovery, Plan), OpenError> {
    let mut reader = Reader { disk, replay, recovery: SegmentRecovery::default(), bytes: vec![] };
    let mut plan = Plan::default();
    let mut numbers = reader.numbers()?;
    while let Some(last) = numbers.last().copied() {
        if reader.has_content(last)? {
            break;
        }
        plan.unused.push(last);
        numbers.pop();
    }
    let mut expected = None;
    for number in &numbers {
        if expected.is_some_and(|expected| expected < *number) {
            // Told once, however many are missing: the numbers are only names of files.
            reader.damage(expected.unwrap_or_default(), 0, 0, MISSING);
        }
        expected = number.checked_add(1);
        reader.read_segment(*number, Some(number) == numbers.last(), &mut plan)?;
    }
    reader.recovery.bytes = plan.segments.iter().map(|info| info.size).sum();
    Ok((reader.recovery, plan))
}

struct Reader<'a> {
    disk: &'a dyn Disk,
    replay: Replay<'a>,
    recovery: SegmentRecovery,
    /// The segment that was read last.
    bytes: Vec<u8>,
}

impl Reader<'_> {
    /// The numbers of the segments, in order.
    fn numbers(&mut self) -> Result<Vec<u32>, OpenError> {
        let folder = self.disk.path("");
        let names = self.disk.list().map_err(|source| OpenError::Io { path: folder, source })?;
        let mut numbers = Vec::new();
        for number in names.iter().filter_map(|name| FileRole::Segment.number(name)) {
            match u32::try_from(number) {
                Ok(number) => numbers.push(number),
                Err(_) => self.recovery.damaged.push(Damage {
                    path: self.disk.path(&FileRole::Segment.file_name(number)),
                    offset: 0,
                    size: 0,
                    reason: "no segment has such a number",
                }),
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Whether there is anything in the segment that must not be made anew.
    fn has_content(&mut self, number: u32) -> Result<bool, OpenError> {
        let has_header = self.load(number)?;
        let scan = Scan::of(&self.bytes, u64::from(number));
        if scan.has_records || (!has_header && self.bytes.len() > HEADER_SIZE) {
            return Ok(true);
        }
        // Nothing, or what a crash left of the first batch.
        if scan.end > HEADER_SIZE {
            let (path, size) = (self.disk.path(&name(number)), (scan.end - HEADER_SIZE) as u64);
            self.recovery.cut_tail = Some(CutTail { path, offset: HEADER_SIZE as u64, size });
        }
        Ok(false)
    }

    fn read_segment(
        &mut self,
        number: u32,
        is_last: bool,
        plan: &mut Plan,
    ) -> Result<(), OpenError> {
        let has_header = self.load(number)?;
        if !has_header {
            self.damage(number, 0, self.bytes.len().min(HEADER_SIZE), BAD_HEADER);
        }
        let scan = Scan::of(&self.bytes, u64::from(number));
        // Batches go on in a file only if it is whole at its start, so that it can be named later.
        let may_cut = is_last && has_header;
        let torn = scan.gaps.iter().find(|gap| may_cut && gap.from >= scan.synced_to);
        let end = torn.map_or(scan.end, |gap| gap.from);
        for gap in scan.gaps.iter().filter(|gap| gap.from < end) {
            self.damage(number, gap.from, gap.to - gap.from, gap.reason);
        }
        if torn.is_some() {
            let size = (self.bytes.len() - end) as u64;
            let (path, offset) = (self.disk.path(&name(number)), end as u64);
            self.recovery.cut_tail = Some(CutTail { path, offset, size });
        }
        let is_ended = torn.is_none() && scan.last_kind == Some(KIND_SEGMENT_END);
        let ends_in_gap = scan.gaps.last().is_some_and(|gap| gap.to == scan.end);
        if !is_last && has_header && !is_ended && !ends_in_gap {
            self.damage(number, scan.end, 0, "the end is missing");
        }
        self.hand_out(number, &scan, end);
        let size = if may_cut { end } else { self.bytes.len() } as u64;
        plan.segments.push(SegmentInfo { number, size });
        if is_last {
            let synced_to = scan.synced_to as u64;
            plan.last = Some(LastFile { number: u64::from(number), synced_to, end: size });
            plan.may_append = has_header && !is_ended;
        }
        Ok(())
    }

    fn hand_out(&mut self, number: u32, scan: &Scan, end: usize) {
        for record in scan.records(&self.bytes).take_while(|record| record.offset < end) {
            let size = RECORD_OVERHEAD + record.payload.len();
            let mut damage = |reason| {
                self.recovery.damaged.push(Damage {
                    path: self.disk.path(&name(number)),
                    offset: record.offset as u64,
                    size: size as u64,
                    reason,
                });
            };
            match record.kind {
                KIND_BATCH | KIND_SEGMENT_END => {}
                kind if kind <= KIND_MAX => match record::split(kind, record.payload) {
                    Some((head, _)) => {
                        let (offset, size) = (record.offset as u32, size as u32);
                        let at = RecordPosition { segment: number, offset, size };
                        (self.replay)(at, kind, head);
                        self.recovery.records += 1;
                    }
                    None => damage(HEAD_TOO_LONG),
                },
                _ => damage("a record of a kind that segments don't have"),
            }
        }
    }

    /// Reads the file, and answers whether it starts with its header.
    fn load(&mut self, number: u32) -> Result<bool, OpenError> {
        let path = self.disk.path(&name(number));
        let io = |source| OpenError::Io { path: path.clone(), source };
        let file = self.disk.open(&name(number)).map_err(io)?;
        let size = file.size().map_err(io)?;
        if size > SEGMENT_SIZE_MAX {
            self.damage(
                number,
                SEGMENT_SIZE_MAX as usize,
                (size - SEGMENT_SIZE_MAX) as usize,
                "the file is larger than a segment can be",
            );
        }
        read_into(&*file, size.min(SEGMENT_SIZE_MAX) as usize, &mut self.bytes).map_err(io)?;
        header::check(FileRole::Segment, u64::from(number), &self.bytes, || path.clone())
    }

    fn damage(&mut self, number: u32, offset: usize, size: usize, reason: &'static str) {
        let (path, offset, size) = (self.disk.path(&name(number)), offset as u64, size as u64);
        self.recovery.damaged.push(Damage { path, offset, size, reason });
    }
}

/// Reads as much of the file, in place of what the buffer held.
fn read_into(file: &dyn DiskFile, size: usize, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    bytes.resize(size, 0);
    let read = file.read_at(0, bytes)?;
    bytes.truncate(read);
    Ok(())
}
