//! Exchanges in the management API.

use serde_json::json;

use crate::harness::Server;

#[tokio::test]
async fn an_exchange_is_declared_shown_and_deleted() {
    let server = Server::start().await;
    let guest = server.guest();
    let body =
        r#"{"type":"topic","durable":false,"arguments":{"alternate-exchange":"amq.fanout"}}"#;
    guest.put("/api/exchanges/%2F/x", body).await.ok(201);
    guest.put("/api/exchanges/%2F/x", body).await.ok(204);
    let reason = guest.put("/api/exchanges/%2F/x", r#"{"type":"fanout"}"#).await.refused(400);
    assert!(reason.contains("inequivalent arg 'type'"), "{reason}");
    let expected = json!({
        "name": "x", "vhost": "/", "type": "topic", "durable": false, "auto_delete": false,
        "internal": false, "arguments": {"alternate-exchange": "amq.fanout"},
        "user_who_performed_action": "", "policy": null, "operator_policy": null,
        "effective_policy_definition": {},
    });
    assert_eq!(guest.get("/api/exchanges/%2F/x").await.ok(200), expected);
    let all = guest.get("/api/exchanges/%2F").await.ok(200);
    assert_eq!(all[0]["name"], "");
    assert_eq!(all.as_array().unwrap().last(), Some(&expected));
    assert_eq!(guest.get("/api/exchanges").await.ok(200), all);
    assert_eq!(guest.get("/api/exchanges/%2F/amq.default").await.ok(200)["name"], "");
    guest.queue("q").await;
    guest.post("/api/bindings/%2F/e/x/q/q", r#"{"routing_key":"a.*"}"#).await.ok(201);
    assert!(
        guest.delete("/api/exchanges/%2F/x?if-unused=true").await.refused(400).contains("in use")
    );
    guest.delete("/api/exchanges/%2F/x").await.ok(204);
    guest.delete("/api/exchanges/%2F/x").await.refused(404);
    guest.get("/api/exchanges/%2F/x").await.refused(404);
}

#[tokio::test]
async fn wrong_exchanges_are_refused() {
    let server = Server::start().await;
    let guest = server.guest();
    let unknown = guest.put("/api/exchanges/%2F/x", r#"{"type":"odd"}"#).await.refused(400);
    assert!(unknown.contains("unknown exchange type 'odd'"), "{unknown}");
    guest.put("/api/exchanges/%2F/amq.mine", "{}").await.refused(401);
    guest.put("/api/exchanges/%2F/amq.default", "{}").await.refused(401);
    guest.delete("/api/exchanges/%2F/amq.topic").await.refused(401);
}

#[tokio::test]
async fn publishing_says_whether_it_was_routed() {
    let server = Server::start().await;
    let guest = server.guest();
    let publish = |encoding: &str| {
        json!({"routing_key": "k", "payload": "x", "payload_encoding": encoding, "properties": {}})
            .to_string()
    };
    let path = "/api/exchanges/%2F/amq.topic/publish";
    assert_eq!(guest.post(path, &publish("string")).await.ok(200), json!({"routed": false}));
    assert!(guest.post(path, &publish("hex")).await.refused(400).contains("'hex'"));
    assert!(guest.post(path, "{}").await.refused(400).contains("routing_key"));
    guest.post("/api/exchanges/%2F/none/publish", &publish("string")).await.refused(404);
    let ann = server.user("ann", "ann");
    ann.post(path, &publish("string")).await.refused(401);
}
