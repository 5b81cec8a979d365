//! What the parts of one connection share: its reader, its writer and its consumers' sinks, all
//! on one shard, and the mailbox for other shards.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use hashbrown::HashMap;
use parking_lot::Mutex;
use shunt_amqp_codec::method::BasicCancel;
use shunt_amqp_codec::{Method, put_method};
use shunt_broker::{Broker, ConnectionInfo, Consumer, Origin, Shard};
use shunt_types::ShardId;
use shunt_types::limits::CONNECTION_OUTPUT_HIGH;
use tokio::sync::Notify;

use crate::affinity::Affinity;
use crate::channel::ChannelShared;
use crate::mailbox::Mailbox;
use crate::output::{BufferPool, OutputQueue};
use crate::shard_thread::Place;

/// Bytes of output, such as returned messages, at which a client that doesn't read them isn't
/// read any more either: far above what its consumers may fill.
const OUTPUT_MAX: usize = 16 * CONNECTION_OUTPUT_HIGH;

/// One connection's common ground. Borrows of the cells end before the shard is called.
pub(crate) struct Shared {
    pub(crate) shard: Rc<RefCell<Shard>>,
    /// For events, which may come up while the shard is at work.
    pub(crate) broker: Arc<Broker>,
    pub(crate) pool: Rc<BufferPool>,
    pub(crate) out: RefCell<OutputQueue>,
    /// Bytes that the writer has taken and not written yet.
    pub(crate) writing: Cell<usize>,
    /// Wakes the writer.
    pub(crate) wake_writer: Notify,
    /// The writer has written what it had.
    pub(crate) written: Notify,
    /// Consumers of this connection that wait for room in the output.
    pub(crate) paused: RefCell<Vec<Consumer>>,
    pub(crate) channels: RefCell<HashMap<u16, Rc<ChannelShared>>>,
    pub(crate) mailbox: Arc<Mailbox>,
    /// By serial: the consumers whose queues live on other shards.
    pub(crate) remote_consumers: RefCell<HashMap<u64, RemoteConsumer>>,
    pub(crate) frame_max: Cell<u32>,
    pub(crate) heartbeat_s: Cell<u16>,
    /// The client said that it understands `connection.blocked`.
    pub(crate) blocked_notify: Cell<bool>,
    /// Nothing is read from the client now: an alarm is on, or what it publishes to is behind.
    pub(crate) is_blocked: Cell<bool>,
    /// While this connection deletes a queue: the cancels that follow the answer.
    held_cancels: RefCell<Option<Vec<(u16, String)>>>,
    /// The client said that it understands `basic.cancel` from the server.
    pub(crate) cancel_notify: Cell<bool>,
    confirms_due: RefCell<Vec<Rc<ChannelShared>>>,
    /// Confirms written since the counters were last added to.
    pub(crate) confirmed: Cell<u64>,
    /// Counts reads, for the heartbeat's watch.
    pub(crate) reads: Cell<u64>,
    /// The output must be written, then the socket closed.
    pub(crate) closing: Cell<bool>,
    /// The reader must stop at once.
    pub(crate) dead: Cell<bool>,
    pub(crate) wake_reader: Notify,
    /// Batches and where they go, which decides where the connection would be better off.
    pub(crate) affinity: Affinity,
    /// The writer has to give back what it has, and to end: the connection moves.
    pub(crate) leaving: Cell<bool>,
    /// Tells the writer so.
    pub(crate) leave: Notify,
    /// From outside: the connection has to go.
    pub(crate) closing_order: Arc<ClosingOrder>,
    /// Once it is open.
    pub(crate) info: OnceCell<Arc<ConnectionInfo>>,
}

/// Somebody's order to close a connection, given on any thread.
#[derive(Default)]
pub(crate) struct ClosingOrder {
    reason: Mutex<Option<String>>,
    given: Notify,
}

impl ClosingOrder {
    pub(crate) fn give(&self, reason: &str) {
        *self.reason.lock() = Some(reason.to_owned());
        self.given.notify_one();
    }

    /// Waits for the order, and answers its reason.
    pub(crate) async fn given(&self) -> String {
        self.given.notified().await;
        self.reason.lock().take().unwrap_or_default()
    }
}

/// A consumer whose queue lives on another shard.
#[derive(Clone)]
pub(crate) struct RemoteConsumer {
    pub(crate) channel: Rc<ChannelShared>,
    pub(crate) tag: Rc<str>,
    /// The client doesn't want a `basic.consume-ok`.
    pub(crate) no_wait: bool,
    /// It refused deliveries, which are on their way back.
    pub(crate) returning: Rc<Cell<bool>>,
    /// Deliveries that may be on their way once it goes on.
    pub(crate) window_max: Arc<AtomicU32>,
}

impl Shared {
    /// Of a connection that was accepted now.
    pub(crate) fn new(place: &Place, affinity: Affinity) -> Rc<Self> {
        Self::reached_by(place, affinity, Mailbox::new(), Arc::default())
    }

    /// Of a connection that other threads know by its mailbox and where it takes orders.
    pub(crate) fn reached_by(
        place: &Place,
        affinity: Affinity,
        mailbox: Arc<Mailbox>,
        closing_order: Arc<ClosingOrder>,
    ) -> Rc<Self> {
        Rc::new(Self {
            shard: place.shard.clone(),
            broker: place.context.broker.clone(),
            pool: place.pool.clone(),
            out: RefCell::default(),
            writing: Cell::new(0),
            wake_writer: Notify::new(),
            written: Notify::new(),
            paused: RefCell::default(),
            channels: RefCell::default(),
            mailbox,
            remote_consumers: RefCell::default(),
            frame_max: Cell::new(shunt_types::limits::FRAME_MAX_MIN),
            heartbeat_s: Cell::new(0),
            blocked_notify: Cell::new(false),
            is_blocked: Cell::new(false),
            held_cancels: RefCell::default(),
            cancel_notify: Cell::new(false),
            confirms_due: RefCell::default(),
            confirmed: Cell::new(0),
            reads: Cell::new(0),
            closing: Cell::new(false),
            dead: Cell::new(false),
            wake_reader: Notify::new(),
            affinity,
            leaving: Cell::new(false),
            leave: Notify::new(),
            closing_order,
            info: OnceCell::new(),
        })
    }

    /// Notes that a batch went to queues of a shard or came from them. The reader hears if the connection
    /// would be better off elsewhere.
    #[inline]
    pub(crate) fn note_batch(&self, shard: ShardId) {
        if self.affinity.note(shard, || self.broker.now_ms()) {
            self.wake_reader.notify_one();
        }
    }

    /// Appends a method; the writer is woken by [`Shared::flush`].
    pub(crate) fn send<'a>(&self, channel: u16, method: impl Into<Method<'a>>) {
        let mut out = self.out.borrow_mut();
        out.prepare(&self.pool);
        put_method(&mut *out, channel, method);
    }

    /// Tells the client that the broker ended a consumer.
    pub(crate) fn send_cancel(&self, channel: u16, tag: &str) {
        if let Some(held) = &mut *self.held_cancels.borrow_mut() {
            held.push((channel, tag.to_owned()));
            return;
        }
        self.send(channel, BasicCancel { consumer_tag: tag, no_wait: true });
        self.flush();
    }

    /// Keeps cancels back: who deletes a queue hears of that first, as from RabbitMQ. A client
    /// that closes on the cancel would never see its answer.
    pub(crate) fn hold_cancels(&self) {
        self.held_cancels.borrow_mut().get_or_insert_default();
    }

    /// Sends the cancels that were kept back.
    pub(crate) fn release_cancels(&self) {
        let held = self.held_cancels.borrow_mut().take();
        for (channel, tag) in held.unwrap_or_default() {
            self.send_cancel(channel, &tag);
        }
    }

    /// Has the writer write what there is.
    pub(crate) fn flush(&self) {
        if !self.out.borrow().is_empty() {
            self.wake_writer.notify_one();
        }
    }

    /// Notes that a channel has confirms to write.
    pub(crate) fn note_confirms(&self, channel: &Rc<ChannelShared>) {
        let mut due = self.confirms_due.borrow_mut();
        if !due.last().is_some_and(|last| Rc::ptr_eq(last, channel)) {
            due.push(channel.clone());
        }
    }

    /// Writes the confirms that are due.
    pub(crate) fn write_confirms(&self) {
        let mut answered = 0;
        let mut out = self.out.borrow_mut();
        for channel in self.confirms_due.borrow_mut().drain(..) {
            if !channel.closed.get() {
                out.prepare(&self.pool);
                answered += channel.confirms.borrow_mut().write(&mut *out);
            }
        }
        self.confirmed.set(self.confirmed.get() + answered);
    }

    /// Whether the output has grown so long that consumers must wait.
    pub(crate) fn is_congested(&self, out: &OutputQueue) -> bool {
        out.len() + self.writing.get() >= CONNECTION_OUTPUT_HIGH
    }

    /// Whether so much waits for a client that doesn't read that it can ask for nothing more.
    pub(crate) fn is_overfull(&self) -> bool {
        self.out.borrow().len() + self.writing.get() >= OUTPUT_MAX
    }

    /// Waits until more may be asked for.
    pub(crate) async fn has_room_for_answers(&self) {
        while self.is_overfull() && !self.dead.get() {
            self.written.notified().await;
        }
    }

    /// Ends the connection without another word.
    pub(crate) fn kill(&self) {
        self.dead.set(true);
        self.written.notify_one();
        self.wake_reader.notify_one();
        self.wake_writer.notify_one();
    }

    /// Whose deliveries are written here, for tracing.
    pub(crate) fn origin(&self, channel: u16) -> Origin {
        let info = self.info.get();
        let connection = info.map(|info| info.name()).unwrap_or_default();
        let user = info.map(|info| info.user.clone()).unwrap_or_default();
        Origin { connection, channel, user }
    }

    pub(crate) fn channel(&self, number: u16) -> Option<Rc<ChannelShared>> {
        self.channels.borrow().get(&number).cloned()
    }
}
