//! Files of segments that were read from lately, kept open.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile};
use crate::header::FileRole;
use crate::record::{self, Found, KIND_MAX};
use crate::segments::{ReadError, RecordPosition};

/// Most files open for reading.
const HANDLES_MAX: usize = 32;

/// Open files, the one used last at the end.
pub(super) struct Handles {
    disk: Arc<dyn Disk>,
    open: Mutex<Vec<(u32, Arc<dyn DiskFile>)>>,
}

impl Handles {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, open: Mutex::default() }
    }

    /// Reads a record from its segment's file. `is_there` says whether the segment is still
    /// one of the log's, asked when nobody can be taking it away from here.
    pub(super) fn read(
        &self,
        at: RecordPosition,
        is_there: impl FnOnce() -> bool,
    ) -> Result<(u8, Vec<u8>), ReadError> {
        let io = |source| ReadError::Io { path: self.disk.path(&name(at.segment)), source };
        let file = match self.file(at.segment, is_there) {
            Ok(Some(file)) => file,
            Ok(None) => return Err(ReadError::Gone(at.segment)),
            Err(source) => return Err(io(source)),
        };
        let mut bytes = vec![0; at.size as usize];
        let read = file.read_at(u64::from(at.offset), &mut bytes).map_err(io)?;
        bytes.truncate(read);
        let (kind, prefix_size) = self.check(at, &bytes)?;
        bytes.drain(..prefix_size);
        Ok((kind, bytes))
    }

    /// Reads a record from bytes that wait to be written.
    pub(super) fn read_waiting(
        &self,
        at: RecordPosition,
        bytes: &[u8],
    ) -> Result<(u8, Vec<u8>), ReadError> {
        let bytes = bytes.get(..at.size as usize).unwrap_or(bytes);
        let (kind, prefix_size) = self.check(at, bytes)?;
        Ok((kind, bytes[prefix_size..].to_vec()))
    }

    /// Closes the segment's file.
    pub(super) fn forget(&self, segment: u32) {
        self.open().retain(|(number, _)| *number != segment);
    }

    /// Whether the bytes are the one record of that size; its kind, and where its payload is.
    fn check(&self, at: RecordPosition, bytes: &[u8]) -> Result<(u8, usize), ReadError> {
        let reason = match record::read_rest(bytes, u64::from(at.segment), at.offset as usize) {
            Found::Record { kind, payload, .. } if kind <= KIND_MAX => {
                match record::RECORD_OVERHEAD + payload.len() == at.size as usize {
                    true => return Ok((kind, record::RECORD_OVERHEAD)),
                    false => "the record there has another size",
                }
            }
            Found::Record { .. } => "the record there is the log's own",
            Found::NotWritten => "nothing was written there",
            Found::Damaged(reason) => reason,
        };
        let path = self.disk.path(&name(at.segment));
        Err(ReadError::Damaged { path, offset: u64::from(at.offset), reason })
    }

    fn file(
        &self,
        segment: u32,
        is_there: impl FnOnce() -> bool,
    ) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let mut open = self.open();
        let file = match open.iter().position(|(number, _)| *number == segment) {
            Some(at) => open.remove(at).1,
            // Asked under the lock: a file that is taken away later is forgotten later.
            None if !is_there() => return Ok(None),
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
}

impl std::fmt::Debug for Handles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let open: Vec<u32> = self.open().iter().map(|(number, _)| *number).collect();
        write!(f, "Handles({}, {open:?})", self.disk.path("").display())
    }
}

/// The name of a segment's file.
pub(super) fn name(segment: u32) -> String {
    FileRole::Segment.file_name(u64::from(segment))
}
