//! What users may do in virtual hosts. All of it takes an administrator.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use shunt_auth::{AccessChange, PermissionEntry, Permissions};
use utoipa::ToSchema;

use super::users::{self, UserPath};
use super::{VhostPath, change_access, put_status};
use crate::auth::{Administrator, As, Manager};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{JsonBody, Path};
use crate::server::Api;

/// What a user may do in a virtual host.
#[derive(Serialize, ToSchema)]
pub(super) struct PermissionView {
    user: String,
    vhost: String,
    configure: String,
    write: String,
    read: String,
}

impl From<PermissionEntry> for PermissionView {
    fn from(entry: PermissionEntry) -> Self {
        let PermissionEntry { user, vhost, permissions } = entry;
        Self {
            user,
            vhost,
            configure: permissions.configure().to_owned(),
            write: permissions.write().to_owned(),
            read: permissions.read().to_owned(),
        }
    }
}

fn views(api: &Api, matches: impl Fn(&PermissionEntry) -> bool) -> Json<Vec<PermissionView>> {
    let entries = api.access.list_permissions().into_iter();
    Json(entries.filter(matches).map(PermissionView::from).collect())
}

/// The permissions of all users. Takes an administrator.
#[utoipa::path(get, path = "/api/permissions", tag = "management",
    responses(
        (status = 200, description = "By user and virtual host", body = [PermissionView]),
        (status = 401, description = "Not an administrator", body = ErrorBody),
    ))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    _: As<Administrator>,
) -> Result<Json<Vec<PermissionView>>, ApiError> {
    Ok(views(&api, |_| true))
}

/// The permissions in a virtual host. Takes an administrator.
#[utoipa::path(get, path = "/api/vhosts/{vhost}/permissions", tag = "management", params(VhostPath),
    responses(
        (status = 200, description = "By user", body = [PermissionView]),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn of_vhost(
    State(api): State<Arc<Api>>,
    caller: As<Administrator>,
    Path(path): Path<VhostPath>,
) -> Result<Json<Vec<PermissionView>>, ApiError> {
    caller.look_into(&path.vhost)?;
    Ok(views(&api, |entry| entry.vhost == path.vhost))
}

/// The permissions of a user. Takes an administrator.
#[utoipa::path(get, path = "/api/users/{user}/permissions", tag = "management", params(UserPath),
    responses(
        (status = 200, description = "By virtual host", body = [PermissionView]),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such user", body = ErrorBody),
    ))]
pub(super) async fn of_user(
    State(api): State<Arc<Api>>,
    _: As<Administrator>,
    Path(path): Path<UserPath>,
) -> Result<Json<Vec<PermissionView>>, ApiError> {
    users::find(&api, &path.user)?;
    Ok(views(&api, |entry| entry.user == path.user))
}

/// A user in a virtual host.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct PermissionPath {
    /// The virtual host, percent-encoded.
    pub(super) vhost: String,
    /// The user.
    pub(super) user: String,
}

impl PermissionPath {
    /// Both must be there, and the caller an administrator.
    pub(super) fn check_ends(&self, api: &Api, caller: &Manager) -> Result<(), ApiError> {
        caller.administer()?;
        caller.look_into(&self.vhost)?;
        users::find(api, &self.user).map(drop)
    }
}

fn find(api: &Api, path: &PermissionPath) -> Result<Arc<Permissions>, ApiError> {
    api.access.permissions(&path.user, &path.vhost).ok_or_else(|| {
        ApiError::not_found(format!(
            "user '{}' has no permissions in vhost '{}'",
            path.user, path.vhost
        ))
    })
}

/// What a user may do in a virtual host. Takes an administrator.
#[utoipa::path(get, path = "/api/permissions/{vhost}/{user}", tag = "management", params(PermissionPath),
    responses(
        (status = 200, description = "The permissions", body = PermissionView),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such user or virtual host, or no permissions",
            body = ErrorBody),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<PermissionPath>,
) -> Result<Json<PermissionView>, ApiError> {
    path.check_ends(&api, &caller)?;
    let permissions = find(&api, &path)?;
    let PermissionPath { vhost, user } = path;
    Ok(Json(PermissionEntry { user, vhost, permissions }.into()))
}

/// Regular expressions over names of queues and exchanges, found anywhere in a name unless they
/// anchor themselves; the empty one matches nothing but the empty name.
#[derive(Deserialize, ToSchema)]
pub(super) struct PermissionRequest {
    /// What may be declared and deleted.
    configure: String,
    /// What may be published to, and bound to.
    write: String,
    /// What may be consumed from, and bound from.
    read: String,
}

/// Sets what a user may do in a virtual host, at once, for connections that are open too. Takes
/// an administrator.
#[utoipa::path(put, path = "/api/permissions/{vhost}/{user}", tag = "management", params(PermissionPath),
    request_body = PermissionRequest,
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
    JsonBody(request): JsonBody<PermissionRequest>,
) -> Result<StatusCode, ApiError> {
    path.check_ends(&api, &caller)?;
    let PermissionRequest { configure, write, read } = request;
    for (field, pattern) in [("configure", &configure), ("write", &write), ("read", &read)] {
        Permissions::check_pattern(pattern)
            .map_err(|error| ApiError::bad_request(format!("'{field}': {error}")))?;
    }
    let created = find(&api, &path).is_err();
    let PermissionPath { vhost, user } = path;
    let change = AccessChange::SetPermissions { user, vhost, configure, write, read };
    change_access(&api, caller.name(), change).await?;
    Ok(put_status(created))
}

/// Takes a user's access to a virtual host away, at once. Takes an administrator.
#[utoipa::path(delete, path = "/api/permissions/{vhost}/{user}", tag = "management", params(PermissionPath),
    responses(
        (status = 204, description = "Taken away"),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such user or virtual host, or no permissions",
            body = ErrorBody),
    ))]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<PermissionPath>,
) -> Result<StatusCode, ApiError> {
    path.check_ends(&api, &caller)?;
    find(&api, &path)?;
    let PermissionPath { vhost, user } = path;
    change_access(&api, caller.name(), AccessChange::ClearPermissions { user, vhost }).await?;
    Ok(StatusCode::NO_CONTENT)
}
