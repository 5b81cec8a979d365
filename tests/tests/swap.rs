//! Versions of a route that are swapped under load: each message is routed by one of them, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use shunt_tests::amqp_raw::Value;
use shunt_tests::{Client, Guest, Node, Props};

const PUBLISHERS: usize = 4;

/// Messages that a publisher may have unconfirmed.
const WINDOW: usize = 200;

/// How often another version is put in force.
const SWAPS: usize = 120;

#[test]
fn no_message_is_lost_or_routed_twice() {
    let node = Node::start().unwrap();
    let http = node.http();
    let versions = [Guest::index(0), Guest::index(1), Guest::index(2)];
    for guest in versions {
        let module = guest.reads(&["routing_key"]).wat();
        http.request("PUT", "/api/routes/%2F/r").body(module).send().unwrap().expect(201);
    }
    let mut client = Client::open(node.amqp()).unwrap();
    let route = [("x-route".to_owned(), Value::Str("r".into()))];
    client.declare_exchange("e", "x-wasm", "d", &route).unwrap();
    for queue in ["q0", "q1", "q2"] {
        client.declare_queue(queue).unwrap();
        client.bind(queue, "e", queue, &[]).unwrap();
    }
    let stop = AtomicBool::new(false);
    let published: Vec<BTreeSet<String>> = std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|number| {
                let (node, stop) = (&node, &stop);
                scope.spawn(move || publish(node, format!("p{number}"), stop))
            })
            .collect();
        for swap in 0..SWAPS {
            let version = json!({"version": 1 + swap % 3});
            http.post("/api/routes/%2F/r/activate", &version).unwrap().expect(200);
        }
        stop.store(true, Ordering::Relaxed);
        publishers.into_iter().map(|publisher| publisher.join().unwrap()).collect()
    });

    let total: usize = published.iter().map(BTreeSet::len).sum();
    assert!(total > SWAPS, "{total} messages are no load for {SWAPS} swaps");
    let mut reached: BTreeMap<String, usize> = BTreeMap::new();
    let mut last: BTreeMap<(String, String), u64> = BTreeMap::new();
    for queue in ["q0", "q1", "q2"] {
        let bodies = client.drain(queue).unwrap();
        assert!(!bodies.is_empty(), "no version sent anything to {queue}");
        for body in bodies {
            *reached.entry(body.clone()).or_default() += 1;
            // The order of one publisher holds in every queue.
            let (publisher, number) = body.split_once(':').unwrap();
            let number: u64 = number.parse().unwrap();
            let before = last.insert((queue.into(), publisher.into()), number);
            assert!(before.is_none_or(|before| before < number), "{body} is late in {queue}");
        }
    }
    let twice: Vec<_> = reached.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let confirmed: BTreeSet<&String> = published.iter().flatten().collect();
    let reached: BTreeSet<&String> = reached.keys().collect();
    assert_eq!(reached, confirmed);

    let shown = http.get("/api/routes/%2F/r").unwrap().expect(200);
    let versions = shown["versions"].as_array().unwrap();
    let calls: u64 =
        versions.iter().map(|version| version["counters"]["calls"].as_u64().unwrap()).sum();
    assert_eq!(calls, total as u64, "{shown}");
    assert!(versions.iter().all(|version| version["counters"]["calls"] != 0), "{shown}");
}

/// Publishes until it is told to stop; the bodies, all of them confirmed.
fn publish(node: &Node, name: String, stop: &AtomicBool) -> BTreeSet<String> {
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    let mut bodies = BTreeSet::new();
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let body = format!("{name}:{number:09}");
        client.publish_with("e", &name, true, &Props::new(), body.as_bytes()).unwrap();
        bodies.insert(body);
        client.wait_confirms(WINDOW).unwrap();
    }
    let confirms = client.confirms().unwrap();
    assert!(confirms.nacked.is_empty(), "{:?}", confirms.nacked);
    assert_eq!(confirms.acked.len() as u64, number);
    bodies
}
