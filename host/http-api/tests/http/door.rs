//! Who gets in, and what a wrong request is told.

use shunt_http_api::HttpSettings;

use crate::harness::Server;

#[tokio::test]
async fn who_is_not_known_is_not_let_in() {
    let server = Server::start().await;
    let refusal = server.nobody().get("/api/whoami").await;
    assert_eq!(refusal.headers["www-authenticate"], "Basic realm=\"Shunt\"");
    assert!(refusal.refused(401).contains("user and a password"));
    assert_eq!(server.user("guest", "wrong").get("/api/whoami").await.refused(401), "Login failed");
    let odd = |value: &str| {
        let request = server.nobody().request("GET", "/api/whoami").header("authorization", value);
        request.body(Default::default()).unwrap()
    };
    for value in ["Basic", "Basic *", "Basic Z3Vlc3Q=", "Bearer x"] {
        server.nobody().send(odd(value)).await.refused(401);
    }
}

#[tokio::test]
async fn management_takes_a_tag_and_the_message_api_does_not() {
    let server = Server::start().await;
    server.guest().queue("q").await;
    let app = server.user("app", "app");
    assert!(app.get("/api/overview").await.refused(401).contains("needs the tag management"));
    app.publish("q", "x").await;
}

#[tokio::test]
async fn a_user_without_permission_is_refused() {
    let server = Server::start().await;
    server.guest().queue("q").await;
    let ann = server.user("ann", "ann");
    // 403 where programs publish and consume, 401 as RabbitMQ's management has it.
    let default = "/v1/vhosts/%2F/exchanges/amq.default/messages?routing_key=q";
    let reason = ann.post(default, "x").await.refused(403);
    assert_eq!(reason, "write access to exchange '' in vhost '/' refused for user 'ann'");
    ann.get("/v1/vhosts/%2F/queues/q/messages").await.refused(403);
    ann.get("/v1/vhosts/%2F/queues/q/stream").await.refused(403);
    ann.post("/v1/vhosts/%2F/queues/q/settle", "{}").await.refused(403);
    ann.put("/api/queues/%2F/other", "{}").await.refused(401);
    ann.delete("/api/queues/%2F/q").await.refused(401);
    ann.delete("/api/queues/%2F/q/contents").await.refused(401);
    ann.put("/api/exchanges/%2F/other", "{}").await.refused(401);
    ann.delete("/api/exchanges/%2F/amq.topic").await.refused(401);
    ann.post("/api/bindings/%2F/e/amq.topic/q/q", "{}").await.refused(401);
    ann.put("/api/queues/%2F/ann.q", "{}").await.ok(201);
    let dead_letter = r#"{"arguments":{"x-dead-letter-exchange":"bob"}}"#;
    assert!(ann.put("/api/queues/%2F/ann.d", dead_letter).await.refused(401).contains("'bob'"));
    let alternate = r#"{"arguments":{"alternate-exchange":"bob"}}"#;
    ann.put("/api/exchanges/%2F/ann.x", alternate).await.refused(401);
    // A user without access to the virtual host sees nothing of it.
    let out = server.user("out", "out");
    out.get("/api/queues/%2F").await.refused(401);
    assert_eq!(out.get("/api/queues").await.ok(200), serde_json::json!([]));
    out.get("/v1/vhosts/%2F/queues/q/messages").await.refused(403);
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong() {
    let server = Server::start().await;
    let guest = server.guest();
    assert!(guest.get("/api/nonsense").await.refused(404).contains("'/api/nonsense'"));
    assert!(guest.post("/api/whoami", "").await.refused(405).contains("POST"));
    let reason = guest.put("/api/queues/%2F/q", "{\n  \"durable\": tru }").await.refused(400);
    assert!(reason.contains("line 2 column"), "{reason}");
    let reason = guest.put("/api/queues/%2F/q", r#"{"durable": 1}"#).await.refused(400);
    assert!(reason.contains("expected a boolean") && reason.contains("column"), "{reason}");
    guest.put("/api/queues/%2F/q", &" ".repeat(2_000_000)).await.refused(413);
    guest.get("/api/queues/nowhere").await.refused(404);
    guest.get("/v1/vhosts/nowhere/queues/q/messages").await.refused(404);
    guest.put(&format!("/api/queues/%2F/{}", "q".repeat(256)), "{}").await.refused(400);
    guest.get("/api/queues/%FF/q").await.refused(400);
}

#[tokio::test]
async fn health_needs_no_user_and_metrics_do() {
    let server = Server::start().await;
    assert_eq!(server.nobody().get("/health").await.ok(200)["status"], "ok");
    server.nobody().get("/metrics").await.refused(401);
    server.user("ann", "ann").get("/metrics").await.refused(401);
    assert_eq!(server.user("mon", "mon").get("/metrics").await.status, 200);
    let open = HttpSettings { metrics_without_login: true, ..HttpSettings::default() };
    let server = Server::with(open).await;
    assert_eq!(server.nobody().get("/metrics").await.status, 200);
}
