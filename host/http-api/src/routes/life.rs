//! Taking a version back, taking one away, and a route's log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{RoutePath, ask};
use crate::auth::{As, Manager, PolicyMaker};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Path, Query};
use crate::limits::{ROUTE_LOG_LINES, ROUTE_LOG_LINES_MAX};
use crate::ports::{RouteLogPage, RouteView};
use crate::server::Api;

pub(super) fn endpoints() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(rollback))
        .routes(routes!(remove_version))
        .routes(routes!(module))
        .routes(routes!(logs))
}

/// Puts the version in force again that was before, by one atomic step. Takes the tag policymaker
/// or administrator.
#[utoipa::path(post, path = "/api/routes/{vhost}/{name}/rollback", tag = "routes", params(RoutePath),
    responses(
        (status = 200, description = "The route as it is now", body = RouteView),
        (status = 401, description = "The tag is missing", body = ErrorBody),
        (status = 404, description = "No such route", body = ErrorBody),
        (status = 409, description = "No version was active before, or it can't run",
            body = ErrorBody),
    ))]
async fn rollback(
    State(api): State<Arc<Api>>,
    caller: As<PolicyMaker>,
    Path(path): Path<RoutePath>,
) -> Result<Json<RouteView>, ApiError> {
    caller.look_into(&path.vhost)?;
    ask(&api, move |routes| routes.rollback(&path.vhost, &path.name)).await.map(Json)
}

/// A version of a route.
#[derive(Deserialize, utoipa::IntoParams)]
struct VersionPath {
    /// The virtual host, percent-encoded.
    vhost: String,
    /// The route.
    name: String,
    /// The version's number.
    version: u32,
}

/// Takes a version away that doesn't decide. Takes the tag policymaker or administrator.
#[utoipa::path(delete, path = "/api/routes/{vhost}/{name}/versions/{version}", tag = "routes",
    params(VersionPath),
    responses(
        (status = 204, description = "Removed"),
        (status = 401, description = "The tag is missing", body = ErrorBody),
        (status = 404, description = "No such route or version", body = ErrorBody),
        (status = 409, description = "The version is active", body = ErrorBody),
    ))]
async fn remove_version(
    State(api): State<Arc<Api>>,
    caller: As<PolicyMaker>,
    Path(path): Path<VersionPath>,
) -> Result<StatusCode, ApiError> {
    caller.look_into(&path.vhost)?;
    let remove = move |routes: &dyn crate::ports::RoutesPort| {
        routes.remove_version(&path.vhost, &path.name, path.version)
    };
    ask(&api, remove).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The module of a version, as it was uploaded. Takes the tag policymaker or administrator.
#[utoipa::path(get, path = "/api/routes/{vhost}/{name}/versions/{version}/module", tag = "routes",
    params(VersionPath),
    responses(
        (status = 200, description = "The module", body = Vec<u8>,
            content_type = "application/wasm"),
        (status = 401, description = "The tag is missing", body = ErrorBody),
        (status = 404, description = "No such route or version", body = ErrorBody),
        (status = 409, description = "The module's file can't be read", body = ErrorBody),
    ))]
async fn module(
    State(api): State<Arc<Api>>,
    caller: As<PolicyMaker>,
    Path(path): Path<VersionPath>,
) -> Result<impl IntoResponse, ApiError> {
    caller.look_into(&path.vhost)?;
    let read = move |routes: &dyn crate::ports::RoutesPort| {
        routes.module(&path.vhost, &path.name, path.version)
    };
    let bytes = ask(&api, read).await?;
    Ok(([(header::CONTENT_TYPE, "application/wasm")], bytes))
}

/// Which lines are wanted.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    /// Only lines after the one of this number: `next` of the answer before.
    #[serde(default)]
    after: u64,
    /// At most so many lines, the newest of them; 1000 at most.
    #[serde(default = "log_lines")]
    #[param(default = 100)]
    limit: usize,
}

fn log_lines() -> usize {
    ROUTE_LOG_LINES
}

/// What a route logged: the lines that are kept, or those after a number. Ask again with `next`
/// to follow it.
#[utoipa::path(get, path = "/api/routes/{vhost}/{name}/logs", tag = "routes",
    params(RoutePath, LogQuery),
    responses(
        (status = 200, description = "Lines in their order", body = RouteLogPage),
        (status = 400, description = "A wrong parameter", body = ErrorBody),
        (status = 404, description = "No such route", body = ErrorBody),
    ))]
async fn logs(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<RoutePath>,
    Query(query): Query<LogQuery>,
) -> Result<Json<RouteLogPage>, ApiError> {
    caller.look_into(&path.vhost)?;
    if !(1..=ROUTE_LOG_LINES_MAX).contains(&query.limit) {
        let reason = format!("limit={} must be from 1 to {ROUTE_LOG_LINES_MAX}", query.limit);
        return Err(ApiError::bad_request(reason));
    }
    let ask_logs = move |routes: &dyn crate::ports::RoutesPort| {
        routes.logs(&path.vhost, &path.name, query.after, query.limit)
    };
    ask(&api, ask_logs).await.map(Json)
}
