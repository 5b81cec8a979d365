//! Deployed routes.

use serde_json::json;
use shunt_http_api::{HttpSettings, RouteDestinations};
use shunt_types::Value;

use crate::harness::Server;

#[tokio::test]
async fn a_route_is_deployed_activated_and_removed() {
    let server = Server::start().await;
    let guest = server.guest();
    let first = guest.put("/api/routes/%2F/r", "one").await.ok(201);
    assert_eq!((&first["version"], &first["active"]), (&json!(1), &json!(true)));
    let query = "activate=false&destinations=any&grant=clock&grant=random&limit.memory_bytes=9";
    let second = guest.put(&format!("/api/routes/%2F/r?{query}"), "two").await.ok(201);
    assert_eq!((&second["version"], &second["active"]), (&json!(2), &json!(false)));
    {
        let deployed = server.routes.deployed.lock().unwrap();
        let (deploy, _) = &deployed[&("/".to_owned(), "r".to_owned())];
        assert_eq!(&deploy.module[..], b"two");
        assert_eq!(deploy.grants, ["clock", "random"]);
        assert_eq!(deploy.destinations, RouteDestinations::Any);
        assert_eq!(deploy.limits["memory_bytes"], 9);
        assert_eq!(deploy.user, "guest");
    }
    let view = guest.get("/api/routes/%2F/r").await.ok(200);
    assert_eq!(view["active"], 1);
    assert_eq!(view["versions"][1]["grants"], json!(["clock", "random"]));
    assert_eq!(view["versions"][1]["counters"]["failures"], json!({"trap": 1}));
    assert_eq!(guest.get("/api/routes").await.ok(200), json!([view]));
    assert_eq!(guest.get("/api/routes/%2F").await.ok(200), json!([view]));
    let activate = "/api/routes/%2F/r/activate";
    assert_eq!(guest.post(activate, r#"{"version":2}"#).await.ok(200)["active"], 2);
    guest.post(activate, r#"{"version":3}"#).await.refused(404);
    guest.post(activate, r#"{"version":"2"}"#).await.refused(400);
    let rollback = "/api/routes/%2F/r/rollback";
    assert_eq!(guest.post(rollback, "").await.ok(200)["active"], 1);
    let logs = guest.get("/api/routes/%2F/r/logs?after=3&limit=1").await.ok(200);
    assert_eq!((&logs["lines"][0]["number"], &logs["next"]), (&json!(4), &json!(5)));
    guest.get("/api/routes/%2F/r/logs?limit=0").await.refused(400);
    let module = guest.get("/api/routes/%2F/r/versions/2/module").await;
    assert_eq!((module.status, &*module.body), (200, "module 2"));
    assert_eq!(module.headers["content-type"], "application/wasm");
    guest.get("/api/routes/%2F/none/versions/2/module").await.refused(404);
    guest.delete("/api/routes/%2F/r/versions/1").await.refused(409);
    guest.delete("/api/routes/%2F/r/versions/2").await.ok(204);
    guest.delete("/api/routes/%2F/r").await.ok(204);
    guest.delete("/api/routes/%2F/r").await.refused(404);
    guest.get("/api/routes/%2F/r").await.refused(404);
    assert!(guest.delete("/api/routes/%2F/used").await.refused(409).contains("'used'"));
}

#[tokio::test]
async fn guards_are_deployed_checked_and_counted() {
    let server = Server::start().await;
    let guest = server.guest();
    let rule = "when%20headers.region%3Deu%20queues%20eu-*";
    let query = format!("activate=false&guard.eu={rule}&guard.few=at%20most%202");
    guest.put(&format!("/api/routes/%2F/r?{query}"), "one").await.ok(201);
    let view = guest.get("/api/routes/%2F/r").await.ok(200);
    let rules = json!({"eu": "when headers.region=eu queues eu-*", "few": "at most 2"});
    assert_eq!(view["versions"][0]["guards"], rules);
    assert_eq!(view["versions"][0]["counters"]["guard_breaks"], json!({"eu": 4, "few": 4}));
    let activate = "/api/routes/%2F/r/activate";
    assert_eq!(guest.post(activate, r#"{"version":1}"#).await.refused(409), "a guard is broken");
    let forced = guest.post(activate, r#"{"version":1,"force":true}"#).await.ok(200);
    assert_eq!((&forced["active"], &forced["guard_check"]["broken"]["eu"]), (&json!(1), &json!(4)));
    let metrics = guest.get("/metrics").await.body;
    let sample = r#"shunt_route_guard_broken_total{vhost="/",route="r",version="1",guard="few"} 4"#;
    assert!(metrics.contains(sample), "{metrics}");
    guest.put("/api/routes/%2F/r?force=x", "one").await.refused(400);
}

#[tokio::test]
async fn a_candidate_is_traced_shadowed_and_taken_back() {
    let server = Server::start().await;
    let guest = server.guest();
    let route = "/api/routes/%2F/r";
    guest.put(route, "one").await.ok(201);
    let of = |what: &str| format!("{route}/{what}");
    assert!(guest.get(&of("trace")).await.refused(404).contains("trace start"));
    guest.get(&of("trace/download")).await.refused(404);
    let trace = guest.put(&of("trace"), r#"{"every":3,"fields":["user"]}"#).await.ok(201);
    assert_eq!((&trace["every"], &trace["seconds"]), (&json!(3), &json!(3_600)));
    guest.put(&of("trace"), r#"{"size":3}"#).await.refused(400);
    assert_eq!(guest.get(&of("trace")).await.ok(200), trace);
    assert_eq!(guest.post(&of("replay"), r#"{"version":2}"#).await.ok(200)["messages"], 2);
    guest.delete(&of("trace?discard=true")).await.ok(204);
    guest.get(&of("trace")).await.refused(404);

    guest.delete(&of("canary")).await.refused(404);
    let view = guest.put(&of("shadow"), r#"{"version":2}"#).await.ok(200);
    assert_eq!(view["shadow"]["time_per_cent"], 10);
    guest.delete(&of("canary")).await.refused(404);
    assert_eq!(guest.delete(&of("shadow")).await.ok(200)["shadow"], json!(null));
    let request = r#"{"version":2,"steps":[7,100],"interval_ms":9}"#;
    let view = guest.put(&of("canary"), request).await.ok(200);
    assert_eq!(view["canary"]["per_cent"], 7);
    assert_eq!(view["canary"]["min_calls"], 100);
    let metrics = guest.get("/metrics").await.body;
    let share = r#"shunt_route_canary_per_cent{vhost="/",route="r",version="2"} 7"#;
    assert!(metrics.contains(share), "{metrics}");
    let view = guest.delete(&of("canary")).await.ok(200);
    assert_eq!(view["last_rollout"]["reason"], "ended by user 'guest'");
    let ann = server.user("ann", "ann");
    ann.put(&of("trace"), "{}").await.refused(401);
    for what in ["shadow", "canary"] {
        ann.put(&of(what), r#"{"version":2}"#).await.refused(401);
    }
}

#[tokio::test]
async fn deploying_takes_a_tag() {
    let server = Server::start().await;
    let ann = server.user("ann", "ann");
    let pol = server.user("pol", "pol");
    let reason = ann.put("/api/routes/%2F/r", "m").await.refused(401);
    assert_eq!(reason, "user 'ann' needs the tag policymaker or administrator");
    pol.put("/api/routes/%2F/r", "m").await.ok(201);
    let any = pol.put("/api/routes/%2F/r?destinations=any", "m").await;
    assert!(any.refused(401).contains("administrator"));
    ann.post("/api/routes/%2F/r/activate", r#"{"version":1}"#).await.refused(401);
    ann.delete("/api/routes/%2F/r").await.refused(401);
    ann.get("/api/routes/%2F/r").await.ok(200);
    assert_eq!(server.user("out", "out").get("/api/routes").await.ok(200), json!([]));
}

#[tokio::test]
async fn wrong_deployments_are_named() {
    let settings = HttpSettings { module_bytes_max: 10, ..HttpSettings::default() };
    let server = Server::with(settings).await;
    let guest = server.guest();
    let bad = guest.put("/api/routes/%2F/r", "bad").await.refused(400);
    assert_eq!(bad, "the module lacks the export 'memory'");
    assert!(
        guest.put("/api/routes/%2F/r", &"m".repeat(11)).await.refused(413).contains("10 bytes")
    );
    let refused = async |query: &str| {
        guest.put(&format!("/api/routes/%2F/r?{query}"), "m").await.refused(400)
    };
    assert!(refused("activate=maybe").await.contains("activate='maybe' must be true or false"));
    assert!(refused("grants=clock").await.contains("unknown parameter 'grants'"));
    guest.put("/api/routes/none/r", "m").await.refused(404);
}

#[tokio::test]
async fn a_dry_run_uses_the_exchange_or_what_the_call_gives() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.put("/api/routes/%2F/r", "m").await.ok(201);
    guest.queue("q").await;
    let exchange = r#"{"type":"topic","arguments":{"x-route":"r"}}"#;
    guest.put("/api/exchanges/%2F/x", exchange).await.ok(201);
    guest
        .post("/api/bindings/%2F/e/x/q/q", r#"{"routing_key":"k","arguments":{"n":1}}"#)
        .await
        .ok(201);
    let path = "/api/routes/%2F/r/dry-run";
    let call = json!({
        "exchange": "x", "routing_key": "k", "properties": {"priority": 4}, "headers": {"h": "v"},
    });
    let expected = json!({
        "version": 1, "failure": null, "fuel": 7, "cpu_time_ns": 11,
        "destinations": [{"kind": "queue", "name": "q", "binding": 0}],
        "log": [{"level": "info", "text": "hello"}],
    });
    assert_eq!(guest.post(path, &call.to_string()).await.ok(200), expected);
    let call = json!({
        "exchange": "not-there", "body_size": 12, "user": "ann", "version": 1,
        "bindings": [{"destination": "a"}, {"destination": "b", "destination_type": "exchange"}],
        "arguments": {"shards": 2},
    });
    let outcome = guest.post(path, &call.to_string()).await.ok(200);
    assert_eq!(outcome["destinations"][1]["kind"], "exchange");
    let runs = server.routes.dry_runs.lock().unwrap();
    assert_eq!(runs[0].arguments.get("x-route"), Some(&Value::from("r")));
    assert_eq!(runs[0].bindings[0].arguments.get("n"), Some(&Value::I64(1)));
    assert_eq!(runs[0].properties.priority, Some(4));
    assert_eq!(runs[0].user, "guest");
    assert_eq!(runs[1].arguments.get("shards"), Some(&Value::I64(2)));
    assert_eq!((runs[1].body_size, runs[1].user.as_str()), (12, "ann"));
}

/// A route knows bindings by their index, which is the order of binding, not of names.
#[tokio::test]
async fn a_dry_run_has_the_bindings_in_the_order_in_which_they_were_bound() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.put("/api/routes/%2F/r", "m").await.ok(201);
    guest.put("/api/exchanges/%2F/x", r#"{"type":"topic"}"#).await.ok(201);
    for name in ["c", "a", "b"] {
        guest.queue(name).await;
        guest.post(&format!("/api/bindings/%2F/e/x/q/{name}"), "{}").await.ok(201);
    }
    // One that is bound anew goes to the end.
    guest.delete("/api/bindings/%2F/e/x/q/c/~").await.ok(204);
    guest.post("/api/bindings/%2F/e/x/q/c", "{}").await.ok(201);
    guest.post("/api/bindings/%2F/e/x/e/amq.topic", "{}").await.ok(201);
    let outcome = guest.post("/api/routes/%2F/r/dry-run", r#"{"exchange":"x"}"#).await.ok(200);
    let names: Vec<_> =
        outcome["destinations"].as_array().unwrap().iter().map(|d| &d["name"]).collect();
    assert_eq!(names, ["a", "b", "c", "amq.topic"]);
    // Definitions keep the order.
    let exported = guest.get("/api/definitions").await.ok(200);
    let other = Server::start().await;
    other.guest().post("/api/definitions", &exported.to_string()).await.ok(200);
    let imported = other.guest().get("/api/definitions").await.ok(200);
    assert_eq!(imported["bindings"], exported["bindings"]);
    let to = |index: usize| exported["bindings"][index]["destination"].as_str().unwrap();
    assert_eq!([to(0), to(1), to(2), to(3)], ["a", "b", "c", "amq.topic"]);
}

#[tokio::test]
async fn wrong_dry_runs_are_named() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.put("/api/routes/%2F/r", "m").await.ok(201);
    let path = "/api/routes/%2F/r/dry-run";
    assert!(guest.post(path, r#"{"exchange":"x"}"#).await.refused(404).contains("give 'bindings'"));
    assert!(guest.post(path, "{}").await.refused(400).contains("give 'bindings'"));
    let property = r#"{"bindings":[],"properties":{"colour":1}}"#;
    assert_eq!(guest.post(path, property).await.refused(400), "unknown property 'colour'");
    assert!(guest.post(path, r#"{"binding":[]}"#).await.refused(400).contains("binding"));
    guest.post("/api/routes/%2F/none/dry-run", r#"{"bindings":[]}"#).await.refused(404);
}
