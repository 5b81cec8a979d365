//! What is kept over a restart: declarations, and the ways that messages take by them.

use serde_json::{Value as Json, json};
use shunt_tests::amqp_raw::{RawError, Value};
use shunt_tests::{Client, Node, Props};

/// The names that a list of the management API has, of a field.
fn names(node: &Node, path: &str, field: &str) -> Vec<String> {
    let list = node.http().get(path).unwrap().expect(200);
    let names = list.as_array().unwrap().iter().map(|one| one[field].as_str().unwrap().to_owned());
    names.filter(|name| !name.is_empty() && !name.starts_with("amq.")).collect()
}

fn declare_everything(node: &Node) {
    let mut client = Client::open(node.amqp()).unwrap();
    let limits = [("x-max-length".to_owned(), Value::I32(3))];
    client.declare_queue_as("durable", "d", &limits).unwrap();
    client.declare_queue_as("transient", "", &[]).unwrap();
    client.declare_queue_as("mine", "e", &[]).unwrap();
    let alternate = [("alternate-exchange".to_owned(), Value::Str("spare".into()))];
    client.declare_exchange("durable", "topic", "d", &alternate).unwrap();
    client.declare_exchange("inner", "fanout", "di", &[]).unwrap();
    client.declare_exchange("transient", "fanout", "", &[]).unwrap();
    let arguments = [("x-note".to_owned(), Value::Str("kept".into()))];
    client.bind("durable", "durable", "a.*", &arguments).unwrap();
    client.bind("transient", "durable", "a.*", &[]).unwrap();
    client.bind_exchange("inner", "durable", "b.#").unwrap();
    client.bind("durable", "inner", "", &[]).unwrap();
    client.bind("durable", "amq.fanout", "", &[]).unwrap();
    let http = node.http();
    http.put("/api/vhosts/other", &json!({})).unwrap().expect(201);
    let queue = json!({"durable": true, "arguments": {"x-message-ttl": 60000}});
    http.put("/api/queues/other/q", &queue).unwrap().expect(201);
    // What was taken away again stays away.
    client.declare_queue("gone").unwrap();
    client.bind("gone", "amq.fanout", "", &[]).unwrap();
    client.delete_queue("gone").unwrap();
}

fn check_durable(node: &Node) {
    assert_eq!(names(node, "/api/queues", "name"), ["durable", "q"]);
    // As in RabbitMQ 4.3, all exchanges are kept; queues are not.
    let exchanges = names(node, "/api/exchanges/%2F", "name");
    assert_eq!(exchanges, ["durable", "inner", "transient"]);
    assert_eq!(names(node, "/api/vhosts", "name"), ["/", "other"]);
    let http = node.http();
    let queue = http.get("/api/queues/%2F/durable").unwrap().expect(200);
    assert_eq!(queue["arguments"], json!({"x-max-length": 3}));
    let exchange = http.get("/api/exchanges/%2F/durable").unwrap().expect(200);
    assert_eq!(exchange["arguments"], json!({"alternate-exchange": "spare"}));
    assert_eq!(http.get("/api/exchanges/%2F/inner").unwrap().expect(200)["internal"], true);
    let bindings = http.get("/api/queues/%2F/durable/bindings").unwrap().expect(200);
    let mut keys: Vec<(&str, &str)> = bindings
        .as_array()
        .unwrap()
        .iter()
        .map(|binding| (text(&binding["source"]), text(&binding["routing_key"])))
        .collect();
    keys.sort_unstable();
    assert_eq!(keys, [("", "durable"), ("amq.fanout", ""), ("durable", "a.*"), ("inner", "")]);

    // They are no mere names: messages take their ways.
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    for key in ["a.x", "b.x.y", "c"] {
        client.publish("durable", key, &Props::new(), key.as_bytes()).unwrap();
    }
    client.publish("amq.fanout", "", &Props::new(), b"f").unwrap();
    assert_eq!(client.confirms().unwrap().acked.len(), 4);
    assert_eq!(client.drain("durable").unwrap(), ["a.x", "b.x.y", "f"]);
    let limits = [("x-max-length".to_owned(), Value::I32(3))];
    client.declare_queue_as("durable", "d", &limits).unwrap();
    let transient = client.declare_queue_as("transient", "p", &[]);
    assert!(matches!(transient, Err(RawError::Closed { code: 404, .. })), "{transient:?}");
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap()
}

#[test]
fn durable_declarations_survive_a_kill() {
    let mut node = Node::start().unwrap();
    declare_everything(&node);
    node.kill().unwrap();
    for _ in 0..2 {
        node.start_again().unwrap();
        check_durable(&node);
        node.kill().unwrap();
    }
}

#[test]
fn durable_declarations_survive_a_stop() {
    let mut node = Node::start().unwrap();
    declare_everything(&node);
    assert_eq!(node.stop().unwrap().code(), Some(0));
    node.start_again().unwrap();
    check_durable(&node);
}

#[test]
fn what_was_answered_before_the_kill_is_there() {
    let mut node = Node::start().unwrap();
    let mut declared = Vec::new();
    for round in 0..3 {
        let mut client = Client::open(node.amqp()).unwrap();
        for number in 0..40 {
            let name = format!("q-{round}-{number:02}");
            client.declare_queue(&name).unwrap();
            client.bind(&name, "amq.topic", &name, &[]).unwrap();
            declared.push(name);
        }
        node.kill().unwrap();
        node.start_again().unwrap();
    }
    assert_eq!(names(&node, "/api/queues", "name"), declared);
    let bindings = names(&node, "/api/exchanges/%2F/amq.topic/bindings/source", "routing_key");
    assert_eq!(bindings.len(), declared.len());
}
