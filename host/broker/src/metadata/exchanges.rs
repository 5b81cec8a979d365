//! Exchanges: declare, delete, and the pre-declared ones.

use std::any::Any;
use std::sync::Arc;

use shunt_routing::{
    Binding, Destination, Exchange, ExchangeSpec, Failure, FailureCause, Header, Matcher, OnFailure,
};
use shunt_types::{AmqpError, ExchangeId, ExchangeName, FieldTable, VhostName};

use super::equivalence::{check_argument, check_property};
use super::state::{ExchangeState, State};
use super::{Actor, Command, ExchangeDefinition, Gone, GoneExchange, Topology};
use crate::broker::Broker;
use crate::durable::QueueUid;
use crate::events::{EVENT_EXCHANGE, EVENT_VHOST};
use crate::policy::Policies;
use crate::ports::Position;

/// The exchanges that every virtual host has, with their types; the first is the default
/// exchange (RabbitMQ).
const PREDECLARED: [(&str, &str); 7] = [
    ("", "direct"),
    ("amq.direct", "direct"),
    ("amq.fanout", "fanout"),
    ("amq.topic", "topic"),
    ("amq.headers", "headers"),
    ("amq.match", "headers"),
    ("amq.rabbitmq.trace", "topic"),
];

/// The exchanges that a virtual host has from the start, with their types.
pub fn predeclared(vhost: &VhostName) -> impl Iterator<Item = (&'static str, &'static str)> {
    let events = (vhost.as_str() == EVENT_VHOST).then_some((EVENT_EXCHANGE, "topic"));
    PREDECLARED.into_iter().chain(events)
}

impl Broker {
    /// Declares an exchange, or finds it declared in the same way. Answers up to where the
    /// metadata log must be on disk before the client hears of it.
    ///
    /// # Errors
    /// 403 for reserved names, 404 for the virtual host, 406 where the arguments are wrong or
    /// differ from those of the exchange that is there.
    pub fn declare_exchange(
        &self,
        vhost: &VhostName,
        actor: Actor<'_>,
        definition: ExchangeDefinition,
    ) -> Result<Position, AmqpError> {
        check_not_default(&definition.name)?;
        self.find_vhost(vhost)?;
        if let Some(existing) = self.exchange_definition(vhost, &definition.name) {
            self.check_equivalent(vhost, &existing, &definition)?;
            return Ok(Position::default());
        }
        if definition.name.as_str().starts_with("amq.") {
            return Err(AmqpError::access_refused(format!(
                "exchange name '{}' contains reserved prefix 'amq.*'",
                definition.name
            )));
        }
        // A route may be asked here, so no lock is held.
        let made = self.make_exchange(vhost, &definition)?;
        let mut state = self.state().lock();
        let state = &mut *state;
        let entry = state.vhost(vhost)?;
        if let Some(existing) = entry.exchanges.get(&definition.name) {
            self.check_equivalent(vhost, &existing.definition, &definition)?;
            return Ok(Position::default());
        }
        let uid = self.insert_exchange(state, vhost, definition.clone(), made, None)?;
        self.tell_exchange_created(actor, vhost.as_str(), &definition);
        Ok(self.log(&Command::DeclareExchange { vhost: vhost.clone(), exchange: definition, uid }))
    }

    /// Deletes an exchange with its bindings; one that isn't there is deleted already.
    ///
    /// # Errors
    /// 403 for the default and the pre-declared exchanges, 406 where `if_unused` is asked and
    /// the exchange has bindings.
    pub fn delete_exchange(
        &self,
        vhost: &VhostName,
        actor: Actor<'_>,
        name: &ExchangeName,
        if_unused: bool,
    ) -> Result<Position, AmqpError> {
        check_not_default(name)?;
        if name.as_str().starts_with("amq.") {
            return Err(AmqpError::access_refused(format!(
                "deletion of system exchange '{name}' in vhost '{vhost}' not allowed"
            )));
        }
        let mut state = self.state().lock();
        let entry = state.vhost(vhost)?;
        let Some(exchange) = entry.exchanges.get(name) else { return Ok(Position::default()) };
        if if_unused && entry.bound.has_from(exchange.id) {
            return Err(AmqpError::precondition_failed(format!(
                "exchange '{name}' in vhost '{vhost}' in use"
            )));
        }
        let gone = entry.edit(|entry, topology| entry.take_exchange(topology, name));
        Ok(self.log_gone(vhost, actor, gone))
    }

    /// How an exchange was declared.
    pub fn exchange_definition(
        &self,
        vhost: &VhostName,
        name: &ExchangeName,
    ) -> Option<ExchangeDefinition> {
        let state = self.state().lock();
        Some(state.vhosts.get(vhost)?.exchanges.get(name)?.definition.clone())
    }

    /// Every exchange of a virtual host, by name.
    pub fn exchanges(&self, vhost: &VhostName) -> Vec<ExchangeDefinition> {
        let state = self.state().lock();
        let Some(entry) = state.vhosts.get(vhost) else { return Vec::new() };
        let mut all: Vec<_> = entry.exchanges.values().map(|x| x.definition.clone()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// What is logged and told when exchanges and bindings went, and goes after them.
    pub(crate) fn log_gone(&self, vhost: &VhostName, actor: Actor<'_>, gone: Gone) -> Position {
        let mut position = Position::default();
        for binding in gone.bindings {
            self.tell_binding("binding.deleted", actor, vhost.as_str(), &binding);
        }
        for GoneExchange { name, waiting } in gone.exchanges {
            self.tell_gone("exchange.deleted", actor, vhost.as_str(), name.as_str());
            let delete = Command::DeleteExchange { vhost: vhost.clone(), exchange: name };
            position = position.max(self.log(&delete));
            waiting.into_iter().for_each(|queue| self.delete_waiting(queue));
        }
        position
    }

    /// Takes an exchange in; one that may delay messages gets a queue for them, and so does one
    /// that had one (`uid`). Answers how the log names that queue.
    pub(crate) fn insert_exchange(
        &self,
        state: &mut State,
        vhost: &VhostName,
        definition: ExchangeDefinition,
        mut exchange: Exchange,
        uid: Option<QueueUid>,
    ) -> Result<Option<QueueUid>, AmqpError> {
        let found = state.vhost(vhost)?.vhost.clone();
        exchange.id = ExchangeId(state.next_exchange_id);
        state.next_exchange_id += 1;
        let waiting = if uid.is_some() || exchange.matcher.may_delay() {
            let uid = uid.or_else(|| definition.durable.then(|| self.next_queue_uid()));
            Some(self.create_waiting(state, &found, (exchange.id, &definition.name), uid)?)
        } else {
            None
        };
        exchange.waiting = waiting.map(|queue| queue.id);
        let entry = state.vhost(vhost)?;
        entry.names.insert(exchange.id, definition.name.clone());
        let name = definition.name.clone();
        if exchange.alternate.is_none() {
            exchange.alternate = alternate_by_policy(&found.topology().policies, &name);
        }
        entry.exchanges.insert(name, ExchangeState { id: exchange.id, definition, waiting });
        entry.edit(|_, topology| topology.put_exchange(Arc::new(exchange)));
        Ok(waiting.and_then(|queue| queue.uid))
    }

    fn check_equivalent(
        &self,
        vhost: &VhostName,
        current: &ExchangeDefinition,
        wanted: &ExchangeDefinition,
    ) -> Result<(), AmqpError> {
        let what = format!("exchange '{}' in vhost '{vhost}'", current.name);
        check_property(&what, "type", &wanted.kind, &current.kind)?;
        check_property(&what, "durable", wanted.durable, current.durable)?;
        check_property(&what, "auto_delete", wanted.auto_delete, current.auto_delete)?;
        check_property(&what, "internal", wanted.internal, current.internal)?;
        let kind = self.exchange_types().get(&current.kind);
        let fixed = kind.map_or(&[][..], |kind| kind.fixed_arguments());
        ["alternate-exchange", "x-on-failure"]
            .iter()
            .chain(fixed)
            .try_for_each(|name| check_argument(&what, name, &wanted.arguments, &current.arguments))
    }

    /// Checks a definition and prepares the exchange, without an id yet.
    pub(crate) fn make_exchange(
        &self,
        vhost: &VhostName,
        definition: &ExchangeDefinition,
    ) -> Result<Exchange, AmqpError> {
        let invalid = |reason: String| {
            AmqpError::precondition_failed(format!(
                "{reason} (exchange '{}' in vhost '{vhost}')",
                definition.name
            ))
        };
        let arguments = &definition.arguments;
        let alternate = alternate(arguments).map_err(|reason| {
            let name = &definition.name;
            let value = arguments.get("alternate-exchange").filter(|v| v.as_text().is_none());
            let allowed = value.map(|value| format!(": {}, must be longstr", value.shown()));
            AmqpError::precondition_failed(format!(
                "{reason} in exchange '{name}' in vhost '{vhost}'{}",
                allowed.unwrap_or_default()
            ))
        })?;
        let on_failure = on_failure(arguments).map_err(invalid)?;
        let spec = ExchangeSpec {
            vhost: vhost.clone(),
            name: definition.name.clone(),
            arguments: arguments.clone(),
        };
        let matcher = self.exchange_types().create(&definition.kind, &spec).map_err(invalid)?;
        Ok(Exchange {
            id: ExchangeId(0),
            name: definition.name.clone(),
            internal: definition.internal,
            alternate,
            on_failure,
            waiting: None,
            retention: matcher.retention(),
            matcher,
        })
    }

    /// The exchange in the place of one that can't be made any more: it fails every message.
    pub(crate) fn broken_exchange(definition: &ExchangeDefinition, reason: String) -> Exchange {
        let arguments = &definition.arguments;
        Exchange {
            id: ExchangeId(0),
            name: definition.name.clone(),
            internal: definition.internal,
            alternate: alternate(arguments).ok().flatten(),
            on_failure: on_failure(arguments).unwrap_or_default(),
            waiting: None,
            retention: None,
            matcher: Box::new(Broken { reason: reason.into() }),
        }
    }
}

/// The alternate exchange: its argument says more than a policy (RabbitMQ).
pub(super) fn effective_alternate(
    definition: &ExchangeDefinition,
    policies: &Policies,
) -> Option<ExchangeName> {
    // What is declared was checked.
    let by_argument = alternate(&definition.arguments).ok().flatten();
    by_argument.or_else(|| alternate_by_policy(policies, &definition.name))
}

fn alternate_by_policy(policies: &Policies, exchange: &ExchangeName) -> Option<ExchangeName> {
    let in_force = policies.of_exchange(exchange.as_str());
    ExchangeName::new(in_force.users("alternate-exchange")?.as_text()?).ok()
}

fn alternate(arguments: &FieldTable) -> Result<Option<ExchangeName>, String> {
    let Some(value) = arguments.get("alternate-exchange") else { return Ok(None) };
    let name = value.as_text().ok_or_else(|| {
        format!("invalid type '{}' for arg 'alternate-exchange'", value.type_name())
    })?;
    let name = ExchangeName::new(name).map_err(|error| error.to_string())?;
    Ok(Some(name))
}

fn on_failure(arguments: &FieldTable) -> Result<OnFailure, String> {
    match arguments.get("x-on-failure") {
        None => Ok(OnFailure::default()),
        Some(value) => OnFailure::parse(value.as_text().unwrap_or(value.type_name())),
    }
}

pub(super) fn check_not_default(name: &ExchangeName) -> Result<(), AmqpError> {
    if name.is_default() {
        let text = "operation not permitted on the default exchange";
        return Err(AmqpError::access_refused(text));
    }
    Ok(())
}

/// Stands in for an exchange whose type or route is gone.
#[derive(Clone)]
struct Broken {
    reason: Arc<str>,
}

impl Matcher for Broken {
    fn validate_binding(&self, _binding: &Binding) -> Result<(), String> {
        Err(self.reason.to_string())
    }

    fn bind(&mut self, _binding: &Arc<Binding>) {}

    fn unbind(&mut self, _binding: &Binding) {}

    fn matches(
        &self,
        _header: &Header<'_>,
        _topology: &dyn shunt_routing::Topology,
        _destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        Err(Failure::new(FailureCause::Unavailable, &*self.reason))
    }

    fn boxed_clone(&self) -> Box<dyn Matcher> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Topology {
    /// The names of all exchanges, for listings.
    pub fn exchange_names(&self) -> impl Iterator<Item = &ExchangeName> {
        self.exchanges.iter().map(|(name, _)| name)
    }

    /// All queues, for listings.
    pub fn queue_entries(&self) -> impl Iterator<Item = &Arc<super::QueueEntry>> {
        self.queues.iter().map(|(_, queue)| queue)
    }
}
