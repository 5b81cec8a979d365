//! A message on its way into one of the shard's queues.

use std::sync::Arc;

use shunt_types::{Message, QueueId};

use super::Shard;
use super::inbox::{PublishBatch, PublishItem};
use crate::durable::{Left, Written};
use crate::ports::{ConfirmSink, Confirmation};
use crate::queue::Enqueued;

impl Shard {
    pub(super) fn take_batch(&mut self, batch: PublishBatch) {
        for PublishItem { queue, message, token, left, written } in batch.items {
            let confirm = token.zip(batch.reply.as_ref());
            let accepted = match self.enqueue(queue, message, confirm, written, left) {
                Enqueued::Accepted | Enqueued::Paged(_) | Enqueued::Duplicate => true,
                Enqueued::Rejected => false,
                // Answered when it is on disk.
                Enqueued::Logged(_) => continue,
            };
            self.confirmations.extend(token.map(|token| Confirmation { token, accepted }));
        }
        if let Some(reply) = batch.reply
            && !self.confirmations.is_empty()
        {
            reply.confirm(&self.confirmations);
        }
        self.confirmations.clear();
        self.broker.inbox(self.id).has_published(batch.bytes);
    }

    /// Puts a message into one of this shard's queues, and deals it out where the queue is bounded.
    pub(super) fn enqueue(
        &mut self,
        id: QueueId,
        message: Message,
        confirm: Option<(u64, &Arc<dyn ConfirmSink>)>,
        written: Option<Written>,
        left: Option<Arc<Left>>,
    ) -> Enqueued {
        let is_bounded = self.deal_bounded(id);
        let outcome = self.put(id, message, confirm, written, left);
        if is_bounded {
            self.deal(id.slot());
        }
        outcome
    }

    /// Deals a queue out if it is bounded, as it wants to be before and after each message.
    pub(super) fn deal_bounded(&mut self, id: QueueId) -> bool {
        let is_bounded = self.slot(id).is_some_and(|slot| slot.queue.is_bounded());
        if is_bounded {
            self.deal(id.slot());
        }
        is_bounded
    }

    /// Puts a message into one of this shard's queues. A queue that is gone takes it and drops
    /// it, as RabbitMQ confirms a publish to a queue deleted meanwhile. The publisher's shard may
    /// have written it already; a letter comes with what left its queue by becoming it.
    #[inline]
    pub(super) fn put(
        &mut self,
        id: QueueId,
        message: Message,
        confirm: Option<(u64, &Arc<dyn ConfirmSink>)>,
        written: Option<Written>,
        left: Option<Arc<Left>>,
    ) -> Enqueued {
        let now_ms = self.now_ms;
        let Some(slot) = self.slot(id) else {
            self.no_use(written);
            left.into_iter().for_each(|left| self.left_as_letter(left));
            return Enqueued::Accepted;
        };
        let kept = slot.queue.may_need_record(&message).then(|| message.clone());
        let outcome = slot.queue.enqueue(now_ms, message);
        match (outcome, kept) {
            (Enqueued::Logged(target), Some(message)) => {
                self.journal_enqueued(id.slot(), target, &message, confirm, written);
            }
            (Enqueued::Paged(target), Some(message)) => {
                self.journal_paged(id.slot(), target.sequence, &message, written);
            }
            _ => self.no_use(written),
        }
        if let Some(left) = left {
            self.letter_enqueued(id, outcome, left);
        }
        self.mark_dirty(id.slot());
        outcome
    }
}
