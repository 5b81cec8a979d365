//! The clients' connections: list them, look at one, close one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use shunt_broker::ConnectionInfo;
use utoipa::ToSchema;

use super::VhostPath;
use super::listing::ListQuery;
use super::users::UserPath;
use crate::auth::Manager;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Path, Query};
use crate::json::{self, JsonMap};
use crate::server::Api;

/// A connection.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct ConnectionPath {
    /// The connection's name, percent-encoded.
    connection: String,
}

/// A connection.
#[derive(Serialize, ToSchema)]
pub(super) struct ConnectionView {
    /// Both ends, which is how the other calls name it.
    name: String,
    /// What the client calls it.
    user_provided_name: Option<String>,
    /// A number that stands for it on this node, for tools that want one.
    pid: String,
    node: String,
    user: String,
    vhost: String,
    protocol: &'static str,
    auth_mechanism: String,
    #[serde(rename = "type")]
    kind: &'static str,
    ssl: bool,
    state: &'static str,
    peer_host: String,
    peer_port: u16,
    host: String,
    port: u16,
    channels: u32,
    channel_max: u16,
    frame_max: u32,
    /// The heartbeat, in seconds.
    timeout: u16,
    /// Unix milliseconds.
    connected_at: u64,
    #[schema(value_type = Object)]
    client_properties: JsonMap,
}

impl ConnectionView {
    fn new(api: &Api, info: &ConnectionInfo) -> Self {
        let client_properties = json::table_to_json(&info.client_properties);
        let name = client_properties.get("connection_name").and_then(|name| name.as_str());
        Self {
            name: info.name(),
            user_provided_name: name.map(str::to_owned),
            pid: info.id.0.to_string(),
            node: api.node_name.clone(),
            user: info.user.clone(),
            vhost: info.vhost.as_str().to_owned(),
            protocol: "AMQP 0-9-1",
            auth_mechanism: info.mechanism.clone(),
            kind: "network",
            ssl: false,
            state: "running",
            peer_host: info.peer.ip().to_string(),
            peer_port: info.peer.port(),
            host: info.local.ip().to_string(),
            port: info.local.port(),
            channels: info.channels.load(Ordering::Relaxed),
            channel_max: info.channel_max,
            frame_max: info.frame_max,
            timeout: info.heartbeat_s,
            connected_at: info.connected_at_ms,
            client_properties,
        }
    }
}

/// The connections that the caller sees: all with the tag `monitoring` or `administrator`, else
/// the caller's own.
fn visible(api: &Api, caller: &Manager) -> Vec<Arc<ConnectionInfo>> {
    let mut all = api.broker.connections().all();
    if caller.monitor().is_err() {
        all.retain(|info| info.user == caller.name());
    }
    all
}

fn views(api: &Api, connections: &[Arc<ConnectionInfo>]) -> Vec<ConnectionView> {
    connections.iter().map(|info| ConnectionView::new(api, info)).collect()
}

/// The open connections that the caller sees.
#[utoipa::path(get, path = "/api/connections", tag = "management", params(ListQuery),
    responses(
        (status = 200, description = "The oldest first", body = [ConnectionView]),
        (status = 400, description = "A parameter is wrong", body = ErrorBody),
    ))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    query.answer(views(&api, &visible(&api, &caller)))
}

/// The open connections to a virtual host that the caller sees.
#[utoipa::path(get, path = "/api/vhosts/{vhost}/connections", tag = "management",
    params(VhostPath, ListQuery),
    responses(
        (status = 200, description = "The oldest first", body = [ConnectionView]),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn of_vhost(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<VhostPath>,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    caller.look_into(&path.vhost)?;
    let mut connections = visible(&api, &caller);
    connections.retain(|info| info.vhost.as_str() == path.vhost);
    query.answer(views(&api, &connections))
}

/// The open connections of a user.
#[utoipa::path(get, path = "/api/connections/username/{user}", tag = "management",
    params(UserPath, ListQuery),
    responses((status = 200, description = "The oldest first", body = [ConnectionView])))]
pub(super) async fn of_user(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<UserPath>,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let mut connections = visible(&api, &caller);
    connections.retain(|info| info.user == path.user);
    query.answer(views(&api, &connections))
}

/// Closes the connections of a user. Takes an administrator, or the user.
#[utoipa::path(delete, path = "/api/connections/username/{user}", tag = "management",
    params(UserPath, ("X-Reason" = Option<String>, Header, description = "What the clients are told")),
    responses(
        (status = 204, description = "They close"),
        (status = 401, description = "Somebody else's", body = ErrorBody),
    ))]
pub(super) async fn close_of_user(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<UserPath>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    if path.user != caller.name() {
        caller.administer()?;
    }
    let connections = api.broker.connections().all();
    let theirs = connections.iter().filter(|info| info.user == path.user);
    theirs.for_each(|info| (info.close)(reason(&headers)));
    Ok(StatusCode::NO_CONTENT)
}

/// One open connection.
#[utoipa::path(get, path = "/api/connections/{connection}", tag = "management",
    params(ConnectionPath),
    responses(
        (status = 200, description = "The connection", body = ConnectionView),
        (status = 404, description = "No such connection", body = ErrorBody),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<ConnectionPath>,
) -> Result<Json<ConnectionView>, ApiError> {
    let info = find(&api, &caller, &path.connection)?;
    Ok(Json(ConnectionView::new(&api, &info)))
}

/// Closes a connection. Takes an administrator, or its own user.
#[utoipa::path(delete, path = "/api/connections/{connection}", tag = "management",
    params(ConnectionPath, ("X-Reason" = Option<String>, Header, description = "What the client is told")),
    responses(
        (status = 204, description = "It closes"),
        (status = 401, description = "Somebody else's", body = ErrorBody),
        (status = 404, description = "No such connection", body = ErrorBody),
    ))]
pub(super) async fn close(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<ConnectionPath>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let info = find(&api, &caller, &path.connection)?;
    if info.user != caller.name() {
        caller.administer()?;
    }
    (info.close)(reason(&headers));
    Ok(StatusCode::NO_CONTENT)
}

fn find(api: &Api, caller: &Manager, name: &str) -> Result<Arc<ConnectionInfo>, ApiError> {
    let mut all = visible(api, caller).into_iter();
    let found = all.find(|info| info.name() == name);
    found.ok_or_else(|| ApiError::not_found(format!("no connection '{name}'")))
}

/// What the client is told, as RabbitMQ has it.
fn reason(headers: &HeaderMap) -> &str {
    let reason = headers.get("X-Reason").and_then(|reason| reason.to_str().ok());
    reason.unwrap_or("Closed via management plugin")
}
