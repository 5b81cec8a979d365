//! The event exchange (RabbitMQ, `rabbitmq_event_exchange`): what happens on the node, as messages
//! without a body that go to [`EVENT_EXCHANGE`] of the virtual host [`EVENT_VHOST`]. The routing
//! key says what happened, the headers to what.

use std::sync::Arc;

use shunt_types::{FieldTable, Message, Properties, QueueName, ShardId, Value};

use crate::broker::Broker;
use crate::metadata::{Actor, BindingDefinition, ExchangeDefinition, QueueEntry, VhostLimits};
use crate::policy::{PolicyDefinition, PolicyKind};
use crate::shard::{PublishOptions, Publisher, Shard, Task};

/// Where events go.
pub const EVENT_EXCHANGE: &str = "amq.rabbitmq.event";

/// The virtual host that has this exchange.
pub const EVENT_VHOST: &str = "/";

/// Longest table that an event tells, in bytes: the headers of a message have to fit into one
/// frame of whoever consumes it.
const TABLE_BYTES_MAX: usize = 4096;

/// What RabbitMQ keeps operator policies under.
const OPERATOR_POLICY: &str = "operator_policy";

impl Broker {
    /// Tells whoever is bound to the event exchange that something happened: `name` is the
    /// routing key, such as `queue.created`, and `user` brought it about. Where nobody is bound,
    /// `fields` is not called and nothing is made.
    ///
    /// Events leave in the order in which they are told. May be called under any lock.
    pub fn tell(&self, name: &str, user: &str, fields: impl FnOnce(&mut FieldTable)) {
        let wanted = |vhost: &crate::Vhost| vhost.topology().has_event_listeners;
        if !self.vhost(EVENT_VHOST).is_some_and(|vhost| wanted(&vhost)) {
            return;
        }
        let now_ms = self.now_ms();
        let mut headers = FieldTable::new();
        headers.insert("user_who_performed_action", Value::from(user));
        headers.insert("timestamp_in_ms", Value::I64(now_ms.cast_signed()));
        fields(&mut headers);
        let properties = Properties {
            headers: Some(headers),
            delivery_mode: Some(2),
            timestamp: Some(now_ms / 1000),
            ..Properties::default()
        };
        // Only a name that is too long for the wire is refused.
        let Ok(event) = Message::build(EVENT_EXCHANGE, name, &properties, &[]) else { return };
        // A shard's inbox keeps the order, and the walk may call a route: not under a lock.
        self.inbox(ShardId(0)).post(Task::Call(Box::new(|shard| shard.publish_event(event))));
    }

    pub(crate) fn tell_queue_created(&self, actor: Actor<'_>, vhost: &str, queue: &QueueEntry) {
        self.tell("queue.created", actor.user, |fields| {
            let definition = &queue.definition;
            let owner = queue.exclusive_owner.and_then(|id| self.connections().find(id));
            fields.insert("name", definition.name.as_str().into());
            fields.insert("vhost", vhost.into());
            fields.insert("durable", definition.durable.into());
            fields.insert("auto_delete", definition.auto_delete.into());
            fields.insert("exclusive", queue.exclusive_owner.is_some().into());
            fields.insert("owner_pid", owner.map(|owner| owner.name()).unwrap_or_default().into());
            insert_table(fields, "arguments", &definition.arguments);
        });
    }

    pub(crate) fn tell_exchange_created(
        &self,
        actor: Actor<'_>,
        vhost: &str,
        exchange: &ExchangeDefinition,
    ) {
        self.tell("exchange.created", actor.user, |fields| {
            fields.insert("name", exchange.name.as_str().into());
            fields.insert("vhost", vhost.into());
            fields.insert("type", (&*exchange.kind).into());
            fields.insert("durable", exchange.durable.into());
            fields.insert("auto_delete", exchange.auto_delete.into());
            fields.insert("internal", exchange.internal.into());
            insert_table(fields, "arguments", &exchange.arguments);
        });
    }

    /// Tells of a queue or an exchange that went.
    pub(crate) fn tell_gone(&self, event: &str, actor: Actor<'_>, vhost: &str, name: &str) {
        self.tell(event, actor.user, |fields| {
            fields.insert("name", name.into());
            fields.insert("vhost", vhost.into());
        });
    }

    /// Tells of an alarm that went on or off; `source` is the resource that is short.
    pub(crate) fn tell_alarm(&self, source: &str, is_on: bool) {
        let event = if is_on { "alarm.set" } else { "alarm.cleared" };
        self.tell(event, Actor::NODE.user, |fields| {
            fields.insert("source", source.into());
            fields.insert("node", self.node_name().into());
        });
    }

    /// Tells of a runtime parameter, as RabbitMQ keeps limits and operator policies; it is gone
    /// where it has no value.
    fn tell_parameter(
        &self,
        actor: Actor<'_>,
        vhost: &str,
        (component, name): (&str, &str),
        value: Option<impl FnOnce() -> FieldTable>,
    ) {
        let event = if value.is_some() { "parameter.set" } else { "parameter.cleared" };
        self.tell(event, actor.user, |fields| {
            fields.insert("vhost", vhost.into());
            fields.insert("component", component.into());
            fields.insert("name", name.into());
            if let Some(value) = value {
                insert_table(fields, "value", &value());
            }
        });
    }

    pub(crate) fn tell_limits(&self, actor: Actor<'_>, vhost: &str, limits: &VhostLimits) {
        let is_set = limits.iter().next().is_some();
        let value = || limits.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        self.tell_parameter(actor, vhost, ("vhost-limits", "limits"), is_set.then_some(value));
        let event = if is_set { "vhost.limits.set" } else { "vhost.limits.cleared" };
        self.tell(event, actor.user, |fields| {
            fields.insert("name", "limits".into());
            fields.insert("vhost", vhost.into());
            for (name, value) in limits.iter() {
                fields.insert(name, value.into());
            }
        });
    }

    pub(crate) fn tell_policy_set(
        &self,
        actor: Actor<'_>,
        vhost: &str,
        kind: PolicyKind,
        policy: &PolicyDefinition,
    ) {
        let fill = |fields: &mut FieldTable| {
            fields.insert("pattern", (&*policy.pattern).into());
            fields.insert("apply-to", policy.apply_to.name().into());
            fields.insert("priority", Value::I64(policy.priority));
            insert_table(fields, "definition", &policy.settings);
        };
        if kind == PolicyKind::Operator {
            let value = || {
                let mut value = FieldTable::new();
                fill(&mut value);
                value
            };
            self.tell_parameter(actor, vhost, (OPERATOR_POLICY, &policy.name), Some(value));
        }
        self.tell("policy.set", actor.user, |fields| {
            fields.insert("name", (&*policy.name).into());
            fields.insert("vhost", vhost.into());
            fill(fields);
        });
    }

    pub(crate) fn tell_policy_cleared(
        &self,
        actor: Actor<'_>,
        vhost: &str,
        kind: PolicyKind,
        name: &str,
    ) {
        match kind {
            PolicyKind::User => self.tell_gone("policy.cleared", actor, vhost, name),
            PolicyKind::Operator => {
                let no_value = None::<fn() -> FieldTable>;
                self.tell_parameter(actor, vhost, (OPERATOR_POLICY, name), no_value);
                self.tell_gone("operator.policy.cleared", actor, vhost, name);
            }
        }
    }

    /// Tells of queues that other policies hold for now, each with what these say.
    pub(crate) fn tell_queue_policies(
        &self,
        actor: Actor<'_>,
        vhost: &str,
        changed: &[(QueueName, Arc<FieldTable>)],
    ) {
        for (name, settings) in changed {
            let is_set = !settings.is_empty();
            let event = if is_set { "queue.policy.updated" } else { "queue.policy.cleared" };
            self.tell(event, actor.user, |fields| {
                for (name, value) in settings.iter() {
                    fields.insert(name, value.clone());
                }
                fields.insert("name", name.as_str().into());
                fields.insert("vhost", vhost.into());
                fields.insert("type", "rabbit_classic_queue".into());
            });
        }
    }

    /// Tells of a binding that came or went.
    pub(crate) fn tell_binding(
        &self,
        event: &str,
        actor: Actor<'_>,
        vhost: &str,
        binding: &BindingDefinition,
    ) {
        self.tell(event, actor.user, |fields| {
            fields.insert("vhost", vhost.into());
            fields.insert("source_name", binding.source.as_str().into());
            fields.insert("source_kind", "exchange".into());
            fields.insert("destination_name", binding.destination.as_str().into());
            fields.insert("destination_kind", binding.destination.kind().into());
            fields.insert("routing_key", (&*binding.key).into());
            insert_table(fields, "arguments", &binding.arguments.to_table());
        });
    }
}

/// Adds a table to an event; one that is longer than 4096 bytes is left out.
pub fn insert_table(fields: &mut FieldTable, name: &str, table: &FieldTable) {
    let mut encoded = Vec::new();
    table.encode(&mut encoded);
    if encoded.len() <= TABLE_BYTES_MAX {
        fields.insert(name, Value::Table(table.clone()));
    }
}

impl Shard {
    fn publish_event(&mut self, event: Message) {
        let Some(vhost) = self.broker().vhost(EVENT_VHOST) else { return };
        let topology = vhost.topology();
        let Ok(exchange) = topology.find_exchange(EVENT_EXCHANGE) else { return };
        let options = PublishOptions { topology: &topology, exchange, user: "", confirm: None };
        // An event has no header that routing could refuse.
        let _ = self.publish(&options, event);
    }
}
