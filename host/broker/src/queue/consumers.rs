//! Who may get the next message: consumers by priority, in turn within one priority.

use std::collections::VecDeque;

use slab::Slab;

/// A consumer of one queue. The serial tells it from a later one in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerId {
    slot: u32,
    serial: u32,
}

impl ConsumerId {
    /// Its place among the queue's consumers, where the shard keeps its sink too.
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

/// How a consumer consumes.
#[derive(Clone, Debug, Default)]
pub struct ConsumerOptions {
    /// Deliveries need no settling.
    pub no_ack: bool,
    /// Nobody else may consume from the queue.
    pub exclusive: bool,
    /// Unsettled deliveries that it may hold; 0 for any number.
    pub prefetch: u16,
    /// Consumers of a higher priority come first (`x-priority`).
    pub priority: i64,
}

struct Consumer {
    serial: u32,
    options: ConsumerOptions,
    unacked: u32,
    /// Its sink has no room.
    paused: bool,
    /// It waits in the ring of its priority.
    waiting: bool,
}

impl Consumer {
    #[inline]
    fn has_room(&self) -> bool {
        let prefetch = u32::from(self.options.prefetch);
        !self.paused && (prefetch == 0 || self.options.no_ack || self.unacked < prefetch)
    }
}

/// The consumers of one queue.
pub(super) struct Consumers {
    slots: Slab<Consumer>,
    /// Consumers with room, by falling priority; the next in turn is at the front.
    rings: Vec<(i64, VecDeque<ConsumerId>)>,
    next_serial: u32,
    exclusive: bool,
    /// With a single active consumer: all of them in the order in which they came.
    succession: Option<VecDeque<ConsumerId>>,
    /// Whether there ever was one, for auto-delete.
    had_any: bool,
}

impl Consumers {
    pub(super) fn new(single_active: bool) -> Self {
        Self {
            slots: Slab::new(),
            rings: Vec::new(),
            next_serial: 0,
            exclusive: false,
            succession: single_active.then(VecDeque::new),
            had_any: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn contains(&self, id: ConsumerId) -> bool {
        self.get(id).is_some()
    }

    /// Whether there was a consumer, and none is left.
    pub(super) fn all_gone(&self) -> bool {
        self.had_any && self.slots.is_empty()
    }

    /// Whether another consumer with these options would break somebody's exclusive use.
    pub(super) fn refuses(&self, options: &ConsumerOptions) -> bool {
        self.exclusive || (options.exclusive && !self.slots.is_empty())
    }

    pub(super) fn add(&mut self, options: ConsumerOptions) -> ConsumerId {
        let serial = self.next_serial;
        self.next_serial = self.next_serial.wrapping_add(1);
        self.exclusive = options.exclusive;
        self.had_any = true;
        let consumer = Consumer { serial, options, unacked: 0, paused: false, waiting: false };
        let id = ConsumerId { slot: self.slots.insert(consumer) as u32, serial };
        if let Some(succession) = &mut self.succession {
            succession.push_back(id);
        }
        self.enter_ring(id);
        id
    }

    /// Takes a consumer out; whether it was there.
    pub(super) fn remove(&mut self, id: ConsumerId) -> bool {
        if self.get(id).is_none() {
            return false;
        }
        self.leave_ring(id);
        self.slots.remove(id.slot());
        self.exclusive = self.exclusive && !self.slots.is_empty();
        if let Some(succession) = &mut self.succession {
            succession.retain(|&other| other != id);
            if let Some(&active) = succession.front() {
                self.enter_ring(active);
            }
        }
        true
    }

    /// Whether somebody has room.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        !self.rings.is_empty()
    }

    /// Takes the next in turn for one delivery, and says whether it settles what it gets.
    #[inline]
    pub(super) fn take_turn(&mut self) -> Option<(ConsumerId, bool)> {
        let (_, ring) = self.rings.first_mut()?;
        let id = *ring.front()?;
        let consumer = &mut self.slots[id.slot()];
        let no_ack = consumer.options.no_ack;
        consumer.unacked += u32::from(!no_ack);
        if !consumer.has_room() {
            consumer.waiting = false;
            ring.pop_front();
            if ring.is_empty() {
                self.rings.remove(0);
            }
        } else if ring.len() > 1 {
            ring.pop_front();
            ring.push_back(id);
        }
        Some((id, no_ack))
    }

    /// A delivery of `id` is settled, or was not taken.
    pub(super) fn give_back(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.get_mut(id) {
            consumer.unacked = consumer.unacked.saturating_sub(1);
            self.enter_ring(id);
        }
    }

    pub(super) fn pause(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.get_mut(id) {
            consumer.paused = true;
            self.leave_ring(id);
        }
    }

    pub(super) fn resume(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.get_mut(id) {
            consumer.paused = false;
            self.enter_ring(id);
        }
    }

    pub(super) fn set_prefetch(&mut self, id: ConsumerId, prefetch: u16) {
        if let Some(consumer) = self.get_mut(id) {
            consumer.options.prefetch = prefetch;
            if consumer.has_room() {
                self.enter_ring(id);
            } else {
                self.leave_ring(id);
            }
        }
    }

    fn leave_ring(&mut self, id: ConsumerId) {
        let Some(consumer) = self.get_mut(id) else { return };
        if std::mem::take(&mut consumer.waiting) {
            self.rings.iter_mut().for_each(|(_, ring)| ring.retain(|&other| other != id));
            self.rings.retain(|(_, ring)| !ring.is_empty());
        }
    }

    fn enter_ring(&mut self, id: ConsumerId) {
        let active = self.succession.as_ref().is_none_or(|all| all.front() == Some(&id));
        let Some(consumer) = self.get_mut(id) else { return };
        if consumer.waiting || !active || !consumer.has_room() {
            return;
        }
        consumer.waiting = true;
        let priority = consumer.options.priority;
        let place = self.rings.partition_point(|(other, _)| *other > priority);
        match self.rings.get_mut(place) {
            Some((other, ring)) if *other == priority => ring.push_back(id),
            _ => self.rings.insert(place, (priority, VecDeque::from([id]))),
        }
    }

    fn get(&self, id: ConsumerId) -> Option<&Consumer> {
        self.slots.get(id.slot()).filter(|consumer| consumer.serial == id.serial)
    }

    fn get_mut(&mut self, id: ConsumerId) -> Option<&mut Consumer> {
        self.slots.get_mut(id.slot()).filter(|consumer| consumer.serial == id.serial)
    }
}
