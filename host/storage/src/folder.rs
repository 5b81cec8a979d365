//! The data folder: whether it is ours, of which version, and ours alone.
//!
//! The file `shunt.version` marks it. A folder with other things in it and without the mark is
//! somebody else's and stays untouched.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, FolderDisk};
use crate::lock::{FolderLock, LOCK_NAME, LockError};

const MARKER_NAME: &str = "shunt.version";
const MARKER_TEMPORARY_NAME: &str = "shunt.version.tmp";
const MARKER_MAGIC: &str = "shunt data folder, format ";
/// The version of what the folder holds and where; each file has its own beside.
const FOLDER_VERSION: u32 = 1;

/// A data folder that this process has to itself.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// Given back with the folder.
    _lock: FolderLock,
}

/// Why a folder can't be the data folder. Nothing in it was changed then.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A folder with files in it that no shunt made.
    #[error(
        "{path}: the folder is not empty and has no {MARKER_NAME}: not a data folder of shunt",
        path = path.display()
    )]
    NotOurs {
        /// The folder.
        path: PathBuf,
    },
    /// There is no folder, or one without a mark, where one must be.
    #[error("{path}: no data folder of shunt", path = path.display())]
    NoDataFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The marker is no marker.
    #[error("{path}: not the mark of a data folder of shunt", path = path.display())]
    MarkerDamaged {
        /// The marker.
        path: PathBuf,
    },
    /// Made by a shunt that knew more.
    #[error(
        "{path}: the data folder has format version {version}, this shunt knows version \
         {FOLDER_VERSION}: start a newer shunt on it",
        path = path.display()
    )]
    NewerVersion {
        /// The folder.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// Another process has it.
    #[error(transparent)]
    Locked(LockError),
    /// The system refused, for instance for want of rights or space.
    #[error("can't use the data folder {path}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DataFolder {
    /// Opens the folder; makes it where there is none, marks it where it is empty.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let io = |source| FolderError::Io { path: path.to_owned(), source };
        let made = !path.exists();
        let disk = FolderDisk::open(path).map_err(io)?;
        let is_new = !is_marked(&disk)?;
        if is_new && !disk.list().map_err(io)?.iter().all(|name| may_be_in_new_folder(name)) {
            return Err(FolderError::NotOurs { path: path.to_owned() });
        }
        let lock = FolderLock::take(path).map_err(FolderError::Locked);
        let lock = lock.inspect_err(|error| {
            if !matches!(error, FolderError::Locked(LockError::InUse { .. })) && is_new {
                undo(path, made);
            }
        })?;
        // Asked again under the lock: another shunt may have been as quick.
        if is_new && !is_marked(&disk)? {
            mark(&disk).map_err(io).inspect_err(|_| undo(path, made))?;
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Opens a folder that is marked; makes nothing but the lock.
    pub fn open_existing(path: &Path) -> Result<Self, FolderError> {
        let missing = || FolderError::NoDataFolder { path: path.to_owned() };
        if !path.is_dir() {
            return Err(missing());
        }
        let io = |source| FolderError::Io { path: path.to_owned(), source };
        if !is_marked(&FolderDisk::open(path).map_err(io)?)? {
            return Err(missing());
        }
        let lock = FolderLock::take(path).map_err(FolderError::Locked)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The disk of a folder in it, which is made where there is none.
    pub fn disk(&self, name: &str) -> Result<FolderDisk, FolderError> {
        let path = self.path.join(name);
        FolderDisk::open(&path).map_err(|source| FolderError::Io { path, source })
    }

    /// The disk of a folder in it, if there is one.
    pub fn existing_disk(&self, name: &str) -> Result<Option<FolderDisk>, FolderError> {
        self.path.join(name).is_dir().then(|| self.disk(name)).transpose()
    }
}

/// What an interrupted first start may leave, and what a file system has at its root.
fn may_be_in_new_folder(name: &str) -> bool {
    [LOCK_NAME, MARKER_TEMPORARY_NAME, "lost+found"].contains(&name)
}

/// Whether the folder has a marker, of a version that we know.
fn is_marked(disk: &FolderDisk) -> Result<bool, FolderError> {
    let path = disk.path(MARKER_NAME);
    let marker = match std::fs::read(&path) {
        Ok(marker) => marker,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(FolderError::Io { path, source }),
    };
    let version = std::str::from_utf8(&marker)
        .ok()
        .and_then(|text| text.strip_prefix(MARKER_MAGIC))
        .and_then(|version| version.trim_end().parse().ok());
    match version {
        Some(FOLDER_VERSION) => Ok(true),
        Some(version) => Err(FolderError::NewerVersion { path: disk.path(""), version }),
        None => Err(FolderError::MarkerDamaged { path }),
    }
}

fn mark(disk: &FolderDisk) -> io::Result<()> {
    let file = disk.create(MARKER_TEMPORARY_NAME)?;
    file.write_at(0, format!("{MARKER_MAGIC}{FOLDER_VERSION}\n").as_bytes())?;
    file.sync()?;
    disk.rename(MARKER_TEMPORARY_NAME, MARKER_NAME)?;
    disk.sync()
}

/// Takes away what the failed first start made. Best effort: the error that led here is told.
fn undo(path: &Path, made: bool) {
    for name in [MARKER_TEMPORARY_NAME, LOCK_NAME] {
        let _ = std::fs::remove_file(path.join(name));
    }
    if made {
        let _ = std::fs::remove_dir(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(path: &Path, expected: &str) {
        let names = |path: &Path| {
            let mut names: Vec<_> =
                std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let before = names(path);
        let error = DataFolder::open(path).unwrap_err().to_string();
        let expected = expected.replace("FOLDER", &path.display().to_string());
        assert_eq!(error, expected);
        assert_eq!(names(path), before, "nothing changed");
    }

    #[test]
    fn a_folder_is_made_marked_and_opened_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("deep/data");
        drop(DataFolder::open(&path).unwrap());
        let folder = DataFolder::open(&path).unwrap();
        folder.disk("metadata").unwrap().create("x").unwrap();
        let error = DataFolder::open(&path).unwrap_err();
        assert!(matches!(error, FolderError::Locked(LockError::InUse { .. })));
    }

    #[test]
    fn a_folder_that_is_not_ours_stays_untouched() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("thesis.txt"), "").unwrap();
        let text = "FOLDER: the folder is not empty and has no shunt.version: \
                    not a data folder of shunt";
        check_refused(place.path(), text);
    }

    #[test]
    fn a_newer_version_and_a_wrong_marker_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let marker = place.path().join(MARKER_NAME);
        std::fs::write(&marker, format!("{MARKER_MAGIC}7\n")).unwrap();
        let text = "FOLDER: the data folder has format version 7, this shunt knows version 1: \
                    start a newer shunt on it";
        check_refused(place.path(), text);
        std::fs::write(&marker, "hello").unwrap();
        check_refused(place.path(), "FOLDER/shunt.version: not the mark of a data folder of shunt");
    }

    #[test]
    fn what_must_be_there_is_not_made() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data");
        let refused = |path| matches!(path, Err(FolderError::NoDataFolder { .. }));
        assert!(refused(DataFolder::open_existing(&path)) && !path.exists());
        assert!(refused(DataFolder::open_existing(place.path())));
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        drop(DataFolder::open(&path).unwrap());
        let folder = DataFolder::open_existing(&path).unwrap();
        assert!(folder.existing_disk("messages").unwrap().is_none());
        assert!(matches!(DataFolder::open_existing(&path), Err(FolderError::Locked(_))));
    }

    #[test]
    fn a_file_is_no_folder() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        std::fs::write(&path, "").unwrap();
        let error = DataFolder::open(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("can't use the data folder {}", path.display()));
        assert!(std::error::Error::source(&error).is_some(), "the system's reason");
    }
}
