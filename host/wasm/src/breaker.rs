//! The breaker of a route that keeps trapping: for a while it isn't called at all.

use crate::limits::{BREAKER_WINDOW_NS, RouteLimits};

/// Counts the calls of one thread for one exchange. It opens when `breaker_failures` calls ended
/// in a trap, a timeout or for want of memory within ten seconds, and these were at least half of
/// all calls: a route that fails for some messages keeps deciding about the others.
pub(crate) struct Breaker {
    failures_max: u64,
    pause_ns: u64,
    window_start_ns: u64,
    /// Calls and failures since the window began.
    calls_before: u64,
    failures: u64,
    /// Until when it is open; 0 for closed. The one thing that a call looks at.
    open_until_ns: u64,
}

impl Breaker {
    pub(crate) fn new(limits: &RouteLimits) -> Self {
        Self {
            failures_max: limits.breaker_failures,
            pause_ns: limits.breaker_pause_ms.saturating_mul(1_000_000),
            window_start_ns: 0,
            calls_before: 0,
            failures: 0,
            open_until_ns: 0,
        }
    }

    /// Whether it is open, without asking the clock.
    #[inline]
    pub(crate) fn is_tripped(&self) -> bool {
        self.open_until_ns != 0
    }

    /// Whether it is still open now; closes it if its time is over.
    pub(crate) fn is_open(&mut self, now_ns: u64) -> bool {
        if now_ns >= self.open_until_ns {
            self.open_until_ns = 0;
        }
        self.open_until_ns != 0
    }

    /// Counts a failure, of `calls` calls so far; whether it opened by that.
    pub(crate) fn failed(&mut self, now_ns: u64, calls: u64) -> bool {
        if self.failures == 0 || now_ns.saturating_sub(self.window_start_ns) > BREAKER_WINDOW_NS {
            self.window_start_ns = now_ns;
            self.calls_before = calls.saturating_sub(1);
            self.failures = 0;
        }
        self.failures += 1;
        let calls = calls.saturating_sub(self.calls_before);
        if self.failures < self.failures_max || self.failures.saturating_mul(2) < calls {
            return false;
        }
        self.failures = 0;
        self.open_until_ns = now_ns.saturating_add(self.pause_ns).max(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        let limits = RouteLimits { breaker_failures: 3, ..RouteLimits::default() };
        Breaker::new(&limits)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_by_itself() {
        let mut breaker = breaker();
        assert!(!breaker.failed(10, 1));
        assert!(!breaker.failed(11, 2));
        assert!(breaker.failed(12, 3));
        assert!(breaker.is_tripped() && breaker.is_open(13));
        let pause_ns = RouteLimits::default().breaker_pause_ms * 1_000_000;
        assert!(!breaker.is_open(12 + pause_ns));
        assert!(!breaker.is_tripped());
        assert!(!breaker.failed(13 + pause_ns, 4));
    }

    #[test]
    fn few_failures_among_many_calls_leave_it_closed() {
        let mut breaker = breaker();
        assert!((1..100).all(|n| !breaker.failed(n, n * 3)));
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut breaker = breaker();
        for n in 1..10 {
            assert!(!breaker.failed(n * (BREAKER_WINDOW_NS + 1), n));
        }
    }
}
