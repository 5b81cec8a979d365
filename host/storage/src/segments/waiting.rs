//! What was appended and is not on disk yet: where it will stand, and in which groups it goes
//! there. A pure state; the log keeps it under its lock.
//!
//! A group is what one write and one sync are for. Its first record is a batch record, so the
//! group begins when the one before it has been closed, and positions are final at once: a
//! group that could not be written is written again, the same bytes to the same place.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::batch::{AppendError, Batch};
use crate::header::HEADER_SIZE;
use crate::log::Position;
use crate::record::{self, KIND_BATCH, KIND_SEGMENT_END, RECORD_OVERHEAD};
use crate::salt::{self, BATCH_RECORD_SIZE, Salts};
use crate::segments::spares::{CHUNK_SIZE, Spares};
use crate::segments::{RecordPosition, Segment, SegmentInfo, SegmentLogOptions};

/// Largest size of a file, since a position's offset has 32 bits.
pub(super) const SEGMENT_SIZE_MAX: u64 = u32::MAX as u64;
/// A batch up to this size is copied next to others; a larger one comes with its buffer.
const COPY_SIZE_MAX: usize = 16 * 1024;
const _: () = assert!(COPY_SIZE_MAX <= CHUNK_SIZE);
/// Bytes that nobody waits for, above which they are written all the same.
const UNWANTED_SIZE_MAX: u64 = 64 * 1024;
/// What the log itself may add to a batch in a segment of its own.
const OVERHEAD_MAX: u64 = (HEADER_SIZE + 4 * BATCH_RECORD_SIZE) as u64;

/// What waits, and the list of segments.
#[derive(Debug)]
pub(super) struct Waiting {
    segment_size: u64,
    batch_bytes_max: usize,
    /// From oldest to newest; appends go to the last, at its size.
    segments: VecDeque<Segment>,
    salts: Salts,
    /// How many records were appended, and how many of them are on disk.
    appended: Position,
    durable: Position,
    /// Groups that nothing is added to any more; the thread writes the first.
    sealed: VecDeque<Arc<Group>>,
    /// What is being collected.
    open: Option<Group>,
    /// Whether somebody waits for what is being collected. If not, it is written, and synced with
    /// what comes next.
    open_is_wanted: bool,
    /// Bytes of what is being collected that are written already.
    open_written: u64,
    /// Bytes of all these groups.
    unsynced: u64,
    /// Segments to be taken away, each as soon as so much is durable.
    removals: VecDeque<Removal>,
}

/// Bytes that one write and one sync are for; all of one segment.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) segment: u32,
    pub(super) offset: u64,
    pub(super) size: u64,
    /// The last record in it or before it.
    pub(super) last: Position,
    chunks: Vec<Chunk>,
}

#[derive(Debug)]
struct Chunk {
    offset: u64,
    /// Shared with those who read from it; added to while nobody does.
    bytes: Arc<Vec<u8>>,
}

/// A part of a group, to be written without a sync.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) segment: u32,
    pub(super) offset: u64,
    /// Each with the index where it begins.
    parts: Vec<(Arc<Vec<u8>>, usize)>,
}

#[derive(Debug)]
struct Removal {
    after: Position,
    through: u32,
}

/// Where a batch was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) segment: u32,
    pub(super) offset: u32,
    /// What durability of the batch will be told as.
    pub(super) position: Position,
}

/// Where a record is to be read from.
#[derive(Debug)]
pub(super) enum Source {
    /// These bytes, from that index on, of the segment with that id.
    Memory { bytes: Arc<Vec<u8>>, index: usize, id: u64 },
    /// The file of the segment with that id.
    Disk(u64),
    /// There is no such segment.
    Gone,
}

impl Waiting {
    /// Nothing waits; the segments that are there, of which appends go to the last, and the salts
    /// of later ones.
    pub(super) fn new(options: &SegmentLogOptions, segments: Vec<Segment>, salts: Salts) -> Self {
        Self {
            segment_size: options.segment_size.min(SEGMENT_SIZE_MAX),
            batch_bytes_max: options.batch_bytes_max,
            segments: segments.into(),
            salts,
            appended: Position(0),
            durable: Position(0),
            sealed: VecDeque::new(),
            open: None,
            open_is_wanted: false,
            open_written: 0,
            unsynced: 0,
            removals: VecDeque::new(),
        }
    }

    /// Takes the batch's records, and from a large batch the buffer that they are in, for which it
    /// gets another one. `is_wanted` says whether anybody waits for them.
    pub(super) fn append(
        &mut self,
        batch: &mut Batch,
        is_wanted: bool,
        spares: &Spares,
    ) -> Result<Placed, AppendError> {
        let size = batch.size() as u64;
        if size + OVERHEAD_MAX > SEGMENT_SIZE_MAX {
            return Err(AppendError::BatchTooLarge(batch.size()));
        }
        if self.open.as_ref().is_some_and(|open| open.size + size > self.batch_bytes_max as u64) {
            self.seal();
        }
        let batch_record = if self.open.is_none() { BATCH_RECORD_SIZE as u64 } else { 0 };
        let end = self.end() + batch_record + size + RECORD_OVERHEAD as u64;
        if end > self.segment_size && self.end() > HEADER_SIZE as u64 {
            self.roll(spares)?;
        }
        if self.open.is_none() {
            self.put_batch_record(spares);
        }
        let (segment, offset) = (self.segment(), self.end() as u32);
        if batch.size() > COPY_SIZE_MAX {
            let buffer = spares.take(batch.size());
            self.put_buffer(batch.take_bytes(buffer));
        } else {
            self.put(batch.bytes(), spares);
        }
        self.appended.0 += batch.len() as u64;
        if let Some(open) = &mut self.open {
            open.last = self.appended;
            self.open_is_wanted |= is_wanted || open.size > UNWANTED_SIZE_MAX;
        }
        Ok(Placed { segment, offset, position: self.appended })
    }

    /// Bytes of all groups.
    pub(super) fn unsynced(&self) -> u64 {
        self.unsynced
    }

    /// The last position given.
    pub(super) fn appended(&self) -> Position {
        self.appended
    }

    /// Has what waits synced, though nobody waited for it; answers whether that is news.
    pub(super) fn hasten(&mut self) -> bool {
        self.open.is_some() && !std::mem::replace(&mut self.open_is_wanted, true)
    }

    /// The group to be written now; the same one until it is durable.
    pub(super) fn first_group(&mut self) -> Option<Arc<Group>> {
        if self.sealed.is_empty() && self.open_is_wanted {
            self.seal();
        }
        self.sealed.front().cloned()
    }

    /// What nobody waits for and was not written yet. Taken as written; its group will be written
    /// in whole.
    pub(super) fn take_unwritten(&mut self) -> Option<Unwritten> {
        let open = self.open.as_ref().filter(|open| open.size > self.open_written)?;
        let from = open.offset + std::mem::replace(&mut self.open_written, open.size);
        let behind = open.chunks.partition_point(|chunk| chunk.offset <= from);
        let chunks = open.chunks.get(behind.checked_sub(1)?..)?;
        let parts = chunks.iter().map(|chunk| {
            let bytes = chunk.bytes.clone();
            let start = from.saturating_sub(chunk.offset) as usize;
            (bytes, start)
        });
        Some(Unwritten { segment: open.segment, offset: from, parts: parts.collect() })
    }

    /// The first group is on disk.
    pub(super) fn first_group_is_durable(&mut self) -> Option<Arc<Group>> {
        let group = self.sealed.pop_front()?;
        self.durable = group.last;
        self.unsynced -= group.size;
        Some(group)
    }

    /// Whether there is something to be written or a segment to be taken away.
    pub(super) fn has_work(&mut self) -> bool {
        self.has_unwritten() || self.next_removal().is_some()
    }

    /// Whether something is not written yet.
    pub(super) fn has_unwritten(&self) -> bool {
        self.has_group() || self.open.as_ref().is_some_and(|open| open.size > self.open_written)
    }

    /// Whether there is a group to be written and synced.
    pub(super) fn has_group(&self) -> bool {
        self.open_is_wanted || !self.sealed.is_empty()
    }

    /// Where the record is.
    pub(super) fn find(&self, at: RecordPosition) -> Source {
        let Some(id) = self.id_of(at.segment) else { return Source::Gone };
        let place = (at.segment, u64::from(at.offset));
        let starts_before = |group: &Group| (group.segment, group.offset) <= place;
        let open = self.open.as_ref().filter(|open| starts_before(open));
        let group = open.or_else(|| {
            let behind = self.sealed.partition_point(|group| starts_before(group));
            self.sealed.get(behind.checked_sub(1)?).map(|group| &**group)
        });
        match group.and_then(|group| group.find(place)) {
            Some((bytes, index)) => Source::Memory { bytes: bytes.clone(), index, id },
            None => Source::Disk(id),
        }
    }

    /// From oldest to newest.
    pub(super) fn segments(&self) -> impl Iterator<Item = SegmentInfo> {
        self.segments.iter().map(|segment| segment.info)
    }

    /// Whether the segment is there.
    pub(super) fn has_segment(&self, number: u32) -> bool {
        self.id_of(number).is_some()
    }

    fn id_of(&self, number: u32) -> Option<u64> {
        let at = self.segments.binary_search_by_key(&number, |segment| segment.info.number);
        Some(self.segments.get(at.ok()?)?.id)
    }

    /// Asks for the oldest segments to go once all that was appended so far is durable.
    pub(super) fn remove_through(&mut self, number: u32) {
        // The last one stays; those that come later are not meant.
        let Some(through) = self.segment().checked_sub(1).map(|last| last.min(number)) else {
            return;
        };
        let asked = self.removals.back().map(|removal| removal.through);
        if asked.is_none_or(|asked| asked < through) {
            self.removals.push_back(Removal { after: self.appended, through });
        }
    }

    /// The segment to be taken away now.
    pub(super) fn next_removal(&mut self) -> Option<u32> {
        loop {
            let removal = self.removals.front().filter(|next| next.after <= self.durable)?;
            match self.segments.front() {
                Some(oldest) if oldest.info.number <= removal.through => {
                    return Some(oldest.info.number);
                }
                _ => self.removals.pop_front(),
            };
        }
    }

    /// The oldest segment is not to be read any more; its file goes next.
    pub(super) fn take_oldest(&mut self) -> Option<Segment> {
        self.segments.pop_front()
    }

    /// The file would not go: the segment stays until somebody asks again.
    pub(super) fn put_oldest_back(&mut self, segment: Segment) {
        self.segments.push_front(segment);
        self.removals.pop_front();
    }

    /// The segment that is appended to.
    fn segment(&self) -> u32 {
        self.segments.back().map_or(0, |last| last.info.number)
    }

    fn id(&self) -> u64 {
        self.segments.back().map_or(0, |last| last.id)
    }

    /// Where in it the next record goes.
    fn end(&self) -> u64 {
        self.segments.back().map_or(HEADER_SIZE as u64, |last| last.info.size)
    }

    /// Ends the segment; a next one begins.
    fn roll(&mut self, spares: &Spares) -> Result<(), AppendError> {
        // 2^32 segments of the usual size are more than any file system holds.
        let number = self.segment().checked_add(1).ok_or(AppendError::Failed)?;
        if self.open.is_none() {
            self.put_batch_record(spares);
        }
        self.put_own(KIND_SEGMENT_END, &[], spares);
        self.seal();
        let info = SegmentInfo { number, size: HEADER_SIZE as u64 };
        self.segments.push_back(Segment { info, id: self.salts.id(number) });
        Ok(())
    }

    fn seal(&mut self) {
        self.sealed.extend(self.open.take().map(Arc::new));
        self.open_is_wanted = false;
        self.open_written = 0;
    }

    fn put_batch_record(&mut self, spares: &Spares) {
        let payload = salt::batch_payload(self.id());
        self.put_own(KIND_BATCH, &payload, spares);
    }

    /// Adds a record of the log itself.
    fn put_own(&mut self, kind: u8, payload: &[u8], spares: &Spares) {
        let mut bytes = Vec::with_capacity(BATCH_RECORD_SIZE);
        record::put_unplaced(&mut bytes, kind, &[payload]);
        self.put(&bytes, spares);
    }

    /// Adds records to the open group and places them.
    fn put(&mut self, records: &[u8], spares: &Spares) {
        let (offset, id) = (self.end(), self.id());
        if let Some(tail) = self.open.as_mut().and_then(|open| open.chunks.last_mut())
            && let Some(bytes) = Arc::get_mut(&mut tail.bytes)
            && bytes.capacity() - bytes.len() >= records.len()
        {
            let start = bytes.len();
            bytes.extend_from_slice(records);
            record::place(&mut bytes[start..], id, offset);
            self.count(records.len() as u64);
            return;
        }
        let mut bytes = spares.take(records.len());
        bytes.extend_from_slice(records);
        self.put_buffer(bytes);
    }

    /// Adds a buffer of records to the open group and places them.
    fn put_buffer(&mut self, mut bytes: Vec<u8>) {
        let (segment, offset, id) = (self.segment(), self.end(), self.id());
        record::place(&mut bytes, id, offset);
        let size = bytes.len() as u64;
        let open = self.open.get_or_insert_with(|| Group {
            segment,
            offset,
            size: 0,
            last: self.appended,
            chunks: Vec::new(),
        });
        open.chunks.push(Chunk { offset, bytes: Arc::new(bytes) });
        self.count(size);
    }

    /// Counts bytes that were added to the open group.
    fn count(&mut self, bytes: u64) {
        self.unsynced += bytes;
        if let Some(open) = &mut self.open {
            open.size += bytes;
        }
        if let Some(last) = self.segments.back_mut() {
            last.info.size += bytes;
        }
    }
}

impl Unwritten {
    /// Its bytes, in parts.
    pub(super) fn parts(&self) -> Vec<&[u8]> {
        self.parts.iter().map(|(bytes, start)| bytes.get(*start..).unwrap_or_default()).collect()
    }
}

impl Group {
    /// Its bytes, in parts.
    pub(super) fn parts(&self) -> Vec<&[u8]> {
        self.chunks.iter().map(|chunk| chunk.bytes.as_slice()).collect()
    }

    /// Its buffers, but for those that somebody reads from.
    pub(super) fn into_buffers(self) -> impl Iterator<Item = Vec<u8>> {
        self.chunks.into_iter().filter_map(|chunk| Arc::try_unwrap(chunk.bytes).ok())
    }

    fn find(&self, (segment, offset): (u32, u64)) -> Option<(&Arc<Vec<u8>>, usize)> {
        if self.segment != segment {
            return None;
        }
        let behind = self.chunks.partition_point(|chunk| chunk.offset <= offset);
        let chunk = self.chunks.get(behind.checked_sub(1)?)?;
        let index = (offset - chunk.offset) as usize;
        (index < chunk.bytes.len()).then_some((&chunk.bytes, index))
    }
}
