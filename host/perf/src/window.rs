//! The messages of a publisher that are published and not yet confirmed.

use std::collections::VecDeque;

use crate::latency::Latencies;

/// Stands in the place of a publish time once the message is settled.
const SETTLED: u64 = 0;

/// At most so many messages wait for their confirm.
#[derive(Debug)]
pub(crate) struct Window {
    size: u64,
    /// When each was published, in nanoseconds, beginning with the oldest that is not settled.
    outstanding: VecDeque<u64>,
    /// The delivery tag of the first of them.
    first_tag: u64,
    unsettled: u64,
}

impl Window {
    pub(crate) fn new(size: u32) -> Self {
        Self { size: size.into(), outstanding: VecDeque::new(), first_tag: 1, unsettled: 0 }
    }

    /// Messages that may be published now.
    pub(crate) fn room(&self) -> u64 {
        self.size.saturating_sub(self.unsettled)
    }

    /// Messages that wait for their confirm.
    pub(crate) fn unsettled(&self) -> u64 {
        self.unsettled
    }

    /// So many messages are about to be published.
    pub(crate) fn published(&mut self, messages: u64, time_ns: u64) {
        self.outstanding.extend((0..messages).map(|_| time_ns));
        self.unsettled += messages;
    }

    /// Settles one message or all up to it; returns how many that were not settled before, each
    /// with its latency where `latencies` are given.
    pub(crate) fn settle(
        &mut self,
        tag: u64,
        multiple: bool,
        now_ns: u64,
        mut latencies: Option<&mut Latencies>,
    ) -> anyhow::Result<u64> {
        let end = (tag + 1).saturating_sub(self.first_tag) as usize;
        anyhow::ensure!(
            (1..=self.outstanding.len()).contains(&end),
            "the broker confirmed delivery tag {tag}; outstanding are {} from {}",
            self.outstanding.len(),
            self.first_tag
        );
        let (mut settled, mut run, mut run_time) = (0, 0, SETTLED);
        let mut record = |time: u64, count| {
            if let Some(latencies) = &mut latencies
                && time != SETTLED
            {
                latencies.record(now_ns.saturating_sub(time), count);
            }
        };
        for index in if multiple { 0 } else { end - 1 }..end {
            let time = std::mem::replace(&mut self.outstanding[index], SETTLED);
            settled += u64::from(time != SETTLED);
            if time != run_time {
                record(run_time, run);
                (run, run_time) = (0, time);
            }
            run += 1;
        }
        record(run_time, run);
        anyhow::ensure!(settled > 0, "the broker confirmed delivery tag {tag} a second time");
        self.unsettled -= settled;
        while self.outstanding.front() == Some(&SETTLED) {
            self.outstanding.pop_front();
            self.first_tag += 1;
        }
        Ok(settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirms_in_any_order_are_counted_once() {
        let mut window = Window::new(10);
        let mut latencies = Latencies::new();
        let mut settle = |window: &mut Window, tag, multiple| {
            window.settle(tag, multiple, 2_000_000, Some(&mut latencies)).ok()
        };
        window.published(3, 500_000);
        window.published(2, 1_000_000);
        assert_eq!(settle(&mut window, 3, false), Some(1));
        assert_eq!(settle(&mut window, 1, false), Some(1));
        assert_eq!(window.room(), 7);
        // 2 and 4: 1 and 3 are settled.
        assert_eq!(settle(&mut window, 4, true), Some(2));
        assert_eq!(window.first_tag, 5);
        assert_eq!(settle(&mut window, 4, false), None, "settled before");
        assert_eq!(settle(&mut window, 6, false), None, "never published");
        assert_eq!(settle(&mut window, 5, true), Some(1));
        assert!(window.outstanding.is_empty());
        assert_eq!(latencies.json()["count"], 5);
        assert!((latencies.max_us() - 1500.0).abs() < 2.0, "{}", latencies.max_us());
    }
}
