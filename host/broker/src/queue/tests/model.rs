//! The dumb implementation: lists that are searched from end to end.

use std::cmp::Reverse;

use crate::queue::{
    ConsumerId, ConsumerOptions, DeathReason, Enqueued, Overflow, QueueSettings, QueueStats,
    Settlement,
};
use shunt_types::{DeliveryId, Message};

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) message: Message,
    pub(super) redelivered: bool,
    sequence: u64,
    lane: u8,
    expires_at_ms: u64,
}

impl Entry {
    pub(super) fn name(&self) -> String {
        self.message.routing_key().to_owned()
    }
}

pub(super) struct Consumer {
    pub(super) id: ConsumerId,
    pub(super) options: ConsumerOptions,
    pub(super) unacked: u32,
    paused: bool,
    /// When it last began to wait; `None` while it has no room or isn't the active one.
    waits_since: Option<u64>,
}

impl Consumer {
    fn has_room(&self) -> bool {
        let prefetch = u32::from(self.options.prefetch);
        !self.paused && (self.options.no_ack || prefetch == 0 || self.unacked < prefetch)
    }
}

pub(super) struct Unacked {
    pub(super) id: DeliveryId,
    entry: Entry,
    consumer: Option<ConsumerId>,
}

pub(super) struct Model {
    settings: QueueSettings,
    ready: Vec<Entry>,
    pub(super) unacked: Vec<Unacked>,
    pub(super) consumers: Vec<Consumer>,
    pub(super) dead: Vec<(String, DeathReason)>,
    /// Messages that are gone for good, in whatever way.
    gone: u64,
    counts: QueueStats,
    sequence: u64,
    turn: u64,
}

impl Model {
    pub(super) fn new(settings: QueueSettings) -> Self {
        Self {
            settings,
            ready: Vec::new(),
            unacked: Vec::new(),
            consumers: Vec::new(),
            dead: Vec::new(),
            gone: 0,
            counts: QueueStats::default(),
            sequence: 0,
            turn: 0,
        }
    }

    pub(super) fn stats(&self) -> QueueStats {
        let ready = self.ready.iter().map(|entry| entry.message.body().len() as u64);
        let unacked = self.unacked.iter().map(|u| u.entry.message.body().len() as u64);
        QueueStats {
            ready: self.ready.len() as u64,
            unacked: self.unacked.len() as u64,
            ready_bytes: ready.sum(),
            unacked_bytes: unacked.sum(),
            consumers: self.consumers.len() as u64,
            ..self.counts
        }
    }

    /// Every message that came in is in one place.
    pub(super) fn accounts_for_all(&self) -> bool {
        let here = (self.ready.len() + self.unacked.len()) as u64;
        self.counts.published == here + self.gone
    }

    pub(super) fn enqueue(&mut self, now_ms: u64, message: Message) -> Enqueued {
        if self.settings.overflow != Overflow::DropHead
            && self.is_over(1, message.body().len() as u64)
        {
            if self.settings.overflow == Overflow::RejectPublishDeadLetter {
                self.dead.push((message.routing_key().to_owned(), DeathReason::Maxlen));
            }
            return Enqueued::Rejected;
        }
        let ttl = [message.expiration_ms(), self.settings.message_ttl_ms].into_iter().flatten();
        self.ready.push(Entry {
            redelivered: false,
            sequence: self.sequence,
            lane: message.priority().min(self.settings.max_priority.unwrap_or(0)),
            expires_at_ms: ttl.min().map_or(u64::MAX, |ttl| now_ms + ttl),
            message,
        });
        self.sequence += 1;
        self.counts.published += 1;
        Enqueued::Accepted
    }

    fn is_over(&self, messages: u64, bytes: u64) -> bool {
        let stats = self.stats();
        self.settings.max_length.is_some_and(|max| stats.ready + messages > max)
            || self.settings.max_length_bytes.is_some_and(|max| stats.ready_bytes + bytes > max)
    }

    fn bury(&mut self, index: usize, reason: DeathReason) {
        let entry = self.ready.remove(index);
        self.dead.push((entry.name(), reason));
        self.gone += 1;
    }

    pub(super) fn enforce_bounds(&mut self) {
        while self.settings.overflow == Overflow::DropHead && self.is_over(0, 0) {
            let head = self.first_by(|entry| (Reverse(entry.lane), entry.sequence));
            self.bury(head.unwrap(), DeathReason::Maxlen);
        }
    }

    /// Expires heads of lanes, the lowest lane first.
    pub(super) fn expire_before(&mut self, now_ms: u64) {
        self.expire_if(|entry| {
            entry.expires_at_ms < now_ms || (entry.redelivered && entry.expires_at_ms == now_ms)
        });
    }

    pub(super) fn expire(&mut self, now_ms: u64) {
        self.expire_if(|entry| entry.expires_at_ms <= now_ms);
    }

    fn expire_if(&mut self, is_over: impl Fn(&Entry) -> bool) {
        for lane in 0..=self.settings.max_priority.unwrap_or(0) {
            while let Some(head) = self.first_by(|entry| (entry.lane != lane, entry.sequence))
                && self.ready[head].lane == lane
                && is_over(&self.ready[head])
            {
                self.bury(head, DeathReason::Expired);
            }
        }
    }

    fn first_by<K: Ord>(&self, key: impl Fn(&Entry) -> K) -> Option<usize> {
        (0..self.ready.len()).min_by_key(|&index| key(&self.ready[index]))
    }

    fn take_next(&mut self) -> Option<Entry> {
        let next = self.first_by(|entry| (u8::MAX - entry.lane, entry.sequence))?;
        Some(self.ready.remove(next))
    }

    fn next_consumer(&self) -> Option<usize> {
        let waiting = |index: &usize| self.consumers[*index].waits_since.is_some();
        (0..self.consumers.len()).filter(waiting).min_by_key(|&index| {
            let consumer = &self.consumers[index];
            (-consumer.options.priority, consumer.waits_since)
        })
    }

    /// Lets everybody wait who newly may, and nobody who may not any more.
    fn line_up(&mut self) {
        let single = self.settings.single_active_consumer;
        for (index, consumer) in self.consumers.iter_mut().enumerate() {
            let may = consumer.has_room() && (!single || index == 0);
            if !may {
                consumer.waits_since = None;
            } else if consumer.waits_since.is_none() {
                self.turn += 1;
                consumer.waits_since = Some(self.turn);
            }
        }
    }

    pub(super) fn refuses(&self, options: &ConsumerOptions) -> bool {
        let any_is_exclusive = self.consumers.iter().any(|other| other.options.exclusive);
        let contradicts = self.settings.single_active_consumer && options.exclusive;
        contradicts || !self.consumers.is_empty() && (options.exclusive || any_is_exclusive)
    }

    pub(super) fn subscribe(&mut self, id: ConsumerId, options: ConsumerOptions) {
        self.consumers.push(Consumer { id, options, unacked: 0, paused: false, waits_since: None });
        self.line_up();
    }

    pub(super) fn unsubscribe(&mut self, id: ConsumerId) {
        self.consumers.retain(|consumer| consumer.id != id);
        self.line_up();
    }

    /// Whom the next delivery goes to, and what it is.
    pub(super) fn next_delivery(&mut self, now_ms: u64) -> Option<(ConsumerId, Entry)> {
        let index = self.next_consumer().filter(|_| !self.ready.is_empty())?;
        self.expire_before(now_ms);
        let entry = self.take_next()?;
        let consumer = &mut self.consumers[index];
        consumer.waits_since = None;
        if consumer.options.no_ack {
            self.counts.delivered_no_ack += 1;
            self.gone += 1;
        } else {
            consumer.unacked += 1;
            self.counts.delivered += 1;
        }
        let id = consumer.id;
        self.counts.redelivered += u64::from(entry.redelivered);
        self.line_up();
        Some((id, entry))
    }

    pub(super) fn handed_out(
        &mut self,
        entry: Entry,
        id: Option<DeliveryId>,
        consumer: Option<ConsumerId>,
    ) {
        self.unacked.extend(id.map(|id| Unacked { id, entry, consumer }));
    }

    pub(super) fn undeliver(&mut self, consumer: ConsumerId, entry: Entry, id: Option<DeliveryId>) {
        self.counts.redelivered -= u64::from(entry.redelivered);
        if id.is_none() {
            self.counts.delivered_no_ack -= 1;
            self.gone -= 1;
        } else {
            self.counts.delivered -= 1;
        }
        let found = self.consumers.iter_mut().find(|other| other.id == consumer).unwrap();
        found.unacked -= u32::from(id.is_some());
        found.paused = true;
        self.ready.push(entry);
        self.line_up();
    }

    pub(super) fn fetch(&mut self, now_ms: u64, no_ack: bool) -> Option<Entry> {
        self.expire_before(now_ms);
        let entry = self.take_next()?;
        self.gone += u64::from(no_ack);
        self.counts.fetched_no_ack += u64::from(no_ack);
        self.counts.fetched += u64::from(!no_ack);
        self.counts.redelivered += u64::from(entry.redelivered);
        Some(entry)
    }

    pub(super) fn settle(&mut self, index: usize, settlement: Settlement) {
        let Unacked { mut entry, consumer, .. } = self.unacked.remove(index);
        if let Some(found) = self.consumers.iter_mut().find(|other| Some(other.id) == consumer) {
            found.unacked -= 1;
        }
        match settlement {
            Settlement::Ack => {
                self.counts.acked += 1;
                self.gone += 1;
            }
            Settlement::Requeue => {
                entry.redelivered = true;
                self.ready.push(entry);
            }
            Settlement::Reject => {
                self.dead.push((entry.name(), DeathReason::Rejected));
                self.gone += 1;
            }
        }
        self.line_up();
    }

    pub(super) fn purge(&mut self) -> u64 {
        let purged = self.ready.len() as u64;
        self.gone += purged;
        self.ready.clear();
        purged
    }

    pub(super) fn set_paused(&mut self, index: usize, paused: bool) {
        self.consumers[index].paused = paused;
        self.line_up();
    }

    pub(super) fn set_prefetch(&mut self, index: usize, prefetch: u16) {
        self.consumers[index].options.prefetch = prefetch;
        self.line_up();
    }
}
