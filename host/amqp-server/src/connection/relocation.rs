//! Moving to another shard's thread: everything that is bound to this one is taken apart, and put together again there.
//!
//! Nothing is lost or changes its order on the way. What was published and settled is in its queue or posted
//! before the connection itself is posted, by way of the same inbox. What queues and the disk have to
//! say goes to the connection's mailbox, which moves along; consumers of queues of this shard get the sink
//! of a connection elsewhere first. What the writer has not written moves too.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use hashbrown::HashMap;
use shunt_auth::User;
use shunt_broker::{ConnectionId, ConnectionInfo, Consumer, QueueEntry, Task, Topology, Vhost};
use shunt_types::ShardId;

use super::input::Pending;
use super::lifetime::Link;
use super::permissions::Permissions;
use super::{Connection, Stop};
use crate::admission::{Admitted, ChannelPermit};
use crate::affinity::{Affinity, Moved};
use crate::channel::confirms::Confirms;
use crate::channel::content::Content;
use crate::channel::deliveries::Deliveries;
use crate::channel::{Channel, ChannelShared, ConsumerEntry, Mode};
use crate::mailbox::{Mailbox, RemoteSink, WINDOW};
use crate::output::OutputQueue;
use crate::shard_thread::Place;
use crate::shared::{ClosingOrder, RemoteConsumer, Shared};
use crate::sink::LocalSink;

/// A connection on its way from one shard to another.
pub(crate) struct Moving {
    socket: Socket,
    kept: Kept,
    channels: Vec<MovingChannel>,
    remote_consumers: Vec<MovingConsumer>,
    output: OutputQueue,
    /// Consumers that wait for room in the output.
    paused: Vec<Consumer>,
    mailbox: Arc<Mailbox>,
    closing_order: Arc<ClosingOrder>,
    frame_max: u32,
    heartbeat_s: u16,
    blocked_notify: bool,
    cancel_notify: bool,
    affinity: Moved,
}

/// The socket of a connection that moves.
pub(super) struct Socket {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: std::net::SocketAddr,
    pub(super) pending: Pending,
}

/// What [`Connection`] is made of, and no shard has to do with.
struct Kept {
    id: ConnectionId,
    info: Arc<ConnectionInfo>,
    user: Arc<User>,
    vhost: Arc<Vhost>,
    admitted: Admitted,
    topology: Arc<Topology>,
    channel_max: u16,
    incarnation: u64,
    next_serial: u64,
    exclusive_queues: Vec<Arc<QueueEntry>>,
    consumed_from: u64,
    timeout_shortest_ms: u64,
}

struct MovingChannel {
    number: u16,
    deliveries: Deliveries,
    confirms: Confirms,
    consumers: Vec<(Box<str>, ConsumerEntry)>,
    closed: bool,
    content: Content,
    is_closing: bool,
    last_queue: Option<String>,
    prefetch: u16,
    mode: Mode,
    permit: ChannelPermit,
}

/// A consumer whose queue is not where its connection was; channel and tag are those of the serial.
struct MovingConsumer {
    serial: u64,
    no_wait: bool,
    returning: bool,
    window_max: Arc<AtomicU32>,
}

impl Connection {
    /// Whether the connection may go to that shard now.
    pub(super) fn can_move(&self, target: ShardId) -> bool {
        let is_known = self.context.neighbours.handle(target).is_some();
        // Replies find their requester by the shard that it was on.
        let waits_for_replies = self.channels.values().any(|channel| channel.requester.is_some());
        let is_ending =
            self.is_closing || self.shared.dead.get() || *self.context.shutdown.borrow();
        is_known && !waits_for_replies && !is_ending && target != self.shard.borrow().id()
    }

    /// Hands the connection over to another shard.
    ///
    /// # Errors
    /// The connection, and why it has to end instead; its socket is closed.
    pub(super) async fn move_to(
        mut self,
        target: ShardId,
        link: Link,
    ) -> Result<(), (Box<Self>, Stop)> {
        self.leave_queues();
        self.shared.leaving.set(true);
        self.shared.leave.notify_one();
        let Link { peer, input, writer } = link;
        let written = writer.await;
        self.end_batch();
        if written.is_err() || self.shared.dead.get() {
            let stop = Stop::Drop("the client is gone".into());
            return Err((Box::new(self), stop));
        }
        let (stream, pending) = match input.give_up() {
            Ok(given_up) => given_up,
            Err(error) => return Err((Box::new(self), Stop::Drop(error.to_string()))),
        };
        tracing::debug!(%peer, shard = target.0, "connection moves");
        let context = self.context.clone();
        let moving = Box::new(self.take_apart(Socket { stream, peer, pending }));
        // Behind everything that this shard has for the other one.
        context.broker.clone().inbox(target).post(Task::Call(Box::new(move |_| {
            if let Some(handle) = context.neighbours.handle(target) {
                handle.take_over(moving);
            }
        })));
        Ok(())
    }

    /// Has the queues of this shard deliver to the mailbox.
    fn leave_queues(&mut self) {
        let own = self.shard.borrow().id();
        let mut remote = self.shared.remote_consumers.borrow_mut();
        for channel in self.shared.channels.borrow().values() {
            let consumers = channel.consumers.borrow();
            for (tag, entry) in &*consumers {
                let Some(consumer) = entry.consumer.filter(|c| c.queue.shard() == own) else {
                    continue;
                };
                if remote.contains_key(&entry.serial) {
                    continue;
                }
                let window_max = Arc::new(AtomicU32::new(WINDOW));
                let origin = self.shared.origin(channel.number);
                let mailbox = self.shared.mailbox.clone();
                let sink = RemoteSink::new(mailbox, entry.serial, window_max.clone(), origin);
                if self.shard.borrow_mut().replace_sink(consumer, Box::new(sink)) {
                    let (channel, tag) = (channel.clone(), tag.clone());
                    let (no_wait, returning) = Default::default();
                    let known = RemoteConsumer { channel, tag, no_wait, returning, window_max };
                    remote.insert(entry.serial, known);
                    self.consumed_from |= 1 << own.0;
                }
            }
        }
    }

    /// Has the queues of this shard write into the output, where nothing is on its way from them.
    fn join_queues(&self) {
        self.shared.open_mail();
        let own = self.shard.borrow().id();
        self.shared.remote_consumers.borrow_mut().retain(|_, known| {
            let consumers = known.channel.consumers.borrow();
            let consumer = consumers.get(&known.tag).and_then(|entry| entry.consumer);
            let Some(consumer) = consumer.filter(|c| c.queue.shard() == own) else { return true };
            if known.returning.get() {
                return true;
            }
            let (shared, channel) = (self.shared.clone(), known.channel.clone());
            let sink = LocalSink { shared, channel, tag: known.tag.clone(), shard: own };
            !self.shard.borrow_mut().replace_sink(consumer, Box::new(sink))
        });
    }

    fn take_apart(self, socket: Socket) -> Moving {
        let Self {
            shared,
            id,
            info,
            user,
            vhost,
            admitted,
            topology,
            channels,
            channel_max,
            incarnation,
            next_serial,
            exclusive_queues,
            consumed_from,
            timeout_shortest_ms,
            ..
        } = self;
        let remote_consumers = shared.remote_consumers.take().into_iter();
        let remote_consumers = remote_consumers.map(|(serial, known)| MovingConsumer {
            serial,
            no_wait: known.no_wait,
            returning: known.returning.get(),
            window_max: known.window_max,
        });
        let moving = Moving {
            socket,
            kept: Kept {
                id,
                info,
                user,
                vhost,
                admitted,
                topology,
                channel_max,
                incarnation,
                next_serial,
                exclusive_queues,
                consumed_from,
                timeout_shortest_ms,
            },
            channels: channels.into_values().map(Channel::take_apart).collect(),
            remote_consumers: remote_consumers.collect(),
            output: shared.out.borrow_mut().take(),
            paused: shared.paused.take(),
            mailbox: shared.mailbox.clone(),
            closing_order: shared.closing_order.clone(),
            frame_max: shared.frame_max.get(),
            heartbeat_s: shared.heartbeat_s.get(),
            blocked_notify: shared.blocked_notify.get(),
            cancel_notify: shared.cancel_notify.get(),
            affinity: shared.affinity.moved(),
        };
        shared.channels.borrow_mut().clear();
        moving
    }
}

impl Channel {
    fn take_apart(self) -> MovingChannel {
        let Self { shared, content, is_closing, last_queue, prefetch, mode, permit, .. } = self;
        let consumers = shared.consumers.take().into_iter();
        MovingChannel {
            number: shared.number,
            deliveries: shared.deliveries.take(),
            confirms: shared.confirms.replace(Confirms::new(shared.number, 0)),
            consumers: consumers.map(|(tag, entry)| ((&*tag).into(), entry)).collect(),
            closed: shared.closed.get(),
            content,
            is_closing,
            last_queue,
            prefetch,
            mode,
            permit,
        }
    }
}

impl MovingChannel {
    fn put_together(self) -> Channel {
        let consumers = self.consumers.into_iter().map(|(tag, entry)| (tag.into(), entry));
        let consumers: HashMap<Rc<str>, _> = consumers.collect();
        Channel {
            shared: Rc::new(ChannelShared {
                number: self.number,
                deliveries: self.deliveries.into(),
                confirms: self.confirms.into(),
                consumers: consumers.into(),
                closed: self.closed.into(),
            }),
            content: self.content,
            is_closing: self.is_closing,
            last_queue: self.last_queue,
            prefetch: self.prefetch,
            mode: self.mode,
            permit: self.permit,
            requester: None,
        }
    }
}

impl Moving {
    /// Puts the connection together on its new shard.
    pub(super) fn settle_on(self: Box<Self>, place: &Place) -> (Connection, Socket) {
        let Self { kept, socket, .. } = *self;
        let own = place.shard.borrow().id();
        let context = &place.context;
        let (moves, neighbours) = (context.settings.moves, context.neighbours.clone());
        let affinity = Affinity::new(own, moves, neighbours, Some(self.affinity));
        let shared = Shared::reached_by(place, affinity, self.mailbox, self.closing_order);
        shared.frame_max.set(self.frame_max);
        shared.heartbeat_s.set(self.heartbeat_s);
        shared.blocked_notify.set(self.blocked_notify);
        shared.cancel_notify.set(self.cancel_notify);
        shared.info.get_or_init(|| kept.info.clone());
        *shared.out.borrow_mut() = self.output;
        *shared.paused.borrow_mut() = self.paused;
        let channels = self.channels.into_iter().map(MovingChannel::put_together);
        let channels = channels.map(|channel| (channel.shared.number, channel)).collect();
        let connection = Connection {
            confirm_sink: shared.mailbox.clone(),
            permissions: Permissions::new(context.access.clone()),
            context: context.clone(),
            shared,
            shard: place.shard.clone(),
            id: kept.id,
            info: kept.info,
            user: kept.user,
            vhost: kept.vhost,
            admitted: kept.admitted,
            topology: kept.topology,
            channels,
            channel_max: kept.channel_max,
            incarnation: kept.incarnation,
            next_serial: kept.next_serial,
            exclusive_queues: kept.exclusive_queues,
            consumed_from: kept.consumed_from,
            target: None,
            counts: Default::default(),
            timeout_shortest_ms: kept.timeout_shortest_ms,
            taken: Vec::new(),
            is_closing: false,
            behind: None,
            close_deadline: tokio::time::Instant::now(),
        };
        connection.introduce_channels(self.remote_consumers);
        connection.join_queues();
        (connection, socket)
    }
}

impl Connection {
    /// Makes the channels known to what other shards send.
    fn introduce_channels(&self, remote_consumers: Vec<MovingConsumer>) {
        let mut remote: HashMap<_, _> =
            remote_consumers.into_iter().map(|known| (known.serial, known)).collect();
        let mut channels = self.shared.channels.borrow_mut();
        for (&number, Channel { shared: channel, .. }) in &self.channels {
            for (tag, entry) in &*channel.consumers.borrow() {
                let Some(known) = remote.remove(&entry.serial) else { continue };
                let known = RemoteConsumer {
                    channel: channel.clone(),
                    tag: tag.clone(),
                    no_wait: known.no_wait,
                    returning: Rc::new(known.returning.into()),
                    window_max: known.window_max,
                };
                self.shared.remote_consumers.borrow_mut().insert(entry.serial, known);
            }
            channels.insert(number, channel.clone());
        }
    }
}
