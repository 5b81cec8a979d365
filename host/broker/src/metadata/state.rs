//! The authoritative metadata, behind one lock; publishers never take it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use shunt_routing::{Binding, Destination};
use shunt_types::{ExchangeId, ExchangeName, QueueName, VhostName};

use super::waiting::{Gone, GoneExchange, WaitingQueue};
use super::{BindingDefinition, DestinationName, ExchangeDefinition, Placement, Topology};
use crate::Vhost;
use crate::events::EVENT_EXCHANGE;

/// Everything that is declared on this node.
pub(crate) struct State {
    pub(crate) vhosts: HashMap<VhostName, VhostState>,
    pub(crate) placement: Placement,
    pub(crate) next_exchange_id: u64,
    pub(crate) next_binding: u64,
}

/// One virtual host. The queues stand in the snapshot alone.
pub(crate) struct VhostState {
    pub(crate) vhost: Arc<Vhost>,
    pub(crate) exchanges: HashMap<ExchangeName, ExchangeState>,
    pub(crate) names: HashMap<ExchangeId, ExchangeName>,
    pub(crate) from: HashMap<ExchangeId, HashSet<BindingEntry>>,
    pub(crate) to: HashMap<Destination, HashSet<(ExchangeId, BindingEntry)>>,
}

/// An exchange with its id.
pub(crate) struct ExchangeState {
    pub(crate) id: ExchangeId,
    pub(crate) definition: ExchangeDefinition,
    /// Where messages wait that it delays.
    pub(crate) waiting: Option<WaitingQueue>,
}

/// A binding as a member of a set: the same when destination, key and arguments are.
#[derive(Clone)]
pub(crate) struct BindingEntry(pub(crate) Arc<Binding>);

impl Hash for BindingEntry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.destination.hash(state);
        self.0.key.hash(state);
        // Equal arguments have the same number of fields, whatever their order.
        self.0.arguments.len().hash(state);
    }
}

impl PartialEq for BindingEntry {
    fn eq(&self, other: &Self) -> bool {
        self.0.destination == other.0.destination
            && self.0.key == other.0.key
            && self.0.arguments.is_equivalent(&other.0.arguments)
    }
}

impl Eq for BindingEntry {}

impl BindingEntry {
    /// Where it leads, by name.
    pub(crate) fn to(&self) -> DestinationName {
        let name = self.0.destination_name.clone();
        match self.0.destination {
            Destination::Queue(_) => DestinationName::Queue(QueueName::of_shared(name)),
            Destination::Exchange(_) => DestinationName::Exchange(ExchangeName::of_shared(name)),
        }
    }

    /// The binding by names; `source` is where it comes from.
    pub(crate) fn definition(&self, source: &ExchangeName) -> BindingDefinition {
        BindingDefinition {
            source: source.clone(),
            destination: self.to(),
            key: self.0.key.clone(),
            arguments: self.0.arguments.clone(),
        }
    }
}

impl State {
    pub(crate) fn new(shards: u16) -> Self {
        Self {
            vhosts: HashMap::new(),
            placement: Placement::new(shards),
            next_exchange_id: 1,
            next_binding: 0,
        }
    }
}

impl VhostState {
    pub(crate) fn new(vhost: Arc<Vhost>) -> Self {
        Self {
            vhost,
            exchanges: HashMap::new(),
            names: HashMap::new(),
            from: HashMap::new(),
            to: HashMap::new(),
        }
    }

    /// Works on a copy of the snapshot and puts it in force.
    pub(crate) fn edit<R>(&mut self, edit: impl FnOnce(&mut Self, &mut Topology) -> R) -> R {
        let mut topology = Topology::clone(&self.vhost.topology());
        let result = edit(self, &mut topology);
        let events = self.exchanges.get(EVENT_EXCHANGE).map(|exchange| exchange.id);
        topology.has_event_listeners = events.is_some_and(|id| self.from.contains_key(&id));
        self.vhost.swap(topology);
        result
    }

    /// Takes one binding out of the sets and out of its source's matcher. Answers whether it was
    /// there.
    pub(crate) fn take_binding(
        &mut self,
        topology: &mut Topology,
        source: ExchangeId,
        binding: &BindingEntry,
    ) -> bool {
        let Some(bindings) = self.from.get_mut(&source) else { return false };
        if !bindings.remove(binding) {
            return false;
        }
        if bindings.is_empty() {
            self.from.remove(&source);
        }
        if let Some(to) = self.to.get_mut(&binding.0.destination) {
            to.remove(&(source, binding.clone()));
            if to.is_empty() {
                self.to.remove(&binding.0.destination);
            }
        }
        if let Some(exchange) = topology.exchanges_by_id.get(&source) {
            let mut exchange = exchange.edited();
            exchange.matcher.unbind(&binding.0);
            topology.put_exchange(Arc::new(exchange));
        }
        true
    }

    /// Takes out every binding that leads to `destination`, and every auto-delete exchange that
    /// lost its last binding by that. Answers what went.
    pub(crate) fn take_destination(
        &mut self,
        topology: &mut Topology,
        destination: Destination,
    ) -> Gone {
        let mut gone = Gone::default();
        let unused = self.take_bindings_to(topology, destination, &mut gone);
        self.take_exchanges(topology, unused, gone)
    }

    /// Deletes an auto-delete exchange without bindings, and what goes with it.
    pub(crate) fn collect_unbound(&mut self, topology: &mut Topology, source: ExchangeId) -> Gone {
        let unused = self.unused(source).into_iter().collect();
        self.take_exchanges(topology, unused, Gone::default())
    }

    /// Takes an exchange out with all its bindings. Answers what went.
    pub(crate) fn take_exchange(&mut self, topology: &mut Topology, name: &ExchangeName) -> Gone {
        self.take_exchanges(topology, vec![name.clone()], Gone::default())
    }

    /// A work list, not a recursion: a client may chain as many exchanges as it likes.
    fn take_exchanges(
        &mut self,
        topology: &mut Topology,
        mut going: Vec<ExchangeName>,
        mut gone: Gone,
    ) -> Gone {
        while let Some(name) = going.pop() {
            let Some(exchange) = self.exchanges.remove(&name) else { continue };
            self.names.remove(&exchange.id);
            for entry in self.from.remove(&exchange.id).into_iter().flatten() {
                let destination = entry.0.destination;
                gone.bindings.push(entry.definition(&name));
                if let Some(to) = self.to.get_mut(&destination) {
                    to.remove(&(exchange.id, entry));
                    if to.is_empty() {
                        self.to.remove(&destination);
                    }
                }
            }
            if let Some(old) = topology.exchanges.get(&name).cloned() {
                topology.remove_exchange(&old);
            }
            let waiting = exchange.waiting.map(|queue| queue.id);
            gone.exchanges.push(GoneExchange { name, waiting });
            let destination = Destination::Exchange(exchange.id);
            going.extend(self.take_bindings_to(topology, destination, &mut gone));
        }
        gone
    }

    /// Answers the auto-delete exchanges that lost their last binding.
    fn take_bindings_to(
        &mut self,
        topology: &mut Topology,
        destination: Destination,
        gone: &mut Gone,
    ) -> Vec<ExchangeName> {
        let mut unused = Vec::new();
        for (source, binding) in self.to.remove(&destination).into_iter().flatten() {
            gone.bindings.extend(self.names.get(&source).map(|name| binding.definition(name)));
            self.take_binding(topology, source, &binding);
            unused.extend(self.unused(source));
        }
        unused
    }

    /// The name of an auto-delete exchange that has no bindings.
    fn unused(&self, source: ExchangeId) -> Option<ExchangeName> {
        let name = self.names.get(&source)?;
        let auto_delete = self.exchanges.get(name)?.definition.auto_delete;
        (auto_delete && !self.from.contains_key(&source)).then(|| name.clone())
    }
}
