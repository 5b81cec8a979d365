//! One process has the data folder: an advisory lock on its file `LOCK`, with the process's id
//! inside for whoever is refused.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The lock's name in the folder.
pub(crate) const LOCK_NAME: &str = "LOCK";

/// The folder's lock; given back when dropped, or when the process ends in whatever way.
#[derive(Debug)]
pub struct FolderLock {
    /// Holds the lock as long as it is open.
    _file: File,
}

/// Why a folder is not ours alone.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{folder} is in use by another shunt (process {pid})", folder = folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// What the other process wrote into the lock.
        pid: String,
    },
    /// The lock can't be made or written.
    #[error("can't lock {path}", path = path.display())]
    Io {
        /// The lock.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FolderLock {
    /// Takes the lock, or says who has it.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join(LOCK_NAME);
        let io = |source| LockError::Io { path: path.clone(), source };
        let mut options = OpenOptions::new();
        // Not truncated on opening: it may be another's, with its id inside.
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                let pid = if pid.trim().is_empty() { "unknown" } else { pid.trim() }.to_owned();
                return Err(LockError::InUse { folder: folder.to_owned(), pid });
            }
            Err(error) => return Err(io(error.into())),
        }
        let mut write_pid = || {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write_pid().map_err(io)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_refused_until_the_first_is_gone() {
        let place = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(place.path()).unwrap();
        let error = FolderLock::take(place.path()).unwrap_err();
        let (folder, pid) = (place.path().display(), std::process::id());
        assert_eq!(
            error.to_string(),
            format!("{folder} is in use by another shunt (process {pid})")
        );
        drop(lock);
        FolderLock::take(place.path()).unwrap();
    }
}
