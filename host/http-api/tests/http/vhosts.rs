//! Virtual hosts in the management API.

use serde_json::json;

use crate::harness::Server;

#[tokio::test]
async fn who_makes_a_vhost_may_do_everything_there() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.put("/api/vhosts/a%2Fb", "").await.ok(201);
    guest.put("/api/vhosts/a%2Fb", r#"{"description":"ours"}"#).await.ok(204);
    guest.put("/api/queues/a%2Fb/q", "{}").await.ok(201);
    let publish = "/v1/vhosts/a%2Fb/exchanges/amq.default/messages?routing_key=q";
    guest.post(publish, "x").await.ok(200);
    let view = guest.get("/api/vhosts/a%2Fb").await.ok(200);
    assert_eq!((&view["name"], &view["messages"]), (&json!("a/b"), &json!(1)));
    assert_eq!(view["cluster_state"], json!({"shunt@test": "running"}));
    let all = guest.get("/api/vhosts").await.ok(200);
    assert_eq!((&all[0]["name"], &all[1]["name"]), (&json!("/"), &json!("a/b")));
    // Another user sees it only with permissions, or by a tag.
    server.user("ann", "ann").get("/api/vhosts/a%2Fb").await.refused(401);
    assert_eq!(
        server.user("ann", "ann").get("/api/vhosts").await.ok(200).as_array().unwrap().len(),
        1
    );
    assert_eq!(server.user("mon", "mon").get("/api/vhosts").await.ok(200), all);
    guest.put("/api/routes/a%2Fb/r", "module").await.ok(201);
    guest.delete("/api/vhosts/a%2Fb").await.ok(204);
    guest.delete("/api/vhosts/a%2Fb").await.refused(404);
    guest.get("/api/vhosts/a%2Fb").await.refused(404);
    assert!(server.routes.deployed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_said_about_a_vhost_is_kept() {
    let server = Server::start().await;
    let guest = server.guest();
    let body = r#"{"description":"ours","tags":"a, b","default_queue_type":"classic"}"#;
    guest.put("/api/vhosts/v", body).await.ok(201);
    let expected =
        json!({"description": "ours", "tags": ["a", "b"], "default_queue_type": "classic"});
    let view = guest.get("/api/vhosts/v").await.ok(200);
    assert_eq!(view["metadata"], expected);
    assert_eq!((&view["description"], &view["tags"]), (&json!("ours"), &json!(["a", "b"])));
    // What isn't named stays.
    guest.put("/api/vhosts/v", r#"{"tags":[]}"#).await.ok(204);
    assert_eq!(guest.get("/api/vhosts/v").await.ok(200)["description"], "ours");
    let quorum = guest.put("/api/vhosts/v", r#"{"default_queue_type":"quorum"}"#).await;
    let reason = quorum.refused(400);
    assert_eq!(reason, "'default_queue_type': queues of type quorum are not supported");
}

#[tokio::test]
async fn a_protected_vhost_is_not_deleted() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.put("/api/vhosts/v", "").await.ok(201);
    let protection = "/api/vhosts/v/deletion/protection";
    guest.post(protection, "").await.ok(204);
    assert_eq!(guest.get("/api/vhosts/v").await.ok(200)["protected_from_deletion"], true);
    let reason = guest.delete("/api/vhosts/v").await.refused(412);
    assert!(reason.contains("protected from deletion"), "{reason}");
    server.user("ann", "ann").delete(protection).await.refused(401);
    guest.delete(protection).await.ok(204);
    guest.delete("/api/vhosts/v").await.ok(204);
}

#[tokio::test]
async fn only_an_administrator_makes_and_deletes_vhosts() {
    let server = Server::start().await;
    let pol = server.user("pol", "pol");
    assert!(pol.put("/api/vhosts/v", "").await.refused(401).contains("administrator"));
    pol.delete("/api/vhosts/%2F").await.refused(401);
    let long = format!("/api/vhosts/{}", "v".repeat(256));
    server.guest().put(&long, "").await.refused(400);
}
