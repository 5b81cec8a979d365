//! Queues: declare and forget. A queue's contents live on its shard.

use std::sync::Arc;

use shunt_routing::Destination;
use shunt_types::{AmqpError, QueueId, QueueName, ReplyCode, ShardId, VhostName};

use super::equivalence::{check_argument, check_property};
use super::state::State;
use super::{Actor, Command, ConnectionId, QueueDefinition, QueueEntry};
use crate::Vhost;
use crate::broker::Broker;
use crate::durable::QueueUid;
use crate::ports::Position;
use crate::queue::QueueSettings;
use crate::shard::Creation;

/// What `queue.declare` asks for.
#[derive(Clone, Debug)]
pub struct QueueDeclaration {
    /// The queue; a server-named queue has its name by now.
    pub definition: QueueDefinition,
    /// The connection that alone may use it.
    pub exclusive_owner: Option<ConnectionId>,
    /// Whether the server made the name, which may then begin with `amq.`.
    pub server_named: bool,
    /// The shard of the client, for a place nearby.
    pub near: Option<ShardId>,
}

/// A queue that is there now.
#[derive(Clone)]
pub struct Declared {
    /// The queue.
    pub queue: Arc<QueueEntry>,
    /// Whether it was made by this declare.
    pub created: bool,
    /// Up to where the metadata log must be on disk before the client hears of it.
    pub position: Position,
}

impl Broker {
    /// Declares a queue, or finds it declared in the same way.
    ///
    /// # Errors
    /// 403 for reserved names, 404 for the virtual host, 405 for somebody else's exclusive
    /// queue, 406 where the arguments are wrong or differ.
    pub fn declare_queue(
        &self,
        vhost: &VhostName,
        actor: Actor<'_>,
        mut declaration: QueueDeclaration,
    ) -> Result<Declared, AmqpError> {
        // An exclusive queue goes with its connection, so it can't be durable.
        let exclusive = declaration.exclusive_owner.is_some();
        declaration.definition.durable &= !exclusive;
        let definition = &declaration.definition;
        let settings = QueueSettings::from_arguments(&definition.arguments).map_err(|invalid| {
            AmqpError::precondition_failed(invalid.of_queue(&definition.name, vhost))
        })?;
        let mut state = self.state().lock();
        let found = state.vhost(vhost)?.vhost.clone();
        if let Some(queue) = found.topology().queues.get(&definition.name) {
            queue.check_access(vhost, actor.connection)?;
            check_equivalent(vhost, queue, &declaration)?;
            return Ok(Declared {
                queue: queue.clone(),
                created: false,
                position: Position::default(),
            });
        }
        if definition.name.as_str().starts_with("amq.") && !declaration.server_named {
            return Err(AmqpError::access_refused(format!(
                "queue name '{}' contains reserved prefix 'amq.*'",
                definition.name
            )));
        }
        state.vhost(vhost)?.check_queue_limit(definition.name.as_str())?;
        let queue = self.insert_queue(&mut state, &found, declaration, settings, None)?;
        self.counters().queues_created.add(1);
        self.tell_queue_created(actor, vhost.as_str(), &queue);
        let position = match queue.uid {
            Some(uid) => self.log(&Command::DeclareQueue {
                vhost: vhost.clone(),
                queue: queue.definition.clone(),
                uid,
            }),
            None => Position::default(),
        };
        Ok(Declared { queue, created: true, position })
    }

    pub(crate) fn insert_queue(
        &self,
        state: &mut State,
        vhost: &Arc<Vhost>,
        declaration: QueueDeclaration,
        settings: QueueSettings,
        uid: Option<QueueUid>,
    ) -> Result<Arc<QueueEntry>, AmqpError> {
        let exclusive = declaration.exclusive_owner.is_some();
        let id = state.placement.take(declaration.near, exclusive);
        let definition = declaration.definition;
        let policies = &vhost.topology().policies;
        let policy = policies.of_queue(definition.name.as_str()).settings();
        let settings = settings.under(&definition.arguments, &policy);
        let uid = definition.durable.then(|| uid.unwrap_or_else(|| self.next_queue_uid()));
        // Posted before the snapshot shows the queue: whoever can publish to it comes later.
        self.inbox(id.shard()).create(Creation {
            id,
            vhost: vhost.clone(),
            name: definition.name.clone(),
            auto_delete: definition.auto_delete,
            settings,
            uid,
            recovered: None,
        });
        let queue = Arc::new(QueueEntry {
            id,
            definition,
            exclusive_owner: declaration.exclusive_owner,
            uid,
        });
        state.vhost(vhost.name())?.edit(|_, topology| {
            topology.queues.insert(queue.definition.name.clone(), queue.clone());
        });
        Ok(queue)
    }

    /// Frees the place and the name of a queue that its shard took out, with all bindings to it.
    pub(crate) fn forget_queue(
        &self,
        vhost: &Vhost,
        actor: Actor<'_>,
        name: &QueueName,
        id: QueueId,
    ) {
        self.tell_gone("queue.deleted", actor, vhost.name().as_str(), name.as_str());
        let mut state = self.state().lock();
        state.placement.give_back(id);
        self.counters().queues_deleted.add(1);
        let Ok(entry) = state.vhost(vhost.name()) else { return };
        // The virtual host may be gone, and another one of its name there with such a queue.
        let known = entry.vhost.topology().queues.get(name).cloned();
        let Some(queue) = known.filter(|queue| queue.id == id) else { return };
        let gone = entry.edit(|entry, topology| {
            topology.queues.remove(name);
            entry.take_destination(topology, Destination::Queue(id))
        });
        if queue.definition.durable {
            let vhost = vhost.name().clone();
            self.log(&Command::DeleteQueue { vhost, queue: name.clone() });
        }
        self.log_gone(vhost.name(), actor, gone);
    }
}

fn check_equivalent(
    vhost: &VhostName,
    current: &QueueEntry,
    wanted: &QueueDeclaration,
) -> Result<(), AmqpError> {
    let name = &current.definition.name;
    let current_exclusive = current.exclusive_owner.is_some();
    let wanted_exclusive = wanted.exclusive_owner.is_some();
    if current_exclusive != wanted_exclusive {
        return Err(AmqpError::new(
            ReplyCode::ResourceLocked,
            format!(
                "cannot obtain exclusive access to locked queue '{name}' in vhost '{vhost}'. It \
                 could be originally declared on another connection or the exclusive property \
                 value does not match that of the original declaration."
            ),
        ));
    }
    let what = format!("queue '{name}' in vhost '{vhost}'");
    let (wanted, current) = (&wanted.definition, &current.definition);
    check_property(&what, "durable", wanted.durable, current.durable)?;
    check_property(&what, "auto_delete", wanted.auto_delete, current.auto_delete)?;
    COMPARED
        .into_iter()
        .try_for_each(|name| check_argument(&what, name, &wanted.arguments, &current.arguments))
}

/// The arguments by which two declares of a classic queue may differ; others are not compared.
const COMPARED: [&str; 16] = [
    "x-consumer-timeout",
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-leader-locator",
    "x-queue-master-locator",
    "x-queue-mode",
    "x-single-active-consumer",
    "x-queue-type",
    "x-queue-version",
    "x-message-deduplication",
];
