//! What a client is told when its request can't be served: a status and `{"error","reason"}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shunt_routing::RouteFailure;
use shunt_types::{AmqpError, MessageError, NameError, ReplyCode};
use utoipa::ToSchema;

use crate::ports::RoutePortError;

/// The body of every answer that isn't a success.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// What kind of error, for programs.
    pub(crate) error: &'static str,
    /// What was wrong and where, for people.
    pub(crate) reason: String,
    /// Why a route failed, by the closed list of causes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<&'static str>,
    /// What the route or the host said about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// What an import had applied before it failed, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) applied: Option<Vec<String>>,
}

/// A refusal.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) body: ErrorBody,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, error: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { status, body: ErrorBody { error, reason, cause: None, detail: None, applied: None } }
    }

    pub(crate) fn bad_request(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", reason)
    }

    pub(crate) fn not_found(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Object Not Found", reason)
    }

    /// 401: who asks is unknown, or, as RabbitMQ's management has it, may not do this.
    pub(crate) fn not_authorised(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_authorised", reason)
    }

    /// 403: who asks is known and may not do this.
    pub(crate) fn forbidden(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "access_refused", reason)
    }

    pub(crate) fn too_large(what: &str, max: u64) -> Self {
        let reason = format!("{what} is larger than the limit of {max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", reason)
    }

    pub(crate) fn unroutable(exchange: &str, routing_key: &str) -> Self {
        let reason = format!(
            "no queue is bound to exchange '{exchange}' for routing key '{routing_key}', and the \
             message is mandatory"
        );
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unroutable", reason)
    }

    pub(crate) fn not_confirmed(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_confirmed", reason)
    }

    pub(crate) fn route_failed(failure: RouteFailure) -> Self {
        let RouteFailure { exchange, failure } = failure;
        let reason = format!("the route of exchange '{exchange}' failed: {failure}");
        let mut error = Self::not_confirmed(reason);
        error.body.cause = Some(failure.cause.name());
        error.body.detail = Some(failure.detail);
        error
    }

    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", reason)
    }

    /// The error of an AMQP operation as RabbitMQ's management answers it: a refused access is
    /// 401 there.
    pub(crate) fn management(error: AmqpError) -> Self {
        match error.code {
            ReplyCode::AccessRefused => Self::not_authorised(error.explanation),
            _ => error.into(),
        }
    }
}

impl From<AmqpError> for ApiError {
    fn from(error: AmqpError) -> Self {
        match error.code {
            ReplyCode::AccessRefused => Self::forbidden(error.explanation),
            ReplyCode::NotFound => Self::not_found(error.explanation),
            ReplyCode::InternalError => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", error.explanation)
            }
            _ => Self::bad_request(error.explanation),
        }
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<MessageError> for ApiError {
    fn from(error: MessageError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<RoutePortError> for ApiError {
    fn from(error: RoutePortError) -> Self {
        let reason = error.to_string();
        match error {
            RoutePortError::NotFound(_) => Self::not_found(reason),
            RoutePortError::Invalid(_) => Self::bad_request(reason),
            RoutePortError::Conflict(_) => Self::new(StatusCode::CONFLICT, "conflict", reason),
            RoutePortError::TooLarge(_) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", reason)
            }
            RoutePortError::NotPermitted(_) => Self::forbidden(reason),
            RoutePortError::Internal(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", reason)
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let challenge = self.status == StatusCode::UNAUTHORIZED;
        let mut response = (self.status, Json(self.body)).into_response();
        if challenge {
            let basic = HeaderValue::from_static("Basic realm=\"Shunt\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
        }
        response
    }
}
