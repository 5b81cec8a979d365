//! What other threads post to a shard: batches, never single messages.

use std::sync::Arc;

use parking_lot::Mutex;
use shunt_types::{DeliveryId, Message, QueueId};

use super::{Creation, Reply, Shard};
use crate::ports::Wake;
use crate::queue::{ConsumerId, Settlement};

/// Messages for queues of one shard, from one publisher.
pub struct PublishBatch {
    /// Queue, message, and the token that the answer carries where one is wanted.
    pub(crate) items: Vec<(QueueId, Message, Option<u64>)>,
    /// Where the answers go.
    pub(crate) reply: Reply,
}

/// One post.
pub enum Task {
    /// Make a queue.
    Create(Box<Creation>),
    /// Take messages in.
    Publish(Vec<PublishBatch>),
    /// Settle deliveries.
    Settle(Vec<(QueueId, DeliveryId, Settlement)>),
    /// A consumer has room again.
    Resume(QueueId, ConsumerId),
    /// Anything that is not on the path of a message.
    Call(Box<dyn FnOnce(&mut Shard) + Send>),
}

/// A shard's inbox. Posting wakes the shard when the inbox was empty, not once per post.
pub struct Inbox {
    tasks: Mutex<Vec<Task>>,
    wake: Arc<dyn Wake>,
}

impl Inbox {
    /// An empty inbox whose shard is woken by `wake`.
    pub fn new(wake: Arc<dyn Wake>) -> Self {
        Self { tasks: Mutex::new(Vec::new()), wake }
    }

    /// Leaves a task, in order.
    pub fn post(&self, task: Task) {
        let was_empty = {
            let mut tasks = self.tasks.lock();
            tasks.push(task);
            tasks.len() == 1
        };
        if was_empty {
            self.wake.wake();
        }
    }

    pub(super) fn take(&self) -> Vec<Task> {
        std::mem::take(&mut *self.tasks.lock())
    }

    /// Gives the emptied list back, so that its memory serves the next batch.
    pub(super) fn give_back(&self, emptied: Vec<Task>) {
        let mut tasks = self.tasks.lock();
        if tasks.capacity() == 0 {
            *tasks = emptied;
        }
    }

    /// Takes back the creation of a queue that the rest of the log deletes again.
    pub(crate) fn retract(&self, queue: QueueId) {
        self.tasks.lock().retain(|task| match task {
            Task::Create(creation) => creation.id != queue,
            _ => true,
        });
    }

    /// Takes only the queues that are to be made, ahead of their turn.
    pub(super) fn take_creations(&self) -> Vec<Creation> {
        let mut creations = Vec::new();
        self.tasks.lock().retain_mut(|task| match task {
            Task::Create(_) => {
                let taken = std::mem::replace(task, Task::Settle(Vec::new()));
                if let Task::Create(creation) = taken {
                    creations.push(*creation);
                }
                false
            }
            _ => true,
        });
        creations
    }
}
