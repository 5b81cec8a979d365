//! Consuming by server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::Stream;
use serde::Deserialize;
use shunt_broker::Shard;
use shunt_broker::queue::Settlement;

use super::consume::{QueuePath, readable_queue};
use super::held::Held;
use super::lease::StreamId;
use super::message::{AckMode, MessageView};
use super::subscribe::{Purpose, Subscription};
use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Path, Query};
use crate::json::PayloadEncoding;
use crate::limits::{STREAM_KEEP_ALIVE_S, STREAM_PREFETCH, STREAM_PREFETCH_MAX};
use crate::server::Api;
use crate::shards;

/// How to consume.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamQuery {
    /// Messages that may be unsettled at a time, up to 10000.
    #[serde(default = "default_prefetch")]
    #[param(default = 100)]
    prefetch: u16,
    /// Who settles the messages: `auto`, the broker, when they go out (one on its way to a client
    /// that goes away is gone); `manual`, the client, by their leases.
    #[serde(default)]
    #[param(inline)]
    ack: AckMode,
    /// How bodies are written.
    #[serde(default)]
    #[param(inline)]
    encoding: PayloadEncoding,
}

fn default_prefetch() -> u16 {
    STREAM_PREFETCH
}

/// Consumes from a queue: each event's data is a message.
///
/// Messages that are not settled when the client goes away are redelivered. An event `end` says
/// why the broker ended the stream.
#[utoipa::path(get, path = "/v1/vhosts/{vhost}/queues/{queue}/stream", tag = "messages", params(QueuePath, StreamQuery),
    responses(
        (status = 200, description = "Server-sent events", body = MessageView,
            content_type = "text/event-stream"),
        (status = 400, description = "A wrong parameter", body = ErrorBody),
        (status = 403, description = "No permission to read, or somebody's exclusive use",
            body = ErrorBody),
        (status = 404, description = "No such virtual host or queue", body = ErrorBody),
    ))]
pub(super) async fn stream(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(path): Path<QueuePath>,
    Query(query): Query<StreamQuery>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let StreamQuery { prefetch, ack, encoding } = query;
    if !(1..=STREAM_PREFETCH_MAX).contains(&prefetch) {
        let reason = format!("prefetch={prefetch} must be from 1 to {STREAM_PREFETCH_MAX}");
        return Err(ApiError::bad_request(reason));
    }
    let queue = readable_queue(&caller, &path)?;
    let begin =
        move |shard: &mut Shard| Subscription::begin(shard, queue, prefetch, Purpose::Stream);
    let subscription = shards::on_shard(&api.broker, queue.shard(), begin).await??;
    let consuming = Consuming {
        id: api.leases.next_stream(),
        user: caller.name().to_owned(),
        held: Held::new(api.broker.clone()),
        written: Held::new(api.broker.clone()),
        subscription: Some(subscription),
        ack,
        encoding,
        api,
    };
    let events = futures_util::stream::unfold(consuming, |mut consuming| async move {
        consuming.next().await.map(|event| (Ok(event), consuming))
    });
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(STREAM_KEEP_ALIVE_S));
    Ok(Sse::new(events).keep_alive(keep_alive))
}

/// A client that consumes; its drop is the client's end.
struct Consuming {
    api: Arc<Api>,
    id: StreamId,
    user: String,
    ack: AckMode,
    encoding: PayloadEncoding,
    /// `None` when the stream has said why it ends.
    subscription: Option<Subscription>,
    /// What came and isn't written yet.
    held: Held,
    /// What was written and the broker has to acknowledge, with `ack=auto`.
    written: Held,
}

impl Consuming {
    async fn next(&mut self) -> Option<Event> {
        while self.held.is_empty() {
            // Only now, once a batch: the client has had the time to take what it was sent.
            self.written.take().settle(Settlement::Ack);
            let subscription = self.subscription.as_mut()?;
            tokio::select! {
                batch = subscription.next() => match batch {
                    Some(batch) => self.held.absorb(batch),
                    None => return Some(self.end("the queue was deleted")),
                },
                () = self.api.stopping() => return Some(self.end("the node is stopping")),
            }
        }
        let taken = self.held.pop()?;
        match self.ack {
            AckMode::Auto => {
                let event = event(&MessageView::new(&taken.delivery, self.encoding, None));
                self.written.push(taken);
                Some(event)
            }
            AckMode::Manual => {
                let mut one = Held::new(self.api.broker.clone());
                one.push(taken);
                match self.api.leases.grant(&self.user, Some(self.id), one) {
                    Ok(granted) => {
                        let (taken, lease) = granted.into_iter().next()?;
                        Some(event(&MessageView::new(&taken.delivery, self.encoding, Some(lease))))
                    }
                    Err(error) => Some(self.end(&error.body.reason)),
                }
            }
        }
    }

    /// The last event. The consumer goes at once; leases go on until the client goes.
    fn end(&mut self, reason: &str) -> Event {
        self.subscription = None;
        drop(self.held.take());
        let reason = serde_json::json!({ "reason": reason });
        Event::default().event("end").data(reason.to_string())
    }
}

impl Drop for Consuming {
    fn drop(&mut self) {
        // The consumer leaves first: it must not get again what it gives back.
        self.subscription = None;
        self.written.take().settle(Settlement::Ack);
        self.api.leases.release_stream(self.id);
    }
}

fn event(message: &MessageView) -> Event {
    // Compact JSON has no line break, which would end the data.
    Event::default().data(serde_json::to_string(message).unwrap_or_default())
}
