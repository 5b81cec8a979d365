//! Settling leased messages.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use shunt_broker::Shard;
use shunt_broker::queue::Settlement;
use utoipa::ToSchema;

use super::consume::{QueuePath, readable_queue};
use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{JsonBody, Path};
use crate::server::Api;
use crate::shards;

/// Leases by what shall become of their messages.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SettleRequest {
    /// Done with.
    #[serde(default)]
    ack: Vec<String>,
    /// Back to the queue.
    #[serde(default)]
    requeue: Vec<String>,
    /// Not wanted: dead-lettered where the queue says so, else gone.
    #[serde(default)]
    reject: Vec<String>,
}

/// What was settled.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct SettleOutcome {
    /// How many were acknowledged.
    acked: u64,
    /// How many went back.
    requeued: u64,
    /// How many were rejected.
    rejected: u64,
    /// Leases that ran out, were settled before, or never were this user's for this queue.
    unknown: Vec<String>,
}

/// Settles messages that were taken with `ack=manual`.
#[utoipa::path(post, path = "/v1/vhosts/{vhost}/queues/{queue}/settle", tag = "messages", params(QueuePath),
    request_body = SettleRequest,
    responses(
        (status = 200, description = "What was settled, and which leases were unknown",
            body = SettleOutcome),
        (status = 400, description = "The body can't be used", body = ErrorBody),
        (status = 403, description = "No permission to read", body = ErrorBody),
        (status = 404, description = "No such virtual host or queue", body = ErrorBody),
    ))]
pub(super) async fn settle(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(path): Path<QueuePath>,
    JsonBody(request): JsonBody<SettleRequest>,
) -> Result<Json<SettleOutcome>, ApiError> {
    let queue = readable_queue(&caller, &path)?;
    let SettleRequest { ack, requeue, reject } = request;
    let asked =
        [(Settlement::Ack, ack), (Settlement::Requeue, requeue), (Settlement::Reject, reject)];
    let mut redeemed = Vec::new();
    let mut outcome = SettleOutcome::default();
    for (settlement, leases) in asked {
        for lease in leases {
            match api.leases.redeem(caller.name(), queue, &lease) {
                Some(delivery) => redeemed.push((delivery, settlement, lease)),
                None => outcome.unknown.push(lease),
            }
        }
    }
    let perform = move |shard: &mut Shard| {
        for (delivery, settlement, lease) in redeemed {
            if !shard.settle_now(queue, delivery, settlement) {
                outcome.unknown.push(lease);
                continue;
            }
            match settlement {
                Settlement::Ack => outcome.acked += 1,
                Settlement::Requeue => outcome.requeued += 1,
                Settlement::Reject => outcome.rejected += 1,
            }
        }
        outcome
    };
    shards::on_shard(&api.broker, queue.shard(), perform).await.map(Json)
}
