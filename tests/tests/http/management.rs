//! The management calls, as RabbitMQ has them, and what watches a node.

use serde_json::{Value as Json, json};
use shunt_tests::{Consume, Http, Node, Props, poll};

use super::start;

fn names(list: &Json) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[test]
fn nobody_gets_in_without_a_password() {
    let (node, _client) = start();
    let nobody = Http::new(node.http_address());
    for path in ["/api/overview", "/api/queues", "/v1/vhosts/%2F/queues/q/messages"] {
        for http in
            [nobody.clone(), nobody.clone().user("guest", "wrong"), nobody.clone().user("x", "")]
        {
            let answer = http.get(path).unwrap();
            answer.expect(401);
            assert!(answer.header("www-authenticate").unwrap().starts_with("Basic"), "{path}");
        }
        node.http().get(path).unwrap().expect(200);
    }
    let garbage = nobody.request("GET", "/api/whoami").header("Authorization", "Basic ?");
    assert_eq!(garbage.send().unwrap().status, 401);
    let other = nobody.request("GET", "/api/whoami").header("Authorization", "Bearer x");
    assert_eq!(other.send().unwrap().status, 401);
    // Whether it is there is no secret.
    assert_eq!(nobody.get("/health").unwrap().expect(200), json!({"status": "ok"}));
    assert_eq!(nobody.get("/metrics").unwrap().status, 200);
}

#[test]
fn metrics_can_want_a_password() {
    let node = Node::builder().setting("http.metrics_without_login", false).start().unwrap();
    Http::new(node.http_address()).get("/metrics").unwrap().expect(401);
    assert_eq!(node.http().get("/metrics").unwrap().status, 200);
}

#[test]
fn who_and_what_is_here() {
    let (node, _client) = start();
    let http = node.http();
    let me = http.get("/api/whoami").unwrap().expect(200);
    assert_eq!((&me["name"], &me["tags"]), (&json!("guest"), &json!(["administrator"])));
    let overview = http.get("/api/overview").unwrap().expect(200);
    assert!(overview["rabbitmq_version"].as_str().unwrap().starts_with("4."));
    assert_eq!(overview["object_totals"]["queues"], 1);
    assert_eq!(overview["object_totals"]["connections"], 1);
    let types: Vec<&str> = names(&overview["exchange_types"]);
    for kind in ["direct", "fanout", "topic", "headers", "x-consistent-hash", "x-wasm"] {
        assert!(types.contains(&kind), "{kind} is not in {types:?}");
    }
}

#[test]
fn queues() {
    let (node, mut client) = start();
    let http = node.http();
    let path = "/api/queues/%2F/made%2Fhere";
    let made = json!({"durable": true, "arguments": {"x-max-length": 10}});
    http.put(path, &made).unwrap().expect(201);
    http.put(path, &made).unwrap().expect(204);
    http.put(path, &json!({"durable": false})).unwrap().refused(400, "durable");
    http.put("/api/queues/none/q", &json!({})).unwrap().expect(404);
    assert_eq!(names(&http.get("/api/queues/%2F").unwrap().expect(200)), ["made/here", "q"]);
    for _ in 0..3 {
        client.publish("", "made/here", &Props::new(), b"four").unwrap();
    }
    client.get_as("made/here", false).unwrap();
    let queue = http.get(path).unwrap().expect(200);
    let expected = json!({"x-max-length": 10});
    assert_eq!((&queue["arguments"], &queue["type"]), (&expected, &json!("classic")));
    let counts = ["messages", "messages_ready", "messages_unacknowledged", "consumers"];
    assert_eq!(counts.map(|name| queue[name].as_u64().unwrap()), [3, 2, 1, 0]);
    assert_eq!(queue["message_bytes"], 12);
    http.delete(&format!("{path}?if-empty=true")).unwrap().refused(400, "not empty");
    http.delete(&format!("{path}/contents")).unwrap().expect(204);
    assert_eq!(http.get(path).unwrap().expect(200)["messages"], 1);
    http.delete(path).unwrap().expect(204);
    http.get(path).unwrap().refused(404, "made/here");
    client.consume("q", Consume::default()).unwrap();
    http.delete("/api/queues/%2F/q?if-unused=true").unwrap().refused(400, "in use");
}

#[test]
fn exchanges_and_bindings() {
    let (node, mut client) = start();
    let http = node.http();
    let declaration = json!({"type": "topic", "durable": true, "arguments": {}});
    http.put("/api/exchanges/%2F/e", &declaration).unwrap().expect(201);
    http.put("/api/exchanges/%2F/e", &declaration).unwrap().expect(204);
    http.put("/api/exchanges/%2F/e", &json!({"type": "fanout"})).unwrap().refused(400, "type");
    http.put("/api/exchanges/%2F/x", &json!({"type": "none"})).unwrap().refused(400, "none");
    assert_eq!(http.get("/api/exchanges/%2F/e").unwrap().expect(200)["type"], "topic");
    let all = http.get("/api/exchanges/%2F").unwrap().expect(200);
    for name in ["", "amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic", "e"] {
        assert!(names(&all).contains(&name), "{name}");
    }
    let path = "/api/bindings/%2F/e/e/q/q";
    let binding = json!({"routing_key": "a.#", "arguments": {}});
    let made = http.post(path, &binding).unwrap();
    made.expect(201);
    assert!(made.header("location").is_some());
    let bindings = http.get(path).unwrap().expect(200);
    assert_eq!(bindings[0]["routing_key"], "a.#");
    assert_eq!((&bindings[0]["source"], &bindings[0]["destination"]), (&json!("e"), &json!("q")));
    client.publish("e", "a.b", &Props::new(), b"x").unwrap();
    client.sync().unwrap();
    assert_eq!(client.drain("q").unwrap(), ["x"]);
    let key = bindings[0]["properties_key"].as_str().unwrap().replace('#', "%23");
    http.delete(&format!("{path}/{key}")).unwrap().expect(204);
    assert_eq!(http.get(path).unwrap().expect(200), json!([]));
    http.post("/api/bindings/%2F/e/none/q/q", &binding).unwrap().expect(404);
    http.delete("/api/exchanges/%2F/e").unwrap().expect(204);
    http.delete("/api/exchanges/%2F/amq.direct").unwrap().expect(401);
}

#[test]
fn publish_and_get_by_hand() {
    let (node, _client) = start();
    let http = node.http();
    let message = json!({
        "routing_key": "q", "payload": "/wA=", "payload_encoding": "base64",
        "properties": {"message_id": "m", "headers": {"n": 1}},
    });
    let path = "/api/exchanges/%2F/amq.default/publish";
    assert_eq!(http.post(path, &message).unwrap().expect(200), json!({"routed": true}));
    let nowhere = json!({"routing_key": "none", "payload": "", "payload_encoding": "string",
                         "properties": {}});
    assert_eq!(http.post(path, &nowhere).unwrap().expect(200), json!({"routed": false}));
    let get = |ackmode: &str| {
        let request = json!({"count": 5, "ackmode": ackmode, "encoding": "auto"});
        http.post("/api/queues/%2F/q/get", &request).unwrap().expect(200)
    };
    let messages = get("ack_requeue_true");
    assert_eq!(
        (&messages[0]["payload"], &messages[0]["redelivered"]),
        (&json!("/wA="), &json!(false))
    );
    assert_eq!(messages[0]["properties"]["headers"], json!({"n": 1}));
    assert_eq!(get("ack_requeue_false")[0]["redelivered"], true);
    assert_eq!(get("ack_requeue_false"), json!([]));
}

#[test]
fn virtual_hosts_are_apart() {
    let (node, mut client) = start();
    let http = node.http();
    http.put("/api/vhosts/other", &json!({})).unwrap().expect(201);
    http.put("/api/vhosts/other", &json!({})).unwrap().expect(204);
    http.put("/api/queues/other/q", &json!({})).unwrap().expect(201);
    let path = "/v1/vhosts/other/exchanges/amq.default/messages?routing_key=q";
    http.request("POST", path).body("there").send().unwrap().expect(200);
    assert_eq!(client.get("q").unwrap(), None);
    let mut there = shunt_tests::Client::open_as(node.amqp(), "guest", "guest", "other").unwrap();
    assert_eq!(there.get("q").unwrap().unwrap().text(), "there");
    http.delete("/api/vhosts/other").unwrap().expect(204);
    http.get("/api/vhosts/other").unwrap().expect(404);
    assert!(there.receive().is_err(), "its connections are closed");
}

#[test]
fn metrics_count_what_happens() {
    let (node, mut client) = start();
    client.confirm_select().unwrap();
    for _ in 0..7 {
        client.publish("", "q", &Props::new(), b"x").unwrap();
    }
    client.publish("", "none", &Props::new(), b"x").unwrap();
    client.confirms().unwrap();
    client.get("q").unwrap();
    let expected = [
        "rabbitmq_queues 1",
        "rabbitmq_connections 1",
        "rabbitmq_channels 1",
        "rabbitmq_queue_messages_ready 6",
        "rabbitmq_global_messages_received_total 8",
        "rabbitmq_global_messages_confirmed_total 8",
        "rabbitmq_global_messages_routed_total 7",
        "rabbitmq_global_messages_unroutable_dropped_total 1",
    ];
    let answer = node.http().get("/metrics").unwrap();
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    for line in expected {
        assert!(answer.text().lines().any(|other| other == line), "no {line}: {}", answer.text());
    }
    client.close().unwrap();
    poll("the closed connection", || {
        let text = node.http().get("/metrics").unwrap().text();
        text.lines().any(|line| line == "rabbitmq_connections 0").then_some(())
    })
    .unwrap();
}

#[test]
fn the_document_of_the_api_names_its_calls() {
    let (node, _client) = start();
    let document = node.http().get("/api/openapi.json").unwrap().expect(200);
    for path in [
        "/v1/vhosts/{vhost}/exchanges/{exchange}/messages",
        "/v1/vhosts/{vhost}/queues/{queue}/stream",
        "/api/routes/{vhost}/{name}/dry-run",
        "/metrics",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
}

#[test]
fn what_is_not_there_is_said_in_json() {
    let (node, _client) = start();
    let http = node.http();
    http.get("/api/none").unwrap().expect(404);
    assert_eq!(http.request("PATCH", "/api/queues/%2F/q").send().unwrap().status, 405);
    http.request("PUT", "/api/queues/%2F/x").body("{").send().unwrap().expect(400);
    http.request("PUT", "/api/queues/%2F/x").body("7").send().unwrap().expect(400);
    let large = vec![b' '; 2 << 20];
    http.request("PUT", "/api/queues/%2F/x").body(large).send().unwrap().refused(413, "1048576");
    http.get("/api/queues/%2F/%ff").unwrap().expect(400);
}
