//! What a folder of segments says, and what a crash left of it. [`SegmentWriter`] acts on the
//! answer; here, nothing is written but indexes, and nothing cut but unused space.
//!
//! A segment is begun only when all before it is synced. So only the last one that has records
//! may have a torn tail, behind its last batch record; a later one has no record yet, and is
//! made anew when its turn comes. Whatever else is wrong is damage.
//!
//! The last one is always read in full, and so is any other without a good index; the others'
//! records are handed out from their indexes.
//!
//! [`SegmentWriter`]: crate::SegmentWriter

use std::ops::Range;

use crate::check::is_unfinished;
use crate::disk::{Disk, DiskFile};
use crate::header::{self, FileRole, HEADER_SIZE};
use crate::record::{self, Found, KIND_MAX, RECORD_OVERHEAD};
use crate::recover::{CutTail, Damage, LastFile, MISSING, OpenError};
use crate::salt;
use crate::scan::Scan;
use crate::segments::handles::{is_removed, name};
use crate::segments::index::{self, IndexBuilder, IndexDamaged, IndexReader};
use crate::segments::waiting::SEGMENT_SIZE_MAX;
use crate::segments::{RecordPosition, Segment, SegmentInfo, SegmentLogOptions};
use crate::verdict::judge;

/// What was found when the log was opened.
#[derive(Debug, Default)]
pub struct SegmentRecovery {
    /// How many records were handed out.
    pub records: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// How many segments were not read, since their indexes were good.
    pub segments_by_index: u32,
    /// What was cut from the end: a batch that a crash interrupted, confirmed to nobody.
    pub cut_tail: Option<CutTail>,
    /// What could not be read though it had been synced once. A segment with an index is not
    /// looked at: its damage is told when it is read.
    pub damaged: Vec<Damage>,
}

/// How far the opening of a log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoveryProgress {
    /// Records handed out so far.
    pub records: u64,
    /// Bytes of the segments that these are from.
    pub bytes: u64,
    /// Bytes of all segments, known from the beginning.
    pub bytes_total: u64,
}

/// What is to be done before the log can be appended to.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The segments that hold records.
    pub(super) segments: Vec<Segment>,
    /// The last of them.
    pub(super) last: Option<LastFile>,
    /// What the index of that one begins with.
    pub(super) last_index: Option<IndexBuilder>,
    /// Whether batches may go on in it.
    pub(super) may_append: bool,
    /// Files that were made for later segments.
    pub(super) unused: Vec<u32>,
    /// Files that nobody needs: indexes without their segment, interrupted replacements, segments
    /// that were being taken away.
    pub(super) stray: Vec<String>,
}

/// Who hears of it.
pub(super) struct Listeners<'a> {
    /// Takes every record's position, kind and head.
    pub(super) replay: &'a mut dyn FnMut(RecordPosition, u8, &[u8]),
    /// Hears how far it is, at the beginning and then every few milliseconds.
    pub(super) progress: &'a mut dyn FnMut(RecoveryProgress),
}

/// Records handed out between two calls of a listener.
const RECORDS_BETWEEN_PROGRESS: u64 = 16 * 1024;
/// Bytes of a segment that tell in most cases whether there is any record in it.
const PEEK_SIZE: u64 = 64 * 1024;

/// Reads the folder.
pub(super) fn recover<'a>(
    disk: &'a dyn Disk,
    options: SegmentLogOptions,
    listeners: Listeners<'a>,
) -> Result<(SegmentRecovery, Plan), OpenError> {
    let mut reader = Reader {
        disk,
        options,
        listeners,
        recovery: SegmentRecovery::default(),
        progress: RecoveryProgress::default(),
        bytes: vec![],
    };
    let mut plan = Plan::default();
    let mut files = reader.files(&mut plan)?;
    while let Some(last) = files.last().copied() {
        if reader.has_content(last)? {
            break;
        }
        plan.unused.push(last.number);
        files.pop();
    }
    reader.progress.bytes_total = files.iter().map(|info| info.size).sum();
    (reader.listeners.progress)(reader.progress);
    let mut expected = None;
    let mut before = 0;
    for file in &files {
        if expected.is_some_and(|expected| expected < file.number) {
            // Told once, however many are missing: the numbers are only names of files.
            reader.damage(expected.unwrap_or_default(), 0, 0, MISSING);
        }
        expected = file.number.checked_add(1);
        reader.read_segment(*file, Some(file) == files.last(), &mut plan)?;
        before += file.size;
        reader.progress.bytes = before;
        (reader.listeners.progress)(reader.progress);
    }
    reader.recovery.records = reader.progress.records;
    reader.recovery.bytes = plan.segments.iter().map(|segment| segment.info.size).sum();
    Ok((reader.recovery, plan))
}

/// A segment's file as it was found.
#[derive(Clone, Copy, PartialEq, Eq)]
struct SegmentFile {
    number: u32,
    size: u64,
    /// What the header says; None for one that is damaged or missing.
    id: Option<u64>,
}

struct Reader<'a> {
    disk: &'a dyn Disk,
    options: SegmentLogOptions,
    listeners: Listeners<'a>,
    recovery: SegmentRecovery,
    progress: RecoveryProgress,
    /// The segment that was read last.
    bytes: Vec<u8>,
}

impl Reader<'_> {
    /// The segments in order, none of which is of another version.
    fn files(&mut self, plan: &mut Plan) -> Result<Vec<SegmentFile>, OpenError> {
        let folder = self.disk.path("");
        let names = self.disk.list().map_err(|source| OpenError::Io { path: folder, source })?;
        let mut files = Vec::new();
        for number in names.iter().filter_map(|name| FileRole::Segment.number(name)) {
            match u32::try_from(number) {
                Ok(number) => files.push(self.file(number)?),
                Err(_) => self.recovery.damaged.push(Damage {
                    path: self.disk.path(&FileRole::Segment.file_name(number)),
                    offset: 0,
                    size: 0,
                    reason: "no segment has such a number",
                }),
            }
        }
        files.sort_unstable_by_key(|file| file.number);
        let has_segment = |number: &u32| {
            files.binary_search_by_key(number, |file: &SegmentFile| file.number).is_ok()
        };
        let is_stray = |name: &&String| {
            index::segment_of(name).is_some_and(|number| !has_segment(&number))
                || is_unfinished(name)
                || is_removed(name)
        };
        plan.stray = names.iter().filter(is_stray).cloned().collect();
        Ok(files)
    }

    fn file(&self, number: u32) -> Result<SegmentFile, OpenError> {
        let path = self.disk.path(&name(number));
        let io = |source| OpenError::Io { path: path.clone(), source };
        let file = self.disk.open(&name(number)).map_err(io)?;
        let size = file.size().map_err(io)?;
        let mut first = [0; HEADER_SIZE];
        let read = file.read_at(0, &mut first).map_err(io)?;
        let first = &first[..read];
        let id = header::check(FileRole::Segment, u64::from(number), first, || path.clone())?;
        Ok(SegmentFile { number, size, id })
    }

    /// The id of a segment whose bytes were loaded, whatever its header says.
    fn id(&self, file: SegmentFile) -> u64 {
        file.id.unwrap_or_else(|| salt::find_id(&self.bytes, u64::from(file.number)))
    }

    /// Whether there is anything in the segment that must not be made anew.
    fn has_content(&mut self, file: SegmentFile) -> Result<bool, OpenError> {
        self.load(file.number, PEEK_SIZE)?;
        if let Some(id) = file.id
            && let Found::Record { .. } = record::read(&self.bytes, id, HEADER_SIZE)
        {
            return Ok(true);
        }
        self.load(file.number, u64::MAX)?;
        let scan = Scan::of(&self.bytes, self.id(file));
        if scan.has_records || (file.id.is_none() && salt::may_hold_records(&self.bytes)) {
            return Ok(true);
        }
        // Nothing, or what a crash left of the first batch.
        if scan.end > HEADER_SIZE {
            let path = self.disk.path(&name(file.number));
            let size = (scan.end - HEADER_SIZE) as u64;
            self.recovery.cut_tail = Some(CutTail { path, offset: HEADER_SIZE as u64, size });
        }
        Ok(false)
    }

    fn read_segment(
        &mut self,
        file: SegmentFile,
        is_last: bool,
        plan: &mut Plan,
    ) -> Result<(), OpenError> {
        let number = file.number;
        // A torn tail may look like an end to an index that was written with it.
        let may_use_index = !is_last && file.id.is_some();
        let (whole, from) = if may_use_index { self.read_index(file)? } else { (false, 0) };
        if let (true, Some(id)) = (whole, file.id) {
            self.recovery.segments_by_index += 1;
            let info = SegmentInfo { number, size: file.size };
            plan.segments.push(Segment { info, id });
            return Ok(());
        }
        if file.size > SEGMENT_SIZE_MAX {
            self.damage(
                number,
                SEGMENT_SIZE_MAX as usize,
                (file.size - SEGMENT_SIZE_MAX) as usize,
                "the file is larger than a segment can be",
            );
        }
        self.load(number, u64::MAX)?;
        let id = self.id(file);
        let scan = Scan::of_file(&self.bytes, id, is_last);
        // Batches go on in a file only if it is whole at its start, so that it can be named later.
        let verdict = judge(FileRole::Segment, &scan, &self.bytes, file.id.is_some(), is_last);
        for flaw in &verdict.flaws {
            self.damage(number, flaw.range.start, flaw.range.len(), flaw.reason);
        }
        let end = verdict.end;
        if verdict.is_torn {
            let size = (self.bytes.len() - end) as u64;
            let (path, offset) = (self.disk.path(&name(number)), end as u64);
            self.recovery.cut_tail = Some(CutTail { path, offset, size });
        }
        let mut index = IndexBuilder::new(number, self.options.index_size_max);
        self.hand_out(number, &scan, from..end, &mut index);
        if !verdict.flaws.is_empty() || file.size > SEGMENT_SIZE_MAX {
            index.give_up();
        }
        let may_cut = is_last || verdict.flaws.is_empty();
        let size = if may_cut && file.id.is_some() { end } else { self.bytes.len() } as u64;
        plan.segments.push(Segment { info: SegmentInfo { number, size }, id });
        if is_last {
            let synced_to = scan.synced_to as u64;
            plan.last = Some(LastFile { number: u64::from(number), synced_to, end: size });
            plan.may_append = verdict.may_append;
            plan.last_index = Some(index);
        } else if let Ok(file) = self.disk.open(&name(number)) {
            // Space that was taken and not used, if there is any. The next start does it if this
            // fails.
            if size < self.bytes.len() as u64 {
                let _ = file.set_size(size);
            }
            // A cache: the next start reads the segment once more if this fails.
            let _ = index.write(self.disk, &*file, size);
        }
        Ok(())
    }

    /// Hands out what the segment's index says; answers whether that is all, and the offset from
    /// which on nothing was handed out.
    fn read_index(&mut self, file: SegmentFile) -> Result<(bool, usize), OpenError> {
        let path = self.disk.path(&name(file.number));
        let segment = self.disk.open(&name(file.number));
        let segment = segment.map_err(|source| OpenError::Io { path, source })?;
        let Some(mut reader) = IndexReader::open(self.disk, file.number, &*segment, file.size)
        else {
            return Ok((false, 0));
        };
        let (replay, progress) = (&mut self.listeners.replay, &mut self.progress);
        let before = progress.bytes;
        loop {
            let part = reader.next_part(&mut |entry| {
                let (offset, size) = (entry.offset, entry.size);
                replay(
                    RecordPosition { segment: file.number, offset, size },
                    entry.kind,
                    entry.head,
                );
                progress.records += 1;
            });
            progress.bytes = before + reader.reached();
            (self.listeners.progress)(*progress);
            match part {
                Ok(true) => {}
                Ok(false) => return Ok((true, 0)),
                Err(IndexDamaged) => return Ok((false, reader.reached() as usize)),
            }
        }
    }

    fn hand_out(
        &mut self,
        number: u32,
        scan: &Scan,
        range: Range<usize>,
        index: &mut IndexBuilder,
    ) {
        let before = self.progress.bytes;
        for record in scan.records(&self.bytes).take_while(|record| record.offset < range.end) {
            let size = RECORD_OVERHEAD + record.payload.len();
            index.add_record(record.offset as u32, record.kind, record.payload);
            // Those of the log itself, and those that are damaged, say nothing.
            let parts = record::split(record.kind, record.payload);
            let head = parts.filter(|_| record.kind <= KIND_MAX).map(|(head, _)| head);
            if let Some(head) = head.filter(|_| record.offset >= range.start) {
                let (offset, size) = (record.offset as u32, size as u32);
                let at = RecordPosition { segment: number, offset, size };
                (self.listeners.replay)(at, record.kind, head);
                self.progress.records += 1;
                if self.progress.records.is_multiple_of(RECORDS_BETWEEN_PROGRESS) {
                    self.progress.bytes = before + record.offset as u64;
                    (self.listeners.progress)(self.progress);
                }
            }
        }
    }

    /// Reads at most so much of the file.
    fn load(&mut self, number: u32, size_max: u64) -> Result<(), OpenError> {
        let path = self.disk.path(&name(number));
        let io = |source| OpenError::Io { path: path.clone(), source };
        let file = self.disk.open(&name(number)).map_err(io)?;
        let size = file.size().map_err(io)?.min(SEGMENT_SIZE_MAX).min(size_max);
        read_into(&*file, size as usize, &mut self.bytes).map_err(io)
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
