//! Publishing: one message a call, or one a line.

use serde_json::{Value as Json, json};
use shunt_tests::amqp_raw::Value;
use shunt_tests::{Client, Http, Node, Response};

use super::start;

const TO_Q: &str = "/v1/vhosts/%2F/exchanges/amq.default/messages?routing_key=q";

fn publish(http: &Http, path: &str, body: &[u8]) -> Response {
    http.request("POST", path).body(body).send().unwrap()
}

/// The results of lines, each from its own line.
fn publish_lines(http: &Http, path: &str, lines: &str) -> Vec<Json> {
    let request = http.request("POST", path).header("Content-Type", "application/x-ndjson");
    let answer = request.body(lines).send().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_message_goes_in_with_its_properties() {
    let (node, mut client) = start();
    let path = format!(
        "{TO_Q}&delivery_mode=2&priority=4&correlation_id=c-1&message_id=m-1&type=order&app_id=a\
         &timestamp=1700000000&expiration=60000&reply_to=r&user_id=guest"
    );
    let http = node.http();
    let request = http.request("POST", &path).header("Content-Type", "text/plain");
    let request = request.header("Content-Encoding", "identity").header("X-Header-Region", "eu");
    let answer = request.body("hello").send().unwrap();
    assert_eq!(answer.expect(200), json!({"routed": true}));
    let message = client.get("q").unwrap().unwrap();
    assert_eq!((message.text().as_str(), message.routing_key.as_str()), ("hello", "q"));
    let mut expected = shunt_tests::Props::from_json(
        &json!({
            "content_type": "text/plain", "content_encoding": "identity", "delivery_mode": 2,
            "priority": 4, "correlation_id": "c-1", "message_id": "m-1", "type": "order",
            "app_id": "a", "timestamp": 1_700_000_000, "expiration": "60000", "reply_to": "r",
            "user_id": "guest",
        }),
        &json!(null),
    );
    expected = expected.header("region", Value::Str("eu".into()));
    assert_eq!(message.properties, expected.encode());
}

#[test]
fn a_body_is_any_bytes() {
    let (node, mut client) = start();
    let body: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 253) as u8).collect();
    assert_eq!(publish(&node.http(), TO_Q, &body).expect(200)["routed"], true);
    assert_eq!(publish(&node.http(), TO_Q, b"").expect(200)["routed"], true);
    assert!(client.get("q").unwrap().unwrap().body == body);
    assert_eq!(client.get("q").unwrap().unwrap().body, b"");
}

#[test]
fn what_can_not_be_published_says_why() {
    let node = Node::builder().setting("amqp.message_size_max", 1000).start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    let http = node.http();
    let to = |exchange: &str, query: &str| {
        format!("/v1/vhosts/%2F/exchanges/{exchange}/messages?routing_key=none{query}")
    };
    publish(&http, &to("none", ""), b"x").refused(404, "'none'");
    publish(&http, "/v1/vhosts/none/exchanges/e/messages", b"x").refused(404, "none");
    let unroutable = publish(&http, &to("amq.direct", "&mandatory=true"), b"x");
    unroutable.refused(422, "'amq.direct'");
    assert_eq!(unroutable.json()["error"], "unroutable");
    let dropped = publish(&http, &to("amq.direct", ""), b"x").expect(200);
    assert_eq!(dropped, json!({"routed": false}));
    publish(&http, TO_Q, &[0; 1001]).refused(413, "1000");
    publish(&http, &format!("{TO_Q}&priority=high"), b"x").refused(400, "priority");
    publish(&http, &format!("{TO_Q}&color=red"), b"x").refused(400, "color");
    publish(&http, &format!("{TO_Q}&expiration=soon"), b"x").refused(400, "soon");
    publish(&http, &format!("{TO_Q}&user_id=other"), b"x").refused(400, "other");

    let reject =
        [("x-max-length", Value::I32(1)), ("x-overflow", Value::Str("reject-publish".into()))];
    let reject = reject.map(|(name, value)| (name.to_owned(), value));
    client.declare_queue_as("full", "d", &reject).unwrap();
    let full = "/v1/vhosts/%2F/exchanges/amq.default/messages?routing_key=full";
    publish(&http, full, b"1").expect(200);
    let refused = publish(&http, full, b"2");
    assert_eq!(refused.expect(503)["error"], "not_confirmed", "{}", refused.text());
    assert_eq!(client.drain("full").unwrap(), ["1"]);
}

#[test]
fn many_messages_a_line_each() {
    let (node, mut client) = start();
    let mut lines = String::new();
    for number in 0..500 {
        lines
            .push_str(&format!("{}\n", json!({"routing_key": "q", "payload": number.to_string()})));
    }
    let path = "/v1/vhosts/%2F/exchanges/amq.default/messages";
    let results = publish_lines(&node.http(), path, &lines);
    assert_eq!(results, vec![json!({"routed": true}); 500]);
    let expected: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    assert_eq!(client.drain("q").unwrap(), expected);
}

#[test]
fn each_line_has_its_own_result() {
    let (node, mut client) = start();
    let lines = [
        json!({"payload": "default key"}).to_string(),
        json!({"routing_key": "q", "payload": "AAEC", "payload_encoding": "base64"}).to_string(),
        json!({"routing_key": "none", "payload": "x"}).to_string(),
        "not JSON".to_owned(),
        json!({"routing_key": "q", "payload": "x", "payload_encoding": "rot13"}).to_string(),
        json!({"routing_key": "q", "payload": "x", "properties": {"priority": "high"}}).to_string(),
        json!({"routing_key": "q", "payload": "x", "colour": "red"}).to_string(),
        json!({"routing_key": "q", "payload": "last", "properties": {"message_id": "m"},
               "headers": {"n": 1}})
        .to_string(),
    ];
    // The last line needs no end.
    let results = publish_lines(&node.http(), &format!("{TO_Q}&mandatory=true"), &lines.join("\n"));
    let statuses: Vec<u64> =
        results.iter().map(|result| result["status"].as_u64().unwrap_or(200)).collect();
    assert_eq!(statuses, [200, 200, 422, 400, 400, 400, 400, 200], "{results:?}");
    for (at, part) in [(2, "none"), (4, "rot13"), (5, "priority"), (6, "colour")] {
        assert_eq!(results[at]["line"], at + 1);
        let reason = results[at]["reason"].as_str().unwrap();
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(client.get("q").unwrap().unwrap().text(), "default key");
    assert_eq!(client.get("q").unwrap().unwrap().body, [0, 1, 2]);
    assert_eq!(client.get("q").unwrap().unwrap().text(), "last");
    assert_eq!(client.get("q").unwrap(), None);
}
