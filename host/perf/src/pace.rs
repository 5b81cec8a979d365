//! A fixed rate.

use std::time::Duration;

/// The shortest sleep: below it, messages that are due come together in one write.
const SLEEP_MIN: Duration = Duration::from_micros(50);

/// How far a publisher that was held back may catch up, in seconds.
const BEHIND_MAX_S: f64 = 1.0;

/// So many messages a second.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: f64,
    /// When the count began; `None` before the first question.
    start_ns: Option<u64>,
    sent: u64,
}

impl Pace {
    /// A pace in messages per second, above 0.
    pub(crate) fn new(rate: f64) -> Self {
        Self { rate, start_ns: None, sent: 0 }
    }

    /// Messages that should have been sent by now and were not.
    pub(crate) fn due(&mut self, now_ns: u64) -> u64 {
        let start = *self.start_ns.get_or_insert(now_ns);
        let expected = now_ns.saturating_sub(start) as f64 / 1e9 * self.rate;
        // The first message is due at once.
        let behind = expected + 1.0 - self.sent as f64;
        let behind_max = (self.rate * BEHIND_MAX_S).max(1.0);
        if behind > behind_max {
            self.sent = (expected + 1.0 - behind_max) as u64;
        }
        behind.clamp(0.0, behind_max) as u64
    }

    /// How long until the next one is due.
    pub(crate) fn until_due(&self, now_ns: u64) -> Duration {
        let start = self.start_ns.unwrap_or(now_ns);
        let next_s = self.sent as f64 / self.rate;
        let passed_s = now_ns.saturating_sub(start) as f64 / 1e9;
        // A long wait in pieces, so that the end of the run is seen.
        Duration::from_secs_f64((next_s - passed_s).clamp(0.0, 0.1)).max(SLEEP_MIN)
    }

    /// So many were sent.
    pub(crate) fn sent(&mut self, messages: u64) {
        self.sent += messages;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn what_is_due_follows_the_clock() {
        let mut pace = Pace::new(4.0);
        assert_eq!(pace.due(SECOND), 1);
        pace.sent(1);
        assert_eq!(pace.due(SECOND), 0);
        assert_eq!(pace.until_due(SECOND), Duration::from_millis(100), "a quarter, in pieces");
        assert_eq!(pace.due(SECOND * 3 / 2), 2);
        pace.sent(2);
        assert_eq!(pace.due(SECOND * 3 / 2), 0);
    }

    #[test]
    fn who_was_held_back_catches_up_for_a_second_only() {
        let mut pace = Pace::new(10.0);
        pace.due(0);
        assert_eq!(pace.due(60 * SECOND), 10);
        pace.sent(10);
        assert_eq!(pace.due(60 * SECOND), 0);
    }
}
