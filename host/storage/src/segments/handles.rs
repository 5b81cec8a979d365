//! Files of segments that were read from lately, kept open, and what is read from them.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile};
use crate::header::FileRole;
use crate::segments::read::{OwnedRecord, RUN_SIZE_MAX, RecordRef, run, verify};
use crate::segments::waiting::Source;
use crate::segments::{ReadError, RecordPosition};

/// Most files open for reading.
const HANDLES_MAX: usize = 32;
/// Most buffers kept for reads of several records: threads that read at once.
const BUFFERS_MAX: usize = 4;

/// Open files, the one used last at the end.
pub(super) struct Handles {
    disk: Arc<dyn Disk>,
    open: Mutex<Vec<(u32, Arc<dyn DiskFile>)>>,
    /// Of the size of a read of several records; to zero one each time would cost what the read
    /// costs.
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl Handles {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, open: Mutex::default(), buffers: Mutex::default() }
    }

    /// Reads a record from where it is. `is_there` says whether a segment is still one of the
    /// log's, asked when nobody can be taking it away from here.
    pub(super) fn read(
        &self,
        at: RecordPosition,
        source: &Source,
        is_there: &dyn Fn(u32) -> bool,
    ) -> Result<OwnedRecord, ReadError> {
        let (bytes, id) = match source {
            Source::Memory { bytes, index, id } => (waiting(at, bytes, *index).to_vec(), *id),
            Source::Disk(id) => {
                let mut bytes = vec![0; at.size as usize];
                let read = self.fill(at.segment, u64::from(at.offset), &mut bytes, is_there)?;
                bytes.truncate(read);
                (bytes, *id)
            }
            Source::Gone => return Err(ReadError::Gone(at.segment)),
        };
        unless_gone(at, OwnedRecord::verified(at, id, bytes, || self.path(at.segment)), is_there)
    }

    /// Reads records in the order of their positions, neighbours at once.
    pub(super) fn read_many(
        &self,
        positions: &[RecordPosition],
        sources: &[Source],
        is_there: &dyn Fn(u32) -> bool,
        each: &mut dyn FnMut(usize, Result<RecordRef<'_>, ReadError>),
    ) {
        let mut buffer = None;
        let mut index = 0;
        while let (Some(at), Some(source)) = (positions.get(index), sources.get(index)) {
            let (count, range) = match source {
                Source::Disk(_) => run(&positions[index..], &sources[index..]),
                _ => (1, 0..0),
            };
            let size = (range.end - range.start) as usize;
            if let Source::Memory { bytes, index: from, id } = source {
                let bytes = waiting(*at, bytes, *from);
                each(index, verify(*at, *id, bytes, || self.path(at.segment)));
            } else if let Source::Disk(id) = source
                && count > 1
                && size <= RUN_SIZE_MAX as usize
            {
                let buffer = buffer.get_or_insert_with(|| self.buffer());
                let bytes = &mut buffer[..size];
                match self.fill(at.segment, range.start, bytes, is_there) {
                    Ok(read) => {
                        for (index, at) in (index..).zip(&positions[index..index + count]) {
                            let from = (u64::from(at.offset) - range.start) as usize;
                            let to = read.min(from + at.size as usize);
                            let bytes = bytes.get(from..to).unwrap_or_default();
                            let read = verify(*at, *id, bytes, || self.path(at.segment));
                            each(index, unless_gone(*at, read, is_there));
                        }
                    }
                    // Told for each of them, and of those only that can't be read alone either.
                    Err(_) => {
                        for (index, at) in (index..).zip(&positions[index..index + count]) {
                            self.read_one(index, *at, source, is_there, each);
                        }
                    }
                }
            } else {
                self.read_one(index, *at, source, is_there, each);
            }
            index += count;
        }
        if let Some(buffer) = buffer {
            let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
            if buffers.len() < BUFFERS_MAX {
                buffers.push(buffer);
            }
        }
    }

    fn read_one(
        &self,
        index: usize,
        at: RecordPosition,
        source: &Source,
        is_there: &dyn Fn(u32) -> bool,
        each: &mut dyn FnMut(usize, Result<RecordRef<'_>, ReadError>),
    ) {
        match self.read(at, source, is_there) {
            Ok(record) => each(index, Ok(record.as_record_ref())),
            Err(error) => each(index, Err(error)),
        }
    }

    /// Closes the segment's file.
    pub(super) fn forget(&self, segment: u32) {
        self.open().retain(|(number, _)| *number != segment);
    }

    /// Reads from the segment's file, less at its end only.
    fn fill(
        &self,
        segment: u32,
        offset: u64,
        bytes: &mut [u8],
        is_there: &dyn Fn(u32) -> bool,
    ) -> Result<usize, ReadError> {
        let io = |source| ReadError::Io { path: self.path(segment), source };
        let file = self.file(segment, is_there).map_err(io)?;
        file.ok_or(ReadError::Gone(segment))?.read_at(offset, bytes).map_err(io)
    }

    fn file(
        &self,
        segment: u32,
        is_there: &dyn Fn(u32) -> bool,
    ) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let mut open = self.open();
        let file = match open.iter().position(|(number, _)| *number == segment) {
            Some(at) => open.remove(at).1,
            // Asked under the lock: a file that is taken away later is forgotten later.
            None if !is_there(segment) => return Ok(None),
            None => {
                let file = self.disk.open(&name(segment))?;
                if open.len() >= HANDLES_MAX {
                    open.remove(0);
                }
                Arc::from(file)
            }
        };
        open.push((segment, file.clone()));
        Ok(Some(file))
    }

    fn open(&self) -> MutexGuard<'_, Vec<(u32, Arc<dyn DiskFile>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer for a read of several records, full of whatever.
    fn buffer(&self) -> Vec<u8> {
        let kept = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| vec![0; RUN_SIZE_MAX as usize])
    }

    fn path(&self, segment: u32) -> PathBuf {
        self.disk.path(&name(segment))
    }
}

impl std::fmt::Debug for Handles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let open: Vec<u32> = self.open().iter().map(|(number, _)| *number).collect();
        write!(f, "Handles({}, {open:?})", self.disk.path("").display())
    }
}

/// What was read, unless the segment was taken away meanwhile: its file may be a later segment's by
/// now.
fn unless_gone<T>(
    at: RecordPosition,
    read: Result<T, ReadError>,
    is_there: &dyn Fn(u32) -> bool,
) -> Result<T, ReadError> {
    match read {
        Err(ReadError::Damaged { .. }) if !is_there(at.segment) => Err(ReadError::Gone(at.segment)),
        read => read,
    }
}

/// The bytes that wait to be written at a record's place, as many as it has.
fn waiting(at: RecordPosition, bytes: &[u8], index: usize) -> &[u8] {
    let bytes = bytes.get(index..).unwrap_or_default();
    bytes.get(..at.size as usize).unwrap_or(bytes)
}

/// The name of a file that was a segment's, and is on its way out.
pub(super) fn removed_name(segment: u32) -> String {
    format!("{}{REMOVED_SUFFIX}", name(segment))
}

/// Whether the file was a segment's, and is part of the log no more.
pub(crate) fn is_removed(name: &str) -> bool {
    name.strip_suffix(REMOVED_SUFFIX).is_some_and(|name| FileRole::Segment.number(name).is_some())
}

const REMOVED_SUFFIX: &str = ".removed";

/// The name of a segment's file.
pub(super) fn name(segment: u32) -> String {
    FileRole::Segment.file_name(u64::from(segment))
}
