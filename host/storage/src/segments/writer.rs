//! The segments as one thread has them. Every call is synchronous and its outcome depends on the
//! disk alone, so that a test can replay it by seed.
//!
//! ```text
//! 00000000000000000003.segment   header, batches, an end record
//! 00000000000000000003.index     what a start needs of it
//! 00000000000000000004.segment   header, batches: is being written
//! 00000000000000000005.segment   header: made ahead of its turn
//! ```

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::header::{self, FileRole, HEADER_SIZE};
use crate::record::{self, KIND_BATCH};
use crate::recover::OpenError;
use crate::salt::{Salts, TERMINATOR, batch_payload};
use crate::segments::handles::{name, removed_name};
use crate::segments::index::{self, IndexBuilder};
use crate::segments::recover::{self, Listeners, Plan, RecoveryProgress, SegmentRecovery};
use crate::segments::waiting::{Group, Unwritten, Waiting};
use crate::segments::{RecordPosition, Segment, SegmentInfo, SegmentLogOptions};
use crate::writer::{CommitError, create, reopen, write_and_sync};

/// The number of a log's first segment.
const NUMBER_FIRST: u32 = 1;

/// Bytes of a segment's file that space is taken for at once.
const ALLOCATED_AHEAD: u64 = if cfg!(test) { 300 } else { 4 * 1024 * 1024 };

/// Bytes that are cut at once off a file that goes.
const SHRUNK_AT_ONCE: u64 = if cfg!(test) { 1000 } else { 4 * 1024 * 1024 };

/// Files of removed segments that are kept to become later ones.
const SPARE_FILES_MAX: usize = 1;

/// A file that is not part of the log any more.
struct Leaving {
    name: String,
    file: Box<dyn DiskFile>,
    size: u64,
}

/// Writes the log's segments.
pub struct SegmentWriter {
    disk: Arc<dyn Disk>,
    options: SegmentLogOptions,
    /// Those that were there, and the one that is being written; for the start only.
    segments: Vec<Segment>,
    salts: Salts,
    file: Box<dyn DiskFile>,
    number: u32,
    /// The id of that segment.
    id: u64,
    /// Where the next group goes; all before it is synced.
    end: u64,
    /// Space was taken for the file's bytes before this one, as far as there was any.
    allocated: u64,
    /// What the segment's index will say.
    index: IndexBuilder,
    /// The next segment's file, made ahead.
    ahead: Option<Box<dyn DiskFile>>,
    /// Whether the folder may hold names that it would not after a crash.
    names_unsynced: bool,
    /// Files that are not part of the log any more, whole, to become later segments: a write to
    /// blocks that were written before changes nothing but bytes.
    spares: Vec<Leaving>,
    keeps_spares: bool,
    /// Files that are not part of the log any more, and go in pieces.
    leaving: VecDeque<Leaving>,
}

impl SegmentWriter {
    /// Reads every segment in order and hands each whole record to `replay`, with its kind and
    /// its head (all of it where the kind is not split); cuts what a crash left of the last
    /// batch. What is damaged is skipped and reported.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: SegmentLogOptions,
        replay: &mut dyn FnMut(RecordPosition, u8, &[u8]),
    ) -> Result<(Self, SegmentRecovery), OpenError> {
        Self::open_with_progress(disk, options, replay, &mut |_| {})
    }

    /// As [`SegmentWriter::open`]; `progress` is called at the beginning, when all that is still
    /// to be read is known, and then every few milliseconds.
    pub fn open_with_progress(
        disk: Arc<dyn Disk>,
        options: SegmentLogOptions,
        replay: &mut dyn FnMut(RecordPosition, u8, &[u8]),
        progress: &mut dyn FnMut(RecoveryProgress),
    ) -> Result<(Self, SegmentRecovery), OpenError> {
        let listeners = Listeners { replay, progress };
        let (recovery, plan) = recover::recover(&*disk, options, listeners)?;
        let next_number = match &plan.last {
            Some(last) if plan.may_append => Some(last.number as u32),
            Some(last) => (last.number as u32).checked_add(1),
            None => Some(plan.unused.last().copied().unwrap_or(NUMBER_FIRST)),
        };
        let number = next_number.ok_or_else(|| OpenError::Io {
            path: disk.path(&name(u32::MAX)),
            source: io::Error::other("no segment can come after this one"),
        })?;
        let io = |source| OpenError::Io { path: disk.path(&name(number)), source };
        let salts = Salts::new(disk.random().map_err(io)?);
        let going_on = plan.segments.last().filter(|_| plan.may_append);
        let id = going_on.map_or_else(|| salts.id(number), |segment| segment.id);
        let (file, end) = prepare(&*disk, &plan, id).map_err(io)?;
        let mut segments = plan.segments;
        let mut index = IndexBuilder::new(number, options.index_size_max);
        if plan.may_append {
            index = plan.last_index.unwrap_or(index);
        } else {
            // Its last batch was made durable only now.
            if let (Some(last), Some(last_index)) = (segments.last(), plan.last_index)
                && let Ok(file) = disk.open(&name(last.info.number))
            {
                // A cache: the next start reads the segment if this fails.
                let _ = last_index.write(&*disk, &*file, last.info.size);
            }
            segments.push(Segment { info: SegmentInfo { number, size: end }, id });
        }
        let writer = Self {
            disk,
            options,
            segments,
            salts,
            file,
            number,
            id,
            end,
            allocated: end,
            index,
            ahead: None,
            names_unsynced: false,
            spares: Vec::new(),
            keeps_spares: true,
            leaving: VecDeque::new(),
        };
        Ok((writer, recovery))
    }

    pub(super) fn disk(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }

    pub(super) fn options(&self) -> SegmentLogOptions {
        self.options
    }

    /// Where appends go on.
    pub(super) fn waiting(&self) -> Waiting {
        Waiting::new(&self.options, self.segments.clone(), self.salts)
    }

    /// Writes the group and syncs. When this answers, a crash can't take the group any more.
    /// After an error the same group is given again.
    pub(super) fn commit(&mut self, group: &Group) -> Result<(), CommitError> {
        if group.segment != self.number {
            self.go_on_in(group.segment)?;
        }
        let parts = group.parts();
        self.write(group.offset, &parts)?;
        let mut offset = group.offset;
        for part in parts {
            self.index.add_records(part, offset);
            offset += part.len() as u64;
        }
        Ok(())
    }

    /// Writes a part of a group that is to be synced later, so that the end of the process does not
    /// take it.
    pub(super) fn write_ahead(&mut self, unwritten: &Unwritten) -> Result<(), CommitError> {
        if unwritten.segment != self.number {
            self.go_on_in(unwritten.segment)?;
        }
        let parts = unwritten.parts();
        self.allocate(end_of(unwritten.offset, &parts) + TERMINATOR.len() as u64);
        let parts: Vec<&[u8]> = parts.into_iter().chain([&TERMINATOR[..]]).collect();
        self.file.write_parts_at(unwritten.offset, &parts).map_err(CommitError::of)
    }

    /// Writes what the last group added to the segment's index: whole parts of it, and all of it if
    /// the group has ended the segment.
    pub(super) fn write_index(&mut self) {
        self.index.write_parts(&*self.disk);
        if self.index.is_ended() {
            let none = IndexBuilder::new(self.number, self.options.index_size_max);
            let index = std::mem::replace(&mut self.index, none);
            // A cache: the next start reads the segment if this fails.
            let _ = index.write(&*self.disk, &*self.file, self.end);
            // Space that was taken and not used. The next start does it if this fails.
            let _ = self.file.set_size(self.end);
        }
    }

    /// Makes the next segment's file when the present one is half full. What goes wrong goes
    /// wrong again when the file is needed, and is told then.
    pub(super) fn make_ahead(&mut self) {
        let next = self
            .number
            .checked_add(1)
            .filter(|_| self.ahead.is_none() && self.end * 2 >= self.options.segment_size);
        if let Some(number) = next {
            self.ahead = self.make(number).ok();
        }
    }

    /// A file for the segment of that number, which is durable: a spare one, if there is any.
    fn make(&mut self, number: u32) -> io::Result<Box<dyn DiskFile>> {
        let id = self.salts.id(number);
        if let Some(spare) = self.spares.pop() {
            let header = header::encode(FileRole::Segment, id);
            let written = spare.file.write_parts_at(0, &[&header, &TERMINATOR]);
            if written.and_then(|()| spare.file.sync()).is_ok() {
                // From here on it may be the segment's file, whatever fails: the next try empties it. As
                // long as it has not its new name, a start takes it away, whatever it holds.
                self.disk.rename(&spare.name, &name(number))?;
                self.disk.sync()?;
                return Ok(spare.file);
            }
            self.leaving.push_back(spare);
        }
        create(&*self.disk, FileRole::Segment, id)
    }

    /// Takes a segment out of the log, durably: the next one goes only after it, so that a crash
    /// never leaves a hole. Its file has another name then, and is still to be shrunk away.
    pub(super) fn remove(&mut self, number: u32) -> io::Result<()> {
        if self.names_unsynced {
            self.disk.sync()?;
            self.names_unsynced = false;
        }
        index::remove(&*self.disk, number);
        let removed = removed_name(number);
        match self.disk.rename(&name(number), &removed) {
            // Renamed by an earlier call, whose sync failed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => outcome?,
        }
        self.names_unsynced = true;
        self.disk.sync()?;
        self.names_unsynced = false;
        // What can't be opened or shrunk goes at the next start.
        if let Ok(file) = self.disk.open(&removed)
            && let Ok(size) = file.size()
        {
            let is_kept = self.keeps_spares
                && self.spares.len() < SPARE_FILES_MAX
                && size <= self.options.segment_size;
            let removed = Leaving { name: removed, file, size };
            match is_kept {
                true => self.spares.push(removed),
                false => self.leaving.push_back(removed),
            }
        }
        Ok(())
    }

    /// Whether files are kept for later segments, where there are any. If not, those that are kept go.
    pub(super) fn keep_spares(&mut self, keeps: bool) {
        self.keeps_spares = keeps;
        if !keeps {
            self.give_up_spares();
        }
    }

    /// Has the files that are kept for later segments go too: the space is needed now.
    pub(super) fn give_up_spares(&mut self) {
        self.leaving.extend(self.spares.drain(..));
    }

    /// Whether there are files to be shrunk away.
    pub(super) fn is_shrinking(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Cuts a piece off a file that is not part of the log any more, or all of it: to give a large
    /// file back takes tens of milliseconds, for which no group should wait.
    pub(super) fn shrink(&mut self, all: bool) {
        let Some(leaving) = self.leaving.front_mut() else { return };
        leaving.size = if all { 0 } else { leaving.size.saturating_sub(SHRUNK_AT_ONCE) };
        let is_cut = leaving.size > 0 && leaving.file.set_size(leaving.size).is_ok();
        if !is_cut && let Some(leaving) = self.leaving.pop_front() {
            drop(leaving.file);
            // Best effort, and not synced: the next start does it if this fails.
            let _ = self.disk.remove(&leaving.name);
        }
    }

    /// Ends the log, when every group was committed: an empty batch says that all before it was synced, so that whatever is
    /// damaged there later is known to be damage.
    pub(super) fn close(&mut self) -> Result<(), CommitError> {
        if self.end == HEADER_SIZE as u64 {
            return Ok(());
        }
        let mut bytes = Vec::new();
        record::put(&mut bytes, self.id, self.end, KIND_BATCH, &batch_payload(self.id));
        self.write(self.end, &[&bytes])?;
        // Space that was taken and not used. The next start does it if this fails.
        let _ = self.file.set_size(self.end);
        Ok(())
    }

    fn go_on_in(&mut self, number: u32) -> Result<(), CommitError> {
        self.file = match self.ahead.take() {
            Some(file) => file,
            // An unused file of that name does no harm; the next try makes it anew.
            None => self.make(number).map_err(CommitError::of)?,
        };
        self.number = number;
        self.id = self.salts.id(number);
        self.end = HEADER_SIZE as u64;
        // What cannot be asked is taken for a new file.
        self.allocated = self.file.size().unwrap_or(self.end);
        self.index = IndexBuilder::new(number, self.options.index_size_max);
        Ok(())
    }

    fn write(&mut self, offset: u64, parts: &[&[u8]]) -> Result<(), CommitError> {
        let end = end_of(offset, parts);
        self.allocate(end + TERMINATOR.len() as u64);
        let parts: Vec<&[u8]> = parts.iter().copied().chain([&TERMINATOR[..]]).collect();
        write_and_sync(&*self.file, offset, &parts)?;
        self.end = end;
        Ok(())
    }

    /// Takes space for more than what is to be written, so that most syncs find the file's size and
    /// its blocks as they were: half of what a small sync costs.
    fn allocate(&mut self, end: u64) {
        if end > self.allocated {
            let ahead = (self.allocated + ALLOCATED_AHEAD).min(self.options.segment_size);
            self.allocated = ahead.max(end);
            // Without space, or where the file system can't, the write itself tells.
            let _ = self.file.allocate(self.allocated);
        }
    }
}

impl std::fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SegmentWriter({} at {})", self.disk.path(&name(self.number)).display(), self.end)
    }
}

/// Where what begins at `offset` ends.
fn end_of(offset: u64, parts: &[&[u8]]) -> u64 {
    offset + parts.iter().map(|part| part.len() as u64).sum::<u64>()
}

/// Makes the folder what it should be, and answers the file to go on in, and where.
fn prepare(disk: &dyn Disk, plan: &Plan, id: u64) -> io::Result<(Box<dyn DiskFile>, u64)> {
    for unused in &plan.unused {
        disk.remove(&name(*unused))?;
        index::remove(disk, *unused);
    }
    for stray in &plan.stray {
        disk.remove(stray)?;
    }
    // Also after an earlier life's failure between a change of names and the sync.
    disk.sync()?;
    if let Some(last) = &plan.last {
        // Made durable even if batches go on elsewhere: the next segment's being there says so.
        let file = reopen(disk, &name(last.number as u32), last)?;
        if plan.may_append {
            return Ok((file, last.end));
        }
    }
    Ok((create(disk, FileRole::Segment, id)?, HEADER_SIZE as u64))
}
