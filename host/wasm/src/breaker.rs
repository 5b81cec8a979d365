//! The breaker of a route that keeps trapping: for a while it isn't called at all.

use shunt_routing::FailureCause;

use crate::limits::{
    BREAKER_DOUBLINGS_MAX, BREAKER_TIMEOUT_WEIGHT, BREAKER_WINDOW_NS, RouteLimits,
};

/// Counts the calls of one thread for one exchange. It opens when `breaker_failures` calls ended
/// in a trap, a timeout or for want of memory within ten seconds, and these were at least half of
/// all calls: a route that fails for some messages keeps deciding about the others. A timeout, for
/// which the thread did nothing else for milliseconds, counts for several.
///
/// After its pause it is on trial for ten seconds: one such failure, if it is at least half of the
/// calls since, opens it again for twice as long. So a route that does nothing but fail costs its
/// thread a few calls a minute.
pub(crate) struct Breaker {
    failures_max: u64,
    pause_ns: u64,
    window_start_ns: u64,
    /// Calls and failures since the window began.
    calls_before: u64,
    failures: u64,
    /// The failures, with each timeout counted for several.
    weight: u64,
    /// How often it has opened in a row; while it is above 0 and it is closed, it is on trial.
    openings: u32,
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
            weight: 0,
            openings: 0,
            open_until_ns: 0,
        }
    }

    /// Whether it is open, without asking the clock.
    #[inline]
    pub(crate) fn is_tripped(&self) -> bool {
        self.open_until_ns != 0
    }

    /// Whether it is still open now, at the call of this number; closes it if its time is over.
    pub(crate) fn is_open(&mut self, now_ns: u64, calls: u64) -> bool {
        if now_ns >= self.open_until_ns {
            self.open_until_ns = 0;
            self.begin(now_ns, calls);
        }
        self.open_until_ns != 0
    }

    fn begin(&mut self, now_ns: u64, calls: u64) {
        self.window_start_ns = now_ns;
        self.calls_before = calls.saturating_sub(1);
        (self.failures, self.weight) = (0, 0);
    }

    /// Counts a failure, of `calls` calls so far; for how many milliseconds it opened by that.
    pub(crate) fn failed(&mut self, now_ns: u64, calls: u64, cause: FailureCause) -> Option<u64> {
        let is_over = now_ns.saturating_sub(self.window_start_ns) > BREAKER_WINDOW_NS;
        if is_over {
            self.openings = 0;
        }
        if is_over || self.failures == 0 && self.openings == 0 {
            self.begin(now_ns, calls);
        }
        self.failures += 1;
        self.weight += if cause == FailureCause::Timeout { BREAKER_TIMEOUT_WEIGHT } else { 1 };
        let calls = calls.saturating_sub(self.calls_before);
        let most = if self.openings > 0 { 1 } else { self.failures_max };
        if self.weight < most || self.failures.saturating_mul(2) < calls {
            return None;
        }
        let pause_ns = self.pause_ns.saturating_mul(1 << self.openings.min(BREAKER_DOUBLINGS_MAX));
        self.openings += 1;
        self.open_until_ns = now_ns.saturating_add(pause_ns).max(1);
        Some(pause_ns / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAP: FailureCause = FailureCause::Trap;

    fn breaker() -> Breaker {
        let limits = RouteLimits { breaker_failures: 3, ..RouteLimits::default() };
        Breaker::new(&limits)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_by_itself() {
        let mut breaker = breaker();
        let pause_ms = RouteLimits::default().breaker_pause_ms;
        let pause_ns = pause_ms * 1_000_000;
        assert_eq!([breaker.failed(10, 1, TRAP), breaker.failed(11, 2, TRAP)], [None, None]);
        assert_eq!(breaker.failed(12, 3, TRAP), Some(pause_ms));
        assert!(breaker.is_tripped() && breaker.is_open(13, 4));
        assert!(!breaker.is_open(12 + pause_ns, 5));
        assert!(!breaker.is_tripped());
    }

    #[test]
    fn one_that_fails_on_rests_longer_each_time() {
        let mut breaker = breaker();
        let pause_ms = RouteLimits::default().breaker_pause_ms;
        let (mut now_ns, mut calls) = (0, 0);
        let mut rests = Vec::new();
        while rests.len() < 9 {
            calls += 1;
            if let Some(rest_ms) = breaker.failed(now_ns, calls, TRAP) {
                rests.push(rest_ms / pause_ms);
                now_ns += rest_ms * 1_000_000;
                assert!(!breaker.is_open(now_ns, calls + 1));
            }
        }
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        // Three failures opened it, then each one did.
        assert_eq!(calls, 11);
    }

    #[test]
    fn one_that_works_again_is_trusted_after_a_while() {
        let mut breaker = breaker();
        assert_eq!([1, 2, 3].map(|n| breaker.failed(n, n, TRAP).is_some()), [false, false, true]);
        let pause_ns = RouteLimits::default().breaker_pause_ms * 1_000_000;
        assert!(!breaker.is_open(3 + pause_ns, 4));
        // Of many calls since, one failure is none of the old kind.
        assert_eq!(breaker.failed(4 + pause_ns, 50, TRAP), None);
        let later_ns = 3 + pause_ns + BREAKER_WINDOW_NS + 1;
        assert_eq!(
            [breaker.failed(later_ns, 51, TRAP), breaker.failed(later_ns, 52, TRAP)],
            [None, None]
        );
        assert_eq!(breaker.failed(later_ns, 53, TRAP), Some(pause_ns / 1_000_000));
    }

    #[test]
    fn few_failures_among_many_calls_leave_it_closed() {
        let mut breaker = breaker();
        assert!((1..100).all(|n| breaker.failed(n, n * 3, TRAP).is_none()));
    }

    #[test]
    fn timeouts_count_for_several() {
        let limits = RouteLimits { breaker_failures: 21, ..RouteLimits::default() };
        let mut breaker = Breaker::new(&limits);
        let opened = [1, 2, 3].map(|n| breaker.failed(n, n, FailureCause::Timeout).is_some());
        assert_eq!(opened, [false, false, true]);
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut breaker = breaker();
        for n in 1..10 {
            assert_eq!(breaker.failed(n * (BREAKER_WINDOW_NS + 1), n, TRAP), None);
        }
    }
}
