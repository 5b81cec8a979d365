//! The way from this front door's threads to the shards, which own the queues.

use std::collections::HashMap;

use shunt_broker::ports::Position;
use shunt_broker::queue::QueueStats;
use shunt_broker::{Broker, Shard, Task};
use shunt_types::{QueueId, ShardId};
use tokio::sync::oneshot;

use crate::error::ApiError;

/// Runs `call` on a shard's thread. It runs even if nobody waits for its answer any more.
pub(crate) async fn on_shard<R: Send + 'static>(
    broker: &Broker,
    shard: ShardId,
    call: impl FnOnce(&mut Shard) -> R + Send + 'static,
) -> Result<R, ApiError> {
    post(broker, shard, call).await.map_err(|_| stopping())
}

/// As [`on_shard`], for who wants to post several before waiting.
fn post<R: Send + 'static>(
    broker: &Broker,
    shard: ShardId,
    call: impl FnOnce(&mut Shard) -> R + Send + 'static,
) -> oneshot::Receiver<R> {
    let (sender, receiver) = oneshot::channel();
    broker.inbox(shard).post(Task::Call(Box::new(move |shard| {
        // What comes back unwanted ends here: its drop gives back what it holds.
        drop(sender.send(call(shard)));
    })));
    receiver
}

/// Runs what may take long, such as compiling a module, on a thread for such things.
pub(crate) async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| stopping())
}

/// Waits until the metadata log is on disk up to `position`.
pub(crate) async fn durable(broker: &Broker, position: Position) -> Result<(), ApiError> {
    let (sender, receiver) = oneshot::channel();
    broker.when_durable(position, Box::new(move |outcome| drop(sender.send(outcome))));
    settled(receiver).await
}

/// Waits for what a log says to a change.
pub(crate) async fn settled(
    receiver: oneshot::Receiver<Result<(), String>>,
) -> Result<(), ApiError> {
    match receiver.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(reason)) => Err(ApiError::unavailable(format!("it can't be logged: {reason}"))),
        Err(_) => Err(stopping()),
    }
}

/// Waits until every shard has run what was posted to it before.
pub(crate) async fn caught_up(broker: &Broker) -> Result<(), ApiError> {
    let shards = (0..broker.shard_count()).map(ShardId);
    let asked: Vec<_> = shards.map(|shard| post(broker, shard, |_| ())).collect();
    for answer in asked {
        answer.await.map_err(|_| stopping())?;
    }
    Ok(())
}

/// Counts and state of one queue; `None` when it is gone.
pub(crate) async fn queue_stats(
    broker: &Broker,
    queue: QueueId,
) -> Result<Option<QueueStats>, ApiError> {
    on_shard(broker, queue.shard(), move |shard| shard.queue_stats(queue)).await
}

/// Counts and state of every queue of the node.
pub(crate) async fn all_queue_stats(
    broker: &Broker,
) -> Result<HashMap<QueueId, QueueStats>, ApiError> {
    let shards = (0..broker.shard_count()).map(ShardId);
    let asked: Vec<_> =
        shards.map(|shard| post(broker, shard, |shard| shard.all_queue_stats())).collect();
    let mut all = HashMap::new();
    for answer in asked {
        all.extend(answer.await.map_err(|_| stopping())?);
    }
    Ok(all)
}

fn stopping() -> ApiError {
    ApiError::unavailable("the node is stopping")
}
