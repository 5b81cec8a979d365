//! What publishers and consumers know of each other: a few counters.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared by all threads of a run. The counters are written once a batch, not once a message.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    published: AtomicU64,
    received: AtomicU64,
    nacked: AtomicU64,
    /// Publishers end after their batch.
    stop: AtomicBool,
    /// Consumers end when nothing comes any more.
    drained: AtomicBool,
    /// A thread ended with an error: the others end too.
    failed: AtomicBool,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// Messages written to a socket.
    pub(crate) published: u64,
    /// Messages delivered to a consumer.
    pub(crate) received: u64,
    /// Messages that the broker refused to confirm.
    pub(crate) nacked: u64,
}

impl Flow {
    /// A publisher is about to write this many messages.
    pub(crate) fn publishing(&self, messages: u64) {
        self.published.fetch_add(messages, Ordering::Relaxed);
    }

    /// A consumer got this many messages.
    pub(crate) fn received(&self, messages: u64) {
        self.received.fetch_add(messages, Ordering::Relaxed);
    }

    /// A publisher got basic.nack for this many messages.
    pub(crate) fn nacked(&self, messages: u64) {
        self.nacked.fetch_add(messages, Ordering::Relaxed);
    }

    /// The counters now.
    pub(crate) fn counts(&self) -> Counts {
        // In this order, so that a run never seems to have received what was not published.
        let received = self.received.load(Ordering::Relaxed);
        let nacked = self.nacked.load(Ordering::Relaxed);
        Counts { published: self.published.load(Ordering::Relaxed), received, nacked }
    }

    /// No more publishing.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// No more waiting for deliveries.
    pub(crate) fn end(&self) {
        self.stop();
        self.drained.store(true, Ordering::Relaxed);
    }

    /// Something went wrong: everything ends.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
        self.end();
    }

    /// Whether publishers should end.
    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether consumers should end.
    pub(crate) fn ended(&self) -> bool {
        self.drained.load(Ordering::Relaxed)
    }

    /// Whether a thread ended with an error.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}
