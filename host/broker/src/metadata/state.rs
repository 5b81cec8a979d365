//! The authoritative metadata, behind one lock; publishers never take it.

use std::sync::Arc;

use hashbrown::HashMap;
use shunt_routing::Destination;
use shunt_types::{ExchangeId, ExchangeName, VhostName};

use super::bound::{BindingEntry, Bound};
use super::waiting::{Gone, GoneExchange, WaitingQueue};
use super::{ExchangeDefinition, Placement, Topology};
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
    pub(crate) bound: Bound,
}

/// An exchange with its id.
pub(crate) struct ExchangeState {
    pub(crate) id: ExchangeId,
    pub(crate) definition: ExchangeDefinition,
    /// Where messages wait that it delays.
    pub(crate) waiting: Option<WaitingQueue>,
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
        Self { vhost, exchanges: HashMap::new(), names: HashMap::new(), bound: Bound::default() }
    }

    /// Works on a copy of the snapshot and puts it in force.
    pub(crate) fn edit<R>(&mut self, edit: impl FnOnce(&mut Self, &mut Topology) -> R) -> R {
        let mut topology = Topology::clone(&self.vhost.topology());
        let result = edit(self, &mut topology);
        let events = self.exchanges.get(EVENT_EXCHANGE).map(|exchange| exchange.id);
        topology.has_event_listeners = events.is_some_and(|id| self.bound.has_from(id));
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
        let Some(binding) = self.bound.take(source, binding) else { return false };
        unbind(topology, source, &binding);
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
            let bindings = self.bound.take_from(exchange.id);
            gone.bindings.extend(bindings.map(|binding| binding.definition(&name)));
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
        for (source, binding) in self.bound.take_to(destination) {
            gone.bindings.extend(self.names.get(&source).map(|name| binding.definition(name)));
            unbind(topology, source, &binding);
            // Those of one source stand together.
            let name = self.unused(source);
            unused.extend(name.filter(|name| unused.last() != Some(name)));
        }
        unused
    }

    /// The name of an auto-delete exchange that has no bindings.
    fn unused(&self, source: ExchangeId) -> Option<ExchangeName> {
        let name = self.names.get(&source)?;
        let auto_delete = self.exchanges.get(name)?.definition.auto_delete;
        (auto_delete && !self.bound.has_from(source)).then(|| name.clone())
    }
}

/// Takes a binding out of its source's matcher.
fn unbind(topology: &mut Topology, source: ExchangeId, binding: &BindingEntry) {
    if let Some(exchange) = topology.exchanges_by_id.get(&source) {
        let mut exchange = exchange.edited();
        exchange.matcher.unbind(&binding.0);
        topology.put_exchange(Arc::new(exchange));
    }
}
