//! A shard: the queues of one thread, and how messages reach them.
//!
//! A publish to a queue of this shard is a function call; what goes to another shard is collected
//! and leaves as one batch when the shard is [flushed](Shard::flush), once per socket read.
//! Deliveries are made then too: each queue that got something is dealt out once.

mod dead_letter;
mod delayed;
mod enqueue;
mod evacuation;
mod inbox;
mod log;
mod paging;
mod publish;
mod recall;
mod reply;
mod requests;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use hashbrown::HashMap;

use shunt_types::{Message, QueueGauge, QueueId, QueueLoad, ShardId};

use inbox::PublishBatch;
pub use inbox::{Inbox, Task};
use log::ShardLog;
pub use publish::{PublishOptions, PublishOutcome, Publisher, RemotePublisher};
pub use requests::{Consumer, DeleteOptions};
pub use trace::{Origin, TracedDelivery, publish_traced};

use crate::broker::Broker;
use crate::durable::{QueueUid, RecoveredQueue};
use crate::metadata::Actor;
use crate::ports::{CancelReason, ConfirmSink, Confirmation, ConsumerSink, Flow};
use crate::queue::{ConsumerId, MemoryBudget, Queue, QueueSettings, Settlement};
use crate::replies::ReplySink;
use shunt_routing::Walk;

/// A queue with what the shard keeps for it.
struct Slot {
    queue: Queue,
    vhost: Arc<crate::Vhost>,
    name: shunt_types::QueueName,
    auto_delete: bool,
    /// By [`ConsumerId::slot`].
    sinks: Vec<Option<Box<dyn ConsumerSink>>>,
    /// Whether the slot stands in the list of those with work.
    is_dirty: bool,
    /// Whether the slot stands in the list of those with dead letters.
    has_letters: bool,
    /// Its part of [`Shard::owed`].
    owed: u64,
    /// This slot's entry among the deadlines; `u64::MAX` for none.
    deadline_ms: u64,
    /// Shows the queue's load, where somebody looks at it.
    gauge: Option<Arc<QueueGauge>>,
}

impl Slot {
    fn show_load(&self) {
        let Some(gauge) = &self.gauge else { return };
        let stats = self.queue.stats();
        gauge.set(QueueLoad {
            ready: stats.ready,
            unacked: stats.unacked,
            consumers: u32::try_from(stats.consumers).unwrap_or(u32::MAX),
        });
    }
}

/// The queues of one thread. Not shared: other threads post to its [`Inbox`].
pub struct Shard {
    id: ShardId,
    broker: Arc<Broker>,
    now_ms: u64,
    /// By [`QueueId::slot`]. Boxed, so that the list grows without a copy of every queue.
    slots: Vec<Option<Box<Slot>>>,
    dirty: Vec<u32>,
    /// Queues whose dead are to be published: when everything else is done, since a letter may
    /// kill another message, and that one yet another.
    with_letters: VecDeque<u32>,
    /// At most one for each slot.
    deadlines: BTreeSet<(u64, u32)>,
    outboxes: Vec<Outbox>,
    /// Away only while a message is routed.
    walk: Option<Box<Walk>>,
    /// Work of the dead letters that clients made this shard owe, see [`Dead::work`].
    owed: u64,
    /// Dead letters wait for the log or for another shard, and look at it again then; Unix
    /// milliseconds.
    letters_wait_until_ms: Option<u64>,
    /// See [`Shard::behind`].
    behind: Option<ShardId>,
    /// See [`Shard::posted_to`].
    posted_to: u64,
    /// Answers for publishers on other shards, of the batch that is being worked on.
    confirmations: Vec<Confirmation>,
    log: ShardLog,
    /// What each queue's messages may take of memory, and as of which change.
    budget: MemoryBudget,
    budget_changes: u64,
    /// By serial: who waits for replies on this shard.
    requesters: HashMap<u64, Box<dyn ReplySink>>,
}

/// What is collected for one other shard.
#[derive(Default)]
struct Outbox {
    publishes: Vec<PublishBatch>,
    settlements: Vec<(QueueId, shunt_types::DeliveryId, Settlement)>,
    replies: Vec<(u64, Message)>,
}

impl Shard {
    /// The shard `id` of `broker`, without queues.
    pub fn new(id: ShardId, broker: Arc<Broker>) -> Self {
        let outboxes = (0..broker.shard_count()).map(|_| Outbox::default()).collect();
        let now_ms = broker.now_ms();
        let walk = Walk::seeded(broker.next_seed());
        Self {
            id,
            broker,
            now_ms,
            slots: Vec::new(),
            dirty: Vec::new(),
            with_letters: VecDeque::new(),
            deadlines: BTreeSet::new(),
            outboxes,
            walk: Some(Box::new(walk)),
            owed: 0,
            letters_wait_until_ms: None,
            behind: None,
            posted_to: 0,
            confirmations: Vec::new(),
            log: ShardLog::default(),
            budget: MemoryBudget::UNLIMITED,
            budget_changes: 0,
            requesters: HashMap::new(),
        }
    }

    /// Its id.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// The broker that it is a part of.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Takes the time for what follows; once per batch.
    pub fn tick(&mut self) {
        self.now_ms = self.broker.now_ms();
        self.look_at_budget();
    }

    /// Performs everything that other threads posted.
    pub fn run_inbox(&mut self) {
        self.tick();
        let broker = self.broker.clone();
        let (creations, mut tasks) = broker.inbox(self.id).take();
        creations.into_iter().for_each(|creation| self.create(creation));
        for task in tasks.drain(..) {
            self.run(task);
        }
        broker.inbox(self.id).give_back(tasks);
        self.flush();
    }

    fn run(&mut self, task: Task) {
        match task {
            Task::Publish(batches) => batches.into_iter().for_each(|b| self.take_batch(b)),
            Task::Settle(batch) => {
                for (queue, delivery, settlement) in batch {
                    self.settle(queue, delivery, settlement);
                }
            }
            Task::Replies(batch) => {
                batch.iter().for_each(|(serial, reply)| self.take_reply(*serial, reply));
            }
            Task::Resume(queue, consumer) => self.resume(queue, consumer),
            Task::Synced(position) => self.synced(position),
            Task::LogFailed => self.log_failed(),
            Task::Call(call) => call(self),
        }
    }

    /// Settles a delivery of any shard's queue.
    pub fn settle(
        &mut self,
        queue: QueueId,
        delivery: shunt_types::DeliveryId,
        settlement: Settlement,
    ) {
        if queue.shard() != self.id {
            let outbox = &mut self.outboxes[usize::from(queue.shard().0)];
            outbox.settlements.push((queue, delivery, settlement));
            return;
        }
        if let Some(slot) = self.slot(queue) {
            slot.queue.settle(delivery, settlement);
            self.mark_dirty(queue.slot());
        }
    }

    /// The sink of a consumer has room again; any shard's queue.
    pub fn resume(&mut self, queue: QueueId, consumer: ConsumerId) {
        if queue.shard() != self.id {
            self.broker.inbox(queue.shard()).post(Task::Resume(queue, consumer));
            return;
        }
        if let Some(slot) = self.slot(queue) {
            slot.queue.resume(consumer);
            if let Some(sink) = slot.sinks.get_mut(consumer.slot()).and_then(Option::as_mut) {
                sink.resumed();
            }
            self.mark_dirty(queue.slot());
        }
    }

    /// A shard that has more to do than it should, and that got messages with the last flush or is this
    /// one: who published them should read no more until it has caught up ([`Inbox::is_behind`]).
    pub fn behind(&self) -> Option<ShardId> {
        self.behind
    }

    /// Other shards that got messages or settlements with the last flush, one bit each.
    pub fn posted_to(&self) -> u64 {
        self.posted_to
    }

    /// Deals out what came in, and sends off what goes to other shards. Once per batch.
    pub fn flush(&mut self) {
        self.behind = None;
        self.posted_to = 0;
        // Dead letters reach other queues of this shard, so dealing may make more work.
        self.append_journal();
        let mut to_bury = None;
        loop {
            if let Some(index) = self.dirty.pop() {
                if let Some(slot) = self.slots.get_mut(index as usize).and_then(Option::as_mut) {
                    slot.is_dirty = false;
                }
                self.deal(index);
            } else if !self.bury_next(&mut to_bury) {
                break;
            }
        }
        self.bury_later();
        self.append_journal();
        if self.broker.inbox(self.id).is_behind() {
            self.behind = Some(self.id);
        }
        for (shard, outbox) in self.outboxes.iter_mut().enumerate() {
            let inbox = self.broker.inbox(ShardId(shard as u16));
            if !outbox.publishes.is_empty() || !outbox.settlements.is_empty() {
                self.posted_to |= 1 << shard;
            }
            if !outbox.publishes.is_empty() {
                inbox.post_publishes(std::mem::take(&mut outbox.publishes));
                if inbox.is_behind() {
                    self.behind = Some(ShardId(shard as u16));
                }
            }
            if !outbox.settlements.is_empty() {
                inbox.post(Task::Settle(std::mem::take(&mut outbox.settlements)));
            }
            if !outbox.replies.is_empty() {
                inbox.post(Task::Replies(std::mem::take(&mut outbox.replies)));
            }
        }
    }

    /// Hands out what one queue can hand out, then expires and drops what is over.
    fn deal(&mut self, index: u32) {
        // What leaves a queue must have its place in the log by then.
        if self.log.journal.has_messages() {
            self.append_journal();
        }
        let now_ms = self.now_ms;
        let Some(slot) = self.slots.get_mut(index as usize).and_then(Option::as_mut) else {
            return;
        };
        let traces = slot.vhost.topology_cell().load().is_traced();
        let mut traced = Vec::new();
        let mut last = None;
        let mut several = false;
        while let Some((consumer, delivery)) = slot.queue.next_delivery(now_ms) {
            let Some(sink) = slot.sinks.get_mut(consumer.slot()).and_then(Option::as_mut) else {
                // Nothing has told the log yet that the message left.
                let _ = slot.queue.undeliver(consumer, delivery);
                continue;
            };
            several |= last.is_some_and(|last| last != consumer);
            if traces {
                let (message, redelivered) = (delivery.message.clone(), delivery.redelivered);
                traced.push(TracedDelivery { origin: sink.origin(), message, redelivered });
            }
            last = Some(consumer);
            match sink.deliver(Consumer { queue: slot.queue.id(), id: consumer }, delivery) {
                Flow::Open => {}
                Flow::Full => slot.queue.pause(consumer),
                Flow::Refused(delivery) => {
                    traced.pop();
                    let _ = slot.queue.undeliver(consumer, delivery);
                }
            }
        }
        if several {
            slot.sinks.iter_mut().flatten().for_each(|sink| sink.flush());
        } else if let Some(sink) = last.and_then(|id| slot.sinks[id.slot()].as_mut()) {
            sink.flush();
        }
        slot.queue.expire(now_ms);
        slot.queue.enforce_bounds();
        slot.show_load();
        // What is due and was left for later waits for the next millisecond.
        if let Some(deadline) = slot.queue.next_deadline_ms().map(|at| at.max(now_ms + 1))
            && deadline < slot.deadline_ms
        {
            self.deadlines.remove(&(slot.deadline_ms, index));
            self.deadlines.insert((deadline, index));
            slot.deadline_ms = deadline;
            let is_first = self.deadlines.first() == Some(&(deadline, index));
            if is_first && slot.queue.settings().delayed_for.is_some() {
                self.broker.inbox(self.id).nudge();
            }
        }
        let queue = slot.queue.id();
        if self.note_letters(index)
            && let Some(Some(slot)) = self.slots.get_mut(index as usize)
            && !std::mem::replace(&mut slot.has_letters, true)
        {
            self.with_letters.push_back(index);
        }
        self.collect(index);
        self.read_ahead(index);
        traced.iter().for_each(|traced| self.trace_delivery(queue, traced));
    }

    /// When [`Shard::run_deadlines`] wants to be called next; Unix milliseconds.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let queue = self.deadlines.first().map(|(at, _)| *at);
        queue.into_iter().chain(self.log_deadline_ms()).chain(self.letters_wait_until_ms).min()
    }

    /// Expires messages and queues whose time is over.
    pub fn run_deadlines(&mut self) {
        self.tick();
        self.letters_wait_until_ms.take_if(|until| *until <= self.now_ms);
        self.hasten_log();
        while let Some(&(at, index)) = self.deadlines.first()
            && at <= self.now_ms
        {
            self.deadlines.pop_first();
            let now_ms = self.now_ms;
            let Some(slot) = self.slots.get_mut(index as usize).and_then(Option::as_mut) else {
                continue;
            };
            slot.deadline_ms = u64::MAX;
            if slot.queue.is_expired(now_ms) {
                let id = slot.queue.id();
                self.remove(id, Actor::NODE);
            } else {
                self.deal(index);
            }
        }
        self.flush();
    }

    fn create(&mut self, creation: Creation) {
        let index = creation.id.slot() as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        let mut queue = Queue::new(creation.id, creation.settings, self.now_ms);
        queue.set_memory_budget(self.budget);
        if let Some(uid) = creation.uid {
            queue = queue.with_log(uid);
        }
        if let Some(recovered) = creation.recovered {
            queue.restore(recovered);
        }
        self.slots[index] = Some(Box::new(Slot {
            queue,
            vhost: creation.vhost,
            name: creation.name,
            auto_delete: creation.auto_delete,
            sinks: Vec::new(),
            is_dirty: false,
            has_letters: false,
            owed: 0,
            deadline_ms: u64::MAX,
            gauge: None,
        }));
        // A queue that nobody ever uses expires too.
        self.mark_dirty(creation.id.slot());
    }

    /// Takes a queue out, ends its consumers, and frees its name; how many messages were ready.
    fn remove(&mut self, id: QueueId, actor: Actor<'_>) -> u64 {
        if self.slot(id).is_none() {
            return 0;
        }
        self.append_journal();
        self.bury_all(id.slot());
        // A letter that came back into the queue has its place in the log before it goes with it.
        self.append_journal();
        // What was settled in this batch is to be freed too.
        self.collect(id.slot());
        let Some(mut slot) = self.slots[id.slot() as usize].take() else { return 0 };
        self.owed -= slot.owed;
        self.collect_deleted(&mut slot);
        self.deadlines.remove(&(slot.deadline_ms, id.slot()));
        for sink in slot.sinks.iter_mut().flatten() {
            sink.cancelled(CancelReason::QueueDeleted);
            sink.flush();
        }
        if slot.queue.settings().delayed_for.is_some() {
            self.broker.forget_waiting(id);
        } else {
            self.broker.forget_queue(&slot.vhost, actor, &slot.name, id);
        }
        slot.queue.stats().ready
    }

    /// How many queues there are, those included that no client knows.
    #[cfg(test)]
    fn queue_count(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// The slot of a queue of this shard, if it is still that queue.
    #[inline]
    fn slot(&mut self, id: QueueId) -> Option<&mut Slot> {
        let index = id.slot() as usize;
        let known = |slot: &Option<Box<Slot>>| slot.as_ref().is_some_and(|s| s.queue.id() == id);
        if !self.slots.get(index).is_some_and(known) {
            // The snapshot shows a queue as soon as its creation was posted; that may still wait
            // in the inbox.
            self.run_creations();
        }
        self.slots.get_mut(index)?.as_deref_mut().filter(|slot| slot.queue.id() == id)
    }

    #[cold]
    fn run_creations(&mut self) {
        let broker = self.broker.clone();
        for creation in broker.inbox(self.id).take_creations() {
            self.create(creation);
        }
    }

    #[inline]
    fn mark_dirty(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index as usize).and_then(Option::as_mut)
            && !std::mem::replace(&mut slot.is_dirty, true)
        {
            self.dirty.push(index);
        }
    }
}

/// A queue to be made on its shard.
pub(crate) struct Creation {
    pub(crate) id: QueueId,
    pub(crate) vhost: Arc<crate::Vhost>,
    pub(crate) name: shunt_types::QueueName,
    pub(crate) auto_delete: bool,
    pub(crate) settings: QueueSettings,
    /// How the log names it, if the log keeps its messages.
    pub(crate) uid: Option<QueueUid>,
    /// What the log kept.
    pub(crate) recovered: Option<RecoveredQueue>,
}

/// Whether and where the answers of queues on other shards are wanted.
pub(crate) type Reply = Option<Arc<dyn ConfirmSink>>;
