//! The broker that all threads share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use parking_lot::Mutex;
use shunt_routing::ExchangeTypes;
use shunt_types::{AmqpError, ReplyCode, ShardId, VhostName};

use crate::alarms::Alarms;
use crate::connections::Connections;
use crate::counters::Counters;
use crate::durable::MessageLog;
use crate::gauges::Gauges;
use crate::metadata::{
    Actor, Command, ConnectionId, ExchangeDefinition, QueueEntry, State, VhostState, predeclared,
};
use crate::ports::{Clock, MetadataLog, OnDurable, Position, Wake};
use crate::replies::Replies;
use crate::shard::{DeleteOptions, Inbox, Task};
use crate::vhost::Vhost;

/// What a broker is made of.
pub struct BrokerOptions {
    /// One waker for each shard.
    pub shards: Vec<Arc<dyn Wake>>,
    /// The exchange types.
    pub exchange_types: ExchangeTypes,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The log of what is declared.
    pub log: Arc<dyn MetadataLog>,
}

/// What is declared, for every thread, and the inboxes of the shards that hold the queues.
pub struct Broker {
    inboxes: Vec<Inbox>,
    exchange_types: ExchangeTypes,
    clock: Arc<dyn Clock>,
    log: Arc<dyn MetadataLog>,
    /// The authority; changes take this lock, publishers never do.
    state: Mutex<State>,
    vhosts: ArcSwap<HashMap<VhostName, Arc<Vhost>>>,
    next_connection: AtomicU64,
    last_position: AtomicU64,
    next_seed: AtomicU64,
    counters: Counters,
    messages: MessageLog,
    alarms: Alarms,
    replies: Replies,
    connections: Connections,
    node_name: OnceLock<String>,
    gauges: Gauges,
}

impl Broker {
    /// A broker without virtual hosts.
    pub fn new(options: BrokerOptions) -> Arc<Self> {
        let shards = options.shards.len() as u16;
        let started_ms = options.clock.now_ms();
        Arc::new(Self {
            inboxes: options.shards.into_iter().map(Inbox::new).collect(),
            exchange_types: options.exchange_types,
            clock: options.clock,
            log: options.log,
            state: Mutex::new(State::new(shards)),
            vhosts: ArcSwap::default(),
            next_connection: AtomicU64::new(1),
            last_position: AtomicU64::new(0),
            next_seed: AtomicU64::new(started_ms),
            counters: Counters::default(),
            messages: MessageLog::default(),
            alarms: Alarms::default(),
            replies: Replies::default(),
            connections: Connections::default(),
            node_name: OnceLock::new(),
            gauges: Gauges::default(),
        })
    }

    /// The node's alarms, for which publishers wait.
    pub fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// The clients' connections.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Whether somebody waits for replies at `address` (direct reply-to).
    pub fn has_requester(&self, address: &str) -> bool {
        self.replies.find(address).is_some()
    }

    pub(crate) fn replies(&self) -> &Replies {
        &self.replies
    }

    pub(crate) fn gauges(&self) -> &Gauges {
        &self.gauges
    }

    pub(crate) fn messages(&self) -> &MessageLog {
        &self.messages
    }

    /// How many shards there are.
    pub fn shard_count(&self) -> u16 {
        self.inboxes.len() as u16
    }

    /// The inbox of a shard.
    pub fn inbox(&self, shard: ShardId) -> &Inbox {
        &self.inboxes[usize::from(shard.0)]
    }

    /// Unix time in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// A seed for random bits of which nothing depends on being guessed: other ones for each
    /// publisher, the same ones at the same time.
    pub(crate) fn next_seed(&self) -> u64 {
        self.next_seed.fetch_add(0xda94_2042_e4dd_58b5, Ordering::Relaxed)
    }

    /// The exchange types.
    pub fn exchange_types(&self) -> &ExchangeTypes {
        &self.exchange_types
    }

    /// What the node counts.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// An id for a connection that begins.
    pub fn next_connection_id(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// Up to where the metadata was logged by now: who waits for it to be on disk waits for
    /// everything that it has seen, such as a queue that its shard took out.
    pub fn logged_position(&self) -> Position {
        Position(self.last_position.load(Ordering::Acquire))
    }

    /// Calls `then` once the metadata log is on disk up to `position`.
    pub fn when_durable(&self, position: Position, then: OnDurable) {
        if position == Position::default() {
            then(Ok(()));
        } else {
            self.log.when_durable(position, then);
        }
    }

    /// The virtual host of that name.
    pub fn vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.load().get(name).cloned()
    }

    /// Every virtual host, by name.
    pub fn vhosts(&self) -> Vec<Arc<Vhost>> {
        let mut all: Vec<_> = self.vhosts.load().values().cloned().collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }

    /// Makes a virtual host with its pre-declared exchanges; whether it is new, and up to where
    /// the log must be on disk.
    pub fn create_vhost(&self, name: &VhostName, actor: Actor<'_>) -> (bool, Position) {
        // Logged under the lock, as every change is: the log has their order.
        let mut state = self.state.lock();
        if !self.insert_vhost(&mut state, name) {
            return (false, Position::default());
        }
        if let Some(entry) = state.vhosts.get(name) {
            for exchange in entry.exchanges.values() {
                self.tell_exchange_created(actor, name.as_str(), &exchange.definition);
            }
        }
        (true, self.log(&Command::CreateVhost { vhost: name.clone() }))
    }

    /// Deletes a virtual host with everything in it.
    ///
    /// # Errors
    /// `NOT_ALLOWED` (530) where there is none of that name, 406 where it is protected.
    pub fn delete_vhost(&self, name: &VhostName, actor: Actor<'_>) -> Result<Position, AmqpError> {
        let mut state = self.state.lock();
        if state.vhost(name)?.vhost.metadata().is_protected {
            return Err(AmqpError::precondition_failed(format!(
                "cannot delete virtual host '{name}': it is protected from deletion"
            )));
        }
        let Some(removed) = state.vhosts.remove(name) else { return Err(no_vhost(name)) };
        self.publish_vhosts(&state);
        let position = self.log(&Command::DeleteVhost { vhost: name.clone() });
        drop(state);
        removed.vhost.mark_deleted();
        for exchange in removed.exchanges.keys() {
            self.tell_gone("exchange.deleted", actor, name.as_str(), exchange.as_str());
        }
        self.tell("vhost.deleted", actor.user, |fields| {
            fields.insert("name", name.as_str().into());
        });
        removed.waiting_queues().for_each(|queue| self.delete_waiting(queue));
        for queue in removed.vhost.topology().queue_entries() {
            let id = queue.id;
            let options = DeleteOptions::by(actor.user);
            self.inbox(id.shard()).post(Task::Call(Box::new(move |shard| {
                // Without conditions a deletion can't be refused.
                let _ = shard.delete_queue(id, options);
            })));
        }
        Ok(position)
    }

    /// Traces what is published and delivered in a virtual host, or ends that. Not kept over a
    /// restart, as in RabbitMQ.
    ///
    /// # Errors
    /// 404 where there is none of that name.
    pub fn set_tracing(&self, name: &VhostName, traced: bool) -> Result<(), AmqpError> {
        let mut state = self.state.lock();
        state.vhost(name)?.edit(|_, topology| topology.traced = traced);
        Ok(())
    }

    /// The node's name; empty until it is set.
    pub fn node_name(&self) -> &str {
        self.node_name.get().map_or("", String::as_str)
    }

    /// Gives the node its name, once.
    pub fn set_node_name(&self, name: &str) {
        self.node_name.get_or_init(|| name.to_owned());
    }

    pub(crate) fn find_vhost(&self, name: &VhostName) -> Result<Arc<Vhost>, AmqpError> {
        self.vhost(name.as_str()).ok_or_else(|| no_vhost(name))
    }

    pub(crate) fn state(&self) -> &Mutex<State> {
        &self.state
    }

    pub(crate) fn log(&self, command: &Command) -> Position {
        let position = self.log.append(command);
        self.last_position.fetch_max(position.0, Ordering::AcqRel);
        position
    }

    pub(crate) fn insert_vhost(&self, state: &mut State, name: &VhostName) -> bool {
        if state.vhosts.contains_key(name) {
            return false;
        }
        let vhost = Arc::new(Vhost::new(name.clone()));
        state.vhosts.insert(name.clone(), VhostState::new(vhost));
        for (exchange, kind) in predeclared(name) {
            self.predeclare(state, name, exchange, kind);
        }
        self.publish_vhosts(state);
        true
    }

    fn predeclare(&self, state: &mut State, vhost: &VhostName, name: &str, kind: &str) {
        let Ok(name) = shunt_types::ExchangeName::new(name) else { return };
        let definition = ExchangeDefinition {
            // Only the node publishes there.
            internal: name.as_str().starts_with("amq.rabbitmq."),
            name,
            kind: kind.into(),
            durable: true,
            auto_delete: false,
            arguments: Arc::default(),
        };
        let made = self
            .make_exchange(vhost, &definition)
            .unwrap_or_else(|error| Self::broken_exchange(&definition, error.explanation));
        // Only a virtual host that is not there refuses.
        let _ = self.insert_exchange(state, vhost, definition, made, None);
    }

    pub(crate) fn publish_vhosts(&self, state: &State) {
        let all = state.vhosts.iter().map(|(name, entry)| (name.clone(), entry.vhost.clone()));
        self.vhosts.store(Arc::new(all.collect()));
    }

    /// Takes a queue out of the metadata while the log is replayed, before its shard runs.
    pub(crate) fn forget_restored(&self, vhost: &Arc<Vhost>, queue: &Arc<QueueEntry>) {
        self.inbox(queue.id.shard()).retract(queue.id);
        let destination = shunt_routing::Destination::Queue(queue.id);
        let mut state = self.state.lock();
        if let Ok(entry) = state.vhost(vhost.name()) {
            let gone = entry.edit(|entry, topology| {
                topology.queues.remove(&queue.definition.name);
                entry.take_destination(topology, destination)
            });
            state.retract_waiting(self, gone.waiting());
        }
        state.placement.give_back(queue.id);
    }
}

impl State {
    pub(crate) fn vhost(&mut self, name: &VhostName) -> Result<&mut VhostState, AmqpError> {
        self.vhosts.get_mut(name).ok_or_else(|| no_vhost(name))
    }
}

fn no_vhost(name: &VhostName) -> AmqpError {
    AmqpError::new(ReplyCode::NotAllowed, format!("vhost {name} not found"))
}
