//! A queue's contents while the log is replayed: compact, since there may be millions, and quick
//! to add to and to take from in the order in which a queue works.

use std::collections::BTreeMap;

use shunt_storage::RecordPosition;

use crate::fifo::{Fifo, Sequenced};

/// A message that a queue gets back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecoveredEntry {
    pub(crate) sequence: u64,
    /// Unix milliseconds; `u64::MAX` for never.
    pub(crate) expires_at_ms: u64,
    pub(crate) position: RecordPosition,
    pub(crate) body_size: u32,
    /// How many queues share the record.
    pub(crate) shares: u16,
    pub(crate) priority: u8,
    pub(crate) redelivered: bool,
}

/// An entry of a run; one that was settled stays until it is the first.
struct Held {
    entry: RecoveredEntry,
    is_settled: bool,
}

impl Sequenced for Held {
    fn sequence(&self) -> u64 {
        self.entry.sequence
    }
}

/// A queue's contents at the end of the log.
#[derive(Default)]
pub struct RecoveredQueue {
    /// Each in the order of its sequences. New messages make one run; those that were written
    /// again so that the log's oldest segment could go make another.
    runs: Vec<Fifo<Held>>,
    live: usize,
    /// By priority lane: the highest sequence that was handed out.
    handed_out: BTreeMap<u8, u64>,
    next_sequence: u64,
}

impl RecoveredQueue {
    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The sequence after the highest that the log names.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Everything below this sequence was given to some message.
    pub(crate) fn saw_below(&mut self, next: u64) {
        self.next_sequence = self.next_sequence.max(next);
    }

    /// A message is in the queue; one that is there already stands in a later record now.
    pub(crate) fn insert(&mut self, entry: RecoveredEntry) {
        self.saw_below(entry.sequence + 1);
        let held = Held { entry, is_settled: false };
        if let Some(run) = self.runs.last_mut()
            && run.back().is_none_or(|back| back.sequence() < entry.sequence)
        {
            self.live += 1;
            return run.push_back(held);
        }
        for run in &mut self.runs {
            if let Some(known) = run.get_mut(entry.sequence) {
                self.live += usize::from(known.is_settled);
                *known = held;
                return;
            }
        }
        self.live += 1;
        let fits = |run: &Fifo<Held>| run.back().is_none_or(|b| b.sequence() < entry.sequence);
        match self.runs.iter_mut().find(|run| fits(run)) {
            Some(run) => run.push_back(held),
            None => {
                let mut run = Fifo::default();
                run.push_back(held);
                // The run of new messages stays the last.
                let before_last = self.runs.len().saturating_sub(1);
                self.runs.insert(before_last, run);
            }
        }
    }

    /// A message left the queue.
    pub(crate) fn settle(&mut self, sequence: u64) {
        self.saw_below(sequence + 1);
        for run in &mut self.runs {
            let Some(held) = run.get_mut(sequence) else { continue };
            self.live -= usize::from(!std::mem::replace(&mut held.is_settled, true));
            while run.len() > 1 && run.front().is_some_and(|first| first.is_settled) {
                run.pop_front();
            }
            return;
        }
    }

    /// Everything below a sequence left the queue, but for these.
    pub(crate) fn settle_below(&mut self, below: u64, kept: &[u64]) {
        self.saw_below(below);
        let kept: hashbrown::HashSet<_> = kept.iter().collect();
        let mut gone = Vec::new();
        for run in &self.runs {
            let early = run.iter().take_while(|held| held.sequence() < below);
            let early = early.filter(|held| !held.is_settled).map(Held::sequence);
            gone.extend(early.filter(|sequence| !kept.contains(sequence)));
        }
        gone.into_iter().for_each(|sequence| self.settle(sequence));
    }

    /// All messages of a lane up to a sequence were handed out.
    pub(crate) fn mark_handed_out(&mut self, lane: u8, sequence: u64) {
        self.saw_below(sequence + 1);
        let mark = self.handed_out.entry(lane).or_default();
        *mark = sequence.max(*mark);
    }

    /// Takes the marks of what was handed out.
    pub(crate) fn take_handed_out(&mut self) -> BTreeMap<u8, u64> {
        std::mem::take(&mut self.handed_out)
    }

    /// The messages, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &RecoveredEntry> {
        let held = self.runs.iter().flat_map(Fifo::iter);
        held.filter(|held| !held.is_settled).map(|held| &held.entry)
    }

    /// Hands over the messages in the order of their sequences; their memory goes as they do.
    pub(crate) fn drain(mut self, mut each: impl FnMut(RecoveredEntry)) {
        loop {
            let first = |run: &Fifo<Held>| run.front().map_or(u64::MAX, Held::sequence);
            let Some(run) = self.runs.iter_mut().min_by_key(|run| first(run)) else { return };
            match run.pop_front() {
                Some(Held { is_settled: true, .. }) => {}
                Some(Held { entry, .. }) => each(entry),
                None => return,
            }
        }
    }
}

impl std::fmt::Debug for RecoveredQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecoveredQueue")
            .field("messages", &self.live)
            .field("next_sequence", &self.next_sequence)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn entry(sequence: u64, offset: u32) -> RecoveredEntry {
        RecoveredEntry {
            sequence,
            expires_at_ms: u64::MAX,
            position: RecordPosition { segment: 1, offset, size: 9 },
            body_size: 1,
            shares: 1,
            priority: 0,
            redelivered: false,
        }
    }

    proptest! {
        /// Against a map that is ordered by nature; sequences come in any order.
        #[test]
        fn contents_are_those_of_a_map(
            steps in prop::collection::vec((0..6u8, 0..60u64), 0..300),
        ) {
            let mut queue = RecoveredQueue::default();
            let mut model = BTreeMap::new();
            let mut new = 0;
            for (offset, (step, number)) in (0u32..).zip(steps) {
                match step {
                    0..=2 => {
                        queue.insert(entry(new, offset));
                        model.insert(new, offset);
                        new += 1;
                    }
                    3 => {
                        queue.insert(entry(number, offset));
                        model.insert(number, offset);
                        new = new.max(number + 1);
                    }
                    4 => {
                        queue.settle(number);
                        model.remove(&number);
                    }
                    _ => {
                        let kept = [number / 2, number / 3];
                        queue.settle_below(number / 2 + 1, &kept);
                        model.retain(|n, _| *n > number / 2 || kept.contains(n));
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
            }
            prop_assert_eq!(queue.iter().count(), model.len());
            let mut drained = Vec::new();
            queue.drain(|entry| drained.push((entry.sequence, entry.position.offset)));
            prop_assert_eq!(drained, model.into_iter().collect::<Vec<_>>());
        }
    }
}
