//! A disk in memory that fails as real ones do, by seed: for tests of the log and of whatever
//! stands on it.
//!
//! It keeps apart what was written and what was synced. [`FaultyDisk::crash`] is the loss of
//! power: what was synced is there, each write since may be there, or in part, or garbage, or
//! not at all, in whatever order; some of the changes of names since the folder's last sync
//! have happened.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use crate::{Disk, DiskFile};

/// How often what fails; of 1 000 calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Writes that end in EIO after a part of the bytes.
    pub write_error_per_mille: u32,
    /// Syncs, of files and of the folder, that end in EIO and lose some of what they should sync.
    pub sync_error_per_mille: u32,
    /// Reads that end in EIO.
    pub read_error_per_mille: u32,
    /// Bytes that all files together may hold before a write ends in ENOSPC after a part.
    pub space_max: Option<u64>,
}

/// A disk in memory; clones are the same disk.
#[derive(Clone, Debug)]
pub struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    random: Random,
    faults: Faults,
    /// Names as programs see them, and as the last sync of the folder left them.
    names: BTreeMap<String, FileKey>,
    synced_names: BTreeMap<String, FileKey>,
    /// What was done to names since.
    name_changes: Vec<NameChange>,
    /// In order, so that a seed says which of them a crash hits how.
    files: BTreeMap<FileKey, Content>,
    next_key: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FileKey(u64);

#[derive(Clone, Debug)]
enum NameChange {
    Put(String, FileKey),
    Rename(String, String),
    Remove(String),
}

/// Bytes that come to the disk together or not at all: few, so that a small file has many.
const PAGE_SIZE: usize = 64;

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    /// What was done to the bytes since the last sync.
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    SetSize(usize),
}

impl FaultyDisk {
    /// An empty disk without faults; the seed decides about everything that is left to chance.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: Random(seed),
            faults: Faults::default(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            name_changes: Vec::new(),
            files: BTreeMap::new(),
            next_key: 0,
        })))
    }

    /// Sets what fails from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// The power goes, and comes back. Files that were open are not to be used any more.
    pub fn crash(&self) {
        let state = &mut *self.state();
        // A file system with a journal would keep the changes' order; not every one has one.
        for change in std::mem::take(&mut state.name_changes) {
            if state.random.below(2) == 0 {
                apply_name(&mut state.synced_names, change);
            }
        }
        state.names = state.synced_names.clone();
        for content in state.files.values_mut() {
            content.crash(&mut state.random);
        }
    }

    /// Flips one bit of a file, synced or not.
    pub fn flip_bit(&self, name: &str, offset: usize, bit: u32) {
        let state = &mut *self.state();
        let content = state.names.get(name).and_then(|key| state.files.get_mut(key));
        if let Some(content) = content {
            for bytes in [&mut content.bytes, &mut content.synced] {
                if let Some(byte) = bytes.get_mut(offset) {
                    *byte ^= 1 << (bit % 8);
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn apply_name(names: &mut BTreeMap<String, FileKey>, change: NameChange) {
    match change {
        NameChange::Put(name, key) => drop(names.insert(name, key)),
        NameChange::Remove(name) => drop(names.remove(&name)),
        NameChange::Rename(from, to) => {
            if let Some(key) = names.remove(&from) {
                names.insert(to, key);
            }
        }
    }
}

impl State {
    fn change_name(&mut self, change: NameChange) {
        apply_name(&mut self.names, change.clone());
        self.name_changes.push(change);
    }

    fn key(&self, name: &str) -> io::Result<FileKey> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn space_used(&self) -> u64 {
        self.names.values().filter_map(|key| self.files.get(key)).map(Content::size).sum()
    }
}

impl Content {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.bytes, &change);
        self.changes.push(change);
    }

    /// Each change since the sync may be lost, and a write may be torn or garbage at its end.
    fn crash(&mut self, random: &mut Random) {
        for mut change in std::mem::take(&mut self.changes) {
            match (&mut change, random.below(5)) {
                (_, 0) => continue,
                // Pages come in any order, and some not at all.
                (Change::Write(offset, bytes), 4) => {
                    let (mut from, end) = (*offset, *offset + bytes.len());
                    while from < end {
                        let to = end.min((from / PAGE_SIZE + 1) * PAGE_SIZE);
                        if random.below(3) != 0 {
                            let part = bytes[from - *offset..to - *offset].to_vec();
                            apply(&mut self.synced, &Change::Write(from, part));
                        }
                        from = to;
                    }
                    continue;
                }
                (Change::Write(_, bytes), 1) => {
                    bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
                }
                (Change::Write(offset, bytes), 2) => {
                    let from = random.below(bytes.len() as u64 + 1) as usize;
                    for (at, byte) in bytes.iter_mut().enumerate().skip(from) {
                        let new = random.below(256) as u8;
                        if self.synced.get(*offset + at) != Some(byte) {
                            *byte = new;
                        }
                    }
                }
                _ => {}
            }
            apply(&mut self.synced, &change);
        }
        self.bytes = self.synced.clone();
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, bytes) => {
            let end = offset + bytes.len();
            content.resize(content.len().max(end), 0);
            content[*offset..end].copy_from_slice(bytes);
        }
        Change::SetSize(size) => content.resize(*size, 0),
    }
}

impl Disk for FaultyDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let key = self.state().key(name)?;
        Ok(Box::new(FaultyFile { disk: self.clone(), key }))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        // One of that name is emptied: whoever has it open has this one open.
        let there = state.key(name).ok();
        if let Some(key) = there {
            if let Some(content) = state.files.get_mut(&key) {
                content.change(Change::SetSize(0));
            }
            return Ok(Box::new(FaultyFile { disk: self.clone(), key }));
        }
        let key = FileKey(state.next_key);
        state.next_key += 1;
        state.files.insert(key, Content::default());
        state.change_name(NameChange::Put(name.to_owned(), key));
        Ok(Box::new(FaultyFile { disk: self.clone(), key }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.key(from)?;
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.key(name)?;
        state.change_name(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        let per_mille = state.faults.sync_error_per_mille;
        if state.random.happens(per_mille) {
            return Err(Errno::IO.into());
        }
        state.name_changes.clear();
        state.synced_names = state.names.clone();
        Ok(())
    }

    fn random(&self) -> io::Result<u64> {
        Ok(self.state().random.next())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/faulty").join(name)
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    key: FileKey,
}

impl FaultyFile {
    fn with<T>(&self, f: impl FnOnce(&mut Content, &mut Random) -> T) -> io::Result<T> {
        let state = &mut *self.disk.state();
        let content = state.files.get_mut(&self.key).ok_or(io::ErrorKind::NotFound)?;
        Ok(f(content, &mut state.random))
    }
}

impl DiskFile for FaultyFile {
    fn size(&self) -> io::Result<u64> {
        self.with(|content, _| content.size())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let per_mille = self.disk.state().faults.read_error_per_mille;
        self.with(|content, random| {
            if random.happens(per_mille) {
                return Err(Errno::IO.into());
            }
            let from = content.bytes.len().min(offset as usize);
            let length = buffer.len().min(content.bytes.len() - from);
            buffer[..length].copy_from_slice(&content.bytes[from..from + length]);
            Ok(length)
        })?
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (per_mille, space) = {
            let state = self.disk.state();
            let space_max = state.faults.space_max.unwrap_or(u64::MAX);
            (state.faults.write_error_per_mille, space_max.saturating_sub(state.space_used()))
        };
        self.with(|content, random| {
            let grows = (offset + bytes.len() as u64).saturating_sub(content.size());
            let error = match grows > space {
                true => Some((Errno::NOSPC, bytes.len() - (grows - space) as usize)),
                false => random
                    .happens(per_mille)
                    .then(|| (Errno::IO, random.below(bytes.len() as u64 + 1) as usize)),
            };
            let written = error.map_or(bytes.len(), |(_, written)| written);
            content.change(Change::Write(offset as usize, bytes[..written].to_vec()));
            error.map_or(Ok(()), |(errno, _)| Err(errno.into()))
        })?
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.with(|content, _| content.change(Change::SetSize(size as usize)))
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        let space = {
            let state = self.disk.state();
            state.faults.space_max.unwrap_or(u64::MAX).saturating_sub(state.space_used())
        };
        self.with(|content, _| match size.saturating_sub(content.size()) {
            0 => Ok(()),
            grows if grows > space => Err(Errno::NOSPC.into()),
            _ => {
                content.change(Change::SetSize(size as usize));
                Ok(())
            }
        })?
    }

    fn sync(&self) -> io::Result<()> {
        let per_mille = self.disk.state().faults.sync_error_per_mille;
        self.with(|content, random| {
            if random.happens(per_mille) {
                // As Linux does it: some pages were not written and are taken for clean from now
                // on, so that the next sync succeeds without them.
                content.changes.retain(|_| random.below(2) == 0);
                return Err(Errno::IO.into());
            }
            for change in std::mem::take(&mut content.changes) {
                apply(&mut content.synced, &change);
            }
            Ok(())
        })?
    }
}

/// The random numbers of a seed (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; the bias of a remainder does no harm here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn happens(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) < u64::from(per_mille)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::read_all;

    #[test]
    fn a_crash_keeps_what_was_synced() {
        for seed in 0..200 {
            let disk = FaultyDisk::new(seed);
            let file = disk.create("a").unwrap();
            file.write_at(0, b"synced").unwrap();
            file.sync().unwrap();
            disk.sync().unwrap();
            file.write_at(6, b" and not").unwrap();
            disk.create("b").unwrap();
            disk.crash();
            let bytes = read_all(&*disk.open("a").unwrap()).unwrap();
            assert!(bytes.starts_with(b"synced"), "seed {seed}");
        }
    }

    #[test]
    fn a_full_disk_takes_a_part() {
        let disk = FaultyDisk::new(1);
        disk.set_faults(Faults { space_max: Some(4), ..Faults::default() });
        let file = disk.create("a").unwrap();
        let error = file.write_at(0, b"123456").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(read_all(&*file).unwrap(), b"1234");
    }
}
