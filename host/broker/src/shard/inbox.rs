//! What other threads post to a shard: batches, never single messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use shunt_types::limits::SHARD_WAITING_BYTES_MAX;
use shunt_types::{DeliveryId, Message, QueueId};

use super::{Creation, Reply, Shard};
use crate::durable::{Left, Written};
use crate::ports::Wake;
use crate::queue::{ConsumerId, Settlement};

/// Messages for queues of one shard, from one publisher.
pub struct PublishBatch {
    pub(crate) items: Vec<PublishItem>,
    /// Where the answers go.
    pub(crate) reply: Reply,
    /// Bytes of memory that the items take, about.
    pub(crate) bytes: u64,
}

/// A message on its way to a queue of another shard.
pub(crate) struct PublishItem {
    pub(crate) queue: QueueId,
    pub(crate) message: Message,
    /// The token that the answer carries, where one is wanted.
    pub(crate) token: Option<u64>,
    /// What left its queue by becoming this message: the shard that writes the one writes both.
    pub(crate) left: Option<Arc<Left>>,
    /// Where the publisher's shard has written it already.
    pub(crate) written: Option<Written>,
}

/// One post.
pub enum Task {
    /// Take messages in.
    Publish(Vec<PublishBatch>),
    /// Settle deliveries.
    Settle(Vec<(QueueId, DeliveryId, Settlement)>),
    /// Replies to requesters of this shard, by their serials.
    Replies(Vec<(u64, Message)>),
    /// A consumer has room again.
    Resume(QueueId, ConsumerId),
    /// The log is on disk up to this position.
    Synced(u64),
    /// The log takes nothing more.
    LogFailed,
    /// Anything that is not on the path of a message.
    Call(Box<dyn FnOnce(&mut Shard) + Send>),
}

/// A shard's inbox. Posting wakes the shard when the inbox was empty, not once per post.
pub struct Inbox {
    posted: Mutex<Posted>,
    wake: Arc<dyn Wake>,
    /// Bytes of the messages that were posted and not taken in yet.
    unpublished: AtomicU64,
    /// Whether the shard owes more dead letters by what clients did than it should.
    owes_letters: AtomicBool,
}

#[derive(Default)]
struct Posted {
    /// Queues to be made come before everything else: the routing snapshot shows them already,
    /// so that any task may name them.
    creations: Vec<Creation>,
    tasks: Vec<Task>,
}

impl Inbox {
    /// An empty inbox whose shard is woken by `wake`.
    pub fn new(wake: Arc<dyn Wake>) -> Self {
        let (unpublished, owes_letters) = Default::default();
        Self { posted: Mutex::default(), wake, unpublished, owes_letters }
    }

    /// Leaves messages for the shard's queues.
    pub(super) fn post_publishes(&self, batches: Vec<PublishBatch>) {
        let bytes = batches.iter().map(|batch| batch.bytes).sum();
        self.unpublished.fetch_add(bytes, Ordering::Relaxed);
        self.post(Task::Publish(batches));
    }

    /// A posted batch of so many bytes is taken in.
    pub(super) fn has_published(&self, bytes: u64) {
        self.unpublished.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Says whether the shard owes more dead letters than it should.
    pub(super) fn set_owes_letters(&self, owes: bool) {
        if self.owes_letters.load(Ordering::Relaxed) != owes {
            self.owes_letters.store(owes, Ordering::Relaxed);
        }
    }

    /// Whether publishers are faster than the shard, and should wait for it: what waits for it would fill
    /// memory.
    pub fn is_behind(&self) -> bool {
        self.is_full() || self.owes_letters.load(Ordering::Relaxed)
    }

    /// Whether more messages wait here than should.
    pub(super) fn is_full(&self) -> bool {
        self.unpublished.load(Ordering::Relaxed) > SHARD_WAITING_BYTES_MAX
    }

    /// Leaves a task, in order.
    pub fn post(&self, task: Task) {
        let was_empty = {
            let mut posted = self.posted.lock();
            posted.tasks.push(task);
            posted.tasks.len() == 1
        };
        if was_empty {
            self.wake.wake();
        }
    }

    /// Has the shard look at its deadlines: one of them is earlier than it knew.
    pub(super) fn nudge(&self) {
        self.wake.wake();
    }

    /// Leaves a queue to be made.
    pub(crate) fn create(&self, creation: Creation) {
        self.posted.lock().creations.push(creation);
        self.wake.wake();
    }

    pub(super) fn take(&self) -> (Vec<Creation>, Vec<Task>) {
        let mut posted = self.posted.lock();
        (std::mem::take(&mut posted.creations), std::mem::take(&mut posted.tasks))
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        let posted = self.posted.lock();
        posted.creations.is_empty() && posted.tasks.is_empty()
    }

    /// Gives the emptied list back, so that its memory serves the next batch.
    pub(super) fn give_back(&self, emptied: Vec<Task>) {
        let mut posted = self.posted.lock();
        if posted.tasks.capacity() == 0 {
            posted.tasks = emptied;
        }
    }

    /// Takes back the creation of a queue that the rest of the log deletes again.
    pub(crate) fn retract(&self, queue: QueueId) {
        self.posted.lock().creations.retain(|creation| creation.id != queue);
    }

    /// Looks at each queue that is to be made.
    pub(crate) fn each_creation(&self, look: impl FnMut(&mut Creation)) {
        self.posted.lock().creations.iter_mut().for_each(look);
    }

    /// Takes only the queues that are to be made.
    pub(super) fn take_creations(&self) -> Vec<Creation> {
        std::mem::take(&mut self.posted.lock().creations)
    }
}
