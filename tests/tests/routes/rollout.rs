//! A candidate from a trace to its promotion: replayed, shadowed, given a part of the messages,
//! taken back; and all of that under load.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value as Json, json};
use shunt_tests::{Client, Deadline, Guest, Node, Props};

use super::commands::shunt;
use super::{declare, deploy_with, show, start};

/// Publishers of the test under load.
const PUBLISHERS: usize = 8;
/// Messages that a publisher may have unconfirmed.
const WINDOW: usize = 50;

const PATIENCE: Duration = Duration::from_secs(30);

/// A node whose route's version 1 answers `q0`, and whose version 2, held back, is this.
fn candidate(second: &Guest) -> (Node, Client) {
    let (node, client) = start(&Guest::index(0).reads(&["routing_key"]), "", &[]);
    deploy_with(&node.http(), "r", "?activate=false", second.wat()).unwrap().expect(201);
    (node, client)
}

fn put(node: &Node, what: &str, body: &Json) -> Json {
    node.http().put(&format!("/api/routes/%2F/r/{what}"), body).unwrap().expect(200)
}

#[test]
fn a_trace_is_replayed_on_the_node_and_at_the_desk() {
    let second = Guest::index(1).reads(&["routing_key"]);
    let (node, mut client) = candidate(&second);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let first = Guest::index(0).reads(&["routing_key"]);
    std::fs::write(path("one.wat"), first.wat()).unwrap();
    std::fs::write(path("two.wat"), second.wat()).unwrap();
    let none = shunt(&node, &["route", "replay", "r", "--version", "2"]).unwrap_err();
    assert!(none.contains("record one first"), "{none}");
    shunt(&node, &["route", "trace", "start", "r", "--field", "headers.tenant"]).unwrap();
    for n in 0..30 {
        client.publish("e", if n < 10 { "a" } else { "b" }, &Props::new(), b"secret").unwrap();
    }
    client.confirms().unwrap();
    shunt(&node, &["route", "trace", "stop", "r"]).unwrap();
    client.publish("e", "late", &Props::new(), b"x").unwrap();
    let status = shunt(&node, &["route", "trace", "status", "r", "--output", "json"]).unwrap();
    let status: Json = serde_json::from_str(&status).unwrap();
    assert_eq!((&status["recorded"], &status["running"]), (&json!(30), &json!(false)));
    assert_eq!(status["fields"], json!(["routing_key", "headers.tenant"]));
    shunt(&node, &["route", "trace", "download", "r", &path("r.trace")]).unwrap();
    let trace = std::fs::read(path("r.trace")).unwrap();
    assert!(!trace.windows(6).any(|bytes| bytes == b"secret"), "a body is in the trace");

    let replay = ["route", "replay", "r", "--version", "2", "--output", "json"];
    let on_node: Json = serde_json::from_str(&shunt(&node, &replay).unwrap()).unwrap();
    assert_eq!((&on_node["messages"], &on_node["changed"]), (&json!(30), &json!(30)));
    assert_eq!(on_node["moves"][0]["to"], json!(["q1"]));
    assert_eq!(on_node["values"][0]["value"], "b");
    assert_eq!(on_node["values"][0]["changed"], 20);
    let (one, two, file) = (path("one.wat"), path("two.wat"), path("r.trace"));
    let desk = ["route", "replay", "--trace", &file, "--module", &two, "--against", &one];
    let at_desk = shunt(&node, &[&desk[..], &["--output", "json"]].concat()).unwrap();
    assert_eq!(serde_json::from_str::<Json>(&at_desk).unwrap(), on_node);
    let told = shunt(&node, &desk).unwrap();
    assert!(told.starts_with("30 messages, 30 would change\n"), "{told}");
    assert!(told.contains("30      0     q1 (binding 1, key 'q1')"), "{told}");
}

#[test]
fn a_shadow_fails_alone() {
    let (node, mut client) = candidate(&Guest::new("unreachable"));
    put(&node, "shadow", &json!({"version": 2, "time_per_cent": 100}));
    for _ in 0..20 {
        client.publish("e", "k", &Props::new(), b"x").unwrap();
    }
    assert!(client.confirms().unwrap().nacked.is_empty());
    assert_eq!(client.drain("q0").unwrap().len(), 20);
    let shadow = &show(&node)["shadow"];
    let asked = shadow["compared"].as_u64().unwrap() + shadow["skipped"].as_u64().unwrap();
    assert_eq!(asked, 20, "{shadow}");
    assert_eq!(shadow["compared"], shadow["failures"]["trap"]);
    assert_eq!(shadow["differences"][0]["active"], json!(["q0"]));
    assert_eq!(shadow["differences"][0]["fields"], json!({"routing_key": "k"}));
    let metrics = node.http().get("/metrics").unwrap().text();
    assert!(metrics.contains(r#"shunt_route_shadow_failures_total{vhost="/",route="r""#));
    let said = shunt(&node, &["route", "shadow", "stop", "r"]).unwrap();
    assert_eq!(said, "route 'r' has no shadow\n");
}

#[test]
fn a_canary_that_fails_is_taken_back_and_loses_nothing() {
    let (mut node, client) = candidate(&Guest::new("unreachable"));
    let start = ["route", "canary", "start", "r", "2", "--steps", "50,100", "--min-calls", "20"];
    let said = shunt(&node, &start).unwrap();
    assert_eq!(said, "route 'r': version 2 has 50 % of the messages\n");
    // It goes on after a restart.
    node.kill().unwrap();
    node.start_again().unwrap();
    assert_eq!(show(&node)["canary"]["per_cent"], 50);
    drop(client);
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    client.declare_queue("q2").unwrap();
    declare(&mut client, "f", "r", &[]).unwrap();
    client.bind("q2", "f", "", &[]).unwrap();
    for _ in 0..60 {
        client.publish("f", "k", &Props::new(), b"x").unwrap();
    }
    assert!(client.confirms().unwrap().nacked.is_empty());
    let taken_back = || (show(&node)["last_rollout"]["outcome"] == "taken-back").then_some(());
    Deadline::after(PATIENCE).poll("the canary's end", taken_back).unwrap();
    let ended = shunt(&node, &["route", "canary", "status", "r"]).unwrap_err();
    assert!(ended.contains("version 2: taken-back") && ended.contains("failed"), "{ended}");
    assert_eq!(show(&node)["active"], 1);
    assert_eq!(client.drain("q2").unwrap().len(), 60);
    assert!(node.log().contains("canary taken back"));
}

#[test]
fn a_canary_that_takes_too_much_fuel_is_taken_back() {
    let dear = "(local $n i32) (loop $l (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) \
                (i32.const 1))) (i32.const 5000)))) i64.const 0x80000000002";
    let dear = Guest::new(dear).extra(r#"(data (i32.const 2048) "\91\00")"#);
    let (node, mut client) = candidate(&dear);
    let start = ["route", "canary", "start", "r", "2", "--steps", "100", "--max-fuel", "3"];
    shunt(&node, &[&start[..], &["--max-time", "0"]].concat()).unwrap();
    for _ in 0..30 {
        client.publish("e", "k", &Props::new(), b"x").unwrap();
    }
    assert!(client.confirms().unwrap().nacked.is_empty());
    let taken_back = || (show(&node)["last_rollout"]["outcome"] == "taken-back").then_some(());
    Deadline::after(PATIENCE).poll("the canary's end", taken_back).unwrap();
    let shown = show(&node);
    let reason = shown["last_rollout"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("the median fuel of its decisions is "), "{reason}");
    assert_eq!(client.drain("q0").unwrap().len(), 30);
}

#[test]
fn a_swap_a_canary_and_a_rollback_under_load_lose_double_and_misroute_nothing() {
    let (node, mut client) = candidate(&Guest::index(1).reads(&["routing_key"]));
    let stop = AtomicBool::new(false);
    let published: Vec<BTreeSet<String>> = std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|number| {
                let (node, stop) = (&node, &stop);
                scope.spawn(move || publish(node, format!("p{number}"), stop))
            })
            .collect();
        let http = node.http();
        let post = |what: &str, body: Json| {
            http.post(&format!("/api/routes/%2F/r/{what}"), &body).unwrap().expect(200)
        };
        for round in 0..20 {
            post("activate", json!({"version": 2 - round % 2}));
        }
        post("activate", json!({"version": 1}));
        let steps = json!({"version": 2, "steps": [30, 70, 100], "interval_ms": 100,
            "max_time_factor": 0.0, "max_fuel_factor": 0.0, "min_calls": 20});
        put(&node, "canary", &steps);
        let promoted = || (show(&node)["active"] == 2).then_some(());
        let outcome = Deadline::after(PATIENCE).poll("the promotion", promoted);
        for _ in 0..5 {
            post("rollback", json!({}));
        }
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap();
        publishers.into_iter().map(|publisher| publisher.join().unwrap()).collect()
    });
    let mut reached: BTreeMap<String, usize> = BTreeMap::new();
    for queue in ["q0", "q1"] {
        let bodies = client.drain(queue).unwrap();
        assert!(!bodies.is_empty(), "no version sent anything to {queue}");
        bodies.into_iter().for_each(|body| *reached.entry(body).or_default() += 1);
    }
    let twice: Vec<_> = reached.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let confirmed: BTreeSet<&String> = published.iter().flatten().collect();
    assert_eq!(reached.keys().collect::<BTreeSet<_>>(), confirmed);
    // Each was decided once, and the count of what failed is none.
    let shown = show(&node);
    let calls = shown["versions"].as_array().unwrap().iter().map(|version| {
        let failures = version["counters"]["failures"].as_object().unwrap();
        assert!(failures.values().all(|count| count == 0), "{shown}");
        version["counters"]["calls"].as_u64().unwrap()
    });
    assert_eq!(calls.sum::<u64>(), confirmed.len() as u64, "{shown}");
}

/// Publishes until it is told to stop; the bodies, all of them confirmed.
fn publish(node: &Node, name: String, stop: &AtomicBool) -> BTreeSet<String> {
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    let mut bodies = BTreeSet::new();
    while !stop.load(Ordering::Relaxed) {
        let body = format!("{name}:{:09}", bodies.len());
        client.publish_with("e", &name, true, &Props::new(), body.as_bytes()).unwrap();
        bodies.insert(body);
        client.wait_confirms(WINDOW).unwrap();
    }
    let confirms = client.confirms().unwrap();
    assert!(confirms.nacked.is_empty(), "{:?}", confirms.nacked);
    assert_eq!(confirms.acked.len(), bodies.len());
    bodies
}
