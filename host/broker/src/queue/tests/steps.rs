//! Random steps, performed by the queue and by the model.

use proptest::prelude::*;
use shunt_storage::RecordPosition;
use shunt_types::{ExchangeName, Message, Properties};

use super::model::Model;
use super::{message, queue};
use crate::durable::{QueueUid, Target};
use crate::queue::{
    ConsumerOptions, DeadLetterTarget, Enqueued, MemoryBudget, Overflow, Paged, Queue,
    QueueSettings, QueueStats, Settlement, Wanted,
};

#[derive(Clone, Debug)]
enum Step {
    Enqueue {
        priority: u8,
        ttl_ms: Option<u64>,
        size: usize,
        persistent: bool,
    },
    Subscribe {
        no_ack: bool,
        exclusive: bool,
        prefetch: u16,
        priority: i64,
    },
    Unsubscribe(usize),
    Deliver,
    /// The consumer's sink doesn't take it.
    DeliverInVain,
    Settle(usize, Settlement),
    SettleTwice(usize),
    Fetch {
        no_ack: bool,
    },
    Purge,
    Pause(usize),
    Resume(usize),
    SetPrefetch(usize, u16),
    Expire,
    EnforceBounds,
    Pass {
        ms: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let settlement =
        prop::sample::select(vec![Settlement::Ack, Settlement::Requeue, Settlement::Reject]);
    prop_oneof![
        8 => (0..4u8, prop::option::weighted(0.3, 0..20u64), 0..6usize, any::<bool>()).prop_map(
            |(priority, ttl_ms, size, persistent)| {
                Step::Enqueue { priority, ttl_ms, size, persistent }
            }
        ),
        2 => (any::<bool>(), prop::bool::weighted(0.1), 0..4u16, 0..2i64).prop_map(
            |(no_ack, exclusive, prefetch, priority)| {
                Step::Subscribe { no_ack, exclusive, prefetch, priority }
            }
        ),
        1 => any::<usize>().prop_map(Step::Unsubscribe),
        8 => Just(Step::Deliver),
        1 => Just(Step::DeliverInVain),
        5 => (any::<usize>(), settlement).prop_map(|(index, how)| Step::Settle(index, how)),
        1 => any::<usize>().prop_map(Step::SettleTwice),
        2 => any::<bool>().prop_map(|no_ack| Step::Fetch { no_ack }),
        1 => prop::bool::weighted(0.2).prop_map(|purge| {
            if purge { Step::Purge } else { Step::Deliver }
        }),
        1 => any::<usize>().prop_map(Step::Pause),
        2 => any::<usize>().prop_map(Step::Resume),
        1 => (any::<usize>(), 0..4u16).prop_map(|(index, n)| Step::SetPrefetch(index, n)),
        1 => Just(Step::Expire),
        2 => Just(Step::EnforceBounds),
        2 => (0..8u64).prop_map(|ms| Step::Pass { ms }),
    ]
}

fn settings() -> impl Strategy<Value = QueueSettings> {
    let overflow = prop::sample::select(vec![
        Overflow::DropHead,
        Overflow::RejectPublish,
        Overflow::RejectPublishDeadLetter,
    ]);
    let bounds = (prop::option::weighted(0.3, 0..6u64), prop::option::weighted(0.2, 0..20u64));
    let kind = (
        prop::option::of(0..4u8),
        prop::option::weighted(0.3, 0..20u64),
        prop::bool::weighted(0.3),
    );
    (bounds, kind, overflow).prop_map(|(bounds, kind, overflow)| QueueSettings {
        deduplication: false,
        delayed_for: None,
        max_priority: kind.0,
        message_ttl_ms: kind.1,
        expires_ms: None,
        max_length: bounds.0,
        max_length_bytes: bounds.1,
        overflow,
        dead_letter: Some(DeadLetterTarget {
            exchange: ExchangeName::new("dead").unwrap(),
            routing_key: None,
        }),
        single_active_consumer: kind.2,
    })
}

/// How much of the queue is in memory: all of it, or what a durable or a transient queue keeps.
fn memory() -> impl Strategy<Value = Option<(bool, MemoryBudget)>> {
    let budget = (0..1_000u64, 0..1_000u64)
        .prop_map(|(logged, more)| MemoryBudget { logged, unlogged: logged + more });
    prop::option::weighted(0.7, (any::<bool>(), budget))
}

/// A log that only remembers: each message, and how many queues have use for it.
#[derive(Default)]
struct Log(Vec<(Message, bool)>);

impl Log {
    fn write(&mut self, message: Message) -> RecordPosition {
        self.0.push((message, true));
        RecordPosition { segment: 1, offset: self.0.len() as u32 - 1, size: 1 }
    }

    fn read(&self, wanted: Vec<Wanted>) -> Vec<(Wanted, Paged)> {
        let read = |wanted: Wanted| {
            let (message, is_live) = &self.0[wanted.position.offset as usize];
            assert!(is_live, "a segment that holds it might be gone");
            (wanted, Paged::Read(message.clone()))
        };
        wanted.into_iter().map(read).collect()
    }

    fn free(&mut self, position: RecordPosition) {
        if position.size > 0 {
            let is_live = &mut self.0[position.offset as usize].1;
            assert!(std::mem::replace(is_live, false), "given back twice");
        }
    }

    fn live(&self) -> Vec<u32> {
        (0..).zip(&self.0).filter(|(_, (_, is_live))| *is_live).map(|(at, _)| at).collect()
    }
}

/// Both, and the time.
struct Pair {
    queue: Queue,
    log: Log,
    model: Model,
    now_ms: u64,
    published: u32,
}

impl Pair {
    fn consumer(&self, index: usize) -> Option<usize> {
        (!self.model.consumers.is_empty()).then(|| index % self.model.consumers.len())
    }

    fn perform(&mut self, step: Step) {
        let now_ms = self.now_ms;
        match step {
            Step::Enqueue { priority, ttl_ms, size, persistent } => {
                self.published += 1;
                let properties = Properties {
                    priority: Some(priority),
                    delivery_mode: persistent.then_some(2),
                    expiration: ttl_ms.as_ref().map(u64::to_string),
                    ..Properties::default()
                };
                let message = message(&self.published.to_string(), &properties, &vec![0; size]);
                let expected = self.model.enqueue(now_ms, message.clone());
                let enqueued = match self.queue.enqueue(now_ms, message.clone()) {
                    Enqueued::Logged(target) | Enqueued::Paged(target) => {
                        self.write(target, message);
                        Enqueued::Accepted
                    }
                    other => other,
                };
                assert_eq!(enqueued, expected);
            }
            Step::Subscribe { no_ack, exclusive, prefetch, priority } => {
                let options = ConsumerOptions { no_ack, exclusive, prefetch, priority };
                let refused = self.model.refuses(&options);
                let subscribed = self.queue.subscribe(options.clone());
                assert_eq!(subscribed.is_err(), refused);
                if let Ok(id) = subscribed {
                    self.model.subscribe(id, options);
                }
            }
            Step::Unsubscribe(index) => {
                if let Some(index) = self.consumer(index) {
                    let id = self.model.consumers[index].id;
                    self.model.unsubscribe(id);
                    assert!(self.queue.unsubscribe(now_ms, id));
                    assert!(!self.queue.unsubscribe(now_ms, id), "gone already");
                }
            }
            Step::Deliver => self.deliver(true),
            Step::DeliverInVain => self.deliver(false),
            Step::Settle(index, how) => {
                if !self.model.unacked.is_empty() {
                    let index = index % self.model.unacked.len();
                    let id = self.model.unacked[index].id;
                    self.model.settle(index, how);
                    assert!(self.queue.settle(id, how));
                }
            }
            Step::SettleTwice(index) => {
                if !self.model.unacked.is_empty() {
                    let index = index % self.model.unacked.len();
                    let id = self.model.unacked[index].id;
                    self.model.settle(index, Settlement::Requeue);
                    assert!(self.queue.settle(id, Settlement::Requeue));
                    // Even where the message is handed out again, the old delivery is over.
                    self.deliver(true);
                    assert!(!self.queue.settle(id, Settlement::Ack));
                }
            }
            Step::Fetch { no_ack } => self.fetch(no_ack),
            Step::Purge => assert_eq!(self.queue.purge(), self.model.purge()),
            Step::Pause(index) => {
                if let Some(index) = self.consumer(index) {
                    self.queue.pause(self.model.consumers[index].id);
                    self.model.set_paused(index, true);
                }
            }
            Step::Resume(index) => {
                if let Some(index) = self.consumer(index) {
                    self.queue.resume(self.model.consumers[index].id);
                    self.model.set_paused(index, false);
                }
            }
            Step::SetPrefetch(index, prefetch) => {
                if let Some(index) = self.consumer(index) {
                    self.queue.set_prefetch(self.model.consumers[index].id, prefetch);
                    self.model.set_prefetch(index, prefetch);
                }
            }
            Step::Expire => {
                self.queue.expire(now_ms);
                self.model.expire(now_ms);
            }
            Step::EnforceBounds => {
                self.queue.enforce_bounds();
                self.model.enforce_bounds();
            }
            Step::Pass { ms } => self.now_ms += ms,
        }
    }

    fn write(&mut self, target: Target, message: Message) {
        let position = self.log.write(message);
        self.queue.set_stored(target.sequence, position, 1);
    }

    /// What consumers need is read, as often as expiry brings another message to the head.
    fn next_delivery(&mut self) -> Option<(crate::queue::ConsumerId, crate::ports::Delivery)> {
        loop {
            let found = self.queue.next_delivery(self.now_ms);
            let wanted = self.queue.take_wanted(self.now_ms);
            if found.is_some() || wanted.is_empty() {
                self.queue.take_paged(self.now_ms, self.log.read(wanted));
                return found;
            }
            let lost = self.queue.take_paged(self.now_ms, self.log.read(wanted));
            assert_eq!(lost, 0);
        }
    }

    fn deliver(&mut self, taken: bool) {
        let expected = self.model.next_delivery(self.now_ms);
        let found = self.next_delivery();
        let (Some((consumer, delivery)), Some((wanted, entry))) = (found, expected.clone()) else {
            assert!(expected.is_none(), "a message is stuck");
            return;
        };
        assert_eq!(consumer, wanted, "the wrong consumer's turn");
        assert_eq!(delivery.message.routing_key(), entry.name());
        assert_eq!(delivery.redelivered, entry.redelivered);
        if taken {
            self.model.handed_out(entry, delivery.id, Some(consumer));
        } else {
            self.model.undeliver(consumer, entry, delivery.id);
            let message = delivery.message.clone();
            if let Some(target) = self.queue.undeliver(consumer, delivery) {
                self.write(target, message);
            }
        }
    }

    fn fetch(&mut self, no_ack: bool) {
        let expected = self.model.fetch(self.now_ms, no_ack);
        let wanted = self.queue.front_away(self.now_ms, 600);
        self.queue.take_paged(self.now_ms, self.log.read(wanted));
        let found = self.queue.fetch(self.now_ms, no_ack);
        assert_eq!(found.is_some(), expected.is_some());
        if let (Some((delivery, left)), Some(entry)) = (found, expected) {
            assert_eq!(delivery.message.routing_key(), entry.name());
            assert_eq!(delivery.redelivered, entry.redelivered);
            assert_eq!(left, self.model.stats().ready);
            self.model.handed_out(entry, delivery.id, None);
        }
    }

    fn check(&mut self) {
        let dead = self.queue.take_dead(u64::MAX);
        let dead = dead.into_iter().map(|dead| {
            let message = dead
                .message
                .unwrap_or_else(|| self.log.0[dead.stored.position.offset as usize].0.clone());
            dead.left.into_iter().for_each(|left| self.log.free(left.position));
            (message.routing_key().to_owned(), dead.reason)
        });
        assert_eq!(dead.collect::<Vec<_>>(), std::mem::take(&mut self.model.dead));
        let stats = self.queue.stats();
        let known = QueueStats { paged_out: 0, resident_bytes: 0, ..stats };
        assert_eq!(known, self.model.stats());
        assert!(self.model.accounts_for_all());
        assert!(stats.paged_out <= stats.ready);
        self.check_log();
    }

    /// The log keeps exactly what the queue has use for.
    fn check_log(&mut self) {
        self.queue.take_left().into_iter().for_each(|left| self.log.free(left.position));
        let purged = self.queue.take_purged().map(|purged| purged.dropped).unwrap_or_default();
        purged.into_iter().for_each(|stored| self.log.free(stored.position));
        let stored = self.queue.all_stored().into_iter().map(|stored| stored.position);
        let mut stored: Vec<_> = stored.filter(|at| at.size > 0).map(|at| at.offset).collect();
        stored.sort_unstable();
        assert_eq!(stored, self.log.live());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn the_queue_does_what_the_model_does(
        settings in settings(),
        memory in memory(),
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut queue = queue(settings.clone());
        if let Some((is_durable, budget)) = memory {
            queue.set_memory_budget(budget);
            queue = if is_durable { queue.with_log(QueueUid(1)) } else { queue };
        }
        let mut pair = Pair {
            queue,
            log: Log::default(),
            model: Model::new(settings),
            now_ms: 0,
            published: 0,
        };
        for step in steps {
            pair.perform(step);
            pair.check();
        }
    }
}
