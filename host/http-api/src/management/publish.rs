//! Publishing by the management API.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ExchangePath;
use crate::auth::{Manager, as_management, exchange_name};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Path, read_body};
use crate::json::{self, JsonMap};
use crate::limits::LINE_OVERHEAD_MAX;
use crate::server::Api;
use crate::v1::{Attempt, Publishing};

/// A message.
#[derive(Deserialize, ToSchema)]
pub(super) struct PublishRequest {
    /// The routing key.
    routing_key: String,
    /// The basic properties, headers among them.
    #[schema(value_type = Object)]
    properties: JsonMap,
    /// The body.
    payload: String,
    /// How the body is written: `string` or `base64`.
    payload_encoding: String,
}

/// A message that was confirmed.
#[derive(Serialize, ToSchema)]
pub(super) struct PublishAnswer {
    /// Whether it reached a queue.
    routed: bool,
}

/// Publishes a message.
#[utoipa::path(post, path = "/api/exchanges/{vhost}/{exchange}/publish", tag = "management", params(ExchangePath),
    request_body = PublishRequest,
    responses(
        (status = 200, description = "Confirmed", body = PublishAnswer),
        (status = 400, description = "The body can't be used", body = ErrorBody),
        (status = 401, description = "No permission to write", body = ErrorBody),
        (status = 404, description = "No such exchange", body = ErrorBody),
        (status = 503, description = "Not confirmed", body = ErrorBody),
    ))]
pub(super) async fn publish(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<ExchangePath>,
    request: Request,
) -> Result<Json<PublishAnswer>, ApiError> {
    let access = caller.enter(&path.vhost)?;
    // Base64 takes four bytes for three.
    let body_max =
        api.settings.message_size_max.saturating_mul(2).saturating_add(LINE_OVERHEAD_MAX);
    let publishing = Publishing::begin(api, access.into_inner(), exchange_name(&path.exchange));
    let mut publishing = publishing.map_err(as_management)?;
    let request: PublishRequest = json::parse(&read_body(request, body_max, "the body").await?)?;
    let PublishRequest { routing_key, properties, payload, payload_encoding } = request;
    let properties = json::properties_from_json(&properties).map_err(ApiError::bad_request)?;
    let body = json::decode_payload(payload, &payload_encoding).map_err(ApiError::bad_request)?;
    let attempt = publishing.publish(0, &routing_key, &properties, body.into(), false);
    publishing.flush();
    let routed = match attempt {
        Attempt::Done(outcome) => outcome,
        Attempt::Pending => publishing.only_answer().await,
    };
    Ok(Json(PublishAnswer { routed: routed.map_err(as_management)? }))
}
