//! Bindings in the management API.

use serde_json::json;

use crate::harness::Server;

#[tokio::test]
async fn a_binding_is_made_shown_and_taken_away() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    let ends = "/api/bindings/%2F/e/amq.topic/q/q";
    let made = guest.post(ends, r##"{"routing_key":"a.#"}"##).await;
    assert_eq!(made.headers["location"], "q/a.%23");
    made.ok(201);
    guest.post(ends, r#"{"routing_key":"b","arguments":{"x":1}}"#).await.ok(201);
    guest.post(ends, "").await.ok(201);
    let all = guest.get(ends).await.ok(200);
    let keys: Vec<_> = all.as_array().unwrap().iter().map(|b| &b["properties_key"]).collect();
    // In the order of binding.
    assert_eq!((keys[0], keys[2]), (&json!("a.%23"), &json!("~")));
    let expected = json!({
        "source": "amq.topic", "vhost": "/", "destination": "q", "destination_type": "queue",
        "routing_key": "a.#", "arguments": {}, "properties_key": "a.%23",
    });
    assert_eq!(all[0], expected);
    assert_eq!(guest.get("/api/exchanges/%2F/amq.topic/bindings/source").await.ok(200), all);
    // Each queue is bound to the default exchange too.
    let of_queue = guest.get("/api/queues/%2F/q/bindings").await.ok(200);
    assert_eq!(of_queue.as_array().unwrap().len(), 4);
    assert_eq!(of_queue[0]["source"], "");
    assert_eq!(guest.get("/api/bindings/%2F").await.ok(200), of_queue);
    assert_eq!(guest.get("/api/bindings").await.ok(200), of_queue);
    // The key may be quoted once more for the path, as RabbitMQ's own tools do, or not.
    for quoted in ["a.%2523", "a.%23"] {
        assert_eq!(guest.get(&format!("{ends}/{quoted}")).await.ok(200), expected);
    }
    let hashed = keys[1].as_str().unwrap();
    assert_eq!(guest.get(&format!("{ends}/{hashed}")).await.ok(200)["arguments"], json!({"x": 1}));
    guest.delete(&format!("{ends}/{hashed}")).await.ok(204);
    guest.delete(&format!("{ends}/{hashed}")).await.refused(404);
    guest.delete(&format!("{ends}/~")).await.ok(204);
    guest.delete(&format!("{ends}/a.%2523")).await.ok(204);
    assert_eq!(guest.get(ends).await.ok(200), json!([]));
}

#[tokio::test]
async fn exchanges_are_bound_to_exchanges() {
    let server = Server::start().await;
    let guest = server.guest();
    let ends = "/api/bindings/%2F/e/amq.topic/e/amq.fanout";
    guest.post(ends, r#"{"routing_key":"k"}"#).await.ok(201);
    let all = guest.get(ends).await.ok(200);
    assert_eq!(all[0]["destination_type"], "exchange");
    let to = guest.get("/api/exchanges/%2F/amq.fanout/bindings/destination").await.ok(200);
    assert_eq!(to, all);
    assert_eq!(guest.get(&format!("{ends}/k")).await.ok(200), all[0]);
    guest.delete(&format!("{ends}/k")).await.ok(204);
    assert_eq!(guest.get(ends).await.ok(200), json!([]));
}

#[tokio::test]
async fn wrong_bindings_are_refused() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    guest.post("/api/bindings/%2F/e/none/q/q", "{}").await.refused(404);
    guest.post("/api/bindings/%2F/e/amq.topic/q/none", "{}").await.refused(404);
    guest.get("/api/bindings/%2F/e/amq.topic/q/none").await.refused(404);
    guest.get("/api/bindings/%2F/e/amq.topic/e/none").await.refused(404);
    guest.post("/api/bindings/%2F/e/amq.default/q/q", "{}").await.refused(401);
    guest.put("/api/exchanges/%2F/picky", r#"{"type":"x-failing"}"#).await.ok(201);
    let bad = guest.post("/api/bindings/%2F/e/picky/q/q", r#"{"routing_key":"bad"}"#).await;
    assert!(bad.refused(400).contains("no such shard"));
    let long = json!({"routing_key": "k".repeat(256)}).to_string();
    guest.post("/api/bindings/%2F/e/amq.topic/q/q", &long).await.refused(400);
}
