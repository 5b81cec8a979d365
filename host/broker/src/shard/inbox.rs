//! What other threads post to a shard: batches, never single messages.

use std::sync::Arc;

use parking_lot::Mutex;
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
        Self { posted: Mutex::default(), wake }
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
