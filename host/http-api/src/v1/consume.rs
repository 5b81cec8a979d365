//! The long poll.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use shunt_broker::Shard;
use shunt_broker::queue::Settlement;
use shunt_types::{AmqpError, QueueId};

use super::held::{Held, take};
use super::message::{AckMode, MessageView};
use super::subscribe::{Purpose, Subscription};
use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Path, Query};
use crate::json::PayloadEncoding;
use crate::limits::{MESSAGES_PER_ANSWER_MAX, POLL_WAIT_MAX_S};
use crate::server::Api;
use crate::shards;

/// A queue.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct QueuePath {
    /// The virtual host, percent-encoded.
    pub(super) vhost: String,
    /// The queue.
    pub(super) queue: String,
}

/// How to poll.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct PollQuery {
    /// Most messages of the answer, up to 1000.
    #[serde(default = "one")]
    #[param(default = 1)]
    max: u32,
    /// Seconds to wait for a message, up to 300.
    #[serde(default)]
    #[param(default = 0)]
    wait: u64,
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

fn one() -> u32 {
    1
}

/// What a queue had at once.
enum First {
    Messages(Held),
    Nothing(Subscription),
}

/// Takes messages from a queue, and waits for one where there is none.
///
/// The answer comes with the first messages; it is empty when the time is over.
#[utoipa::path(get, path = "/v1/vhosts/{vhost}/queues/{queue}/messages", tag = "messages", params(QueuePath, PollQuery),
    responses(
        (status = 200, description = "The messages, in order", body = [MessageView]),
        (status = 400, description = "A wrong parameter", body = ErrorBody),
        (status = 403, description = "No permission to read", body = ErrorBody),
        (status = 404, description = "No such virtual host or queue", body = ErrorBody),
    ))]
pub(super) async fn poll(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(path): Path<QueuePath>,
    Query(query): Query<PollQuery>,
) -> Result<Json<Vec<MessageView>>, ApiError> {
    query.check()?;
    let queue = readable_queue(&caller, &path)?;
    let held = collect(&api, queue, query.max, query.wait).await?;
    let messages = match query.ack {
        AckMode::Auto => {
            let view =
                |taken: &super::Taken| MessageView::new(&taken.delivery, query.encoding, None);
            let views = held.iter().map(view).collect();
            held.settle(Settlement::Ack);
            views
        }
        AckMode::Manual => {
            let granted = api.leases.grant(caller.name(), None, held)?.into_iter();
            let view = |(taken, lease): (super::Taken, String)| {
                MessageView::new(&taken.delivery, query.encoding, Some(lease))
            };
            granted.map(view).collect()
        }
    };
    Ok(Json(messages))
}

impl PollQuery {
    fn check(&self) -> Result<(), ApiError> {
        if !(1..=MESSAGES_PER_ANSWER_MAX).contains(&self.max) {
            let reason = format!("max={} must be from 1 to {MESSAGES_PER_ANSWER_MAX}", self.max);
            return Err(ApiError::bad_request(reason));
        }
        if self.wait > POLL_WAIT_MAX_S {
            let reason = format!("wait={} must be from 0 to {POLL_WAIT_MAX_S} seconds", self.wait);
            return Err(ApiError::bad_request(reason));
        }
        Ok(())
    }
}

/// The queue, if the caller may read it.
pub(super) fn readable_queue(caller: &Caller, path: &QueuePath) -> Result<QueueId, ApiError> {
    let access = caller.enter(&path.vhost)?;
    access.read("queue", &path.queue)?;
    let topology = access.vhost.topology();
    let queue = topology.find_queue(&path.queue)?;
    queue.check_access(access.vhost.name(), None)?;
    Ok(queue.id)
}

async fn collect(api: &Arc<Api>, queue: QueueId, max: u32, wait_s: u64) -> Result<Held, ApiError> {
    let may_wait = wait_s > 0;
    let first = move |shard: &mut Shard| -> Result<First, AmqpError> {
        let held = take(shard, queue, max)?;
        if !held.is_empty() || !may_wait {
            return Ok(First::Messages(held));
        }
        let prefetch = u16::try_from(max).unwrap_or(u16::MAX);
        Subscription::begin(shard, queue, prefetch, Purpose::Poll).map(First::Nothing)
    };
    let mut subscription = match shards::on_shard(&api.broker, queue.shard(), first).await?? {
        First::Messages(held) => return Ok(held),
        First::Nothing(subscription) => subscription,
    };
    let mut held = tokio::select! {
        batch = subscription.next() => match batch {
            Some(held) => held,
            None => return Err(ApiError::not_found("the queue was deleted")),
        },
        () = tokio::time::sleep(Duration::from_secs(wait_s)) => Held::new(api.broker.clone()),
        () = api.stopping() => Held::new(api.broker.clone()),
    };
    // Messages may have come between the end of the wait and the end of the consumer.
    held.absorb(subscription.end().await?);
    Ok(held)
}
