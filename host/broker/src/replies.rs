//! Direct reply-to (RabbitMQ): addresses that are no queues. A requester consumes from the
//! pseudo-queue [`DIRECT_REPLY_TO`]; its requests then carry an address of its own, and what is
//! published to that address through the default exchange goes straight to its connection.
//!
//! Nothing is stored and nothing waits: a reply to an address that is gone is unroutable.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use shunt_routing::Map;
use shunt_types::{Message, ShardId};

/// The pseudo-queue that a requester consumes from and names as its `reply_to`.
pub const DIRECT_REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// What every reply address begins with.
const PREFIX: &str = "amq.rabbitmq.reply-to.";

/// Whether `name` is the pseudo-queue or one of its addresses.
pub fn is_direct_reply_to(name: &str) -> bool {
    name == DIRECT_REPLY_TO || is_reply_address(name)
}

/// Whether `name` could be an address of a requester, there or gone.
pub(crate) fn is_reply_address(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Where replies to one requester go. It lives on the shard of the requester's connection and,
/// as a consumer's sink, must not call the shard.
pub trait ReplySink {
    /// Takes one reply, or drops it where the requester does not keep up.
    fn reply(&mut self, message: &Message);
}

/// Who waits for replies at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Requester {
    pub(crate) shard: ShardId,
    /// Which requester of the node; never used again.
    pub(crate) serial: u64,
}

/// Every address of the node, readable from any thread without a lock.
#[derive(Default)]
pub(crate) struct Replies {
    known: ArcSwap<Map<Arc<str>, Requester>>,
    /// Counts requesters. Held by whoever changes what is known.
    serial: Mutex<u64>,
}

impl Replies {
    /// Makes an address of `random`, which nobody must be able to guess.
    pub(crate) fn add(&self, shard: ShardId, random: &str) -> (Arc<str>, Requester) {
        let address: Arc<str> = format!("{PREFIX}{random}").into();
        let mut serial = self.serial.lock();
        *serial += 1;
        let requester = Requester { shard, serial: *serial };
        let mut known = Map::clone(&self.known.load());
        known.insert(address.clone(), requester);
        self.known.store(Arc::new(known));
        (address, requester)
    }

    pub(crate) fn remove(&self, address: &str) -> Option<Requester> {
        let _changing = self.serial.lock();
        let mut known = Map::clone(&self.known.load());
        let removed = known.remove(address);
        self.known.store(Arc::new(known));
        removed
    }

    pub(crate) fn find(&self, address: &str) -> Option<Requester> {
        self.known.load().get(address).copied()
    }
}
