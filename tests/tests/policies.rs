//! Policies as applications and operators meet them: set over HTTP, felt by pika at once.

use std::time::Duration;

use serde_json::{Value as Json, json};
use shunt_tests::{Node, clients};

/// Does steps with pika; `None` where there is no Python.
fn steps(node: &Node, steps: Json) -> Option<Json> {
    let arguments = json!({"url": node.amqp_url(), "steps": steps});
    clients::pika("steps.py", &arguments).unwrap()
}

fn set(node: &Node, path: &str, pattern: &str, definition: Json) {
    let body = json!({"pattern": pattern, "definition": definition});
    let answer = node.http().put(&format!("/api/{path}"), &body).unwrap();
    assert!([201, 204].contains(&answer.status), "{}", answer.text());
}

#[test]
fn bounds_and_dead_letters_by_policy_are_in_force_at_once() {
    let node = Node::start().unwrap();
    let three = |queue: &str| ["1", "2", "3"].map(|body| json!(["publish", "", queue, body]));
    let mut before = vec![json!(["declare", "work"]), json!(["declare", "dead"])];
    before.extend(three("work"));
    let Some(_) = steps(&node, json!(before)) else { return };
    set(
        &node,
        "policies/%2F/short",
        "^work",
        json!({
            "max-length": 1, "dead-letter-exchange": "", "dead-letter-routing-key": "dead",
        }),
    );
    let mut then = vec![json!(["drain", "work"]), json!(["drain", "dead"])];
    then.push(json!(["declare", "work.later"]));
    then.extend(three("work.later"));
    then.extend([json!(["drain", "work.later"]), json!(["drain", "dead"])]);
    let said = steps(&node, json!(then)).unwrap();
    assert_eq!((&said[0], &said[1]), (&json!(["3"]), &json!(["1", "2"])));
    assert_eq!((&said[6], &said[7]), (&json!(["3"]), &json!(["1", "2"])));
    node.http().delete("/api/policies/%2F/short").unwrap().expect(204);
    let mut without = three("work").to_vec();
    without.push(json!(["drain", "work"]));
    assert_eq!(steps(&node, json!(without)).unwrap()[3], json!(["1", "2", "3"]));
}

#[test]
fn a_full_queue_refuses_publishers_by_an_operators_policy_over_a_restart() {
    let mut node = Node::start().unwrap();
    let limit = json!({"max-length": 1, "overflow": "reject-publish"});
    set(&node, "operator-policies/%2F/limit", "^q$", limit);
    set(&node, "policies/%2F/wide", "^q$", json!({"max-length": 100, "overflow": "drop-head"}));
    for body in ["first", "second"] {
        let expected = if body == "first" { Json::Null } else { json!("nack") };
        let Some(said) = steps(
            &node,
            json!([
                ["declare", "q"],
                ["publish", "", "q", body],
                ["publish", "", "q", "too much"],
                ["declare", "q"],
            ]),
        ) else {
            return;
        };
        assert_eq!(said, json!([u8::from(body == "second"), expected, "nack", 1]));
        node.stop().unwrap();
        node.start_again().unwrap();
    }
    let queue = node.http().get("/api/queues/%2F/q").unwrap().expect(200);
    assert_eq!((&queue["policy"], &queue["operator_policy"]), (&json!("wide"), &json!("limit")));
}

#[test]
fn an_alternate_exchange_and_expiry_by_policy() {
    let node = Node::start().unwrap();
    set(&node, "policies/%2F/alt", "^amq.direct$", json!({"alternate-exchange": "amq.fanout"}));
    let Some(said) = steps(
        &node,
        json!([
            ["declare", "spare"],
            ["bind", "spare", "amq.fanout", ""],
            ["publish", "amq.direct", "nowhere", "m"],
            ["drain", "spare"],
            ["declare", "idle"],
        ]),
    ) else {
        return;
    };
    assert_eq!(said[3], json!(["m"]));
    set(&node, "policies/%2F/idle", "^idle$", json!({"expires": 100}));
    let gone = || (node.http().get("/api/queues/%2F/idle").ok()?.status == 404).then_some(());
    shunt_tests::Deadline::after(Duration::from_secs(20))
        .poll("the end of the queue", gone)
        .unwrap();
    node.http().delete("/api/policies/%2F/alt").unwrap().expect(204);
    let said = steps(&node, json!([["publish", "amq.direct", "nowhere", "m"]])).unwrap();
    assert_eq!(said, json!(["returned"]));
}
