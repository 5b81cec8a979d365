//! Which messages are in memory. A long queue keeps the bodies of its head there; the rest is in
//! the log alone, by position, and is read ahead of the consumers.
//!
//! Persistent messages of a durable queue are in the log anyway and leave memory for free. Others
//! are written there so that they can leave it, when the queue is much longer.

use shunt_storage::RecordPosition;
use shunt_types::Message;
use shunt_types::limits::MESSAGE_OVERHEAD;

use super::{Entry, Queue};

/// How long to wait after the disk refused to be read, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// Bytes of memory that the ready messages of one queue may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBudget {
    /// For messages that are in the log anyway.
    pub logged: u64,
    /// For messages that would have to be written there to leave memory.
    pub unlogged: u64,
}

impl Default for MemoryBudget {
    fn default() -> Self {
        Self::UNLIMITED
    }
}

impl MemoryBudget {
    /// Everything stays in memory.
    pub const UNLIMITED: Self = Self { logged: u64::MAX, unlogged: u64::MAX };
}

/// A queue's side of paging.
#[derive(Default)]
pub(super) struct Paging {
    budget: MemoryBudget,
    /// Messages were asked for and have not come.
    is_reading: bool,
    /// The disk refused; not to be asked again before. Unix milliseconds.
    retry_at_ms: u64,
}

/// A message that has to be read from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) sequence: u64,
    pub(crate) position: RecordPosition,
}

/// What came of reading it.
#[derive(Debug)]
pub(crate) enum Paged {
    /// The message.
    Read(Message),
    /// It is not there any more, and never will be.
    Lost,
    /// The disk refused, this time.
    Failed,
}

impl Entry {
    /// Bytes of memory that its message takes, where it is in memory.
    #[inline]
    pub(super) fn memory(&self) -> u64 {
        match self.message {
            Some(_) => u64::from(self.body_size) + MESSAGE_OVERHEAD,
            None => 0,
        }
    }

    /// Whether the log alone has the message.
    #[inline]
    pub(super) fn is_away(&self) -> bool {
        self.message.is_none()
    }

    #[inline]
    fn has_record(&self) -> bool {
        self.stored.position.size > 0
    }
}

impl Queue {
    /// Sets how much memory the ready messages may take; what is there already stays.
    pub fn set_memory_budget(&mut self, budget: MemoryBudget) {
        self.paging.budget = budget;
    }

    /// Whether a new message that the log need not keep has to be written there, so that it can
    /// leave memory.
    #[inline]
    pub(super) fn pages_out_new(&self, lane: u8) -> bool {
        // Behind others that left memory it would only take the place of what comes first.
        self.ready.resident() > self.paging.budget.unlogged
            || (self.is_over_budget() && self.ready.is_away(lane))
    }

    /// Whether the ready messages take more memory than they should.
    #[inline]
    pub(super) fn is_over_budget(&self) -> bool {
        self.ready.resident() > self.paging.budget.logged
    }

    /// Takes the message out of a ready entry where memory is short and the log has it.
    pub(super) fn page_out(&mut self, sequence: u64, lane: u8) {
        if self.ready.is_away(lane) || self.is_over_budget() {
            self.ready.edit(sequence, |entry| {
                if entry.has_record() {
                    entry.message = None;
                }
            });
        }
    }

    /// Whether an entry that is handed out should keep its message in memory.
    #[inline]
    pub(super) fn keeps_in_memory(&self, entry: &Entry) -> bool {
        !entry.has_record() || self.unacked_resident <= self.paging.budget.logged
    }

    /// Takes the message out of an entry that comes back, where memory is short.
    pub(super) fn make_room(&self, entry: &mut Entry) {
        if entry.has_record() && self.is_over_budget() {
            entry.message = None;
        }
    }

    /// What should be read now so that consumers need not wait; nothing while something is on its
    /// way.
    pub(crate) fn take_wanted(&mut self, now_ms: u64) -> Vec<Wanted> {
        if self.waits_for_disk(now_ms) {
            return Vec::new();
        }
        self.paging.retry_at_ms = 0;
        if self.ready.away() == 0 || self.consumers.len() == 0 || self.paging.is_reading {
            return Vec::new();
        }
        let budget = self.paging.budget.logged;
        let has_enough = self.ready.resident() >= budget / 2;
        if has_enough && self.ready.front().is_some_and(|front| !front.is_away()) {
            return Vec::new();
        }
        let wanted = self.away_within(budget);
        self.paging.is_reading = !wanted.is_empty();
        wanted
    }

    /// The messages to be read before one can be fetched; none where the next is in memory.
    pub(crate) fn front_away(&mut self, now_ms: u64, bytes: u64) -> Vec<Wanted> {
        self.expire_before(now_ms);
        match self.ready.front() {
            Some(front) if front.is_away() => self.away_within(bytes),
            _ => Vec::new(),
        }
    }

    /// What of the first so many bytes is in the log alone; at least the first message.
    fn away_within(&self, bytes: u64) -> Vec<Wanted> {
        let mut seen = 0;
        let near = self.ready.in_order().take_while(|entry| {
            let is_near = seen == 0 || seen < bytes;
            seen += u64::from(entry.body_size) + MESSAGE_OVERHEAD;
            is_near
        });
        let away = near.filter(|entry| entry.is_away());
        away.map(|entry| Wanted { sequence: entry.sequence, position: entry.stored.position })
            .collect()
    }

    /// What was wanted came, or part of it; answers how many messages turned out to be lost.
    pub(crate) fn take_paged(
        &mut self,
        now_ms: u64,
        pages: impl IntoIterator<Item = (Wanted, Paged)>,
    ) -> u64 {
        self.paging.is_reading = false;
        let mut lost = 0;
        for (wanted, paged) in pages {
            let Wanted { sequence, position } = wanted;
            match paged {
                Paged::Read(message) => {
                    // It may have left meanwhile.
                    self.ready.edit(sequence, |entry| {
                        if entry.is_away() {
                            entry.message = Some(message);
                        }
                    });
                }
                Paged::Lost => lost += u64::from(self.drop_lost(sequence, position)),
                Paged::Failed => self.retry_reading(now_ms),
            }
        }
        lost
    }

    /// A message can't be read any more. One that was written again elsewhere meanwhile is not
    /// lost.
    pub(crate) fn drop_lost(&mut self, sequence: u64, position: RecordPosition) -> bool {
        let same = |entry: &mut Entry| entry.is_away() && entry.stored.position == position;
        if self.ready.edit(sequence, same) != Some(true) {
            return false;
        }
        if let Some(entry) = self.ready.remove(sequence) {
            self.forget(entry.sequence);
            self.note_left(entry.sequence, entry.stored);
        }
        true
    }

    /// When reading should be tried again after the disk refused; Unix milliseconds.
    pub(super) fn retry_at_ms(&self) -> Option<u64> {
        let has_reader = self.ready.away() > 0 && self.consumers.len() > 0;
        let is_due = self.paging.retry_at_ms > 0 && (has_reader || self.has_dead());
        is_due.then_some(self.paging.retry_at_ms)
    }

    /// The disk refused to be read, and is to be asked again later.
    pub(super) fn retry_reading(&mut self, now_ms: u64) {
        self.paging.retry_at_ms = now_ms + RETRY_MS;
    }

    /// Whether it is too early to ask the disk again.
    pub(super) fn waits_for_disk(&self, now_ms: u64) -> bool {
        now_ms < self.paging.retry_at_ms
    }
}
