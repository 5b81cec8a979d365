//! Users. All of it takes an administrator.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use shunt_auth::{AccessChange, PasswordHash, User};
use utoipa::ToSchema;

use super::limits;
use super::listing::ListQuery;
use super::user_fields::{ReadPassword, UserFields};
use super::{begin_change, change_access, put_status};
use crate::auth::{Administrator, As};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{JsonBody, Path, Query};
use crate::json::JsonMap;
use crate::server::Api;
use crate::shards;

/// A user.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct UserPath {
    /// The user.
    pub(super) user: String,
}

/// A user.
#[derive(Serialize, ToSchema)]
pub(super) struct UserView {
    name: String,
    password_hash: String,
    hashing_algorithm: &'static str,
    tags: Vec<String>,
    #[schema(value_type = Object)]
    limits: JsonMap,
}

impl UserView {
    pub(super) fn new(api: &Api, user: &User) -> Self {
        let password = user.password();
        Self {
            name: user.name().to_owned(),
            password_hash: password.map(PasswordHash::to_base64).unwrap_or_default(),
            hashing_algorithm: password.map(PasswordHash::algorithm).unwrap_or_default().name(),
            tags: user.tags().to_vec(),
            limits: limits::object(api.access.user_limits(user.name()).iter()),
        }
    }
}

/// The user of that name.
pub(super) fn find(api: &Api, name: &str) -> Result<Arc<User>, ApiError> {
    api.access.user(name).ok_or_else(|| ApiError::not_found(format!("no user '{name}'")))
}

/// The users, with the hashes of their passwords. Takes an administrator.
#[utoipa::path(get, path = "/api/users", tag = "management", params(ListQuery),
    responses(
        (status = 200, description = "By name", body = [UserView]),
        (status = 400, description = "A parameter is wrong", body = ErrorBody),
        (status = 401, description = "Not an administrator", body = ErrorBody),
    ))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    _: As<Administrator>,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    query.answer(api.access.list_users().iter().map(|user| UserView::new(&api, user)).collect())
}

/// The users who may open no virtual host. Takes an administrator.
#[utoipa::path(get, path = "/api/users/without-permissions", tag = "management",
    responses(
        (status = 200, description = "By name", body = [UserView]),
        (status = 401, description = "Not an administrator", body = ErrorBody),
    ))]
pub(super) async fn without_permissions(
    State(api): State<Arc<Api>>,
    _: As<Administrator>,
) -> Result<Json<Vec<UserView>>, ApiError> {
    let permissions = api.access.list_permissions();
    let with: HashSet<&str> = permissions.iter().map(|entry| entry.user.as_str()).collect();
    let users = api.access.list_users();
    let without = users.iter().filter(|user| !with.contains(user.name()));
    Ok(Json(without.map(|user| UserView::new(&api, user)).collect()))
}

/// One user. Takes an administrator.
#[utoipa::path(get, path = "/api/users/{user}", tag = "management", params(UserPath),
    responses(
        (status = 200, description = "The user", body = UserView),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such user", body = ErrorBody),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    _: As<Administrator>,
    Path(path): Path<UserPath>,
) -> Result<Json<UserView>, ApiError> {
    Ok(Json(UserView::new(&api, &*find(&api, &path.user)?)))
}

/// Makes a user, or gives one another password and other tags; permissions stay. Takes an
/// administrator.
#[utoipa::path(put, path = "/api/users/{user}", tag = "management", params(UserPath),
    request_body = UserFields,
    responses(
        (status = 201, description = "Made"),
        (status = 204, description = "Changed"),
        (status = 400, description = "A field is wrong or missing", body = ErrorBody),
        (status = 401, description = "Not an administrator", body = ErrorBody),
    ))]
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    caller: As<Administrator>,
    Path(path): Path<UserPath>,
    JsonBody(fields): JsonBody<UserFields>,
) -> Result<StatusCode, ApiError> {
    let user = fields.read(&path.user).map_err(ApiError::bad_request)?;
    if let ReadPassword::Foreign(algorithm) = &user.password {
        return Err(ApiError::bad_request(format!(
            "'hashing_algorithm': '{algorithm}' is unknown; rabbit_password_hashing_sha256, \
             rabbit_password_hashing_sha512 and rabbit_password_hashing_md5 are known"
        )));
    }
    let created = api.access.user(&path.user).is_none();
    let password = user.password.into_hash();
    let change = AccessChange::PutUser { name: path.user, password, tags: user.tags };
    change_access(&api, caller.name(), change).await?;
    Ok(put_status(created))
}

/// Deletes a user with all permissions, at once: the next request and the next operation are
/// refused. Takes an administrator.
#[utoipa::path(delete, path = "/api/users/{user}", tag = "management", params(UserPath),
    responses(
        (status = 204, description = "Deleted"),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such user", body = ErrorBody),
    ))]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: As<Administrator>,
    Path(path): Path<UserPath>,
) -> Result<StatusCode, ApiError> {
    find(&api, &path.user)?;
    change_access(&api, caller.name(), AccessChange::DeleteUser { name: path.user }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Users by name.
#[derive(Deserialize, ToSchema)]
pub(super) struct BulkDeleteRequest {
    /// Their names; one that isn't there is deleted already.
    users: Vec<String>,
}

/// Deletes several users. Takes an administrator.
#[utoipa::path(post, path = "/api/users/bulk-delete", tag = "management",
    request_body = BulkDeleteRequest,
    responses(
        (status = 204, description = "Deleted"),
        (status = 400, description = "The body can't be used", body = ErrorBody),
        (status = 401, description = "Not an administrator", body = ErrorBody),
    ))]
pub(super) async fn bulk_delete(
    State(api): State<Arc<Api>>,
    caller: As<Administrator>,
    JsonBody(request): JsonBody<BulkDeleteRequest>,
) -> Result<StatusCode, ApiError> {
    let there = request.users.into_iter().filter(|name| api.access.user(name).is_some());
    let changes =
        there.map(|name| begin_change(&api, caller.name(), AccessChange::DeleteUser { name }));
    let changes: Vec<_> = changes.collect();
    for change in changes {
        shards::settled(change).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// A password.
#[derive(Deserialize, ToSchema)]
pub(super) struct PasswordRequest {
    /// The password.
    password: String,
}

/// A password's hash.
#[derive(Serialize, ToSchema)]
pub(super) struct HashedPassword {
    /// Salt and hash in base64.
    ok: String,
}

impl HashedPassword {
    fn of(password: &str) -> Json<Self> {
        Json(Self { ok: PasswordHash::new(password).to_base64() })
    }
}

/// Hashes a password, for `password_hash`. Takes an administrator.
#[utoipa::path(post, path = "/api/auth/hash_password", tag = "management",
    request_body = PasswordRequest,
    responses(
        (status = 200, description = "The hash", body = HashedPassword),
        (status = 400, description = "The body can't be used", body = ErrorBody),
        (status = 401, description = "Not an administrator", body = ErrorBody),
    ))]
pub(super) async fn hash_password(
    _: As<Administrator>,
    JsonBody(request): JsonBody<PasswordRequest>,
) -> Result<Json<HashedPassword>, ApiError> {
    Ok(HashedPassword::of(&request.password))
}

/// A password in a path.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct PasswordPath {
    /// The password, percent-encoded.
    password: String,
}

/// As the `POST`, for tools that know this one only: a password in a path may end in a log
/// between here and there. Takes an administrator.
#[utoipa::path(get, path = "/api/auth/hash_password/{password}", tag = "management",
    params(PasswordPath),
    responses(
        (status = 200, description = "The hash", body = HashedPassword),
        (status = 401, description = "Not an administrator", body = ErrorBody),
    ))]
pub(super) async fn hash_password_in_path(
    _: As<Administrator>,
    Path(path): Path<PasswordPath>,
) -> Result<Json<HashedPassword>, ApiError> {
    Ok(HashedPassword::of(&path.password))
}
