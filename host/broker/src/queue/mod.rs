//! The queue: a pure machine, (time, request) in, outcome and effects out. It knows no clock, no
//! thread, no disk and no client; the shard that owns it performs what it answers.
//!
//! One file a role: [`settings`] reads the arguments, [`ready`] keeps order and priority,
//! [`consumers`] shares out, [`enqueue`], [`deliver`] and [`settle`] are a message's life,
//! [`expire`] ends it by time, [`delayed`] lets it wait for its time, and [`deduplication`] keeps
//! it from being here twice. What is [`dead`] waits there to be dead-lettered. [`logged`] is what the
//! log is told, [`paging`] which messages are in memory.

mod consumers;
mod dead;
mod deduplication;
mod delayed;
mod deliver;
mod enqueue;
mod expire;
mod invalid;
mod logged;
mod paging;
mod ready;
mod settings;
mod settle;
#[cfg(test)]
mod tests;

use shunt_types::{Message, QueueId};
use slab::Slab;

pub use consumers::{ConsumerId, ConsumerOptions};
pub use dead::{Dead, DeathReason};
pub use enqueue::Enqueued;
pub use invalid::InvalidArgument;
pub use paging::MemoryBudget;
pub(crate) use paging::{Paged, Wanted};
pub use settings::{DeadLetterTarget, Overflow, QueueSettings};
pub use settle::Settlement;

use consumers::Consumers;
use dead::DeadMessages;
use deduplication::Deduplication;
use logged::QueueLog;
pub(crate) use logged::{Kept, ScanPlace, Stored};
use paging::Paging;
use ready::Ready;

use crate::durable::Left;

/// A message in a queue.
#[derive(Clone, Debug)]
struct Entry {
    /// Place in the queue's order; a returned message goes back to it.
    sequence: u64,
    /// Unix milliseconds; `u64::MAX` for never.
    expires_at_ms: u64,
    /// Nothing where the log alone has it.
    message: Option<Message>,
    /// Where the log has it.
    stored: Stored,
    /// Bytes of the body.
    body_size: u32,
    /// By its priority.
    lane: u8,
    redelivered: bool,
}

/// A message that was handed out and is not settled.
struct Unacked {
    entry: Entry,
    /// The low half of its [`DeliveryId`](shunt_types::DeliveryId).
    serial: u32,
    /// Who got it; `None` for `basic.get`.
    consumer: Option<ConsumerId>,
}

/// What the queue counted since it was declared, and how it stands now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Messages ready for delivery.
    pub ready: u64,
    /// Messages handed out and not settled.
    pub unacked: u64,
    /// Bytes of the ready messages' bodies.
    pub ready_bytes: u64,
    /// Bytes of the unacknowledged messages' bodies.
    pub unacked_bytes: u64,
    /// Ready messages that are in the log alone, not in memory.
    pub paged_out: u64,
    /// Bytes of memory that the queue's messages take.
    pub resident_bytes: u64,
    /// Consumers.
    pub consumers: u64,
    /// Messages taken in.
    pub published: u64,
    /// Messages handed to consumers that settle them.
    pub delivered: u64,
    /// Messages handed to consumers that don't.
    pub delivered_no_ack: u64,
    /// Messages fetched to be settled.
    pub fetched: u64,
    /// Messages fetched for good.
    pub fetched_no_ack: u64,
    /// Messages handed out again.
    pub redelivered: u64,
    /// Messages acknowledged.
    pub acked: u64,
}

/// A queue's messages, consumers and what is on its way between them.
pub struct Queue {
    id: QueueId,
    settings: QueueSettings,
    next_sequence: u64,
    ready: Ready,
    unacked: Slab<Unacked>,
    unacked_bytes: u64,
    /// Bytes of memory that unacknowledged messages take.
    unacked_resident: u64,
    /// Counts what is handed out: it tells a delivery from an earlier one in the same slot, even
    /// of the same message.
    next_delivery_serial: u32,
    consumers: Consumers,
    /// Since when nobody used the queue, for `x-expires`; Unix milliseconds.
    unused_since_ms: u64,
    counts: QueueStats,
    dead: DeadMessages,
    /// What left for good and has a record, since it was last taken.
    left: Vec<Left>,
    paging: Paging,
    deduplication: Option<Deduplication>,
    /// For a durable queue.
    log: Option<QueueLog>,
}

impl Queue {
    /// An empty queue.
    pub fn new(id: QueueId, settings: QueueSettings, now_ms: u64) -> Self {
        Self {
            id,
            ready: Ready::new(settings.max_priority),
            consumers: Consumers::new(settings.single_active_consumer),
            deduplication: settings.deduplication.then(Deduplication::default),
            settings,
            next_sequence: 0,
            unacked: Slab::new(),
            unacked_bytes: 0,
            unacked_resident: 0,
            next_delivery_serial: 0,
            unused_since_ms: now_ms,
            counts: QueueStats::default(),
            dead: DeadMessages::default(),
            left: Vec::new(),
            paging: Paging::default(),
            log: None,
        }
    }

    /// Its id.
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// How it was set up.
    pub fn settings(&self) -> &QueueSettings {
        &self.settings
    }

    /// Puts other settings in force: time to live for messages that come from now on, bounds with
    /// [`Queue::enforce_bounds`], `x-expires` from now on. What a queue is made with, its
    /// priorities and its single active consumer, stays.
    pub fn reconfigure(&mut self, now_ms: u64, settings: QueueSettings) {
        if settings.expires_ms != self.settings.expires_ms {
            self.unused_since_ms = now_ms;
        }
        let QueueSettings { max_priority, single_active_consumer, .. } = self.settings;
        self.settings = QueueSettings { max_priority, single_active_consumer, ..settings };
    }

    /// Counts and state.
    pub fn stats(&self) -> QueueStats {
        QueueStats {
            ready: self.ready.len() as u64,
            unacked: self.unacked.len() as u64,
            ready_bytes: self.ready.bytes(),
            unacked_bytes: self.unacked_bytes,
            paged_out: self.ready.away() as u64,
            resident_bytes: self.ready.resident() + self.unacked_resident,
            consumers: self.consumers.len() as u64,
            ..self.counts
        }
    }

    /// Notes that the queue was declared again, which is a use (`x-expires`).
    pub fn touch(&mut self, now_ms: u64) {
        self.unused_since_ms = now_ms;
    }
}
