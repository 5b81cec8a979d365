//! A snapshot's file: all that the log said before it, in parts that have checksums.
//!
//! Written under another name, synced, then renamed: under its own name it is whole, or it was
//! damaged later.

use std::io;

use crate::disk::{Disk, read_all};
use crate::header::{self, FileRole, HEADER_SIZE};
use crate::record::{self, Found, KIND_SNAPSHOT_END, KIND_SNAPSHOT_PART};
use crate::recover::OpenError;

/// Bytes of one part; a multiple of a page, and far below what a record may have.
const PART_SIZE: usize = 1024 * 1024;

/// The name under which a snapshot is written until it is whole.
pub(crate) fn temporary_name(number: u64) -> String {
    format!("{}.tmp", FileRole::Snapshot.file_name(number))
}

/// Writes the snapshot durably, and answers its file's size.
pub(crate) fn write(disk: &dyn Disk, number: u64, content: &[u8]) -> io::Result<u64> {
    let mut bytes = header::encode(FileRole::Snapshot, number);
    for part in content.chunks(PART_SIZE) {
        let offset = bytes.len() as u64;
        record::put(&mut bytes, number, offset, KIND_SNAPSHOT_PART, part);
    }
    let (offset, size) = (bytes.len() as u64, content.len() as u64);
    record::put(&mut bytes, number, offset, KIND_SNAPSHOT_END, &size.to_le_bytes());

    let temporary = temporary_name(number);
    let file = disk.create(&temporary)?;
    file.write_at(0, &bytes)?;
    file.sync()?;
    disk.rename(&temporary, &FileRole::Snapshot.file_name(number))?;
    disk.sync()?;
    Ok(bytes.len() as u64)
}

/// Reads the snapshot. One that is damaged is an error: it stands for commands that are nowhere
/// else, and to go on without them would be to forget them.
pub(crate) fn read(disk: &dyn Disk, number: u64) -> Result<(Vec<u8>, u64), OpenError> {
    let name = FileRole::Snapshot.file_name(number);
    let io = |source| OpenError::Io { path: disk.path(&name), source };
    let bytes = disk.open(&name).and_then(|file| read_all(&*file)).map_err(io)?;
    let damaged = |offset: usize, reason| OpenError::SnapshotDamaged {
        path: disk.path(&name),
        offset: offset as u64,
        reason,
    };
    if header::check(FileRole::Snapshot, number, &bytes, || disk.path(&name))?.is_none() {
        return Err(damaged(0, "the header is wrong"));
    }
    let mut content = Vec::new();
    let mut offset = HEADER_SIZE;
    loop {
        match record::read(&bytes, number, offset) {
            Found::Record { kind: KIND_SNAPSHOT_PART, payload, next } => {
                content.extend_from_slice(payload);
                offset = next;
            }
            Found::Record { kind: KIND_SNAPSHOT_END, payload, .. }
                if payload == (content.len() as u64).to_le_bytes() =>
            {
                return Ok((content, bytes.len() as u64));
            }
            Found::Record { .. } => return Err(damaged(offset, "parts are missing")),
            Found::NotWritten => return Err(damaged(offset, "the end is missing")),
            Found::Damaged(reason) => return Err(damaged(offset, reason)),
        }
    }
}
