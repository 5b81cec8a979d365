//! What connections, channels and consumers tell the event exchange (RabbitMQ): the fields of
//! each event.

use std::net::SocketAddr;

use shunt_auth::AuthError;
use shunt_broker::{Broker, ConnectionInfo, insert_table};
use shunt_types::{FieldTable, TableRef, Value};

use crate::channel::ConsumerEntry;
use crate::shared::Shared;

/// Tells of a login, or why it was refused.
pub(crate) fn tell_login(
    broker: &Broker,
    (peer, local): (SocketAddr, SocketAddr),
    mechanism: &str,
    user: &str,
    refused: Option<&AuthError>,
) {
    let event = match refused {
        None => "user.authentication.success",
        Some(_) => "user.authentication.failure",
    };
    broker.tell(event, user, |fields| {
        fields.insert("name", user.into());
        fields.insert("auth_mechanism", mechanism.into());
        fields.insert("connection_type", "network".into());
        fields.insert("connection_name", format!("{peer} -> {local}").into());
        insert_ends(fields, peer, local);
        if let Some(error) = refused {
            fields.insert("error", error.to_string().into());
        }
    });
}

/// Tells of a connection that is open.
pub(crate) fn tell_opened(broker: &Broker, info: &ConnectionInfo) {
    broker.tell("connection.created", &info.user, |fields| {
        insert_connection(fields, broker, info);
        insert_ends(fields, info.peer, info.local);
        fields.insert("user", info.user.as_str().into());
        fields.insert("vhost", info.vhost.as_str().into());
        fields.insert("auth_mechanism", info.mechanism.as_str().into());
        fields.insert("connected_at", Value::I64(info.connected_at_ms.cast_signed()));
        fields.insert("frame_max", Value::I64(info.frame_max.into()));
        fields.insert("channel_max", Value::I64(info.channel_max.into()));
        fields.insert("timeout", Value::I64(info.heartbeat_s.into()));
    });
}

/// Tells of a connection that is no more.
pub(crate) fn tell_closed(broker: &Broker, info: &ConnectionInfo) {
    broker.tell("connection.closed", &info.user, |fields| {
        insert_connection(fields, broker, info);
    });
}

fn insert_connection(fields: &mut FieldTable, broker: &Broker, info: &ConnectionInfo) {
    let name = info.name();
    fields.insert("pid", name.as_str().into());
    fields.insert("name", name.into());
    fields.insert("node", broker.node_name().into());
    let given = info.client_properties.get("connection_name").and_then(Value::as_text);
    if let Some(given) = given {
        fields.insert("user_provided_name", given.into());
    }
    insert_table(fields, "client_properties", &info.client_properties);
}

fn insert_ends(fields: &mut FieldTable, peer: SocketAddr, local: SocketAddr) {
    fields.insert("protocol", "0-9-1".into());
    fields.insert("ssl", false.into());
    fields.insert("peer_host", peer.ip().to_string().into());
    fields.insert("peer_port", Value::I64(peer.port().into()));
    fields.insert("host", local.ip().to_string().into());
    fields.insert("port", Value::I64(local.port().into()));
}

impl Shared {
    /// Tells of a channel that was opened or is no more.
    pub(crate) fn tell_channel(&self, event: &str, number: u16) {
        let Some(info) = self.info.get() else { return };
        self.broker.tell(event, &info.user, |fields| {
            let connection = info.name();
            let name = channel_name(&connection, number);
            fields.insert("pid", name.as_str().into());
            fields.insert("name", name.into());
            fields.insert("connection", connection.into());
            fields.insert("number", Value::I64(number.into()));
            fields.insert("user", info.user.as_str().into());
            fields.insert("vhost", info.vhost.as_str().into());
        });
    }

    /// Tells of a consumer that a queue has taken.
    pub(crate) fn tell_consuming(
        &self,
        channel: u16,
        (tag, queue): (&str, &str),
        (no_ack, exclusive, prefetch): (bool, bool, u16),
        arguments: TableRef<'_>,
    ) {
        let Some(info) = self.info.get() else { return };
        self.broker.tell("consumer.created", &info.user, |fields| {
            insert_consumer(fields, info, channel, tag, queue);
            fields.insert("ack_required", (!no_ack).into());
            fields.insert("exclusive", exclusive.into());
            fields.insert("prefetch_count", Value::I64(prefetch.into()));
            insert_table(fields, "arguments", &arguments.to_owned());
        });
    }

    /// Tells of a consumer that is no more.
    pub(crate) fn tell_consumer_gone(&self, channel: u16, tag: &str, entry: &ConsumerEntry) {
        let Some(info) = self.info.get() else { return };
        // Without a consumer the queue had not taken it.
        if entry.consumer.is_some() {
            let queue = entry.queue.definition.name.as_str();
            self.broker.tell("consumer.deleted", &info.user, |fields| {
                insert_consumer(fields, info, channel, tag, queue);
            });
        }
    }
}

fn insert_consumer(
    fields: &mut FieldTable,
    info: &ConnectionInfo,
    channel: u16,
    tag: &str,
    queue: &str,
) {
    fields.insert("consumer_tag", tag.into());
    fields.insert("queue", queue.into());
    fields.insert("channel", channel_name(&info.name(), channel).into());
    fields.insert("vhost", info.vhost.as_str().into());
}

/// RabbitMQ's name of a channel.
fn channel_name(connection: &str, number: u16) -> String {
    format!("{connection} ({number})")
}
