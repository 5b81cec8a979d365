//! What routes log: into the node's log, and the last of it kept by route for who asks.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use shunt_broker::ports::Clock;
use shunt_http_api::{RouteLogPage, RouteLogRecord};
use shunt_types::VhostName;
use shunt_wasm::{LogLevel, RouteLog, RouteRef};

/// Lines that are kept of a route.
const LINES_MAX: usize = 1_000;
/// Bytes that are kept of a route.
const BYTES_MAX: usize = 256 * 1024;
/// Routes of which lines are kept; what others log is in the node's log only.
const ROUTES_MAX: usize = 4_096;

/// The log of all routes.
pub(crate) struct RouteLogs {
    clock: Arc<dyn Clock>,
    rings: Mutex<HashMap<(VhostName, Arc<str>), Ring>>,
}

/// The last lines of a route.
#[derive(Default)]
struct Ring {
    lines: VecDeque<RouteLogRecord>,
    bytes: usize,
    /// The number of the last line.
    last: u64,
}

impl RouteLogs {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, rings: Mutex::default() }
    }

    /// Up to `limit` lines after the one of that number, the newest.
    pub(crate) fn read(
        &self,
        vhost: &VhostName,
        name: &str,
        after: u64,
        limit: usize,
    ) -> RouteLogPage {
        let rings = self.rings.lock();
        rings
            .get(&(vhost.clone(), name.into()))
            .map_or_else(RouteLogPage::default, |ring| ring.read(after, limit))
    }

    /// Forgets what a route logged that is gone.
    pub(crate) fn forget(&self, vhost: &VhostName, name: &str) {
        self.rings.lock().remove(&(vhost.clone(), name.into()));
    }

    fn keep(&self, route: &RouteRef, level: LogLevel, text: &str) {
        // A module that is only being checked has no route yet.
        if route.version == 0 {
            return;
        }
        let key = (route.vhost.clone(), route.name.clone());
        let time_ms = self.clock.now_ms();
        let mut rings = self.rings.lock();
        if rings.len() < ROUTES_MAX || rings.contains_key(&key) {
            rings.entry(key).or_default().push(time_ms, route.version, level, text);
        }
    }
}

impl RouteLog for RouteLogs {
    fn log(&self, route: &RouteRef, level: LogLevel, text: &str) {
        self.keep(route, level, text);
        let RouteRef { vhost, name, version } = route;
        // A guest's line breaks and escape codes must not forge lines of ours.
        let text = text.escape_debug();
        match level {
            LogLevel::Trace => tracing::trace!(%vhost, route = %name, version, "{text}"),
            LogLevel::Debug => tracing::debug!(%vhost, route = %name, version, "{text}"),
            LogLevel::Info => tracing::info!(%vhost, route = %name, version, "{text}"),
            LogLevel::Warn => tracing::warn!(%vhost, route = %name, version, "{text}"),
            LogLevel::Error => tracing::error!(%vhost, route = %name, version, "{text}"),
        }
    }
}

impl Ring {
    fn push(&mut self, time_ms: u64, version: u32, level: LogLevel, text: &str) {
        self.last += 1;
        self.bytes += text.len();
        let text = text.to_owned();
        let level = level.name();
        self.lines.push_back(RouteLogRecord { number: self.last, time_ms, version, level, text });
        while self.lines.len() > LINES_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.text.len();
        }
    }

    fn read(&self, after: u64, limit: usize) -> RouteLogPage {
        let wanted: Vec<_> = self.lines.iter().filter(|line| line.number > after).collect();
        let skipped = wanted.len().saturating_sub(limit);
        let lines: Vec<_> = wanted.into_iter().skip(skipped).cloned().collect();
        // Who asks for the first time misses nothing.
        let missed = match (after, lines.first()) {
            (1.., Some(first)) => first.number - after - 1,
            _ => 0,
        };
        RouteLogPage { lines, next: self.last, missed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(page: &RouteLogPage) -> Vec<u64> {
        page.lines.iter().map(|line| line.number).collect()
    }

    #[test]
    fn the_newest_lines_are_kept_and_followed_by_number() {
        let mut ring = Ring::default();
        for n in 1..=3 {
            ring.push(n, 1, LogLevel::Info, "x");
        }
        assert_eq!(numbers(&ring.read(0, 2)), [2, 3]);
        let page = ring.read(1, 10);
        assert_eq!((numbers(&page), page.next, page.missed), (vec![2, 3], 3, 0));
        assert_eq!(ring.read(3, 10), RouteLogPage { next: 3, ..RouteLogPage::default() });
        for n in 0..LINES_MAX as u64 {
            ring.push(n, 2, LogLevel::Warn, "y");
        }
        let page = ring.read(1, LINES_MAX);
        assert_eq!((page.lines.len(), page.missed, page.next), (LINES_MAX, 2, 1_003));
    }

    #[test]
    fn long_lines_push_out_more_than_one() {
        let mut ring = Ring::default();
        let long = "z".repeat(BYTES_MAX / 2);
        for _ in 0..5 {
            ring.push(0, 1, LogLevel::Info, &long);
        }
        assert_eq!(numbers(&ring.read(0, 10)), [4, 5]);
    }
}
