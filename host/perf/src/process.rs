//! What a process costs, and which one listens on a port: from `/proc`.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// The unit of the times in `/proc`, fixed by Linux's ABI for user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// The state of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// What a process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// Seconds of processor time since its start, in user and kernel mode together.
    pub(crate) cpu_s: f64,
    /// Bytes of memory that it holds now.
    pub(crate) rss: u64,
    /// The most that it ever held.
    pub(crate) rss_max: u64,
}

/// What the process `id` has used, `self` for this one.
pub(crate) fn usage(id: &str) -> anyhow::Result<Usage> {
    let read = |name: &str| {
        let path = format!("/proc/{id}/{name}");
        fs::read_to_string(&path).with_context(|| format!("can't read {path}"))
    };
    let (stat, status) = (read("stat")?, read("status")?);
    let cpu_s =
        cpu_seconds(&stat).with_context(|| format!("/proc/{id}/stat is not as expected"))?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kib << 10)
    };
    // A process that has ended and that nobody has waited for is there, without memory.
    let rss = bytes("VmRSS:").with_context(|| format!("process {id} has ended"))?;
    let rss_max = bytes("VmHWM:").unwrap_or(rss);
    Ok(Usage { cpu_s, rss, rss_max })
}

/// Fields 14 and 15 of `stat`. The second field is a name in parentheses that may hold anything,
/// so fields count from behind it.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(") ")?;
    let mut fields = behind_name.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some((user + kernel) as f64 / TICKS_PER_SECOND)
}

/// The process of this machine that listens on a TCP port; `None` where there is none, or where
/// it belongs to somebody whose open files may not be seen.
pub(crate) fn listening_on(port: u16) -> Option<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = tables.iter().filter_map(|path| fs::read_to_string(path).ok());
    let inodes: Vec<String> = tables.flat_map(|table| inodes(&table, port)).collect();
    let holds = |folder: &Path| {
        let files = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
        let mut links = files.filter_map(|file| fs::read_link(file.path()).ok());
        links.any(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str()))
    };
    let folders = fs::read_dir("/proc").ok()?.flatten();
    folders.into_iter().find_map(|folder| {
        let id = folder.file_name().to_str()?.parse().ok()?;
        holds(&folder.path()).then_some(id)
    })
}

/// The sockets that listen on the port, as links under `/proc/PID/fd` name them.
fn inodes(table: &str, port: u16) -> Vec<String> {
    let lines = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        let listens = *fields.get(3)? == LISTENING;
        let same = u16::from_str_radix(local_port, 16) == Ok(port);
        (listens && same).then(|| format!("socket:[{}]", fields.get(9).unwrap_or(&"")))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process;

    use super::*;

    #[test]
    fn the_name_may_hold_anything() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 3 0 99";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("garbage"), None);
    }

    #[test]
    fn who_listens_is_found_by_the_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listening_on(port), Some(process::id()));
        drop(listener);
        assert_eq!(listening_on(port), None);
    }

    #[test]
    fn this_process_uses_memory() {
        let usage = usage("self").unwrap();
        assert!(usage.rss > 0 && usage.rss_max >= usage.rss, "{usage:?}");
        assert!(super::usage("0").is_err());
    }
}
