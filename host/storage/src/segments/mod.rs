//! The log that a node's durable queues share: numbered segments, appended to from any thread,
//! synced by one of its own, read back by position, taken away from the oldest on.
//!
//! ```text
//! append  -> Waiting   gives positions, collects groups       any thread, a short lock
//!            writer    a group: one write, one fdatasync      the log's thread
//! read    -> Waiting, else a file from the LRU of handles     any thread
//! open    -> recover   each whole record's head, in order     once, before the start
//! ```
//!
//! Each byte is copied and checksummed once on its way in, when it is pushed to a [`Batch`]; an
//! append copies it into the log's memory, and the kernel takes it from there. The checksum's
//! last part, the place, is added under the lock.
//!
//! [`Batch`]: crate::Batch

pub(crate) mod handles;
pub(crate) mod index;
mod log;
mod read;
mod recover;
mod spares;
mod sync;
mod waiting;
mod writer;

#[cfg(test)]
mod log_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod recover_tests;

use std::io;
use std::path::PathBuf;

pub use log::SegmentLog;
pub use read::{OwnedRecord, RecordRef};
pub use recover::{RecoveryProgress, SegmentRecovery};
pub use writer::SegmentWriter;

/// Where a record stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordPosition {
    /// The segment's number.
    pub segment: u32,
    /// Where in the segment's file the record starts.
    pub offset: u32,
    /// Bytes of the whole record on disk.
    pub size: u32,
}

/// A segment of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentInfo {
    /// Its number; later ones have higher numbers, and no number comes twice.
    pub number: u32,
    /// Its bytes, those included that wait to be written.
    pub size: u64,
}

/// A segment, and the id that its records' checksums cover.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Segment {
    info: SegmentInfo,
    id: u64,
}

/// How a segment log cuts itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentLogOptions {
    /// Bytes of a segment before the next one begins; a larger batch makes a larger segment.
    pub segment_size: u64,
    /// Bytes that one sync is for, when many wait; a larger batch is synced alone.
    pub batch_bytes_max: usize,
    /// Bytes of a segment's index. A segment of so many small records that its index would be
    /// larger has none, and is read in full at start.
    pub index_size_max: u64,
}

impl Default for SegmentLogOptions {
    fn default() -> Self {
        Self {
            segment_size: 64 * 1024 * 1024,
            batch_bytes_max: 4 * 1024 * 1024,
            index_size_max: 16 * 1024 * 1024,
        }
    }
}

/// Why a record can't be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The log has no such segment, any more or at all.
    #[error("there is no segment {0}")]
    Gone(u32),
    /// The disk refused.
    #[error("can't read {path}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What stands there is not the record.
    #[error("{path}: damaged at offset {offset}: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
}
