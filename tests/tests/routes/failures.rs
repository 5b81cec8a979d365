//! Modules that fail: what becomes of the message, who is told what, and who isn't.

use std::time::Duration;

use serde_json::Value as Json;
use shunt_tests::amqp_raw::RawError;
use shunt_tests::{Client, Guest, Incoming, Node, Props};

use super::{declare, deploy, show, start};

/// Fails after a while of nothing.
const ENDLESS: &str = "(loop $l (br $l)) unreachable";

/// Takes memory as long as there is some, and then all the time that it gets.
const HUNGRY: &str = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) \
                      unreachable";

fn failures(node: &Node) -> Json {
    show(node)["versions"][0]["counters"]["failures"].clone()
}

/// Each failing message is nacked and counted by its cause; everything else goes on.
#[track_caller]
fn check(guest: &Guest, query: &str, causes: &[&str]) {
    let (node, mut client) = start(guest, query, &[]);
    let mut bystander = Client::open(node.amqp()).unwrap();
    bystander.confirm_select().unwrap();
    for number in 1..=5 {
        client.publish("e", "q0", &Props::new(), b"x").unwrap();
        bystander.publish("", "q1", &Props::new(), b"y").unwrap();
        assert_eq!(bystander.confirms().unwrap().acked, [number].into());
        assert_eq!(client.confirms().unwrap().nacked, [number].into());
    }
    assert_eq!(client.drain("q0").unwrap(), [""; 0]);
    assert_eq!(client.drain("q1").unwrap(), ["y"; 5]);
    let failures = failures(&node);
    let counted: u64 =
        causes.iter().map(|cause| failures[cause].as_u64().expect("a cause of the list")).sum();
    assert_eq!(counted, 5, "{failures}");
    let total: u64 = failures.as_object().unwrap().values().filter_map(Json::as_u64).sum();
    assert_eq!(total, 5, "{failures}");

    // By HTTP the publisher is told the cause.
    let path = "/v1/vhosts/%2F/exchanges/e/messages?routing_key=q0";
    let answer = node.http().request("POST", path).body("x").send().unwrap();
    let body = answer.expect(503);
    assert!(causes.iter().any(|cause| body["cause"] == *cause), "{body}");

    // A good module under the same name works at once.
    deploy(&node.http(), "r", Guest::index(1).wat()).unwrap().expect(201);
    client.publish("e", "q0", &Props::new(), b"z").unwrap();
    assert_eq!(client.confirms().unwrap().acked, [6].into());
    assert_eq!(client.drain("q1").unwrap(), ["z"]);
}

#[test]
fn a_reason() {
    check(&Guest::refusing("not today"), "", &["refused"]);
}

#[test]
fn a_trap() {
    check(&Guest::new("unreachable"), "", &["trap"]);
}

#[test]
fn an_endless_loop() {
    check(&Guest::new(ENDLESS), "", &["timeout"]);
}

#[test]
fn an_endless_recursion() {
    let recursing = Guest::new("(call $f) i64.const 0").extra("(func $f (call $f) (call $f))");
    check(&recursing, "", &["trap"]);
}

#[test]
fn a_memory_eater() {
    check(&Guest::new(HUNGRY), "", &["memory", "trap"]);
}

#[test]
fn bytes_that_are_no_answer() {
    check(&Guest::answering(b"\xc1"), "", &["bad-answer"]);
}

#[test]
fn an_index_out_of_range() {
    check(&Guest::index(2), "", &["bad-answer"]);
}

#[test]
fn an_answer_outside_of_the_memory() {
    check(&Guest::new("i64.const 0x7fffffff7fffffff"), "", &["bad-answer"]);
}

#[test]
fn a_queue_that_it_may_not_name() {
    check(&Guest::queue("q1"), "", &["not-permitted"]);
}

#[test]
fn a_queue_that_is_not_there() {
    check(&Guest::queue("none"), "?destinations=any", &["unknown-queue"]);
}

#[test]
fn a_queue_that_it_may_name() {
    let (node, mut client) = start(&Guest::queue("elsewhere"), "?destinations=any", &[]);
    client.declare_queue("elsewhere").unwrap();
    client.publish("e", "q0", &Props::new(), b"x").unwrap();
    assert_eq!(client.confirms().unwrap().acked, [1].into());
    assert_eq!(client.drain("elsewhere").unwrap(), ["x"]);
    assert_eq!(show(&node)["versions"][0]["destinations"], "any");
}

#[test]
fn nothing_is_unroutable_and_no_failure() {
    let (node, mut client) = start(&Guest::new("i64.const 0"), "", &[]);
    client.publish_with("e", "q0", true, &Props::new(), b"x").unwrap();
    assert!(matches!(client.receive().unwrap(), Incoming::Return(312, _)));
    assert_eq!(client.confirms().unwrap().acked, [1].into());
    let failures = failures(&node);
    assert!(failures.as_object().unwrap().values().all(|count| count == 0), "{failures}");
}

#[test]
fn a_queue_that_is_named_twice_gets_it_once() {
    let (_node, mut client) = start(&Guest::answering(b"\x93\x01\x01\x01"), "", &[]);
    client.publish("e", "", &Props::new(), b"x").unwrap();
    assert_eq!(client.confirms().unwrap().acked, [1].into());
    assert_eq!(client.drain("q1").unwrap(), ["x"]);
}

#[test]
fn without_confirms_a_mandatory_message_comes_back() {
    let (node, mut confirming) = start(&Guest::new("unreachable"), "", &[]);
    let mut client = Client::open(node.amqp()).unwrap();
    client.publish_with("e", "q0", true, &Props::new(), b"x").unwrap();
    let Incoming::Return(_, message) = client.receive().unwrap() else { panic!("no return") };
    assert_eq!(message.body, b"x");
    // Neither is another one lost without a trace.
    client.publish("e", "q0", &Props::new(), b"y").unwrap();
    client.sync().unwrap();
    assert_eq!(client.receive_within(Duration::from_millis(30)).unwrap(), None);
    assert_eq!(failures(&node)["trap"], 2);
    let metrics = node.http().get("/metrics").unwrap().text();
    let label = r#"shunt_route_failures_total{vhost="/",route="r",version="1",cause="trap"} 2"#;
    assert!(metrics.contains(label), "{metrics}");
    assert!(metrics.contains("\nshunt_messages_route_failed_total 2\n"), "{metrics}");
    assert_eq!(confirming.drain("q0").unwrap(), [""; 0]);
}

/// Adds the exchange `ae` with the queue `spare`.
fn spare(client: &mut Client) {
    client.declare_exchange("ae", "fanout", "d", &[]).unwrap();
    client.declare_queue("spare").unwrap();
    client.bind("spare", "ae", "", &[]).unwrap();
}

#[test]
fn the_policy_alternate_sends_it_elsewhere_and_says_why() {
    let arguments = [("alternate-exchange", "ae"), ("x-on-failure", "alternate")];
    let (node, mut client) = start(&Guest::refusing("not today"), "", &arguments);
    spare(&mut client);
    let props = Props::persistent().text("message_id", "m-1").text_header("mine", "kept");
    client.publish_with("e", "some.key", true, &props, b"x").unwrap();
    assert_eq!(client.confirms().unwrap().acked, [1].into());
    let message = client.get("spare").unwrap().unwrap();
    assert_eq!((&*message.exchange, &*message.routing_key), ("e", "some.key"));
    let properties = String::from_utf8_lossy(&message.properties).into_owned();
    for part in ["m-1", "mine", "kept", "x-route-error", "refused", "not today"] {
        assert!(properties.contains(part), "{part} is not in {properties:?}");
    }
    assert_eq!(failures(&node)["refused"], 1);
}

#[test]
fn the_policy_nack_uses_an_alternate_exchange_only_without_confirms() {
    let (node, mut confirming) =
        start(&Guest::new("unreachable"), "", &[("alternate-exchange", "ae")]);
    spare(&mut confirming);
    confirming.publish("e", "", &Props::new(), b"x").unwrap();
    assert_eq!(confirming.confirms().unwrap().nacked, [1].into());
    assert_eq!(confirming.drain("spare").unwrap(), [""; 0]);
    let mut client = Client::open(node.amqp()).unwrap();
    client.publish("e", "", &Props::new(), b"y").unwrap();
    client.sync().unwrap();
    assert_eq!(client.drain("spare").unwrap(), ["y"]);
}

#[test]
fn what_no_version_decides_is_unavailable() {
    let (node, mut client) = start(&Guest::index(0), "", &[]);
    // Used by an exchange, it can't be taken away.
    node.http().delete("/api/routes/%2F/r").unwrap().refused(409, "'e'");
    client.publish("e", "", &Props::new(), b"x").unwrap();
    assert_eq!(client.confirms().unwrap().acked, [1].into());
}

#[test]
fn a_policy_that_is_none_is_refused() {
    let (_node, mut client) = start(&Guest::index(0), "", &[]);
    let refused = declare(&mut client, "e2", "r", &[("x-on-failure", "drop")]);
    let Err(RawError::Closed { code: 406, text, .. }) = refused else { panic!("{refused:?}") };
    assert!(text.contains("'drop'"), "{text}");
}

#[test]
fn a_failing_route_blocks_nobody() {
    let (node, mut client) = start(&Guest::new(ENDLESS), "", &[]);
    // Far more than one call's time, if anybody waited for it.
    for _ in 0..200 {
        client.publish("e", "q0", &Props::new(), &[0; 100]).unwrap();
    }
    let mut bystanders: Vec<Client> = (0..6).map(|_| Client::open(node.amqp()).unwrap()).collect();
    for bystander in &mut bystanders {
        bystander.confirm_select().unwrap();
        for _ in 0..20 {
            bystander.publish("", "q1", &Props::new(), b"y").unwrap();
        }
        assert_eq!(bystander.confirms().unwrap().acked.len(), 20);
    }
    assert_eq!(client.confirms().unwrap().nacked.len(), 200);
    assert_eq!(client.drain("q1").unwrap().len(), 120);
}
