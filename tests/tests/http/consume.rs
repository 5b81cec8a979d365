//! Consuming: the long poll, leases, and the stream of events.

use std::time::Duration;

use serde_json::{Value as Json, json};
use shunt_tests::amqp_raw::Value;
use shunt_tests::{Client, Deadline, Http, Node, Props, poll as wait_for};

use super::start;

const MESSAGES: &str = "/v1/vhosts/%2F/queues/q/messages";
const SETTLE: &str = "/v1/vhosts/%2F/queues/q/settle";
const STREAM: &str = "/v1/vhosts/%2F/queues/q/stream";

fn publish(client: &mut Client, bodies: &[&str]) {
    for body in bodies {
        client.publish("", "q", &Props::new(), body.as_bytes()).unwrap();
    }
    client.sync().unwrap();
}

fn poll(http: &Http, query: &str) -> Vec<Json> {
    let answer = http.get(&format!("{MESSAGES}?{query}")).unwrap().expect(200);
    answer.as_array().unwrap().clone()
}

fn field(messages: &[Json], name: &str) -> Vec<String> {
    messages.iter().map(|message| message[name].as_str().unwrap_or_default().to_owned()).collect()
}

fn payloads(messages: &[Json]) -> Vec<String> {
    field(messages, "payload")
}

#[test]
fn a_message_comes_with_all_that_it_has() {
    let (node, mut client) = start();
    let props = Props::persistent().text("message_id", "m-1").octet("priority", 3);
    let props = props.text_header("region", "eu").header("n", Value::I32(5));
    client.publish("amq.fanout", "nowhere", &props, b"lost").unwrap();
    client.bind("q", "amq.fanout", "", &[]).unwrap();
    client.publish("amq.fanout", "some.key", &props, "grüße".as_bytes()).unwrap();
    client.publish("", "q", &Props::new(), &[0xff, 0xfe]).unwrap();
    client.sync().unwrap();
    let messages = poll(&node.http(), "max=10");
    assert_eq!(
        messages[0],
        json!({
            "payload": "grüße", "payload_encoding": "string",
            "properties": {"delivery_mode": 2, "priority": 3, "message_id": "m-1"},
            "headers": {"region": "eu", "n": 5},
            "exchange": "amq.fanout", "routing_key": "some.key", "redelivered": false,
        })
    );
    // Bytes that are no text are written in base64.
    assert_eq!(messages[1]["payload_encoding"], "base64");
    assert_eq!(messages[1]["payload"], "//4=");
    assert_eq!(messages.len(), 2);
    assert_eq!(client.get("q").unwrap(), None);
}

#[test]
fn a_poll_takes_what_is_there_and_waits_for_what_is_not() {
    let (node, mut client) = start();
    publish(&mut client, &["1", "2", "3"]);
    let http = node.http();
    assert_eq!(payloads(&poll(&http, "max=2&wait=20")), ["1", "2"]);
    assert_eq!(payloads(&poll(&http, "")), ["3"]);
    assert_eq!(poll(&http, ""), [json!(null); 0]);
    let waiting = {
        let http = http.clone();
        std::thread::spawn(move || poll(&http, "wait=20"))
    };
    wait_for("the poll's consumer", || (client.declare_queue("q").unwrap().2 == 1).then_some(()))
        .unwrap();
    publish(&mut client, &["4"]);
    assert_eq!(payloads(&waiting.join().unwrap()), ["4"]);
    // Its consumer is gone.
    assert_eq!(client.declare_queue("q").unwrap().2, 0);
    // A poll that finds nothing ends in time.
    let deadline = Deadline::after(Duration::from_secs(1));
    assert_eq!(poll(&http, "wait=1"), [json!(null); 0]);
    assert!(deadline.left().is_none(), "it waited for what it was told");
    http.get(&format!("{MESSAGES}?max=0")).unwrap().refused(400, "max=0");
    http.get(&format!("{MESSAGES}?wait=9999")).unwrap().refused(400, "wait=9999");
    http.get(&format!("{MESSAGES}?ack=perhaps")).unwrap().refused(400, "perhaps");
    http.get("/v1/vhosts/%2F/queues/none/messages").unwrap().refused(404, "'none'");
}

#[test]
fn what_is_polled_by_hand_has_to_be_settled() {
    let (node, mut client) = start();
    let dead = [("x-dead-letter-exchange".to_owned(), Value::Str("amq.fanout".into()))];
    client.delete_queue("q").unwrap();
    client.declare_queue_as("q", "d", &dead).unwrap();
    client.declare_queue("dead").unwrap();
    client.bind("dead", "amq.fanout", "", &[]).unwrap();
    publish(&mut client, &["1", "2", "3", "4"]);
    let http = node.http();
    let messages = poll(&http, "max=10&ack=manual");
    let leases = field(&messages, "lease");
    assert_eq!(payloads(&messages), ["1", "2", "3", "4"]);
    assert!(leases.iter().all(|lease| !lease.is_empty()));
    assert_eq!(client.get("q").unwrap(), None);
    let request = json!({"ack": [leases[0]], "requeue": [leases[1]], "reject": [leases[2], "x"]});
    let settled = http.post(SETTLE, &request).unwrap().expect(200);
    assert_eq!(settled, json!({"acked": 1, "requeued": 1, "rejected": 1, "unknown": ["x"]}));
    let again = client.get("q").unwrap().unwrap();
    assert_eq!((again.text().as_str(), again.redelivered), ("2", true));
    wait_for("the dead letter", || client.get("dead").unwrap())
        .map(|message| assert_eq!(message.text(), "3"))
        .unwrap();
    // A lease is good once.
    let settled = http.post(SETTLE, &json!({"ack": [leases[0], leases[3]]})).unwrap().expect(200);
    assert_eq!((&settled["acked"], &settled["unknown"]), (&json!(1), &json!([leases[0]])));
    http.post(SETTLE, &json!({"acked": []})).unwrap().refused(400, "acked");
    let other = "/v1/vhosts/%2F/queues/none/settle";
    http.post(other, &json!({})).unwrap().refused(404, "'none'");
}

#[test]
fn a_lease_runs_out() {
    let node = Node::builder().setting("http.lease_timeout_s", 1).start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    publish(&mut client, &["1"]);
    let http = node.http();
    let lease = field(&poll(&http, "ack=manual"), "lease").remove(0);
    assert_eq!(client.get("q").unwrap(), None);
    let again = poll(&http, "wait=20&ack=manual");
    assert_eq!((&again[0]["payload"], &again[0]["redelivered"]), (&json!("1"), &json!(true)));
    let late = http.post(SETTLE, &json!({"ack": [lease]})).unwrap().expect(200);
    assert_eq!(late["unknown"], json!([lease]));
}

#[test]
fn a_stream_brings_messages_as_they_come() {
    let (node, mut client) = start();
    publish(&mut client, &["1", "2"]);
    let mut events = node.http().events(STREAM).unwrap();
    for expected in ["1", "2"] {
        let (name, message) = events.next_event().unwrap().unwrap();
        assert_eq!((name.as_str(), &message["payload"]), ("", &json!(expected)));
    }
    publish(&mut client, &["3"]);
    assert_eq!(events.next_event().unwrap().unwrap().1["payload"], "3");
    // What came is acknowledged.
    wait_for("the acknowledgements", || {
        let queue = node.http().get("/api/queues/%2F/q").unwrap().expect(200);
        (queue["messages"] == 0).then_some(())
    })
    .unwrap();
    client.delete_queue("q").unwrap();
    let (name, end) = events.next_event().unwrap().unwrap();
    assert_eq!((name.as_str(), &end["reason"]), ("end", &json!("the queue was deleted")));
    assert_eq!(events.next_event().unwrap(), None);
}

#[test]
fn a_stream_by_hand_holds_no_more_than_its_prefetch() {
    let (node, mut client) = start();
    publish(&mut client, &["1", "2", "3"]);
    let http = node.http();
    let mut events = http.events(&format!("{STREAM}?prefetch=2&ack=manual")).unwrap();
    let mut leases = Vec::new();
    for expected in ["1", "2"] {
        let (_, message) = events.next_event().unwrap().unwrap();
        assert_eq!(message["payload"], expected);
        leases.push(message["lease"].as_str().unwrap().to_owned());
    }
    assert_eq!(client.declare_queue("q").unwrap().1, 1, "the third is ready");
    http.post(SETTLE, &json!({"ack": [leases[0]]})).unwrap().expect(200);
    assert_eq!(events.next_event().unwrap().unwrap().1["payload"], "3");
    // Who goes away gives back what was not settled.
    drop(events);
    let mut back = Vec::new();
    wait_for("what the stream held", || {
        back.extend(client.get("q").unwrap());
        (back.len() == 2).then_some(())
    })
    .unwrap();
    assert!(back.iter().all(|message| message.redelivered));
    assert_eq!([back[0].text(), back[1].text()], ["2", "3"]);
}

#[test]
fn a_stream_ends_with_the_node() {
    let (mut node, _client) = start();
    let mut events = node.http().events(STREAM).unwrap();
    node.terminate().unwrap();
    let (name, end) = events.next_event().unwrap().unwrap();
    assert_eq!((name.as_str(), &end["reason"]), ("end", &json!("the node is stopping")));
    assert_eq!(node.wait().unwrap().code(), Some(0));
}
