//! The node's shards as a connection sees them: how busy their threads are, and who takes it in.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::time::{ClockId, clock_gettime};
use shunt_types::ShardId;

use crate::shard_thread::ShardHandle;

/// How often a thread says how busy it is, in milliseconds.
pub(crate) const LOOK_MS: u64 = 100;

/// Every shard's thread.
pub struct Neighbours {
    /// Thousandths of the time that each was at work of late.
    busy: Vec<AtomicU32>,
    /// When a connection left each for the last time, in Unix milliseconds.
    left_ms: Vec<AtomicU64>,
    handles: OnceLock<Vec<ShardHandle>>,
}

impl Neighbours {
    /// So many shards, whose threads are still to come.
    pub fn new(count: usize) -> Self {
        let busy = (0..count).map(|_| AtomicU32::new(0)).collect();
        let left_ms = (0..count).map(|_| AtomicU64::new(0)).collect();
        Self { busy, left_ms, handles: OnceLock::new() }
    }

    /// Makes the threads known to each other, in the order of their shards. Before that no connection
    /// moves.
    pub fn introduce(&self, handles: Vec<ShardHandle>) {
        self.handles.get_or_init(|| handles);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.busy.len()
    }

    /// Who takes connections in for a shard.
    pub(crate) fn handle(&self, shard: ShardId) -> Option<&ShardHandle> {
        self.handles.get()?.get(usize::from(shard.0))
    }

    /// Thousandths of the time that a shard's thread was at work of late.
    pub(crate) fn busy(&self, shard: ShardId) -> u32 {
        self.busy.get(usize::from(shard.0)).map_or(0, |busy| busy.load(Ordering::Relaxed))
    }

    /// Whether a connection may leave a shard, where others may so long after it: a thousand that want to at once
    /// would hold each other up.
    pub(crate) fn takes_leave(&self, shard: ShardId, now_ms: u64, pause_ms: u64) -> bool {
        let Some(left_ms) = self.left_ms.get(usize::from(shard.0)) else { return false };
        // Only the shard's own thread asks. A clock that was set back lets it go.
        let is_early = now_ms
            .checked_sub(left_ms.load(Ordering::Relaxed))
            .is_some_and(|since| since < pause_ms);
        if !is_early {
            left_ms.store(now_ms, Ordering::Relaxed);
        }
        !is_early
    }

    /// Says how busy a shard's thread was.
    pub(crate) fn set_busy(&self, shard: ShardId, permille: u32) {
        if let Some(busy) = self.busy.get(usize::from(shard.0)) {
            busy.store(permille, Ordering::Relaxed);
        }
    }
}

/// Measures how busy the thread is that it lives on.
pub(crate) struct BusyMeter {
    since_ms: u64,
    worked_ns: u64,
}

impl BusyMeter {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self { since_ms: now_ms, worked_ns: thread_ns() }
    }

    /// Thousandths of the time since the last look that the thread was at work, where that is long enough.
    pub(crate) fn look(&mut self, now_ms: u64) -> Option<u32> {
        // A clock that was set back begins anew.
        let Some(passed_ms) = now_ms.checked_sub(self.since_ms) else {
            *self = Self::new(now_ms);
            return None;
        };
        if passed_ms < LOOK_MS {
            return None;
        }
        let worked_ns = thread_ns();
        let worked_us = worked_ns.saturating_sub(self.worked_ns) / 1_000;
        *self = Self { since_ms: now_ms, worked_ns };
        Some(u32::try_from(worked_us / passed_ms).unwrap_or(u32::MAX).min(1_000))
    }
}

/// Processor time of this thread so far.
fn thread_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_tells_work_from_rest() {
        let mut meter = BusyMeter::new(1_000);
        assert_eq!(meter.look(1_000 + LOOK_MS - 1), None);
        let begin = thread_ns();
        while thread_ns() - begin < 20_000_000 {
            std::hint::spin_loop();
        }
        let busy = meter.look(1_100).unwrap();
        assert!((200..=1_000).contains(&busy), "20 ms of 100: {busy}");
        assert!(meter.look(1_000_000).unwrap() < 10);
        assert_eq!(meter.look(5), None, "set back");
        assert!(meter.look(5 + LOOK_MS).is_some());
    }
}
