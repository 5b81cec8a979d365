//! The messages that wait: in order, by priority.

use std::collections::BTreeMap;

use super::{Entry, Stored};
use crate::fifo::{Fifo, Sequenced};

/// The ready messages, one lane for each priority; a queue without priorities has one lane.
pub(super) struct Ready {
    lanes: Vec<Lane>,
    len: usize,
    bytes: u64,
    /// Bytes of memory that the messages take that are in memory.
    resident: u64,
    /// How many have a time at which they expire.
    expiring: usize,
}

/// One priority's messages: new ones at the back of `fresh`, returned ones by their sequence,
/// which is nearly always below that of every fresh one.
#[derive(Default)]
struct Lane {
    fresh: Fifo<Entry>,
    returned: BTreeMap<u64, Entry>,
    /// How many of them have their message in the log alone.
    away: usize,
}

impl Sequenced for Entry {
    #[inline]
    fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl Lane {
    #[inline]
    fn front(&self) -> Option<&Entry> {
        if self.returned.is_empty() {
            return self.fresh.front();
        }
        match (self.returned.values().next(), self.fresh.front()) {
            (Some(returned), Some(fresh)) if fresh.sequence < returned.sequence => Some(fresh),
            (Some(returned), _) => Some(returned),
            (None, fresh) => fresh,
        }
    }

    #[inline]
    fn pop(&mut self) -> Option<Entry> {
        if self.returned.is_empty() {
            return self.fresh.pop_front();
        }
        if let Some((&sequence, _)) = self.returned.first_key_value() {
            let fresh_is_older = self.fresh.front().is_some_and(|f| f.sequence < sequence);
            if !fresh_is_older {
                return self.returned.pop_first().map(|(_, entry)| entry);
            }
        }
        self.fresh.pop_front()
    }

    fn get_mut(&mut self, sequence: u64) -> Option<&mut Entry> {
        // New messages are looked for most.
        match self.fresh.get_mut(sequence) {
            None => self.returned.get_mut(&sequence),
            found => found,
        }
    }

    /// In the order in which they are popped.
    fn iter(&self) -> impl Iterator<Item = &Entry> {
        let mut returned = self.returned.values().peekable();
        let mut fresh = self.fresh.iter().peekable();
        std::iter::from_fn(move || match (returned.peek(), fresh.peek()) {
            (Some(r), Some(f)) if f.sequence < r.sequence => fresh.next(),
            (Some(_), _) => returned.next(),
            (None, _) => fresh.next(),
        })
    }
}

impl Ready {
    pub(super) fn new(max_priority: Option<u8>) -> Self {
        let lanes = usize::from(max_priority.unwrap_or(0)) + 1;
        let lanes = (0..lanes).map(|_| Lane::default()).collect();
        Self { lanes, len: 0, bytes: 0, resident: 0, expiring: 0 }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn lane_count(&self) -> usize {
        self.lanes.len()
    }

    /// The lane of a priority; a higher one than the queue has is the highest.
    #[inline]
    pub(super) fn lane_of(&self, priority: u8) -> u8 {
        usize::from(priority).min(self.lanes.len() - 1) as u8
    }

    /// Every message, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.lanes.iter().flat_map(|lane| lane.returned.values().chain(lane.fresh.iter()))
    }

    /// A part of the messages, those from a sequence on, in its order; None behind the last part.
    pub(super) fn part_from(
        &self,
        part: usize,
        sequence: u64,
    ) -> Option<impl Iterator<Item = &Entry>> {
        let lane = self.lanes.get(part / 2)?;
        let (returned, fresh) = match part % 2 {
            0 => (Some(lane.returned.range(sequence..)), None),
            _ => (None, Some(lane.fresh.iter_from(sequence))),
        };
        let returned = returned.into_iter().flatten().map(|(_, entry)| entry);
        Some(returned.chain(fresh.into_iter().flatten()))
    }

    /// Every message in the order in which they are popped.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Entry> {
        self.lanes.iter().rev().flat_map(Lane::iter)
    }

    /// Where the log has each message.
    pub(super) fn stored(&self) -> Vec<Stored> {
        self.iter().map(|entry| entry.stored).collect()
    }

    /// Looks at the message of that sequence, or changes it.
    pub(super) fn edit<R>(
        &mut self,
        sequence: u64,
        edit: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        for lane in &mut self.lanes {
            let Some(entry) = lane.get_mut(sequence) else { continue };
            let (before, was_away) = (entry.memory(), entry.is_away());
            let result = edit(entry);
            let (after, is_away) = (entry.memory(), entry.is_away());
            self.resident = self.resident + after - before;
            lane.away = lane.away + usize::from(is_away) - usize::from(was_away);
            return Some(result);
        }
        None
    }

    /// Takes the message of that sequence out, wherever it stands.
    pub(super) fn remove(&mut self, sequence: u64) -> Option<Entry> {
        let removed = self.lanes.iter_mut().find_map(|lane| match lane.fresh.remove(sequence) {
            None => lane.returned.remove(&sequence),
            found => found,
        });
        removed.inspect(|entry| self.uncount(Sums::of(entry)))
    }

    /// Bytes of the bodies.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of memory that messages take.
    #[inline]
    pub(super) fn resident(&self) -> u64 {
        self.resident
    }

    /// How many messages are in the log alone.
    pub(super) fn away(&self) -> usize {
        self.lanes.iter().map(|lane| lane.away).sum()
    }

    /// Whether messages of that lane are in the log alone.
    #[inline]
    pub(super) fn is_away(&self, lane: u8) -> bool {
        self.lanes[usize::from(lane)].away > 0
    }

    #[inline]
    pub(super) fn push(&mut self, entry: Entry) {
        self.count(&entry).fresh.push_back(entry);
    }

    /// Puts a message back to its place in the order.
    pub(super) fn put_back(&mut self, entry: Entry) {
        self.count(&entry).returned.insert(entry.sequence, entry);
    }

    /// The message that is next, of the highest priority that has one.
    #[inline]
    pub(super) fn front(&self) -> Option<&Entry> {
        if self.len == 0 {
            return None;
        }
        match &self.lanes[..] {
            [only] => only.front(),
            lanes => lanes.iter().rev().find_map(Lane::front),
        }
    }

    pub(super) fn pop(&mut self) -> Option<Entry> {
        self.pop_with(|entry| entry)
    }

    /// Takes the next message out, and makes something of it where it stands.
    #[inline(always)]
    pub(super) fn pop_with<R>(&mut self, make: impl FnOnce(Entry) -> R) -> Option<R> {
        let (made, sums) = match &mut self.lanes[..] {
            [only] if only.returned.is_empty() => only.fresh.pop_front_with(|entry| {
                let sums = Sums::of(&entry);
                (make(entry), sums)
            })?,
            lanes => {
                let entry = lanes.iter_mut().rev().find_map(Lane::pop)?;
                let sums = Sums::of(&entry);
                (make(entry), sums)
            }
        };
        self.uncount(sums);
        Some(made)
    }

    /// The message at the head of each lane, for expiry, which looks at heads only.
    pub(super) fn pop_head_if(&mut self, mut due: impl FnMut(&Entry) -> bool) -> Option<Entry> {
        let mut lanes = self.lanes.iter_mut();
        let popped = lanes.find(|lane| lane.front().is_some_and(&mut due))?.pop();
        popped.inspect(|entry| self.uncount(Sums::of(entry)))
    }

    /// Whether some message expires one day.
    #[inline]
    pub(super) fn may_expire(&self) -> bool {
        self.expiring > 0
    }

    /// The earliest time at which a head of a lane expires.
    pub(super) fn next_expiry_ms(&self) -> Option<u64> {
        if !self.may_expire() {
            return None;
        }
        let heads = self.lanes.iter().filter_map(Lane::front);
        heads.map(|entry| entry.expires_at_ms).min().filter(|&at| at != u64::MAX)
    }

    pub(super) fn clear(&mut self) {
        self.lanes.iter_mut().for_each(|lane| *lane = Lane::default());
        self.len = 0;
        self.bytes = 0;
        self.resident = 0;
        self.expiring = 0;
    }

    #[inline]
    fn count(&mut self, entry: &Entry) -> &mut Lane {
        let sums = Sums::of(entry);
        self.len += 1;
        self.bytes += sums.bytes;
        self.resident += sums.resident;
        self.expiring += usize::from(sums.expires);
        let lane = &mut self.lanes[usize::from(sums.lane)];
        lane.away += usize::from(sums.is_away);
        lane
    }

    #[inline]
    fn uncount(&mut self, sums: Sums) {
        self.len -= 1;
        self.bytes -= sums.bytes;
        self.resident -= sums.resident;
        self.expiring -= usize::from(sums.expires);
        self.lanes[usize::from(sums.lane)].away -= usize::from(sums.is_away);
    }
}

/// What an entry adds to the sums.
struct Sums {
    bytes: u64,
    resident: u64,
    expires: bool,
    lane: u8,
    is_away: bool,
}

impl Sums {
    #[inline]
    fn of(entry: &Entry) -> Self {
        Self {
            bytes: u64::from(entry.body_size),
            resident: entry.memory(),
            expires: entry.expires_at_ms != u64::MAX,
            lane: entry.lane,
            is_away: entry.is_away(),
        }
    }
}
