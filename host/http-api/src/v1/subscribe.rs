//! A consumer whose messages come to a request.

use std::sync::Arc;

use shunt_broker::ports::{CancelReason, ConsumerSink, Delivery, Flow};
use shunt_broker::queue::ConsumerOptions;
use shunt_broker::{Broker, Consumer, Shard, Task};
use shunt_types::{AmqpError, QueueId};
use tokio::sync::mpsc;

use super::held::{Held, Taken};
use crate::error::ApiError;
use crate::limits::ANSWER_BODY_BYTES;
use crate::shards;

/// What a subscription is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To wait for the next messages, once.
    Poll,
    /// To consume.
    Stream,
}

/// A consumer of a queue; dropped, it leaves the queue, and what wasn't taken out goes back.
///
/// Nothing here is ever refused for want of room: what a consumer holds is bounded by its
/// prefetch count, and nothing is settled before it is taken out.
pub(crate) struct Subscription {
    broker: Arc<Broker>,
    consumer: Option<Consumer>,
    purpose: Purpose,
    batches: mpsc::UnboundedReceiver<Held>,
}

impl Subscription {
    /// Adds a consumer, on the queue's shard.
    pub(crate) fn begin(
        shard: &mut Shard,
        queue: QueueId,
        prefetch: u16,
        purpose: Purpose,
    ) -> Result<Self, AmqpError> {
        let broker = shard.broker().clone();
        let (sender, batches) = mpsc::unbounded_channel();
        let sink = Box::new(Sink {
            sender,
            collected: Held::new(broker.clone()),
            body_bytes: 0,
            body_bytes_max: match purpose {
                Purpose::Poll => ANSWER_BODY_BYTES,
                Purpose::Stream => u64::MAX,
            },
        });
        let options = ConsumerOptions { prefetch, ..ConsumerOptions::default() };
        let consumer = shard.consume(queue, options, sink)?;
        Ok(Self { broker, consumer: Some(consumer), purpose, batches })
    }

    /// The next messages; `None` when the queue was deleted.
    pub(crate) async fn next(&mut self) -> Option<Held> {
        self.batches.recv().await
    }

    /// Leaves the queue, and answers what came meanwhile.
    pub(crate) async fn end(mut self) -> Result<Held, ApiError> {
        let mut held = Held::new(self.broker.clone());
        if let Some(consumer) = self.consumer.take() {
            let purpose = self.purpose;
            let leave = move |shard: &mut Shard| purpose.leave(shard, consumer);
            shards::on_shard(&self.broker, consumer.queue.shard(), leave).await?;
        }
        while let Ok(batch) = self.batches.try_recv() {
            held.absorb(batch);
        }
        Ok(held)
    }
}

impl Purpose {
    fn leave(self, shard: &mut Shard, consumer: Consumer) {
        match self {
            // An auto-delete queue outlives those who only look whether something came.
            Self::Poll => shard.withdraw(consumer),
            Self::Stream => shard.cancel(consumer),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // The consumer goes before its messages come back: else it would get them again.
        if let Some(consumer) = self.consumer.take() {
            let purpose = self.purpose;
            let leave = move |shard: &mut Shard| purpose.leave(shard, consumer);
            self.broker.inbox(consumer.queue.shard()).post(Task::Call(Box::new(leave)));
        }
    }
}

/// The consumer's end on the queue's shard.
struct Sink {
    sender: mpsc::UnboundedSender<Held>,
    collected: Held,
    body_bytes: u64,
    body_bytes_max: u64,
}

impl ConsumerSink for Sink {
    fn deliver(&mut self, _consumer: Consumer, delivery: Delivery) -> Flow {
        if self.sender.is_closed() || self.body_bytes >= self.body_bytes_max {
            return Flow::Refused(delivery);
        }
        self.body_bytes = self.body_bytes.saturating_add(delivery.message.body().len() as u64);
        self.collected.push(Taken { delivery, left: 0 });
        Flow::Open
    }

    fn flush(&mut self) {
        if !self.collected.is_empty() {
            // Where nobody listens any more, the messages come back and go to their queue.
            drop(self.sender.send(self.collected.take()));
        }
    }

    fn cancelled(&mut self, _reason: CancelReason) {}
}
