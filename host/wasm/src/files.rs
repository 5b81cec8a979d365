//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

/// SHA-256 in lower-case hexadecimal: the address of a module.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes a file under another name, syncs and renames it, then syncs the directory.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let count = WRITES.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_extension(format!("tmp-{}-{count}", std::process::id()));
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // What is left of a failed write is only in the way.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(directory)?.sync_all()
}

/// The bytes of deployed modules, each under its SHA-256.
pub(crate) struct ModuleFiles {
    directory: PathBuf,
}

impl ModuleFiles {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.directory.join(format!("{sha256}.wasm"))
    }

    pub(crate) fn put(&self, sha256: &str, bytes: &[u8]) -> io::Result<()> {
        // The same bytes again: nothing to write, unless what is there is damaged.
        if self.get(sha256).is_ok() {
            return Ok(());
        }
        write_atomically(&self.path(sha256), bytes)
    }

    /// The module's bytes, checked against their address.
    pub(crate) fn get(&self, sha256: &str) -> Result<Vec<u8>, String> {
        let path = self.path(sha256);
        let bytes = fs::read(&path)
            .map_err(|error| format!("can't read the module {}: {error}", path.display()))?;
        if sha256_hex(&bytes) == sha256 {
            Ok(bytes)
        } else {
            Err(format!("the module {} is damaged: its SHA-256 isn't its name", path.display()))
        }
    }

    pub(crate) fn remove(&self, sha256: &str) {
        // A module that stays behind costs room and nothing else.
        let _ = fs::remove_file(self.path(sha256));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_found_by_its_address_and_a_damaged_one_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let files = ModuleFiles::new(directory.path().join("modules"));
        let sha256 = sha256_hex(b"abc");
        assert_eq!(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(files.get(&sha256).unwrap_err().contains("can't read"));
        files.put(&sha256, b"abc").unwrap();
        assert_eq!(files.get(&sha256).unwrap(), b"abc");
        fs::write(files.path(&sha256), b"abd").unwrap();
        assert!(files.get(&sha256).unwrap_err().contains("damaged"));
        files.put(&sha256, b"abc").unwrap();
        assert_eq!(files.get(&sha256).unwrap(), b"abc");
        let names: Vec<_> = fs::read_dir(directory.path().join("modules")).unwrap().collect();
        assert_eq!(names.len(), 1);
    }
}
