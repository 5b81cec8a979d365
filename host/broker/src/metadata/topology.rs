//! The routing snapshot of a virtual host: immutable, shared by every shard, swapped on change.

use std::fmt;
use std::sync::Arc;

use shunt_routing::{Exchange, Map, Topology as RoutingTopology};
use shunt_types::{AmqpError, ExchangeId, ExchangeName, QueueId, QueueName, ReplyCode, VhostName};

use crate::durable::QueueUid;
use crate::metadata::QueueDefinition;
use crate::policy::Policies;

/// A client's connection, for the time that it exists; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// A queue as the snapshot knows it.
pub struct QueueEntry {
    /// Where it lives.
    pub id: QueueId,
    /// How it was declared.
    pub definition: QueueDefinition,
    /// The connection that alone may use it.
    pub exclusive_owner: Option<ConnectionId>,
    /// How the log of messages names it, if it is durable.
    pub uid: Option<QueueUid>,
}

impl QueueEntry {
    /// Refuses a connection that doesn't own this exclusive queue.
    ///
    /// # Errors
    /// `RESOURCE_LOCKED` (405) in RabbitMQ's words.
    pub fn check_access(
        &self,
        vhost: &VhostName,
        connection: Option<ConnectionId>,
    ) -> Result<(), AmqpError> {
        if self.exclusive_owner.is_none() || self.exclusive_owner == connection {
            return Ok(());
        }
        Err(AmqpError::new(
            ReplyCode::ResourceLocked,
            format!(
                "cannot obtain exclusive access to locked queue '{}' in vhost '{vhost}'. It could \
                 be originally declared on another connection or the exclusive property value \
                 does not match that of the original declaration.",
                self.definition.name
            ),
        ))
    }
}

/// What a publish needs to know of its virtual host. Cloning shares the structure.
#[derive(Clone)]
pub struct Topology {
    /// The virtual host.
    pub vhost: VhostName,
    pub(crate) exchanges: Map<ExchangeName, Arc<Exchange>>,
    pub(crate) exchanges_by_id: Map<ExchangeId, Arc<Exchange>>,
    pub(crate) queues: Map<QueueName, Arc<QueueEntry>>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) traced: bool,
    /// Something is bound to the event exchange.
    pub(crate) has_event_listeners: bool,
}

impl Topology {
    pub(crate) fn new(vhost: VhostName) -> Self {
        Self {
            vhost,
            exchanges: Map::new(),
            exchanges_by_id: Map::new(),
            queues: Map::new(),
            policies: Arc::default(),
            traced: false,
            has_event_listeners: false,
        }
    }

    /// The policies, which what stands here goes by already.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Whether what is published and delivered is traced (firehose).
    pub fn is_traced(&self) -> bool {
        self.traced
    }

    /// The exchange of that name.
    ///
    /// # Errors
    /// `NOT_FOUND` (404).
    pub fn find_exchange(&self, name: &str) -> Result<&Arc<Exchange>, AmqpError> {
        self.exchanges.get(name).ok_or_else(|| {
            AmqpError::not_found(format!("no exchange '{name}' in vhost '{}'", self.vhost))
        })
    }

    /// The queue of that name.
    ///
    /// # Errors
    /// `NOT_FOUND` (404).
    pub fn find_queue(&self, name: &str) -> Result<&Arc<QueueEntry>, AmqpError> {
        self.queues.get(name).ok_or_else(|| {
            AmqpError::not_found(format!("no queue '{name}' in vhost '{}'", self.vhost))
        })
    }

    pub(crate) fn put_exchange(&mut self, exchange: Arc<Exchange>) {
        self.exchanges.insert(exchange.name.clone(), exchange.clone());
        self.exchanges_by_id.insert(exchange.id, exchange);
    }

    pub(crate) fn remove_exchange(&mut self, exchange: &Exchange) {
        self.exchanges.remove(&exchange.name);
        self.exchanges_by_id.remove(&exchange.id);
    }
}

impl RoutingTopology for Topology {
    fn queue(&self, name: &str) -> Option<QueueId> {
        self.queues.get(name).map(|queue| queue.id)
    }

    fn exchange(&self, id: ExchangeId) -> Option<&Exchange> {
        self.exchanges_by_id.get(&id).map(Arc::as_ref)
    }

    fn exchange_named(&self, name: &str) -> Option<&Exchange> {
        self.exchanges.get(name).map(Arc::as_ref)
    }
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topology").field("vhost", &self.vhost).finish_non_exhaustive()
    }
}
