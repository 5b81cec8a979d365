//! A message comes in.

use shunt_types::Message;

use super::{DeathReason, Entry, Overflow, Queue, Stored};
use crate::durable::Target;

/// What the queue says to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is in the queue.
    Accepted,
    /// It is in the queue, and has to be written to the log before it is confirmed.
    Logged(Target),
    /// It is in the queue, and has to be written to the log so that memory need not hold it.
    Paged(Target),
    /// The same message is here already (`x-message-deduplication`): this one is dropped, and
    /// its publisher has what it wanted.
    Duplicate,
    /// The queue is full and refuses publishers.
    Rejected,
}

impl Queue {
    /// Whether the queue has a bound on its length, so that each message has to be offered to
    /// the consumers before the next one is judged.
    #[inline]
    pub fn is_bounded(&self) -> bool {
        self.settings.max_length.is_some() || self.settings.max_length_bytes.is_some()
    }

    /// Takes a message in, at the end. Deliver what is deliverable before, where the queue
    /// [is bounded](Queue::is_bounded).
    pub fn enqueue(&mut self, now_ms: u64, message: Message) -> Enqueued {
        if self.is_duplicate(&message) {
            return Enqueued::Duplicate;
        }
        let refuses = self.is_bounded() && self.settings.overflow != Overflow::DropHead;
        if refuses && self.is_over(1, message.body_size() as u64) {
            if self.settings.overflow == Overflow::RejectPublishDeadLetter {
                self.mourn(message, DeathReason::Maxlen);
            }
            return Enqueued::Rejected;
        }
        self.counts.published += 1;
        let due = self.due(now_ms, &message);
        let expires_at_ms = due.unwrap_or_else(|| self.expiry(now_ms, &message));
        let sequence = match due {
            Some(due_ms) => self.sequence_of(due_ms),
            None => self.next_sequence,
        };
        self.next_sequence += 1;
        self.remember(sequence, &message);
        let lane = self.ready.lane_of(message.priority());
        let target = Target { queue: self.log_uid(), sequence, expires_at_ms, redelivered: false };
        let enqueued = if self.keeps(&message) {
            Enqueued::Logged(target)
        } else if self.pages_out_new(lane) {
            Enqueued::Paged(target)
        } else {
            Enqueued::Accepted
        };
        let is_logged = matches!(enqueued, Enqueued::Logged(_));
        let entry = Entry {
            sequence,
            expires_at_ms,
            stored: if is_logged { Stored::TOLD } else { Stored::NOWHERE },
            body_size: message.body_size() as u32,
            message: Some(message),
            lane,
            redelivered: false,
        };
        if due.is_some() {
            self.ready.put_back(entry);
        } else {
            self.ready.push(entry);
        }
        enqueued
    }

    /// Drops from the head what is over the bound; call it after delivering. The head of a queue
    /// with priorities is its highest, as in RabbitMQ.
    pub fn enforce_bounds(&mut self) {
        if self.settings.overflow != Overflow::DropHead {
            return;
        }
        while self.is_bounded() && self.is_over(0, 0) {
            let Some(entry) = self.ready.pop() else { return };
            self.bury(entry, DeathReason::Maxlen);
        }
    }

    fn is_over(&self, messages: u64, bytes: u64) -> bool {
        let length = self.ready.len() as u64 + messages;
        let size = self.ready.bytes() + bytes;
        self.settings.max_length.is_some_and(|max| length > max)
            || self.settings.max_length_bytes.is_some_and(|max| size > max)
    }
}
