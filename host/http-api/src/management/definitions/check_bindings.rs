//! Bindings of a file against the node and the rest of the file.

use std::sync::Arc;

use shunt_broker::metadata::{BindingDefinition, DestinationName, predeclared};
use shunt_routing::{Binding, Destination, ExchangeSpec, Matcher};
use shunt_types::limits::SHORT_STRING_MAX;
use shunt_types::{ExchangeId, ExchangeName, NameError, QueueId, QueueName, ShardId, VhostName};

use super::check::Checker;
use super::file::{BindingItem, DestinationType};

/// Ids of what is not there yet: a binding is checked by names, key and arguments.
const NO_EXCHANGE: ExchangeId = ExchangeId(u64::MAX);

impl Checker<'_> {
    pub(super) fn binding(&mut self, item: BindingItem) {
        let name = format!("{} -> {}", item.source, item.destination);
        let what = format!("binding {name} ('{}')", item.routing_key);
        let Some(vhost) = self.known_vhost(&what, item.vhost.clone()) else { return };
        let what = format!("{what} in vhost '{vhost}'");
        let Some(arguments) = self.arguments(&what, &item.arguments) else { return };
        if item.routing_key.len() > SHORT_STRING_MAX {
            let problem = format!("routing_key is longer than {SHORT_STRING_MAX} bytes");
            return self.problems.push(format!("{what}: {problem}"));
        }
        let (source, destination) = match ends(&item) {
            Ok(ends) => ends,
            Err(error) => return self.problems.push(format!("{what}: {error}")),
        };
        let definition = BindingDefinition {
            source,
            destination,
            key: item.routing_key.into(),
            arguments: (&arguments).into(),
        };
        match self.try_binding(&vhost, &definition) {
            Ok(()) => self.plan.bindings.push((vhost, definition)),
            Err(reason) => {
                let reason = format!("key '{}': {reason}", definition.key);
                self.leave_out("binding", name, Some(vhost.to_string()), reason);
            }
        }
    }

    fn try_binding(&self, vhost: &VhostName, definition: &BindingDefinition) -> Result<(), String> {
        let BindingDefinition { source, destination, key, arguments } = definition;
        if source.is_default() || destination.as_str().is_empty() {
            return Err("the default exchange can't be bound; every queue is, by its name".into());
        }
        let planned = self.exchanges.get(&(vhost.clone(), source.as_str().to_owned()));
        let topology = self.api.broker.vhost(vhost.as_str()).map(|found| found.topology());
        let topology = topology.as_deref();
        let binding = Binding {
            destination: self.destination(vhost, destination)?,
            destination_name: destination.as_str().into(),
            key: key.clone(),
            arguments: arguments.clone(),
            sequence: 0,
        };
        let existing = topology.and_then(|topology| topology.find_exchange(source.as_str()).ok());
        match (planned, existing) {
            (Some(Some(matcher)), _) => matcher.validate_binding(&binding),
            (_, Some(exchange)) => exchange.matcher.validate_binding(&binding),
            (_, None) => self.predeclared(vhost, source)?.validate_binding(&binding),
        }
    }

    /// An exchange that a virtual host will have by itself once the import has made it.
    fn predeclared(
        &self,
        vhost: &VhostName,
        name: &ExchangeName,
    ) -> Result<Box<dyn Matcher>, String> {
        let kind = predeclared(vhost).find(|(known, _)| *known == name.as_str());
        let (_, kind) = kind.ok_or_else(|| self.missing("exchange", vhost, name.as_str()))?;
        let (vhost, name) = (vhost.clone(), name.clone());
        let spec = ExchangeSpec { vhost, name, arguments: Arc::default() };
        self.api.broker.exchange_types().create(kind, &spec)
    }

    /// Where the binding leads: what is there, or what will be.
    fn destination(
        &self,
        vhost: &VhostName,
        name: &DestinationName,
    ) -> Result<Destination, String> {
        let topology = self.api.broker.vhost(vhost.as_str()).map(|found| found.topology());
        let topology = topology.as_deref();
        let key = (vhost.clone(), name.as_str().to_owned());
        match name {
            DestinationName::Queue(name) => {
                let queue = topology.and_then(|topology| topology.find_queue(name.as_str()).ok());
                if let Some(queue) = queue {
                    let open = queue.check_access(vhost, None);
                    open.map_err(|error| error.explanation.to_string())?;
                    return Ok(Destination::Queue(queue.id));
                }
                let planned = Destination::Queue(QueueId::new(ShardId(0), 0, 0));
                let found = self.queues.contains(&key).then_some(planned);
                found.ok_or_else(|| self.missing("queue", vhost, name.as_str()))
            }
            DestinationName::Exchange(name) => {
                let found = topology.and_then(|t| t.find_exchange(name.as_str()).ok());
                if let Some(exchange) = found {
                    return Ok(Destination::Exchange(exchange.id));
                }
                if self.exchanges.contains_key(&key) {
                    return Ok(Destination::Exchange(NO_EXCHANGE));
                }
                self.predeclared(vhost, name).map(|_| Destination::Exchange(NO_EXCHANGE))
            }
        }
    }

    /// RabbitMQ exports bindings of exclusive queues and internal exchanges, but not those
    /// themselves: that something isn't there is no fault of the file.
    fn missing(&self, kind: &'static str, vhost: &VhostName, name: &str) -> String {
        if self.left_out.contains(&(kind, (vhost.clone(), name.to_owned()))) {
            return format!("{kind} '{name}' is left out");
        }
        format!("there is no {kind} '{name}', nor in the file")
    }
}

fn ends(item: &BindingItem) -> Result<(ExchangeName, DestinationName), NameError> {
    let destination = match item.destination_type {
        DestinationType::Queue => DestinationName::Queue(QueueName::new(&item.destination)?),
        DestinationType::Exchange => {
            DestinationName::Exchange(ExchangeName::new(&item.destination)?)
        }
    };
    Ok((ExchangeName::new(&item.source)?, destination))
}
