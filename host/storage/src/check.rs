//! Reads every byte of a log that nobody writes, and says what is wrong with it. Nothing is
//! changed; [`repair_log`](crate::repair_log) goes by the same walk.

use std::io;
use std::path::PathBuf;

use crate::disk::{Disk, read_all};
use crate::header::{self, FileRole, HEADER_SIZE};
use crate::recover::{CutTail, Damage, MISSING, OpenError};
use crate::salt;
use crate::scan::Scan;
use crate::segments::handles::is_removed;
use crate::segments::index::{self, IndexBuilder};
use crate::snapshot;
use crate::verdict::{Verdict, judge};

/// One of the logs of a data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogRole {
    /// The log of what is declared, with snapshots.
    Metadata,
    /// The log of messages, in segments.
    Messages,
}

/// What a file of a log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCheck {
    /// The file; one that is missing, where its absence is the damage.
    pub path: PathBuf,
    /// Its bytes.
    pub size: u64,
    /// Whole records in it, those of the log itself not counted; entries, for an index.
    pub records: u64,
    /// What was once synced and can't be read, or does not belong there.
    pub damaged: Vec<Damage>,
    /// What a crash left of a batch; confirmed to nobody, and cut by the next start.
    pub cut_tail: Option<CutTail>,
    /// Why the next start takes the file away, if it does; that is no damage.
    pub leftover: Option<&'static str>,
}

/// Reads a log and hands out what each of its files is, with the bytes of all files read so far
/// and to be read.
///
/// # Errors
/// A file can't be read, or is of a version that this build doesn't know.
pub fn check_log(
    disk: &dyn Disk,
    role: LogRole,
    each: &mut dyn FnMut(FileCheck, u64, u64),
) -> Result<(), OpenError> {
    let names = list(disk)?;
    let mut total = 0;
    for name in &names {
        let size = disk.open(name).and_then(|file| file.size());
        total += size.map_err(|source| OpenError::Io { path: disk.path(name), source })?;
    }
    let mut done = 0;
    walk(disk, role, &names, &mut |inspection| {
        done += inspection.check.size;
        each(inspection.check, done, total);
        Ok(())
    })
}

/// A file of a log, read and judged.
pub(crate) struct Inspection {
    pub(crate) name: String,
    pub(crate) check: FileCheck,
    pub(crate) what: Inspected,
}

/// What a repair needs of a file.
pub(crate) enum Inspected {
    /// Batches of records, with all bytes.
    Batches {
        role: FileRole,
        number: u64,
        id: u64,
        bytes: Vec<u8>,
        verdict: Verdict,
        is_last: bool,
    },
    /// The index that a segment should have; None for none.
    Index(Option<Vec<u8>>),
    /// Anything else.
    Other,
}

type Visit<'a> = &'a mut dyn FnMut(Inspection) -> Result<(), OpenError>;

/// Visits each file of a log.
pub(crate) fn walk(
    disk: &dyn Disk,
    role: LogRole,
    names: &[String],
    visit: Visit<'_>,
) -> Result<(), OpenError> {
    let walk = Walk { disk, names };
    for name in names.iter().filter(|name| is_unfinished(name)) {
        visit(walk.leftover(name, INTERRUPTED)?)?;
    }
    for name in names.iter().filter(|name| is_removed(name)) {
        visit(walk.leftover(name, REMOVED)?)?;
    }
    match role {
        LogRole::Metadata => walk.metadata(visit),
        LogRole::Messages => walk.messages(visit),
    }
}

/// The names of a folder, sorted.
pub(crate) fn list(disk: &dyn Disk) -> Result<Vec<String>, OpenError> {
    let mut names = disk.list().map_err(|source| OpenError::Io { path: disk.path(""), source })?;
    names.sort_unstable();
    Ok(names)
}

/// Whether the file was being written beside the one that it was to replace.
pub(crate) fn is_unfinished(name: &str) -> bool {
    let all = [FileRole::Log, FileRole::Snapshot, FileRole::Segment];
    let is_ours = |name: &str| all.iter().any(|role| role.number(name).is_some());
    name.strip_suffix(".tmp").is_some_and(|name| {
        is_ours(name) || name.rsplit_once(".damaged-").is_some_and(|(name, _)| is_ours(name))
    })
}

/// What a file of batches is called, and what its records' checksums say.
#[derive(Clone, Copy)]
struct Id {
    number: u64,
    id: u64,
    /// Whether the header says so.
    has_header: bool,
}

struct Walk<'a> {
    disk: &'a dyn Disk,
    names: &'a [String],
}

impl Walk<'_> {
    fn metadata(&self, visit: Visit<'_>) -> Result<(), OpenError> {
        let snapshots = self.numbers(FileRole::Snapshot);
        let first = snapshots.last().copied();
        for number in snapshots.iter().filter(|number| Some(**number) < first) {
            visit(self.leftover(&FileRole::Snapshot.file_name(*number), REPLACED)?)?;
        }
        if let Some(number) = first {
            visit(self.snapshot(number)?)?;
        }
        let (stale, live): (Vec<u64>, Vec<u64>) =
            self.numbers(FileRole::Log).into_iter().partition(|number| Some(*number) < first);
        for number in stale {
            visit(self.leftover(&FileRole::Log.file_name(number), REPLACED)?)?;
        }
        let mut expected = first.unwrap_or(1);
        for number in &live {
            let is_last = Some(number) == live.last();
            let name = FileRole::Log.file_name(*number);
            let bytes = self.read(&name)?;
            let header = header::check(FileRole::Log, *number, &bytes, || self.path(&name))?;
            if is_last && header.is_none() && bytes.len() <= HEADER_SIZE {
                visit(self.leftover(&name, MADE_AHEAD)?)?;
                continue;
            }
            if *number > expected {
                visit(self.missing(FileRole::Log.file_name(expected)))?;
            }
            expected = number.saturating_add(1);
            let id = Id { number: *number, id: *number, has_header: header.is_some() };
            visit(self.batches(FileRole::Log, id, bytes, is_last))?;
        }
        Ok(())
    }

    fn messages(&self, visit: Visit<'_>) -> Result<(), OpenError> {
        let mut numbers = self.numbers(FileRole::Segment);
        while let Some(number) = numbers.last().copied() {
            let name = FileRole::Segment.file_name(number);
            let bytes = self.read(&name)?;
            let id = self.segment_id(number, &bytes)?;
            let is_garbage = !id.has_header && salt::may_hold_records(&bytes);
            if is_garbage || Scan::of(&bytes, id.id).has_records {
                break;
            }
            visit(self.leftover(&name, MADE_AHEAD)?)?;
            numbers.pop();
        }
        for number in self.numbers(FileRole::Index) {
            if numbers.binary_search(&number).is_err() {
                let name = FileRole::Index.file_name(number);
                visit(self.leftover(&name, "an index without its segment")?)?;
            }
        }
        let mut expected = None;
        for number in &numbers {
            if let Some(missing) = expected.filter(|expected| expected < number) {
                visit(self.missing(FileRole::Segment.file_name(missing)))?;
            }
            expected = number.checked_add(1);
            let name = FileRole::Segment.file_name(*number);
            let bytes = self.read(&name)?;
            let id = self.segment_id(*number, &bytes)?;
            let is_last = Some(number) == numbers.last();
            let index = FileRole::Index.file_name(*number);
            let found = self.names.contains(&index).then(|| self.read(&index)).transpose()?;
            let end = Scan::of_file(&bytes, id.id, is_last).end.min(bytes.len());
            let due = index_of(*number, &bytes[..end]);
            let inspection = self.batches(FileRole::Segment, id, bytes, is_last);
            let is_whole = inspection.check.damaged.is_empty();
            visit(inspection)?;
            // The index of a damaged segment may rightly know more than the segment does.
            if let Some(found) = found.filter(|_| is_whole) {
                visit(self.index(index, &found, due, is_last))?;
            }
        }
        Ok(())
    }

    fn segment_id(&self, number: u64, bytes: &[u8]) -> Result<Id, OpenError> {
        let path = || self.path(&FileRole::Segment.file_name(number));
        let header = header::check(FileRole::Segment, number, bytes, path)?;
        let id = header.unwrap_or_else(|| salt::find_id(bytes, number));
        Ok(Id { number, id, has_header: header.is_some() })
    }

    fn batches(&self, role: FileRole, id: Id, bytes: Vec<u8>, is_last: bool) -> Inspection {
        let Id { number, id, has_header } = id;
        let name = role.file_name(number);
        let path = self.path(&name);
        let scan = Scan::of_file(&bytes, id, is_last);
        let verdict = judge(role, &scan, &bytes, has_header, is_last);
        let damage = |flaw: &crate::verdict::Flaw| Damage {
            path: path.clone(),
            offset: flaw.range.start as u64,
            size: flaw.range.len() as u64,
            reason: flaw.reason,
        };
        let cut_tail = verdict.is_torn.then(|| CutTail {
            path: path.clone(),
            offset: verdict.end as u64,
            size: (bytes.len() - verdict.end) as u64,
        });
        let check = FileCheck {
            size: bytes.len() as u64,
            records: verdict.records,
            damaged: verdict.flaws.iter().map(damage).collect(),
            cut_tail,
            leftover: None,
            path: path.clone(),
        };
        let what = Inspected::Batches { role, number, id, bytes, verdict, is_last };
        Inspection { name, check, what }
    }

    fn index(&self, name: String, found: &[u8], due: Option<Vec<u8>>, is_last: bool) -> Inspection {
        let mut check = self.good(&name, found.len() as u64);
        let due_bytes = due.as_deref().unwrap_or_default();
        if found.len() < due_bytes.len() && due_bytes.starts_with(found) || due.is_none() && is_last
        {
            check.leftover = Some(INTERRUPTED);
            return Inspection { name, check, what: Inspected::Other };
        }
        if found != due_bytes {
            let offset = found.iter().zip(due_bytes).take_while(|(a, b)| a == b).count() as u64;
            let size = found.len() as u64 - offset;
            let reason = "the index is not what the segment beside it says";
            check.damaged.push(Damage { path: check.path.clone(), offset, size, reason });
        }
        Inspection { name, check, what: Inspected::Index(due) }
    }

    fn snapshot(&self, number: u64) -> Result<Inspection, OpenError> {
        let name = FileRole::Snapshot.file_name(number);
        let mut check = self.good(&name, self.size(&name)?);
        match snapshot::read(self.disk, number) {
            Ok(_) => {}
            Err(OpenError::SnapshotDamaged { path, offset, reason }) => {
                let size = check.size.saturating_sub(offset);
                check.damaged.push(Damage { path, offset, size, reason });
            }
            Err(error) => return Err(error),
        }
        Ok(Inspection { name, check, what: Inspected::Other })
    }

    fn missing(&self, name: String) -> Inspection {
        let mut check = self.good(&name, 0);
        let damage = Damage { path: check.path.clone(), offset: 0, size: 0, reason: MISSING };
        check.damaged.push(damage);
        Inspection { name, check, what: Inspected::Other }
    }

    fn leftover(&self, name: &str, why: &'static str) -> Result<Inspection, OpenError> {
        let mut check = self.good(name, self.size(name)?);
        check.leftover = Some(why);
        Ok(Inspection { name: name.to_owned(), check, what: Inspected::Other })
    }

    fn good(&self, name: &str, size: u64) -> FileCheck {
        let path = self.path(name);
        FileCheck { path, size, records: 0, damaged: vec![], cut_tail: None, leftover: None }
    }

    fn numbers(&self, role: FileRole) -> Vec<u64> {
        self.names.iter().filter_map(|name| role.number(name)).collect()
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, OpenError> {
        let bytes = self.disk.open(name).and_then(|file| read_all(&*file));
        bytes.map_err(|source| self.io(name, source))
    }

    fn size(&self, name: &str) -> Result<u64, OpenError> {
        let size = self.disk.open(name).and_then(|file| file.size());
        size.map_err(|source| self.io(name, source))
    }

    fn io(&self, name: &str, source: io::Error) -> OpenError {
        OpenError::Io { path: self.path(name), source }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }
}

const INTERRUPTED: &str = "its writing was interrupted";
const REMOVED: &str = "it was being taken away";
const REPLACED: &str = "a snapshot has replaced it";
const MADE_AHEAD: &str = "it was made ahead, and holds nothing";

/// The index that a segment with these bytes has; None for one that is not to have any.
pub(crate) fn index_of(number: u64, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut builder = IndexBuilder::new(u32::try_from(number).ok()?, u64::MAX);
    builder.add_records(bytes.get(HEADER_SIZE..)?, HEADER_SIZE as u64);
    builder.finish(bytes.len() as u64, index::tail_of(bytes))
}
