//! Alarms: publishers wait, consumers go on.

use std::time::Duration;

use shunt_tests::{Client, Node, Props};

/// A node whose memory is always above its limit.
fn low_on_memory() -> Node {
    Node::builder().setting("node.memory_limit_bytes", 1).start().unwrap()
}

#[test]
fn a_publisher_waits_while_memory_is_low_and_a_consumer_does_not() {
    let node = low_on_memory();
    let log = || node.log().contains("memory alarm").then_some(());
    shunt_tests::poll("the alarm", log).unwrap();
    let mut consumer = Client::open(node.amqp()).unwrap();
    consumer.declare_queue("q").unwrap();
    let mut publisher = Client::open(node.amqp()).unwrap();
    publisher.confirm_select().unwrap();
    publisher.publish("", "q", &Props::new(), b"first").unwrap();
    publisher.confirms().unwrap();
    // It has published: nothing more is read from it.
    publisher.publish("", "q", &Props::new(), b"second").unwrap();
    assert_eq!(publisher.receive_within(Duration::from_millis(400)).unwrap(), None);
    assert_eq!(consumer.drain("q").unwrap(), ["first"]);
    assert_eq!(consumer.drain("q").unwrap(), [""; 0]);
}

#[test]
fn publishing_over_http_is_refused_with_the_reason_while_memory_is_low() {
    let node = low_on_memory();
    shunt_tests::poll("the alarm", || {
        let path = "/v1/vhosts/%2F/exchanges/amq.fanout/messages";
        let response = node.http().post(path, &serde_json::json!({})).ok()?;
        (response.status == 503 && response.text().contains("low on memory")).then_some(())
    })
    .unwrap();
}
