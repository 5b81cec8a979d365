//! Users and permissions in the management API.

use serde_json::json;

use crate::harness::Server;

const PUBLISH: &str = "/v1/vhosts/%2F/exchanges/amq.default/messages?routing_key=q";

#[tokio::test]
async fn a_user_is_made_changed_and_deleted() {
    let server = Server::start().await;
    let guest = server.guest();
    let path = "/api/users/bob";
    guest.put(path, r#"{"password":"one","tags":"management"}"#).await.ok(201);
    let view = guest.get(path).await.ok(200);
    assert_eq!((&view["name"], &view["tags"]), (&json!("bob"), &json!(["management"])));
    assert_eq!(view["hashing_algorithm"], "rabbit_password_hashing_sha256");
    assert_eq!(view["limits"], json!({}));
    let whoami = "/api/whoami";
    server.user("bob", "one").get(whoami).await.ok(200);
    guest.put(path, r#"{"password":"two","tags":["management","x"]}"#).await.ok(204);
    server.user("bob", "one").get(whoami).await.refused(401);
    assert_eq!(
        server.user("bob", "two").get(whoami).await.ok(200)["tags"],
        json!(["management", "x"])
    );
    // The hash that is shown is the hash that is taken: the password of the first day.
    let hash = json!({"password_hash": view["password_hash"], "tags": view["tags"]});
    guest.put(path, &hash.to_string()).await.ok(204);
    server.user("bob", "one").get(whoami).await.ok(200);
    // Tags alone leave no password.
    guest.put(path, r#"{"tags":"management"}"#).await.ok(204);
    server.user("bob", "one").get(whoami).await.refused(401);
    assert_eq!(guest.get(path).await.ok(200)["password_hash"], "");
    guest.delete(path).await.ok(204);
    guest.delete(path).await.refused(404);
    guest.get(path).await.refused(404);
}

#[tokio::test]
async fn users_are_listed_and_deleted_together() {
    let server = Server::start().await;
    let guest = server.guest();
    let names = |list: serde_json::Value| -> Vec<String> {
        let list = list.as_array().unwrap().clone();
        list.iter().map(|user| user["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = names(guest.get("/api/users").await.ok(200));
    assert_eq!(all, ["ann", "app", "guest", "mon", "out", "pol"]);
    let without = guest.get("/api/users/without-permissions").await.ok(200);
    assert_eq!(names(without), ["mon", "out"]);
    let delete = "/api/users/bulk-delete";
    guest.post(delete, r#"{"users":["mon","out","nobody"]}"#).await.ok(204);
    guest.post(delete, r#"{"users":"ann"}"#).await.refused(400);
    assert_eq!(names(guest.get("/api/users").await.ok(200)), ["ann", "app", "guest", "pol"]);
}

#[tokio::test]
async fn wrong_users_are_refused() {
    let server = Server::start().await;
    let guest = server.guest();
    let reason = |body: &'static str| {
        let guest = guest.clone();
        async move { guest.put("/api/users/bob", body).await.refused(400) }
    };
    assert!(reason(r#"{"password":"x"}"#).await.contains("'tags' is missing"));
    assert!(reason(r#"{"password":"x","password_hash":"y","tags":""}"#).await.contains("both"));
    let md5 =
        r#"{"password_hash":"AAAA","hashing_algorithm":"rabbit_password_hashing_md5","tags":""}"#;
    assert!(reason(md5).await.contains("has 20 bytes, this one has 3"));
    let unknown = r#"{"password_hash":"AAAA","hashing_algorithm":"rot13","tags":""}"#;
    assert!(reason(unknown).await.contains("'rot13' is unknown"));
    assert!(reason(r#"{"password":1,"tags":""}"#).await.contains("line 1 column"));
    let long = format!("/api/users/{}", "u".repeat(256));
    assert!(guest.put(&long, r#"{"tags":""}"#).await.refused(400).contains("1 to 255 bytes"));
    guest.get("/api/users/bob").await.refused(404);
}

#[tokio::test]
async fn permissions_are_set_shown_and_taken_away_at_once() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    guest.put("/api/users/bob", r#"{"password":"bob","tags":""}"#).await.ok(201);
    let bob = server.user("bob", "bob");
    bob.post(PUBLISH, "x").await.refused(403);
    let path = "/api/permissions/%2F/bob";
    guest.get(path).await.refused(404);
    let all = r#"{"configure":"","write":"^amq\\.default$","read":".*"}"#;
    guest.put(path, all).await.ok(201);
    bob.post(PUBLISH, "x").await.ok(200);
    let expected = json!({
        "user": "bob", "vhost": "/", "configure": "", "write": "^amq\\.default$", "read": ".*",
    });
    assert_eq!(guest.get(path).await.ok(200), expected);
    assert_eq!(guest.get("/api/users/bob/permissions").await.ok(200), json!([expected]));
    for list in ["/api/permissions", "/api/vhosts/%2F/permissions"] {
        let list = guest.get(list).await.ok(200);
        assert!(list.as_array().unwrap().contains(&expected), "{list}");
    }
    guest.put(path, r#"{"configure":"","write":"","read":".*"}"#).await.ok(204);
    bob.post(PUBLISH, "x").await.refused(403);
    guest.put(path, all).await.ok(204);
    guest.delete(path).await.ok(204);
    guest.delete(path).await.refused(404);
    bob.post(PUBLISH, "x").await.refused(403);
    guest.put(path, all).await.ok(201);
    guest.delete("/api/users/bob").await.ok(204);
    bob.post(PUBLISH, "x").await.refused(401);
    // Who comes back under the name has nothing of what the other had.
    guest.put("/api/users/bob", r#"{"password":"bob","tags":""}"#).await.ok(201);
    bob.post(PUBLISH, "x").await.refused(403);
}

#[tokio::test]
async fn a_wrong_pattern_is_refused_by_name() {
    let server = Server::start().await;
    let guest = server.guest();
    let path = "/api/permissions/%2F/app";
    let refused = guest.put(path, r#"{"configure":".*","write":"(","read":".*"}"#).await;
    assert_eq!(
        refused.refused(400),
        "'write': '(' is not a regular expression: error: unclosed group"
    );
    let missing = guest.put(path, r#"{"configure":".*","write":".*"}"#).await.refused(400);
    assert!(missing.contains("missing field `read`"), "{missing}");
    let all = r#"{"configure":".*","write":".*","read":".*"}"#;
    guest.put("/api/permissions/none/app", all).await.refused(404);
    guest.put("/api/permissions/%2F/none", all).await.refused(404);
    guest.get("/api/users/none/permissions").await.refused(404);
    guest.get("/api/vhosts/none/permissions").await.refused(404);
}

#[tokio::test]
async fn only_an_administrator_sees_and_changes_users() {
    let server = Server::start().await;
    for name in ["ann", "pol", "mon"] {
        let client = server.user(name, name);
        for path in [
            "/api/users",
            "/api/users/without-permissions",
            "/api/users/guest",
            "/api/users/guest/permissions",
            "/api/permissions",
            "/api/permissions/%2F/guest",
            "/api/vhosts/%2F/permissions",
            "/api/auth/hash_password/x",
        ] {
            assert!(client.get(path).await.refused(401).contains("administrator"), "{path}");
        }
        client.put("/api/users/x", r#"{"password":"x","tags":"administrator"}"#).await.refused(401);
        client.delete("/api/users/guest").await.refused(401);
        client.delete("/api/permissions/%2F/guest").await.refused(401);
        client.post("/api/users/bulk-delete", r#"{"users":["guest"]}"#).await.refused(401);
        let all = r#"{"configure":".*","write":".*","read":".*"}"#;
        client.put(&format!("/api/permissions/%2F/{name}"), all).await.refused(401);
    }
}

#[tokio::test]
async fn a_password_is_hashed_for_later() {
    let server = Server::start().await;
    let guest = server.guest();
    let in_path = guest.get("/api/auth/hash_password/s%20e%2Fcret").await.ok(200);
    let in_body = guest.post("/api/auth/hash_password", r#"{"password":"s e/cret"}"#).await.ok(200);
    for hashed in [in_path, in_body] {
        let user = json!({"password_hash": hashed["ok"], "tags": ["management"]});
        let status = guest.put("/api/users/bob", &user.to_string()).await.status;
        assert!([201, 204].contains(&status));
        server.user("bob", "s e/cret").get("/api/whoami").await.ok(200);
    }
}
