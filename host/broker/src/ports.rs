//! The few things that the domain needs from outside: time, a log for its metadata, a way to
//! wake a shard, and the places to which deliveries and confirms go.

use shunt_types::{DeliveryId, Message, QueueId};

use crate::metadata::Command;
use crate::{Consumer, Origin};

/// Time as the domain sees it.
pub trait Clock: Send + Sync {
    /// Unix time in milliseconds.
    fn now_ms(&self) -> u64;
}

/// How far the metadata log has been written; positions grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// What happens once a position is on disk, or can't be brought there.
pub type OnDurable = Box<dyn FnOnce(Result<(), String>) + Send>;

/// The log of metadata commands.
pub trait MetadataLog: Send + Sync {
    /// Takes the command in, in order, without waiting for the disk.
    fn append(&self, command: &Command) -> Position;

    /// Calls `then` once everything up to `position` is on disk, at once where it is already.
    fn when_durable(&self, position: Position, then: OnDurable);
}

/// Wakes the thread of a shard whose inbox was empty. Called from any thread.
pub trait Wake: Send + Sync {
    /// The shard has to call `Shard::run_inbox` soon.
    fn wake(&self);
}

/// A message on its way to a consumer.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The queue that hands it out.
    pub queue: QueueId,
    /// What the consumer settles it by; `None` where the consumer needn't.
    pub id: Option<DeliveryId>,
    /// The message.
    pub message: Message,
    /// Whether it was handed out before.
    pub redelivered: bool,
    /// Where it belongs, should the sink refuse it.
    pub(crate) place: Place,
}

/// A message's place in its queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) sequence: u64,
    pub(crate) expires_at_ms: u64,
    pub(crate) stored: crate::queue::Stored,
}

/// What a consumer's sink says to a delivery.
#[derive(Debug)]
pub enum Flow {
    /// Taken, and room for more.
    Open,
    /// Taken, and no room for more until `Shard::resume`.
    Full,
    /// Not taken: the message keeps its place as if it had not been handed out. No room until
    /// `Shard::resume`.
    Refused(Delivery),
}

/// Why the broker ends a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// Its queue was deleted.
    QueueDeleted,
}

/// Where a consumer's deliveries go. It lives on the shard of its queue; a consumer whose
/// connection lives elsewhere hands over what it collected when it is flushed.
///
/// A sink is called while its shard is at work, and must not call the shard.
pub trait ConsumerSink {
    /// Takes one delivery to `consumer`, whose sink this is.
    fn deliver(&mut self, consumer: Consumer, delivery: Delivery) -> Flow;
    /// The consumer was resumed: it has room again.
    fn resumed(&mut self) {}
    /// The end of a batch of deliveries.
    fn flush(&mut self);
    /// Whose consumer this is, for tracing.
    fn origin(&self) -> Origin {
        Origin::default()
    }
    /// The broker ended the consumer; nothing follows.
    fn cancelled(&mut self, reason: CancelReason);
}

/// What a queue said to a message that was published with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// The publisher's token.
    pub token: u64,
    /// Whether the queue took the message, for good; else it refused it.
    pub accepted: bool,
}

/// Where the answers of queues on other shards go. Called from those shards' threads.
pub trait ConfirmSink: Send + Sync {
    /// Takes the answers of one batch.
    fn confirm(&self, confirmations: &[Confirmation]);
}
