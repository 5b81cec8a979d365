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
use shunt_broker::metadata::VhostMetadata;
use shunt_broker::queue::QueueStats;
use shunt_types::{QueueId, ReplyCode};
use utoipa::ToSchema;

use super::listing::ListQuery;
use super::vhost_fields::VhostFields;
use super::{VhostPath, change_access, events, put_status, refused, vhost_name};
use crate::auth::{Administrator, As, Manager};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{JsonBody, Path, Query};
use crate::json::JsonMap;
use crate::server::Api;
use crate::shards::{self, blocking, durable};

/// The type of a queue that doesn't say it.
pub(super) const DEFAULT_QUEUE_TYPE: &str = "classic";

/// What is said about a virtual host, as RabbitMQ puts it together.
pub(super) fn metadata_object(said: &VhostMetadata) -> JsonMap {
    let mut object = JsonMap::new();
    object.insert("description".to_owned(), said.description.as_str().into());
    object.insert("tags".to_owned(), said.tags.clone().into());
    object.insert("default_queue_type".to_owned(), DEFAULT_QUEUE_TYPE.into());
    if said.is_protected {
        object.insert("protected_from_deletion".to_owned(), true.into());
    }
    object
}

/// A virtual host.
#[derive(Serialize, ToSchema)]
pub(super) struct VhostView {
    name: String,
    description: String,
    tags: Vec<String>,
    default_queue_type: &'static str,
    protected_from_deletion: bool,
    /// Description, tags, default queue type and protection once more, as RabbitMQ has it.
    #[schema(value_type = Object)]
    metadata: JsonMap,
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
        let said = vhost.metadata();
        Self {
            name: vhost.name().as_str().to_owned(),
            metadata: metadata_object(&said),
            description: said.description.clone(),
            tags: said.tags.clone(),
            default_queue_type: DEFAULT_QUEUE_TYPE,
            protected_from_deletion: said.is_protected,
            tracing: topology.is_traced(),
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

/// Makes a virtual host, in which the caller may do everything, or changes what is said about it.
/// Takes an administrator.
#[utoipa::path(put, path = "/api/vhosts/{vhost}", tag = "management", params(VhostPath), request_body = VhostFields,
    responses(
        (status = 201, description = "Made"),
        (status = 204, description = "There already"),
        (status = 400, description = "The name is too long, or a field is wrong", body = ErrorBody),
        (status = 401, description = "Not an administrator", body = ErrorBody),
    ))]
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    caller: As<Administrator>,
    Path(path): Path<VhostPath>,
    JsonBody(fields): JsonBody<VhostFields>,
) -> Result<StatusCode, ApiError> {
    if let Some(reason) = fields.foreign_queue_type() {
        return Err(ApiError::bad_request(format!("'default_queue_type': {reason}")));
    }
    let tracing = fields.tracing;
    let change = fields.read().map_err(ApiError::bad_request)?;
    let name = vhost_name(&path.vhost)?;
    let (created, position) = api.broker.create_vhost(&name, caller.actor());
    let changed = api.broker.change_vhost(&name, caller.actor(), change).map_err(refused)?;
    durable(&api.broker, position.max(changed)).await?;
    if let Some(tracing) = tracing {
        api.broker.set_tracing(&name, tracing).map_err(refused)?;
    }
    if created {
        events::tell_vhost_created(&api, caller.name(), &name);
        let all = || ".*".to_owned();
        let grant = AccessChange::SetPermissions {
            user: caller.name().to_owned(),
            vhost: path.vhost,
            configure: all(),
            write: all(),
            read: all(),
        };
        change_access(&api, caller.name(), grant).await?;
    }
    Ok(put_status(created))
}

/// Deletes a virtual host with everything in it. Takes an administrator.
#[utoipa::path(delete, path = "/api/vhosts/{vhost}", tag = "management", params(VhostPath),
    responses(
        (status = 204, description = "Deleted"),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
        (status = 412, description = "It is protected", body = ErrorBody),
    ))]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: As<Administrator>,
    Path(path): Path<VhostPath>,
) -> Result<StatusCode, ApiError> {
    caller.look_into(&path.vhost)?;
    let deleted = api.broker.delete_vhost(&vhost_name(&path.vhost)?, caller.actor());
    let position = deleted.map_err(|error| match error.code {
        ReplyCode::PreconditionFailed => {
            let status = StatusCode::PRECONDITION_FAILED;
            ApiError::new(status, "precondition_failed", error.explanation)
        }
        _ => refused(error),
    })?;
    durable(&api.broker, position).await?;
    let remove = AccessChange::RemoveVhost { vhost: path.vhost.clone() };
    change_access(&api, caller.name(), remove).await?;
    let routes = api.routes.clone();
    blocking(move || routes.forget_vhost(&path.vhost)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_protection(
    api: &Api,
    caller: &Manager,
    path: &VhostPath,
    is_protected: bool,
) -> Result<StatusCode, ApiError> {
    caller.administer()?;
    let vhost = caller.look_into(&path.vhost)?;
    let protect = |said: &mut VhostMetadata| said.is_protected = is_protected;
    let changed = api.broker.change_vhost(vhost.name(), caller.actor(), protect);
    durable(&api.broker, changed.map_err(refused)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Protects a virtual host from deletion. Takes an administrator.
#[utoipa::path(post, path = "/api/vhosts/{vhost}/deletion/protection", tag = "management", params(VhostPath),
    responses(
        (status = 204, description = "Protected"),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn protect(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<VhostPath>,
) -> Result<StatusCode, ApiError> {
    set_protection(&api, &caller, &path, true).await
}

/// Lets a virtual host be deleted again. Takes an administrator.
#[utoipa::path(delete, path = "/api/vhosts/{vhost}/deletion/protection", tag = "management", params(VhostPath),
    responses(
        (status = 204, description = "Not protected any more"),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn unprotect(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<VhostPath>,
) -> Result<StatusCode, ApiError> {
    set_protection(&api, &caller, &path, false).await
}
