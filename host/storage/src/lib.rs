//! The log: append, group commit, recover, over a disk that may fail.
//!
//! May depend on `shunt-types` and nothing else of ours. Must never know what a queue, an
//! exchange or a user is: a record is a kind and bytes, and what they mean is its writer's
//! business. Nothing here is async; the log syncs on a thread of its own and says how far it is.
//!
//! In thin layers, each ignorant of the one above:
//!
//! | layer | what it knows |
//! |---|---|
//! | [`DataFolder`] | whose folder it is, of which version, and that one process has it |
//! | [`Disk`] | files by name; what is written and what is synced. [`FolderDisk`], [`FaultyDisk`] |
//! | record, scan | length, checksum, kind, bytes; "damaged" and "not written yet" |
//! | [`LogWriter`], [`SegmentWriter`] | numbered files; batches; what a crash may have left |
//! | [`MetadataLog`], [`SegmentLog`] | the thread, those who wait, and what they are told |
//!
//! There are two logs. The metadata log is read whole at start and shortened by snapshots. The
//! segment log is for what may be longer than memory: its records are read back by position, and
//! its oldest segments taken away. What is on disk, byte by byte, stands in `docs/storage.md`.
//!
//! ```
//! use std::sync::{Arc, mpsc};
//! use shunt_storage::{Batch, DataFolder, SegmentLog, SegmentWriter, SyncOutcome};
//!
//! # let place = tempfile::tempdir().unwrap();
//! let folder = DataFolder::open(place.path()).unwrap();
//! let disk = Arc::new(folder.disk("messages").unwrap());
//! let mut replay = |at, kind, head: &[u8]| println!("{at:?}: {kind}, {head:?}");
//! let (writer, recovery) = SegmentWriter::open(disk, Default::default(), &mut replay).unwrap();
//! assert_eq!(recovery.records, 0, "a new folder");
//!
//! let (tell, told) = mpsc::channel();
//! let log = SegmentLog::start(writer, move |outcome| drop(tell.send(outcome))).unwrap();
//! let (mut batch, mut positions) = (Batch::default(), Vec::new());
//! batch.push(1, b"a message");
//! batch.push_split(200, &[b"which a start", b" hands out"], &[b"which it leaves on disk"]);
//! let position = log.append(&mut batch, &mut positions).unwrap();
//! let record = log.read(positions[1]).unwrap();
//! assert_eq!(record.head(), b"which a start hands out");
//! assert_eq!(record.body(), b"which it leaves on disk");
//! assert!(matches!(told.recv().unwrap(), SyncOutcome::Durable(reached) if reached == position));
//! ```
//!
//! ```
//! use std::sync::{Arc, mpsc};
//! use shunt_storage::{DataFolder, LogWriter, MetadataLog, SyncOutcome};
//!
//! # let place = tempfile::tempdir().unwrap();
//! let folder = DataFolder::open(place.path()).unwrap();
//! let disk = Arc::new(folder.disk("metadata").unwrap());
//! let (writer, recovered) = LogWriter::open(disk).unwrap();
//! assert!(recovered.commands.is_empty(), "a new folder");
//!
//! let (tell, told) = mpsc::channel();
//! let log = MetadataLog::start(writer, move |outcome| drop(tell.send(outcome))).unwrap();
//! let position = log.append(1, b"a command").unwrap();
//! assert!(matches!(told.recv().unwrap(), SyncOutcome::Durable(reached) if reached == position));
//! ```

mod batch;
mod check;
mod disk;
mod faulty;
mod folder;
mod header;
mod lock;
mod log;
mod record;
mod recover;
mod repair;
mod salt;
mod scan;
mod segments;
mod snapshot;
mod verdict;
mod writer;

pub use batch::{AppendError, Batch};
pub use check::{FileCheck, LogRole, check_log};
pub use disk::{Disk, DiskFile, FolderDisk};
pub use faulty::{Faults, FaultyDisk};
pub use folder::{DataFolder, FolderError};
pub use lock::{FolderLock, LockError};
pub use log::{MetadataLog, Position, SyncOutcome};
pub use record::{KIND_MAX, RECORD_SIZE_MAX, SPLIT_KIND_MIN};
pub use recover::{CutTail, Damage, OpenError, Recovered};
pub use repair::{Repair, repair_log};
pub use segments::{
    OwnedRecord, ReadError, RecordPosition, RecordRef, RecoveryProgress, SegmentInfo, SegmentLog,
    SegmentLogOptions, SegmentRecovery, SegmentWriter,
};
pub use writer::{CommitError, LogWriter};
