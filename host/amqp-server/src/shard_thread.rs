//! A shard's thread: its queues, its connections, its clock.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use shunt_auth::AccessControl;
use shunt_broker::ports::Wake;
use shunt_broker::{Broker, Shard};
use shunt_types::ShardId;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::LocalSet;

use crate::admission::Admission;
use crate::connection::{self, Moving};
use crate::neighbours::{BusyMeter, Neighbours};
use crate::output::BufferPool;
use crate::settings::AmqpSettings;

/// Wakes a shard's thread when its inbox got something.
#[derive(Default)]
pub struct ShardWake(Notify);

impl Wake for ShardWake {
    fn wake(&self) {
        self.0.notify_one();
    }
}

/// What every connection of the node works with.
pub struct ShardContext {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Users and permissions.
    pub access: Arc<AccessControl>,
    /// Settings of the AMQP server.
    pub settings: AmqpSettings,
    /// The node's name, for `cluster_name`.
    pub node_name: String,
    /// Turns true when the node stops.
    pub shutdown: watch::Receiver<bool>,
    /// Who has what open.
    pub admission: Arc<Admission>,
    /// All shards' threads.
    pub neighbours: Arc<Neighbours>,
}

/// A shard's thread, to what lives there.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) context: Arc<ShardContext>,
    pub(crate) shard: Rc<RefCell<Shard>>,
    pub(crate) pool: Rc<BufferPool>,
}

/// A connection that comes to a shard.
enum Arrival {
    /// It was accepted just now.
    New(std::net::TcpStream, SocketAddr),
    /// It was on another shard before.
    Moving(Box<Moving>),
}

/// Hands connections to a shard's thread.
#[derive(Clone)]
pub struct ShardHandle {
    arrivals: mpsc::UnboundedSender<Arrival>,
}

impl ShardHandle {
    /// Hands a socket over; it is dropped where the thread has ended.
    pub fn accept(&self, socket: std::net::TcpStream, peer: SocketAddr) {
        // A node that stops takes no more connections.
        let _ = self.arrivals.send(Arrival::New(socket, peer));
    }

    /// Hands an open connection over; it is dropped where the thread has ended.
    pub(crate) fn take_over(&self, moving: Box<Moving>) {
        // As above.
        let _ = self.arrivals.send(Arrival::Moving(moving));
    }
}

/// A running shard.
pub struct ShardThread {
    handle: ShardHandle,
    thread: JoinHandle<()>,
}

impl ShardThread {
    /// Starts the thread of shard `id`, whose inbox is woken by `wake`.
    ///
    /// # Errors
    /// The operating system's, where no thread or runtime can be had.
    pub fn start(
        id: ShardId,
        wake: Arc<ShardWake>,
        context: Arc<ShardContext>,
    ) -> std::io::Result<Self> {
        let (arrivals, incoming) = mpsc::unbounded_channel();
        let broker = context.broker.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || broker.settle_log(id))
            .build()?;
        let thread =
            std::thread::Builder::new().name(format!("shard-{}", id.0)).spawn(move || {
                let local = LocalSet::new();
                local.block_on(&runtime, run(id, wake, context, incoming));
            })?;
        Ok(Self { handle: ShardHandle { arrivals }, thread })
    }

    /// Where sockets are handed over.
    pub fn handle(&self) -> ShardHandle {
        self.handle.clone()
    }

    /// Waits until the thread has closed its connections and ended, after the shutdown signal.
    pub fn join(self) {
        drop(self.handle);
        if self.thread.join().is_err() {
            tracing::error!("a shard's thread panicked");
        }
    }
}

/// How long connections may take to close when the node stops.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

async fn run(
    id: ShardId,
    wake: Arc<ShardWake>,
    context: Arc<ShardContext>,
    mut incoming: mpsc::UnboundedReceiver<Arrival>,
) {
    let shard = Rc::new(RefCell::new(Shard::new(id, context.broker.clone())));
    shard.borrow_mut().settles_log();
    let pool = Rc::new(BufferPool::default());
    let inbox = run_inbox(shard.clone(), wake, context.neighbours.clone());
    let inbox = tokio::task::spawn_local(inbox);
    let place = Place { context: context.clone(), shard, pool };
    let mut shutdown = context.shutdown.clone();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            arrival = incoming.recv() => match arrival {
                None => break,
                Some(Arrival::New(socket, peer)) => match TcpStream::from_std(socket) {
                    Ok(stream) => {
                        connections.spawn_local(connection::serve(place.clone(), stream, peer));
                    }
                    Err(error) => tracing::warn!(%peer, %error, "a socket can't be served"),
                },
                Some(Arrival::Moving(moving)) => {
                    connections.spawn_local(connection::serve_moved(place.clone(), moving));
                }
            },
            Some(_) = connections.join_next() => {}
            _ = shutdown.wait_for(|&stop| stop) => break,
        }
    }
    let all_closed = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(CLOSE_TIMEOUT, all_closed).await.is_err() {
        tracing::warn!(shard = id.0, "connections did not close in time");
    }
    inbox.abort();
}

/// Performs what other threads post, and what falls due.
async fn run_inbox(shard: Rc<RefCell<Shard>>, wake: Arc<ShardWake>, neighbours: Arc<Neighbours>) {
    let mut turn_ms = 0;
    let mut meter = BusyMeter::new(shard.borrow().broker().now_ms());
    loop {
        let (now_ms, has_more, wait);
        {
            let mut shard = shard.borrow_mut();
            shard.run_inbox();
            now_ms = shard.broker().now_ms();
            if let Some(busy) = meter.look(now_ms) {
                neighbours.set_busy(shard.id(), busy);
            }
            // Here and not when a sleep is over: a busy inbox ends every sleep before its time.
            if shard.next_deadline_ms().is_some_and(|at| at <= now_ms) {
                shard.run_deadlines();
            }
            let until = shard.next_deadline_ms().map(|at| at.saturating_sub(now_ms).max(1));
            wait = until.map_or(IDLE, Duration::from_millis).min(IDLE);
            has_more = !shard.broker().inbox(shard.id()).is_empty();
        }
        if !has_more {
            tokio::select! {
                () = wake.0.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            turn_ms = now_ms;
        } else if now_ms.saturating_sub(turn_ms) >= TURN_MS {
            tokio::task::yield_now().await;
            turn_ms = now_ms;
        }
    }
}

/// How often connections, timers and the shutdown of a thread have their turn, however much is posted.
/// More often makes for smaller writes: each millisecond, and a message to one of ten queues on two
/// threads costs a tenth more.
const TURN_MS: u64 = 5;

/// Deadlines that a connection's own batches set are seen at the next look, this much later at
/// most.
const IDLE: Duration = Duration::from_millis(100);
