//! The one contract of every exchange type, native or route.

use std::any::Any;
use std::sync::Arc;

use shunt_types::{
    ExchangeId, ExchangeName, FieldTable, PackedTable, PropertiesRef, QueueId, VhostName,
};

use crate::failure::Failure;
use crate::registry::ExchangeTypes;
use crate::retention::Retention;

/// Where a binding leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Destination {
    /// A queue of the same virtual host.
    Queue(QueueId),
    /// Another exchange of the same virtual host, walked in its turn.
    Exchange(ExchangeId),
}

/// One binding of an exchange. Two bindings are the same when destination, key and arguments are
/// (AMQP 0-9-1 `queue.bind`; RabbitMQ).
#[derive(Clone, Debug)]
pub struct Binding {
    /// Where it leads.
    pub destination: Destination,
    /// The destination's name.
    pub destination_name: Arc<str>,
    /// The binding key.
    pub key: Arc<str>,
    /// The binding's arguments.
    pub arguments: PackedTable,
    /// Its place in the order of binding, for listings; it tells no binding from another.
    pub sequence: u64,
}

impl PartialEq for Binding {
    fn eq(&self, other: &Self) -> bool {
        let Self { destination, destination_name, key, arguments, sequence: _ } = self;
        *destination == other.destination
            && *destination_name == other.destination_name
            && *key == other.key
            && *arguments == other.arguments
    }
}

/// An exchange as it is being declared: what a type validates and builds a [`Matcher`] from.
#[derive(Clone, Debug)]
pub struct ExchangeSpec {
    /// The virtual host that it is declared in.
    pub vhost: VhostName,
    /// Its name.
    pub name: ExchangeName,
    /// The arguments of `exchange.declare`.
    pub arguments: Arc<FieldTable>,
}

/// A message as exchanges see it: everything but the body.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// The virtual host of the publish.
    pub vhost: &'a VhostName,
    /// The exchange that the message was published to, whichever exchange is being walked.
    pub exchange: &'a str,
    /// The routing key, then those of the headers `CC` and `BCC`; never empty.
    pub routing_keys: &'a [&'a str],
    /// The basic properties.
    pub properties: PropertiesRef<'a>,
    /// Length of the body, in bytes.
    pub body_size: u64,
    /// The user who publishes.
    pub user: &'a str,
    /// When the message is routed; Unix time in milliseconds.
    pub now_ms: u64,
    /// Random bits, drawn anew for each message.
    pub random: u64,
}

impl<'a> Header<'a> {
    /// The routing key of the publish itself.
    pub fn routing_key(&self) -> &'a str {
        self.routing_keys.first().copied().unwrap_or_default()
    }
}

/// The names of the virtual host, for a [`Matcher`] that answers by name and for the walk.
pub trait Topology {
    /// The queue of that name.
    fn queue(&self, name: &str) -> Option<QueueId>;
    /// The exchange of that id.
    fn exchange(&self, id: ExchangeId) -> Option<&crate::Exchange>;
    /// The exchange of that name.
    fn exchange_named(&self, name: &str) -> Option<&crate::Exchange>;
}

/// A type of exchange: what `exchange.declare` names. One file and one line in the registry.
pub trait ExchangeType: Send + Sync {
    /// The name of the type, such as `topic`.
    fn name(&self) -> &'static str;

    /// Checks an exchange before it is stored, and makes the matcher of its bindings, which are
    /// none yet.
    ///
    /// # Errors
    /// The reason, for `PRECONDITION_FAILED` (406).
    fn create(&self, exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String>;

    /// As [`ExchangeType::create`], for a type that is made of another one of `types`.
    ///
    /// # Errors
    /// The reason, for `PRECONDITION_FAILED` (406).
    fn create_among(
        &self,
        exchange: &ExchangeSpec,
        _types: &ExchangeTypes,
    ) -> Result<Box<dyn Matcher>, String> {
        self.create(exchange)
    }

    /// The arguments that an exchange of this type can't be declared again with other values of.
    fn fixed_arguments(&self) -> &'static [&'static str] {
        &[]
    }
}

/// The bindings of one exchange, prepared for matching.
///
/// A matcher belongs to an immutable snapshot: a change works on a clone, so cloning must be
/// cheap whatever the number of bindings (shared structure), and a message must not pay for
/// bindings that don't match it.
pub trait Matcher: Send + Sync {
    /// Checks a binding before it is stored; most exchanges take any.
    ///
    /// # Errors
    /// The reason, for `PRECONDITION_FAILED` (406).
    fn validate_binding(&self, _binding: &Binding) -> Result<(), String> {
        Ok(())
    }

    /// Takes a binding in; it was validated, and isn't there yet.
    fn bind(&mut self, binding: &Arc<Binding>);

    /// Takes a binding out that was bound before.
    fn unbind(&mut self, binding: &Binding);

    /// Appends the destinations of a message. A destination may be appended more than once.
    ///
    /// # Errors
    /// Only a route fails; the exchange's failure policy decides then. What was appended before
    /// counts for nothing.
    fn matches(
        &self,
        header: &Header<'_>,
        topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure>;

    /// Whether routing keys are topics, which topic permissions restrict: those of the type
    /// `topic` are.
    fn matches_by_topic(&self) -> bool {
        false
    }

    /// What the exchange keeps of messages for destinations that are bound later, for the types
    /// that do. Clones share it.
    fn retention(&self) -> Option<Arc<dyn Retention>> {
        None
    }

    /// Whether messages may have to wait here before they are matched: such an exchange has a
    /// queue for them.
    fn may_delay(&self) -> bool {
        false
    }

    /// Whether this message has to wait, instead of being matched now.
    fn delays(&self, _header: &Header<'_>) -> bool {
        false
    }

    /// A copy that shares its structure with this one.
    fn boxed_clone(&self) -> Box<dyn Matcher>;

    /// The concrete type, for the crate that made it: dry runs look at a route's own state.
    fn as_any(&self) -> &dyn Any;
}
