//! What a channel was given and has not settled, by delivery tag.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use hashbrown::HashMap;
use shunt_broker::ports::Delivery;
use shunt_broker::{Consumer, QueueEntry};
use shunt_types::{AmqpError, DeliveryId, QueueId};

use super::overdue::Looks;

/// One delivery that waits for its settlement.
#[derive(Clone, Debug)]
pub(crate) struct Unacked {
    pub(crate) tag: u64,
    pub(crate) queue: QueueId,
    pub(crate) id: DeliveryId,
}

/// A queue whose deliveries may have a time of their own for their settlement.
pub(crate) struct Watched {
    pub(crate) queue: Arc<QueueEntry>,
    /// Milliseconds that a consumer of the channel asked for: the shortest.
    pub(crate) of_consumer: Option<u64>,
}

/// A queue that waits too long for a settlement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overdue {
    pub(crate) queue: QueueId,
    /// The time that was exceeded.
    pub(crate) timeout_ms: u64,
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
    /// The queues that the channel consumes or has fetched from.
    watched: HashMap<QueueId, Watched>,
    /// Tags of what went back for want of a settlement, which may come yet.
    taken_back: BTreeSet<u64>,
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

    /// Notes a queue that something will be delivered from, and the time that a consumer asks
    /// for.
    pub(crate) fn watch(&mut self, queue: &Arc<QueueEntry>, of_consumer: Option<u64>) {
        let watched = self
            .watched
            .entry(queue.id)
            .or_insert_with(|| Watched { queue: queue.clone(), of_consumer: None });
        watched.of_consumer = watched.of_consumer.into_iter().chain(of_consumer).min();
    }

    /// Looks for queues with a delivery that waits for its settlement longer than it may:
    /// `timeout_of` says how long, in milliseconds, where it is not the node's time `default_ms`.
    /// `is_consumed` says which queues the channel still consumes.
    pub(crate) fn look_for_overdue(
        &mut self,
        (now_ms, default_ms): (u64, u64),
        timeout_of: impl Fn(&Watched) -> Option<u64>,
        is_consumed: impl Fn(QueueId) -> bool,
    ) -> Vec<Overdue> {
        if self.unacked.is_empty() {
            self.looks.clear();
            self.watched.retain(|queue, _| is_consumed(*queue));
            return Vec::new();
        }
        let own = self.watched.iter().filter_map(|(id, watched)| Some((*id, timeout_of(watched)?)));
        let own: HashMap<QueueId, u64> = own.collect();
        let all = || own.values().copied().chain([default_ms]);
        let longest_ms = all().filter(|&ms| ms < u64::MAX).max().unwrap_or(0);
        let shortest_ms = all().min().unwrap_or(default_ms);
        self.looks.note(now_ms, self.last_tag, longest_ms);
        let last = self.looks.tag_of_age(now_ms, shortest_ms);
        let mut overdue: Vec<Overdue> = Vec::new();
        for unacked in self.unacked.iter().take_while(|unacked| unacked.tag <= last) {
            let queue = unacked.queue;
            let timeout_ms = *own.get(&queue).unwrap_or(&default_ms);
            if unacked.tag <= self.looks.tag_of_age(now_ms, timeout_ms)
                && !overdue.iter().any(|known| known.queue == queue)
            {
                overdue.push(Overdue { queue, timeout_ms });
            }
        }
        overdue
    }

    /// Takes out everything of one queue, which goes back there. A settlement that comes late
    /// finds its tag all the same.
    pub(crate) fn take_back(&mut self, queue: QueueId) -> Vec<Unacked> {
        let (back, kept) = std::mem::take(&mut self.unacked)
            .into_iter()
            .partition::<VecDeque<_>, _>(|unacked| unacked.queue == queue);
        self.unacked = kept;
        self.taken_back.extend(back.iter().map(|unacked| unacked.tag));
        back.into()
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
            self.taken_back.clear();
            taken.extend(self.unacked.drain(..));
            return Ok(());
        }
        // Nearly always the oldest.
        let found = match self.unacked.front() {
            Some(oldest) if oldest.tag == tag => Ok(0),
            _ => self.unacked.binary_search_by_key(&tag, |unacked| unacked.tag),
        };
        let Ok(index) = found else {
            return self.take_late(tag, multiple, taken);
        };
        if multiple {
            taken.extend(self.unacked.drain(..=index));
        } else {
            taken.extend(self.unacked.remove(index));
        }
        Ok(())
    }

    /// As [`Deliveries::take`], for a tag that is not outstanding.
    fn take_late(
        &mut self,
        tag: u64,
        multiple: bool,
        taken: &mut Vec<Unacked>,
    ) -> Result<(), AmqpError> {
        if !self.taken_back.remove(&tag) {
            return Err(AmqpError::precondition_failed(format!("unknown delivery tag {tag}")));
        }
        if multiple {
            let before = self.unacked.partition_point(|unacked| unacked.tag < tag);
            taken.extend(self.unacked.drain(..before));
            self.taken_back = self.taken_back.split_off(&tag);
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
