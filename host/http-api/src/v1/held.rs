//! Messages that were taken from a queue and that nobody has answered for yet.

use std::collections::VecDeque;
use std::sync::Arc;

use shunt_broker::ports::Delivery;
use shunt_broker::queue::Settlement;
use shunt_broker::{Broker, Shard, Task};
use shunt_types::{AmqpError, DeliveryId, QueueId};

use crate::limits::ANSWER_BODY_BYTES;

/// A message that was handed out.
pub(crate) struct Taken {
    pub(crate) delivery: Delivery,
    /// How many were ready behind it, where it was fetched.
    pub(crate) left: u64,
}

/// Messages of one queue. Those that nobody took out go back to the queue when this is dropped,
/// wherever it is dropped: with a request, with a channel, with an answer that came too late.
pub(crate) struct Held {
    broker: Arc<Broker>,
    messages: VecDeque<Taken>,
}

impl Held {
    pub(crate) fn new(broker: Arc<Broker>) -> Self {
        Self { broker, messages: VecDeque::new() }
    }

    pub(crate) fn push(&mut self, taken: Taken) {
        self.messages.push_back(taken);
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Taken> {
        self.messages.iter()
    }

    /// Takes one out; the caller answers for it from now on.
    pub(crate) fn pop(&mut self) -> Option<Taken> {
        self.messages.pop_front()
    }

    /// Takes over what another one holds.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        self.messages.append(&mut other.messages);
    }

    /// Leaves everything behind, and an empty one in its place.
    pub(crate) fn take(&mut self) -> Self {
        let messages = std::mem::take(&mut self.messages);
        Self { broker: self.broker.clone(), messages }
    }

    /// Settles everything.
    pub(crate) fn settle(mut self, settlement: Settlement) {
        self.settle_all(settlement);
    }

    fn settle_all(&mut self, settlement: Settlement) {
        let messages = std::mem::take(&mut self.messages).into_iter();
        let ids = messages.filter_map(|taken| Some((taken.delivery.queue, taken.delivery.id?)));
        post_settlements(&self.broker, ids.collect(), settlement);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.messages.is_empty() {
            self.settle_all(Settlement::Requeue);
        }
    }
}

/// Settles deliveries in the same way, one post for each shard.
pub(crate) fn post_settlements(
    broker: &Broker,
    mut deliveries: Vec<(QueueId, DeliveryId)>,
    settlement: Settlement,
) {
    deliveries.sort_by_key(|(queue, _)| queue.shard());
    for batch in deliveries.chunk_by(|(a, _), (b, _)| a.shard() == b.shard()) {
        let shard = batch[0].0.shard();
        let batch = batch.iter().map(|&(queue, id)| (queue, id, settlement)).collect();
        broker.inbox(shard).post(Task::Settle(batch));
    }
}

/// Fetches what is ready, at most `max` messages, on the queue's shard.
pub(crate) fn take(shard: &mut Shard, queue: QueueId, max: u32) -> Result<Held, AmqpError> {
    let mut held = Held::new(shard.broker().clone());
    let mut body_bytes = 0;
    for _ in 0..max {
        if body_bytes >= ANSWER_BODY_BYTES {
            break;
        }
        let Some((delivery, left)) = shard.fetch(queue, false)? else { break };
        body_bytes += delivery.message.body().len() as u64;
        held.push(Taken { delivery, left });
    }
    Ok(held)
}
