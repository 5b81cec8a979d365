//! The queue against a dumb second implementation, and its rules one by one.

mod model;
mod rules;
mod steps;

use shunt_types::{Message, Properties, QueueId, ShardId};

use super::{Queue, QueueSettings};

/// An empty queue at the beginning of time.
fn queue(settings: QueueSettings) -> Queue {
    Queue::new(QueueId::new(ShardId(0), 0, 1), settings, 0)
}

/// A message whose routing key is its name.
fn message(name: &str, properties: &Properties, body: &[u8]) -> Message {
    Message::build("", name, properties, body).unwrap()
}

fn plain(name: &str) -> Message {
    message(name, &Properties::default(), b"body")
}
