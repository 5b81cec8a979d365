//! Consumer timeouts: who leaves a delivery unsettled for too long is ended, so that a stuck
//! consumer does not keep its messages for ever (RabbitMQ, `consumer_timeout`).

use std::sync::Arc;
use std::time::Duration;

use shunt_broker::QueueEntry;
use shunt_broker::queue::Settlement;
use shunt_types::{AmqpError, MethodId, QueueId, TableRef, Value};

use super::{Connection, Refused};
use crate::channel::ConsumerEntry;
use crate::channel::deliveries::{Overdue, Watched};

/// How many looks there are within the shortest timeout: how exactly it is kept.
const LOOKS_PER_TIMEOUT: u64 = 16;

/// Shortest and longest time between two looks, in milliseconds; RabbitMQ looks once a minute.
const BETWEEN_LOOKS_MS: std::ops::RangeInclusive<u64> = 50..=60_000;

/// The argument of a queue or of a consumer that says another time, in milliseconds.
const ARGUMENT: &str = "x-consumer-timeout";

/// The longest that it may say: RabbitMQ's ten years.
const TIMEOUT_MAX_MS: i64 = 315_360_000_000;

impl Connection {
    /// Time to the next look for what is overdue.
    pub(super) fn until_look(&self) -> Duration {
        let (min, max) = BETWEEN_LOOKS_MS.into_inner();
        Duration::from_millis((self.timeout_shortest_ms / LOOKS_PER_TIMEOUT).clamp(min, max))
    }

    /// Ends consumers that leave a delivery unsettled for too long, and closes channels where no
    /// consumer can be ended: the client would not understand it, or it fetched the message.
    pub(super) async fn end_overdue(&mut self) {
        self.refresh_topology();
        let now_ms = self.context.broker.now_ms();
        let default_ms = self.default_timeout_ms();
        let mut all_overdue = Vec::new();
        for (&number, channel) in &self.channels {
            if channel.is_closing {
                continue;
            }
            let consumers = channel.shared.consumers.borrow();
            let overdue = channel.shared.deliveries.borrow_mut().look_for_overdue(
                (now_ms, default_ms),
                |watched| self.timeout_of(watched),
                |queue| consumers.values().any(|entry| entry.queue.id == queue),
            );
            all_overdue.extend(overdue.into_iter().map(|overdue| (number, overdue)));
        }
        for (number, Overdue { queue, timeout_ms }) in all_overdue {
            match self.end_consumers(number, queue).await {
                Ok(true) => {}
                Ok(false) => {
                    let text = format!(
                        "delivery acknowledgement on channel {number} timed out. Timeout value \
                         used: {timeout_ms} ms. This timeout value can be configured, see \
                         consumers doc guide to learn more"
                    );
                    self.fail(number, AmqpError::precondition_failed(text), MethodId::default());
                }
                // The node is stopping.
                Err(_) => return,
            }
        }
        self.end_batch();
    }

    /// Ends the channel's consumers of a queue, tells the client, and sends back what the channel
    /// holds of that queue (RabbitMQ 4.3). Answers whether there was one.
    async fn end_consumers(&mut self, number: u16, queue: QueueId) -> Result<bool, Refused> {
        let Some(channel) = self.channels.get(&number).map(|channel| channel.shared.clone()) else {
            return Ok(true);
        };
        let of_queue = |entry: &ConsumerEntry| entry.queue.id == queue;
        let consumers = channel.consumers.borrow().clone();
        let tags: Vec<_> = consumers.into_iter().filter(|(_, entry)| of_queue(entry)).collect();
        if tags.is_empty() || !self.shared.cancel_notify.get() {
            return Ok(false);
        }
        for (tag, entry) in tags {
            tracing::warn!(
                user = self.user.name(), vhost = %self.vhost.name(), channel = number,
                consumer = &*tag, queue = %entry.queue.definition.name,
                "a consumer is ended: it leaves a delivery unsettled for too long"
            );
            self.end_consumer(&channel, &tag).await?;
            self.shared.send_cancel(number, &tag);
        }
        let back = channel.deliveries.borrow_mut().take_back(queue);
        self.settle_all(back.into_iter().map(|unacked| (unacked, Settlement::Requeue)));
        self.let_go_on(&channel);
        Ok(true)
    }

    /// Notes that deliveries of a queue come to a channel, and the time that the consumer's
    /// arguments say.
    pub(super) fn note_timeout(
        &mut self,
        number: u16,
        queue: &Arc<QueueEntry>,
        consumer: TableRef<'_>,
    ) -> Result<(), AmqpError> {
        let of_consumer = match consumer.get(ARGUMENT) {
            None => None,
            Some(value) => {
                let allowed = 1..=TIMEOUT_MAX_MS;
                let timeout_ms = value.as_integer().filter(|ms| allowed.contains(ms));
                Some(timeout_ms.ok_or_else(|| {
                    AmqpError::precondition_failed(format!(
                        "invalid arg '{ARGUMENT}' for queue '{}' in vhost '{}': {}, must be 1 to \
                         {TIMEOUT_MAX_MS}",
                        queue.definition.name,
                        self.vhost.name(),
                        value.to_owned().shown(),
                    ))
                })?)
            }
        };
        let of_consumer = of_consumer.map(i64::cast_unsigned);
        let watched = Watched { queue: queue.clone(), of_consumer };
        if let Some(timeout_ms) = self.timeout_of(&watched) {
            self.timeout_shortest_ms = self.timeout_shortest_ms.min(timeout_ms);
        }
        if let Some(channel) = self.channels.get(&number) {
            channel.shared.deliveries.borrow_mut().watch(queue, of_consumer);
        }
        Ok(())
    }

    /// The time that a queue's deliveries may take where it is not the node's: the consumer's
    /// comes first, then the shorter one of the queue's argument and its policy.
    fn timeout_of(&self, watched: &Watched) -> Option<u64> {
        if watched.of_consumer.is_some() {
            return watched.of_consumer;
        }
        let definition = &watched.queue.definition;
        let policy = self.topology.policies().of_queue(definition.name.as_str());
        let settings = policy.settings();
        let by_policy = settings.get("consumer-timeout").and_then(Value::as_integer);
        let by_argument = definition.arguments.get(ARGUMENT).and_then(Value::as_integer);
        let timeouts = by_policy.into_iter().chain(by_argument);
        // A policy may say 0, which is none.
        timeouts.filter(|&ms| ms > 0).min().map(i64::cast_unsigned)
    }

    fn default_timeout_ms(&self) -> u64 {
        match self.context.settings.consumer_timeout_ms {
            0 => u64::MAX,
            timeout_ms => timeout_ms,
        }
    }
}
