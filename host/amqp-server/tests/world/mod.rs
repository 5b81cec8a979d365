//! The server with its shards' threads, and a client that speaks frames.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use shunt_amqp_codec::method::{
    BasicPublish, BasicQos, ChannelOpen, ConnectionOpen, ConnectionStartOk, ConnectionTuneOk,
};
use shunt_amqp_codec::{Frame, FrameKind, Method, PROTOCOL_HEADER, put_content, put_method};
use shunt_amqp_server::{
    AmqpSettings, Neighbours, ShardContext, ShardHandle, ShardThread, ShardWake,
};
use shunt_auth::AccessControl;
use shunt_broker::metadata::{Command, QueueDeclaration, QueueDefinition};
use shunt_broker::ports::{Clock, MetadataLog, OnDurable, Position, Wake};
use shunt_broker::queue::QueueStats;
use shunt_broker::{Actor, Broker, BrokerOptions, Task};
use shunt_routing::ExchangeTypes;
use shunt_types::limits::FRAME_MAX;
use shunt_types::{Message, Properties, QueueId, QueueName, ShardId, TableRef, VhostName};
use tokio::sync::watch;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) broker: Arc<Broker>,
    shards: Vec<ShardHandle>,
    threads: Vec<ShardThread>,
    listener: TcpListener,
    shutdown: watch::Sender<bool>,
}

impl World {
    pub(crate) fn start(shards: u16) -> Self {
        let wakes: Vec<_> = (0..shards).map(|_| Arc::new(ShardWake::default())).collect();
        let broker = Broker::new(BrokerOptions {
            shards: wakes.iter().map(|wake| wake.clone() as Arc<dyn Wake>).collect(),
            exchange_types: ExchangeTypes::native(),
            clock: Arc::new(SystemClock),
            log: Arc::new(NoLog(AtomicU64::new(0))),
        });
        broker.create_vhost(&VhostName::new("/").unwrap(), Actor::NODE);
        let access = AccessControl::new(["guest"]);
        access.seed_default_user("guest", "guest");
        let (shutdown, stop) = watch::channel(false);
        let context = Arc::new(ShardContext {
            admission: Arc::default(),
            broker: broker.clone(),
            access: Arc::new(access),
            settings: AmqpSettings::default(),
            node_name: "shunt@test".into(),
            shutdown: stop,
            // Not introduced to each other: connections stay where they are.
            neighbours: Arc::new(Neighbours::new(shards.into())),
        });
        let start = |(id, wake)| ShardThread::start(ShardId(id), wake, context.clone()).unwrap();
        let threads: Vec<_> = (0..).zip(wakes).map(start).collect();
        let shards = threads.iter().map(ShardThread::handle).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { broker, shards, threads, listener, shutdown }
    }

    /// A queue on that shard.
    pub(crate) fn declare(&self, name: &str, shard: u16) -> QueueId {
        let declaration = QueueDeclaration {
            definition: QueueDefinition {
                name: QueueName::new(name).unwrap(),
                durable: false,
                auto_delete: false,
                arguments: Arc::default(),
            },
            exclusive_owner: None,
            server_named: false,
            near: Some(ShardId(shard)),
        };
        let vhost = VhostName::new("/").unwrap();
        let id = self.broker.declare_queue(&vhost, Actor::NODE, declaration).unwrap().queue.id;
        assert_eq!(id.shard(), ShardId(shard));
        id
    }

    /// An open connection with channel 1, served by that shard.
    pub(crate) fn connect(&self, shard: usize) -> Client {
        self.connect_with_heartbeat(shard, 0)
    }

    /// The same with heartbeats, a number of seconds apart, which the test has to send.
    pub(crate) fn connect_with_heartbeat(&self, shard: usize, heartbeat: u16) -> Client {
        let stream = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = self.listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        self.shards[shard].accept(socket, peer);
        Client::open(stream, heartbeat)
    }

    pub(crate) fn purge(&self, queue: QueueId) {
        let purge = move |shard: &mut shunt_broker::Shard| drop(shard.purge(queue));
        self.broker.inbox(queue.shard()).post(Task::Call(Box::new(purge)));
    }

    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&Broker) -> bool) {
        let begun = UNIX_EPOCH.elapsed().unwrap();
        while !is_so(&self.broker) {
            let waited = UNIX_EPOCH.elapsed().unwrap() - begun;
            assert!(waited < PATIENCE, "waited in vain until {what}");
            std::thread::yield_now();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.shutdown.send(true);
        self.shards.clear();
        self.threads.drain(..).for_each(ShardThread::join);
    }
}

/// How a queue stands.
pub(crate) fn stats(broker: &Broker, queue: QueueId) -> QueueStats {
    let (tell, told) = std::sync::mpsc::channel();
    broker.inbox(queue.shard()).post(Task::Call(Box::new(move |shard| {
        let _ = tell.send(shard.queue_stats(queue));
    })));
    told.recv_timeout(PATIENCE).unwrap().unwrap()
}

/// The frames of a publish to that queue, on channel 1.
pub(crate) fn publish_bytes(queue: &str, body: &str) -> Vec<u8> {
    publish(queue, body, false, &Properties::default())
}

fn publish(queue: &str, body: &str, mandatory: bool, properties: &Properties) -> Vec<u8> {
    let message = Message::build("", queue, properties, body.as_bytes()).unwrap();
    let publish = BasicPublish { exchange: "", routing_key: queue, mandatory, immediate: false };
    let mut bytes = Vec::new();
    put_method(&mut bytes, 1, publish);
    put_content(&mut bytes, 1, FRAME_MAX, &message);
    bytes
}

/// A connection with one channel.
pub(crate) struct Client {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Client {
    fn open(stream: TcpStream, heartbeat: u16) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self { stream, input: Vec::new() };
        client.stream.write_all(&PROTOCOL_HEADER).unwrap();
        client.payload(FrameKind::Method);
        client.send_on(
            0,
            ConnectionStartOk {
                client_properties: TableRef::EMPTY,
                mechanism: "PLAIN",
                response: b"\0guest\0guest",
                locale: "en_US",
            },
        );
        client.payload(FrameKind::Method);
        client.send_on(0, ConnectionTuneOk { channel_max: 10, frame_max: FRAME_MAX, heartbeat });
        client.send_on(0, ConnectionOpen { virtual_host: "/" });
        client.payload(FrameKind::Method);
        client.call(ChannelOpen {});
        client
    }

    pub(crate) fn send<'a>(&mut self, method: impl Into<Method<'a>>) {
        self.send_on(1, method);
    }

    fn send_on<'a>(&mut self, channel: u16, method: impl Into<Method<'a>>) {
        let mut bytes = Vec::new();
        put_method(&mut bytes, channel, method);
        self.stream.write_all(&bytes).unwrap();
    }

    /// Sends a method and waits for the answer.
    pub(crate) fn call<'a>(&mut self, method: impl Into<Method<'a>>) {
        self.send(method);
        self.payload(FrameKind::Method);
    }

    /// Waits until everything sent before was acted on.
    pub(crate) fn sync(&mut self) {
        self.call(BasicQos { prefetch_size: 0, prefetch_count: 0, global: false });
    }

    pub(crate) fn publish(&mut self, queue: &str, body: &str) {
        self.publish_with(queue, body, false, &Properties::default()).unwrap();
    }

    pub(crate) fn publish_expiring(&mut self, queue: &str, ms: u64) {
        let properties = Properties { expiration: Some(ms.to_string()), ..Properties::default() };
        self.publish_with(queue, "", false, &properties).unwrap();
    }

    /// Whether the server took it.
    pub(crate) fn try_publish_mandatory(&mut self, queue: &str, body: &str) -> bool {
        self.publish_with(queue, body, true, &Properties::default()).is_ok()
    }

    pub(crate) fn set_write_timeout(&mut self, timeout: Duration) {
        self.stream.set_write_timeout(Some(timeout)).unwrap();
    }

    /// Waits without saying anything.
    pub(crate) fn pause(&mut self, pause: Duration) {
        self.stream.set_read_timeout(Some(pause)).unwrap();
        assert!(self.stream.read(&mut [0]).is_err(), "nothing was expected");
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    pub(crate) fn is_open(&mut self) -> bool {
        self.sync();
        true
    }

    fn publish_with(
        &mut self,
        queue: &str,
        body: &str,
        mandatory: bool,
        properties: &Properties,
    ) -> std::io::Result<()> {
        self.stream.write_all(&publish(queue, body, mandatory, properties))
    }

    /// Sends bytes, which may be a part of a frame.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next method, which `pick` knows.
    pub(crate) fn method<R>(&mut self, pick: impl FnOnce(Method<'_>) -> Option<R>) -> R {
        let payload = self.payload(FrameKind::Method);
        pick(Method::decode(&payload).unwrap()).expect("another method")
    }

    /// The body of the content that comes next.
    pub(crate) fn body(&mut self) -> String {
        self.payload(FrameKind::Header);
        String::from_utf8(self.payload(FrameKind::Body)).unwrap()
    }

    /// The content that comes next, which has no body.
    pub(crate) fn empty_body(&mut self) -> String {
        self.payload(FrameKind::Header);
        String::new()
    }

    /// The payload of the next frame, heartbeats aside, which is of that kind.
    fn payload(&mut self, kind: FrameKind) -> Vec<u8> {
        loop {
            if let Some((frame, size)) = Frame::parse(&self.input, FRAME_MAX).unwrap() {
                if frame.kind == FrameKind::Heartbeat {
                    self.input.drain(..size);
                    continue;
                }
                assert_eq!(frame.kind, kind);
                let payload = frame.payload.to_vec();
                self.input.drain(..size);
                return payload;
            }
            let mut bytes = [0; 65_536];
            let count = self.stream.read(&mut bytes).unwrap();
            assert!(count > 0, "the server closed the socket");
            self.input.extend_from_slice(&bytes[..count]);
        }
    }
}

struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
    }
}

struct NoLog(AtomicU64);

impl MetadataLog for NoLog {
    fn append(&self, _command: &Command) -> Position {
        Position(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn when_durable(&self, _position: Position, then: OnDurable) {
        then(Ok(()));
    }
}
