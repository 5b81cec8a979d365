//! What an exchange delayed is due: it is routed by that exchange and the bindings of now.

use shunt_routing::{Topology as _, delay_ms};
use shunt_types::{ExchangeId, Message, QueueId, Value};

use super::{PublishOptions, Shard};
use crate::Vhost;
use crate::queue::Dead;

impl Shard {
    /// Routes what fell due. It leaves its queue and enters the next ones in one record of the
    /// log, as a dead letter does. What nothing is bound for is dropped, and so is what an
    /// exchange delayed that is gone: it may still have been on its way when its queue went.
    pub(super) fn release(
        &mut self,
        queue: QueueId,
        vhost: &Vhost,
        exchange: ExchangeId,
        due: Vec<Dead>,
    ) {
        let topology = vhost.topology();
        let exchange = topology.exchange(exchange);
        for (Dead { left, .. }, message) in self.with_messages(queue, due) {
            match exchange.zip(undelayed(&message)) {
                Some((exchange, message)) => {
                    let options =
                        PublishOptions { topology: &topology, exchange, user: "", confirm: None };
                    self.publish_letter(&options, message, &[], left);
                }
                None => left.into_iter().for_each(|left| self.left_as_letter(left)),
            }
        }
    }
}

/// The message as consumers get it: its delay is negated, so that they see that it has waited and
/// no exchange lets it wait again.
fn undelayed(message: &Message) -> Option<Message> {
    let delay = -(delay_ms(message.properties())? as i64);
    let mut properties = message.properties().to_owned();
    let value = i32::try_from(delay).map_or(Value::I64(delay), Value::I32);
    properties.headers.get_or_insert_default().insert("x-delay", value);
    message.with_properties(&properties).ok()
}
