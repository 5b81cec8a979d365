//! A file system that is small enough to be filled.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use tempfile::TempDir;

/// A file system in memory; it is unmounted when this is dropped.
#[derive(Debug)]
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts one of so many bytes, which takes the right to.
    pub fn mount(bytes: u64) -> anyhow::Result<Self> {
        let place = tempfile::Builder::new().prefix("shunt-disk-").tempdir()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o"]).arg(format!("size={bytes}")).arg("tmpfs");
        let output = mount.arg(place.path()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(Self(place))
    }

    /// Has it take no more writes.
    pub fn make_read_only(&self) -> anyhow::Result<()> {
        let mut mount = Command::new("mount");
        let output = mount.args(["-o", "remount,ro"]).arg(self.path()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a node may still be about to end.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}
