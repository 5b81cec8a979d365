//! Messages of a queue, for a person who looks.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use shunt_broker::queue::Settlement;
use utoipa::ToSchema;

use super::{QueuePath, queues, refused};
use crate::auth::Manager;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{JsonBody, Path};
use crate::json::{self, JsonMap, PayloadEncoding};
use crate::limits::MESSAGES_PER_ANSWER_MAX;
use crate::server::Api;
use crate::shards::on_shard;
use crate::v1::{Taken, take};

/// What to get.
#[derive(Deserialize, ToSchema)]
pub(super) struct GetRequest {
    /// Most messages of the answer.
    #[schema(value_type = u32)]
    count: Number,
    /// What becomes of the messages.
    ackmode: GetAckMode,
    /// How bodies are written.
    encoding: PayloadEncoding,
    /// Bytes after which a body is cut.
    #[schema(value_type = Option<u64>)]
    truncate: Option<Number>,
}

/// A number, or one in quotes, which tools write too.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

impl Number {
    fn get(&self, name: &str) -> Result<u64, ApiError> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Text(text) => text
                .parse()
                .map_err(|_| ApiError::bad_request(format!("{name} '{text}' is not an integer"))),
        }
    }
}

/// What becomes of messages that were got.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum GetAckMode {
    /// They stay in the queue, as redelivered.
    AckRequeueTrue,
    /// They stay in the queue, as redelivered.
    RejectRequeueTrue,
    /// They are gone.
    AckRequeueFalse,
    /// They are rejected: dead-lettered where the queue says so, else gone.
    RejectRequeueFalse,
}

impl GetAckMode {
    fn settlement(self) -> Settlement {
        match self {
            Self::AckRequeueTrue | Self::RejectRequeueTrue => Settlement::Requeue,
            Self::AckRequeueFalse => Settlement::Ack,
            Self::RejectRequeueFalse => Settlement::Reject,
        }
    }
}

/// A message.
#[derive(Serialize, ToSchema)]
pub(super) struct GotMessage {
    payload_bytes: u64,
    redelivered: bool,
    exchange: String,
    routing_key: String,
    message_count: u64,
    #[schema(value_type = Object)]
    properties: JsonMap,
    payload: String,
    payload_encoding: &'static str,
}

/// Gets messages from a queue.
#[utoipa::path(post, path = "/api/queues/{vhost}/{queue}/get", tag = "management", params(QueuePath),
    request_body = GetRequest,
    responses(
        (status = 200, description = "The messages, in order", body = [GotMessage]),
        (status = 400, description = "The body can't be used", body = ErrorBody),
        (status = 401, description = "No permission to read", body = ErrorBody),
        (status = 404, description = "No such queue", body = ErrorBody),
    ))]
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<QueuePath>,
    JsonBody(request): JsonBody<GetRequest>,
) -> Result<Json<Vec<GotMessage>>, ApiError> {
    let access = caller.enter(&path.vhost)?;
    let queue = queues::find(&access.vhost, &path.queue)?;
    access.read("queue", &path.queue)?;
    queue.check_access(access.vhost.name(), None).map_err(refused)?;
    let count = request.count.get("count")?;
    // RabbitMQ knows no bound; who asks for more gets as many as there are up to ours.
    let count = u32::try_from(count).unwrap_or(u32::MAX).min(MESSAGES_PER_ANSWER_MAX);
    let truncate = request.truncate.as_ref().map(|number| number.get("truncate")).transpose()?;
    let id = queue.id;
    let held = on_shard(&api.broker, id.shard(), move |shard| take(shard, id, count));
    let held = held.await?.map_err(refused)?;
    let view = |taken: &Taken| GotMessage::new(taken, request.encoding, truncate);
    let messages = held.iter().map(view).collect();
    held.settle(request.ackmode.settlement());
    Ok(Json(messages))
}

impl GotMessage {
    fn new(taken: &Taken, encoding: PayloadEncoding, truncate: Option<u64>) -> Self {
        let message = &taken.delivery.message;
        let body = message.body();
        let length = truncate.and_then(|length| usize::try_from(length).ok());
        let shown = &body[..length.unwrap_or(usize::MAX).min(body.len())];
        let (payload, payload_encoding) = json::encode_payload(shown, encoding);
        let mut properties = json::properties_to_json(message.properties());
        if let Some(headers) = json::headers_to_json(message.properties()) {
            properties.insert("headers".to_owned(), headers.into());
        }
        Self {
            payload_bytes: body.len() as u64,
            redelivered: taken.delivery.redelivered,
            exchange: message.exchange().to_owned(),
            routing_key: message.routing_key().to_owned(),
            message_count: taken.left,
            properties,
            payload,
            payload_encoding,
        }
    }
}
