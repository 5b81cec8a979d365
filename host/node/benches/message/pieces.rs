//! The pieces, each made ready to be run again and again.

use std::hint::black_box;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use shunt_amqp_codec::method::{BasicAck, BasicPublish};
use shunt_amqp_codec::{Frame, Method, WholePublish, put_content, put_deliver, put_method};
use shunt_broker::queue::{ConsumerOptions, Queue, QueueSettings, Settlement};
use shunt_routing::{
    Binding, Destination, Exchange, ExchangeSpec, ExchangeType, ExchangeTypes, Header, Matcher,
    Topology,
};
use shunt_storage::{
    Batch, Disk, DiskFile, SegmentLog, SegmentLogOptions, SegmentWriter, SyncOutcome,
};
use shunt_types::limits::FRAME_MAX;
use shunt_types::{
    ExchangeId, ExchangeName, FieldTable, Message, MessageBody, Names, Properties, QueueId,
    ShardId, Value, VhostName,
};
use shunt_wasm::{
    DeployRequest, Destinations, Guards, LimitOverrides, LogLevel, RouteLimits, RouteLog, RouteRef,
    RouteStore, Routes, RoutesConfig, StoredRoute, XWasm,
};

/// Something that a message passes.
pub(crate) struct Piece {
    pub(crate) name: &'static str,
    /// Messages of a round.
    pub(crate) messages: f64,
    /// Sets it up and answers what runs one round.
    pub(crate) prepare: Box<dyn Fn() -> Box<dyn FnMut()>>,
}

pub(crate) fn pieces() -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut add = |name, messages: usize, prepare: Box<dyn Fn() -> Box<dyn FnMut()>>| {
        pieces.push(Piece { name, messages: messages as f64, prepare });
    };
    add("codec: a publish of 16 B cut out", 1, Box::new(|| cut_out(16)));
    add("codec: a publish of 1 KiB cut out", 1, Box::new(|| cut_out(1024)));
    add("codec: an ack decoded", 1, Box::new(ack));
    add("codec: a delivery of 16 B written", 1, Box::new(|| delivery(16)));
    add("codec: a delivery of 1 KiB written", 1, Box::new(|| delivery(1024)));
    add("message: made of 16 B, and dropped", 1, Box::new(|| made(16)));
    add("message: made of 1 KiB, and dropped", 1, Box::new(|| made(1024)));
    let native = |kind: &'static str, count: usize| -> Box<dyn Fn() -> Box<dyn FnMut()>> {
        Box::new(move || matched(native(kind), count))
    };
    add("routing: direct, 1 binding", 1, native("direct", 1));
    add("routing: direct, 10 000 bindings", 1, native("direct", 10_000));
    add("routing: topic, 1 binding", 1, native("topic", 1));
    add("routing: topic, 100 bindings", 1, native("topic", 100));
    add("routing: topic, 10 000 bindings", 1, native("topic", 10_000));
    add("routing: headers, 1 binding", 1, native("headers", 1));
    add("routing: headers, 10 000 bindings", 1, native("headers", 10_000));
    add("routing: fanout, 10 bindings", 1, native("fanout", 10));
    add("routing: consistent hash, 10 bindings", 1, native("x-consistent-hash", 10));
    add("route: no field, no destination", 1, Box::new(|| route(NOTHING.as_bytes())));
    add("route: the recipe by-key, two fields, an index", 1, Box::new(|| route(&by_key())));
    add("queue: pushed and delivered, auto-ack", 64, Box::new(|| queue(true)));
    add("queue: pushed, delivered and acknowledged", 64, Box::new(|| queue(false)));
    add("log: a record of 1 KiB put into a batch of 64", 64, Box::new(|| log(false)));
    add("log: the same, appended and on a disk that does nothing", 64, Box::new(|| log(true)));
    pieces
}

const EXCHANGE: &str = "orders";
const KEY: &str = "area0.new.item0";

fn names() -> Vec<u8> {
    let (exchange, key) = (EXCHANGE.as_bytes(), KEY.as_bytes());
    [&[exchange.len() as u8], exchange, &[key.len() as u8], key].concat()
}

fn message(size: usize) -> Message {
    let body = vec![7; size];
    let body = MessageBody::Borrowed(&body);
    Message::of_names(Names::new(&names()).unwrap(), &[0, 0], body).unwrap()
}

fn cut_out(size: usize) -> Box<dyn FnMut()> {
    let mut bytes = Vec::new();
    let publish =
        BasicPublish { exchange: EXCHANGE, routing_key: KEY, mandatory: false, immediate: false };
    put_method(&mut bytes, 1, publish);
    put_content(&mut bytes, 1, FRAME_MAX, &message(size));
    Box::new(move || {
        let cut = WholePublish::parse(black_box(&bytes), FRAME_MAX);
        black_box(&cut);
    })
}

fn ack() -> Box<dyn FnMut()> {
    let mut bytes = Vec::new();
    put_method(&mut bytes, 1, BasicAck { delivery_tag: 9, multiple: false });
    Box::new(move || {
        let (frame, _) = Frame::parse(black_box(&bytes), FRAME_MAX).unwrap().unwrap();
        let _ = black_box(&Method::decode(frame.payload));
    })
}

fn delivery(size: usize) -> Box<dyn FnMut()> {
    let (message, mut out) = (message(size), Vec::new());
    Box::new(move || {
        out.clear();
        put_deliver(&mut out, 1, FRAME_MAX, "consumer", 9, false, black_box(&message));
        black_box(&out);
    })
}

fn made(size: usize) -> Box<dyn FnMut()> {
    let (names, body) = (names(), vec![7; size]);
    Box::new(move || {
        let names = Names::new(&names).unwrap();
        drop(black_box(Message::of_names(names, &[0, 0], MessageBody::Borrowed(&body))));
    })
}

fn native(kind: &str) -> Box<dyn Matcher> {
    create(&**ExchangeTypes::native().get(kind).unwrap(), FieldTable::new())
}

fn create(kind: &dyn ExchangeType, arguments: FieldTable) -> Box<dyn Matcher> {
    let spec = ExchangeSpec {
        vhost: VhostName::new("/").unwrap(),
        name: ExchangeName::new(EXCHANGE).unwrap(),
        arguments: Arc::new(arguments),
    };
    kind.create(&spec).unwrap()
}

/// Bindings of which one matches, or with `fanout` all: for each type those that it reads.
fn matched(mut matcher: Box<dyn Matcher>, count: usize) -> Box<dyn FnMut()> {
    for n in 0..count {
        let header = ("customer".to_owned(), Value::I64(n as i64));
        let key = match count {
            // As many keys as a consistent hash has weights.
            10 => "1".to_owned(),
            _ if n % 2 == 0 => format!("area{n}.new.item{n}"),
            _ => format!("area{n}.*.item{n}"),
        };
        let binding = Arc::new(Binding {
            destination: Destination::Queue(QueueId::new(ShardId(0), n as u32, 0)),
            destination_name: format!("queue-{n}").into(),
            key: key.into(),
            arguments: (&[header].into_iter().collect::<FieldTable>()).into(),
            sequence: 0,
        });
        matcher.validate_binding(&binding).unwrap();
        matcher.bind(&binding);
    }
    let mut headers = FieldTable::new();
    headers.insert("customer", Value::I64(0));
    headers.insert("region", Value::from("eu"));
    let properties = Properties { headers: Some(headers), ..Properties::default() };
    let message = Message::build(EXCHANGE, KEY, &properties, b"").unwrap();
    let vhost = VhostName::new("/").unwrap();
    let mut destinations = Vec::new();
    Box::new(move || {
        let header = Header {
            vhost: &vhost,
            exchange: EXCHANGE,
            routing_keys: &[message.routing_key()],
            properties: message.properties(),
            body_size: 16,
            user: "guest",
            now_ms: 0,
            random: 0,
        };
        destinations.clear();
        matcher.matches(black_box(&header), &Nowhere, &mut destinations).unwrap();
        black_box(&destinations);
    })
}

/// Reads nothing and answers that there is no destination: what any route costs.
const NOTHING: &str = r#"(module
  (memory (export "memory") 1)
  (data (i32.const 1024) "\84\a4name\a1b\a7version\a11\a5reads\90\a5wants\90")
  (func (export "shunt_abi") (result i32) i32.const 1)
  (func (export "shunt_alloc") (param i32) (result i32) i32.const 4096)
  (func (export "shunt_describe") (result i64) i64.const 0x0000040000000020)
  (func (export "shunt_route") (param i32 i32) (result i64) i64.const 0))"#;

fn by_key() -> Vec<u8> {
    let recipe = "../../examples/routes/by-key/by-key.wasm";
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(recipe)).unwrap()
}

fn route(module: &[u8]) -> Box<dyn FnMut()> {
    let directory = tempfile::tempdir().unwrap();
    let routes = Routes::open(RoutesConfig {
        directory: directory.path().to_owned(),
        limits: RouteLimits::default(),
        store: Arc::new(Nowhere),
        log: Arc::new(Nowhere),
    })
    .unwrap();
    let request = DeployRequest {
        vhost: &VhostName::new("/").unwrap(),
        name: "route",
        module,
        grants: &[],
        destinations: Destinations::Bound,
        limits: LimitOverrides::default(),
        guards: &Guards::default(),
        activate: true,
        now_ms: 0,
    };
    routes.deploy(&request).unwrap();
    let arguments = [("x-route".to_owned(), Value::from("route"))].into_iter().collect();
    let mut round = matched(create(&XWasm::new(routes), arguments), 1);
    Box::new(move || {
        // The module stands there.
        let _ = &directory;
        round();
    })
}

fn queue(no_ack: bool) -> Box<dyn FnMut()> {
    let id = QueueId::new(ShardId(0), 0, 0);
    let mut queue = Queue::new(id, QueueSettings::default(), 0);
    queue.subscribe(ConsumerOptions { no_ack, ..ConsumerOptions::default() }).unwrap();
    let message = message(16);
    Box::new(move || {
        for _ in 0..64 {
            black_box(queue.enqueue(0, message.clone()));
        }
        while let Some((_, delivery)) = queue.next_delivery(0) {
            if let Some(id) = black_box(&delivery).id {
                queue.settle(id, Settlement::Ack);
            }
        }
    })
}

fn log(appends: bool) -> Box<dyn FnMut()> {
    let disk = Arc::new(Nowhere);
    let options = SegmentLogOptions::default();
    let (writer, _) = SegmentWriter::open(disk, options, &mut |_, _, _| {}).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let log = SegmentLog::start(writer, move |outcome| {
        if let SyncOutcome::Durable(position) = outcome {
            // Nobody listens any more when the log ends.
            let _ = tell.send(position);
        }
    });
    let log = log.unwrap();
    let (mut batch, mut positions, body) = (Batch::default(), Vec::new(), vec![7; 1024]);
    Box::new(move || {
        batch.clear();
        for _ in 0..64 {
            batch.push(1, black_box(&body));
        }
        if appends {
            positions.clear();
            let position = log.append(black_box(&mut batch), &mut positions).unwrap();
            while told.recv().unwrap() < position {}
        }
    })
}

/// No queues, no other exchanges, no other routes, a disk without a medium.
struct Nowhere;

impl Topology for Nowhere {
    fn queue(&self, _name: &str) -> Option<QueueId> {
        None
    }

    fn exchange(&self, _id: ExchangeId) -> Option<&Exchange> {
        None
    }

    fn exchange_named(&self, _name: &str) -> Option<&Exchange> {
        None
    }
}

impl RouteStore for Nowhere {
    fn load(&self) -> io::Result<Vec<StoredRoute>> {
        Ok(Vec::new())
    }

    fn put(&self, _route: &StoredRoute) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _vhost: &VhostName, _name: &str) -> io::Result<()> {
        Ok(())
    }
}

impl RouteLog for Nowhere {
    fn log(&self, _route: &RouteRef, _level: LogLevel, _text: &str) {}
}

impl Disk for Nowhere {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn open(&self, _name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Self))
    }

    fn create(&self, _name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Self))
    }

    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn random(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn path(&self, name: &str) -> PathBuf {
        name.into()
    }
}

impl DiskFile for Nowhere {
    fn size(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn read_at(&self, _offset: u64, _buffer: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn write_at(&self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn write_parts_at(&self, _offset: u64, _parts: &[&[u8]]) -> io::Result<()> {
        Ok(())
    }

    fn set_size(&self, _size: u64) -> io::Result<()> {
        Ok(())
    }

    fn allocate(&self, _size: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
