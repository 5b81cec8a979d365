//! Nanoseconds a message costs in each exchange type, by the number of bindings, and what the map
//! under the routing snapshots costs. `cargo bench -p shunt-routing`.

#![expect(clippy::print_stdout, reason = "a program whose output is its point")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use shunt_routing::{
    Binding, Destination, Exchange, ExchangeSpec, ExchangeTypes, Header, Map, Matcher, Topology,
};
use shunt_types::{
    ExchangeId, ExchangeName, FieldTable, Properties, PropertiesRef, QueueId, ShardId, Value,
    VhostName,
};

/// Time for one measurement; the best of [`ROUNDS`] counts, as the others were disturbed.
const ROUND: Duration = Duration::from_millis(20);
const ROUNDS: usize = 15;

fn main() {
    // `cargo test --benches` passes no `--bench`: then it is enough that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    by_key("direct", "direct", |n| format!("region{n}.type{n}.item{n}"), "region0.type0.item0");
    by_key("topic, three words", "topic", topic_key, "region0.type0.item0");
    let crossed = |n: usize| match n % 3 {
        0 => format!("region{n}.*.item{n}"),
        1 => format!("#.item{n}"),
        _ => format!("region{n}.#"),
    };
    by_key("topic, wildcards", "topic", crossed, "region0.type0.item0");
    headers("headers, all of two pairs", "all");
    headers("headers, any of two pairs", "any");
    consistent_hash();
    fanout();
    map();
    binding("direct", |n| (format!("region{n}.type{n}.item{n}"), FieldTable::new()));
    binding("topic", |n| (topic_key(n), FieldTable::new()));
    binding("fanout", |_| (String::new(), FieldTable::new()));
    binding("headers", |n| {
        let fields = [("type", Value::from("order")), ("customer", Value::I64(n as i64))];
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        (String::new(), fields.collect())
    });
    binding("x-consistent-hash", |_| ("1".to_owned(), FieldTable::new()));
}

fn topic_key(n: usize) -> String {
    format!("region{}.type{}.item{n}", n % 16, n / 16 % 16)
}

fn by_key(title: &str, kind: &str, key: impl Fn(usize) -> String, sent: &str) {
    for count in [1, 100, 1_000, 10_000] {
        let matcher = bind(kind, (0..count).map(|n| (n, key(n), FieldTable::new())));
        let keys = [sent];
        report(title, count, &*matcher, &keys, &Properties::default(), 1);
    }
}

fn headers(title: &str, mode: &str) {
    let table = |mode: Option<&str>, n: usize| {
        let mut table = FieldTable::new();
        if let Some(mode) = mode {
            table.insert("x-match", mode.into());
        }
        table.insert("customer", Value::I64(n as i64));
        table.insert("city", format!("city-{n}").into());
        table
    };
    let mut sent = table(None, 0);
    sent.insert("type", "order".into());
    sent.insert("attempt", Value::I32(1));
    let properties = Properties { headers: Some(sent), ..Properties::default() };
    for count in [1, 100, 1_000, 10_000] {
        let bindings = (0..count).map(|n| (n, String::new(), table(Some(mode), n)));
        let matcher = bind("headers", bindings);
        report(title, count, &*matcher, &["k"], &properties, if mode == "any" { 2 } else { 1 });
    }
}

fn consistent_hash() {
    for count in [2, 10, 100, 1_000, 10_000] {
        let bindings = (0..count).map(|n| (n, (1 + n % 3).to_string(), FieldTable::new()));
        let matcher = bind("x-consistent-hash", bindings);
        let keys = ["region0.type0.item0"];
        report("consistent hash", count, &*matcher, &keys, &Properties::default(), 1);
    }
}

fn fanout() {
    for count in [1, 10, 100] {
        let matcher = bind("fanout", (0..count).map(|n| (n, String::new(), FieldTable::new())));
        report("fanout", count, &*matcher, &["k"], &Properties::default(), count);
    }
}

/// A million bindings made one at a time, the last thousand snapshots alive; memory and lookups.
fn map() {
    const COUNT: usize = 1_000_000;
    let keys: Vec<Arc<str>> = (0..COUNT).map(|n| format!("binding-{n}").into()).collect();
    let before = resident();
    let mut map = Map::new();
    for (n, key) in keys.iter().enumerate() {
        map.insert(Arc::clone(key), n as u64);
    }
    let bytes = (resident() - before) / COUNT;
    println!("map of a million Arc<str> -> u64: {bytes} bytes an entry beside the key's text");
    drop(map);

    let started = now();
    let mut map = Map::new();
    let mut kept = std::collections::VecDeque::new();
    for (n, key) in keys.iter().enumerate() {
        map.insert(Arc::clone(key), n as u64);
        kept.push_back(map.clone());
        if kept.len() > 1_000 {
            kept.pop_front();
        }
    }
    let each = (now() - started).as_nanos() / COUNT as u128;
    println!("map, insert up to a million with snapshots alive: {each} ns");

    let mut n = 0;
    let hot = best(|| {
        n = (n + 1) % 1_000;
        black_box(map.get(&*keys[n]));
    });
    let cold = best(|| {
        n = (n + 700_001) % COUNT;
        black_box(map.get(&*keys[n]));
    });
    println!("map, get of a million: {hot:.0} ns of a thousand keys, {cold:.0} ns of all");
    let small: Map<Arc<str>, u64> =
        keys.iter().take(100).enumerate().map(|(n, key)| (Arc::clone(key), n as u64)).collect();
    let get = best(|| {
        n = (n + 1) % 100;
        black_box(small.get(&*keys[n]));
    });
    println!("map, get of a hundred: {get:.0} ns");
}

/// Bindings made one at a time, each on a copy of the snapshot before, as the broker does it.
fn binding(kind: &str, arguments: impl Fn(usize) -> (String, FieldTable)) {
    const COUNT: usize = 300_000;
    let bindings: Vec<_> = (0..COUNT)
        .map(|n| {
            let (key, arguments) = arguments(n);
            new_binding(n, key, arguments)
        })
        .collect();
    let mut snapshot = create(kind);
    let started = now();
    for binding in &bindings {
        let mut next = snapshot.boxed_clone();
        next.bind(binding);
        snapshot = next;
    }
    let bind_ns = (now() - started).as_nanos() / COUNT as u128;
    let started = now();
    for binding in &bindings {
        let mut next = snapshot.boxed_clone();
        next.unbind(binding);
        snapshot = next;
    }
    let unbind_ns = (now() - started).as_nanos() / COUNT as u128;
    println!("{kind}, {COUNT} bindings one by one: {bind_ns} ns, unbound: {unbind_ns} ns");
}

fn bind(
    kind: &str,
    bindings: impl Iterator<Item = (usize, String, FieldTable)>,
) -> Box<dyn Matcher> {
    let mut matcher = create(kind);
    for (n, key, arguments) in bindings {
        let binding = new_binding(n, key, arguments);
        matcher.validate_binding(&binding).expect("valid");
        matcher.bind(&binding);
    }
    matcher
}

fn create(kind: &str) -> Box<dyn Matcher> {
    let spec = ExchangeSpec {
        vhost: VhostName::new("/").expect("short"),
        name: ExchangeName::new("x").expect("short"),
        arguments: Arc::default(),
    };
    ExchangeTypes::native().get(kind).expect("native").create(&spec).expect("no arguments")
}

fn new_binding(n: usize, key: String, arguments: FieldTable) -> Arc<Binding> {
    Arc::new(Binding {
        destination: Destination::Queue(QueueId::new(ShardId(0), n as u32, 0)),
        destination_name: format!("queue-{n}").into(),
        key: key.into(),
        arguments: (&arguments).into(),
        sequence: 0,
    })
}

fn report(
    title: &str,
    count: usize,
    matcher: &dyn Matcher,
    keys: &[&str],
    properties: &Properties,
    expected: usize,
) {
    let vhost = VhostName::new("/").expect("short");
    let mut bytes = Vec::new();
    properties.encode(&mut bytes);
    let header = Header {
        vhost: &vhost,
        exchange: "x",
        routing_keys: keys,
        properties: PropertiesRef::decode(&bytes).expect("encoded above"),
        body_size: 0,
        user: "guest",
        now_ms: 0,
        random: 0,
    };
    let mut destinations = Vec::new();
    let ns = best(|| {
        destinations.clear();
        let matched = black_box(matcher).matches(black_box(&header), &Nowhere, &mut destinations);
        black_box(&matched);
    });
    assert_eq!(destinations.len(), expected, "{title}");
    println!("{title}, {count} bindings: {ns:.1} ns");
}

/// Nanoseconds for one call, in the best of several rounds.
fn best(mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let started = now();
        let mut calls = 0u32;
        while now() - started < ROUND {
            for _ in 0..1_000 {
                call();
            }
            calls += 1_000;
        }
        best = best.min((now() - started).as_nanos() as f64 / f64::from(calls));
    }
    best
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// Memory of this process, in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

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
