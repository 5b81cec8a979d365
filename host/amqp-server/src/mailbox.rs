//! A connection's mailbox: what queues on other shards have for it, in batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use shunt_broker::ports::{CancelReason, ConfirmSink, Confirmation, ConsumerSink, Delivery, Flow};
use shunt_broker::{Consumer, Origin};
use shunt_types::AmqpError;
use shunt_types::limits::CONNECTION_OUTPUT_HIGH;
use tokio::sync::{Notify, oneshot};

/// One item.
pub(crate) enum Mail {
    /// A consumer was added on its queue's shard, or wasn't. It comes before that consumer's
    /// first delivery, so that `basic.consume-ok` does too.
    Consuming {
        serial: u64,
        result: Result<Consumer, AmqpError>,
        done: oneshot::Sender<Result<Consumer, AmqpError>>,
    },
    /// Deliveries to the consumer of that serial.
    Deliveries { serial: u64, consumer: Consumer, deliveries: Vec<Delivery>, paused: bool },
    /// What the consumer of that serial had refused is in its queue again, and nothing more is
    /// on its way.
    AllBack { serial: u64, consumer: Consumer },
    /// The broker ended the consumer of that serial.
    Cancelled { serial: u64 },
    /// Answers to publishes.
    Confirms(Vec<Confirmation>),
}

/// The mailbox. Posting wakes the connection when the mailbox was empty.
pub(crate) struct Mailbox {
    mail: Mutex<Vec<Mail>>,
    pub(crate) arrived: Notify,
}

impl Mailbox {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { mail: Mutex::new(Vec::new()), arrived: Notify::new() })
    }

    pub(crate) fn post(&self, mail: Mail) {
        let was_empty = {
            let mut waiting = self.mail.lock();
            waiting.push(mail);
            waiting.len() == 1
        };
        if was_empty {
            self.arrived.notify_one();
        }
    }

    pub(crate) fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.mail.lock())
    }
}

impl ConfirmSink for Mailbox {
    fn confirm(&self, confirmations: &[Confirmation]) {
        self.post(Mail::Confirms(confirmations.to_vec()));
    }
}

/// Deliveries that may be on their way from another shard to one consumer.
pub(crate) const WINDOW: u32 = 2_048;

/// Bytes of bodies that may be on their way from another shard to one consumer. With what may wait in
/// its connection's output before, they fill a buffer that the pool keeps.
const WINDOW_BYTES: usize = 3 * CONNECTION_OUTPUT_HIGH;

/// The sink of a consumer whose connection lives on another shard than its queue.
pub(crate) struct RemoteSink {
    mailbox: Arc<Mailbox>,
    serial: u64,
    origin: Origin,
    collected: Vec<Delivery>,
    consumer: Option<Consumer>,
    window_max: Arc<AtomicU32>,
    window: u32,
    window_bytes: usize,
}

impl RemoteSink {
    /// `window_max` is what the window is set to when the consumer is resumed.
    pub(crate) fn new(
        mailbox: Arc<Mailbox>,
        serial: u64,
        window_max: Arc<AtomicU32>,
        origin: Origin,
    ) -> Self {
        Self {
            window_max,
            mailbox,
            serial,
            origin,
            collected: Vec::new(),
            consumer: None,
            window: WINDOW,
            window_bytes: WINDOW_BYTES,
        }
    }

    fn is_spent(&self) -> bool {
        self.window == 0 || self.window_bytes == 0
    }
}

impl ConsumerSink for RemoteSink {
    fn deliver(&mut self, consumer: Consumer, delivery: Delivery) -> Flow {
        self.window = self.window.saturating_sub(1);
        self.window_bytes = self.window_bytes.saturating_sub(delivery.message.body().len());
        self.collected.push(delivery);
        self.consumer = Some(consumer);
        if self.is_spent() { Flow::Full } else { Flow::Open }
    }

    fn resumed(&mut self) {
        self.window = self.window_max.load(Ordering::Relaxed);
        self.window_bytes = WINDOW_BYTES;
    }

    fn flush(&mut self) {
        if let (false, Some(consumer)) = (self.collected.is_empty(), self.consumer) {
            // As much room as this batch took: to grow would copy it again and again.
            let room = Vec::with_capacity(self.collected.len().min(WINDOW as usize));
            let deliveries = std::mem::replace(&mut self.collected, room);
            let (serial, paused) = (self.serial, self.is_spent());
            self.mailbox.post(Mail::Deliveries { serial, consumer, deliveries, paused });
        }
    }

    fn origin(&self) -> Origin {
        self.origin.clone()
    }

    fn cancelled(&mut self, _reason: CancelReason) {
        self.flush();
        self.mailbox.post(Mail::Cancelled { serial: self.serial });
    }
}
