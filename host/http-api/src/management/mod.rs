//! The calls of RabbitMQ's management API that tools need first, with its JSON.

mod alarms;
mod binding_key;
mod bindings;
mod connections;
mod definitions;
mod events;
mod exchanges;
mod get;
mod limits;
mod listing;
mod overview;
mod permissions;
mod policies;
mod publish;
mod queue_view;
mod queues;
mod topic_permissions;
mod user_fields;
mod users;
mod vhost_fields;
mod vhosts;

use std::sync::Arc;

use axum::http::StatusCode;
use serde::Deserialize;
use shunt_auth::AccessChange;
use shunt_types::{AmqpError, FieldTable, VhostName};
use tokio::sync::oneshot;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::ApiError;
use crate::json::{self, JsonMap};
use crate::server::Api;
use crate::shards;

pub(crate) use overview::RABBITMQ_VERSION;

pub(crate) fn endpoints() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(overview::overview))
        .routes(routes!(overview::whoami))
        .routes(routes!(overview::nodes))
        .routes(routes!(overview::node))
        .routes(routes!(alarms::show))
        .routes(routes!(alarms::put_operator))
        .routes(routes!(connections::list))
        .routes(routes!(connections::of_user, connections::close_of_user))
        .routes(routes!(connections::show, connections::close))
        .routes(routes!(connections::of_vhost))
        .routes(routes!(vhosts::list))
        .routes(routes!(vhosts::show, vhosts::put, vhosts::delete))
        .routes(routes!(permissions::of_vhost))
        .routes(routes!(users::list))
        .routes(routes!(users::show, users::put, users::delete))
        .routes(routes!(users::without_permissions))
        .routes(routes!(users::bulk_delete))
        .routes(routes!(permissions::of_user))
        .routes(routes!(permissions::list))
        .routes(routes!(permissions::show, permissions::put, permissions::delete))
        .routes(routes!(topic_permissions::list))
        .routes(routes!(topic_permissions::of_vhost))
        .routes(routes!(topic_permissions::of_user))
        .routes(routes!(topic_permissions::show, topic_permissions::put, topic_permissions::delete))
        .routes(routes!(topic_permissions::delete_one))
        .routes(routes!(limits::list_vhosts))
        .routes(routes!(limits::of_vhost))
        .routes(routes!(limits::put_vhost, limits::delete_vhost))
        .routes(routes!(limits::list_users))
        .routes(routes!(limits::of_user))
        .routes(routes!(limits::put_user, limits::delete_user))
        .routes(routes!(vhosts::protect, vhosts::unprotect))
        .routes(routes!(policies::list_all_policy))
        .routes(routes!(policies::list_policy))
        .routes(routes!(policies::show_policy, policies::put_policy, policies::delete_policy))
        .routes(routes!(policies::list_all_operator_policy))
        .routes(routes!(policies::list_operator_policy))
        .routes(routes!(
            policies::show_operator_policy,
            policies::put_operator_policy,
            policies::delete_operator_policy
        ))
        .routes(routes!(users::hash_password))
        .routes(routes!(users::hash_password_in_path))
        .routes(routes!(definitions::export, definitions::import))
        .routes(routes!(definitions::export_vhost, definitions::import_vhost))
        .routes(routes!(exchanges::list_all))
        .routes(routes!(exchanges::list))
        .routes(routes!(exchanges::show, exchanges::put, exchanges::delete))
        .routes(routes!(publish::publish))
        .routes(routes!(bindings::of_source))
        .routes(routes!(bindings::of_destination))
        .routes(routes!(queues::list_all))
        .routes(routes!(queues::list))
        .routes(routes!(queues::show, queues::put, queues::delete))
        .routes(routes!(queues::purge))
        .routes(routes!(get::get))
        .routes(routes!(bindings::of_queue))
        .routes(routes!(bindings::list_all))
        .routes(routes!(bindings::list))
        .routes(routes!(bindings::between_queue, bindings::bind_queue))
        .routes(routes!(bindings::between_exchange, bindings::bind_exchange))
        .routes(routes!(bindings::show_queue, bindings::unbind_queue))
        .routes(routes!(bindings::show_exchange, bindings::unbind_exchange))
}

/// A virtual host.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct VhostPath {
    /// The virtual host, percent-encoded.
    vhost: String,
}

/// An exchange.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct ExchangePath {
    /// The virtual host, percent-encoded.
    vhost: String,
    /// The exchange; `amq.default` for the default exchange.
    exchange: String,
}

/// A queue.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct QueuePath {
    /// The virtual host, percent-encoded.
    vhost: String,
    /// The queue.
    queue: String,
}

/// Arguments of a declaration or a binding.
fn arguments(object: &JsonMap) -> Result<FieldTable, ApiError> {
    json::table_from_json(object, "arguments").map_err(ApiError::bad_request)
}

/// A flag in a query, by presence and value, as RabbitMQ reads it.
fn is_set(flag: Option<&str>) -> bool {
    flag.is_some_and(|value| value == "true")
}

/// The answer to a `PUT`: whether it made something.
fn put_status(created: bool) -> StatusCode {
    if created { StatusCode::CREATED } else { StatusCode::NO_CONTENT }
}

fn refused(error: AmqpError) -> ApiError {
    ApiError::management(error)
}

fn vhost_name(name: &str) -> Result<VhostName, ApiError> {
    Ok(VhostName::new(name)?)
}

/// Changes users or permissions for `user`, and waits until the change is on disk.
async fn change_access(api: &Api, user: &str, change: AccessChange) -> Result<(), ApiError> {
    shards::settled(begin_change(api, user, change)).await
}

/// As [`change_access`], for who wants to begin several before waiting. The change is in force
/// when this returns.
fn begin_change(
    api: &Api,
    user: &str,
    change: AccessChange,
) -> oneshot::Receiver<Result<(), String>> {
    events::tell_access_change(api, user, &change);
    let (sender, receiver) = oneshot::channel();
    api.access_changes.change(change, Box::new(move |outcome| drop(sender.send(outcome))));
    receiver
}
