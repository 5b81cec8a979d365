//! A message goes out: to a consumer in turn, or to whoever fetches it.

use shunt_types::{AmqpError, DeliveryId, Message, ReplyCode};
use slab::Slab;

use super::{ConsumerId, ConsumerOptions, Entry, Queue, Unacked};
use crate::durable::Target;
use crate::ports::{Delivery, Place};

/// Places for unacknowledged messages that an idle queue keeps.
const UNACKED_KEPT: usize = 4_096;

impl Queue {
    /// Adds a consumer.
    ///
    /// # Errors
    /// `ACCESS_REFUSED` (403) where it, or one that is there, wants the queue for itself.
    pub fn subscribe(&mut self, options: ConsumerOptions) -> Result<ConsumerId, AmqpError> {
        // One consumer of many is active already: none can have the queue for itself.
        let contradicts = self.settings.single_active_consumer && options.exclusive;
        if contradicts || self.consumers.refuses(&options) {
            return Err(AmqpError::new(ReplyCode::AccessRefused, "in exclusive use"));
        }
        Ok(self.consumers.add(options))
    }

    /// Takes a consumer out; what it has not settled stays unacknowledged.
    pub fn unsubscribe(&mut self, now_ms: u64, consumer: ConsumerId) -> bool {
        self.unused_since_ms = now_ms;
        self.consumers.remove(consumer)
    }

    /// Whether there was a consumer, and the last one is gone.
    pub fn lost_all_consumers(&self) -> bool {
        self.consumers.all_gone()
    }

    /// Whether the consumer is still there.
    pub fn has_consumer(&self, consumer: ConsumerId) -> bool {
        self.consumers.contains(consumer)
    }

    /// How many consumers there are.
    pub fn consumer_count(&self) -> usize {
        self.consumers.len()
    }

    /// Hands the next message to the next consumer in turn, where there are both.
    #[inline(always)]
    pub fn next_delivery(&mut self, now_ms: u64) -> Option<(ConsumerId, Delivery)> {
        if self.ready.len() == 0 || !self.consumers.has_room() {
            return None;
        }
        self.expire_before(now_ms);
        // Looked at before the turn is taken: a turn without a message would be lost. One that is
        // in the log alone has to be read first.
        self.ready.front()?.message.as_ref()?;
        let (consumer, no_ack) = self.consumers.take_turn()?;
        let delivery = if no_ack {
            self.counts.delivered_no_ack += 1;
            self.give_away()?
        } else {
            self.counts.delivered += 1;
            let mut entry = self.ready.pop()?;
            let message = entry.message.take()?;
            self.hand_out(entry, message, Some(consumer))
        };
        Some((consumer, delivery))
    }

    /// Whether a call of [`Queue::next_delivery`] may find something.
    pub fn has_work(&self) -> bool {
        self.ready.len() > 0 && self.consumers.has_room()
    }

    /// Takes a delivery back that its consumer's sink refused, as if it had not been made.
    ///
    /// Answers where the log has to write the message again: it was told that the message left.
    pub(crate) fn undeliver(&mut self, consumer: ConsumerId, delivery: Delivery) -> Option<Target> {
        self.consumers.pause(consumer);
        if let Some(id) = delivery.id {
            self.take_unacked(id)?;
            self.counts.delivered -= 1;
            self.consumers.give_back(consumer);
        } else {
            self.counts.delivered_no_ack -= 1;
        }
        self.counts.redelivered -= u64::from(delivery.redelivered);
        self.remember(delivery.place.sequence, &delivery.message);
        let mut entry = Entry {
            sequence: delivery.place.sequence,
            expires_at_ms: delivery.place.expires_at_ms,
            stored: delivery.place.stored,
            body_size: delivery.message.body().len() as u32,
            lane: self.ready.lane_of(delivery.message.priority()),
            message: Some(delivery.message),
            redelivered: delivery.redelivered,
        };
        let no_ack = delivery.id.is_none();
        let again = if no_ack { self.note_returned(&mut entry) } else { None };
        self.ready.put_back(entry);
        again
    }

    /// The sink of a consumer has no room; nothing goes to it until it is resumed.
    pub fn pause(&mut self, consumer: ConsumerId) {
        self.consumers.pause(consumer);
    }

    /// The sink of a consumer has room again.
    pub fn resume(&mut self, consumer: ConsumerId) {
        self.consumers.resume(consumer);
    }

    /// Changes how many unsettled deliveries a consumer may hold.
    pub fn set_prefetch(&mut self, consumer: ConsumerId, prefetch: u16) {
        self.consumers.set_prefetch(consumer, prefetch);
    }

    /// Fetches the next message (`basic.get`), and how many are left. Nothing comes while the
    /// next one is in the log alone: see [`Queue::front_away`].
    pub fn fetch(&mut self, now_ms: u64, no_ack: bool) -> Option<(Delivery, u64)> {
        self.unused_since_ms = now_ms;
        self.expire_before(now_ms);
        self.ready.front()?.message.as_ref()?;
        let delivery = if no_ack {
            self.counts.fetched_no_ack += 1;
            self.give_away()?
        } else {
            self.counts.fetched += 1;
            let mut entry = self.ready.pop()?;
            let message = entry.message.take()?;
            self.hand_out(entry, message, None)
        };
        Some((delivery, self.ready.len() as u64))
    }

    /// Drops the ready messages, and answers how many they were.
    pub fn purge(&mut self) -> u64 {
        let purged = self.ready.len() as u64;
        self.note_purge();
        self.ready.clear();
        self.forget_ready();
        purged
    }

    /// The next message leaves for good.
    #[inline(always)]
    fn give_away(&mut self) -> Option<Delivery> {
        let queue = self.id;
        let delivery = self.ready.pop_with(|entry| {
            let Entry { sequence, expires_at_ms, stored, redelivered, .. } = entry;
            let place = Place { sequence, expires_at_ms, stored };
            Some(Delivery { queue, id: None, message: entry.message?, redelivered, place })
        })??;
        self.forget(delivery.place.sequence);
        self.note_left(delivery.place.sequence, delivery.place.stored);
        self.counts.redelivered += u64::from(delivery.redelivered);
        Some(delivery)
    }

    /// A message leaves to be settled.
    #[inline]
    fn hand_out(
        &mut self,
        mut entry: Entry,
        message: Message,
        consumer: Option<ConsumerId>,
    ) -> Delivery {
        let Entry { sequence, expires_at_ms, stored, redelivered, .. } = entry;
        let place = Place { sequence, expires_at_ms, stored };
        self.note_handed_out(&entry);
        self.counts.redelivered += u64::from(redelivered);
        if self.keeps_in_memory(&entry) {
            entry.message = Some(message.clone());
        }
        let id = Some(self.put_unacked(entry, consumer));
        Delivery { queue: self.id, id, message, redelivered, place }
    }

    #[inline]
    fn put_unacked(&mut self, entry: Entry, consumer: Option<ConsumerId>) -> DeliveryId {
        self.unacked_bytes += u64::from(entry.body_size);
        self.unacked_resident += entry.memory();
        let serial = self.next_delivery_serial;
        self.next_delivery_serial = serial.wrapping_add(1);
        let slot = self.unacked.insert(Unacked { entry, serial, consumer }) as u64;
        DeliveryId(slot << 32 | u64::from(serial))
    }

    pub(super) fn take_unacked(&mut self, id: DeliveryId) -> Option<Unacked> {
        let slot = (id.0 >> 32) as usize;
        if self.unacked.get(slot)?.serial != id.0 as u32 {
            return None;
        }
        let unacked = self.unacked.remove(slot);
        self.unacked_bytes -= u64::from(unacked.entry.body_size);
        self.unacked_resident -= unacked.entry.memory();
        // Many that were unacknowledged once must not keep the memory for ever.
        if self.unacked.is_empty() && self.unacked.capacity() > UNACKED_KEPT {
            self.unacked = Slab::new();
        }
        Some(unacked)
    }
}
