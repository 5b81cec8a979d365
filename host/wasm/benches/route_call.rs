//! Nanoseconds for one message: a native topic exchange beside route exchanges.
//!
//! `cargo bench -p shunt-wasm`. Rounds are interleaved and the fastest of each counts, so that
//! other work on the machine weighs on all alike. `cargo bench -p shunt-wasm -- WORD` measures only
//! those with the word in their name, for a profiler.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints figures")]

use std::hint::black_box;
use std::sync::Arc;
use std::{fs, io};

use rustix::time::{ClockId, clock_gettime};
use shunt_routing::{
    Binding, Destination, Exchange, ExchangeSpec, ExchangeType, ExchangeTypes, Header, Matcher,
    Topology,
};
use shunt_types::{
    ExchangeId, ExchangeName, FieldTable, PackedTable, Properties, PropertiesRef, QueueId, ShardId,
    Value, VhostName,
};
use shunt_wasm::{
    DeployRequest, Destinations, Guards, LimitOverrides, LogLevel, RouteLimits, RouteLog, RouteRef,
    RouteStore, Routes, RoutesConfig, StoredRoute, XWasm,
};

const ROUNDS: usize = 60;
const CALLS: u32 = 20_000;

/// Reads `[routing_key, headers.region]`: answers binding 0 where the key starts with `orders.`
/// and the region with `eu`, binding 1 where only the key fits, else nothing.
const TWO_FIELDS: &str = r#"(module
  (memory (export "memory") 1)
  (data (i32.const 1024) "\84\a4name\a1b\a7version\a11\a5reads\92\abrouting_key\aeheaders.region\a5wants\90")
  (data (i32.const 2048) "\92\00\02\91\01")
  (func (export "shunt_abi") (result i32) i32.const 1)
  (func (export "shunt_alloc") (param i32) (result i32) i32.const 4096)
  (func (export "shunt_describe") (result i64) i64.const 0x000004000000003b)
  (func (export "shunt_route") (param $p i32) (param i32) (result i64)
    ;; 0x92, then a short string: its head has the length in five bits.
    (if (i64.ne (i64.and (i64.load offset=2 (local.get $p)) (i64.const 0xffffffffffffff))
                (i64.const 0x2e73726564726f))
      (then (return (i64.const 0))))
    (local.set $p (i32.add (i32.add (local.get $p) (i32.const 2))
      (i32.and (i32.load8_u offset=1 (local.get $p)) (i32.const 31))))
    (if (i32.eq (i32.load16_u offset=1 (local.get $p)) (i32.const 0x7565))
      (then (return (i64.const 0x0000080000000003))))
    (i64.const 0x0000080300000002)))"#;

/// Reads nothing and answers that there is no destination: what any route costs.
const NOTHING: &str = r#"(module
  (memory (export "memory") 1)
  (data (i32.const 1024) "\84\a4name\a1b\a7version\a11\a5reads\90\a5wants\90")
  (func (export "shunt_abi") (result i32) i32.const 1)
  (func (export "shunt_alloc") (param i32) (result i32) i32.const 4096)
  (func (export "shunt_describe") (result i64) i64.const 0x0000040000000020)
  (func (export "shunt_route") (param i32 i32) (result i64) i64.const 0))"#;

/// The recipe by-key as it is deployed: the Rust SDK, two fields, the keys of all bindings.
const BY_KEY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/routes/by-key/by-key.wasm");

/// As `TWO_FIELDS`, as a component.
const COMPONENT: &str = include_str!("two-fields-component.wat");

struct Nowhere;

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
    fn log(&self, _route: &RouteRef, _level: LogLevel, text: &str) {
        println!("{text}");
    }
}

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

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let routes = Routes::open(RoutesConfig {
        directory: directory.path().to_owned(),
        limits: RouteLimits::default(),
        store: Arc::new(Nowhere),
        log: Arc::new(Nowhere),
    })
    .unwrap();
    let vhost = VhostName::new("/").unwrap();
    let by_key = fs::read(BY_KEY).unwrap();
    let mut called = LimitOverrides::default();
    called.set("cache_entries", 0).unwrap();
    for (name, module, limits) in [
        ("nothing", NOTHING.as_bytes(), called),
        ("two-fields", TWO_FIELDS.as_bytes(), called),
        ("component", COMPONENT.as_bytes(), called),
        ("by-key", by_key.as_slice(), called),
        ("kept", by_key.as_slice(), LimitOverrides::default()),
    ] {
        let request = DeployRequest {
            vhost: &vhost,
            name,
            module,
            grants: &[],
            destinations: Destinations::Bound,
            limits,
            guards: &Guards::default(),
            activate: true,
            now_ms: 0,
        };
        routes.deploy(&request).unwrap();
    }
    let native = ExchangeTypes::native();
    let topic = native.get("topic").unwrap();
    let wasm = XWasm::new(routes);
    let cases = [
        ("topic exchange", exchange(&**topic, &vhost, None)),
        ("route, no field, no destination", exchange(&wasm, &vhost, Some("nothing"))),
        ("route, two fields, index answer", exchange(&wasm, &vhost, Some("two-fields"))),
        ("component, two fields, an index", exchange(&wasm, &vhost, Some("component"))),
        ("route, the recipe by-key", exchange(&wasm, &vhost, Some("by-key"))),
        ("by-key, answers that are kept", exchange(&wasm, &vhost, Some("kept"))),
    ];

    let mut headers = FieldTable::new();
    headers.insert("tenant", Value::I64(7));
    headers.insert("trace", Value::from("0af7651916cd43dd8448eb211c80319c"));
    headers.insert("retry", Value::Boolean(false));
    headers.insert("region", Value::from("eu"));
    let properties = Properties {
        content_type: Some("application/json".into()),
        headers: Some(headers),
        delivery_mode: Some(2),
        ..Properties::default()
    };
    let mut bytes = Vec::new();
    properties.encode(&mut bytes);
    let header = Header {
        vhost: &vhost,
        exchange: "orders",
        routing_keys: &["orders.eu.created"],
        properties: PropertiesRef::decode(&bytes).unwrap(),
        body_size: 100,
        user: "guest",
        now_ms: 0,
        random: 0,
    };
    let word = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let cases: Vec<_> =
        cases.into_iter().filter(|(name, _)| name.contains(word.as_str())).collect();
    let none = Header {
        routing_keys: &["orders.eu.created"],
        properties: PropertiesRef::EMPTY,
        body_size: 16,
        ..header
    };
    let mut fastest = vec![[f64::MAX; 2]; cases.len()];
    let mut destinations = Vec::new();
    for _ in 0..ROUNDS {
        for ((_, matcher), fastest) in cases.iter().zip(&mut fastest) {
            for (header, fastest) in [&header, &none].into_iter().zip(fastest) {
                let start = cpu_ns();
                for _ in 0..CALLS {
                    destinations.clear();
                    matcher.matches(black_box(header), &Nowhere, &mut destinations).unwrap();
                    black_box(&destinations);
                }
                *fastest = fastest.min((cpu_ns() - start) as f64 / f64::from(CALLS));
            }
        }
    }
    println!("{:34} {:>10} {:>14}", "", "4 headers", "no headers");
    for ((name, _), [with, without]) in cases.iter().zip(&fastest) {
        println!("{name:34} {with:7.1} ns {without:11.1} ns");
    }
}

fn exchange(kind: &dyn ExchangeType, vhost: &VhostName, route: Option<&str>) -> Box<dyn Matcher> {
    let arguments: FieldTable =
        route.map(|route| ("x-route".to_owned(), Value::from(route))).into_iter().collect();
    let spec = ExchangeSpec {
        vhost: vhost.clone(),
        name: ExchangeName::new("orders").unwrap(),
        arguments: Arc::new(arguments),
    };
    let mut matcher = kind.create(&spec).unwrap();
    for (slot, key) in ["orders.eu.*", "orders.us.*", "orders.eu.created"].into_iter().enumerate() {
        let binding = Arc::new(Binding {
            destination: Destination::Queue(QueueId::new(ShardId(0), slot as u32, 0)),
            destination_name: format!("queue-{slot}").into(),
            key: key.into(),
            arguments: PackedTable::default(),
            sequence: 0,
        });
        matcher.validate_binding(&binding).unwrap();
        matcher.bind(&binding);
    }
    matcher
}

fn cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
