//! Traces, replays, shadows and canaries.

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
use crate::extract::{JsonBody, Path, Query};
use crate::ports::{
    RouteCanaryRequest, RouteReplayRequest, RouteReplayView, RouteShadowRequest, RouteTraceRequest,
    RouteTraceView, RouteView, RoutesPort,
};
use crate::server::Api;

pub(super) fn endpoints() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(start_trace, trace, stop_trace))
        .routes(routes!(download_trace))
        .routes(routes!(replay))
        .routes(routes!(start_shadow, end_shadow))
        .routes(routes!(start_canary, end_canary))
}

/// Begins to record the declared header fields of a route's messages, in the place of an older
/// trace. Takes the tag policymaker or administrator.
#[utoipa::path(put, path = "/api/routes/{vhost}/{name}/trace", tag = "routes", params(RoutePath),
    request_body = RouteTraceRequest,
    responses(
        (status = 201, description = "It is recorded", body = RouteTraceView),
        (status = 400, description = "A wrong setting", body = ErrorBody),
        (status = 401, description = "The tag is missing", body = ErrorBody),
        (status = 404, description = "No such route", body = ErrorBody),
        (status = 409, description = "One is being recorded", body = ErrorBody),
    ))]
async fn start_trace(
    State(api): State<Arc<Api>>,
    caller: As<PolicyMaker>,
    Path(path): Path<RoutePath>,
    JsonBody(request): JsonBody<RouteTraceRequest>,
) -> Result<(StatusCode, Json<RouteTraceView>), ApiError> {
    caller.look_into(&path.vhost)?;
    let start = move |routes: &dyn RoutesPort| {
        routes.start_trace(&path.vhost, &path.name, request)?;
        routes.trace(&path.vhost, &path.name)
    };
    let view = ask(&api, start).await?.ok_or_else(no_trace)?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// How the trace of a route is doing.
#[utoipa::path(get, path = "/api/routes/{vhost}/{name}/trace", tag = "routes", params(RoutePath),
    responses(
        (status = 200, description = "The trace", body = RouteTraceView),
        (status = 404, description = "No such route, or no trace since the node started",
            body = ErrorBody),
    ))]
async fn trace(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<RoutePath>,
) -> Result<Json<RouteTraceView>, ApiError> {
    caller.look_into(&path.vhost)?;
    let view = ask(&api, move |routes| routes.trace(&path.vhost, &path.name)).await?;
    view.map(Json).ok_or_else(no_trace)
}

/// What becomes of what was recorded.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct StopQuery {
    /// Removes it.
    #[serde(default)]
    discard: bool,
}

/// Ends the recording. Takes the tag policymaker or administrator.
#[utoipa::path(delete, path = "/api/routes/{vhost}/{name}/trace", tag = "routes",
    params(RoutePath, StopQuery),
    responses(
        (status = 204, description = "Nothing is recorded"),
        (status = 401, description = "The tag is missing", body = ErrorBody),
        (status = 404, description = "No such route", body = ErrorBody),
    ))]
async fn stop_trace(
    State(api): State<Arc<Api>>,
    caller: As<PolicyMaker>,
    Path(path): Path<RoutePath>,
    Query(query): Query<StopQuery>,
) -> Result<StatusCode, ApiError> {
    caller.look_into(&path.vhost)?;
    let stop =
        move |routes: &dyn RoutesPort| routes.stop_trace(&path.vhost, &path.name, query.discard);
    ask(&api, stop).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The bytes of a trace, for `shunt route replay`. Takes the tag policymaker or administrator.
#[utoipa::path(get, path = "/api/routes/{vhost}/{name}/trace/download", tag = "routes",
    params(RoutePath),
    responses(
        (status = 200, description = "The trace", body = Vec<u8>,
            content_type = "application/octet-stream"),
        (status = 401, description = "The tag is missing", body = ErrorBody),
        (status = 404, description = "No such route, or nothing recorded", body = ErrorBody),
    ))]
async fn download_trace(
    State(api): State<Arc<Api>>,
    caller: As<PolicyMaker>,
    Path(path): Path<RoutePath>,
) -> Result<impl IntoResponse, ApiError> {
    caller.look_into(&path.vhost)?;
    let bytes = ask(&api, move |routes| routes.read_trace(&path.vhost, &path.name)).await?;
    if bytes.is_empty() {
        return Err(no_trace());
    }
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes))
}

fn no_trace() -> ApiError {
    ApiError::not_found(
        "there is no trace of this route: begin one by PUT, or `shunt route trace start`",
    )
}

/// Lets two versions decide about the recorded messages. Takes the tag policymaker or
/// administrator.
#[utoipa::path(post, path = "/api/routes/{vhost}/{name}/replay", tag = "routes", params(RoutePath),
    request_body = RouteReplayRequest,
    responses(
        (status = 200, description = "What would change", body = RouteReplayView),
        (status = 400, description = "A version reads what was not recorded", body = ErrorBody),
        (status = 401, description = "The tag is missing", body = ErrorBody),
        (status = 404, description = "No such route or version, or nothing recorded",
            body = ErrorBody),
    ))]
async fn replay(
    State(api): State<Arc<Api>>,
    caller: As<PolicyMaker>,
    Path(path): Path<RoutePath>,
    JsonBody(request): JsonBody<RouteReplayRequest>,
) -> Result<Json<RouteReplayView>, ApiError> {
    caller.look_into(&path.vhost)?;
    ask(&api, move |routes| routes.replay(&path.vhost, &path.name, request)).await.map(Json)
}

/// Lets a version run beside the active one, which alone delivers. Takes the tag policymaker or
/// administrator.
#[utoipa::path(put, path = "/api/routes/{vhost}/{name}/shadow", tag = "routes", params(RoutePath),
    request_body = RouteShadowRequest,
    responses(
        (status = 200, description = "The route as it is now", body = RouteView),
        (status = 400, description = "A wrong setting", body = ErrorBody),
        (status = 401, description = "The tag is missing", body = ErrorBody),
        (status = 404, description = "No such route or version", body = ErrorBody),
        (status = 409, description = "There is a candidate, or the version is active",
            body = ErrorBody),
    ))]
async fn start_shadow(
    State(api): State<Arc<Api>>,
    caller: As<PolicyMaker>,
    Path(path): Path<RoutePath>,
    JsonBody(request): JsonBody<RouteShadowRequest>,
) -> Result<Json<RouteView>, ApiError> {
    caller.look_into(&path.vhost)?;
    ask(&api, move |routes| routes.start_shadow(&path.vhost, &path.name, request)).await.map(Json)
}

/// Ends a shadow. Takes the tag policymaker or administrator.
#[utoipa::path(delete, path = "/api/routes/{vhost}/{name}/shadow", tag = "routes",
    params(RoutePath),
    responses(
        (status = 200, description = "The route as it is now", body = RouteView),
        (status = 401, description = "The tag is missing", body = ErrorBody),
        (status = 404, description = "No such route, or no shadow", body = ErrorBody),
    ))]
async fn end_shadow(
    State(api): State<Arc<Api>>,
    caller: As<PolicyMaker>,
    Path(path): Path<RoutePath>,
) -> Result<Json<RouteView>, ApiError> {
    end(api, caller, path, "shadow").await
}

/// Gives a version a part of the messages, and more of them step by step. Takes the tag
/// policymaker or administrator.
#[utoipa::path(put, path = "/api/routes/{vhost}/{name}/canary", tag = "routes", params(RoutePath),
    request_body = RouteCanaryRequest,
    responses(
        (status = 200, description = "The route as it is now", body = RouteView),
        (status = 400, description = "A wrong setting", body = ErrorBody),
        (status = 401, description = "The tag is missing", body = ErrorBody),
        (status = 404, description = "No such route or version", body = ErrorBody),
        (status = 409, description = "There is a candidate, or the version is active",
            body = ErrorBody),
    ))]
async fn start_canary(
    State(api): State<Arc<Api>>,
    caller: As<PolicyMaker>,
    Path(path): Path<RoutePath>,
    JsonBody(request): JsonBody<RouteCanaryRequest>,
) -> Result<Json<RouteView>, ApiError> {
    caller.look_into(&path.vhost)?;
    ask(&api, move |routes| routes.start_canary(&path.vhost, &path.name, request)).await.map(Json)
}

/// Takes a canary back. Takes the tag policymaker or administrator.
#[utoipa::path(delete, path = "/api/routes/{vhost}/{name}/canary", tag = "routes",
    params(RoutePath),
    responses(
        (status = 200, description = "The route as it is now", body = RouteView),
        (status = 401, description = "The tag is missing", body = ErrorBody),
        (status = 404, description = "No such route, or no canary", body = ErrorBody),
    ))]
async fn end_canary(
    State(api): State<Arc<Api>>,
    caller: As<PolicyMaker>,
    Path(path): Path<RoutePath>,
) -> Result<Json<RouteView>, ApiError> {
    end(api, caller, path, "canary").await
}

async fn end(
    api: Arc<Api>,
    caller: As<PolicyMaker>,
    path: RoutePath,
    what: &'static str,
) -> Result<Json<RouteView>, ApiError> {
    caller.look_into(&path.vhost)?;
    let reason = format!("ended by user '{}'", caller.name());
    let end = move |routes: &dyn RoutesPort| {
        let view = routes.show(&path.vhost, &path.name)?;
        let is_there = if what == "shadow" { view.shadow.is_some() } else { view.canary.is_some() };
        if !is_there {
            let reason = format!("route '{}' has no {what}", path.name);
            return Err(crate::ports::RoutePortError::NotFound(reason));
        }
        routes.end_rollout(&path.vhost, &path.name, &reason)
    };
    ask(&api, end).await.map(Json)
}
