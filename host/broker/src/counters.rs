//! What the whole node counts. Added to per batch, read by the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Totals since the start.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)*
        }
    };
}

/// One total.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        if n > 0 {
            self.0.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// The total.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

counters! {
    /// AMQP connections accepted.
    connections_opened,
    /// AMQP connections ended.
    connections_closed,
    /// Moves of AMQP connections to another shard.
    connections_moved,
    /// Channels opened.
    channels_opened,
    /// Channels closed.
    channels_closed,
    /// Messages received from publishers.
    messages_received,
    /// Of those, the ones whose publisher waits for a confirm.
    messages_received_confirm,
    /// Confirms sent to publishers.
    messages_confirmed,
    /// Messages that reached at least one queue.
    messages_routed,
    /// Unroutable messages that were dropped.
    messages_unroutable_dropped,
    /// Unroutable messages that were returned.
    messages_unroutable_returned,
    /// Messages that no queue got because a route failed.
    messages_route_failed,
    /// Messages that could not be read back from a damaged log.
    messages_lost_to_damage,
    /// Damaged places that were found when the log of messages was opened.
    log_damaged,
    /// `basic.get` on an empty queue.
    gets_empty,
    /// Queues declared anew.
    queues_created,
    /// Queues deleted.
    queues_deleted,
}
