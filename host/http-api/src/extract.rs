//! The parts of a request, with refusals that say what was wrong and where.

use std::error::Error;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{header, request::Parts};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::error::ApiError;
use crate::json;
use crate::limits::JSON_BODY_MAX;

/// The variables in a path, percent-decoded.
pub(crate) struct Path<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(inner)| Self(inner))
            .map_err(|rejection| ApiError::bad_request(rejection.body_text()))
    }
}

/// The query.
pub(crate) struct Query<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(inner)| Self(inner))
            .map_err(|rejection| ApiError::bad_request(rejection.body_text()))
    }
}

/// A body of JSON, whatever its content type says; an empty one is `{}`, as in RabbitMQ's
/// management.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T, S> FromRequest<S> for JsonBody<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let bytes = read_body(request, JSON_BODY_MAX, "the body").await?;
        let text: &[u8] = if bytes.trim_ascii().is_empty() { b"{}" } else { &bytes };
        json::parse(text).map(Self)
    }
}

/// Reads a body to its end.
///
/// # Errors
/// 413 where it is longer than `max`, 400 where it breaks off.
pub(crate) async fn read_body(request: Request, max: u64, what: &str) -> Result<Bytes, ApiError> {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(ApiError::too_large(what, max));
    }
    let body = request.into_body();
    let limited = Limited::new(body, usize::try_from(max).unwrap_or(usize::MAX));
    match limited.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(what, max)),
        Err(error) => Err(broken_off(error.as_ref())),
    }
}

/// The next piece of a body; `None` at its end.
pub(crate) async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>, ApiError> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(chunk) = frame.into_data() {
                    return Ok(Some(chunk));
                }
            }
            Some(Err(error)) => return Err(broken_off(&error)),
        }
    }
}

fn broken_off(error: &dyn Error) -> ApiError {
    ApiError::bad_request(format!("the body broke off: {error}"))
}
