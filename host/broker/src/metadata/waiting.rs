//! The queue of an exchange that delays messages: no client can name it, and it goes with its
//! exchange, and so does what waits in it.

use std::sync::Arc;

use shunt_types::{AmqpError, ExchangeId, ExchangeName, QueueId, QueueName, VhostName};

use super::BindingDefinition;
use super::state::{State, VhostState};
use crate::Vhost;
use crate::broker::Broker;
use crate::durable::QueueUid;
use crate::queue::QueueSettings;
use crate::shard::{Creation, DeleteOptions, Task};

/// Where the messages of an exchange wait.
#[derive(Clone, Copy)]
pub(crate) struct WaitingQueue {
    /// The queue.
    pub(crate) id: QueueId,
    /// How the log names it, if it is durable.
    pub(crate) uid: Option<QueueUid>,
}

/// What went with something that was deleted.
#[derive(Default)]
pub(crate) struct Gone {
    /// The deleted exchange first, then those whose last binding went.
    pub(crate) exchanges: Vec<GoneExchange>,
    /// The bindings from and to what went.
    pub(crate) bindings: Vec<BindingDefinition>,
}

impl Gone {
    /// The queues of the exchanges that delayed.
    pub(crate) fn waiting(self) -> impl Iterator<Item = QueueId> {
        self.exchanges.into_iter().filter_map(|exchange| exchange.waiting)
    }
}

/// An exchange that went, with what has to go after it.
pub(crate) struct GoneExchange {
    pub(crate) name: ExchangeName,
    pub(crate) waiting: Option<QueueId>,
}

impl Broker {
    /// The queue in which messages wait that the exchange delays, for its counts.
    pub fn waiting_queue(&self, vhost: &VhostName, exchange: &ExchangeName) -> Option<QueueId> {
        let topology = self.vhost(vhost.as_str())?.topology();
        topology.find_exchange(exchange.as_str()).ok()?.waiting
    }

    /// Makes the queue, before the snapshot shows its exchange.
    pub(super) fn create_waiting(
        &self,
        state: &mut State,
        vhost: &Arc<Vhost>,
        exchange: (ExchangeId, &ExchangeName),
        uid: Option<QueueUid>,
    ) -> Result<WaitingQueue, AmqpError> {
        let (exchange, name) = exchange;
        // For logs alone. A name that an exchange may have, a queue may have too.
        let name = QueueName::new(name.as_str())
            .map_err(|error| AmqpError::precondition_failed(error.to_string()))?;
        let id = state.placement.take(None, false);
        self.inbox(id.shard()).create(Creation {
            id,
            vhost: vhost.clone(),
            name,
            auto_delete: false,
            settings: QueueSettings { delayed_for: Some(exchange), ..QueueSettings::default() },
            uid,
            recovered: None,
        });
        Ok(WaitingQueue { id, uid })
    }

    /// Has the queue's shard delete it, with what is in it.
    pub(crate) fn delete_waiting(&self, id: QueueId) {
        self.inbox(id.shard()).post(Task::Call(Box::new(move |shard| {
            // Without conditions a deletion can't be refused.
            let _ = shard.delete_queue(id, DeleteOptions::default());
        })));
    }

    /// Frees the place of a queue that its shard took out.
    pub(crate) fn forget_waiting(&self, id: QueueId) {
        self.state().lock().placement.give_back(id);
    }
}

impl State {
    /// Takes back the creation of queues whose exchanges the rest of the log deletes again.
    pub(crate) fn retract_waiting(
        &mut self,
        broker: &Broker,
        waiting: impl IntoIterator<Item = QueueId>,
    ) {
        for id in waiting {
            broker.inbox(id.shard()).retract(id);
            self.placement.give_back(id);
        }
    }
}

impl VhostState {
    /// The queues of all its exchanges that delay.
    pub(crate) fn waiting_queues(&self) -> impl Iterator<Item = QueueId> {
        self.exchanges.values().filter_map(|exchange| Some(exchange.waiting?.id))
    }
}
