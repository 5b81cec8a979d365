//! What a folder of log files says, and what a crash left of it. Reads only; [`LogWriter`]
//! acts on the answer.
//!
//! Two things may be wrong with a file, and they are told apart. What a crash left of the last
//! batch was never confirmed to anybody: it is cut. What is damaged before that was once synced:
//! it is reported and skipped, and the rest is served. The border is the last whole batch
//! record, since a batch is written only when all before it was synced.
//!
//! [`LogWriter`]: crate::LogWriter

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use crate::check::is_unfinished;
use crate::disk::{Disk, read_all};
use crate::header::{self, FileRole, HEADER_SIZE, SALTED_VERSION, UNSALTED_VERSION};
use crate::record::KIND_MAX;
use crate::scan::Scan;
use crate::snapshot;
use crate::verdict::judge;

/// The reason of a [`Damage`] that is a file, or several, that should be there.
pub(crate) const MISSING: &str = "the file is missing";
/// The reason of a [`Damage`] of a file's first bytes.
pub(crate) const BAD_HEADER: &str = "the header is wrong";

/// What was found: the state at the snapshot, and what came after it.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The bytes of the latest snapshot.
    pub snapshot: Option<Vec<u8>>,
    /// Kind and payload of each record since, in the order in which they were appended.
    pub commands: Vec<(u8, Vec<u8>)>,
    /// What was cut from the end: a batch that a crash interrupted, confirmed to nobody.
    pub cut_tail: Option<CutTail>,
    /// What could not be read though it had been synced once.
    pub damaged: Vec<Damage>,
}

/// Bytes that a crash left of an interrupted batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutTail {
    /// The file.
    pub path: PathBuf,
    /// Where the file ends now.
    pub offset: u64,
    /// How many bytes were cut.
    pub size: u64,
}

/// A place in the log that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where the damage starts.
    pub offset: u64,
    /// How many bytes were skipped.
    pub size: u64,
    /// What is wrong there.
    pub reason: &'static str,
}

/// Why a log can't be opened. Nothing in its folder was changed then.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk refused.
    #[error("can't open {path}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is whole, and of a version that this build doesn't know.
    #[error(
        "{path}: written in format version {version}, this shunt reads versions {UNSALTED_VERSION} \
         and {SALTED_VERSION}",
        path = path.display()
    )]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// The version in its header.
        version: u32,
    },
    /// The snapshot can't be read; it holds commands that no log file holds any more.
    #[error("{path}: the snapshot is damaged at offset {offset}: {reason}", path = path.display())]
    SnapshotDamaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// Log files are there, but not the first one and no snapshot in place of it.
    #[error("{path}: neither a snapshot nor the log files before this one are there", path = path.display())]
    SnapshotMissing {
        /// The first log file that is there.
        path: PathBuf,
    },
}

/// What is to be done before the log can be appended to.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The file to go on with and where it ends; None: make the file `next_number`.
    pub(crate) last: Option<LastFile>,
    pub(crate) next_number: u64,
    /// Files that the snapshot made superfluous.
    pub(crate) stale: Vec<String>,
    /// The log files that are needed.
    pub(crate) live: BTreeSet<u64>,
    /// Those of them that are damaged.
    pub(crate) damaged: BTreeSet<u64>,
    pub(crate) log_size: u64,
    pub(crate) snapshot_size: u64,
}

/// The last log file.
#[derive(Debug)]
pub(crate) struct LastFile {
    pub(crate) number: u64,
    /// All before was synced for certain.
    pub(crate) synced_to: u64,
    pub(crate) end: u64,
}

/// Reads the folder.
pub(crate) fn recover(disk: &dyn Disk) -> Result<(Recovered, Plan), OpenError> {
    let names = disk.list().map_err(|source| OpenError::Io { path: disk.path(""), source })?;
    let of = |role: FileRole| names.iter().filter_map(move |name| role.number(name));
    let snapshot_number = of(FileRole::Snapshot).max();
    let first = snapshot_number.unwrap_or(1);
    let live: BTreeSet<u64> = of(FileRole::Log).filter(|number| *number >= first).collect();

    let mut recovered = Recovered::default();
    let mut plan = Plan {
        last: None,
        next_number: live.last().map_or(first, |last| last.saturating_add(1)),
        stale: stale(&names, first),
        live,
        damaged: BTreeSet::new(),
        log_size: 0,
        snapshot_size: 0,
    };
    if let Some(number) = snapshot_number {
        let (content, size) = snapshot::read(disk, number)?;
        recovered.snapshot = Some(content);
        plan.snapshot_size = size;
    } else if let Some(number) = plan.live.first().filter(|number| **number > first) {
        let path = disk.path(&FileRole::Log.file_name(*number));
        return Err(OpenError::SnapshotMissing { path });
    }

    let Some(last) = plan.live.last().copied() else { return Ok((recovered, plan)) };
    let mut expected = first;
    for number in plan.live.clone() {
        if number > expected {
            // Told once, however many are missing: the numbers are only names of files.
            let path = disk.path(&FileRole::Log.file_name(expected));
            recovered.damaged.push(Damage { path, offset: 0, size: 0, reason: MISSING });
        }
        expected = number.saturating_add(1);
        read_file(disk, number, number == last, &mut recovered, &mut plan)?;
    }
    Ok((recovered, plan))
}

/// What a snapshot has replaced, and what was being written when the power went.
fn stale(names: &[String], first: u64) -> Vec<String> {
    let replaced = |role: FileRole, name: &str| role.number(name).is_some_and(|n| n < first);
    let is_stale = |name: &&String| {
        replaced(FileRole::Log, name) || replaced(FileRole::Snapshot, name) || is_unfinished(name)
    };
    names.iter().filter(is_stale).cloned().collect()
}

fn read_file(
    disk: &dyn Disk,
    number: u64,
    is_last: bool,
    recovered: &mut Recovered,
    plan: &mut Plan,
) -> Result<(), OpenError> {
    let name = FileRole::Log.file_name(number);
    let path = disk.path(&name);
    let io = |source| OpenError::Io { path: path.clone(), source };
    let bytes = disk.open(&name).and_then(|file| read_all(&*file)).map_err(io)?;
    let has_header = header::check(FileRole::Log, number, &bytes, || path.clone())?.is_some();
    if !has_header && is_last && bytes.len() <= HEADER_SIZE {
        // The power went while the file was being made; there was no batch in it yet.
        plan.next_number = number;
        return Ok(());
    }
    let scan = Scan::of(&bytes, number);
    let verdict = judge(FileRole::Log, &scan, &bytes, has_header, is_last);
    for flaw in &verdict.flaws {
        recovered.damaged.push(Damage {
            path: path.clone(),
            offset: flaw.range.start as u64,
            size: flaw.range.len() as u64,
            reason: flaw.reason,
        });
        plan.damaged.insert(number);
    }
    let end = verdict.end;
    if verdict.is_torn {
        let (offset, size) = (end as u64, (bytes.len() - end) as u64);
        recovered.cut_tail = Some(CutTail { path, offset, size });
    }
    let commands = scan.records(&bytes).take_while(|record| record.offset < end);
    let commands = commands.filter(|record| record.kind <= KIND_MAX);
    recovered.commands.extend(commands.map(|record| (record.kind, record.payload.to_vec())));
    plan.log_size += bytes.len() as u64;
    if verdict.may_append {
        plan.last = Some(LastFile { number, synced_to: scan.synced_to as u64, end: end as u64 });
    }
    Ok(())
}
