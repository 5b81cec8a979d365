//! Dead-lettering: a message that was rejected, expired or dropped is published again to its
//! queue's dead-letter exchange, with the headers that tell its story (`x-death` and its kin).

use shunt_types::limits::LOG_UNSYNCED_MAX;
use shunt_types::{AmqpError, FieldTable, Hidden, Message, QueueId, ShardId, Value};

use super::{PublishOptions, Shard, Slot, Task};
use crate::queue::{Dead, DeadLetterTarget, DeathReason};
use shunt_routing::Topology;

/// What is dead-lettered in one go, see [`Dead::work`], and in a flush beside what clients made it to: a
/// million that expire at once must not keep the shard from everything else.
pub(super) const BURIED_AT_ONCE: u64 = if cfg!(test) { 64 } else { 1_024 };

/// What is dead-lettered in a flush at most. Publishers wait for a shard that owes more by what clients
/// did, see [`Shard::behind`].
pub(super) const BURIED_BY_FLUSH_MAX: u64 = 32 * BURIED_AT_ONCE;

/// How long letters wait before they look again whether the log, or another shard, has caught up.
const LETTERS_WAIT_MS: u64 = 5;

impl Shard {
    /// Publishes some of what died in the queue that has waited longest for it, and no more than the flush
    /// has `left` for that; nothing yet before the first one. A letter may kill another message, and full
    /// queues that dead-letter into one another would keep a flush busy for ever. False where there is
    /// nothing more to do in this flush.
    pub(super) fn bury_next(&mut self, left: &mut Option<u64>) -> bool {
        let Some(&index) = self.with_letters.front() else { return false };
        if left.is_none() && self.letters_have_to_wait() {
            return false;
        }
        let by_flush = (BURIED_AT_ONCE + self.owed).min(BURIED_BY_FLUSH_MAX);
        let left = left.get_or_insert(by_flush);
        if *left == 0 {
            return false;
        }
        self.with_letters.pop_front();
        *left = left.saturating_sub(self.bury_dead(index, BURIED_AT_ONCE.min(*left)));
        let goes_on = self.note_letters(index);
        if let Some(Some(slot)) = self.slots.get_mut(index as usize) {
            slot.has_letters = goes_on;
            self.with_letters.extend(goes_on.then_some(index));
        }
        true
    }

    /// Whether letters would only fill memory: the disk is behind, or a shard to which they may go. No
    /// letter of that shard is waited for, so that two shards never wait for one another.
    fn letters_have_to_wait(&mut self) -> bool {
        let is_full = |shard| shard != self.id && self.broker.inbox(shard).is_full();
        let wait = self.broker.unsynced_log_bytes() > LOG_UNSYNCED_MAX
            || (0..self.broker.shard_count()).map(ShardId).any(is_full);
        if !wait {
            self.letters_wait_until_ms = None;
        } else if self.letters_wait_until_ms.is_none() {
            self.letters_wait_until_ms = Some(self.now_ms + LETTERS_WAIT_MS);
            self.broker.inbox(self.id).nudge();
        }
        wait
    }

    /// Takes note of how much in a queue is to be dead-lettered by what clients did; whether anything at
    /// all is, and can be now.
    pub(super) fn note_letters(&mut self, index: u32) -> bool {
        let Some(Some(slot)) = self.slots.get_mut(index as usize) else { return false };
        let can_go_on = slot.queue.has_buriable_dead(self.now_ms);
        let owed = if can_go_on { slot.queue.prompt_work() } else { 0 };
        self.owed = self.owed + owed - std::mem::replace(&mut slot.owed, owed);
        can_go_on
    }

    /// Has another flush go on with what this one left.
    pub(super) fn bury_later(&mut self) {
        let inbox = self.broker.inbox(self.id);
        if !self.with_letters.is_empty() && self.letters_wait_until_ms.is_none() {
            inbox.post(Task::Call(Box::new(|_| ())));
        }
        inbox.set_owes_letters(self.owed > BURIED_BY_FLUSH_MAX);
    }

    /// Publishes what died first in a queue, up to so much; answers what it was.
    fn bury_dead(&mut self, index: u32, work: u64) -> u64 {
        let Some(Some(slot)) = self.slots.get_mut(index as usize) else { return 0 };
        let dead = slot.queue.take_dead(work);
        let buried = dead.iter().map(Dead::work).sum();
        let id = slot.queue.id();
        match slot.queue.settings().delayed_for {
            Some(exchange) => {
                let vhost = slot.vhost.clone();
                self.release(id, &vhost, exchange, dead);
            }
            None => self.publish_letters(id, dead),
        }
        buried
    }

    /// Publishes dead messages of a queue. A missing dead-letter exchange, or one that leads nowhere,
    /// drops the message, as in RabbitMQ.
    fn publish_letters(&mut self, queue: QueueId, dead: Vec<Dead>) {
        let now_s = self.now_ms / 1000;
        let Some(slot) = self.slot(queue) else { return };
        let target = slot.queue.settings().dead_letter.clone();
        let name = slot.name.clone();
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
            return;
        };
        for (dead, message) in self.with_messages(queue, dead) {
            let Ok(message) = letter(&message, dead.reason, name.as_str(), &target, now_s) else {
                dead.left.into_iter().for_each(|left| self.left_as_letter(left));
                continue;
            };
            let visited = cycle(&message, &topology);
            let options = PublishOptions { topology: &topology, exchange, user: "", confirm: None };
            self.publish_letter(&options, message, &visited, dead.left);
        }
    }

    /// What waits in a queue to be dead-lettered, see [`Dead::work`].
    #[cfg(test)]
    pub(super) fn dead_work(&mut self, queue: QueueId) -> u64 {
        self.slot(queue).map_or(0, |slot| slot.queue.dead_work())
    }

    /// Publishes all that died in a queue, before the queue or its dead-letter target changes or goes; but
    /// for what the disk refuses to read now. A reject was dead-lettered when it came, in RabbitMQ.
    pub(super) fn bury_all(&mut self, index: u32) {
        let now_ms = self.now_ms;
        let has_dead = |slot: &Slot| slot.queue.has_buriable_dead(now_ms);
        while self.slots.get(index as usize).and_then(Option::as_deref).is_some_and(has_dead) {
            self.bury_dead(index, BURIED_AT_ONCE);
        }
        self.note_letters(index);
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
