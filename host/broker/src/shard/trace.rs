//! Firehose tracing (RabbitMQ): while a virtual host is traced, a copy of each message that is
//! published goes to `amq.rabbitmq.trace` with the key `publish.EXCHANGE`, and of each that is
//! delivered with `deliver.QUEUE`. Its headers tell of the message; traced messages themselves
//! are not traced.

use shunt_types::{AmqpError, FieldTable, Message, Properties, PropertiesRef, QueueId, Value};
use smallvec::{SmallVec, smallvec};

use super::publish::sender_selected;
use super::{PublishOptions, PublishOutcome, Publisher, Shard};
use crate::broker::Broker;
use crate::metadata::Topology;

/// Where copies go.
const TRACE_EXCHANGE: &str = "amq.rabbitmq.trace";

/// Whose publish or delivery it is.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The connection's name; empty where there is none, as over HTTP.
    pub connection: String,
    /// The channel's number.
    pub channel: u16,
    /// The user.
    pub user: String,
}

/// A delivery to be traced.
pub struct TracedDelivery {
    /// To whom.
    pub origin: Origin,
    /// The message.
    pub message: Message,
    /// Whether it was handed out before.
    pub redelivered: bool,
}

/// Publishes as `publisher` does, and traces it. For virtual hosts that are traced: see
/// [`Topology::is_traced`].
///
/// # Errors
/// Those of [`Publisher::publish`].
pub fn publish_traced(
    publisher: &mut impl Publisher,
    options: &PublishOptions<'_>,
    origin: &Origin,
    message: Message,
) -> Result<PublishOutcome, AmqpError> {
    let outcome = publisher.publish(options, message.clone())?;
    let topology = options.topology;
    let mut headers = headers(publisher.broker(), topology, &message, origin);
    let reached = publisher.last_routed();
    let routed = topology.queue_entries().filter(|queue| reached.contains(&queue.id));
    let names = routed.map(|queue| Value::from(queue.definition.name.as_str()));
    headers.insert("routed_queues", Value::Array(names.collect()));
    let key = format!("publish.{}", message.exchange());
    publish_copy(publisher, topology, &key, headers, &message);
    Ok(outcome)
}

impl Shard {
    /// Traces a delivery of this shard's queue, where its virtual host is traced.
    pub fn trace_delivery(&mut self, queue: QueueId, traced: &TracedDelivery) {
        let Some(slot) = self.slot(queue) else { return };
        let (topology, key) = (slot.vhost.topology(), format!("deliver.{}", slot.name));
        if !topology.is_traced() {
            return;
        }
        let mut headers = headers(&self.broker, &topology, &traced.message, &traced.origin);
        headers.insert("redelivered", Value::I32(traced.redelivered.into()));
        publish_copy(self, &topology, &key, headers, &traced.message);
    }
}

fn headers(broker: &Broker, topology: &Topology, message: &Message, origin: &Origin) -> FieldTable {
    let properties = message.properties();
    let mut keys: SmallVec<[&str; 4]> = smallvec![message.routing_key()];
    // The error would have refused its publishing.
    let _ = sender_selected(message, &mut keys);
    let keys = keys.into_iter().map(Value::from).collect();
    let mut headers = FieldTable::new();
    headers.insert("exchange_name", Value::from(message.exchange()));
    headers.insert("routing_keys", Value::Array(keys));
    headers.insert("properties", Value::Table(properties_table(properties)));
    headers.insert("node", Value::from(broker.node_name()));
    headers.insert("vhost", Value::from(topology.vhost.as_str()));
    headers.insert("connection", Value::from(origin.connection.as_str()));
    headers.insert("channel", Value::I32(origin.channel.into()));
    headers.insert("user", Value::from(origin.user.as_str()));
    headers
}

fn publish_copy(
    publisher: &mut impl Publisher,
    topology: &Topology,
    key: &str,
    headers: FieldTable,
    message: &Message,
) {
    if message.exchange() == TRACE_EXCHANGE {
        return;
    }
    let Ok(exchange) = topology.find_exchange(TRACE_EXCHANGE) else { return };
    let properties = Properties { headers: Some(headers), ..Properties::default() };
    // A name of full length leaves no room for the key's first word.
    let Ok(copy) = Message::build(TRACE_EXCHANGE, key, &properties, message.body()) else { return };
    let options = PublishOptions { topology, exchange, user: "", confirm: None };
    // A copy has no header that routing could refuse.
    let _ = publisher.publish(&options, copy);
}

fn properties_table(properties: PropertiesRef<'_>) -> FieldTable {
    let owned = properties.to_owned();
    let mut table = FieldTable::new();
    let texts = [
        ("content_type", owned.content_type),
        ("content_encoding", owned.content_encoding),
        ("correlation_id", owned.correlation_id),
        ("reply_to", owned.reply_to),
        ("expiration", owned.expiration),
        ("message_id", owned.message_id),
        ("type", owned.kind),
        ("user_id", owned.user_id),
        ("app_id", owned.app_id),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            table.insert(name, Value::from(text));
        }
    }
    for (name, number) in [("delivery_mode", owned.delivery_mode), ("priority", owned.priority)] {
        if let Some(number) = number {
            table.insert(name, Value::I32(number.into()));
        }
    }
    if let Some(timestamp) = owned.timestamp {
        table.insert("timestamp", Value::Timestamp(timestamp));
    }
    if let Some(headers) = owned.headers {
        table.insert("headers", Value::Table(headers));
    }
    table
}
