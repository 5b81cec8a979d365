//! What a channel was given and has not settled, by delivery tag.

use std::collections::VecDeque;

use hashbrown::HashMap;
use shunt_broker::Consumer;
use shunt_broker::ports::Delivery;
use shunt_types::{AmqpError, DeliveryId, QueueId};

use super::overdue::Looks;

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
    looks: Looks,
    /// Milliseconds that deliveries of these queues may wait for their settlement, where it is
    /// not the node's time.
    pub(crate) timeouts: HashMap<QueueId, u64>,
}

impl Deliveries {
    /// Whether the channel may get one more that is to be settled.
    pub(crate) fn has_room(&self) -> bool {
        self.prefetch == 0 || self.unacked.len() < usize::from(self.prefetch)
    }

    /// Counts a delivery that needs no settlement, and answers its tag.
    pub(crate) fn next_tag(&mut self) -> u64 {
        self.last_tag += 1;
        self.last_tag
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

    /// Looks whether a delivery waits for its settlement longer than it may; answers that time.
    pub(crate) fn look_for_overdue(&mut self, now_ms: u64, default_ms: u64) -> Option<u64> {
        if self.unacked.is_empty() {
            self.looks.clear();
            return None;
        }
        let all = || self.timeouts.values().copied().chain([default_ms]);
        let longest_ms = all().filter(|&ms| ms < u64::MAX).max().unwrap_or(0);
        let shortest_ms = all().min()?;
        self.looks.note(now_ms, self.last_tag, longest_ms);
        let last = self.looks.tag_of_age(now_ms, shortest_ms);
        let mut candidates = self.unacked.iter().take_while(|unacked| unacked.tag <= last);
        candidates.find_map(|unacked| {
            let timeout_ms = *self.timeouts.get(&unacked.queue).unwrap_or(&default_ms);
            (unacked.tag <= self.looks.tag_of_age(now_ms, timeout_ms)).then_some(timeout_ms)
        })
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
