//! A queue in JSON.

use serde::Serialize;
use shunt_broker::policy::Policies;
use shunt_broker::queue::QueueStats;
use shunt_broker::{QueueEntry, Vhost};
use utoipa::ToSchema;

use super::policies::InForceView;
use crate::json::{self, JsonMap};
use crate::server::Api;

/// A queue.
#[derive(Serialize, ToSchema)]
pub(super) struct QueueView {
    name: String,
    vhost: String,
    #[serde(rename = "type")]
    kind: &'static str,
    durable: bool,
    auto_delete: bool,
    exclusive: bool,
    #[schema(value_type = Object)]
    arguments: JsonMap,
    node: String,
    state: &'static str,
    #[serde(flatten)]
    in_force: InForceView,
    consumers: u64,
    messages: u64,
    messages_ready: u64,
    messages_unacknowledged: u64,
    message_bytes: u64,
    message_bytes_ready: u64,
    message_bytes_unacknowledged: u64,
    /// Ready messages that are on disk alone.
    messages_paged_out: u64,
    /// Bytes of memory that messages take.
    message_bytes_ram: u64,
    message_stats: MessageStats,
}

/// What happened to messages, in all.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct MessageStats {
    publish: u64,
    ack: u64,
    deliver: u64,
    deliver_no_ack: u64,
    get: u64,
    get_no_ack: u64,
    deliver_get: u64,
    redeliver: u64,
}

impl From<&QueueStats> for MessageStats {
    fn from(stats: &QueueStats) -> Self {
        Self {
            publish: stats.published,
            ack: stats.acked,
            deliver: stats.delivered,
            deliver_no_ack: stats.delivered_no_ack,
            get: stats.fetched,
            get_no_ack: stats.fetched_no_ack,
            deliver_get: stats.delivered
                + stats.delivered_no_ack
                + stats.fetched
                + stats.fetched_no_ack,
            redeliver: stats.redelivered,
        }
    }
}

impl QueueView {
    /// `policies` are those of the virtual host.
    pub(super) fn new(
        api: &Api,
        vhost: &Vhost,
        policies: &Policies,
        queue: &QueueEntry,
        stats: &QueueStats,
    ) -> Self {
        let definition = &queue.definition;
        Self {
            name: definition.name.as_str().to_owned(),
            vhost: vhost.name().as_str().to_owned(),
            kind: "classic",
            durable: definition.durable,
            auto_delete: definition.auto_delete,
            exclusive: queue.exclusive_owner.is_some(),
            arguments: json::table_to_json(&definition.arguments),
            node: api.node_name.clone(),
            state: "running",
            in_force: InForceView::new(policies.of_queue(definition.name.as_str())),
            consumers: stats.consumers,
            messages: stats.ready + stats.unacked,
            messages_ready: stats.ready,
            messages_unacknowledged: stats.unacked,
            message_bytes: stats.ready_bytes + stats.unacked_bytes,
            message_bytes_ready: stats.ready_bytes,
            message_bytes_unacknowledged: stats.unacked_bytes,
            messages_paged_out: stats.paged_out,
            message_bytes_ram: stats.resident_bytes,
            message_stats: stats.into(),
        }
    }
}
