//! Policies in the management API.

use serde_json::{Value as Json, json};

use crate::harness::Server;

fn short(length: u64) -> String {
    json!({"pattern": "^q", "definition": {"max-length": length}, "priority": 1}).to_string()
}

#[tokio::test]
async fn a_policy_is_set_shown_and_cleared() {
    let server = Server::start().await;
    let guest = server.guest();
    for kind in ["policies", "operator-policies"] {
        let path = format!("/api/{kind}/%2F/short");
        guest.put(&path, &short(5)).await.ok(201);
        guest.put(&path, &short(2)).await.ok(204);
        let expected = json!({
            "vhost": "/", "name": "short", "pattern": "^q", "apply-to": "all",
            "definition": {"max-length": 2}, "priority": 1,
        });
        assert_eq!(guest.get(&path).await.ok(200), expected);
        assert_eq!(guest.get(&format!("/api/{kind}/%2F")).await.ok(200), json!([expected]));
        assert_eq!(guest.get(&format!("/api/{kind}")).await.ok(200), json!([expected]));
        guest.delete(&path).await.ok(204);
        assert!(guest.delete(&path).await.refused(404).contains("no policy 'short'"));
        guest.get(&path).await.refused(404);
        guest.put(&format!("/api/{kind}/none/p"), &short(1)).await.refused(404);
    }
}

#[tokio::test]
async fn queues_and_exchanges_show_what_is_in_force() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    let shown = async |path: &str| -> [Json; 3] {
        let mut view = guest.get(path).await.ok(200);
        ["policy", "operator_policy", "effective_policy_definition"].map(|key| view[key].take())
    };
    assert_eq!(shown("/api/queues/%2F/q").await, [Json::Null, Json::Null, json!({})]);
    guest.put("/api/policies/%2F/short", &short(5)).await.ok(201);
    let operator = json!({"pattern": "", "definition": {"max-length": 3}, "apply-to": "queues"});
    guest.put("/api/operator-policies/%2F/cap", &operator.to_string()).await.ok(201);
    let merged = [json!("short"), json!("cap"), json!({"max-length": 3})];
    assert_eq!(shown("/api/queues/%2F/q").await, merged);
    let all = guest.get("/api/queues/%2F").await.ok(200);
    assert_eq!(all[0]["effective_policy_definition"], merged[2]);
    let alternate = json!({"pattern": "^amq", "definition": {"alternate-exchange": "a"}});
    guest.put("/api/policies/%2F/alt", &alternate.to_string()).await.ok(201);
    let expected = [json!("alt"), Json::Null, json!({"alternate-exchange": "a"})];
    assert_eq!(shown("/api/exchanges/%2F/amq.direct").await, expected);
    // In force with the answer.
    for body in ["1", "2", "3", "4"] {
        guest.publish("q", body).await;
    }
    guest.until_counts("q", (3, 0)).await;
    guest.put("/api/policies/%2F/short", &short(1)).await.ok(204);
    assert_eq!(guest.get("/api/queues/%2F/q").await.ok(200)["messages"], 1);
}

#[tokio::test]
async fn wrong_policies_are_refused_in_rabbitmqs_words() {
    let server = Server::start().await;
    let guest = server.guest();
    let refused =
        async |body: Json| guest.put("/api/policies/%2F/p", &body.to_string()).await.refused(400);
    let unknown = json!({"pattern": "", "definition": {"foo": 1}});
    assert_eq!(
        refused(unknown).await,
        "Validation failed\n\n[foo] are not recognised policy settings\n"
    );
    let apply_to = json!({"pattern": "", "definition": {"expires": 1}, "apply-to": "bogus"});
    assert!(refused(apply_to).await.contains("apply-to 'bogus' unrecognised"));
    assert!(refused(json!({"definition": {"expires": 1}})).await.contains("field `pattern`"));
    assert!(refused(json!({"pattern": ""})).await.contains("field `definition`"));
    let priority = json!({"pattern": "", "definition": {"expires": 1}, "priority": "3"});
    assert!(refused(priority).await.contains("expected i64"));
    assert!(refused(json!(["", {"expires": 1}])).await.contains("expected an object"));
    let look_around = json!({"pattern": "^(?!amq)", "definition": {"expires": 1}});
    assert!(refused(look_around).await.contains("look-around"));
}

#[tokio::test]
async fn policies_take_a_policymaker_and_operator_policies_an_administrator() {
    let server = Server::start().await;
    let pol = server.user("pol", "pol");
    pol.put("/api/policies/%2F/p", &short(1)).await.ok(201);
    let operator = "/api/operator-policies/%2F/p";
    assert!(pol.put(operator, &short(1)).await.refused(401).contains("administrator"));
    assert!(pol.delete(operator).await.refused(401).contains("administrator"));
    let ann = server.user("ann", "ann");
    ann.get("/api/policies/%2F/p").await.ok(200);
    assert!(ann.put("/api/policies/%2F/p", &short(1)).await.refused(401).contains("policymaker"));
    assert!(ann.delete("/api/policies/%2F/p").await.refused(401).contains("policymaker"));
    // Only where a policymaker may enter.
    server.guest().put("/api/vhosts/v", "").await.ok(201);
    pol.put("/api/policies/v/p", &short(1)).await.refused(401);
    assert_eq!(pol.get("/api/policies").await.ok(200).as_array().unwrap().len(), 1);
}
