//! How full a queue is, for threads that may not wait for its shard.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// How full a queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueLoad {
    /// Messages ready for delivery.
    pub ready: u64,
    /// Messages delivered and not settled.
    pub unacked: u64,
    /// Consumers.
    pub consumers: u32,
}

/// Shows a queue's load. The queue's shard sets it once per batch; whoever reads it sees the state
/// after that queue's last batch, each number by itself.
#[derive(Debug, Default)]
pub struct QueueGauge {
    ready: AtomicU64,
    unacked: AtomicU64,
    consumers: AtomicU32,
    is_set: AtomicBool,
}

impl QueueGauge {
    /// Shows a load.
    pub fn set(&self, load: QueueLoad) {
        self.ready.store(load.ready, Ordering::Relaxed);
        self.unacked.store(load.unacked, Ordering::Relaxed);
        self.consumers.store(load.consumers, Ordering::Relaxed);
        self.is_set.store(true, Ordering::Release);
    }

    /// What it shows; zeros until it was set for the first time.
    pub fn get(&self) -> QueueLoad {
        QueueLoad {
            ready: self.ready.load(Ordering::Relaxed),
            unacked: self.unacked.load(Ordering::Relaxed),
            consumers: self.consumers.load(Ordering::Relaxed),
        }
    }

    /// Whether the shard has set it at least once.
    pub fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }
}
