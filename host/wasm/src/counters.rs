//! What a version of a route did: calls, failures by cause, time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use shunt_routing::FailureCause;

use crate::limits::{GUARD_LOG_NS, GUARDS_MAX};

const CAUSES: usize = FailureCause::ALL.len();
/// Calls between two that are measured, once there were as many: two system calls for each message
/// would cost more than a small route. Before that the distance doubles.
const SAMPLE: u64 = 512;

/// Counters of a version at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteCounters {
    /// Calls for messages, failed ones among them.
    pub calls: u64,
    /// Failures, in the order of [`FailureCause::ALL`].
    pub failures: [u64; CAUSES],
    /// Answers that broke a guard, in the order of the version's guards; each is a failure of
    /// [`FailureCause::Refused`] too.
    pub guards: [u64; GUARDS_MAX],
    /// Calls that were answered from the cache, without the module.
    pub cache_hits: u64,
    /// Calls that looked into the cache in vain.
    pub cache_misses: u64,
    /// Processor time of the calls, in nanoseconds; estimated from one call in 512, and from more
    /// of the first ones.
    pub cpu_time_ns: u64,
    /// Time that passed during the calls, in nanoseconds; estimated likewise.
    pub wall_time_ns: u64,
}

impl RouteCounters {
    /// Failures of one cause.
    pub fn failures_by(&self, cause: FailureCause) -> u64 {
        self.failures[cause.index()]
    }

    /// Failures of any cause.
    pub fn failures_total(&self) -> u64 {
        self.failures.iter().sum()
    }
}

/// Counts of one thread for one exchange. Only that thread writes, so that a load and a store
/// do, and no cache line travels between shards.
#[derive(Default)]
pub(crate) struct Counts {
    calls: AtomicU64,
    failures: [AtomicU64; CAUSES],
    guards: [AtomicU64; GUARDS_MAX],
    /// Broken guards that no line of the log told of yet, and when the last line was written.
    guards_untold: AtomicU64,
    guards_told_ns: AtomicU64,
    cache_hits: AtomicU64,
    cache_misses: AtomicU64,
    /// The number of the call that is to be measured next, from 0.
    next_sample: AtomicU64,
    /// Calls that those which were measured stand for.
    sampled: AtomicU64,
    cpu_time_ns: AtomicU64,
    wall_time_ns: AtomicU64,
}

fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

impl Counts {
    /// Counts a call; whether it is one to be measured.
    #[inline]
    pub(crate) fn call(&self) -> bool {
        let calls = self.calls.load(Ordering::Relaxed);
        self.calls.store(calls.wrapping_add(1), Ordering::Relaxed);
        calls == self.next_sample.load(Ordering::Relaxed)
    }

    /// Takes what the call took. It stands for all calls since the last one that was measured: so
    /// does the first one, which sets an instance up, for itself alone.
    #[cold]
    pub(crate) fn measured(&self, cpu_time_ns: u64, wall_time_ns: u64) {
        let calls = self.calls();
        let weight = calls.saturating_sub(self.sampled.load(Ordering::Relaxed));
        self.next_sample.store(calls + calls.min(SAMPLE) - 1, Ordering::Relaxed);
        self.sampled.store(calls, Ordering::Relaxed);
        add(&self.cpu_time_ns, cpu_time_ns.saturating_mul(weight));
        add(&self.wall_time_ns, wall_time_ns.saturating_mul(weight));
    }

    pub(crate) fn failure(&self, cause: FailureCause) {
        add(&self.failures[cause.index()], 1);
    }

    /// Counts an answer that broke a guard. A second after the last time it answers how many there
    /// were since, for the log: a route that breaks one may do so for every message.
    #[cold]
    pub(crate) fn guard(&self, index: usize, now_ns: u64) -> Option<u64> {
        add(&self.guards[index], 1);
        add(&self.guards_untold, 1);
        let told_ns = self.guards_told_ns.load(Ordering::Relaxed);
        if told_ns != 0 && now_ns.saturating_sub(told_ns) < GUARD_LOG_NS {
            return None;
        }
        self.guards_told_ns.store(now_ns.max(1), Ordering::Relaxed);
        Some(self.guards_untold.swap(0, Ordering::Relaxed))
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn cache_hit(&self) {
        add(&self.cache_hits, 1);
    }

    pub(crate) fn cache_miss(&self) {
        add(&self.cache_misses, 1);
    }

    fn merge(&self, other: &Self) {
        add(&self.calls, other.calls.load(Ordering::Relaxed));
        for (mine, theirs) in self.failures.iter().zip(&other.failures) {
            add(mine, theirs.load(Ordering::Relaxed));
        }
        for (mine, theirs) in self.guards.iter().zip(&other.guards) {
            add(mine, theirs.load(Ordering::Relaxed));
        }
        add(&self.cache_hits, other.cache_hits.load(Ordering::Relaxed));
        add(&self.cache_misses, other.cache_misses.load(Ordering::Relaxed));
        add(&self.sampled, other.sampled.load(Ordering::Relaxed));
        add(&self.cpu_time_ns, other.cpu_time_ns.load(Ordering::Relaxed));
        add(&self.wall_time_ns, other.wall_time_ns.load(Ordering::Relaxed));
    }
}

/// The counters of a version: those of threads that are done with it, and those that count.
#[derive(Default)]
pub(crate) struct Counters(Mutex<Ledger>);

#[derive(Default)]
struct Ledger {
    closed: Counts,
    open: Vec<Arc<Counts>>,
}

impl Counters {
    /// Opens an account for a thread; it must be closed.
    pub(crate) fn open(&self) -> Arc<Counts> {
        let counts = Arc::new(Counts::default());
        self.0.lock().open.push(Arc::clone(&counts));
        counts
    }

    /// Takes the account's sums over.
    pub(crate) fn close(&self, counts: &Arc<Counts>) {
        let mut ledger = self.0.lock();
        if let Some(index) = ledger.open.iter().position(|open| Arc::ptr_eq(open, counts)) {
            let counts = ledger.open.swap_remove(index);
            ledger.closed.merge(&counts);
        }
    }

    pub(crate) fn read(&self) -> RouteCounters {
        let sum = Counts::default();
        let ledger = self.0.lock();
        sum.merge(&ledger.closed);
        ledger.open.iter().for_each(|counts| sum.merge(counts));
        drop(ledger);
        let calls = sum.calls.into_inner();
        let sampled = sum.sampled.into_inner();
        let scaled = |time_ns: AtomicU64| match sampled {
            0 => 0,
            _ => {
                (u128::from(time_ns.into_inner()) * u128::from(calls) / u128::from(sampled)) as u64
            }
        };
        RouteCounters {
            calls,
            failures: sum.failures.map(AtomicU64::into_inner),
            guards: sum.guards.map(AtomicU64::into_inner),
            cache_hits: sum.cache_hits.into_inner(),
            cache_misses: sum.cache_misses.into_inner(),
            cpu_time_ns: scaled(sum.cpu_time_ns),
            wall_time_ns: scaled(sum.wall_time_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_and_open_accounts_add_up() {
        let counters = Counters::default();
        let (a, b) = (counters.open(), counters.open());
        for _ in 0..128 {
            if a.call() {
                a.measured(10, 20);
            }
        }
        assert!(b.call());
        b.measured(40, 80);
        b.failure(FailureCause::Timeout);
        a.guard(3, 1);
        b.guard(3, 1);
        counters.close(&a);
        let read = counters.read();
        assert_eq!(read.calls, 129);
        assert_eq!(read.failures_by(FailureCause::Timeout), 1);
        assert_eq!(read.failures_total(), 1);
        assert_eq!((read.guards[3], read.guards.iter().sum::<u64>()), (2, 2));
        assert_eq!(read.cpu_time_ns, 128 * 10 + 40);
        counters.close(&b);
        assert_eq!(counters.read(), read);
    }

    #[test]
    fn the_first_calls_are_measured_more_often_and_stand_for_fewer() {
        let counters = Counters::default();
        let counts = counters.open();
        let mut measured = Vec::new();
        for n in 0..2_000_u64 {
            if counts.call() {
                measured.push(n);
                counts.measured(if n == 0 { 1_000_000 } else { 10 }, 0);
            }
        }
        assert_eq!(measured, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1_023, 1_535]);
        assert_eq!(counters.read().cpu_time_ns, (1_000_000 + 1_535 * 10) * 2_000 / 1_536);
    }

    #[test]
    fn broken_guards_are_told_once_a_second() {
        let counts = Counts::default();
        let second = GUARD_LOG_NS;
        assert_eq!(counts.guard(0, 5), Some(1));
        assert_eq!(counts.guard(0, 6), None);
        assert_eq!(counts.guard(1, second), None);
        assert_eq!(counts.guard(1, second + 5), Some(3));
    }
}
