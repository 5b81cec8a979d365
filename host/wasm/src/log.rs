//! What routes write to their log, and how much of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use shunt_types::VhostName;

use crate::clock;
use crate::limits::{DRY_RUN_LOG_LINES_MAX, LOG_LINE_BYTES_MAX};

/// A version of a route, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRef {
    /// The virtual host.
    pub vhost: VhostName,
    /// The route's name.
    pub name: Arc<str>,
    /// The version; 0 while a module is being checked at deploy.
    pub version: u32,
}

impl fmt::Display for RouteRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route '{}' in vhost '{}', version {}", self.name, self.vhost, self.version)
    }
}

/// How much a line of a route's log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLevel {
    /// The level's name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The level that a guest gave; what is outside the scale is its nearest end.
    pub(crate) fn of_guest(level: i32) -> Self {
        match level {
            ..=0 => Self::Trace,
            1 => Self::Debug,
            2 => Self::Info,
            3 => Self::Warn,
            4.. => Self::Error,
        }
    }
}

/// Takes the lines that routes log. Called while a message is being routed: it must not block.
pub trait RouteLog: Send + Sync {
    /// One line; control characters in it are the guest's.
    fn log(&self, route: &RouteRef, level: LogLevel, text: &str);
}

/// One line that a dry run collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its level.
    pub level: LogLevel,
    /// Its text.
    pub text: String,
}

/// The log of a dry run.
#[derive(Default)]
pub(crate) struct CollectedLog(Mutex<Vec<LogLine>>);

impl CollectedLog {
    pub(crate) fn take(&self) -> Vec<LogLine> {
        std::mem::take(&mut self.0.lock())
    }
}

impl RouteLog for CollectedLog {
    fn log(&self, _route: &RouteRef, level: LogLevel, text: &str) {
        let mut lines = self.0.lock();
        if lines.len() < DRY_RUN_LOG_LINES_MAX {
            lines.push(LogLine { level, text: text.to_owned() });
        }
    }
}

/// The bounded way from all instances of a version to the log.
pub(crate) struct LogGate {
    sink: Arc<dyn RouteLog>,
    route: RouteRef,
    bytes_per_second: u64,
    /// The second that `used` counts for.
    window: AtomicU64,
    used: AtomicU64,
    dropped: AtomicU64,
}

impl LogGate {
    pub(crate) fn new(sink: Arc<dyn RouteLog>, route: RouteRef, bytes_per_second: u64) -> Self {
        Self {
            sink,
            route,
            bytes_per_second,
            window: AtomicU64::new(0),
            used: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Logs a guest's line, cut to its bound, unless the second's bytes are used up.
    pub(crate) fn write(&self, level: LogLevel, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(LOG_LINE_BYTES_MAX)];
        let second = clock::monotonic_ns() / 1_000_000_000;
        // Two threads at a change of the second may both reset: the bound is then passed once by
        // a line, which is not worth a lock.
        if self.window.swap(second, Ordering::Relaxed) != second {
            self.used.store(0, Ordering::Relaxed);
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                let text = format!("{dropped} log lines dropped: over log_bytes_per_second");
                self.sink.log(&self.route, LogLevel::Warn, &text);
            }
        }
        // An empty line costs something too.
        let cost = bytes.len() as u64 + 1;
        if self.used.fetch_add(cost, Ordering::Relaxed) + cost > self.bytes_per_second {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.sink.log(&self.route, level, &String::from_utf8_lossy(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_a_line_is_bounded() {
        let lines = Arc::new(CollectedLog::default());
        let route = RouteRef { vhost: VhostName::new("/").unwrap(), name: "r".into(), version: 1 };
        let gate = LogGate::new(lines.clone(), route, 10_000);
        gate.write(LogLevel::Info, &[b'x'; 9_000]);
        for _ in 0..500 {
            gate.write(LogLevel::of_guest(99), b"0123456789");
        }
        let lines = lines.take();
        assert_eq!(lines[0].text.len(), LOG_LINE_BYTES_MAX);
        assert_eq!(lines[1].level, LogLevel::Error);
        // The clock may tick over once in between; a flood never gets far beyond the bound.
        let bytes: usize = lines.iter().map(|line| line.text.len()).sum();
        assert!(bytes <= 20_100, "{bytes}");
    }
}
