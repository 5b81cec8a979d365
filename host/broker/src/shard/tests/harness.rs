//! The world of these tests.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use shunt_routing::{
    Binding, Destination, ExchangeSpec, ExchangeType, ExchangeTypes, Failure, FailureCause, Header,
    Matcher,
};
use shunt_types::{
    AmqpError, ExchangeName, FieldTable, Message, PackedTable, Properties, QueueId, QueueName,
    ShardId, Value, VhostName,
};

use crate::metadata::{
    Actor, BindingDefinition, Command, Declared, DestinationName, ExchangeDefinition,
    QueueDeclaration, QueueDefinition,
};
use crate::ports::{
    CancelReason, Clock, ConfirmSink, Confirmation, ConsumerSink, Delivery, Flow, MetadataLog,
    OnDurable, Position, Wake,
};
use crate::queue::{ConsumerOptions, QueueStats, Settlement};
use crate::{
    Broker, BrokerOptions, ConnectionId, Consumer, PublishOptions, PublishOutcome, Publisher, Shard,
};

pub(super) type Arguments<'a> = &'a [(&'a str, Value)];

/// A broker with its shards on this thread.
pub(super) struct World {
    pub(super) broker: Arc<Broker>,
    pub(super) shards: Vec<Shard>,
    pub(super) log: Arc<Log>,
    pub(super) confirms: Arc<Confirms>,
    pub(super) vhost: VhostName,
    clock: Arc<StoppedClock>,
}

impl World {
    pub(super) fn new(shards: u16) -> Self {
        let world = Self::empty(shards);
        world.broker.create_vhost(&world.vhost, Actor::NODE);
        world
    }

    /// Without even a virtual host.
    pub(super) fn empty(shards: u16) -> Self {
        let clock = Arc::new(StoppedClock(AtomicU64::new(1_000_000)));
        let log = Arc::new(Log::default());
        let mut exchange_types = ExchangeTypes::native();
        exchange_types.register(Arc::new(Failing));
        let broker = Broker::new(BrokerOptions {
            shards: (0..shards).map(|_| Arc::new(NoWake) as Arc<dyn Wake>).collect(),
            exchange_types,
            clock: clock.clone(),
            log: log.clone(),
        });
        let shards = (0..shards).map(|n| Shard::new(ShardId(n), broker.clone())).collect();
        let vhost = VhostName::new("/").unwrap();
        Self { broker, shards, log, confirms: Arc::default(), vhost, clock }
    }

    /// Runs every inbox until nothing moves any more.
    pub(super) fn run(&mut self) {
        let is_idle = |broker: &Broker| {
            (0..broker.shard_count()).all(|shard| broker.inbox(ShardId(shard)).is_empty())
        };
        loop {
            self.shards.iter_mut().for_each(Shard::run_inbox);
            if is_idle(&self.broker) {
                break;
            }
        }
    }

    /// Lets time pass, of which nobody is told.
    pub(super) fn wait(&mut self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.wait(ms);
        for shard in &mut self.shards {
            if shard.next_deadline_ms().is_some_and(|at| at <= self.broker.now_ms()) {
                shard.run_deadlines();
            }
        }
        self.run();
    }

    pub(super) fn shard(&mut self, queue: QueueId) -> &mut Shard {
        &mut self.shards[usize::from(queue.shard().0)]
    }

    pub(super) fn declare(
        &self,
        name: &str,
        change: impl FnOnce(&mut QueueDeclaration),
    ) -> Result<Declared, AmqpError> {
        let mut declaration = QueueDeclaration {
            definition: QueueDefinition {
                name: QueueName::new(name).unwrap(),
                durable: true,
                auto_delete: false,
                arguments: Arc::default(),
            },
            exclusive_owner: None,
            server_named: false,
            near: None,
        };
        change(&mut declaration);
        let connection = declaration.exclusive_owner;
        let actor = Actor { connection, ..Actor::NODE };
        self.broker.declare_queue(&self.vhost, actor, declaration)
    }

    pub(super) fn queue(&self, name: &str, arguments: Arguments<'_>) -> QueueId {
        let arguments = Arc::new(table(arguments));
        let declared = self.declare(name, |queue| queue.definition.arguments = arguments);
        declared.unwrap().queue.id
    }

    /// The queue of that name, which is there.
    pub(super) fn queue_id(&self, name: &str) -> QueueId {
        let topology = self.broker.vhost(self.vhost.as_str()).unwrap().topology();
        topology.find_queue(name).unwrap().id
    }

    pub(super) fn exchange(
        &self,
        name: &str,
        kind: &str,
        arguments: Arguments<'_>,
    ) -> Result<Position, AmqpError> {
        let definition = ExchangeDefinition {
            name: ExchangeName::new(name).unwrap(),
            kind: kind.into(),
            durable: true,
            auto_delete: name.starts_with("auto"),
            internal: false,
            arguments: Arc::new(table(arguments)),
        };
        self.broker.declare_exchange(&self.vhost, Actor::NODE, definition)
    }

    pub(super) fn bind(&self, source: &str, queue: &str, key: &str) {
        self.broker.bind(&self.vhost, Actor::NODE, to_queue(source, queue, key)).unwrap();
    }

    pub(super) fn bind_exchange(&self, source: &str, destination: &str) {
        self.broker.bind(&self.vhost, Actor::NODE, to_exchange(source, destination)).unwrap();
    }

    /// Publishes from a shard, with a confirm under `token` if there is one.
    pub(super) fn publish_from(
        &mut self,
        shard: u16,
        message: Message,
        token: Option<u64>,
    ) -> Result<PublishOutcome, AmqpError> {
        let topology = self.broker.vhost(self.vhost.as_str()).unwrap().topology();
        let exchange = topology.find_exchange(message.exchange())?;
        let sink: Arc<dyn ConfirmSink> = self.confirms.clone();
        let options = PublishOptions {
            topology: &topology,
            exchange,
            user: "guest",
            confirm: token.map(|token| (token, &sink)),
        };
        let shard = &mut self.shards[usize::from(shard)];
        shard.tick();
        let outcome = shard.publish(&options, message);
        shard.flush();
        Ok(outcome?)
    }

    pub(super) fn publish(&mut self, exchange: &str, key: &str, body: &str) -> PublishOutcome {
        let message = message(exchange, key, &[], body);
        let outcome = self.publish_from(0, message, None).unwrap();
        self.run();
        outcome
    }

    pub(super) fn consume(&mut self, queue: QueueId, options: ConsumerOptions) -> Recorder {
        let recorder = Recorder::default();
        let sink = Box::new(recorder.clone());
        let shard = self.shard(queue);
        recorder.0.borrow_mut().consumer = Some(shard.consume(queue, options, sink).unwrap());
        shard.flush();
        recorder
    }

    pub(super) fn settle(&mut self, delivery: &Delivery, settlement: Settlement) {
        let shard = self.shard(delivery.queue);
        shard.settle(delivery.queue, delivery.id.unwrap(), settlement);
        shard.flush();
        self.run();
    }

    pub(super) fn stats(&mut self, queue: QueueId) -> Option<QueueStats> {
        self.run();
        self.shard(queue).queue_stats(queue)
    }

    /// Takes everything out of a queue.
    pub(super) fn drain(&mut self, queue: QueueId) -> Vec<Message> {
        self.run();
        let shard = self.shard(queue);
        shard.tick();
        let fetch = || Some(shard.fetch(queue, true).ok()??.0.message);
        std::iter::from_fn(fetch).collect()
    }

    pub(super) fn bodies(&mut self, queue: QueueId) -> Vec<String> {
        self.drain(queue).iter().map(body).collect()
    }

    /// Everything that listings show.
    pub(super) fn listing(&self) -> String {
        let mut lines = Vec::new();
        for vhost in self.broker.vhosts() {
            let name = vhost.name();
            lines.push(format!("{name} {:?}", vhost.metadata()));
            let exchanges = self.broker.exchanges(name);
            lines.extend(exchanges.iter().map(|exchange| format!("{name} {exchange:?}")));
            let topology = vhost.topology();
            let mut queues: Vec<_> =
                topology.queue_entries().map(|q| format!("{name} {:?}", q.definition)).collect();
            queues.sort();
            lines.append(&mut queues);
            let bindings = self.broker.bindings(name);
            lines.extend(bindings.iter().map(|binding| format!("{name} {binding:?}")));
        }
        lines.join("\n")
    }
}

pub(super) fn table(fields: Arguments<'_>) -> FieldTable {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

pub(super) fn message(exchange: &str, key: &str, headers: Arguments<'_>, body: &str) -> Message {
    let headers = (!headers.is_empty()).then(|| table(headers));
    let properties = Properties { headers, ..Properties::default() };
    Message::build(exchange, key, &properties, body.as_bytes()).unwrap()
}

pub(super) fn body(message: &Message) -> String {
    String::from_utf8(message.body().to_vec()).unwrap()
}

pub(super) fn to_queue(source: &str, queue: &str, key: &str) -> BindingDefinition {
    BindingDefinition {
        source: ExchangeName::new(source).unwrap(),
        destination: DestinationName::Queue(QueueName::new(queue).unwrap()),
        key: key.into(),
        arguments: PackedTable::default(),
    }
}

pub(super) fn to_exchange(source: &str, destination: &str) -> BindingDefinition {
    BindingDefinition {
        source: ExchangeName::new(source).unwrap(),
        destination: DestinationName::Exchange(ExchangeName::new(destination).unwrap()),
        key: "".into(),
        arguments: PackedTable::default(),
    }
}

pub(super) const SOMEBODY: ConnectionId = ConnectionId(77);

struct StoppedClock(AtomicU64);

impl Clock for StoppedClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

#[derive(Default)]
pub(super) struct Log(Mutex<Vec<Command>>);

impl Log {
    pub(super) fn commands(&self) -> Vec<Command> {
        self.0.lock().clone()
    }
}

impl MetadataLog for Log {
    fn append(&self, command: &Command) -> Position {
        let mut commands = self.0.lock();
        commands.push(command.clone());
        Position(commands.len() as u64)
    }

    fn when_durable(&self, _position: Position, then: OnDurable) {
        then(Ok(()));
    }
}

#[derive(Default)]
pub(super) struct Confirms(Mutex<Vec<Confirmation>>);

impl Confirms {
    pub(super) fn take(&self) -> Vec<Confirmation> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl ConfirmSink for Confirms {
    fn confirm(&self, confirmations: &[Confirmation]) {
        self.0.lock().extend_from_slice(confirmations);
    }
}

/// A sink that keeps what it gets.
#[derive(Clone, Default)]
pub(super) struct Recorder(Rc<RefCell<Recorded>>);

#[derive(Default)]
pub(super) struct Recorded {
    pub(super) consumer: Option<Consumer>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) flushed: usize,
    pub(super) cancelled: bool,
    /// Deliveries that it still takes; all where there is no number.
    pub(super) room: Option<usize>,
}

impl Recorder {
    pub(super) fn get(&self) -> std::cell::RefMut<'_, Recorded> {
        self.0.borrow_mut()
    }

    pub(super) fn consumer(&self) -> Consumer {
        self.get().consumer.unwrap()
    }

    pub(super) fn take(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.get().deliveries)
    }

    pub(super) fn bodies(&self) -> Vec<String> {
        self.get().deliveries.iter().map(|delivery| body(&delivery.message)).collect()
    }
}

impl ConsumerSink for Recorder {
    fn deliver(&mut self, _consumer: Consumer, delivery: Delivery) -> Flow {
        let mut recorded = self.get();
        match &mut recorded.room {
            Some(0) => return Flow::Refused(delivery),
            Some(room) => *room -= 1,
            None => {}
        }
        recorded.deliveries.push(delivery);
        if recorded.room == Some(0) { Flow::Full } else { Flow::Open }
    }

    fn flush(&mut self) {
        let mut recorded = self.get();
        recorded.flushed = recorded.deliveries.len();
    }

    fn cancelled(&mut self, _reason: CancelReason) {
        self.get().cancelled = true;
    }
}

/// An exchange type whose route traps, unless the routing key is `fine`.
struct Failing;

impl ExchangeType for Failing {
    fn name(&self) -> &'static str {
        "x-failing"
    }

    fn create(&self, _exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        Ok(Box::new(FailingMatcher::default()))
    }
}

#[derive(Clone, Default)]
struct FailingMatcher(Vec<Arc<Binding>>);

impl Matcher for FailingMatcher {
    fn validate_binding(&self, binding: &Binding) -> Result<(), String> {
        if &*binding.key == "bad" { Err("the key is bad".to_owned()) } else { Ok(()) }
    }

    fn bind(&mut self, binding: &Arc<Binding>) {
        self.0.push(binding.clone());
    }

    fn unbind(&mut self, binding: &Binding) {
        self.0.retain(|other| **other != *binding);
    }

    fn matches(
        &self,
        header: &Header<'_>,
        _topology: &dyn shunt_routing::Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        destinations.extend(self.0.iter().map(|binding| binding.destination));
        if header.routing_key() == "fine" {
            return Ok(());
        }
        Err(Failure::new(FailureCause::Trap, "unreachable executed"))
    }

    fn boxed_clone(&self) -> Box<dyn Matcher> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
