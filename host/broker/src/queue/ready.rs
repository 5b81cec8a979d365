//! The messages that wait: in order, by priority.

use std::collections::{BTreeMap, VecDeque};

use shunt_types::Message;

use super::{Entry, Stored};

/// The ready messages, one lane for each priority; a queue without priorities has one lane.
pub(super) struct Ready {
    lanes: Vec<Lane>,
    len: usize,
    bytes: u64,
}

/// One priority's messages: new ones at the back of `fresh`, returned ones by their sequence,
/// which is nearly always below that of every fresh one.
#[derive(Default)]
struct Lane {
    fresh: VecDeque<Entry>,
    returned: BTreeMap<u64, Entry>,
}

impl Lane {
    fn front(&self) -> Option<&Entry> {
        match (self.returned.values().next(), self.fresh.front()) {
            (Some(returned), Some(fresh)) if fresh.sequence < returned.sequence => Some(fresh),
            (Some(returned), _) => Some(returned),
            (None, fresh) => fresh,
        }
    }

    fn pop(&mut self) -> Option<Entry> {
        if let Some((&sequence, _)) = self.returned.first_key_value() {
            let fresh_is_older = self.fresh.front().is_some_and(|f| f.sequence < sequence);
            if !fresh_is_older {
                return self.returned.pop_first().map(|(_, entry)| entry);
            }
        }
        let entry = self.fresh.pop_front();
        // A queue that was long once must not keep the memory for ever.
        if self.fresh.is_empty() && self.fresh.capacity() > 4096 {
            self.fresh.shrink_to(64);
        }
        entry
    }
}

impl Ready {
    pub(super) fn new(max_priority: Option<u8>) -> Self {
        let lanes = usize::from(max_priority.unwrap_or(0)) + 1;
        Self { lanes: (0..lanes).map(|_| Lane::default()).collect(), len: 0, bytes: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn lane_count(&self) -> usize {
        self.lanes.len()
    }

    /// The lane of a message's priority; a higher one than the queue has is the highest.
    pub(super) fn lane_of(&self, message: &Message) -> usize {
        usize::from(message.priority()).min(self.lanes.len() - 1)
    }

    /// Every message, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.lanes.iter().flat_map(|lane| lane.returned.values().chain(&lane.fresh))
    }

    /// Where the log has each message.
    pub(super) fn stored(&self) -> Vec<Stored> {
        self.iter().map(|entry| entry.stored).collect()
    }

    /// The message of that sequence.
    pub(super) fn find_mut(&mut self, sequence: u64) -> Option<&mut Entry> {
        self.lanes.iter_mut().find_map(|lane| {
            // New messages are looked for most, and they stand in the order of their sequences.
            match lane.fresh.binary_search_by_key(&sequence, |entry| entry.sequence) {
                Ok(index) => lane.fresh.get_mut(index),
                Err(_) => lane.returned.get_mut(&sequence),
            }
        })
    }

    /// Bytes of the bodies.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.count(&entry);
        self.lane(&entry).fresh.push_back(entry);
    }

    /// Puts a message back to its place in the order.
    pub(super) fn put_back(&mut self, entry: Entry) {
        self.count(&entry);
        self.lane(&entry).returned.insert(entry.sequence, entry);
    }

    /// The message that is next, of the highest priority that has one.
    pub(super) fn front(&self) -> Option<&Entry> {
        if self.len == 0 {
            return None;
        }
        self.lanes.iter().rev().find_map(Lane::front)
    }

    pub(super) fn pop(&mut self) -> Option<Entry> {
        if self.len == 0 {
            return None;
        }
        let entry = self.lanes.iter_mut().rev().find_map(Lane::pop);
        self.uncount(entry)
    }

    /// The message at the head of each lane, for expiry, which looks at heads only.
    pub(super) fn pop_head_if(&mut self, mut due: impl FnMut(&Entry) -> bool) -> Option<Entry> {
        let lane = self.lanes.iter_mut().find(|lane| lane.front().is_some_and(&mut due))?;
        let entry = lane.pop();
        self.uncount(entry)
    }

    /// The earliest time at which a head of a lane expires.
    pub(super) fn next_expiry_ms(&self) -> Option<u64> {
        let heads = self.lanes.iter().filter_map(Lane::front);
        heads.map(|entry| entry.expires_at_ms).min().filter(|&at| at != u64::MAX)
    }

    pub(super) fn clear(&mut self) {
        self.lanes.iter_mut().for_each(|lane| *lane = Lane::default());
        self.len = 0;
        self.bytes = 0;
    }

    fn lane(&mut self, entry: &Entry) -> &mut Lane {
        let lane = self.lane_of(&entry.message);
        &mut self.lanes[lane]
    }

    fn count(&mut self, entry: &Entry) {
        self.len += 1;
        self.bytes += entry.message.body().len() as u64;
    }

    fn uncount(&mut self, entry: Option<Entry>) -> Option<Entry> {
        let entry = entry?;
        self.len -= 1;
        self.bytes -= entry.message.body().len() as u64;
        Some(entry)
    }
}
