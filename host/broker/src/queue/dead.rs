//! What died in a queue and is not dead-lettered yet.

use std::collections::VecDeque;
use std::sync::Arc;

use shunt_types::Message;

use super::{Entry, Overflow, Queue, Stored};
use crate::durable::Left;

/// Places for dead messages that a queue without any keeps.
const PLACES_KEPT: usize = 1_024;

/// Bytes of a body that cost as much to move as a message does by itself, about.
const BYTES_PER_WORK: u64 = 4_096;

/// Why a message is dead-lettered, by RabbitMQ's names in `x-death`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeathReason {
    /// Rejected without requeue.
    Rejected,
    /// Its time to live ran out.
    Expired,
    /// The queue was full.
    Maxlen,
}

impl DeathReason {
    /// The name in the header `x-death`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Maxlen => "maxlen",
        }
    }
}

/// A message that left the queue without being consumed.
#[derive(Clone, Debug)]
pub struct Dead {
    /// The message; nothing where the log alone has it.
    pub message: Option<Message>,
    /// Why.
    pub reason: DeathReason,
    /// Where the log has it.
    pub(crate) stored: Stored,
    /// How the log is told that it left the queue; where it was refused, being a letter itself, that
    /// what it comes from left another queue.
    pub(crate) left: Option<Arc<Left>>,
}

impl Dead {
    /// What it costs to be dead-lettered: one, and more where its body is long.
    pub(crate) fn work(&self) -> u64 {
        let stored = u64::from(self.stored.position.size);
        let size = self.message.as_ref().map_or(stored, |message| message.body_size() as u64);
        1 + size / BYTES_PER_WORK
    }

    /// The same where it died by what clients did, and nothing where it died by time.
    fn prompt_work(&self) -> u64 {
        if self.reason == DeathReason::Expired { 0 } else { self.work() }
    }
}

/// The dead messages of a queue, by the time of their death.
#[derive(Default)]
pub(super) struct DeadMessages {
    waiting: VecDeque<Dead>,
    /// Of all that wait.
    work: u64,
    /// Of those that wait and died by what clients did, and not by time.
    prompt: u64,
}

impl DeadMessages {
    fn push_back(&mut self, dead: Dead) {
        self.work += dead.work();
        self.prompt += dead.prompt_work();
        self.waiting.push_back(dead);
    }

    fn push_front(&mut self, dead: Dead) {
        self.work += dead.work();
        self.prompt += dead.prompt_work();
        self.waiting.push_front(dead);
    }

    fn take(&mut self, work: u64) -> Vec<Dead> {
        let mut taken = 0;
        let within = self.waiting.iter().take_while(|dead| {
            let is_within = taken < work;
            taken += if is_within { dead.work() } else { 0 };
            is_within
        });
        let count = within.count();
        self.work -= taken;
        let dead: Vec<_> = self.waiting.drain(..count).collect();
        self.prompt -= dead.iter().map(Dead::prompt_work).sum::<u64>();
        // Many that died at once must not keep the memory for ever.
        if self.waiting.is_empty() && self.waiting.capacity() > PLACES_KEPT {
            self.waiting = VecDeque::new();
        }
        dead
    }
}

impl Queue {
    /// A message is dead: it leaves the queue for its dead-letter exchange, or for good.
    pub(super) fn bury(&mut self, entry: Entry, reason: DeathReason) {
        self.forget(entry.sequence);
        if self.settings.dead_letter.is_some() || self.settings.delayed_for.is_some() {
            let left = self.left(entry.sequence, entry.stored).map(Arc::new);
            let Entry { message, stored, .. } = entry;
            self.dead.push_back(Dead { message, reason, stored, left });
        } else {
            self.note_left(entry.sequence, entry.stored);
        }
    }

    /// A message died that never was in the queue.
    pub(super) fn mourn(&mut self, message: Message, reason: DeathReason) {
        if self.settings.dead_letter.is_some() {
            let (message, stored) = (Some(message), Stored::NOWHERE);
            self.dead.push_back(Dead { message, reason, stored, left: None });
        }
    }

    /// The message that was refused last is itself the letter of an earlier death, which the letter
    /// that becomes of it is to tell of. Answers that death where no letter becomes of it.
    pub(crate) fn mourn_for(&mut self, left: Arc<Left>) -> Option<Arc<Left>> {
        let mourns = self.settings.overflow == Overflow::RejectPublishDeadLetter
            && self.settings.dead_letter.is_some();
        let dead = self.dead.waiting.back_mut().filter(|_| mourns);
        let Some(dead) = dead else { return Some(left) };
        dead.left = Some(left);
        None
    }

    /// Takes the messages that died first: as long as less than `work` was taken, each being one
    /// and one more for every four KiB of its body.
    pub fn take_dead(&mut self, work: u64) -> Vec<Dead> {
        self.dead.take(work)
    }

    /// Takes back dead messages that the disk did not give out, to be buried later.
    pub(crate) fn put_back_dead(&mut self, now_ms: u64, dead: Vec<Dead>) {
        dead.into_iter().rev().for_each(|dead| self.dead.push_front(dead));
        self.retry_reading(now_ms);
    }

    /// Whether messages died since they were last taken.
    pub fn has_dead(&self) -> bool {
        self.dead.work > 0
    }

    /// What it costs to dead-letter those that died by what clients did, and not by time.
    pub(crate) fn prompt_work(&self) -> u64 {
        self.dead.prompt
    }

    /// What it costs to dead-letter all of them.
    #[cfg(test)]
    pub(crate) fn dead_work(&self) -> u64 {
        self.dead.work
    }

    /// Whether the dead can be buried now.
    pub(crate) fn has_buriable_dead(&self, now_ms: u64) -> bool {
        self.has_dead() && !self.waits_for_disk(now_ms)
    }
}
