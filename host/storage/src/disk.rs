//! What the log needs of a disk, and the real one: a folder of files.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, fdatasync, fsync};
use rustix::io::{Errno, pread, pwrite, pwritev};

/// Most parts that one system call takes (Linux's IOV_MAX).
const PARTS_MAX: usize = 1024;

/// A folder of files, flat. What was written is on disk only after a sync: of the file for its
/// bytes, of the folder for the names in it.
pub trait Disk: Send + Sync {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file that is there.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Makes an empty file; one of that name is emptied.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Gives the file another name, in place of whatever had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Takes the file away.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync(&self) -> io::Result<()>;
    /// Random bits that nobody outside can guess.
    fn random(&self) -> io::Result<u64>;
    /// Where the file is, for messages to people; for "" where the folder is.
    fn path(&self, name: &str) -> PathBuf;
}

/// An open file; may be read and written by several threads at once.
pub trait DiskFile: Send + Sync {
    /// Its size in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Reads from `offset` on; fewer bytes than asked for only at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `bytes`. After an error any part of them may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Writes all of the parts, one after the other; as [`DiskFile::write_at`].
    fn write_parts_at(&self, mut offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        for part in parts {
            self.write_at(offset, part)?;
            offset += part.len() as u64;
        }
        Ok(())
    }
    /// Cuts the file, or lengthens it with zeros.
    fn set_size(&self, size: u64) -> io::Result<()>;
    /// Takes the space for all bytes before `size`, which are zeros where nothing was written, and
    /// makes the file as long. Writes there change nothing but bytes, so that a sync has less to do.
    fn allocate(&self, size: u64) -> io::Result<()>;
    /// Makes bytes and size durable. After an error nobody knows what is, and asking again may
    /// answer yes without having done it: the kernel forgets pages that it failed to write.
    fn sync(&self) -> io::Result<()>;
}

/// Reads a whole file.
pub(crate) fn read_all(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let size = usize::try_from(file.size()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; size];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// A folder of the file system.
#[derive(Debug)]
pub struct FolderDisk {
    folder: PathBuf,
}

impl FolderDisk {
    /// The disk of a folder, which is made where it doesn't exist.
    pub fn open(folder: &Path) -> io::Result<Self> {
        if !folder.is_dir() {
            std::fs::create_dir_all(folder)?;
            sync_folder(folder.parent().unwrap_or(folder))?;
        }
        Ok(Self { folder: folder.to_owned() })
    }
}

impl Disk for FolderDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.folder)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(self.path(name))?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Box::new(options.open(self.path(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn sync(&self) -> io::Result<()> {
        sync_folder(&self.folder)
    }

    fn random(&self) -> io::Result<u64> {
        Ok(getrandom::u64()?)
    }

    fn path(&self, name: &str) -> PathBuf {
        // Joining "" would end the folder's name in a slash.
        if name.is_empty() { self.folder.clone() } else { self.folder.join(name) }
    }
}

/// Makes the names in a folder durable; "" is the working directory.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    Ok(fsync(File::open(folder)?)?)
}

impl DiskFile for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match pread(self, &mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            match pwrite(self, &bytes[done..], offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => done += written,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn write_parts_at(&self, mut offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        for parts in parts.chunks(PARTS_MAX) {
            let mut slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
            let mut slices = slices.as_mut_slice();
            // Takes away what is empty, so that a write of nothing can't be taken for trouble.
            IoSlice::advance_slices(&mut slices, 0);
            while !slices.is_empty() {
                match pwritev(self, slices, offset) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        offset += written as u64;
                        IoSlice::advance_slices(&mut slices, written);
                    }
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        Ok(fallocate(self, FallocateFlags::empty(), 0, size)?)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(fdatasync(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_files_by_name() {
        let place = tempfile::tempdir().unwrap();
        let disk = FolderDisk::open(&place.path().join("new")).unwrap();
        let file = disk.create("a").unwrap();
        file.write_at(3, b"xyz").unwrap();
        file.sync().unwrap();
        disk.rename("a", "b").unwrap();
        disk.sync().unwrap();
        assert_eq!(disk.list().unwrap(), ["b"]);
        let file = disk.open("b").unwrap();
        assert_eq!(read_all(&*file).unwrap(), b"\0\0\0xyz");
        let many = vec![&b"ab"[..]; 2 * PARTS_MAX + 1];
        file.write_parts_at(6, &[&b"123"[..], b"", b"45"]).unwrap();
        file.write_parts_at(11, &many).unwrap();
        assert_eq!(read_all(&*file).unwrap()[3..], [&b"xyz12345"[..], &many.concat()].concat());
        file.set_size(4).unwrap();
        assert_eq!(file.size().unwrap(), 4);
        disk.remove("b").unwrap();
        assert!(disk.open("b").is_err());
    }
}
