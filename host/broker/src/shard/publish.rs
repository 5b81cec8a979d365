//! A publish: from the exchange to the queues, on any thread.

use std::sync::Arc;

use shunt_routing::{Exchange, Header, RouteFailure, Topology as _, Walk};
use shunt_types::limits::MESSAGE_OVERHEAD;
use shunt_types::{AmqpError, FieldTable, Message, QueueId, ShardId, Value, ValueRef};
use smallvec::SmallVec;

use super::inbox::PublishItem;
use super::{Outbox, PublishBatch, Shard, Task};
use crate::broker::Broker;
use crate::durable::Left;
use crate::metadata::Topology;
use crate::ports::ConfirmSink;
use crate::queue::Enqueued;
use crate::replies::{Replies, Requester, is_reply_address};

/// What a publish needs beside the message.
#[derive(Clone, Copy)]
pub struct PublishOptions<'a> {
    /// The virtual host, as the publisher sees it now.
    pub topology: &'a Topology,
    /// The exchange.
    pub exchange: &'a Exchange,
    /// The user who publishes.
    pub user: &'a str,
    /// The publisher's token and where answers go, if it waits for a confirm.
    pub confirm: Option<(u64, &'a Arc<dyn ConfirmSink>)>,
}

/// What became of a publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    /// It is in at least one queue, or on its way there.
    Routed {
        /// Answers that are still to come, each with the publisher's token.
        pending: u32,
        /// Whether a queue has refused it already.
        rejected: bool,
    },
    /// No queue was bound for it.
    Unroutable,
    /// A route failed, and the exchange's policy keeps it from every queue.
    Failed(Box<RouteFailure>),
}

/// Puts messages into queues: at once into those of its own shard, by batch into the others.
pub trait Publisher {
    /// Routes one message and puts it into its queues.
    ///
    /// # Errors
    /// `PRECONDITION_FAILED` (406) where the headers `CC` or `BCC` are no arrays of texts. Boxed,
    /// since the answer to every message is handed through.
    fn publish(
        &mut self,
        options: &PublishOptions<'_>,
        message: Message,
    ) -> Result<PublishOutcome, Box<AmqpError>>;

    /// The queues that the last message was routed to.
    fn last_routed(&self) -> &[QueueId];

    /// The broker whose queues they are.
    fn broker(&self) -> &Broker;
}

/// What the walk found, before anything was put anywhere.
pub(super) enum Routed {
    /// To the queues in the walk, and to requesters.
    To(Copies),
    Nowhere,
    Failed(Box<RouteFailure>),
}

type Requesters = SmallVec<[Requester; 1]>;

/// What the queues that a walk found get.
pub(super) struct Copies {
    /// For those that are bound: the message, which may have been changed on the way.
    message: Message,
    /// For those in which it waits: the message as it was published, since that is what is
    /// routed then.
    original: Option<Message>,
    /// Who gets it as a reply (direct reply-to).
    requesters: Requesters,
}

impl Copies {
    /// Calls `dispatch` for each requester with the reply.
    fn each_reply(&self, mut dispatch: impl FnMut(Requester, Message)) {
        self.requesters.iter().for_each(|&to| dispatch(to, self.message.clone()));
    }

    /// Calls `put` for each queue with what it gets, those of the shard `home` first: what is
    /// written there can then be referred to from the others.
    pub(super) fn each(
        self,
        walk: &Walk,
        home: Option<ShardId>,
        mut put: impl FnMut(QueueId, Message),
    ) {
        if let (&[queue], None) = (walk.queues(), &self.original) {
            return put(queue, self.message);
        }
        for is_near in [true, false] {
            let here = |queue: &&QueueId| (Some(queue.shard()) == home) == is_near;
            if let Some(original) = &self.original {
                let waiting = walk.waiting().iter().filter(here);
                waiting.for_each(|&queue| put(queue, original.clone()));
            }
            let queues = walk.queues().iter().filter(here);
            queues.for_each(|&queue| put(queue, self.message.clone()));
        }
    }
}

impl Publisher for Shard {
    fn publish(
        &mut self,
        options: &PublishOptions<'_>,
        message: Message,
    ) -> Result<PublishOutcome, Box<AmqpError>> {
        let mut walk = self.walk.take().unwrap_or_default();
        let outcome = self.publish_by(&mut walk, options, message);
        self.walk = Some(walk);
        outcome
    }

    fn last_routed(&self) -> &[QueueId] {
        self.walk.as_ref().map_or(&[], |walk| walk.queues())
    }

    fn broker(&self) -> &Broker {
        &self.broker
    }
}

impl Shard {
    #[inline]
    fn publish_by(
        &mut self,
        walk: &mut Walk,
        options: &PublishOptions<'_>,
        message: Message,
    ) -> Result<PublishOutcome, Box<AmqpError>> {
        let (replies, now_ms) = (self.broker.replies(), self.now_ms);
        let mut beside = Beside::default();
        walk_from(walk, replies, now_ms, options, &message, &mut beside)?;
        if let (Some(queue), true) = (walk.only_queue(), beside.is_nothing()) {
            // Nearly every message: one queue gets it as it came.
            return Ok(match self.dispatch(queue, message, options) {
                None => PublishOutcome::Routed { pending: 1, rejected: false },
                Some(enqueued) => {
                    let rejected = enqueued == Enqueued::Rejected;
                    PublishOutcome::Routed { pending: 0, rejected }
                }
            });
        }
        let routed = routed(walk, message, beside)?;
        each_reply(&routed, |requester, message| self.dispatch_reply(requester, message));
        Ok(settle_outcome(walk, routed, Some(self.id), |queue, message| {
            self.dispatch(queue, message, options)
        }))
    }

    /// Publishes a dead letter to all queues but those in `except`.
    pub(super) fn publish_letter(
        &mut self,
        options: &PublishOptions<'_>,
        message: Message,
        except: &[QueueId],
        left: Option<Arc<Left>>,
    ) {
        let mut walk = self.walk.take().unwrap_or_default();
        let mut letters: SmallVec<[_; 1]> = SmallVec::new();
        match route(&mut walk, self.broker.replies(), self.now_ms, options, message) {
            Ok(Routed::To(copies)) => {
                copies.each_reply(|to, message| self.dispatch_reply(to, message));
                copies.each(&walk, Some(self.id), |queue, message| {
                    // It may have died there before.
                    if !except.contains(&queue) {
                        letters.push((queue, message));
                    }
                });
            }
            Ok(Routed::Failed(_)) => self.broker.counters().messages_route_failed.add(1),
            Ok(Routed::Nowhere) | Err(_) => {}
        }
        self.walk = Some(walk);
        if letters.is_empty() {
            return left.into_iter().for_each(|left| self.left_as_letter(left));
        }
        // Dealing writes what is journalled: none between the letters, so that they are one record.
        let here = letters.iter().map(|(queue, _)| *queue);
        let here: SmallVec<[_; 1]> = here.filter(|queue| queue.shard() == self.id).collect();
        for &queue in &here {
            self.deal_bounded(queue);
        }
        let shared = std::iter::repeat_n(left, letters.len());
        for ((queue, message), left) in letters.into_iter().zip(shared) {
            if queue.shard() == self.id {
                self.put(queue, message, None, None, left);
            } else {
                self.send(queue, message, None, left);
            }
        }
        for &queue in &here {
            self.deal_bounded(queue);
        }
    }

    #[inline]
    fn dispatch(
        &mut self,
        queue: QueueId,
        message: Message,
        options: &PublishOptions<'_>,
    ) -> Option<Enqueued> {
        if queue.shard() == self.id {
            return match self.enqueue(queue, message, options.confirm, None, None) {
                // The answer comes when it is on disk.
                Enqueued::Logged(_) => None,
                enqueued => Some(enqueued),
            };
        }
        self.send(queue, message, options.confirm, None);
        None
    }

    /// Sends a message to another shard's queue, with the record that this batch writes it in, if any.
    #[inline]
    fn send(
        &mut self,
        queue: QueueId,
        message: Message,
        confirm: Option<(u64, &Arc<dyn ConfirmSink>)>,
        left: Option<Arc<Left>>,
    ) {
        let shard = queue.shard().0;
        let outbox = &mut self.outboxes[usize::from(shard)];
        if self.log.journal.has_messages() {
            let copy = message.clone();
            let (batch, item) = outbox.publish(queue, message, confirm, left);
            self.log.journal.leaves(&copy, (shard, batch, item));
        } else {
            outbox.publish(queue, message, confirm, left);
        }
    }
}

impl Outbox {
    /// Adds a message; answers which item of which batch it is.
    pub(super) fn publish(
        &mut self,
        queue: QueueId,
        message: Message,
        confirm: Option<(u64, &Arc<dyn ConfirmSink>)>,
        left: Option<Arc<Left>>,
    ) -> (usize, usize) {
        let reply = confirm.map(|(_, sink)| sink);
        let same = self.publishes.last().is_some_and(|batch| match (&batch.reply, reply) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        });
        if !same {
            let (items, reply) = (Vec::new(), reply.cloned());
            self.publishes.push(PublishBatch { items, reply, bytes: 0 });
        }
        let batch = self.publishes.len() - 1;
        let PublishBatch { items, bytes, .. } = &mut self.publishes[batch];
        *bytes += message.memory() as u64 + MESSAGE_OVERHEAD;
        let token = confirm.map(|(token, _)| token);
        items.push(PublishItem { queue, message, token, left, written: None });
        (batch, items.len() - 1)
    }
}

/// A publisher on a thread without queues, such as one that serves HTTP.
pub struct RemotePublisher {
    broker: Arc<Broker>,
    walk: Walk,
    outboxes: Vec<Outbox>,
}

impl RemotePublisher {
    /// A publisher to the queues of `broker`.
    pub fn new(broker: Arc<Broker>) -> Self {
        let outboxes = (0..broker.shard_count()).map(|_| Outbox::default()).collect();
        let walk = Walk::seeded(broker.next_seed());
        Self { broker, walk, outboxes }
    }

    /// Sends off what was published since the last time.
    pub fn flush(&mut self) {
        flush_all(&self.broker, &mut self.outboxes);
    }
}

/// Posts what is collected to each shard.
pub(super) fn flush_all(broker: &Broker, outboxes: &mut [Outbox]) {
    for (shard, outbox) in outboxes.iter_mut().enumerate() {
        let inbox = broker.inbox(ShardId(shard as u16));
        if !outbox.publishes.is_empty() {
            inbox.post_publishes(std::mem::take(&mut outbox.publishes));
        }
        if !outbox.replies.is_empty() {
            inbox.post(Task::Replies(std::mem::take(&mut outbox.replies)));
        }
    }
}

impl Publisher for RemotePublisher {
    fn publish(
        &mut self,
        options: &PublishOptions<'_>,
        message: Message,
    ) -> Result<PublishOutcome, Box<AmqpError>> {
        let (replies, now_ms) = (self.broker.replies(), self.broker.now_ms());
        let routed = route(&mut self.walk, replies, now_ms, options, message)?;
        each_reply(&routed, |to, message| {
            self.outboxes[usize::from(to.shard.0)].replies.push((to.serial, message));
        });
        Ok(settle_outcome(&self.walk, routed, None, |queue, message| {
            self.outboxes[usize::from(queue.shard().0)].publish(
                queue,
                message,
                options.confirm,
                None,
            );
            None
        }))
    }

    fn last_routed(&self) -> &[QueueId] {
        self.walk.queues()
    }

    fn broker(&self) -> &Broker {
        &self.broker
    }
}

fn each_reply(routed: &Routed, dispatch: impl FnMut(Requester, Message)) {
    if let Routed::To(copies) = routed {
        copies.each_reply(dispatch);
    }
}

/// Puts the message into the queues that the walk found; those of the shard `home` come first, so
/// that the others can refer to the record that was written for them.
fn settle_outcome(
    walk: &Walk,
    routed: Routed,
    home: Option<ShardId>,
    mut dispatch: impl FnMut(QueueId, Message) -> Option<Enqueued>,
) -> PublishOutcome {
    let copies = match routed {
        Routed::To(copies) => copies,
        Routed::Nowhere => return PublishOutcome::Unroutable,
        Routed::Failed(failure) => return PublishOutcome::Failed(failure),
    };
    let mut pending = 0;
    let mut rejected = false;
    copies.each(walk, home, |queue, message| match dispatch(queue, message) {
        None => pending += 1,
        Some(enqueued) => rejected |= enqueued == Enqueued::Rejected,
    });
    PublishOutcome::Routed { pending, rejected }
}

pub(super) fn route(
    walk: &mut Walk,
    replies: &Replies,
    now_ms: u64,
    options: &PublishOptions<'_>,
    message: Message,
) -> Result<Routed, Box<AmqpError>> {
    let mut beside = Beside::default();
    walk_from(walk, replies, now_ms, options, &message, &mut beside)?;
    Ok(routed(walk, message, beside)?)
}

/// What a message has to do with beside the queues that the walk found.
#[derive(Default)]
struct Beside {
    /// It has a header `BCC`.
    has_bcc: bool,
    /// Whom it is a reply to.
    requesters: Requesters,
}

impl Beside {
    #[inline]
    fn is_nothing(&self) -> bool {
        !self.has_bcc && self.requesters.is_empty()
    }
}

/// Makes of a walk what is put where.
fn routed(walk: &Walk, message: Message, beside: Beside) -> Result<Routed, AmqpError> {
    let Beside { has_bcc, requesters } = beside;
    let original = (!walk.waiting().is_empty()).then(|| message.clone());
    let message = match walk.failure() {
        Some(failure) if !walk.is_diverted() => {
            return Ok(Routed::Failed(Box::new(failure.clone())));
        }
        _ if walk.queues().is_empty() && original.is_none() && requesters.is_empty() => {
            return Ok(Routed::Nowhere);
        }
        Some(failure) => annotated(&message, failure)?,
        None if has_bcc => without_bcc(&message)?,
        None => message,
    };
    Ok(Routed::To(Copies { message, original, requesters }))
}

/// Walks the exchanges, has those keep the message that do, and fills in `beside`, which is empty.
#[inline]
fn walk_from(
    walk: &mut Walk,
    replies: &Replies,
    now_ms: u64,
    options: &PublishOptions<'_>,
    message: &Message,
    beside: &mut Beside,
) -> Result<(), Box<AmqpError>> {
    let properties = message.properties();
    let mut keys: SmallVec<[&str; 4]> = SmallVec::new();
    keys.push(message.routing_key());
    // What has no header has nothing hidden either.
    if !properties.is_empty() {
        beside.has_bcc = sender_selected(message, &mut keys)?;
    }
    let header = Header {
        vhost: &options.topology.vhost,
        exchange: message.exchange(),
        routing_keys: &keys,
        properties,
        body_size: message.body_size() as u64,
        user: options.user,
        now_ms,
        random: walk.next_random(),
    };
    walk.resolve(options.topology, options.exchange, &header, options.confirm.is_some());
    // Only a key that names no queue can be a reply address.
    if options.exchange.name.is_default() && walk.queues().len() < keys.len() {
        let addresses = keys.iter().filter(|key| is_reply_address(key));
        beside.requesters.extend(addresses.filter_map(|address| replies.find(address)));
    }
    if !walk.retaining().is_empty() {
        let kept = if beside.has_bcc { without_bcc(message)? } else { message.clone() };
        let exchanges = walk.retaining().iter().filter_map(|&id| options.topology.exchange(id));
        for retention in exchanges.filter_map(|exchange| exchange.retention.as_ref()) {
            retention.retain(&kept, &keys);
        }
    }
    Ok(())
}

/// Adds the routing keys beside a message's own: those of its headers `CC` and `BCC`, and those of
/// a `BCC` that it had. Says whether there is a `BCC`, which no consumer may see.
pub(super) fn sender_selected<'a>(
    message: &'a Message,
    keys: &mut SmallVec<[&'a str; 4]>,
) -> Result<bool, AmqpError> {
    let hidden = message.hidden();
    if hidden.is_some_and(|hidden| hidden.own_key_only) {
        return Ok(false);
    }
    let mut has_bcc = false;
    for (name, value) in message.properties().headers().iter() {
        if name != "CC" && name != "BCC" {
            continue;
        }
        has_bcc |= name == "BCC";
        let ValueRef::Array(selected) = value else {
            return Err(unsupported_selection(name, value));
        };
        // What is no text is no key (RabbitMQ).
        keys.extend(selected.iter().filter_map(|key| key.as_text()));
    }
    keys.extend(hidden.iter().flat_map(|hidden| hidden.blind_keys.iter().map(String::as_str)));
    Ok(has_bcc)
}

fn unsupported_selection(name: &str, value: ValueRef<'_>) -> AmqpError {
    AmqpError::precondition_failed(format!(
        "invalid message: {{unacceptable_type_in_header,\"{name}\",{}}}, must be an array of longstr",
        value.to_owned().type_name()
    ))
}

/// The message as its queues get it: its blind keys stay with it, in case that it is
/// dead-lettered, and no consumer sees them.
fn without_bcc(message: &Message) -> Result<Message, AmqpError> {
    edited_headers(message, |_| {})
}

/// What the failure policy `alternate` adds, so that a consumer of the alternate exchange sees
/// why the message is there.
fn annotated(message: &Message, failure: &RouteFailure) -> Result<Message, AmqpError> {
    edited_headers(message, |headers| {
        headers.insert("x-route-error", Value::from(failure.failure.cause.name()));
        headers.insert("x-route-error-detail", Value::from(failure.failure.detail.as_str()));
        headers.insert("x-route-exchange", Value::from(failure.exchange.as_str()));
    })
}

/// The message with other headers, without `BCC` in any case.
fn edited_headers(
    message: &Message,
    edit: impl FnOnce(&mut FieldTable),
) -> Result<Message, AmqpError> {
    let mut properties = message.properties().to_owned();
    let mut hidden = message.hidden().cloned();
    let headers = properties.headers.get_or_insert_default();
    if let Some(Value::Array(keys)) = headers.remove("BCC") {
        let keys = keys.iter().filter_map(|key| key.as_text().map(str::to_owned));
        hidden.get_or_insert_default().blind_keys.extend(keys);
    }
    edit(headers);
    message
        .republished(message.exchange(), message.routing_key(), &properties, hidden)
        .map_err(|error| AmqpError::precondition_failed(error.to_string()))
}
