//! Space comes back from the log's oldest end.
//!
//! Only whole segments go, and only the oldest: a record of what left a queue may speak of any
//! segment before its own, so that taking one from the middle would bring messages back that
//! were consumed. Where the oldest segment still holds live messages, and the log takes much
//! more than what lives in it, these are written again at the end.

use std::collections::BTreeMap;

use shunt_storage::{RecordPosition, SegmentInfo};

/// Log below this many segments is not worth the work.
const SEGMENTS_MIN: usize = 4;

/// Live bytes by segment, for the whole node.
#[derive(Debug, Default)]
pub(crate) struct Usage(BTreeMap<u32, i64>);

/// What is to be done about space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evacuation {
    /// Nothing.
    None,
    /// Everything up to this segment is dead.
    Remove(u32),
    /// Live messages of this segment have to move.
    Move(u32),
}

/// The part of a record that one of its queues answers for.
pub(crate) fn share(position: RecordPosition, shares: u16) -> i64 {
    i64::from(position.size / u32::from(shares.max(1)))
}

impl Usage {
    /// Counts a record's bytes, or a part of them.
    pub(crate) fn add(&mut self, segment: u32, bytes: i64) {
        *self.0.entry(segment).or_default() += bytes;
    }

    /// Adds what a shard's batch changed, by segment.
    pub(crate) fn apply(&mut self, changes: &mut BTreeMap<u32, i64>) {
        while let Some((segment, bytes)) = changes.pop_first() {
            let total = self.0.entry(segment).or_default();
            *total += bytes;
            if *total <= 0 {
                self.0.remove(&segment);
            }
        }
    }

    /// Live bytes in all segments.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.0.values().sum::<i64>().max(0) as u64
    }

    /// What should be done, given the log's segments from the oldest on, which must have been
    /// listed before this usage was locked: what is counted is then at least what they hold.
    pub(crate) fn advise(&self, segments: &[SegmentInfo]) -> Evacuation {
        let Some((_, full)) = segments.split_last() else { return Evacuation::None };
        let dead = full.iter().take_while(|segment| !self.0.contains_key(&segment.number));
        if let Some(last) = dead.last() {
            return Evacuation::Remove(last.number);
        }
        let total: u64 = segments.iter().map(|segment| segment.size).sum();
        match full.first() {
            Some(oldest) if segments.len() > SEGMENTS_MIN && total > 2 * self.live_bytes() => {
                Evacuation::Move(oldest.number)
            }
            _ => Evacuation::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(sizes: &[(u32, u64)]) -> Vec<SegmentInfo> {
        sizes.iter().map(|&(number, size)| SegmentInfo { number, size }).collect()
    }

    fn usage(live: &[(u32, i64)]) -> Usage {
        let mut usage = Usage::default();
        usage.apply(&mut live.iter().copied().collect());
        usage
    }

    #[test]
    fn dead_segments_go_up_to_the_first_that_lives() {
        let all = segments(&[(1, 10), (2, 10), (3, 10), (4, 10)]);
        assert_eq!(usage(&[(3, 5)]).advise(&all), Evacuation::Remove(2));
        assert_eq!(usage(&[]).advise(&all), Evacuation::Remove(3), "the last is being written");
        assert_eq!(usage(&[(1, 5)]).advise(&all), Evacuation::None);
    }

    #[test]
    fn the_oldest_is_moved_where_more_than_half_is_dead() {
        let all = segments(&[(1, 10), (2, 10), (3, 10), (4, 10), (5, 10)]);
        assert_eq!(usage(&[(1, 1)]).advise(&all), Evacuation::Move(1));
        assert_eq!(usage(&[(1, 10), (2, 10), (3, 6)]).advise(&all), Evacuation::None);
    }

    #[test]
    fn a_segment_is_forgotten_with_its_last_live_byte() {
        let mut usage = usage(&[(1, 5)]);
        usage.apply(&mut [(1, -5)].into());
        assert_eq!(usage.live_bytes(), 0);
    }
}
