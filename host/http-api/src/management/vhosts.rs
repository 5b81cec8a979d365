//! Virtual hosts.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use shunt_auth::AccessChange;
use shunt_broker::Vhost;
use shunt_broker::queue::QueueStats;
use shunt_types::QueueId;
use utoipa::ToSchema;

use super::listing::ListQuery;
use super::{VhostPath, change_access, put_status, refused, vhost_name};
use crate::auth::Manager;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{JsonBody, Path, Query};
use crate::json::JsonMap;
use crate::server::Api;
use crate::shards::{self, blocking, durable};

/// A virtual host.
#[derive(Serialize, ToSchema)]
pub(super) struct VhostView {
    name: String,
    description: &'static str,
    tags: Vec<String>,
    default_queue_type: &'static str,
    tracing: bool,
    messages: u64,
    messages_ready: u64,
    messages_unacknowledged: u64,
    #[schema(value_type = Object)]
    cluster_state: JsonMap,
}

impl VhostView {
    fn new(api: &Api, vhost: &Vhost, all_stats: &HashMap<QueueId, QueueStats>) -> Self {
        let topology = vhost.topology();
        let stats = topology.queue_entries().filter_map(|queue| all_stats.get(&queue.id));
        let (ready, unacked) =
            stats.fold((0, 0), |(r, u), stats| (r + stats.ready, u + stats.unacked));
        Self {
            name: vhost.name().as_str().to_owned(),
            description: "",
            tags: Vec::new(),
            default_queue_type: "classic",
            tracing: false,
            messages: ready + unacked,
            messages_ready: ready,
            messages_unacknowledged: unacked,
            cluster_state: [(api.node_name.clone(), "running".into())].into_iter().collect(),
        }
    }
}

/// The virtual hosts that the caller sees.
#[utoipa::path(get, path = "/api/vhosts", tag = "management", params(ListQuery),
    responses(
        (status = 200, description = "By name", body = [VhostView]),
        (status = 400, description = "A parameter is wrong", body = ErrorBody),
    ))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let all_stats = shards::all_queue_stats(&api.broker).await?;
    let vhosts = caller.visible_vhosts();
    query.answer(vhosts.iter().map(|vhost| VhostView::new(&api, vhost, &all_stats)).collect())
}

/// One virtual host.
#[utoipa::path(get, path = "/api/vhosts/{vhost}", tag = "management", params(VhostPath),
    responses(
        (status = 200, description = "The virtual host", body = VhostView),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<VhostPath>,
) -> Result<Json<VhostView>, ApiError> {
    let vhost = caller.look_into(&path.vhost)?;
    let all_stats = shards::all_queue_stats(&api.broker).await?;
    Ok(Json(VhostView::new(&api, &vhost, &all_stats)))
}

/// Makes a virtual host, in which the caller may do everything. Takes an administrator.
#[utoipa::path(put, path = "/api/vhosts/{vhost}", tag = "management", params(VhostPath), request_body = Object,
    responses(
        (status = 201, description = "Made"),
        (status = 204, description = "There already"),
        (status = 400, description = "The name is too long", body = ErrorBody),
        (status = 401, description = "Not an administrator", body = ErrorBody),
    ))]
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<VhostPath>,
    // What RabbitMQ takes here (description, tags, tracing) is read and has no effect yet.
    JsonBody(_body): JsonBody<JsonMap>,
) -> Result<StatusCode, ApiError> {
    caller.administer()?;
    let (created, position) = api.broker.create_vhost(&vhost_name(&path.vhost)?);
    durable(&api.broker, position).await?;
    if created {
        let all = || ".*".to_owned();
        let grant = AccessChange::SetPermissions {
            user: caller.name().to_owned(),
            vhost: path.vhost,
            configure: all(),
            write: all(),
            read: all(),
        };
        change_access(&api, grant).await?;
    }
    Ok(put_status(created))
}

/// Deletes a virtual host with everything in it. Takes an administrator.
#[utoipa::path(delete, path = "/api/vhosts/{vhost}", tag = "management", params(VhostPath),
    responses(
        (status = 204, description = "Deleted"),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<VhostPath>,
) -> Result<StatusCode, ApiError> {
    caller.administer()?;
    caller.look_into(&path.vhost)?;
    let position = api.broker.delete_vhost(&vhost_name(&path.vhost)?).map_err(refused)?;
    durable(&api.broker, position).await?;
    change_access(&api, AccessChange::RemoveVhost { vhost: path.vhost.clone() }).await?;
    let routes = api.routes.clone();
    blocking(move || routes.forget_vhost(&path.vhost)).await?;
    Ok(StatusCode::NO_CONTENT)
}
