//! Bindings: bind, unbind, list.

use std::sync::Arc;

use shunt_routing::{Binding, Destination};
use shunt_types::{AmqpError, ExchangeName, PackedTable, ReplyCode, VhostName};

use super::bound::BindingEntry;
use super::exchanges::check_not_default;
use super::state::{State, VhostState};
use super::{Actor, BindingDefinition, Command, ConnectionId, DestinationName, Gone, Topology};
use crate::broker::Broker;
use crate::ports::Position;

/// A binding as listings show it.
#[derive(Clone, Debug)]
pub struct BindingView {
    /// The exchange that messages come from; empty for the default exchange.
    pub source: ExchangeName,
    /// Where they go.
    pub destination: DestinationName,
    /// The binding key.
    pub key: Arc<str>,
    /// The binding's arguments.
    pub arguments: PackedTable,
}

impl Broker {
    /// Binds; a binding that is there already stays as it is.
    ///
    /// # Errors
    /// 403 for the default exchange, 404 for what isn't there, 405 for somebody else's exclusive
    /// queue, 406 where the exchange type refuses the binding.
    pub fn bind(
        &self,
        vhost: &VhostName,
        actor: Actor<'_>,
        definition: BindingDefinition,
    ) -> Result<Position, AmqpError> {
        check_ends(&definition)?;
        loop {
            let topology = self.find_vhost(vhost)?.topology();
            let binding = resolved(&topology, actor.connection, &definition)?;
            let source = topology.find_exchange(definition.source.as_str())?;
            // A route may be asked here, so no lock is held.
            source.matcher.validate_binding(&binding).map_err(|reason| {
                AmqpError::precondition_failed(format!(
                    "invalid binding '{}' from exchange '{}' in vhost '{vhost}': {reason}",
                    definition.key, definition.source
                ))
            })?;
            let mut state = self.state().lock();
            let now = state.vhost(vhost)?.vhost.topology();
            let is_same = now.find_exchange(definition.source.as_str())?.id == source.id
                && resolved(&now, actor.connection, &definition)?.destination
                    == binding.destination;
            if !is_same {
                // Deleted and declared anew meanwhile.
                continue;
            }
            let Some(binding) = state.insert_binding(vhost, &definition, binding)? else {
                return Ok(Position::default());
            };
            self.tell_binding("binding.created", actor, vhost.as_str(), &definition);
            let position = self
                .log_binding(&now, definition, |vhost, binding| Command::Bind { vhost, binding });
            drop(state);
            self.recall(&now, source, &binding);
            return Ok(position);
        }
    }

    /// Unbinds; a binding that isn't there is unbound already.
    ///
    /// # Errors
    /// 403 for the default exchange, 404 for what isn't there, 405 for somebody else's exclusive
    /// queue.
    pub fn unbind(
        &self,
        vhost: &VhostName,
        actor: Actor<'_>,
        definition: BindingDefinition,
    ) -> Result<Position, AmqpError> {
        check_ends(&definition)?;
        let topology = self.find_vhost(vhost)?.topology();
        let ends = match resolved(&topology, actor.connection, &definition) {
            // What isn't there isn't bound.
            Err(error) if error.code == ReplyCode::NotFound => return Ok(Position::default()),
            ends => ends?,
        };
        let binding = BindingEntry::wanted(ends);
        let mut state = self.state().lock();
        let entry = state.vhost(vhost)?;
        let Some(source) = entry.exchanges.get(&definition.source).map(|x| x.id) else {
            return Ok(Position::default());
        };
        let (removed, gone) = entry.edit(|entry, topology| {
            let removed = entry.take_binding(topology, source, &binding);
            (
                removed,
                if removed { entry.collect_unbound(topology, source) } else { Gone::default() },
            )
        });
        if !removed {
            return Ok(Position::default());
        }
        let topology = entry.vhost.topology();
        self.tell_binding("binding.deleted", actor, vhost.as_str(), &definition);
        let position = self.log_binding(&topology, definition, |vhost, binding| Command::Unbind {
            vhost,
            binding,
        });
        Ok(position.max(self.log_gone(vhost, actor, gone)))
    }

    /// Every binding of a virtual host by source, those of the default exchange first; those of
    /// one source in the order in which they were bound, which is a route's order of them.
    pub fn bindings(&self, vhost: &VhostName) -> Vec<BindingView> {
        let state = self.state().lock();
        let Some(entry) = state.vhosts.get(vhost) else { return Vec::new() };
        let topology = entry.vhost.topology();
        // Every queue is bound to the default exchange by its name.
        let default = entry.exchanges.get_key_value("").map(|(name, _)| name);
        let implicit = |source: &ExchangeName| {
            let source = source.clone();
            topology.queue_entries().map(move |queue| implicit(source.clone(), queue))
        };
        let mut views: Vec<_> = default.into_iter().flat_map(implicit).collect();
        views.sort_by(|a, b| a.destination.as_str().cmp(b.destination.as_str()));
        let mut explicit: Vec<_> = entry.bindings().collect();
        explicit.sort_by_key(|(source, entry)| (*source, entry.0.sequence));
        views.extend(explicit.into_iter().map(|(source, binding)| view(source, binding)));
        views
    }

    fn log_binding(
        &self,
        topology: &Topology,
        definition: BindingDefinition,
        command: impl FnOnce(VhostName, BindingDefinition) -> Command,
    ) -> Position {
        if !topology.keeps_bindings_to(&definition.destination) {
            return Position::default();
        }
        self.log(&command(topology.vhost.clone(), definition))
    }
}

impl State {
    /// Takes a binding in, at the end of the order; answers it as it is kept, if it is new.
    pub(crate) fn insert_binding(
        &mut self,
        vhost: &VhostName,
        definition: &BindingDefinition,
        mut binding: Binding,
    ) -> Result<Option<Arc<Binding>>, AmqpError> {
        binding.sequence = self.next_binding;
        self.next_binding += 1;
        let binding = Arc::new(binding);
        let state = self.vhost(vhost)?;
        let name = &definition.source;
        let source = state.exchanges.get(name).map(|exchange| exchange.id).ok_or_else(|| {
            AmqpError::not_found(format!("no exchange '{name}' in vhost '{vhost}'"))
        })?;
        let entry = BindingEntry(binding.clone());
        if !state.bound.insert(source, entry) {
            return Ok(None);
        }
        state.edit(|_, topology| {
            if let Some(exchange) = topology.exchanges_by_id.get(&source) {
                let mut exchange = exchange.edited();
                exchange.matcher.bind(&binding);
                topology.put_exchange(Arc::new(exchange));
            }
        });
        Ok(Some(binding))
    }
}

impl VhostState {
    /// Every binding with its source, in no particular order.
    pub(super) fn bindings(&self) -> impl Iterator<Item = (&ExchangeName, &BindingEntry)> {
        self.bound.iter().filter_map(|(id, binding)| Some((self.names.get(&id)?, binding)))
    }
}

impl Topology {
    /// Whether a binding to there survives a restart.
    pub(super) fn keeps_bindings_to(&self, destination: &DestinationName) -> bool {
        match destination {
            DestinationName::Exchange(_) => true,
            DestinationName::Queue(name) => {
                self.queues.get(name).is_some_and(|queue| queue.definition.durable)
            }
        }
    }
}

fn check_ends(definition: &BindingDefinition) -> Result<(), AmqpError> {
    check_not_default(&definition.source)?;
    match &definition.destination {
        DestinationName::Exchange(name) => check_not_default(name),
        DestinationName::Queue(_) => Ok(()),
    }
}

/// A binding with its destination looked up.
pub(super) fn resolved(
    topology: &Topology,
    connection: Option<ConnectionId>,
    definition: &BindingDefinition,
) -> Result<Binding, AmqpError> {
    topology.find_exchange(definition.source.as_str())?;
    // A million bindings of a queue share its name.
    let (destination, destination_name) = match &definition.destination {
        DestinationName::Queue(name) => {
            let queue = topology.find_queue(name.as_str())?;
            queue.check_access(&topology.vhost, connection)?;
            (Destination::Queue(queue.id), queue.definition.name.shared())
        }
        DestinationName::Exchange(name) => {
            let exchange = topology.find_exchange(name.as_str())?;
            (Destination::Exchange(exchange.id), exchange.name.shared())
        }
    };
    Ok(Binding {
        destination,
        destination_name,
        key: definition.key.clone(),
        arguments: definition.arguments.clone(),
        sequence: 0,
    })
}

fn view(source: &ExchangeName, entry: &BindingEntry) -> BindingView {
    BindingView {
        source: source.clone(),
        destination: entry.to(),
        key: entry.0.key.clone(),
        arguments: entry.0.arguments.clone(),
    }
}

/// The binding that every queue has to the default exchange.
fn implicit(source: ExchangeName, queue: &super::QueueEntry) -> BindingView {
    let name = queue.definition.name.clone();
    BindingView {
        source,
        key: name.as_str().into(),
        destination: DestinationName::Queue(name),
        arguments: PackedTable::default(),
    }
}
