//! Consumer timeouts: a channel that leaves a delivery unsettled for too long is closed, so that
//! a stuck consumer does not keep its messages for ever (RabbitMQ, `consumer_timeout`).

use std::time::Duration;

use shunt_broker::QueueEntry;
use shunt_types::{AmqpError, MethodId, TableRef};

use super::Connection;

/// How many looks there are within the shortest timeout: how exactly it is kept.
const LOOKS_PER_TIMEOUT: u64 = 16;

/// Shortest and longest time between two looks, in milliseconds; RabbitMQ looks once a minute.
const BETWEEN_LOOKS_MS: std::ops::RangeInclusive<u64> = 50..=60_000;

/// The argument of a queue or of a consumer that says another time, in milliseconds.
const ARGUMENT: &str = "x-consumer-timeout";

impl Connection {
    /// Time to the next look for what is overdue.
    pub(super) fn until_look(&self) -> Duration {
        let (min, max) = BETWEEN_LOOKS_MS.into_inner();
        Duration::from_millis((self.timeout_shortest_ms / LOOKS_PER_TIMEOUT).clamp(min, max))
    }

    /// Closes the channels that have an overdue delivery.
    pub(super) fn close_overdue_channels(&mut self) {
        let now_ms = self.context.broker.now_ms();
        let default_ms = self.default_timeout_ms();
        let overdue: Vec<(u16, u64)> = self
            .channels
            .iter()
            .filter(|(_, channel)| !channel.is_closing)
            .filter_map(|(&number, channel)| {
                let mut deliveries = channel.shared.deliveries.borrow_mut();
                Some((number, deliveries.look_for_overdue(now_ms, default_ms)?))
            })
            .collect();
        for (number, timeout_ms) in overdue {
            let text = format!(
                "delivery acknowledgement on channel {number} timed out. Timeout value used: \
                 {timeout_ms} ms. This timeout value can be configured, see consumers doc guide \
                 to learn more"
            );
            self.fail(number, AmqpError::precondition_failed(text), MethodId::default());
        }
        self.end_batch();
    }

    /// Notes the time that a queue's deliveries may take on a channel, where the consumer or the
    /// queue says another one than the node.
    pub(super) fn note_timeout(
        &mut self,
        number: u16,
        queue: &QueueEntry,
        consumer: TableRef<'_>,
    ) -> Result<(), AmqpError> {
        let of_consumer = match consumer.get(ARGUMENT) {
            None => None,
            Some(value) => Some(value.as_integer().filter(|&ms| ms > 0).ok_or_else(|| {
                AmqpError::precondition_failed(format!(
                    "invalid arg '{ARGUMENT}' for queue '{}' in vhost '{}': must be a number of \
                     milliseconds above 0",
                    queue.definition.name,
                    self.vhost.name()
                ))
            })?),
        };
        let of_queue = || queue.definition.arguments.get(ARGUMENT)?.as_integer();
        if let Some(timeout_ms) = of_consumer.or_else(of_queue)
            && let Some(channel) = self.channels.get(&number)
        {
            let timeout_ms = timeout_ms.cast_unsigned();
            channel.shared.deliveries.borrow_mut().timeouts.insert(queue.id, timeout_ms);
            self.timeout_shortest_ms = self.timeout_shortest_ms.min(timeout_ms);
        }
        Ok(())
    }

    fn default_timeout_ms(&self) -> u64 {
        match self.context.settings.consumer_timeout_ms {
            0 => u64::MAX,
            timeout_ms => timeout_ms,
        }
    }
}
