//! One connection: its reader, from the handshake to the last close.
//!
//! The reader takes what the socket has in one read, acts on every complete frame in it, then
//! ends the batch: confirms are written, the shard deals out what came in, other shards get
//! their share, the writer is woken. A method that needs another shard or the disk ends the batch
//! first, so that what was published before it is under way.

mod basic;
mod close;
mod direct_reply;
mod exchange;
mod handshake;
mod input;
mod lifetime;
mod methods;
mod permissions;
mod publish;
mod queue;
mod relocation;
mod settle;
mod timeouts;
mod tx;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use shunt_amqp_codec::method::{ConnectionBlocked, ConnectionUnblocked};
use shunt_amqp_codec::{
    FRAME_END, Frame, FrameKind, Method, MethodError, PublishHead, PublishSizes, WholePublish,
};
use shunt_auth::User;
use shunt_broker::ports::ConfirmSink;
use shunt_broker::{Actor, ConnectionId, ConnectionInfo, QueueEntry, Shard, Task, Topology, Vhost};
use shunt_types::limits::{self, LONG_BODY_MIN, READ_ON_MAX};
use shunt_types::{AmqpError, MessageBody, MethodId, ReplyCode, ShardId};

use crate::admission::Admitted;
use crate::channel::Channel;
use crate::channel::deliveries::Unacked;
use crate::shard_thread::ShardContext;
use crate::shared::Shared;
use input::{Input, LongBody};
pub(crate) use lifetime::{serve, serve_moved};
use permissions::Permissions;
use publish::Target;
pub(crate) use relocation::Moving;

/// Why the reader stops acting on a connection.
pub(crate) enum Stop {
    /// The socket is dropped without a word: the peer is gone, or RabbitMQ would say nothing
    /// either. The text is for the log.
    Drop(String),
    /// The handshake refused the client with a `connection.close`.
    Refuse(AmqpError, MethodId),
    /// Both sides said close.
    Closed,
    /// Another shard's thread goes on with it.
    Move(ShardId),
}

/// A connection that is open.
pub(crate) struct Connection {
    context: Arc<ShardContext>,
    shared: Rc<Shared>,
    shard: Rc<RefCell<Shard>>,
    id: ConnectionId,
    info: Arc<ConnectionInfo>,
    user: Arc<User>,
    vhost: Arc<Vhost>,
    /// Its place among the connections that there may be.
    admitted: Admitted,
    topology: Arc<Topology>,
    permissions: Permissions,
    channels: HashMap<u16, Channel>,
    channel_max: u16,
    /// Counts channels, for tokens that tell one from an earlier one of the same number.
    incarnation: u64,
    /// Counts consumers.
    next_serial: u64,
    exclusive_queues: Vec<Arc<QueueEntry>>,
    /// Other shards on which this connection has consumed, one bit each: deliveries from there
    /// may be on their way.
    consumed_from: u64,
    target: Option<Target>,
    confirm_sink: Arc<dyn ConfirmSink>,
    counts: publish::Counts,
    /// Shortest time that a delivery may wait for its settlement.
    timeout_shortest_ms: u64,
    /// Deliveries on their way from a channel's list to their queues; empty between methods.
    taken: Vec<Unacked>,
    /// A `connection.close` was sent: everything is dropped until its close-ok.
    is_closing: bool,
    /// A shard to be waited for, as of the last batch.
    behind: Option<ShardId>,
    /// When the socket is closed without it.
    close_deadline: tokio::time::Instant,
}

/// How often a blocked connection looks whether the alarm is over.
const ALARM_LOOK: Duration = Duration::from_millis(50);

/// How often a publisher that is faster than the disk or a shard looks whether it may go on.
const SLOW_LOOK: Duration = Duration::from_millis(1);

impl Connection {
    async fn run(&mut self, input: &mut Input) -> Stop {
        let mut shutdown = self.context.shutdown.clone();
        let mut look_for_ms = self.timeout_shortest_ms;
        let mut look = std::pin::pin!(tokio::time::sleep(self.until_look()));
        loop {
            if let Some(target) = self.shared.affinity.wish() {
                if self.can_move(target) {
                    return Stop::Move(target);
                }
                self.shared.affinity.stay();
            }
            let read = tokio::select! {
                read = async {
                    self.shared.has_room_for_answers().await;
                    input.read().await
                } => read,
                () = &mut look, if !self.is_closing => {
                    self.end_overdue().await;
                    look.as_mut().reset(tokio::time::Instant::now() + self.until_look());
                    continue;
                }
                reason = self.shared.closing_order.given(), if !self.is_closing => {
                    self.force_close(&reason);
                    continue;
                }
                _ = shutdown.wait_for(|&stop| stop), if !self.is_closing => {
                    self.force_close("broker forced connection closure with reason 'shutdown'");
                    continue;
                }
                () = tokio::time::sleep_until(self.close_deadline), if self.is_closing => {
                    return Stop::Drop("the client did not answer connection.close".into());
                }
            };
            let count = match read {
                Ok(0) => return Stop::Drop("client unexpectedly closed TCP connection".into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Stop::Drop(error.to_string()),
            };
            if self.vhost.is_deleted() && !self.is_closing {
                let text = format!("vhost '{}' is deleted", self.vhost.name());
                self.force_close(&text);
            }
            self.begin_batch();
            let received = self.counts.total();
            let stop = self.act_on_input(input, count).await;
            let has_published = self.counts.total() != received;
            if self.timeout_shortest_ms < look_for_ms {
                look_for_ms = self.timeout_shortest_ms;
                look.as_mut().reset(tokio::time::Instant::now() + self.until_look());
            }
            self.end_batch();
            if let Some(stop) = stop {
                return stop;
            }
            if has_published && !self.is_closing {
                self.wait_for_alarms(&mut shutdown).await;
                self.wait_for_log(&mut shutdown).await;
                self.wait_for_shard(&mut shutdown).await;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits while an alarm is on, with the client told if it wants to know. Only a connection
    /// that publishes waits; nothing is read from it meanwhile, not even acknowledgements, as in
    /// RabbitMQ.
    async fn wait_for_alarms(&mut self, shutdown: &mut tokio::sync::watch::Receiver<bool>) {
        let broker = self.context.broker.clone();
        let Some(reason) = broker.alarms().reason() else { return };
        let told = self.shared.blocked_notify.get();
        if told {
            self.shared.send(0, ConnectionBlocked { reason });
            self.shared.flush();
        }
        let is_on = || broker.alarms().reason().is_some();
        self.wait_while(ALARM_LOOK, shutdown, is_on).await;
        if told {
            self.shared.send(0, ConnectionUnblocked {});
            self.shared.flush();
        }
    }

    /// Waits while the log has much to write: a publisher that is faster than the disk would fill
    /// memory. Short enough that the client need not be told.
    async fn wait_for_log(&mut self, shutdown: &mut tokio::sync::watch::Receiver<bool>) {
        if !std::mem::take(&mut self.counts.has_persistent) {
            return;
        }
        let broker = self.context.broker.clone();
        let is_behind = || broker.unsynced_log_bytes() > limits::LOG_UNSYNCED_MAX;
        self.wait_while(SLOW_LOOK, shutdown, is_behind).await;
    }

    /// Waits while a shard that got messages of this connection has much to do: a publisher that is faster
    /// than the thread of its queues would fill memory.
    async fn wait_for_shard(&mut self, shutdown: &mut tokio::sync::watch::Receiver<bool>) {
        let Some(shard) = self.behind.take() else { return };
        let broker = self.context.broker.clone();
        self.wait_while(SLOW_LOOK, shutdown, || broker.inbox(shard).is_behind()).await;
    }

    /// Looks so often whether the client may be read from again; ends with the client or the node, too.
    /// What it says meanwhile, heartbeats too, is read afterwards.
    async fn wait_while(
        &self,
        look: Duration,
        shutdown: &mut tokio::sync::watch::Receiver<bool>,
        has_to_wait: impl Fn() -> bool,
    ) {
        while has_to_wait() && !self.shared.dead.get() {
            self.shared.is_blocked.set(true);
            tokio::select! {
                () = tokio::time::sleep(look) => {}
                _ = shutdown.wait_for(|&stop| stop) => break,
            }
        }
        self.shared.is_blocked.set(false);
    }

    /// Acts on `count` bytes that were read, and goes on reading where long bodies are sure to be
    /// there already: to wake other shards for each of them costs too much.
    async fn act_on_input(&mut self, input: &mut Input, count: usize) -> Option<Stop> {
        let mut read = count;
        loop {
            if input.is_body_there() {
                let (mut buffer, body) = (input.take(), input.take_body());
                let last_body = body.as_ref().map_or(0, |body| body.bytes.len());
                let consumed = body.map_or(0, |body| self.act_on_long_body(&mut buffer, body));
                let acted = self.act_on(&buffer, consumed, last_body).await;
                input.give_back(buffer, acted.consumed);
                if acted.stop.is_some() {
                    return acted.stop;
                }
                match acted.awaited {
                    Some(sizes) => input.await_body(sizes),
                    None => input.expect_long_body(acted.last_body >= LONG_BODY_MIN),
                }
            }
            if read >= READ_ON_MAX || self.is_closing {
                return None;
            }
            match input.read_on() {
                Some(count) => read += count,
                None => return None,
            }
        }
    }

    /// Publishes a body that was read to where it stays, while what stands before it and behind it
    /// is in `buffer`. Answers how many bytes of that it took: none where it has to be read frame
    /// by frame after all, for which the buffer gets the body.
    fn act_on_long_body(&mut self, buffer: &mut Vec<u8>, body: LongBody) -> usize {
        let LongBody { bytes, sizes } = body;
        if buffer.get(sizes.head) == Some(&FRAME_END)
            && let Some((head, _)) = PublishHead::parse(buffer, self.shared.frame_max.get())
            && let Some(channel) = self.takes_whole(&head, bytes.len())
        {
            self.publish_whole(&head, MessageBody::Shared(bytes.into()), channel);
            return sizes.head + 1;
        }
        buffer.splice(sizes.head..sizes.head, bytes);
        0
    }

    /// Acts on every complete frame behind the `consumed` bytes; the body of `last_body` bytes
    /// was in those.
    async fn act_on(&mut self, bytes: &[u8], mut consumed: usize, mut last_body: usize) -> Acted {
        let frame_max = self.shared.frame_max.get();
        loop {
            let rest = &bytes[consumed..];
            if let Some((WholePublish { head, body }, size)) = WholePublish::parse(rest, frame_max)
                && let Some(channel) = self.takes_whole(&head, body.len())
            {
                consumed += size;
                last_body = body.len();
                self.publish_whole(&head, MessageBody::Borrowed(body), channel);
                continue;
            }
            if let Some((head, sizes)) = PublishHead::parse(rest, frame_max)
                && sizes.body >= LONG_BODY_MIN
                && rest.len() <= sizes.head + sizes.body
                && self.takes_whole(&head, sizes.body).is_some()
            {
                return Acted { consumed, last_body, awaited: Some(sizes), stop: None };
            }
            match Frame::parse(&bytes[consumed..], frame_max) {
                Ok(None) => return Acted { consumed, last_body, awaited: None, stop: None },
                Ok(Some((frame, size))) => {
                    consumed += size;
                    if let Err(stop) = self.act_on_frame(frame).await {
                        return Acted { consumed, last_body, awaited: None, stop: Some(stop) };
                    }
                }
                Err(error) => {
                    // Where the next frame begins is not known any more.
                    consumed = bytes.len();
                    if !self.is_closing {
                        self.fail(0, AmqpError::from(error), MethodId::default());
                    }
                    return Acted { consumed, last_body, awaited: None, stop: None };
                }
            }
        }
    }

    async fn act_on_frame(&mut self, frame: Frame<'_>) -> Result<(), Stop> {
        let number = frame.channel;
        if self.is_closing {
            return close::answer_while_closing(&self.shared, frame);
        }
        let outcome = match frame.kind {
            FrameKind::Method => match Method::decode(frame.payload) {
                Ok(method) => {
                    let id = method.id();
                    return match self.act_on_method(number, method).await {
                        Ok(()) => Ok(()),
                        Err(Refused::Amqp(error)) => {
                            self.fail(number, error, id);
                            Ok(())
                        }
                        Err(Refused::Stop(stop)) => Err(stop),
                    };
                }
                Err(MethodError::Unknown(id)) => {
                    let MethodId { class, method } = id;
                    return Err(Stop::Drop(format!("unknown method {method} of class {class}")));
                }
                Err(error) => {
                    let id = match &error {
                        MethodError::Damaged { method, .. } => *method,
                        _ => MethodId::default(),
                    };
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    let text = [error.to_string(), source.unwrap_or_default()].join(": ");
                    self.fail(0, AmqpError::new(ReplyCode::FrameError, text), id);
                    return Ok(());
                }
            },
            FrameKind::Header | FrameKind::Body => self.act_on_content(frame),
            FrameKind::Heartbeat if number != 0 => Err(AmqpError::new(
                ReplyCode::UnexpectedFrame,
                format!("heartbeat on channel {number}"),
            )),
            FrameKind::Heartbeat => Ok(()),
        };
        if let Err(error) = outcome {
            self.fail(number, error, publish::METHOD);
        }
        Ok(())
    }

    /// Takes the time and the routing snapshot for what follows.
    fn begin_batch(&mut self) {
        self.shard.borrow_mut().tick();
        self.refresh_topology();
    }

    fn refresh_topology(&mut self) {
        let current = self.vhost.topology_cell().load();
        if !Arc::ptr_eq(&current, &self.topology) {
            self.topology = Arc::clone(&current);
            self.target = None;
        }
    }

    /// Sends off what the frames so far have brought about.
    fn end_batch(&mut self) {
        self.shared.write_confirms();
        let (own, posted_to);
        {
            let mut shard = self.shard.borrow_mut();
            shard.flush();
            // One read may end several batches.
            self.behind = shard.behind().or(self.behind);
            (own, posted_to) = (shard.id(), shard.posted_to());
        }
        self.shared.flush();
        self.note_batch(own, posted_to);
        let counters = self.context.broker.counters();
        self.counts.add_to(counters);
        counters.messages_confirmed.add(self.shared.confirmed.take());
    }

    /// Notes for which shards the batch was.
    fn note_batch(&self, own: ShardId, mut posted_to: u64) {
        if posted_to == 0 && self.counts.has_any() {
            self.shared.note_batch(own);
        }
        while posted_to != 0 {
            self.shared.note_batch(ShardId(posted_to.trailing_zeros() as u16));
            posted_to &= posted_to - 1;
        }
    }

    /// Who asks, for the broker.
    fn actor(&self) -> Actor<'_> {
        Actor { user: self.user.name(), connection: Some(self.id) }
    }

    /// Calls a shard, this one or another, and waits for its answer.
    async fn on_shard<R: Send + 'static>(
        &mut self,
        shard: ShardId,
        call: impl FnOnce(&mut Shard) -> R + Send + 'static,
    ) -> Result<R, AmqpError> {
        // What others have posted before, this client may have heard of.
        let is_first = self.context.broker.inbox(shard).is_empty();
        if is_first && shard == self.shard.borrow().id() {
            return Ok(call(&mut self.shard.borrow_mut()));
        }
        self.end_batch();
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.context.broker.inbox(shard).post(Task::Call(Box::new(move |shard| {
            // The connection may be gone; then nobody waits for the answer.
            let _ = answer.send(call(shard));
        })));
        let result = answered.await.map_err(|_| stopped());
        self.begin_batch();
        result
    }

    /// Waits until everything that this connection brought about so far, on any shard, is on
    /// disk.
    async fn messages_durable(&mut self) -> Result<(), AmqpError> {
        self.end_batch();
        let mut position = 0;
        for shard in 0..self.context.broker.shard_count() {
            let logged = self.on_shard(ShardId(shard), Shard::logged_position).await?;
            position = position.max(logged);
        }
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.context.broker.when_messages_durable(
            position,
            Box::new(move |result| {
                // The connection may be gone; then nobody waits for the answer.
                let _ = answer.send(result);
            }),
        );
        let result = answered.await.map_err(|_| stopped())?;
        self.begin_batch();
        result.map_err(|reason| AmqpError::new(ReplyCode::InternalError, reason))
    }

    /// Waits until the metadata log is on disk up to `position`.
    async fn durable(&mut self, position: shunt_broker::ports::Position) -> Result<(), AmqpError> {
        if position != Default::default() {
            self.end_batch();
            let (answer, answered) = tokio::sync::oneshot::channel();
            self.context.broker.when_durable(
                position,
                Box::new(move |result| {
                    let _ = answer.send(result);
                }),
            );
            let result = answered.await.map_err(|_| stopped())?;
            result.map_err(|reason| AmqpError::new(ReplyCode::InternalError, reason))?;
        }
        self.begin_batch();
        Ok(())
    }
}

/// What was done with bytes that came.
struct Acted {
    /// How many of them need not be kept.
    consumed: usize,
    /// The size of the last body that came in one piece.
    last_body: usize,
    /// The rest begins with a publish whose long body is under way.
    awaited: Option<PublishSizes>,
    stop: Option<Stop>,
}

/// Why a method was not carried out.
pub(crate) enum Refused {
    /// The client did something wrong, and is told.
    Amqp(AmqpError),
    /// The connection ends.
    Stop(Stop),
}

impl From<AmqpError> for Refused {
    fn from(error: AmqpError) -> Self {
        Self::Amqp(error)
    }
}

fn stopped() -> AmqpError {
    AmqpError::new(ReplyCode::InternalError, "the node is stopping")
}
