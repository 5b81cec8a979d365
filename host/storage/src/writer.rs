//! The log as one thread has it: batches in, a snapshot now and then. Every call is synchronous
//! and its outcome depends on the disk alone, so that a test can replay it by seed.
//!
//! ```text
//! 00000000000000000003.snapshot   all that the files before 3 said
//! 00000000000000000003.log        header, then batches; each starts with a batch record
//! 00000000000000000004.log        there while a snapshot is being written, or after it failed
//! ```

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::batch::{AppendError, Batch};
use crate::disk::{Disk, DiskFile};
use crate::header::{self, FileRole, HEADER_SIZE};
use crate::record::{self, KIND_BATCH};
use crate::recover::{self, LastFile, OpenError, Recovered};
use crate::snapshot;

/// Bytes of log before a snapshot is worth its writing, however small the snapshot is.
const SNAPSHOT_LOG_SIZE_MIN: u64 = 4 * 1024 * 1024;

/// Why a batch is not durable.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The disk is full. Nothing of the batch counts; it may be committed again.
    #[error("no space for the log")]
    NoSpace(#[source] io::Error),
    /// A write or sync failed, and nobody knows what of the batch is on disk. Nothing of it counts;
    /// it may be committed again, which writes all of it anew.
    #[error("a write or sync of the log failed")]
    Io(#[source] io::Error),
    /// The batch is none that a log takes.
    #[error("the log doesn't take the batch")]
    Refused(#[source] AppendError),
}

/// Writes the log's files.
pub struct LogWriter {
    disk: Arc<dyn Disk>,
    file: Box<dyn DiskFile>,
    number: u64,
    /// Where the next batch goes; all before it is synced.
    end: u64,
    /// The log files since the snapshot, this one included.
    live: BTreeSet<u64>,
    /// Those of them that are damaged, which are kept under another name for an expert.
    damaged: BTreeSet<u64>,
    log_size: u64,
    snapshot_size: u64,
    buffer: Vec<u8>,
    /// A file that was made for what comes next and could not be used: it must be gone before
    /// anything is committed, since its being there would end the present one.
    stray: Option<u64>,
    /// Whether something behind `end` may be on disk that does not count.
    is_unsure: bool,
}

impl LogWriter {
    /// Reads what the disk holds, cuts what a crash left of the last batch, and takes away what
    /// a snapshot replaced.
    pub fn open(disk: Arc<dyn Disk>) -> Result<(Self, Recovered), OpenError> {
        let (recovered, plan) = recover::recover(&*disk)?;
        let number = plan.last.as_ref().map_or(plan.next_number, |last| last.number);
        let name = FileRole::Log.file_name(number);
        let prepare = || -> io::Result<(Box<dyn DiskFile>, u64)> {
            let (file, end) = match &plan.last {
                Some(last) => (reopen(&*disk, &name, last)?, last.end),
                None => (create(&*disk, FileRole::Log, number)?, HEADER_SIZE as u64),
            };
            // An earlier life may have failed between a snapshot's renaming and the sync.
            disk.sync()?;
            for name in &plan.stale {
                disk.remove(name)?;
            }
            disk.sync()?;
            Ok((file, end))
        };
        let (file, end) =
            prepare().map_err(|source| OpenError::Io { path: disk.path(&name), source })?;
        let mut live = plan.live;
        live.insert(number);
        let writer = Self {
            disk,
            file,
            number,
            end,
            live,
            damaged: plan.damaged,
            log_size: plan.log_size,
            snapshot_size: plan.snapshot_size,
            buffer: Vec::new(),
            stray: None,
            is_unsure: false,
        };
        Ok((writer, recovered))
    }

    /// Writes the batch and syncs. When this answers, a crash can't take the batch any more.
    /// After an error the same batch is to be committed next, or a longer one that begins with it.
    pub fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        batch.check().map_err(CommitError::Refused)?;
        self.remove_stray().map_err(CommitError::Io)?;
        self.buffer.clear();
        record::put_unplaced(&mut self.buffer, KIND_BATCH, &[]);
        self.buffer.extend_from_slice(batch.bytes());
        record::place(&mut self.buffer, self.number, self.end);
        self.is_unsure = true;
        write_and_sync(&*self.file, self.end, &[&self.buffer])?;
        self.is_unsure = false;
        self.end += self.buffer.len() as u64;
        self.log_size += self.buffer.len() as u64;
        Ok(())
    }

    /// Replaces everything committed so far by `content`, which must say as much. After an error
    /// the log is as good as before, only longer.
    pub fn snapshot(&mut self, content: &[u8]) -> io::Result<()> {
        if self.is_unsure {
            return Err(io::Error::other("the batch before is not on disk"));
        }
        self.remove_stray()?;
        self.rotate()?;
        let size = snapshot::write(&*self.disk, self.number, content).inspect_err(|_| {
            // Best effort: the next start takes it away too.
            let _ = self.disk.remove(&snapshot::temporary_name(self.number));
        })?;
        // From here on the files before it say nothing new. What can't be taken away now is
        // taken away at the next start.
        self.snapshot_size = size;
        self.log_size = self.end;
        let kept = self.live.split_off(&self.number);
        for number in std::mem::replace(&mut self.live, kept) {
            let name = FileRole::Log.file_name(number);
            let _ = match self.damaged.remove(&number) {
                true => self.disk.rename(&name, &format!("{name}.damaged")),
                false => self.disk.remove(&name),
            };
        }
        for name in self.disk.list()? {
            if FileRole::Snapshot.number(&name).is_some_and(|number| number < self.number) {
                let _ = self.disk.remove(&name);
            }
        }
        self.disk.sync()
    }

    /// Whether a snapshot would save more than it costs.
    pub fn snapshot_due(&self) -> bool {
        self.log_size > SNAPSHOT_LOG_SIZE_MIN.max(self.snapshot_size)
    }

    /// Ends the log: an empty batch says that all before it was synced, so that whatever is
    /// damaged there later is known to be damage.
    pub fn close(mut self) -> Result<(), CommitError> {
        if self.is_unsure {
            // What an interrupted batch left is not vouched for.
            return Ok(());
        }
        self.commit(&Batch::default())
    }

    /// Takes away what an interrupted rotation left: a file that stays would end the present one
    /// at the next start, in the middle of batches still to come.
    fn remove_stray(&mut self) -> io::Result<()> {
        let Some(number) = self.stray else { return Ok(()) };
        match self.disk.remove(&FileRole::Log.file_name(number)) {
            // It was never made, or was taken away by an earlier call, whose sync failed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => outcome?,
        }
        self.disk.sync()?;
        self.stray = None;
        Ok(())
    }

    /// Goes on in a new file.
    fn rotate(&mut self) -> io::Result<()> {
        let number = self.number + 1;
        let file = match create(&*self.disk, FileRole::Log, number) {
            Ok(file) => file,
            Err(error) => {
                self.stray = Some(number);
                return Err(error);
            }
        };
        self.live.insert(number);
        self.file = file;
        self.number = number;
        self.end = HEADER_SIZE as u64;
        Ok(())
    }
}

impl std::fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogWriter({}, {} bytes)", self.disk.path("").display(), self.log_size)
    }
}

/// Makes the empty file of the log with that id, durably.
pub(crate) fn create(disk: &dyn Disk, role: FileRole, id: u64) -> io::Result<Box<dyn DiskFile>> {
    let file = disk.create(&role.file_name(role.number_of(id)))?;
    file.write_at(0, &header::encode(role, id))?;
    file.sync()?;
    disk.sync()?;
    Ok(file)
}

/// Opens the last file, cuts what follows its last whole record, and makes the rest durable.
pub(crate) fn reopen(
    disk: &dyn Disk,
    name: &str,
    last: &LastFile,
) -> io::Result<Box<dyn DiskFile>> {
    let file = disk.open(name)?;
    if file.size()? > last.end {
        file.set_size(last.end)?;
    }
    // The last batch was read, and the next one will vouch for it; but it may be in the page
    // cache only. If an earlier life's sync failed, its pages even count as clean there, and a
    // sync alone would not write them: so they are written again.
    let mut unsure = vec![0; (last.end - last.synced_to) as usize];
    let read = file.read_at(last.synced_to, &mut unsure)?;
    file.write_at(last.synced_to, &unsure[..read])?;
    file.sync()?;
    Ok(file)
}

/// Writes all of the parts at the offset, behind which nothing counts yet, and makes them durable.
///
/// After an error the same bytes are to be written to the same place before the next sync. A sync
/// alone would not do: the kernel takes pages that it failed to write for clean, and would say yes.
/// What is written again is dirty again.
pub(crate) fn write_and_sync(
    file: &dyn DiskFile,
    offset: u64,
    parts: &[&[u8]],
) -> Result<(), CommitError> {
    let outcome = file.write_parts_at(offset, parts).and_then(|()| file.sync());
    outcome.map_err(CommitError::of)
}

impl CommitError {
    /// What a failed write, sync or creation of a file means.
    pub(crate) fn of(error: io::Error) -> Self {
        if is_no_space(&error) { Self::NoSpace(error) } else { Self::Io(error) }
    }
}

fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
