//! Alarms: why publishers wait, and an operator's own reason.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use shunt_broker::Alarm;
use utoipa::ToSchema;

use crate::auth::{Administrator, As, Monitor};
use crate::error::{ApiError, ErrorBody};
use crate::extract::JsonBody;
use crate::server::Api;

/// What is on.
#[derive(Serialize, ToSchema)]
pub(super) struct AlarmsView {
    /// Memory is above its limit.
    memory: bool,
    /// Free disk is below its limit.
    disk: bool,
    /// An operator holds publishers back.
    operator: bool,
    /// What blocked clients are told.
    reason: Option<&'static str>,
}

/// An alarm, on or off.
#[derive(Deserialize, ToSchema)]
pub(super) struct AlarmState {
    /// Whether it is on.
    active: bool,
}

/// The alarms. While one is on, publishers wait and consumers go on.
#[utoipa::path(get, path = "/api/alarms", tag = "management",
    responses((status = 200, description = "What is on", body = AlarmsView)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    _: As<Monitor>,
) -> Result<Json<AlarmsView>, ApiError> {
    let alarms = api.broker.alarms();
    Ok(Json(AlarmsView {
        memory: alarms.is_low_on_memory(),
        disk: alarms.is_low_on_disk(),
        operator: alarms.is_held_by_operator(),
        reason: alarms.reason(),
    }))
}

/// Holds publishers back, or lets them go on; until the node restarts. Takes an administrator.
#[utoipa::path(put, path = "/api/alarms/operator", tag = "management", request_body = AlarmState,
    responses(
        (status = 204, description = "So it is"),
        (status = 401, description = "Not an administrator", body = ErrorBody),
    ))]
pub(super) async fn put_operator(
    State(api): State<Arc<Api>>,
    _: As<Administrator>,
    JsonBody(state): JsonBody<AlarmState>,
) -> Result<StatusCode, ApiError> {
    api.broker.set_alarm(Alarm::Operator, state.active);
    Ok(StatusCode::NO_CONTENT)
}
