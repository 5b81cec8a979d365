//! Ids that stand for what has a longer name.

use std::fmt;

/// One of the node's shards: a thread that owns connections and queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

/// A queue on this node: where it lives, and which of the queues that ever lived there it is.
///
/// The owner finds the queue by index, without hashing; a message that was routed to a queue
/// deleted meanwhile carries an old generation and reaches nobody.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(u64);

impl QueueId {
    /// Bits of the slot; the generation has the 24 above it, the shard the topmost 8.
    const SLOT_BITS: u32 = 32;
    const GENERATION_BITS: u32 = 24;

    /// The queue in `slot` of `shard`, for the `generation`-th time that the slot is used
    /// (modulo 2^24).
    pub fn new(shard: ShardId, slot: u32, generation: u32) -> Self {
        let generation = u64::from(generation) & ((1 << Self::GENERATION_BITS) - 1);
        let shard = u64::from(shard.0) << (Self::SLOT_BITS + Self::GENERATION_BITS);
        Self(shard | generation << Self::SLOT_BITS | u64::from(slot))
    }

    /// The shard that owns the queue.
    pub fn shard(self) -> ShardId {
        ShardId((self.0 >> (Self::SLOT_BITS + Self::GENERATION_BITS)) as u16)
    }

    /// The queue's place in its shard.
    pub fn slot(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let generation = (self.0 >> Self::SLOT_BITS) & ((1 << Self::GENERATION_BITS) - 1);
        write!(f, "QueueId({}:{}.{generation})", self.shard().0, self.slot())
    }
}

/// An exchange in its virtual host, for the time that it exists; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub u64);

/// A message that a queue handed out and that is not settled yet; valid for that queue only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_id_keeps_its_parts() {
        let id = QueueId::new(ShardId(63), u32::MAX, 7);
        assert_eq!(id.shard(), ShardId(63));
        assert_eq!(id.slot(), u32::MAX);
        assert_ne!(id, QueueId::new(ShardId(63), u32::MAX, 8));
    }
}
