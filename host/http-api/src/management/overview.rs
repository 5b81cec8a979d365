//! The node as a whole, and who asks.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use shunt_broker::Broker;
use shunt_broker::queue::QueueStats;
use utoipa::ToSchema;

use super::queue_view::MessageStats;
use crate::auth::{As, Manager, Monitor};
use crate::error::ApiError;
use crate::extract::Path;
use crate::server::Api;
use crate::shards;

/// The version of RabbitMQ whose management API this is. Tools choose by it what they ask for.
pub(crate) const RABBITMQ_VERSION: &str = "4.3.5";

/// The caller.
#[derive(Serialize, ToSchema)]
pub(super) struct WhoAmI {
    name: String,
    tags: Vec<String>,
    is_internal_user: bool,
}

/// Who asks.
#[utoipa::path(get, path = "/api/whoami", tag = "management",
    responses((status = 200, description = "The caller", body = WhoAmI)))]
pub(super) async fn whoami(caller: Manager) -> Json<WhoAmI> {
    Json(WhoAmI {
        name: caller.name().to_owned(),
        tags: caller.user.tags().to_vec(),
        is_internal_user: true,
    })
}

/// The node.
#[derive(Serialize, ToSchema)]
pub(super) struct Overview {
    product_name: &'static str,
    product_version: String,
    management_version: &'static str,
    rabbitmq_version: &'static str,
    cluster_name: String,
    node: String,
    rates_mode: &'static str,
    exchange_types: Vec<ExchangeTypeView>,
    queue_totals: QueueTotals,
    object_totals: ObjectTotals,
    message_stats: MessageStats,
    listeners: Vec<ListenerView>,
    statistics_db_event_queue: u64,
}

/// An exchange type.
#[derive(Serialize, ToSchema)]
pub(super) struct ExchangeTypeView {
    name: &'static str,
    description: &'static str,
    enabled: bool,
}

/// Messages of all queues.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct QueueTotals {
    messages: u64,
    messages_ready: u64,
    messages_unacknowledged: u64,
}

/// How many there are.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct ObjectTotals {
    channels: u64,
    connections: u64,
    consumers: u64,
    exchanges: u64,
    queues: u64,
}

/// Where something listens.
#[derive(Serialize, ToSchema)]
pub(super) struct ListenerView {
    node: String,
    protocol: &'static str,
    ip_address: String,
    port: u16,
}

/// Totals, versions and exchange types.
#[utoipa::path(get, path = "/api/overview", tag = "management",
    responses((status = 200, description = "The node", body = Overview)))]
pub(super) async fn overview(
    State(api): State<Arc<Api>>,
    caller: Manager,
) -> Result<Json<Overview>, ApiError> {
    let all_stats = shards::all_queue_stats(&api.broker).await?;
    let mut total = QueueStats::default();
    let mut totals = object_totals(&api.broker);
    for vhost in caller.visible_vhosts() {
        totals.exchanges += api.broker.exchanges(vhost.name()).len() as u64;
        for queue in vhost.topology().queue_entries() {
            totals.queues += 1;
            if let Some(stats) = all_stats.get(&queue.id) {
                add(&mut total, stats);
            }
        }
    }
    totals.consumers = total.consumers;
    Ok(Json(Overview {
        product_name: "Shunt",
        product_version: api.version.clone(),
        management_version: RABBITMQ_VERSION,
        rabbitmq_version: RABBITMQ_VERSION,
        cluster_name: api.node_name.clone(),
        node: api.node_name.clone(),
        rates_mode: "none",
        exchange_types: exchange_types(&api.broker),
        queue_totals: QueueTotals {
            messages: total.ready + total.unacked,
            messages_ready: total.ready,
            messages_unacknowledged: total.unacked,
        },
        object_totals: totals,
        message_stats: MessageStats::from(&total),
        listeners: vec![http_listener(&api)],
        statistics_db_event_queue: 0,
    }))
}

fn object_totals(broker: &Broker) -> ObjectTotals {
    let counters = broker.counters();
    let open = |opened: u64, closed: u64| opened.saturating_sub(closed);
    ObjectTotals {
        channels: open(counters.channels_opened.get(), counters.channels_closed.get()),
        connections: open(counters.connections_opened.get(), counters.connections_closed.get()),
        ..ObjectTotals::default()
    }
}

fn add(total: &mut QueueStats, stats: &QueueStats) {
    total.ready += stats.ready;
    total.unacked += stats.unacked;
    total.consumers += stats.consumers;
    total.published += stats.published;
    total.delivered += stats.delivered;
    total.delivered_no_ack += stats.delivered_no_ack;
    total.fetched += stats.fetched;
    total.fetched_no_ack += stats.fetched_no_ack;
    total.redelivered += stats.redelivered;
    total.acked += stats.acked;
}

fn exchange_types(broker: &Broker) -> Vec<ExchangeTypeView> {
    let describe = |name| match name {
        "direct" => "by the routing key, as it is",
        "fanout" => "to all that is bound",
        "topic" => "by patterns of the routing key",
        "headers" => "by headers",
        "x-consistent-hash" => "spread by a hash of the routing key",
        "x-wasm" => "by a route: a program of yours",
        _ => "",
    };
    let types = broker.exchange_types().names();
    types
        .map(|name| ExchangeTypeView { name, description: describe(name), enabled: true })
        .collect()
}

fn http_listener(api: &Api) -> ListenerView {
    ListenerView {
        node: api.node_name.clone(),
        protocol: "http",
        ip_address: api.address.ip().to_string(),
        port: api.address.port(),
    }
}

/// A node.
#[derive(Serialize, ToSchema)]
pub(super) struct NodeView {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    running: bool,
    uptime: u64,
    mem_alarm: bool,
    disk_free_alarm: bool,
    partitions: Vec<String>,
    rates_mode: &'static str,
}

fn node_view(api: &Api) -> NodeView {
    NodeView {
        name: api.node_name.clone(),
        kind: "disc",
        running: true,
        uptime: api.broker.now_ms().saturating_sub(api.started_at_ms),
        mem_alarm: api.broker.alarms().is_low_on_memory(),
        disk_free_alarm: api.broker.alarms().is_low_on_disk(),
        partitions: Vec::new(),
        rates_mode: "none",
    }
}

/// The nodes: this one.
#[utoipa::path(get, path = "/api/nodes", tag = "management",
    responses((status = 200, description = "The nodes", body = [NodeView])))]
pub(super) async fn nodes(
    State(api): State<Arc<Api>>,
    _: As<Monitor>,
) -> Result<Json<Vec<NodeView>>, ApiError> {
    Ok(Json(vec![node_view(&api)]))
}

/// A node's name.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct NodePath {
    /// The node.
    node: String,
}

/// One node.
#[utoipa::path(get, path = "/api/nodes/{node}", tag = "management", params(NodePath),
    responses((status = 200, description = "The node", body = NodeView)))]
pub(super) async fn node(
    State(api): State<Arc<Api>>,
    _: As<Monitor>,
    Path(path): Path<NodePath>,
) -> Result<Json<NodeView>, ApiError> {
    if path.node != api.node_name {
        return Err(ApiError::not_found(format!("no node '{}'", path.node)));
    }
    Ok(Json(node_view(&api)))
}
