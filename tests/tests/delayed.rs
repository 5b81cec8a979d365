//! `x-delayed-message`: messages wait for their time, over kills too, and go with their exchange.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use shunt_tests::amqp_raw::Value;
use shunt_tests::{Client, Consume, Deadline, Incoming, Node, Props};

/// Declares the exchange `d` and the queue `q`, bound by the key `k`.
fn declare(client: &mut Client, kind: &str) {
    let arguments = [("x-delayed-type".to_owned(), Value::Str(kind.into()))];
    client.declare_exchange("d", "x-delayed-message", "d", &arguments).unwrap();
    client.declare_queue("q").unwrap();
    client.bind("q", "d", "k", &[]).unwrap();
}

fn delayed(ms: i32) -> Props {
    Props::persistent().header("x-delay", Value::I32(ms))
}

/// `messages_delayed` of the exchange `d`.
fn waiting(node: &Node) -> u64 {
    let exchange = node.http().get("/api/exchanges/%2F/d").unwrap().expect(200);
    exchange["messages_delayed"].as_u64().unwrap()
}

/// The next `count` deliveries' bodies.
fn bodies(client: &mut Client, count: usize) -> Vec<String> {
    (0..count).map(|_| client.delivery().unwrap().text()).collect()
}

#[expect(clippy::disallowed_methods, reason = "the tests wait in real time")]
fn now() -> Instant {
    Instant::now()
}

/// The time as the broker has it, in whole milliseconds.
#[expect(clippy::disallowed_methods, reason = "it is compared with what the broker's clock says")]
fn clock() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Duration::from_millis(now.as_millis() as u64)
}

fn pause(time: Duration) {
    let deadline = Deadline::after(time);
    let _ = deadline.poll("nothing", || None::<()>);
}

#[test]
fn messages_come_when_they_are_due_and_in_that_order() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    declare(&mut client, "topic");
    client.confirm_select().unwrap();
    client.consume("q", Consume { no_ack: true, ..Consume::default() }).unwrap();
    let began = clock();
    for ms in [600, 200, 400, 300, 200, 500] {
        // Mandatory says nothing about what waits.
        client.publish_with("d", "k", true, &delayed(ms), ms.to_string().as_bytes()).unwrap();
    }
    let confirms = client.confirms().unwrap();
    assert_eq!((confirms.acked.len(), confirms.nacked.len()), (6, 0));
    for expected in ["200", "200", "300", "400", "500", "600"] {
        let message = client.delivery().unwrap();
        assert_eq!(message.text(), expected);
        let due = Duration::from_millis(expected.parse().unwrap());
        let waited = clock() - began;
        assert!(waited >= due, "{expected} came after {waited:?}");
    }
    assert_eq!(waiting(&node), 0);
}

#[test]
fn a_delay_may_be_short_and_comes_in_many_types() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    declare(&mut client, "direct");
    client.consume("q", Consume { no_ack: true, ..Consume::default() }).unwrap();
    for delay in [
        Value::I32(5),
        Value::I64(5),
        Value::Str("5".into()),
        Value::Double(5.5),
        Value::I32(0),
        Value::I32(-1),
        Value::I64(4_294_967_296),
        Value::Str("soon".into()),
        Value::Bool(true),
    ] {
        let props = Props::new().header("x-delay", delay.clone());
        let sent = now();
        client.publish("d", "k", &props, b"m").unwrap();
        client.delivery().unwrap();
        assert!(sent.elapsed() < Duration::from_secs(5), "{delay:?}");
    }
}

#[test]
fn what_waits_survives_kills_with_its_time() {
    let mut node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    declare(&mut client, "direct");
    client.confirm_select().unwrap();
    for (body, ms) in [("late", 3_600_000), ("b", 2_500), ("a", 2_000), ("c", 3_000)] {
        client.publish("d", "k", &delayed(ms), body.as_bytes()).unwrap();
    }
    let transient = Props::new().header("x-delay", Value::I32(2_200));
    client.publish("d", "k", &transient, b"transient").unwrap();
    assert_eq!(client.confirms().unwrap().nacked.len(), 0);
    let sent = now();
    node.kill().unwrap();
    node.start_again().unwrap();
    assert_eq!(waiting(&node), 4, "a transient message ends with the process");
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    client.publish("d", "k", &delayed(1), b"new").unwrap();
    client.confirms().unwrap();
    client.consume("q", Consume { no_ack: true, ..Consume::default() }).unwrap();
    assert_eq!(bodies(&mut client, 4), ["new", "a", "b", "c"]);
    assert!(sent.elapsed() >= Duration::from_millis(2_900), "{:?}", sent.elapsed());
    client.close().unwrap();

    // What came due is not there twice after another kill, and what waits still waits.
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    client.publish("d", "k", &delayed(1_000), b"due while it was dead").unwrap();
    client.confirms().unwrap();
    node.kill().unwrap();
    pause(Duration::from_millis(1_100));
    node.start_again().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.consume("q", Consume { no_ack: true, ..Consume::default() }).unwrap();
    assert_eq!(bodies(&mut client, 1), ["due while it was dead"]);
    assert_eq!(client.receive_within(Duration::from_millis(300)).unwrap(), None);
    assert_eq!(waiting(&node), 1);
}

#[test]
fn a_kill_while_messages_fall_due_neither_loses_nor_doubles_them() {
    let mut node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    declare(&mut client, "direct");
    client.confirm_select().unwrap();
    for n in 0..2_000 {
        client.publish("d", "k", &delayed(500 + n % 500), n.to_string().as_bytes()).unwrap();
    }
    assert_eq!(client.confirms().unwrap().nacked.len(), 0);
    for _ in 0..3 {
        pause(Duration::from_millis(150));
        node.kill().unwrap();
        node.start_again().unwrap();
    }
    Deadline::after(Duration::from_secs(20))
        .poll("every message is due", || (waiting(&node) == 0).then_some(()))
        .unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    let mut numbers: Vec<u32> =
        client.drain("q").unwrap().iter().map(|body| body.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..2_000).collect::<Vec<_>>());
}

#[test]
fn deleting_the_exchange_cancels_what_waits_for_good() {
    let mut node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    declare(&mut client, "direct");
    client.confirm_select().unwrap();
    client.publish("d", "k", &delayed(300), b"cancelled").unwrap();
    client.confirms().unwrap();
    assert_eq!(waiting(&node), 1);
    node.http().delete("/api/exchanges/%2F/d").unwrap().expect(204);
    node.kill().unwrap();
    node.start_again().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    declare(&mut client, "direct");
    assert_eq!(waiting(&node), 0);
    client.publish("d", "k", &delayed(400), b"kept").unwrap();
    client.confirms().unwrap();
    client.consume("q", Consume { no_ack: true, ..Consume::default() }).unwrap();
    assert_eq!(bodies(&mut client, 1), ["kept"]);
}

#[test]
fn a_queue_that_refuses_when_a_message_is_due_drops_it_and_the_exchange_goes_on() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    declare(&mut client, "direct");
    let full = [
        ("x-max-length".to_owned(), Value::I32(1)),
        ("x-overflow".to_owned(), Value::Str("reject-publish".into())),
    ];
    client.declare_queue_as("full", "d", &full).unwrap();
    client.bind("full", "d", "full", &[]).unwrap();
    client.confirm_select().unwrap();
    for (key, body) in [("full", "1"), ("full", "2"), ("k", "3")] {
        client.publish("d", key, &delayed(50), body.as_bytes()).unwrap();
    }
    assert_eq!(client.confirms().unwrap().nacked.len(), 0, "what waits was taken");
    client.consume("q", Consume { no_ack: true, ..Consume::default() }).unwrap();
    assert_eq!(bodies(&mut client, 1), ["3"]);
    assert_eq!(client.drain("full").unwrap(), ["1"]);
    assert_eq!(waiting(&node), 0);
}

#[test]
fn messages_from_http_wait_too_and_listings_count_them() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    declare(&mut client, "fanout");
    let http = node.http();
    let message = json!({
        "routing_key": "", "payload": "m", "payload_encoding": "string",
        "properties": {"delivery_mode": 2, "headers": {"x-delay": 400}},
    });
    let answer = http.post("/api/exchanges/%2F/d/publish", &message).unwrap().expect(200);
    assert_eq!(answer["routed"], true);
    let list = http.get("/api/exchanges/%2F").unwrap().expect(200);
    let counts: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|exchange| exchange.get("messages_delayed").cloned())
        .collect();
    assert_eq!(counts, [1]);
    let queues = http.get("/api/queues/%2F").unwrap().expect(200);
    assert_eq!(queues.as_array().unwrap().len(), 1, "the queue of what waits is nobody's");
    client.consume("q", Consume { no_ack: true, ..Consume::default() }).unwrap();
    match client.receive().unwrap() {
        Incoming::Deliver(message) => assert_eq!(message.text(), "m"),
        other => panic!("{other:?}"),
    }
}

/// A million messages that wait: what they take, told by a test because no other test should
/// wait for it. `cargo test -p shunt-tests --test black_box a_million -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes; it measures"]
fn a_million_messages_wait() {
    const COUNT: u64 = 1_000_000;
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    declare(&mut client, "direct");
    client.confirm_select().unwrap();
    let (before, began) = (node.resident_bytes().unwrap(), now());
    for n in 0..COUNT {
        // Due in no order, and none of them soon.
        let ms = 3_600_000 + (n * 7_919 % 1_000_003) as i32;
        client.publish("d", "k", &delayed(ms), &[b'x'; 100]).unwrap();
        if n % 1_000 == 999 {
            client.wait_confirms(500).unwrap();
        }
    }
    assert_eq!(client.confirms().unwrap().nacked.len(), 0);
    let taken = node.resident_bytes().unwrap() - before;
    println!("{COUNT} of 100 bytes: confirmed in {:?}", began.elapsed());
    println!("{} bytes of memory for each", taken / COUNT);
    assert_eq!(waiting(&node), COUNT);
    client.consume("q", Consume { no_ack: true, ..Consume::default() }).unwrap();
    client.publish("d", "k", &delayed(20), b"soon").unwrap();
    let sent = now();
    assert_eq!(bodies(&mut client, 1), ["soon"]);
    println!("20 ms with a million waiting took {:?}", sent.elapsed());
}
