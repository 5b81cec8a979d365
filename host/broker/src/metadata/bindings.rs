//! Bindings: bind, unbind, list.

use std::sync::Arc;

use shunt_routing::{Binding, Destination};
use shunt_types::{AmqpError, ExchangeName, FieldTable, VhostName};

use super::exchanges::check_not_default;
use super::state::{BindingEntry, VhostState};
use super::{BindingDefinition, Command, ConnectionId, DestinationName, Topology};
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
    pub arguments: Arc<FieldTable>,
}

impl Broker {
    /// Binds; a binding that is there already stays as it is. `connection` is who asks.
    ///
    /// # Errors
    /// 403 for the default exchange, 404 for what isn't there, 405 for somebody else's exclusive
    /// queue, 406 where the exchange type refuses the binding.
    pub fn bind(
        &self,
        vhost: &VhostName,
        connection: Option<ConnectionId>,
        definition: BindingDefinition,
    ) -> Result<Position, AmqpError> {
        check_not_default(&definition.source)?;
        if let DestinationName::Exchange(name) = &definition.destination {
            check_not_default(name)?;
        }
        let topology = self.find_vhost(vhost)?.topology();
        let binding = Arc::new(resolved(&topology, connection, &definition)?);
        let source = topology.find_exchange(definition.source.as_str())?;
        // A route may be asked here, so no lock is held.
        source.matcher.validate_binding(&binding).map_err(|reason| {
            AmqpError::precondition_failed(format!(
                "invalid binding '{}' from exchange '{}' in vhost '{vhost}': {reason}",
                definition.key, definition.source
            ))
        })?;
        let mut state = self.state().lock();
        let entry = state.vhost(vhost)?;
        if !entry.insert_binding(&definition.source, binding)? {
            return Ok(Position::default());
        }
        Ok(self.log_binding(vhost, entry, definition, |vhost, binding| Command::Bind {
            vhost,
            binding,
        }))
    }

    /// Unbinds; a binding that isn't there is unbound already. `connection` is who asks.
    ///
    /// # Errors
    /// 403 for the default exchange, 404 for what isn't there, 405 for somebody else's exclusive
    /// queue.
    pub fn unbind(
        &self,
        vhost: &VhostName,
        connection: Option<ConnectionId>,
        definition: BindingDefinition,
    ) -> Result<Position, AmqpError> {
        check_not_default(&definition.source)?;
        let topology = self.find_vhost(vhost)?.topology();
        let binding = BindingEntry(Arc::new(resolved(&topology, connection, &definition)?));
        let mut state = self.state().lock();
        let entry = state.vhost(vhost)?;
        let Some(source) = entry.exchanges.get(&definition.source).map(|x| x.id) else {
            return Ok(Position::default());
        };
        let (removed, gone) = entry.edit(|entry, topology| {
            let removed = entry.take_binding(topology, source, &binding);
            (removed, if removed { entry.collect_unbound(topology, source) } else { Vec::new() })
        });
        if !removed {
            return Ok(Position::default());
        }
        let position = self.log_binding(vhost, entry, definition, |vhost, binding| {
            Command::Unbind { vhost, binding }
        });
        Ok(position.max(self.log_gone(vhost, gone)))
    }

    /// Every binding of a virtual host, those of the default exchange first.
    pub fn bindings(&self, vhost: &VhostName) -> Vec<BindingView> {
        let state = self.state().lock();
        let Some(entry) = state.vhosts.get(vhost) else { return Vec::new() };
        let topology = entry.vhost.topology();
        let mut views: Vec<_> = topology.queue_entries().map(|q| implicit(q.as_ref())).collect();
        views.sort_by(|a, b| a.destination.as_str().cmp(b.destination.as_str()));
        let mut explicit: Vec<_> = entry
            .from
            .iter()
            .filter_map(|(id, bindings)| Some((entry.names.get(id)?, bindings)))
            .flat_map(|(source, bindings)| bindings.iter().map(|b| view(source, &b.0)))
            .collect();
        explicit.sort_by(|a, b| {
            let order = |view: &BindingView| {
                (view.source.clone(), view.destination.as_str().to_owned(), view.key.clone())
            };
            order(a).cmp(&order(b))
        });
        views.append(&mut explicit);
        views
    }

    fn log_binding(
        &self,
        vhost: &VhostName,
        entry: &VhostState,
        definition: BindingDefinition,
        command: impl FnOnce(VhostName, BindingDefinition) -> Command,
    ) -> Position {
        let kept = match &definition.destination {
            DestinationName::Exchange(_) => true,
            DestinationName::Queue(name) => {
                let topology = entry.vhost.topology();
                topology.queues.get(name).is_some_and(|queue| queue.definition.durable)
            }
        };
        if kept { self.log(&command(vhost.clone(), definition)) } else { Position::default() }
    }
}

impl VhostState {
    /// Takes a binding in; whether it is new.
    pub(crate) fn insert_binding(
        &mut self,
        source: &ExchangeName,
        binding: Arc<Binding>,
    ) -> Result<bool, AmqpError> {
        let vhost = self.vhost.name().clone();
        let source = self.exchanges.get(source).map(|exchange| exchange.id).ok_or_else(|| {
            AmqpError::not_found(format!("no exchange '{source}' in vhost '{vhost}'"))
        })?;
        let entry = BindingEntry(binding.clone());
        if !self.from.entry(source).or_default().insert(entry.clone()) {
            return Ok(false);
        }
        self.to.entry(binding.destination).or_default().insert((source, entry));
        self.edit(|_, topology| {
            if let Some(exchange) = topology.exchanges_by_id.get(&source) {
                let mut exchange = exchange.edited();
                exchange.matcher.bind(&binding);
                topology.put_exchange(Arc::new(exchange));
            }
        });
        Ok(true)
    }
}

/// A binding with its destination looked up.
pub(super) fn resolved(
    topology: &Topology,
    connection: Option<ConnectionId>,
    definition: &BindingDefinition,
) -> Result<Binding, AmqpError> {
    topology.find_exchange(definition.source.as_str())?;
    let destination = match &definition.destination {
        DestinationName::Queue(name) => {
            let queue = topology.find_queue(name.as_str())?;
            queue.check_access(&topology.vhost, connection)?;
            Destination::Queue(queue.id)
        }
        DestinationName::Exchange(name) => {
            Destination::Exchange(topology.find_exchange(name.as_str())?.id)
        }
    };
    Ok(Binding {
        destination,
        destination_name: definition.destination.as_str().into(),
        key: definition.key.clone(),
        arguments: definition.arguments.clone(),
    })
}

fn view(source: &ExchangeName, binding: &Binding) -> BindingView {
    let name = &binding.destination_name;
    let destination = match binding.destination {
        Destination::Queue(_) => DestinationName::Queue(short(name)),
        Destination::Exchange(_) => DestinationName::Exchange(short(name)),
    };
    BindingView {
        source: source.clone(),
        destination,
        key: binding.key.clone(),
        arguments: binding.arguments.clone(),
    }
}

/// The binding that every queue has to the default exchange.
fn implicit(queue: &super::QueueEntry) -> BindingView {
    let name = queue.definition.name.clone();
    BindingView {
        source: short(""),
        key: name.as_str().into(),
        destination: DestinationName::Queue(name),
        arguments: Arc::default(),
    }
}

/// A name that was checked when it came in.
trait Checked: Sized {
    fn checked(name: &str) -> Self;
}

macro_rules! checked {
    ($($name:ty),*) => {
        $(impl Checked for $name {
            fn checked(name: &str) -> Self {
                Self::new(name).unwrap_or_else(|_| unreachable!("stored names are short"))
            }
        })*
    };
}
checked!(shunt_types::QueueName, ExchangeName);

fn short<T: Checked>(name: &str) -> T {
    T::checked(name)
}
