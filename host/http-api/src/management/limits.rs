//! Limits of virtual hosts and users. Setting them takes an administrator.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use shunt_auth::{AccessChange, UserLimits};
use shunt_broker::metadata::VhostLimits;
use utoipa::ToSchema;

use super::users::{self, UserPath};
use super::{VhostPath, change_access, refused};
use crate::auth::{Administrator, As, Manager};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{JsonBody, Path};
use crate::json::JsonMap;
use crate::server::Api;
use crate::shards::durable;

/// The limits of a virtual host.
#[derive(Serialize, ToSchema)]
pub(super) struct VhostLimitsView {
    vhost: String,
    /// `max-connections` and `max-queues`, those that are set.
    #[schema(value_type = Object)]
    value: JsonMap,
}

/// The limits of a user.
#[derive(Serialize, ToSchema)]
pub(super) struct UserLimitsView {
    user: String,
    /// `max-connections` and `max-channels`, those that are set.
    #[schema(value_type = Object)]
    value: JsonMap,
}

/// Limits that are set, as an object.
pub(super) fn object(limits: impl Iterator<Item = (&'static str, i64)>) -> JsonMap {
    limits.map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// Reads limits of a virtual host from an object.
///
/// # Errors
/// What is wrong.
pub(super) fn vhost_limits(object: &JsonMap) -> Result<VhostLimits, String> {
    let mut limits = VhostLimits::default();
    for (name, value) in object {
        *limits.get_mut(name).ok_or_else(|| unknown(name, &VhostLimits::NAMES))? =
            Some(number(name, value)?);
    }
    Ok(limits)
}

/// Reads limits of a user from an object.
///
/// # Errors
/// What is wrong.
pub(super) fn user_limits(object: &JsonMap) -> Result<UserLimits, String> {
    let mut limits = UserLimits::default();
    for (name, value) in object {
        *limits.get_mut(name).ok_or_else(|| unknown(name, &UserLimits::NAMES))? =
            Some(number(name, value)?);
    }
    Ok(limits)
}

fn unknown(name: &str, known: &[&str]) -> String {
    format!("unrecognised limit '{name}'; there are {}", known.join(" and "))
}

fn number(name: &str, value: &serde_json::Value) -> Result<i64, String> {
    value.as_i64().ok_or_else(|| format!("{name} should be a number, actually was {value}"))
}

/// The limits of the virtual hosts that the caller sees.
#[utoipa::path(get, path = "/api/vhost-limits", tag = "management",
    responses((status = 200, description = "Of those that have some", body = [VhostLimitsView])))]
pub(super) async fn list_vhosts(caller: Manager) -> Json<Vec<VhostLimitsView>> {
    let vhosts = caller.visible_vhosts();
    let views = vhosts.iter().map(|vhost| VhostLimitsView {
        vhost: vhost.name().as_str().to_owned(),
        value: object(vhost.metadata().limits.iter()),
    });
    Json(views.filter(|view| !view.value.is_empty()).collect())
}

/// The limits of a virtual host.
#[utoipa::path(get, path = "/api/vhost-limits/{vhost}", tag = "management", params(VhostPath),
    responses(
        (status = 200, description = "An item, or none where there are none",
            body = [VhostLimitsView]),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn of_vhost(
    caller: Manager,
    Path(path): Path<VhostPath>,
) -> Result<Json<Vec<VhostLimitsView>>, ApiError> {
    let value = object(caller.look_into(&path.vhost)?.metadata().limits.iter());
    let view = VhostLimitsView { vhost: path.vhost, value };
    Ok(Json(Some(view).into_iter().filter(|view| !view.value.is_empty()).collect()))
}

/// A limit.
#[derive(Deserialize, ToSchema)]
pub(super) struct LimitRequest {
    /// How many there may be; below 0, any number.
    value: i64,
}

/// A limit of a virtual host.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct VhostLimitPath {
    /// The virtual host, percent-encoded.
    vhost: String,
    /// `max-connections` or `max-queues`.
    limit: String,
}

async fn set_vhost(
    api: &Api,
    caller: &Manager,
    path: &VhostLimitPath,
    value: Option<i64>,
) -> Result<StatusCode, ApiError> {
    caller.administer()?;
    let vhost = caller.look_into(&path.vhost)?;
    let known = VhostLimits::default().get_mut(&path.limit).is_some();
    if !known {
        return Err(ApiError::bad_request(unknown(&path.limit, &VhostLimits::NAMES)));
    }
    let changed = api.broker.change_vhost(vhost.name(), caller.actor(), |metadata| {
        if let Some(limit) = metadata.limits.get_mut(&path.limit) {
            *limit = value;
        }
    });
    durable(&api.broker, changed.map_err(refused)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets a limit of a virtual host, for what is opened and declared from now on. Takes an
/// administrator.
#[utoipa::path(put, path = "/api/vhost-limits/{vhost}/{limit}", tag = "management", params(VhostLimitPath),
    request_body = LimitRequest,
    responses(
        (status = 204, description = "Set"),
        (status = 400, description = "No such limit, or no number", body = ErrorBody),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn put_vhost(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<VhostLimitPath>,
    JsonBody(request): JsonBody<LimitRequest>,
) -> Result<StatusCode, ApiError> {
    set_vhost(&api, &caller, &path, Some(request.value)).await
}

/// Takes a limit of a virtual host away. Takes an administrator.
#[utoipa::path(delete, path = "/api/vhost-limits/{vhost}/{limit}", tag = "management", params(VhostLimitPath),
    responses(
        (status = 204, description = "There is none any more"),
        (status = 400, description = "No such limit", body = ErrorBody),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn delete_vhost(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<VhostLimitPath>,
) -> Result<StatusCode, ApiError> {
    set_vhost(&api, &caller, &path, None).await
}

/// The limits of users. Takes an administrator.
#[utoipa::path(get, path = "/api/user-limits", tag = "management",
    responses(
        (status = 200, description = "Of those who have some", body = [UserLimitsView]),
        (status = 401, description = "Not an administrator", body = ErrorBody),
    ))]
pub(super) async fn list_users(
    State(api): State<Arc<Api>>,
    _: As<Administrator>,
) -> Result<Json<Vec<UserLimitsView>>, ApiError> {
    let users = api.access.list_users();
    let views = users.iter().map(|user| UserLimitsView {
        user: user.name().to_owned(),
        value: object(api.access.user_limits(user.name()).iter()),
    });
    Ok(Json(views.filter(|view| !view.value.is_empty()).collect()))
}

/// The limits of a user. Takes an administrator.
#[utoipa::path(get, path = "/api/user-limits/{user}", tag = "management", params(UserPath),
    responses(
        (status = 200, description = "An item, or none where there are none",
            body = [UserLimitsView]),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such user", body = ErrorBody),
    ))]
pub(super) async fn of_user(
    State(api): State<Arc<Api>>,
    _: As<Administrator>,
    Path(path): Path<UserPath>,
) -> Result<Json<Vec<UserLimitsView>>, ApiError> {
    users::find(&api, &path.user)?;
    let value = object(api.access.user_limits(&path.user).iter());
    let view = UserLimitsView { user: path.user, value };
    Ok(Json(Some(view).into_iter().filter(|view| !view.value.is_empty()).collect()))
}

/// A limit of a user.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct UserLimitPath {
    /// The user.
    user: String,
    /// `max-connections` or `max-channels`.
    limit: String,
}

async fn set_user(
    api: &Api,
    caller: &Manager,
    path: UserLimitPath,
    value: Option<i64>,
) -> Result<StatusCode, ApiError> {
    caller.administer()?;
    users::find(api, &path.user)?;
    let mut limits = api.access.user_limits(&path.user);
    let limit = limits.get_mut(&path.limit);
    let limit =
        limit.ok_or_else(|| ApiError::bad_request(unknown(&path.limit, &UserLimits::NAMES)))?;
    *limit = value;
    let change = AccessChange::SetUserLimits { user: path.user, limits };
    change_access(api, caller.name(), change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets a limit of a user, for what is opened from now on. Takes an administrator.
#[utoipa::path(put, path = "/api/user-limits/{user}/{limit}", tag = "management", params(UserLimitPath),
    request_body = LimitRequest,
    responses(
        (status = 204, description = "Set"),
        (status = 400, description = "No such limit, or no number", body = ErrorBody),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such user", body = ErrorBody),
    ))]
pub(super) async fn put_user(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<UserLimitPath>,
    JsonBody(request): JsonBody<LimitRequest>,
) -> Result<StatusCode, ApiError> {
    set_user(&api, &caller, path, Some(request.value)).await
}

/// Takes a limit of a user away. Takes an administrator.
#[utoipa::path(delete, path = "/api/user-limits/{user}/{limit}", tag = "management", params(UserLimitPath),
    responses(
        (status = 204, description = "There is none any more"),
        (status = 400, description = "No such limit", body = ErrorBody),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such user", body = ErrorBody),
    ))]
pub(super) async fn delete_user(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<UserLimitPath>,
) -> Result<StatusCode, ApiError> {
    set_user(&api, &caller, path, None).await
}
