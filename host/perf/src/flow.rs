//! What publishers and consumers of a run know of each other: a few counters and flags.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared by all threads of a run. The counters are written once a batch, not once a message.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    published: AtomicU64,
    received: AtomicU64,
    confirmed: AtomicU64,
    nacked: AtomicU64,
    returned: AtomicU64,
    /// Latencies count from now on.
    measuring: AtomicBool,
    /// Publishers end after their batch.
    stop: AtomicBool,
    /// Consumers end when nothing comes any more.
    drained: AtomicBool,
    /// A thread ended with an error: the others end too.
    failed: AtomicBool,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Messages written to a socket.
    pub(crate) published: u64,
    /// Deliveries to a consumer.
    pub(crate) received: u64,
    /// Messages confirmed.
    pub(crate) confirmed: u64,
    /// Messages that the broker refused to confirm.
    pub(crate) nacked: u64,
    /// Messages that came back because no queue took them.
    pub(crate) returned: u64,
}

impl Counts {
    /// Messages that a consumer should see, or has seen.
    pub(crate) fn deliverable(&self) -> u64 {
        self.published.saturating_sub(self.nacked + self.returned)
    }
}

impl Flow {
    /// A publisher is about to write this many messages.
    pub(crate) fn publishing(&self, messages: u64) {
        self.published.fetch_add(messages, Ordering::Relaxed);
    }

    /// A consumer got this many deliveries.
    pub(crate) fn received(&self, deliveries: u64) {
        self.received.fetch_add(deliveries, Ordering::Relaxed);
    }

    /// A publisher got basic.ack for this many messages.
    pub(crate) fn confirmed(&self, messages: u64) {
        self.confirmed.fetch_add(messages, Ordering::Relaxed);
    }

    /// A publisher got basic.nack for this many messages.
    pub(crate) fn nacked(&self, messages: u64) {
        self.nacked.fetch_add(messages, Ordering::Relaxed);
    }

    /// A publisher got this many messages back.
    pub(crate) fn returned(&self, messages: u64) {
        self.returned.fetch_add(messages, Ordering::Relaxed);
    }

    /// The counters now.
    pub(crate) fn counts(&self) -> Counts {
        // What was received is read first, so that a run never seems to have received what was
        // not published.
        let received = self.received.load(Ordering::Relaxed);
        Counts {
            received,
            confirmed: self.confirmed.load(Ordering::Relaxed),
            nacked: self.nacked.load(Ordering::Relaxed),
            returned: self.returned.load(Ordering::Relaxed),
            published: self.published.load(Ordering::Relaxed),
        }
    }

    /// The warm-up is over, or the measured time is.
    pub(crate) fn measure(&self, measuring: bool) {
        self.measuring.store(measuring, Ordering::Relaxed);
    }

    /// Whether latencies count.
    pub(crate) fn measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
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
