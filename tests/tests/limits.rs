//! Limits and topic permissions as applications meet them: set over HTTP, felt by pika.

use serde_json::{Value as Json, json};
use shunt_tests::{Node, clients};

/// Does steps with pika as a user in a virtual host; `None` where there is no Python.
fn steps_as(node: &Node, user: &str, vhost: &str, steps: Json) -> Option<Json> {
    let url = format!("amqp://{user}:{user}@{}/{vhost}", node.amqp());
    clients::pika("steps.py", &json!({"url": url, "steps": steps})).unwrap()
}

fn put(node: &Node, path: &str, body: Json) {
    let answer = node.http().put(&format!("/api/{path}"), &body).unwrap();
    assert!([201, 204].contains(&answer.status), "{path}: {}", answer.text());
}

/// A node with the user `ann`, who may do everything in `/`.
fn with_ann() -> Node {
    let node = Node::start().unwrap();
    put(&node, "users/ann", json!({"password": "ann", "tags": ""}));
    let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
    put(&node, "permissions/%2F/ann", all);
    node
}

#[test]
fn connections_and_queues_of_a_vhost_are_limited_over_a_restart() {
    let mut node = Node::start().unwrap();
    put(&node, "vhosts/v", json!({"description": "small"}));
    put(&node, "vhost-limits/v/max-connections", json!({"value": 1}));
    put(&node, "vhost-limits/v/max-queues", json!({"value": 1}));
    for _ in 0..2 {
        let steps = json!([
            ["declare", "a"],
            ["declare", "b"],
            ["declare", "a"],
            ["open_connection"],
            ["declare", "a"],
        ]);
        let Some(said) = steps_as(&node, "guest", "v", steps) else { return };
        let text = "PRECONDITION_FAILED - cannot declare queue 'b': queue limit in vhost 'v' (1) \
                    is reached";
        assert_eq!(said[1], json!({"code": 406, "text": text}));
        let text = said[3]["text"].as_str().unwrap();
        let wanted =
            "access to vhost 'v' refused for user 'guest': connection limit (1) is reached";
        assert!(text.contains("530") && text.replace('\\', "").contains(wanted), "{text}");
        assert_eq!((&said[2], &said[4]), (&json!(0), &json!(0)));
        node.stop().unwrap();
        node.start_again().unwrap();
    }
    let vhost = node.http().get("/api/vhosts/v").unwrap().expect(200);
    assert_eq!(vhost["description"], "small");
}

#[test]
fn connections_and_channels_of_a_user_are_limited() {
    let node = with_ann();
    put(&node, "user-limits/ann/max-connections", json!({"value": 1}));
    put(&node, "user-limits/ann/max-channels", json!({"value": 2}));
    let steps = json!([["open_connection"], ["open_channel"], ["open_channel"], ["declare", "q"]]);
    let Some(said) = steps_as(&node, "ann", "%2F", steps.clone()) else { return };
    let text = said[0]["text"].as_str().unwrap().replace('\\', "");
    let wanted = "connection refused for user 'ann': user connection limit (1) is reached";
    assert!(text.contains(wanted), "{text}");
    assert_eq!(said[1], Json::Null);
    let text = "NOT_ALLOWED - number of channels opened for user 'ann' has reached the maximum \
                allowed user limit of (2)";
    assert_eq!(said[2], json!({"code": 530, "text": text}));
    assert_eq!(said[3], json!(0), "what was closed makes room");
    for limit in ["max-connections", "max-channels"] {
        let path = format!("/api/user-limits/ann/{limit}");
        node.http().delete(&path).unwrap().expect(204);
    }
    let said = steps_as(&node, "ann", "%2F", steps).unwrap();
    assert_eq!(said, json!([null, null, null, 0]));
}

#[test]
fn connections_and_channels_of_a_node_are_limited_by_settings() {
    let node = Node::builder()
        .setting("amqp.connection_max", 1)
        .setting("amqp.channel_max_per_node", 2)
        .start()
        .unwrap();
    let steps = json!([["open_connection"], ["open_channel"], ["open_channel"]]);
    let Some(said) = steps_as(&node, "guest", "%2F", steps) else { return };
    let text = said[0]["text"].as_str().unwrap();
    assert!(text.contains("connection refused: node connection limit (1) is reached"), "{text}");
    assert_eq!(said[1], Json::Null);
    assert_eq!(said[2]["code"], 530);
    let text = said[2]["text"].as_str().unwrap();
    assert!(text.contains("has reached the maximum allowed limit of (2)"), "{text}");
}

#[test]
fn a_message_over_the_limit_is_refused_in_rabbitmqs_words() {
    let node = Node::builder().setting("amqp.message_size_max", 5).start().unwrap();
    let steps =
        json!([["publish", "", "q", "123456"], ["declare", "q"], ["publish", "", "q", "12345"]]);
    let Some(said) = steps_as(&node, "guest", "%2F", steps) else { return };
    let text = "PRECONDITION_FAILED - message size 6 is larger than configured max size 5";
    assert_eq!(said, json!([{"code": 406, "text": text}, 0, null]));
}

#[test]
fn routing_keys_are_restricted_by_topic_permissions_at_once_and_over_a_restart() {
    let mut node = with_ann();
    let steps = json!([
        ["declare", "q"],
        ["bind", "q", "amq.topic", "r.#"],
        ["bind", "q", "amq.topic", "w.#"],
        ["publish", "amq.topic", "r.1", "one"],
        ["publish", "amq.topic", "ann.1", "none"],
        ["publish", "amq.topic", "ann.1", "copied", {"CC": ["r.2"]}],
        ["unbind", "q", "amq.topic", "x"],
        ["bind_exchange", "amq.fanout", "amq.topic", "x"],
        ["bind", "q", "amq.direct", "x"],
        ["publish", "amq.direct", "x", "direct"],
    ]);
    let Some(said) = steps_as(&node, "ann", "%2F", steps.clone()) else { return };
    assert_eq!(said[4], "returned");
    assert!(said.as_array().unwrap().iter().all(|said| said["code"].is_null()), "{said}");
    let body = json!({"exchange": "amq.topic", "write": "^{username}\\.", "read": "^r\\."});
    put(&node, "topic-permissions/%2F/ann", body);
    for _ in 0..2 {
        let said = steps_as(&node, "ann", "%2F", steps.clone()).unwrap();
        let refused = |key: &str| {
            let text = format!(
                "ACCESS_REFUSED - access to topic '{key}' in exchange 'amq.topic' in vhost '/' \
                 refused for user 'ann'"
            );
            json!({"code": 403, "text": text})
        };
        assert_eq!((&said[1], &said[2]), (&Json::Null, &refused("w.#")));
        assert_eq!((&said[3], &said[4]), (&refused("r.1"), &json!("returned")));
        assert_eq!((&said[5], &said[6]), (&refused("r.2"), &refused("x")));
        assert_eq!(said[7], refused("x"));
        assert_eq!((&said[8], &said[9]), (&Json::Null, &Json::Null));
        node.stop().unwrap();
        node.start_again().unwrap();
    }
    let path = "/api/topic-permissions/%2F/ann/amq.topic";
    node.http().delete(path).unwrap().expect(204);
    let said =
        steps_as(&node, "ann", "%2F", json!([["publish", "amq.topic", "r.1", "m"]])).unwrap();
    assert_eq!(said, json!([null]));
}
