//! Publisher confirms, mandatory returns and transactions.

use std::time::Duration;

use shunt_tests::amqp_raw::{Args, Value, method};
use shunt_tests::{Client, Consume, Incoming, Node, Props};

fn start() -> (Node, Client) {
    let node = Node::start().unwrap();
    let client = Client::open(node.amqp()).unwrap();
    (node, client)
}

fn arguments(list: &[(&str, Value)]) -> Vec<(String, Value)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

#[test]
fn every_publish_is_confirmed_once_in_numbers_from_one() {
    let (_node, mut client) = start();
    client.declare_queue("q").unwrap();
    client.confirm_select().unwrap();
    for number in 1..=1000 {
        let body = number.to_string();
        assert_eq!(client.publish("", "q", &Props::new(), body.as_bytes()).unwrap(), number);
    }
    // `wait_confirms` asserts that no number is confirmed twice.
    let confirms = client.confirms().unwrap();
    assert_eq!(confirms.acked, (1..=1000).collect());
    assert!(confirms.nacked.is_empty());
    let expected: Vec<String> = (1..=1000).map(|number| number.to_string()).collect();
    assert_eq!(client.drain("q").unwrap(), expected);
}

#[test]
fn confirms_of_a_burst_are_coalesced() {
    let (_node, mut client) = start();
    client.declare_queue("q").unwrap();
    client.confirm_select().unwrap();
    for _ in 0..2000 {
        client.publish("", "q", &Props::new(), b"x").unwrap();
    }
    let mut answers = 0;
    let mut last = 0;
    while last < 2000 {
        match client.receive().unwrap() {
            Incoming::Ack(tag, multiple) => {
                assert!(multiple || tag == last + 1, "{tag} after {last}");
                (answers, last) = (answers + 1, tag);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(answers < 1000, "{answers} answers for 2000 messages");
}

#[test]
fn confirm_select_twice_counts_on() {
    let (_node, mut client) = start();
    client.declare_queue("q").unwrap();
    client.confirm_select().unwrap();
    client.publish("", "q", &Props::new(), b"1").unwrap();
    client.confirm_select().unwrap();
    client.publish("", "q", &Props::persistent(), b"2").unwrap();
    assert_eq!(client.confirms().unwrap().acked, [1, 2].into());
}

#[test]
fn what_reaches_no_queue_is_returned_before_it_is_confirmed() {
    let (_node, mut client) = start();
    client.confirm_select().unwrap();
    let props = Props::new().text("message_id", "m-1").text_header("h", "v");
    client.publish_with("amq.direct", "nowhere", true, &props, b"body").unwrap();
    let Incoming::Return(code, message) = client.receive().unwrap() else {
        panic!("no basic.return first");
    };
    assert_eq!(code, 312);
    assert_eq!((&*message.exchange, &*message.routing_key), ("amq.direct", "nowhere"));
    assert_eq!(message.properties, props.encode());
    assert_eq!(message.body, b"body");
    assert_eq!(client.receive().unwrap(), Incoming::Ack(1, false));

    // Without mandatory it is confirmed, and that is all.
    client.publish("amq.direct", "nowhere", &Props::new(), b"").unwrap();
    assert_eq!(client.receive().unwrap(), Incoming::Ack(2, false));
    // With mandatory and a queue it is only confirmed too.
    client.declare_queue("q").unwrap();
    client.publish_with("", "q", true, &Props::new(), b"").unwrap();
    assert_eq!(client.receive().unwrap(), Incoming::Ack(3, false));
    assert_eq!(client.receive_within(Duration::from_millis(50)).unwrap(), None);
}

#[test]
fn a_return_comes_without_confirms_too() {
    let (_node, mut client) = start();
    let body = vec![7; 300_000];
    client.publish_with("", "nowhere", true, &Props::new(), &body).unwrap();
    let Incoming::Return(312, message) = client.receive().unwrap() else { panic!("no return") };
    assert!(message.body == body, "a large body comes back whole");
}

#[test]
fn a_full_queue_that_rejects_is_a_nack() {
    let (_node, mut client) = start();
    let limits =
        [("x-max-length", Value::I32(2)), ("x-overflow", Value::Str("reject-publish".into()))];
    client.declare_queue_as("small", "d", &arguments(&limits)).unwrap();
    client.declare_queue("large").unwrap();
    client.bind("small", "amq.fanout", "", &[]).unwrap();
    client.bind("large", "amq.fanout", "", &[]).unwrap();
    client.confirm_select().unwrap();
    for number in 1..=3 {
        client.publish("amq.fanout", "", &Props::new(), &[number]).unwrap();
        client.wait_confirms(0).unwrap();
    }
    let confirms = client.confirms().unwrap();
    assert_eq!((confirms.acked, confirms.nacked), ([1, 2].into(), [3].into()));
    assert_eq!(client.drain("small").unwrap().len(), 2);
}

/// A bound that refuses asks how long the queue would be, not whether a consumer would take the
/// message at once (RabbitMQ, `rabbit_amqqueue_process:will_overflow`).
#[test]
fn a_bound_of_nothing_refuses_beside_an_idle_consumer() {
    let (_node, mut client) = start();
    client.confirm_select().unwrap();
    let bounds = [("x-max-length", Value::I32(0)), ("x-max-length-bytes", Value::I32(3))];
    for (number, bound) in (1..).zip(bounds) {
        let name = bound.0;
        let refuses = [bound, ("x-overflow", Value::Str("reject-publish".into()))];
        client.declare_queue_as(name, "d", &arguments(&refuses)).unwrap();
        client.consume(name, Consume { no_ack: true, ..Consume::default() }).unwrap();
        client.publish("", name, &Props::new(), b"four").unwrap();
        assert_eq!(client.receive().unwrap(), Incoming::Nack(number, false), "{name}");
    }
}

#[test]
fn a_transaction_publishes_at_its_commit() {
    let (node, mut client) = start();
    let mut other = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    client.call(method::TX_SELECT, &Args::new(), method::TX_SELECT_OK).unwrap();
    client.publish("", "q", &Props::new(), b"1").unwrap();
    client.publish_with("", "nowhere", true, &Props::new(), b"2").unwrap();
    client.sync().unwrap();
    assert_eq!(other.get("q").unwrap(), None);
    client.call(method::TX_COMMIT, &Args::new(), method::TX_COMMIT_OK).unwrap();
    // The return came before commit-ok, so it is here already.
    let Some(Incoming::Return(312, message)) =
        client.receive_within(Duration::from_millis(1)).unwrap()
    else {
        panic!("no return before tx.commit-ok");
    };
    assert_eq!(message.body, b"2");
    assert_eq!(other.drain("q").unwrap(), ["1"]);

    client.publish("", "q", &Props::new(), b"3").unwrap();
    client.call(method::TX_ROLLBACK, &Args::new(), method::TX_ROLLBACK_OK).unwrap();
    client.call(method::TX_COMMIT, &Args::new(), method::TX_COMMIT_OK).unwrap();
    assert_eq!(other.get("q").unwrap(), None);
}

#[test]
fn a_transaction_acknowledges_at_its_commit() {
    let (node, mut client) = start();
    client.declare_queue("q").unwrap();
    for body in [b"1", b"2"] {
        client.publish("", "q", &Props::new(), body).unwrap();
    }
    client.call(method::TX_SELECT, &Args::new(), method::TX_SELECT_OK).unwrap();
    let first = client.get_as("q", false).unwrap().unwrap();
    let second = client.get_as("q", false).unwrap().unwrap();
    client.ack(first.delivery_tag, false).unwrap();
    client.call(method::TX_COMMIT, &Args::new(), method::TX_COMMIT_OK).unwrap();
    client.ack(second.delivery_tag, false).unwrap();
    client.call(method::TX_ROLLBACK, &Args::new(), method::TX_ROLLBACK_OK).unwrap();
    // What was rolled back is unacknowledged still, and returns with the end of its channel.
    client.close().unwrap();
    let mut other = Client::open(node.amqp()).unwrap();
    assert_eq!(other.drain("q").unwrap(), ["2"]);
}
