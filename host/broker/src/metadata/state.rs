//! The authoritative metadata, behind one lock; publishers never take it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use shunt_routing::{Binding, Destination};
use shunt_types::{ExchangeId, ExchangeName, VhostName};

use super::{ExchangeDefinition, Placement, Topology};
use crate::Vhost;

/// Everything that is declared on this node.
pub(crate) struct State {
    pub(crate) vhosts: HashMap<VhostName, VhostState>,
    pub(crate) placement: Placement,
    pub(crate) next_exchange_id: u64,
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

impl State {
    pub(crate) fn new(shards: u16) -> Self {
        Self { vhosts: HashMap::new(), placement: Placement::new(shards), next_exchange_id: 1 }
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
    /// lost its last binding by that. Answers the exchanges that went.
    pub(crate) fn take_destination(
        &mut self,
        topology: &mut Topology,
        destination: Destination,
    ) -> Vec<ExchangeName> {
        let mut gone = Vec::new();
        for (source, binding) in self.to.remove(&destination).into_iter().flatten() {
            self.take_binding(topology, source, &binding);
            gone.extend(self.collect_unbound(topology, source));
        }
        gone
    }

    /// Deletes an auto-delete exchange without bindings, and what goes with it.
    pub(crate) fn collect_unbound(
        &mut self,
        topology: &mut Topology,
        source: ExchangeId,
    ) -> Vec<ExchangeName> {
        let Some(name) = self.names.get(&source) else { return Vec::new() };
        let auto_delete = self.exchanges.get(name).is_some_and(|x| x.definition.auto_delete);
        if !auto_delete || self.from.contains_key(&source) {
            return Vec::new();
        }
        let name = name.clone();
        self.take_exchange(topology, &name)
    }

    /// Takes an exchange out with all its bindings. Answers the exchanges that went, itself
    /// first.
    pub(crate) fn take_exchange(
        &mut self,
        topology: &mut Topology,
        name: &ExchangeName,
    ) -> Vec<ExchangeName> {
        let Some(exchange) = self.exchanges.remove(name) else { return Vec::new() };
        self.names.remove(&exchange.id);
        let mut gone = vec![name.clone()];
        for binding in self.from.remove(&exchange.id).into_iter().flatten() {
            if let Some(to) = self.to.get_mut(&binding.0.destination) {
                to.remove(&(exchange.id, binding.clone()));
                if to.is_empty() {
                    self.to.remove(&binding.0.destination);
                }
            }
        }
        if let Some(old) = topology.exchanges.get(name).cloned() {
            topology.remove_exchange(&old);
        }
        gone.extend(self.take_destination(topology, Destination::Exchange(exchange.id)));
        gone
    }
}
