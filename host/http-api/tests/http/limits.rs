//! Limits and topic permissions in the management API.

use serde_json::{Value as Json, json};

use crate::harness::Server;

fn value(value: impl Into<Json>) -> String {
    json!({ "value": value.into() }).to_string()
}

#[tokio::test]
async fn limits_of_vhosts_are_set_and_hold() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.put("/api/vhost-limits/%2F/max-queues", &value(1)).await.ok(204);
    guest.put("/api/vhost-limits/%2F/max-connections", &value(-1)).await.ok(204);
    let expected = json!([{"vhost": "/", "value": {"max-connections": -1, "max-queues": 1}}]);
    assert_eq!(guest.get("/api/vhost-limits").await.ok(200), expected);
    assert_eq!(guest.get("/api/vhost-limits/%2F").await.ok(200), expected);
    guest.queue("a").await;
    let reason = guest.put("/api/queues/%2F/b", "{}").await.refused(400);
    assert_eq!(reason, "cannot declare queue 'b': queue limit in vhost '/' (1) is reached");
    for limit in ["max-queues", "max-connections"] {
        guest.delete(&format!("/api/vhost-limits/%2F/{limit}")).await.ok(204);
    }
    assert_eq!(guest.get("/api/vhost-limits/%2F").await.ok(200), json!([]));
    guest.put("/api/queues/%2F/b", "{}").await.ok(201);
}

#[tokio::test]
async fn limits_of_users_are_set_and_shown() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.put("/api/user-limits/ann/max-channels", &value(2)).await.ok(204);
    let expected = json!([{"user": "ann", "value": {"max-channels": 2}}]);
    assert_eq!(guest.get("/api/user-limits").await.ok(200), expected);
    assert_eq!(guest.get("/api/user-limits/ann").await.ok(200), expected);
    let limits = &guest.get("/api/users/ann").await.ok(200)["limits"];
    assert_eq!(limits, &expected[0]["value"]);
    guest.delete("/api/user-limits/ann/max-channels").await.ok(204);
    assert_eq!(guest.get("/api/user-limits/ann").await.ok(200), json!([]));
}

#[tokio::test]
async fn wrong_limits_are_refused() {
    let server = Server::start().await;
    let guest = server.guest();
    for (path, other) in [("vhost-limits/%2F", "max-channels"), ("user-limits/ann", "max-queues")] {
        let put = async |limit: &str, body: &str| {
            guest.put(&format!("/api/{path}/{limit}"), body).await.refused(400)
        };
        assert!(put(other, &value(1)).await.contains("unrecognised limit"));
        assert!(put("max-connections", &value("x")).await.contains("expected i64"));
        assert!(put("max-connections", "{}").await.contains("`value`"));
    }
    guest.put("/api/user-limits/none/max-channels", &value(1)).await.refused(404);
    guest.put("/api/vhost-limits/none/max-queues", &value(1)).await.refused(404);
    let ann = server.user("ann", "ann");
    ann.put("/api/vhost-limits/%2F/max-queues", &value(1)).await.refused(401);
    ann.get("/api/user-limits").await.refused(401);
}

#[tokio::test]
async fn topic_permissions_are_set_and_hold() {
    let server = Server::start().await;
    let guest = server.guest();
    let path = "/api/topic-permissions/%2F/app";
    guest.get(path).await.refused(404);
    let body = json!({"exchange": "amq.topic", "write": "^{username}\\.", "read": "^r"});
    guest.put(path, &body.to_string()).await.ok(201);
    guest.put(path, &body.to_string()).await.ok(204);
    let expected = json!([{"user": "app", "vhost": "/", "exchange": "amq.topic",
        "write": "^{username}\\.", "read": "^r"}]);
    for path in [
        path,
        "/api/topic-permissions",
        "/api/users/app/topic-permissions",
        "/api/vhosts/%2F/topic-permissions",
    ] {
        assert_eq!(guest.get(path).await.ok(200), expected, "{path}");
    }
    let app = server.user("app", "app");
    let publish = async |exchange: &str, key: &str| {
        let path = format!("/v1/vhosts/%2F/exchanges/{exchange}/messages?routing_key={key}");
        app.post(&path, "x").await
    };
    publish("amq.topic", "app.1").await.ok(200);
    let reason = publish("amq.topic", "other.1").await.refused(403);
    let text = "access to topic 'other.1' in exchange 'amq.topic' in vhost '/' refused for user \
                'app'";
    assert_eq!(reason, text);
    publish("amq.fanout", "other.1").await.ok(200);
    guest.delete("/api/topic-permissions/%2F/app/amq.direct").await.refused(404);
    guest.delete("/api/topic-permissions/%2F/app/amq.topic").await.ok(204);
    publish("amq.topic", "other.1").await.ok(200);
    guest.put(path, &body.to_string()).await.ok(201);
    guest.delete(path).await.ok(204);
    guest.delete(path).await.refused(404);
}

#[tokio::test]
async fn bindings_over_http_go_by_topic_permissions_too() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("ann-q").await;
    let exchange = json!({"type": "topic"}).to_string();
    guest.put("/api/exchanges/%2F/ann-x", &exchange).await.ok(201);
    let body = json!({"exchange": "ann-x", "write": "", "read": "^allowed"});
    guest.put("/api/topic-permissions/%2F/ann", &body.to_string()).await.ok(201);
    let ann = server.user("ann", "ann");
    let bind = "/api/bindings/%2F/e/ann-x/q/ann-q";
    ann.post(bind, r#"{"routing_key":"allowed.#"}"#).await.ok(201);
    let reason = ann.post(bind, r##"{"routing_key":"#"}"##).await.refused(401);
    assert!(reason.starts_with("access to topic '#' in exchange 'ann-x'"), "{reason}");
}

#[tokio::test]
async fn wrong_topic_permissions_are_refused() {
    let server = Server::start().await;
    let guest = server.guest();
    let put = async |user: &str, body: Json| {
        guest.put(&format!("/api/topic-permissions/%2F/{user}"), &body.to_string()).await
    };
    let wrong = json!({"exchange": "amq.topic", "write": "(", "read": ""});
    assert!(put("ann", wrong).await.refused(400).contains("'write': '(' is not a regular"));
    let missing = json!({"exchange": "amq.topic", "read": ""});
    assert!(put("ann", missing).await.refused(400).contains("missing field `write`"));
    let right = json!({"exchange": "amq.topic", "write": "", "read": ""});
    put("none", right.clone()).await.refused(404);
    let ann = server.user("ann", "ann");
    ann.put("/api/topic-permissions/%2F/ann", &right.to_string()).await.refused(401);
    ann.get("/api/topic-permissions").await.refused(401);
}
