//! What a channel was given and has not settled, by delivery tag.

use std::collections::VecDeque;

use shunt_broker::Consumer;
use shunt_broker::ports::Delivery;
use shunt_types::{AmqpError, DeliveryId, QueueId};

/// One delivery that waits for its settlement.
#[derive(Clone, Debug)]
pub(crate) struct Unacked {
    pub(crate) tag: u64,
    pub(crate) queue: QueueId,
    pub(crate) id: DeliveryId,
}

/// Delivery tags count everything that a channel is given; what is to be settled stays here, in
/// the order of its tags.
#[derive(Default)]
pub(crate) struct Deliveries {
    last_tag: u64,
    unacked: VecDeque<Unacked>,
    /// Unsettled deliveries of the whole channel (`basic.qos` with `global`); 0 for any number.
    pub(crate) prefetch: u16,
    /// Consumers that were refused a delivery because of it.
    pub(crate) held_back: Vec<Consumer>,
}

impl Deliveries {
    /// Whether the channel may get one more that is to be settled.
    pub(crate) fn has_room(&self) -> bool {
        self.prefetch == 0 || self.unacked.len() < usize::from(self.prefetch)
    }

    /// Counts a delivery, and answers its tag.
    pub(crate) fn add(&mut self, delivery: &Delivery) -> u64 {
        self.last_tag += 1;
        if let Some(id) = delivery.id {
            let (tag, queue) = (self.last_tag, delivery.queue);
            self.unacked.push_back(Unacked { tag, queue, id });
        }
        self.last_tag
    }

    /// Takes out what a settlement names: one tag, or with `multiple` all up to it; 0 with
    /// `multiple` is all.
    ///
    /// # Errors
    /// 406 for a tag that is not outstanding.
    pub(crate) fn take(
        &mut self,
        tag: u64,
        multiple: bool,
        taken: &mut Vec<Unacked>,
    ) -> Result<(), AmqpError> {
        if multiple && tag == 0 {
            taken.extend(self.unacked.drain(..));
            return Ok(());
        }
        // Nearly always the oldest.
        let found = match self.unacked.front() {
            Some(oldest) if oldest.tag == tag => Ok(0),
            _ => self.unacked.binary_search_by_key(&tag, |unacked| unacked.tag),
        };
        let Ok(index) = found else {
            return Err(AmqpError::precondition_failed(format!("unknown delivery tag {tag}")));
        };
        if multiple {
            taken.extend(self.unacked.drain(..=index));
        } else {
            taken.extend(self.unacked.remove(index));
        }
        Ok(())
    }

    /// Puts back what a transaction had taken out.
    pub(crate) fn put_back(&mut self, unacked: Unacked) {
        let place = self.unacked.partition_point(|other| other.tag < unacked.tag);
        self.unacked.insert(place, unacked);
    }

    /// Takes everything out.
    pub(crate) fn take_all(&mut self) -> VecDeque<Unacked> {
        std::mem::take(&mut self.unacked)
    }
}
