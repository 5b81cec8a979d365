//! Dead-lettering: a message that was rejected, expired or dropped is published again to its
//! queue's dead-letter exchange, with the headers that tell its story (`x-death` and its kin).

use shunt_types::{AmqpError, FieldTable, Hidden, Message, QueueId, Value};

use super::{PublishOptions, Shard, Task};
use crate::queue::{DeadLetterTarget, DeathReason};
use shunt_routing::Topology;

/// Dead messages that are published in one go; a million that expire at once must not keep the
/// shard from everything else.
const BURIED_AT_ONCE: usize = 1_024;

impl Shard {
    /// Publishes what died in a queue. A missing dead-letter exchange, or one that leads nowhere,
    /// drops the message, as in RabbitMQ.
    pub(super) fn bury_dead(&mut self, index: u32) {
        let now_s = self.now_ms / 1000;
        let Some(slot) = self.slots.get_mut(index as usize).and_then(Option::as_mut) else {
            return;
        };
        slot.has_letters = false;
        let dead = slot.queue.take_dead(BURIED_AT_ONCE);
        let (id, has_more) = (slot.queue.id(), slot.queue.has_dead());
        if let Some(exchange) = slot.queue.settings().delayed_for {
            let vhost = slot.vhost.clone();
            self.release(id, &vhost, exchange, dead);
            return self.bury_more(id, has_more);
        }
        let target = slot.queue.settings().dead_letter.clone();
        let queue = slot.name.clone();
        let topology = slot.vhost.topology();
        let exchange =
            |target: &DeadLetterTarget| topology.exchange_named(target.exchange.as_str());
        // A policy may have taken the target away since.
        let Some((target, exchange)) =
            target.and_then(|target| exchange(&target).map(|exchange| (target, exchange)))
        else {
            dead.into_iter().filter_map(|dead| dead.left).for_each(|left| {
                self.left_as_letter(left);
            });
            self.bury_more(id, has_more);
            return;
        };
        for (dead, message) in self.with_messages(id, dead) {
            let Ok(message) = letter(&message, dead.reason, queue.as_str(), &target, now_s) else {
                dead.left.into_iter().for_each(|left| self.left_as_letter(left));
                continue;
            };
            let visited = cycle(&message, &topology);
            let options = PublishOptions { topology: &topology, exchange, user: "", confirm: None };
            self.publish_letter(&options, message, &visited, dead.left);
        }
        self.bury_more(id, has_more);
    }

    fn bury_more(&self, queue: QueueId, has_more: bool) {
        if has_more {
            let more = Task::Call(Box::new(move |shard| shard.has_letters(queue)));
            self.broker.inbox(self.id).post(more);
        }
    }

    fn has_letters(&mut self, queue: QueueId) {
        let now_ms = self.now_ms;
        if let Some(slot) = self.slot(queue)
            && slot.queue.has_buriable_dead(now_ms)
            && !std::mem::replace(&mut slot.has_letters, true)
        {
            self.with_letters.push(queue.slot());
        }
    }
}

/// The message as the dead-letter exchange gets it.
fn letter(
    message: &Message,
    reason: DeathReason,
    queue: &str,
    target: &DeadLetterTarget,
    now_s: u64,
) -> Result<Message, AmqpError> {
    let mut properties = message.properties().to_owned();
    let expiration = properties.expiration.take();
    let before = message.hidden().cloned().unwrap_or_default();
    let headers = properties.headers.get_or_insert_default();
    // A history that a client made up is none (RabbitMQ since 4.0).
    let mut deaths = match headers.remove("x-death") {
        Some(Value::Array(deaths)) if before.has_died => deaths,
        _ => Vec::new(),
    };
    let reason = reason.name();
    let known = deaths.iter().position(|death| is_death(death, queue, reason));
    let death = match known.map(|index| deaths.remove(index)) {
        Some(Value::Table(mut death)) => {
            let count = death.get("count").and_then(Value::as_integer).unwrap_or(0);
            death.insert("count", Value::I64(count + 1));
            death
        }
        _ => {
            let mut death = FieldTable::new();
            death.insert("count", Value::I64(1));
            death.insert("reason", Value::from(reason));
            death.insert("queue", Value::from(queue));
            death.insert("time", Value::Timestamp(now_s));
            death.insert("exchange", Value::from(message.exchange()));
            death.insert("routing-keys", Value::Array(routing_keys(message, &before, headers)));
            if let Some(expiration) = expiration {
                death.insert("original-expiration", Value::from(expiration));
            }
            death
        }
    };
    deaths.insert(0, Value::Table(death));
    headers.insert("x-death", Value::Array(deaths));
    for (when, is_now) in [("first", !before.has_died), ("last", true)] {
        if is_now {
            let name = |what: &str| format!("x-{when}-death-{what}");
            headers.insert(name("reason"), Value::from(reason));
            headers.insert(name("queue"), Value::from(queue));
            headers.insert(name("exchange"), Value::from(message.exchange()));
        }
    }
    // A key of the queue's own stands for every other, from now on.
    let hidden = match target.routing_key {
        Some(_) => Hidden { own_key_only: true, has_died: true, ..Hidden::default() },
        None => Hidden { has_died: true, ..before },
    };
    let key = target.routing_key.as_deref().unwrap_or(message.routing_key());
    message
        .republished(target.exchange.as_str(), key, &properties, Some(hidden))
        .map_err(|error| AmqpError::precondition_failed(error.to_string()))
}

fn is_death(death: &Value, queue: &str, reason: &str) -> bool {
    let Value::Table(death) = death else { return false };
    let text = |name: &str| death.get(name).and_then(Value::as_text);
    text("queue") == Some(queue) && text("reason") == Some(reason)
}

/// The keys that a message was routed by, as its consumers may know them: its own and those of
/// `CC`.
fn routing_keys(message: &Message, hidden: &Hidden, headers: &FieldTable) -> Vec<Value> {
    let mut keys = vec![Value::from(message.routing_key())];
    if let (false, Some(Value::Array(more))) = (hidden.own_key_only, headers.get("CC")) {
        keys.extend(more.iter().filter(|key| key.as_text().is_some()).cloned());
    }
    keys
}

/// The queues that must not get the letter: it died there before, and nobody rejected it since,
/// so it would go round for ever (RabbitMQ, `rabbit_dead_letter`).
fn cycle(letter: &Message, topology: &crate::metadata::Topology) -> Vec<QueueId> {
    let Some(shunt_types::ValueRef::Array(deaths)) = letter.properties().header("x-death") else {
        return Vec::new();
    };
    let mut visited = Vec::new();
    for death in deaths.iter() {
        let shunt_types::ValueRef::Table(death) = death else { break };
        let text = |name: &str| death.get(name).and_then(|value| value.as_text());
        if text("reason") == Some("rejected") {
            break;
        }
        visited.extend(text("queue").and_then(|name| topology.queue(name)));
    }
    visited
}
