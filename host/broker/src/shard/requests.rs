//! What is asked of one queue outside the path of a message: consume, fetch, purge, delete,
//! counts. Each runs on the queue's own shard.

use std::sync::Arc;

use shunt_types::{AmqpError, DeliveryId, QueueGauge, QueueId};

use super::{Shard, Task};
use crate::metadata::Actor;
use crate::ports::{ConsumerSink, Delivery};
use crate::queue::{ConsumerId, ConsumerOptions, QueueSettings, QueueStats, Settlement};

/// A consumer that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Consumer {
    /// Its queue.
    pub queue: QueueId,
    /// Its id there.
    pub id: ConsumerId,
}

/// What must hold for a queue to be deleted, and who wants that.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// No consumers.
    pub if_unused: bool,
    /// No ready messages.
    pub if_empty: bool,
    /// The user; the node itself where there is none.
    pub user: Option<String>,
}

impl DeleteOptions {
    /// Without conditions.
    pub fn by(user: &str) -> Self {
        Self { user: Some(user.to_owned()), ..Self::default() }
    }
}

impl Shard {
    /// Adds a consumer, whose first deliveries follow with the next flush.
    ///
    /// # Errors
    /// `ACCESS_REFUSED` (403) for an exclusive conflict, `NOT_FOUND` (404) for a queue that is
    /// gone.
    pub fn consume(
        &mut self,
        queue: QueueId,
        options: ConsumerOptions,
        sink: Box<dyn ConsumerSink>,
    ) -> Result<Consumer, AmqpError> {
        let slot = self.slot(queue).ok_or_else(gone)?;
        let id = slot.queue.subscribe(options).map_err(|error| {
            let vhost = &slot.vhost.name();
            AmqpError::new(
                error.code,
                format!("queue '{}' in vhost '{vhost}' {}", slot.name, error.explanation),
            )
        })?;
        if slot.sinks.len() <= id.slot() {
            slot.sinks.resize_with(id.slot() + 1, || None);
        }
        slot.sinks[id.slot()] = Some(sink);
        self.mark_dirty(queue.slot());
        Ok(Consumer { queue, id })
    }

    /// Gives a consumer of this shard's queue another sink, for all that follows; whether the consumer is
    /// still there.
    pub fn replace_sink(&mut self, consumer: Consumer, sink: Box<dyn ConsumerSink>) -> bool {
        let Some(slot) = self.slot(consumer.queue) else { return false };
        let is_there = slot.queue.has_consumer(consumer.id);
        if is_there {
            slot.sinks[consumer.id.slot()] = Some(sink);
        }
        is_there
    }

    /// Takes a consumer out, of any shard's queue, behind all that was settled before. An auto-delete queue
    /// goes with its last one.
    pub fn cancel(&mut self, consumer: Consumer) {
        let shard = consumer.queue.shard();
        if shard != self.id {
            let settlements = &mut self.outboxes[usize::from(shard.0)].settlements;
            let inbox = self.broker.inbox(shard);
            if !settlements.is_empty() {
                inbox.post(Task::Settle(std::mem::take(settlements)));
            }
            inbox.post(Task::Call(Box::new(move |shard| shard.cancel(consumer))));
            return;
        }
        let now_ms = self.now_ms;
        let Some(slot) = self.slot(consumer.queue) else { return };
        if !slot.queue.unsubscribe(now_ms, consumer.id) {
            return;
        }
        slot.sinks[consumer.id.slot()] = None;
        if slot.auto_delete && slot.queue.lost_all_consumers() {
            self.remove(consumer.queue, Actor::NODE);
        } else {
            self.mark_dirty(consumer.queue.slot());
        }
    }

    /// Takes a consumer out that only waited for the next message, as an HTTP poll does: its end
    /// is not the end of consuming, so an auto-delete queue stays.
    pub fn withdraw(&mut self, consumer: Consumer) {
        let now_ms = self.now_ms;
        let Some(slot) = self.slot(consumer.queue) else { return };
        if slot.queue.unsubscribe(now_ms, consumer.id) {
            slot.sinks[consumer.id.slot()] = None;
            self.mark_dirty(consumer.queue.slot());
        }
    }

    /// Changes how many unsettled deliveries a consumer may hold.
    pub fn set_prefetch(&mut self, consumer: Consumer, prefetch: u16) {
        if let Some(slot) = self.slot(consumer.queue) {
            slot.queue.set_prefetch(consumer.id, prefetch);
            self.mark_dirty(consumer.queue.slot());
        }
    }

    /// Takes a delivery back that a consumer on another shard could not take.
    pub fn return_undelivered(&mut self, consumer: ConsumerId, delivery: Delivery) {
        let queue = delivery.queue;
        if let Some(slot) = self.slot(queue) {
            let message = delivery.message.clone();
            if let Some(target) = slot.queue.undeliver(consumer, delivery) {
                self.journal_enqueued(queue.slot(), target, &message, None, None);
            }
            self.mark_dirty(queue.slot());
        }
    }

    /// Fetches the next message (`basic.get`), and how many are left.
    ///
    /// # Errors
    /// `NOT_FOUND` (404) for a queue that is gone, `INTERNAL_ERROR` (541) where the disk can't be
    /// read.
    pub fn fetch(
        &mut self,
        queue: QueueId,
        no_ack: bool,
    ) -> Result<Option<(Delivery, u64)>, AmqpError> {
        // What leaves the queue must have its place in the log by then.
        self.append_journal();
        self.catch_up(queue);
        self.read_front(queue)?;
        let now_ms = self.now_ms;
        let slot = self.slot(queue).ok_or_else(gone)?;
        let fetched = slot.queue.fetch(now_ms, no_ack);
        self.mark_dirty(queue.slot());
        Ok(fetched)
    }

    /// Settles a delivery of this shard's own queue at once; whether it was there.
    pub fn settle_now(
        &mut self,
        queue: QueueId,
        delivery: DeliveryId,
        settlement: Settlement,
    ) -> bool {
        let Some(slot) = self.slot(queue) else { return false };
        let settled = slot.queue.settle(delivery, settlement);
        self.mark_dirty(queue.slot());
        settled
    }

    /// Drops the ready messages, and answers how many they were.
    ///
    /// # Errors
    /// `NOT_FOUND` (404) for a queue that is gone.
    pub fn purge(&mut self, queue: QueueId) -> Result<u64, AmqpError> {
        self.append_journal();
        self.catch_up(queue);
        let slot = self.slot(queue).ok_or_else(gone)?;
        let purged = slot.queue.purge();
        slot.show_load();
        self.collect(queue.slot());
        Ok(purged)
    }

    /// Deletes a queue, and answers how many messages were ready; 0 for a queue that is gone.
    ///
    /// # Errors
    /// `PRECONDITION_FAILED` (406) where an option is not met.
    pub fn delete_queue(
        &mut self,
        queue: QueueId,
        options: DeleteOptions,
    ) -> Result<u64, AmqpError> {
        self.catch_up(queue);
        let Some(slot) = self.slot(queue) else { return Ok(0) };
        let stats = slot.queue.stats();
        let refusal = if options.if_unused && stats.consumers > 0 {
            "in use"
        } else if options.if_empty && stats.ready > 0 {
            "not empty"
        } else {
            let actor = options.user.as_deref().map_or(Actor::NODE, Actor::user);
            return Ok(self.remove(queue, actor));
        };
        let (name, vhost) = (&slot.name, slot.vhost.name());
        Err(AmqpError::precondition_failed(format!("queue '{name}' in vhost '{vhost}' {refusal}")))
    }

    /// Counts and state of a queue; nothing for one that is gone.
    pub fn queue_stats(&mut self, queue: QueueId) -> Option<QueueStats> {
        self.catch_up(queue);
        self.slot(queue).map(|slot| slot.queue.stats())
    }

    /// Counts and state of every queue of this shard that clients know.
    pub fn all_queue_stats(&self) -> Vec<(QueueId, QueueStats)> {
        let known = |slot: &&super::Slot| slot.queue.settings().delayed_for.is_none();
        let slots = self.slots.iter().filter_map(Option::as_deref).filter(known);
        slots.map(|slot| (slot.queue.id(), slot.queue.stats())).collect()
    }

    /// Puts other settings in force, which follow from a policy: for what happens from now on,
    /// and for the bounds of what is in the queue.
    pub(crate) fn reconfigure(&mut self, queue: QueueId, settings: QueueSettings) {
        let now_ms = self.now_ms;
        if self.slot(queue).is_some() {
            // What is dead already goes where it went then.
            self.bury_all(queue.slot());
        }
        if let Some(slot) = self.slot(queue) {
            slot.queue.reconfigure(now_ms, settings);
            self.mark_dirty(queue.slot());
        }
    }

    /// Deals out what came in with this batch: who asks the queue finds it as if each message had
    /// been offered to the consumers, and dropped where its time was over, when it came.
    fn catch_up(&mut self, queue: QueueId) {
        if self.slot(queue).is_some_and(|slot| slot.is_dirty) {
            self.deal(queue.slot());
        }
    }

    /// Shows a queue's load from now on; a queue that is gone shows nothing.
    pub(crate) fn watch(&mut self, queue: QueueId, gauge: Arc<QueueGauge>) {
        if let Some(slot) = self.slot(queue) {
            slot.gauge = Some(gauge);
            slot.show_load();
        }
    }

    /// Notes that a queue was declared again (`x-expires` starts anew).
    pub fn touch(&mut self, queue: QueueId) {
        let now_ms = self.now_ms;
        if let Some(slot) = self.slot(queue) {
            slot.queue.touch(now_ms);
        }
    }
}

pub(super) fn gone() -> AmqpError {
    AmqpError::not_found("the queue was deleted")
}
