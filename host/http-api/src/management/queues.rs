//! Queues.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use shunt_broker::metadata::{QueueDeclaration, QueueDefinition};
use shunt_broker::queue::QueueStats;
use shunt_broker::{DeleteOptions, QueueEntry, Vhost};
use shunt_types::{QueueId, QueueName};
use utoipa::ToSchema;

use super::listing::ListQuery;
use super::queue_view::QueueView;
use super::{QueuePath, VhostPath, arguments, is_set, put_status, refused};
use crate::auth::Manager;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{JsonBody, Path, Query};
use crate::json::JsonMap;
use crate::server::Api;
use crate::shards::{self, durable, on_shard};

/// The queues of all virtual hosts that the caller sees.
#[utoipa::path(get, path = "/api/queues", tag = "management", params(ListQuery),
    responses(
        (status = 200, description = "By virtual host and name", body = [QueueView]),
        (status = 400, description = "A parameter is wrong", body = ErrorBody),
    ))]
pub(super) async fn list_all(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let all_stats = shards::all_queue_stats(&api.broker).await?;
    let vhosts = caller.visible_vhosts();
    query.answer(vhosts.iter().flat_map(|vhost| views(&api, vhost, &all_stats)).collect())
}

/// The queues of a virtual host.
#[utoipa::path(get, path = "/api/queues/{vhost}", tag = "management", params(VhostPath, ListQuery),
    responses(
        (status = 200, description = "By name", body = [QueueView]),
        (status = 400, description = "A parameter is wrong", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<VhostPath>,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let vhost = caller.look_into(&path.vhost)?;
    let all_stats = shards::all_queue_stats(&api.broker).await?;
    query.answer(views(&api, &vhost, &all_stats))
}

fn views(api: &Api, vhost: &Vhost, all_stats: &HashMap<QueueId, QueueStats>) -> Vec<QueueView> {
    let topology = vhost.topology();
    let mut queues: Vec<_> = topology.queue_entries().collect();
    queues.sort_by(|a, b| a.definition.name.cmp(&b.definition.name));
    let queues = queues.into_iter();
    // One that was deleted meanwhile is left out.
    let views = queues.filter_map(|queue| {
        let stats = all_stats.get(&queue.id)?;
        Some(QueueView::new(api, vhost, topology.policies(), queue, stats))
    });
    views.collect()
}

/// One queue.
#[utoipa::path(get, path = "/api/queues/{vhost}/{queue}", tag = "management", params(QueuePath),
    responses(
        (status = 200, description = "The queue", body = QueueView),
        (status = 404, description = "No such queue", body = ErrorBody),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<QueuePath>,
) -> Result<Json<QueueView>, ApiError> {
    let vhost = caller.look_into(&path.vhost)?;
    let queue = find(&vhost, &path.queue)?;
    let stats = shards::queue_stats(&api.broker, queue.id).await?;
    let stats = stats.ok_or_else(|| ApiError::not_found("the queue was deleted"))?;
    let topology = vhost.topology();
    Ok(Json(QueueView::new(&api, &vhost, topology.policies(), &queue, &stats)))
}

/// The queue of that name.
pub(super) fn find(vhost: &Vhost, name: &str) -> Result<Arc<QueueEntry>, ApiError> {
    Ok(vhost.topology().find_queue(name)?.clone())
}

/// A queue to be declared.
#[derive(Deserialize, ToSchema)]
pub(super) struct QueueRequest {
    /// Whether it survives a restart.
    #[serde(default = "yes")]
    durable: bool,
    /// Whether it goes with its last consumer.
    #[serde(default)]
    auto_delete: bool,
    /// Its arguments.
    #[serde(default)]
    #[schema(value_type = Object)]
    arguments: JsonMap,
}

fn yes() -> bool {
    true
}

/// Declares a queue.
#[utoipa::path(put, path = "/api/queues/{vhost}/{queue}", tag = "management", params(QueuePath),
    request_body = QueueRequest,
    responses(
        (status = 201, description = "Made"),
        (status = 204, description = "There already, declared in the same way"),
        (status = 400, description = "Wrong, or there in another way", body = ErrorBody),
        (status = 401, description = "No permission to configure", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<QueuePath>,
    JsonBody(request): JsonBody<QueueRequest>,
) -> Result<StatusCode, ApiError> {
    let access = caller.enter(&path.vhost)?;
    access.configure("queue", &path.queue)?;
    let arguments = arguments(&request.arguments)?;
    // Naming a dead-letter exchange reads here and writes there (RabbitMQ).
    let dead_letter = arguments.get("x-dead-letter-exchange").and_then(|value| value.as_text());
    if let Some(exchange) = dead_letter {
        access.read("queue", &path.queue)?;
        access.write("exchange", exchange)?;
    }
    if path.queue.is_empty() {
        return Err(ApiError::bad_request("a queue that is declared here needs a name"));
    }
    let declaration = QueueDeclaration {
        definition: QueueDefinition {
            name: QueueName::new(&path.queue)?,
            durable: request.durable,
            auto_delete: request.auto_delete,
            arguments: Arc::new(arguments),
        },
        exclusive_owner: None,
        server_named: false,
        near: None,
    };
    let declared = api.broker.declare_queue(access.vhost.name(), access.actor(), declaration);
    let declared = declared.map_err(refused)?;
    durable(&api.broker, declared.position).await?;
    if !declared.created {
        let id = declared.queue.id;
        on_shard(&api.broker, id.shard(), move |shard| shard.touch(id)).await?;
    }
    Ok(put_status(declared.created))
}

/// What must hold for a queue to be deleted.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct DeleteQuery {
    /// `true`: only without messages.
    #[serde(rename = "if-empty")]
    if_empty: Option<String>,
    /// `true`: only without consumers.
    #[serde(rename = "if-unused")]
    if_unused: Option<String>,
}

/// Deletes a queue with its messages.
#[utoipa::path(delete, path = "/api/queues/{vhost}/{queue}", tag = "management", params(QueuePath, DeleteQuery),
    responses(
        (status = 204, description = "Deleted"),
        (status = 400, description = "In use, not empty, or another one's", body = ErrorBody),
        (status = 401, description = "No permission to configure", body = ErrorBody),
        (status = 404, description = "No such queue", body = ErrorBody),
    ))]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<QueuePath>,
    Query(query): Query<DeleteQuery>,
) -> Result<StatusCode, ApiError> {
    let access = caller.enter(&path.vhost)?;
    let queue = find(&access.vhost, &path.queue)?;
    access.configure("queue", &path.queue)?;
    queue.check_access(access.vhost.name(), None).map_err(refused)?;
    let options = DeleteOptions {
        if_unused: is_set(query.if_unused.as_deref()),
        if_empty: is_set(query.if_empty.as_deref()),
        user: Some(access.user.name().to_owned()),
    };
    let id = queue.id;
    let deleted = on_shard(&api.broker, id.shard(), move |shard| shard.delete_queue(id, options));
    deleted.await?.map_err(refused)?;
    durable(&api.broker, api.broker.logged_position()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Drops the messages of a queue that are ready.
#[utoipa::path(delete, path = "/api/queues/{vhost}/{queue}/contents", tag = "management", params(QueuePath),
    responses(
        (status = 204, description = "Purged"),
        (status = 401, description = "No permission to read", body = ErrorBody),
        (status = 404, description = "No such queue", body = ErrorBody),
    ))]
pub(super) async fn purge(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<QueuePath>,
) -> Result<StatusCode, ApiError> {
    let access = caller.enter(&path.vhost)?;
    let queue = find(&access.vhost, &path.queue)?;
    access.read("queue", &path.queue)?;
    queue.check_access(access.vhost.name(), None).map_err(refused)?;
    let id = queue.id;
    let purged = on_shard(&api.broker, id.shard(), move |shard| shard.purge(id)).await?;
    purged.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}
