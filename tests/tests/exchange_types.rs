//! Exchange types beyond the standard ones, but for `x-delayed-message`, which has a file of its
//! own.

use shunt_tests::amqp_raw::{RawError, Value};
use shunt_tests::{Client, Incoming, Node, Props};

fn table(fields: &[(&str, Value)]) -> Vec<(String, Value)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn text(value: &str) -> Value {
    Value::Str(value.into())
}

fn open() -> (Node, Client) {
    let node = Node::start().unwrap();
    let client = Client::open(node.amqp()).unwrap();
    (node, client)
}

/// Declares durable queues and binds each by a key.
fn bind_all(client: &mut Client, exchange: &str, queues: &[(&str, &str)]) {
    for (queue, key) in queues {
        client.declare_queue(queue).unwrap();
        client.bind(queue, exchange, key, &[]).unwrap();
    }
}

fn publish(client: &mut Client, exchange: &str, key: &str, body: &str) {
    client.publish(exchange, key, &Props::persistent(), body.as_bytes()).unwrap();
}

#[test]
fn random_types_choose_one_queue_for_each_message() {
    let (_node, mut client) = open();
    client.confirm_select().unwrap();
    for kind in ["x-random", "x-local-random"] {
        client.declare_exchange(kind, kind, "d", &[]).unwrap();
        let queues = ["a", "b", "c"].map(|name| format!("{kind} {name}"));
        let bound: Vec<_> = queues.iter().map(|queue| (queue.as_str(), "")).collect();
        bind_all(&mut client, kind, &bound);
        for n in 0..300 {
            publish(&mut client, kind, "same", &n.to_string());
        }
        assert_eq!(client.confirms().unwrap().nacked.len(), 0);
        let shares = queues.map(|queue| client.drain(&queue).unwrap().len());
        assert_eq!(shares.iter().sum::<usize>(), 300, "{kind}: once each");
        assert!(shares.iter().all(|share| (50..160).contains(share)), "{kind}: {shares:?}");
    }
}

#[test]
fn a_modulus_hash_stays_the_same_over_a_restart() {
    let (mut node, mut client) = open();
    client.confirm_select().unwrap();
    client.declare_exchange("m", "x-modulus-hash", "d", &[]).unwrap();
    let queues = ["c", "a", "b"];
    bind_all(&mut client, "m", &queues.map(|queue| (queue, "ignored")));
    let round = |client: &mut Client| {
        for n in 0..60 {
            // Transient: nobody waits until the log knows what was consumed.
            let (key, body) = (format!("key-{n}"), n.to_string());
            client.publish("m", &key, &Props::new(), body.as_bytes()).unwrap();
        }
        client.confirms().unwrap();
        queues.map(|queue| client.drain(queue).unwrap())
    };
    let before = round(&mut client);
    assert_eq!(before.iter().map(Vec::len).sum::<usize>(), 60);
    assert!(before.iter().all(|bodies| bodies.len() > 5), "{before:?}");
    node.kill().unwrap();
    node.start_again().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    assert_eq!(round(&mut client), before);
}

#[test]
fn a_reverse_topic_has_its_wildcards_in_the_routing_key() {
    let (_node, mut client) = open();
    client.declare_exchange("r", "x-rtopic", "d", &[]).unwrap();
    let queues = ["eu.orders.new", "eu.orders.paid", "us.orders.new", "eu"];
    bind_all(&mut client, "r", &queues.map(|queue| (queue, queue)));
    let mut check = |key: &str, expected: &[&str]| {
        publish(&mut client, "r", key, key);
        let got = queues.iter().filter(|queue| client.get(queue).unwrap().is_some());
        let got: Vec<_> = got.copied().collect();
        assert_eq!(got, expected, "{key}");
    };
    check("eu.orders.new", &["eu.orders.new"]);
    check("*.orders.new", &["eu.orders.new", "us.orders.new"]);
    check("eu.#", &["eu.orders.new", "eu.orders.paid", "eu"]);
    check("#", &queues);
    check("#.paid", &["eu.orders.paid"]);
    check("eu.*", &[]);
}

#[test]
fn a_queue_that_is_bound_gets_the_recent_history() {
    let (mut node, mut client) = open();
    client.confirm_select().unwrap();
    let length = table(&[("x-recent-history-length", Value::I32(3))]);
    client.declare_exchange("h", "x-recent-history", "d", &length).unwrap();
    for body in ["1", "2", "3", "4"] {
        publish(&mut client, "h", "", body);
    }
    let hidden = Props::new().header("x-recent-history-no-store", Value::Bool(true));
    client.publish("h", "", &hidden, b"hidden").unwrap();
    client.confirms().unwrap();
    bind_all(&mut client, "h", &[("late", "")]);
    publish(&mut client, "h", "", "5");
    client.confirms().unwrap();
    // What it got by being bound is in the log as any other message is.
    node.kill().unwrap();
    node.start_again().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    assert_eq!(client.drain("late").unwrap(), ["2", "3", "4", "5"]);
    // The exchange's own memory ends with the process.
    bind_all(&mut client, "h", &[("later", "")]);
    assert_eq!(client.drain("later").unwrap(), [""; 0]);
}

#[test]
fn a_queue_that_is_bound_gets_the_last_value_of_its_key() {
    let (node, mut client) = open();
    client.confirm_select().unwrap();
    client.declare_exchange("v", "x-lvc", "d", &[]).unwrap();
    for (key, body) in [("temperature", "20"), ("pressure", "1013"), ("temperature", "21")] {
        publish(&mut client, "v", key, body);
    }
    client.confirms().unwrap();
    bind_all(&mut client, "v", &[("t", "temperature")]);
    publish(&mut client, "v", "temperature", "22");
    client.confirms().unwrap();
    assert_eq!(client.drain("t").unwrap(), ["21", "22"]);
    // A binding made over HTTP is a binding.
    client.declare_queue("p").unwrap();
    let binding = serde_json::json!({"routing_key": "pressure"});
    node.http().post("/api/bindings/%2F/e/v/q/p", &binding).unwrap().expect(201);
    let got = client.get("p").unwrap().unwrap();
    assert_eq!((got.text().as_str(), got.exchange.as_str()), ("1013", "v"));
}

#[test]
fn a_duplicate_is_unroutable() {
    let (_node, mut client) = open();
    let size = table(&[("x-cache-size", Value::I32(100)), ("x-cache-ttl", Value::I32(60_000))]);
    client.declare_exchange("once", "x-message-deduplication", "d", &size).unwrap();
    bind_all(&mut client, "once", &[("q", ""), ("r", "")]);
    client.confirm_select().unwrap();
    let id = |value: &str| Props::new().text_header("x-deduplication-header", value);
    for (value, body) in [("a", "1"), ("a", "2"), ("b", "3")] {
        client.publish_with("once", "", true, &id(value), body.as_bytes()).unwrap();
    }
    client.publish("once", "", &Props::new(), b"4").unwrap();
    let confirms = client.confirms().unwrap();
    assert_eq!((confirms.acked.len(), confirms.nacked.len()), (4, 0));
    match client.receive().unwrap() {
        Incoming::Return(312, message) => assert_eq!(message.text(), "2"),
        other => panic!("{other:?}"),
    }
    for queue in ["q", "r"] {
        assert_eq!(client.drain(queue).unwrap(), ["1", "3", "4"]);
    }
}

#[test]
fn wrong_arguments_are_named() {
    let (node, _) = open();
    #[track_caller]
    fn refused(outcome: Result<(), RawError>, expected: &str) {
        match outcome {
            Err(RawError::Closed { code: 406, text, .. }) => {
                assert!(text.contains(expected), "{text}");
            }
            other => panic!("no 406 for {expected}: {other:?}"),
        }
    }
    let declare = |kind: &str, fields: &[(&str, Value)], expected: &str| {
        let mut client = Client::open(node.amqp()).unwrap();
        refused(client.declare_exchange("wrong", kind, "d", &table(fields)), expected);
    };
    declare("x-no-such-type", &[], "unknown exchange type 'x-no-such-type'");
    declare(
        "x-recent-history",
        &[("x-recent-history-length", Value::I32(0))],
        "invalid arg 'x-recent-history-length': 0, must be an integer from 1 to 100000",
    );
    declare(
        "x-message-deduplication",
        &[],
        "missing arg 'x-cache-size', must be an integer from 1 on",
    );
    declare(
        "x-message-deduplication",
        &[("x-cache-size", Value::I32(1)), ("x-cache-persistence", text("tape"))],
        "invalid arg 'x-cache-persistence': 'tape', must be 'memory' or 'disk'",
    );
    declare(
        "x-delayed-message",
        &[("x-delayed-type", text("x-delayed-message"))],
        "invalid arg 'x-delayed-type': 'x-delayed-message', must be an exchange type other than",
    );
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_exchange("l", "x-local-random", "d", &[]).unwrap();
    client.declare_queue("q").unwrap();
    refused(client.bind("q", "l", "key", &[]), "Non empty binding key 'key' not permitted");
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_exchange("h", "x-recent-history", "d", &[]).unwrap();
    let other = table(&[("x-recent-history-length", Value::I32(5))]);
    refused(
        client.declare_exchange("h", "x-recent-history", "d", &other),
        "inequivalent arg 'x-recent-history-length' for exchange 'h' in vhost '/': received the \
         value '5' of type 'signedint' but current is none",
    );
}

#[test]
fn a_queue_may_hold_each_value_once() {
    let (_node, mut client) = open();
    let arguments = table(&[("x-message-deduplication", Value::Bool(true))]);
    client.declare_queue_as("q", "d", &arguments).unwrap();
    client.confirm_select().unwrap();
    let id = Props::persistent().text_header("x-deduplication-header", "a");
    for body in ["1", "2"] {
        client.publish("", "q", &id, body.as_bytes()).unwrap();
    }
    let confirms = client.confirms().unwrap();
    // Who publishes it again has what it wanted.
    assert_eq!((confirms.acked.len(), confirms.nacked.len()), (2, 0));
    let got = client.get_as("q", false).unwrap().unwrap();
    client.ack(got.delivery_tag, false).unwrap();
    client.publish("", "q", &id, b"3").unwrap();
    client.confirms().unwrap();
    assert_eq!((got.text(), client.drain("q").unwrap()), ("1".into(), vec!["3".into()]));
}
