//! Which routing keys users may use with topic exchanges. All of it takes an administrator.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use shunt_auth::{AccessChange, TopicPermission, TopicPermissionEntry};
use utoipa::ToSchema;

use super::permissions::PermissionPath;
use super::users::{self, UserPath};
use super::{VhostPath, change_access, put_status};
use crate::auth::{Administrator, As, Manager};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{JsonBody, Path};
use crate::server::Api;

/// Which routing keys a user may use with an exchange.
#[derive(Serialize, ToSchema)]
pub(super) struct TopicPermissionView {
    user: String,
    vhost: String,
    exchange: String,
    write: String,
    read: String,
}

impl From<TopicPermissionEntry> for TopicPermissionView {
    fn from(entry: TopicPermissionEntry) -> Self {
        let TopicPermissionEntry { user, vhost, exchange, permission } = entry;
        let (write, read) = (permission.write().to_owned(), permission.read().to_owned());
        Self { user, vhost, exchange, write, read }
    }
}

fn views(
    api: &Api,
    matches: impl Fn(&TopicPermissionEntry) -> bool,
) -> Json<Vec<TopicPermissionView>> {
    let entries = api.access.list_topic_permissions().into_iter();
    Json(entries.filter(matches).map(TopicPermissionView::from).collect())
}

/// The topic permissions of all users. Takes an administrator.
#[utoipa::path(get, path = "/api/topic-permissions", tag = "management",
    responses(
        (status = 200, description = "By user, virtual host and exchange",
            body = [TopicPermissionView]),
        (status = 401, description = "Not an administrator", body = ErrorBody),
    ))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    _: As<Administrator>,
) -> Result<Json<Vec<TopicPermissionView>>, ApiError> {
    Ok(views(&api, |_| true))
}

/// The topic permissions in a virtual host. Takes an administrator.
#[utoipa::path(get, path = "/api/vhosts/{vhost}/topic-permissions", tag = "management", params(VhostPath),
    responses(
        (status = 200, description = "By user and exchange", body = [TopicPermissionView]),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn of_vhost(
    State(api): State<Arc<Api>>,
    caller: As<Administrator>,
    Path(path): Path<VhostPath>,
) -> Result<Json<Vec<TopicPermissionView>>, ApiError> {
    caller.look_into(&path.vhost)?;
    Ok(views(&api, |entry| entry.vhost == path.vhost))
}

/// The topic permissions of a user. Takes an administrator.
#[utoipa::path(get, path = "/api/users/{user}/topic-permissions", tag = "management", params(UserPath),
    responses(
        (status = 200, description = "By virtual host and exchange", body = [TopicPermissionView]),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such user", body = ErrorBody),
    ))]
pub(super) async fn of_user(
    State(api): State<Arc<Api>>,
    _: As<Administrator>,
    Path(path): Path<UserPath>,
) -> Result<Json<Vec<TopicPermissionView>>, ApiError> {
    users::find(&api, &path.user)?;
    Ok(views(&api, |entry| entry.user == path.user))
}

fn found(
    api: &Api,
    caller: &Manager,
    path: &PermissionPath,
) -> Result<Json<Vec<TopicPermissionView>>, ApiError> {
    path.check_ends(api, caller)?;
    let views = views(api, |entry| entry.user == path.user && entry.vhost == path.vhost);
    if views.0.is_empty() {
        return Err(ApiError::not_found(format!(
            "user '{}' has no topic permissions in vhost '{}'",
            path.user, path.vhost
        )));
    }
    Ok(views)
}

/// The topic permissions of a user in a virtual host. Takes an administrator.
#[utoipa::path(get, path = "/api/topic-permissions/{vhost}/{user}", tag = "management", params(PermissionPath),
    responses(
        (status = 200, description = "By exchange", body = [TopicPermissionView]),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such user or virtual host, or none of them",
            body = ErrorBody),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<PermissionPath>,
) -> Result<Json<Vec<TopicPermissionView>>, ApiError> {
    found(&api, &caller, &path)
}

/// Regular expressions over routing keys, found anywhere in a key unless they anchor themselves;
/// `{username}` and `{vhost}` in them stand for those names.
#[derive(Deserialize, ToSchema)]
pub(super) struct TopicPermissionRequest {
    /// The exchange, of the type `topic`.
    pub(super) exchange: String,
    /// Over the routing keys that may be published with.
    pub(super) write: String,
    /// Over the binding keys that may be bound with.
    pub(super) read: String,
}

impl TopicPermissionRequest {
    /// Checks the patterns.
    ///
    /// # Errors
    /// Which is wrong, and in what.
    pub(super) fn check(&self) -> Result<(), String> {
        [("write", &self.write), ("read", &self.read)].into_iter().try_for_each(|(field, text)| {
            TopicPermission::check_pattern(text).map_err(|error| format!("'{field}': {error}"))
        })
    }

    /// The change that sets it. A wrong pattern denies.
    pub(super) fn into_change(self, user: String, vhost: String) -> AccessChange {
        let Self { exchange, write, read } = self;
        AccessChange::SetTopicPermission { user, vhost, exchange, write, read }
    }
}

/// Restricts the routing keys that a user may use with a topic exchange, at once, for connections
/// that are open too. Takes an administrator.
#[utoipa::path(put, path = "/api/topic-permissions/{vhost}/{user}", tag = "management", params(PermissionPath),
    request_body = TopicPermissionRequest,
    responses(
        (status = 201, description = "Set"),
        (status = 204, description = "Changed"),
        (status = 400, description = "A pattern is wrong or missing", body = ErrorBody),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such user or virtual host", body = ErrorBody),
    ))]
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<PermissionPath>,
    JsonBody(request): JsonBody<TopicPermissionRequest>,
) -> Result<StatusCode, ApiError> {
    path.check_ends(&api, &caller)?;
    let known = api.access.topic_permissions(&path.user, &path.vhost);
    let created = known.is_none_or(|known| known.of_exchange(&request.exchange).is_none());
    request.check().map_err(ApiError::bad_request)?;
    change_access(&api, caller.name(), request.into_change(path.user, path.vhost)).await?;
    Ok(put_status(created))
}

/// Takes every restriction of a user's routing keys in a virtual host away, at once. Takes an
/// administrator.
#[utoipa::path(delete, path = "/api/topic-permissions/{vhost}/{user}", tag = "management", params(PermissionPath),
    responses(
        (status = 204, description = "Taken away"),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such user or virtual host, or none of them",
            body = ErrorBody),
    ))]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<PermissionPath>,
) -> Result<StatusCode, ApiError> {
    found(&api, &caller, &path).map(drop)?;
    let PermissionPath { vhost, user } = path;
    let change = AccessChange::ClearTopicPermissions { user, vhost, exchange: None };
    change_access(&api, caller.name(), change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A user and an exchange in a virtual host.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct TopicPath {
    /// The virtual host, percent-encoded.
    vhost: String,
    /// The user.
    user: String,
    /// The exchange.
    exchange: String,
}

/// Takes the restriction with one exchange away, at once. Takes an administrator.
#[utoipa::path(delete, path = "/api/topic-permissions/{vhost}/{user}/{exchange}", tag = "management", params(TopicPath),
    responses(
        (status = 204, description = "Taken away"),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such user or virtual host, or no such restriction",
            body = ErrorBody),
    ))]
pub(super) async fn delete_one(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<TopicPath>,
) -> Result<StatusCode, ApiError> {
    let TopicPath { vhost, user, exchange } = path;
    let all = found(&api, &caller, &PermissionPath { vhost: vhost.clone(), user: user.clone() })?;
    if !all.0.iter().any(|one| one.exchange == exchange) {
        return Err(ApiError::not_found(format!(
            "user '{user}' has no topic permission for exchange '{exchange}' in vhost '{vhost}'"
        )));
    }
    let exchange = Some(exchange);
    change_access(
        &api,
        caller.name(),
        AccessChange::ClearTopicPermissions { user, vhost, exchange },
    )
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
