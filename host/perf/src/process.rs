//! What a process costs, and which one listens on an address: from `/proc`.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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

/// The process of this machine to which a connection to the address goes; `None` where there is
/// none, or where it belongs to somebody whose open files may not be seen.
pub(crate) fn listening_on(address: SocketAddr) -> Option<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = tables.iter().filter_map(|path| fs::read_to_string(path).ok());
    let sockets: Vec<_> = tables.flat_map(|table| listeners(&table)).collect();
    let links = taking(&sockets, address);
    if links.is_empty() {
        return None;
    }
    let holds = |folder: &Path| {
        let files = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
        let mut files = files.filter_map(|file| fs::read_link(file.path()).ok());
        files.any(|file| links.iter().any(|link| file.as_os_str() == *link))
    };
    let folders = fs::read_dir("/proc").ok()?.flatten();
    folders.into_iter().find_map(|folder| {
        let id = folder.file_name().to_str()?.parse().ok()?;
        holds(&folder.path()).then_some(id)
    })
}

/// Those that take connections to the address: who listens on it alone comes before who listens
/// on all of its family, and IPv6 takes what IPv4 leaves.
fn taking(sockets: &[(SocketAddr, String)], address: SocketAddr) -> Vec<&str> {
    let of_family = match address.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let ips = [address.ip(), of_family, Ipv6Addr::UNSPECIFIED.into()];
    let links = ips.map(|ip| {
        let listener = SocketAddr::new(ip, address.port());
        let sockets = sockets.iter().filter(|(own, _)| *own == listener);
        sockets.map(|(_, link)| link.as_str()).collect::<Vec<_>>()
    });
    links.into_iter().find(|links| !links.is_empty()).unwrap_or_default()
}

/// The sockets that listen, with their links under `/proc/PID/fd`.
fn listeners(table: &str) -> Vec<(SocketAddr, String)> {
    let lines = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let address = socket_address(fields.get(1)?)?;
        (*fields.get(3)? == LISTENING).then_some(())?;
        Some((address, format!("socket:[{}]", fields.get(9)?)))
    });
    lines.collect()
}

/// An address as Linux writes it there: words of 32 bits in hexadecimal, each with its bytes as
/// they are in memory.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let mut octets = Vec::with_capacity(16);
    for at in (0..ip.len()).step_by(8) {
        let word = u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?;
        octets.extend_from_slice(&word.to_ne_bytes());
    }
    let ip = match octets.as_slice() {
        [a, b, c, d] => IpAddr::from([*a, *b, *c, *d]),
        octets => IpAddr::from(<[u8; 16]>::try_from(octets).ok()?).to_canonical(),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
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
    fn who_listens_is_found_by_the_address() {
        for own in ["127.0.0.1:0", "[::]:0"] {
            let listener = TcpListener::bind(own).unwrap();
            let port = listener.local_addr().unwrap().port();
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            assert_eq!(listening_on(address), Some(process::id()), "{own}");
            drop(listener);
            assert_eq!(listening_on(address), None, "{own}");
        }
    }

    #[test]
    fn who_listens_on_another_address_of_the_port_is_somebody_else() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listening_on(SocketAddr::from(([127, 0, 0, 2], port))), None);
    }

    #[test]
    fn who_listens_on_an_address_alone_takes_what_comes_to_it() {
        let listeners = ["127.0.0.1:5", "0.0.0.0:5", "[::]:5", "[::]:6", "0.0.0.0:7"];
        let sockets = listeners.map(|own| (own.parse().unwrap(), own.to_owned()));
        let check = |address: &str, expected: &[&str]| {
            assert_eq!(taking(&sockets, address.parse().unwrap()), expected, "{address}");
        };
        check("127.0.0.1:5", &["127.0.0.1:5"]);
        check("127.0.0.2:5", &["0.0.0.0:5"]);
        check("[::1]:5", &["[::]:5"]);
        check("127.0.0.1:6", &["[::]:6"]);
        check("[::1]:7", &[]);
        check("127.0.0.1:8", &[]);
    }

    #[test]
    fn addresses_are_read_as_linux_writes_them() {
        let check = |text, expected: &str| {
            assert_eq!(socket_address(text), Some(expected.parse().unwrap()), "{text}");
        };
        if cfg!(target_endian = "little") {
            check("0100007F:1628", "127.0.0.1:5672");
            check("00000000000000000000000001000000:1628", "[::1]:5672");
            check("0000000000000000FFFF00000100007F:1628", "127.0.0.1:5672");
        }
        check("00000000000000000000000000000000:0001", "[::]:1");
        for bad in ["", ":1628", "0100007F", "0100007:1628", "0100007FFF:1628", "x:1"] {
            assert_eq!(socket_address(bad), None, "{bad}");
        }
    }

    #[test]
    fn this_process_uses_memory() {
        let usage = usage("self").unwrap();
        assert!(usage.rss > 0 && usage.rss_max >= usage.rss, "{usage:?}");
        assert!(super::usage("0").is_err());
    }
}
