//! Publishing one message, and the choice between one and many.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use shunt_types::limits::SHORT_STRING_MAX;
use shunt_types::{FieldTable, Properties, Value};
use utoipa::ToSchema;

use super::lines::{self, LineMessage, LineResult};
use super::publishing::{Attempt, Publishing};
use crate::auth::{Caller, exchange_name};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Path, Query, read_body};
use crate::json;
use crate::server::Api;

/// What the names of headers that become application headers begin with.
const HEADER_PREFIX: &str = "x-header-";
/// The content type of many messages, a line each.
const NDJSON: &str = "application/x-ndjson";

/// An exchange.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct ExchangePath {
    /// The virtual host, percent-encoded.
    vhost: String,
    /// The exchange; `amq.default` for the default exchange.
    exchange: String,
}

/// Routing key and properties. The content type and the content encoding come as headers.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct PublishQuery {
    /// The routing key; a line's own comes first.
    #[serde(default)]
    routing_key: String,
    /// Whether a message that reaches no queue is an error.
    #[serde(default)]
    mandatory: bool,
    /// 2 is persistent.
    delivery_mode: Option<u8>,
    /// The priority.
    priority: Option<u8>,
    /// The correlation id.
    correlation_id: Option<String>,
    /// The queue to reply to.
    reply_to: Option<String>,
    /// The time to live, in milliseconds.
    expiration: Option<String>,
    /// The message id.
    message_id: Option<String>,
    /// Unix time in seconds.
    timestamp: Option<u64>,
    /// The message's type.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The publisher's name; must be the caller's.
    user_id: Option<String>,
    /// The application's id.
    app_id: Option<String>,
    /// The content encoding, where the header of that name can't be used.
    content_encoding: Option<String>,
}

/// A message that was confirmed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Published {
    /// Whether it reached a queue.
    routed: bool,
}

/// Publishes a message, or many, and answers after the confirm.
///
/// The body is the message's body. A header `X-Header-NAME: value` becomes the application header
/// `name` (header names have no case). With `Content-Type: application/x-ndjson` each line is a
/// message, and the answer has one result a line in the same order; a line that can't be published
/// gives an error with its number, and the others go on.
#[utoipa::path(post, path = "/v1/vhosts/{vhost}/exchanges/{exchange}/messages", tag = "messages", params(ExchangePath, PublishQuery),
    request_body(content(
        (Vec<u8> = "*/*"),
        (LineMessage = "application/x-ndjson"),
    )),
    responses(
        (status = 200, description = "Confirmed", content(
            (Published = "application/json"),
            (LineResult = "application/x-ndjson"),
        )),
        (status = 400, description = "A wrong property", body = ErrorBody),
        (status = 403, description = "No permission to write", body = ErrorBody),
        (status = 404, description = "No such virtual host or exchange", body = ErrorBody),
        (status = 413, description = "The message is too large", body = ErrorBody),
        (status = 422, description = "Mandatory, and no queue was bound for it", body = ErrorBody),
        (status = 503, description = "Not confirmed: a route failed, or a queue refused it",
            body = ErrorBody),
    ))]
pub(super) async fn publish(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(path): Path<ExchangePath>,
    Query(query): Query<PublishQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    let access = caller.enter(&path.vhost)?;
    let body_size_max = api.settings.message_size_max;
    let mut publishing = Publishing::begin(api, access, exchange_name(&path.exchange))?;
    if is_ndjson(request.headers()) {
        return Ok(lines::publish(publishing, query, request, body_size_max));
    }
    let properties = query.properties(request.headers())?;
    let body = read_body(request, body_size_max, "the message").await?;
    let attempt = publishing.publish(0, &query.routing_key, &properties, body, query.mandatory);
    publishing.flush();
    let routed = match attempt {
        Attempt::Done(outcome) => outcome?,
        Attempt::Pending => publishing.only_answer().await?,
    };
    Ok(Json(Published { routed }).into_response())
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.map(|text| text.split(';').next().unwrap_or_default().trim());
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case(NDJSON))
}

impl PublishQuery {
    pub(super) fn routing_key(&self) -> &str {
        &self.routing_key
    }

    pub(super) fn mandatory(&self) -> bool {
        self.mandatory
    }

    /// The properties of a single message.
    fn properties(&self, headers: &HeaderMap) -> Result<Properties, ApiError> {
        let encoding = text_header(headers, header::CONTENT_ENCODING.as_str())?;
        let properties = Properties {
            content_type: text_header(headers, header::CONTENT_TYPE.as_str())?,
            content_encoding: self.content_encoding.clone().or(encoding),
            headers: application_headers(headers)?,
            ..self.common_properties()
        };
        json::check_properties(&properties).map_err(ApiError::bad_request)?;
        Ok(properties)
    }

    /// The properties that the query gives.
    pub(super) fn common_properties(&self) -> Properties {
        Properties {
            content_encoding: self.content_encoding.clone(),
            delivery_mode: self.delivery_mode,
            priority: self.priority,
            correlation_id: self.correlation_id.clone(),
            reply_to: self.reply_to.clone(),
            expiration: self.expiration.clone(),
            message_id: self.message_id.clone(),
            timestamp: self.timestamp,
            kind: self.kind.clone(),
            user_id: self.user_id.clone(),
            app_id: self.app_id.clone(),
            ..Properties::default()
        }
    }
}

fn text_header(headers: &HeaderMap, name: &str) -> Result<Option<String>, ApiError> {
    let text = headers.get(name).map(|value| std::str::from_utf8(value.as_bytes()));
    let text = text.transpose().map_err(|_| {
        ApiError::bad_request(format!("the value of the header '{name}' is not UTF-8"))
    })?;
    Ok(text.map(str::to_owned))
}

fn application_headers(headers: &HeaderMap) -> Result<Option<FieldTable>, ApiError> {
    let mut table = FieldTable::new();
    for name in headers.keys() {
        let Some(field) = name.as_str().strip_prefix(HEADER_PREFIX) else { continue };
        if field.is_empty() || field.len() > SHORT_STRING_MAX {
            let reason = format!("'{name}' must name a header of 1 to {SHORT_STRING_MAX} bytes");
            return Err(ApiError::bad_request(reason));
        }
        if headers.get_all(name).iter().count() > 1 {
            return Err(ApiError::bad_request(format!("the header '{name}' is given twice")));
        }
        if let Some(text) = text_header(headers, name.as_str())? {
            table.insert(field, Value::from(text));
        }
    }
    Ok((!table.is_empty()).then_some(table))
}
