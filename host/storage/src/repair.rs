//! Makes a damaged log whole again, without what can't be read.
//!
//! A file is never changed in place: what it shall be is written beside it, synced, and renamed.
//! Whenever a repair is interrupted, each file is what it was or what it shall be, and the next
//! repair, or start, takes it from there. What is taken out of a file was confirmed once, so the
//! damaged file is kept, whole, under another name.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use crate::check::{self, FileCheck, Inspected, Inspection, LogRole};
use crate::disk::{Disk, read_all};
use crate::header::{self, FileRole, HEADER_SIZE};
use crate::record::{self, KIND_REMOVED, KIND_SEGMENT_END, RECORD_OVERHEAD};
use crate::recover::{CutTail, Damage, OpenError};
use crate::scan::Scan;
use crate::segments::index;
use crate::verdict::Verdict;

/// Most bytes that one record of what was taken out stands for.
const REMOVED_SIZE_MAX: usize = 1024 * 1024;

/// Something that a repair does, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Cut what a crash left of a batch, as a start does.
    CutTail(CutTail),
    /// Take out of the file what can't be read; the file as it was is kept.
    TakeOut {
        /// The file.
        path: PathBuf,
        /// What is taken out. Damage of no bytes is an end or a header that is written again.
        damaged: Vec<Damage>,
        /// Where the file is kept as it was.
        kept: PathBuf,
    },
    /// Write a segment's index again, or take one away that is none.
    RewriteIndex(PathBuf),
    /// Take away what the next start would take away.
    RemoveLeftover {
        /// The file.
        path: PathBuf,
        /// Why it is not needed.
        why: &'static str,
    },
    /// Nothing can be done: the bytes are nowhere else.
    Beyond(Damage),
}

/// Repairs a log that nobody else has open, and tells each step before it is done. Without
/// `write`, nothing is done.
///
/// # Errors
/// A file can't be read or written, or is of a version that this build doesn't know. The log is
/// no worse than before.
pub fn repair_log(
    disk: &dyn Disk,
    role: LogRole,
    write: bool,
    each: &mut dyn FnMut(Repair),
) -> Result<(), OpenError> {
    let names = check::list(disk)?;
    check::walk(disk, role, &names, &mut |inspection| {
        let path = inspection.check.path.clone();
        repair_file(disk, &names, inspection, write, each)
            .map_err(|source| OpenError::Io { path, source })
    })
}

fn repair_file(
    disk: &dyn Disk,
    names: &[String],
    inspection: Inspection,
    write: bool,
    each: &mut dyn FnMut(Repair),
) -> io::Result<()> {
    let Inspection { name, check, what } = inspection;
    let FileCheck { path, damaged, cut_tail, leftover, .. } = check;
    if let Some(why) = leftover {
        each(Repair::RemoveLeftover { path, why });
        if write {
            remove(disk, &name)?;
            disk.sync()?;
        }
        return Ok(());
    }
    match what {
        Inspected::Index(due) if !damaged.is_empty() => {
            each(Repair::RewriteIndex(path));
            if write {
                write_index(disk, &name, due)?;
            }
        }
        Inspected::Batches { role, number, id, bytes, verdict, is_last }
            if !damaged.is_empty() || cut_tail.is_some() =>
        {
            let Some(whole) = without_flaws(role, id, &bytes, &verdict, is_last) else {
                damaged.into_iter().for_each(|damage| each(Repair::Beyond(damage)));
                return Ok(());
            };
            let kept = kept_name(disk, names, &name, &bytes)?;
            if !damaged.is_empty() {
                let kept = disk.path(&kept);
                each(Repair::TakeOut { path, damaged: damaged.clone(), kept });
            }
            cut_tail.into_iter().for_each(|cut| each(Repair::CutTail(cut)));
            if !write {
                return Ok(());
            }
            if !damaged.is_empty() && !names.contains(&kept) {
                replace(disk, &kept, &bytes)?;
            }
            if role == FileRole::Segment {
                // One that knows the file as it was would pass for an index of what it becomes.
                index::remove(disk, number as u32);
                disk.sync()?;
            }
            if role == FileRole::Segment && is_last && !Scan::of(&whole, id).has_records {
                // It would count as made ahead, and nothing is left in it.
                disk.remove(&name)?;
                return disk.sync();
            }
            replace(disk, &name, &whole)?;
            if role == FileRole::Segment && !is_last {
                let due = check::index_of(number, &whole);
                write_index(disk, &FileRole::Index.file_name(number), due)?;
            }
        }
        _ => damaged.into_iter().for_each(|damage| each(Repair::Beyond(damage))),
    }
    Ok(())
}

/// The file's bytes without what is wrong. Whole records stay where they are; what can't be read
/// becomes records that say nothing. None where that can't be done.
fn without_flaws(
    role: FileRole,
    id: u64,
    bytes: &[u8],
    verdict: &Verdict,
    is_last: bool,
) -> Option<Vec<u8>> {
    let mut whole = header::encode(role, id);
    whole.extend_from_slice(bytes.get(HEADER_SIZE..verdict.end).unwrap_or_default());
    let in_records = verdict.flaws.iter().filter(|flaw| flaw.range.start >= HEADER_SIZE);
    for flaw in in_records.filter(|flaw| !flaw.range.is_empty()) {
        if flaw.range.end >= bytes.len() {
            whole.truncate(flaw.range.start);
        } else {
            put_removed(&mut whole, id, flaw.range.clone())?;
        }
    }
    let is_ended = || Scan::of(&whole, id).last_kind == Some(KIND_SEGMENT_END);
    if role == FileRole::Segment && !is_last && !is_ended() {
        let offset = whole.len() as u64;
        record::put(&mut whole, id, offset, KIND_SEGMENT_END, b"");
    }
    Some(whole)
}

/// Puts records that say nothing in the place of these bytes.
fn put_removed(bytes: &mut [u8], id: u64, range: Range<usize>) -> Option<()> {
    let mut offset = range.start;
    while offset < range.end {
        let left = range.end - offset;
        // What remains must have room for another record.
        let size = match left <= REMOVED_SIZE_MAX {
            true => left,
            false => REMOVED_SIZE_MAX.min(left - RECORD_OVERHEAD),
        };
        let payload = vec![0; size.checked_sub(RECORD_OVERHEAD)?];
        let mut removed = Vec::with_capacity(size);
        record::put(&mut removed, id, offset as u64, KIND_REMOVED, &payload);
        bytes.get_mut(offset..offset + size)?.copy_from_slice(&removed);
        offset += size;
    }
    Some(())
}

/// A name to keep the damaged file under: a new one, or the one where an interrupted repair has
/// kept the same bytes.
fn kept_name(disk: &dyn Disk, names: &[String], name: &str, bytes: &[u8]) -> io::Result<String> {
    let mut number = 1;
    loop {
        let kept = format!("{name}.damaged-{number}");
        if !names.contains(&kept) || read_all(&*disk.open(&kept)?)? == bytes {
            return Ok(kept);
        }
        number += 1;
    }
}

/// Puts a file with these bytes in the place of whatever has the name, durably: after a crash
/// there is one or the other.
pub(crate) fn replace(disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}.tmp");
    let file = disk.create(&temporary)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    disk.rename(&temporary, name)?;
    disk.sync()
}

fn write_index(disk: &dyn Disk, name: &str, due: Option<Vec<u8>>) -> io::Result<()> {
    match due {
        Some(bytes) => {
            let file = disk.create(name)?;
            file.write_at(0, &bytes)?;
            file.sync()?;
        }
        None => remove(disk, name)?,
    }
    disk.sync()
}

/// Takes a file away, if it is still there: an index goes with what its segment is repaired of.
fn remove(disk: &dyn Disk, name: &str) -> io::Result<()> {
    match disk.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
#[path = "repair_tests.rs"]
mod tests;
