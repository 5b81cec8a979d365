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
async fn only_an_administrator_makes_and_deletes_vhosts() {
    let server = Server::start().await;
    let pol = server.user("pol", "pol");
    assert!(pol.put("/api/vhosts/v", "").await.refused(401).contains("administrator"));
    pol.delete("/api/vhosts/%2F").await.refused(401);
    let long = format!("/api/vhosts/{}", "v".repeat(256));
    server.guest().put(&long, "").await.refused(400);
}
