//! Queues in the management API.

use serde_json::json;

use crate::harness::Server;

#[tokio::test]
async fn a_queue_is_declared_shown_and_deleted() {
    let server = Server::start().await;
    let guest = server.guest();
    let body = r#"{"durable":true,"arguments":{"x-max-length":5},"node":"ignored"}"#;
    guest.put("/api/queues/%2F/q", body).await.ok(201);
    guest.put("/api/queues/%2F/q", body).await.ok(204);
    let other = guest.put("/api/queues/%2F/q", r#"{"durable":false}"#).await;
    assert!(other.refused(400).contains("inequivalent arg 'durable' for queue 'q' in vhost '/'"));
    guest.publish("q", "four").await;
    let view = guest.get("/api/queues/%2F/q").await.ok(200);
    assert_eq!(view["name"], "q");
    assert_eq!(view["vhost"], "/");
    assert_eq!(view["type"], "classic");
    assert_eq!(view["state"], "running");
    assert_eq!(view["node"], "shunt@test");
    assert_eq!(view["durable"], true);
    assert_eq!(view["arguments"], json!({"x-max-length": 5}));
    assert_eq!((&view["messages"], &view["message_bytes"]), (&json!(1), &json!(4)));
    assert_eq!(view["message_stats"]["publish"], 1);
    guest.queue("p").await;
    let all = guest.get("/api/queues").await.ok(200);
    assert_eq!((&all[0]["name"], &all[1]["name"]), (&json!("p"), &json!("q")));
    assert_eq!(guest.get("/api/queues/%2F").await.ok(200), all);
    let reason = guest.delete("/api/queues/%2F/q?if-empty=true").await.refused(400);
    assert_eq!(reason, "queue 'q' in vhost '/' not empty");
    guest.delete("/api/queues/%2F/q/contents").await.ok(204);
    guest.delete("/api/queues/%2F/q?if-empty=true&if-unused=true").await.ok(204);
    guest.delete("/api/queues/%2F/q").await.refused(404);
    guest.get("/api/queues/%2F/q").await.refused(404);
    guest.delete("/api/queues/%2F/q/contents").await.refused(404);
}

#[tokio::test]
async fn wrong_queues_are_refused() {
    let server = Server::start().await;
    let guest = server.guest();
    let refused = async |body: &str| guest.put("/api/queues/%2F/q", body).await.refused(400);
    let argument = r#"{"arguments":{"x-max-length":"many"}}"#;
    assert!(refused(argument).await.contains("'x-max-length'"));
    assert!(refused(r#"{"arguments":{"a":18446744073709551615}}"#).await.contains("arguments.a"));
    assert!(refused(r#"{"arguments":[]}"#).await.contains("expected a map"));
    assert!(refused(r#"[true, false, {}]"#).await.contains("a list, expected an object"));
    assert!(guest.put("/api/queues/%2F/amq.q", "{}").await.refused(401).contains("amq."));
}

#[tokio::test]
async fn messages_are_got() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    let publish = json!({
        "routing_key": "q", "payload": "aGFsbG8=", "payload_encoding": "base64",
        "properties": {"delivery_mode": 2, "headers": {"n": 1}},
    });
    let path = "/api/exchanges/%2F/amq.default/publish";
    assert_eq!(guest.post(path, &publish.to_string()).await.ok(200), json!({"routed": true}));
    guest.publish("q", "second").await;
    let get = async |body: &str| guest.post("/api/queues/%2F/q/get", body).await;
    let keep = r#"{"count":1,"ackmode":"ack_requeue_true","encoding":"auto","truncate":2}"#;
    let expected = json!([{
        "payload_bytes": 5, "redelivered": false, "exchange": "", "routing_key": "q",
        "message_count": 1, "properties": {"delivery_mode": 2, "headers": {"n": 1}},
        "payload": "ha", "payload_encoding": "string",
    }]);
    assert_eq!(get(keep).await.ok(200), expected);
    guest.until_counts("q", (2, 0)).await;
    let take = r#"{"count":"10","ackmode":"ack_requeue_false","encoding":"base64"}"#;
    let taken = get(take).await.ok(200);
    assert_eq!(taken[0]["payload"], "aGFsbG8=");
    assert_eq!(taken[0]["redelivered"], true);
    assert_eq!(taken[1]["message_count"], 0);
    guest.until_counts("q", (0, 0)).await;
    assert_eq!(get(take).await.ok(200), json!([]));
    let count = r#"{"count":"x","ackmode":"ack_requeue_false","encoding":"auto"}"#;
    assert!(get(count).await.refused(400).contains("count 'x'"));
    let mode = r#"{"count":1,"ackmode":"keep","encoding":"auto"}"#;
    assert!(get(mode).await.refused(400).contains("keep"));
    assert!(get("{}").await.refused(400).contains("missing field `count`"));
}

#[tokio::test]
async fn what_is_rejected_is_dead_lettered() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("dead").await;
    let body = r#"{"arguments":{"x-dead-letter-exchange":"","x-dead-letter-routing-key":"dead"}}"#;
    guest.put("/api/queues/%2F/q", body).await.ok(201);
    guest.publish("q", "x").await;
    let get = r#"{"count":1,"ackmode":"reject_requeue_false","encoding":"auto"}"#;
    guest.post("/api/queues/%2F/q/get", get).await.ok(200);
    guest.until_counts("dead", (1, 0)).await;
}
