//! Deploying, showing, activating and removing routes; and the same on the command line.

use serde_json::{Value as Json, json};
use shunt_tests::amqp_raw::RawError;
use shunt_tests::{Client, Guest, Node, Props, command};

use super::{declare, deploy, deploy_with, show, start};

#[track_caller]
fn check_refused(node: &Node, query: &str, module: impl Into<Vec<u8>>, part: &str) {
    deploy_with(&node.http(), "bad", query, module).unwrap().refused(400, part);
    node.http().get("/api/routes/%2F/bad").unwrap().refused(404, "'bad'");
}

#[test]
fn a_module_that_can_not_run_is_refused_with_what_is_wrong() {
    let node = Node::start().unwrap();
    let good = || Guest::new("i64.const 0");
    let refused = |module: String, part| check_refused(&node, "", module, part);
    refused(String::new(), "can't be compiled");
    refused("(module".into(), "can't be compiled");
    refused("(module)".into(), "'shunt_describe'");
    refused(good().wat().replace("\"shunt_route\"", "\"other\""), "'shunt_route'");
    refused(good().abi(2).wat(), "'shunt_abi' answers 2");
    let open = "(import \"env\" \"open\" (func))";
    refused(good().import(open).wat(), "'env.open'");
    let now = "(import \"shunt\" \"now_ms\" (func (result i64)))";
    refused(good().import(now).wat(), "'clock'");
    refused(good().import(now).wants(&["clock"]).wat(), "'clock', which is not granted");
    refused(good().wants(&["disk"]).wat(), "'disk'");
    refused(good().reads(&["routing_key", "body"]).wat(), "'body'");
    let mut binary = b"\0asm\x01\0\0\0".to_vec();
    binary.extend([0xff; 64]);
    check_refused(&node, "", binary, "can't be compiled");
    check_refused(&node, "?grant=disk", good().wat(), "'disk'");
    check_refused(&node, "?activate=perhaps", good().wat(), "activate='perhaps'");
    check_refused(&node, "?limit.none=1", good().wat(), "'none'");
    // The names are right otherwise.
    let granted = good().import(now).wants(&["clock"]).wat();
    deploy_with(&node.http(), "timed", "?grant=clock", granted).unwrap().expect(201);
}

#[test]
fn a_module_that_is_too_large_is_refused() {
    let node = Node::builder().setting("routes.module_bytes_max", 2000).start().unwrap();
    let large = Guest::index(0).extra(&format!("(; {} ;)", "x".repeat(2000))).wat();
    deploy(&node.http(), "r", large).unwrap().refused(413, "2000 bytes");
    deploy(&node.http(), "r", Guest::index(0).wat()).unwrap().expect(201);
}

#[test]
fn a_route_is_shown_with_what_it_is() {
    let guest = Guest::index(0).reads(&["routing_key", "headers.region"]).version("1.2");
    let (node, mut client) = start(&guest, "", &[]);
    for _ in 0..3 {
        client.publish("e", "", &Props::new(), b"x").unwrap();
    }
    client.confirms().unwrap();
    let shown = show(&node);
    assert_eq!((&shown["name"], &shown["active"]), (&json!("r"), &json!(1)));
    assert_eq!(shown["exchanges"], 1);
    let version = &shown["versions"][0];
    assert_eq!(version["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(version["reads"], json!(["routing_key", "headers.region"]));
    assert_eq!((&version["wants"], &version["grants"]), (&json!([]), &json!([])));
    assert_eq!(version["module_version"], "1.2");
    assert_eq!(version["counters"]["calls"], 3);
    assert!(version["counters"]["cpu_time_ns"].as_u64().unwrap() > 0);
    let all = node.http().get("/api/routes").unwrap().expect(200);
    assert_eq!(all.as_array().unwrap().len(), 1);
}

#[test]
fn a_version_is_held_back_activated_and_rolled_back() {
    let (node, mut client) = start(&Guest::index(0), "", &[]);
    let http = node.http();
    let mut went_to = |expected: &str| {
        client.publish("e", "", &Props::new(), b"x").unwrap();
        client.confirms().unwrap();
        assert_eq!(client.drain(expected).unwrap(), ["x"]);
    };
    let second = Guest::index(1).wat();
    let held = deploy_with(&http, "r", "?activate=false", second.clone()).unwrap().expect(201);
    assert_eq!((&held["version"], &held["active"]), (&json!(2), &json!(false)));
    went_to("q0");
    let activate = |version: u32| {
        http.post("/api/routes/%2F/r/activate", &json!({ "version": version })).unwrap()
    };
    let active = activate(2).expect(200);
    assert_eq!((&active["active"], &active["previous"]), (&json!(2), &json!(1)));
    went_to("q1");
    activate(1).expect(200);
    went_to("q0");
    activate(3).refused(404, "3");
    // The same bytes are the same version.
    let again = deploy(&http, "r", second).unwrap().expect(200);
    assert_eq!((&again["version"], &again["created"]), (&json!(2), &json!(false)));
    went_to("q1");
}

#[test]
fn a_route_goes_when_nothing_needs_it() {
    let (node, mut client) = start(&Guest::index(0), "", &[]);
    let http = node.http();
    http.delete("/api/routes/%2F/r").unwrap().refused(409, "'e'");
    http.delete("/api/exchanges/%2F/e").unwrap().expect(204);
    http.delete("/api/routes/%2F/r").unwrap().expect(204);
    http.delete("/api/routes/%2F/r").unwrap().refused(404, "'r'");
    let declared = declare(&mut client, "e", "r", &[]);
    assert!(matches!(declared, Err(RawError::Closed { code: 406, .. })), "{declared:?}");
}

#[test]
fn limits_are_a_routes_own() {
    let slow = "(local $i i32)
        (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1)))
                 (br_if $l (i32.lt_u (local.get $i) (i32.const 30000000))))
        i64.const 0";
    let (node, mut client) = start(&Guest::new(slow), "?limit.call_cpu_time_us=1000", &[]);
    client.publish("e", "", &Props::new(), b"x").unwrap();
    assert_eq!(client.confirms().unwrap().nacked, [1].into());
    let version = &show(&node)["versions"][0];
    assert_eq!(version["limits"]["call_cpu_time_us"], 1000);
    assert_eq!(version["counters"]["failures"]["timeout"], 1);
    let query = "?limit.call_cpu_time_us=1000000";
    deploy_with(&node.http(), "r", query, Guest::new(slow).wat()).unwrap().expect(201);
    client.publish("e", "", &Props::new(), b"x").unwrap();
    assert_eq!(client.confirms().unwrap().acked, [2].into());
}

#[test]
fn a_dry_run_shows_what_the_module_logs() {
    let logging =
        Guest::new("(call $log (i32.const 3) (i32.const 3000) (i32.const 5)) i64.const 0")
            .import("(import \"shunt\" \"log\" (func $log (param i32 i32 i32)))")
            .extra("(data (i32.const 3000) \"hello\")");
    let (node, _client) = start(&logging, "", &[]);
    let dry_run = |request: &Json| node.http().post("/api/routes/%2F/r/dry-run", request).unwrap();
    let answer = dry_run(&json!({"exchange": "e", "routing_key": "k"})).expect(200);
    assert_eq!(answer["log"], json!([{"level": "warn", "text": "hello"}]));
    assert_eq!((&answer["destinations"], &answer["version"]), (&json!([]), &json!(1)));
    dry_run(&json!({"exchange": "none"})).refused(404, "'none'");
    dry_run(&json!({"exchange": "e", "version": 9})).refused(404, "9");
}

/// Calls `shunt route …` and gives what it says.
fn route(node: &Node, arguments: &[&str]) -> Result<Json, String> {
    let url = format!("http://{}", node.http_address());
    let url = ["route", "--url", &url, "--output", "json"];
    let output = command([&url[..], arguments].concat()).unwrap().output().unwrap();
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap_or_default()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

#[test]
fn the_command_line_does_it_all() {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str, guest: Guest| {
        let path = place.path().join(name);
        std::fs::write(&path, guest.wat()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let node = Node::start().unwrap();
    let first = file("first.wat", Guest::index(0));
    let second = file("second.wat", Guest::index(1).version("2"));
    assert_eq!(route(&node, &["deploy", "r", &first]).unwrap()["version"], 1);
    let held = route(&node, &["deploy", "r", &second, "--no-activate"]).unwrap();
    assert_eq!((&held["version"], &held["active"]), (&json!(2), &json!(false)));
    assert_eq!(route(&node, &["list"]).unwrap()[0]["name"], "r");
    route(&node, &["activate", "r", "2"]).unwrap();
    assert_eq!(route(&node, &["show", "r"]).unwrap()["active"], 2);

    let mut client = Client::open(node.amqp()).unwrap();
    declare(&mut client, "e", "r", &[]).unwrap();
    client.declare_queue("q").unwrap();
    client.bind("q", "e", "", &[]).unwrap();
    let tried = ["try", "r", "--exchange", "e", "--header", "region=eu", "--version", "1"];
    assert_eq!(route(&node, &tried).unwrap()["destinations"][0]["name"], "q");
    let bindings = r#"[{"destination": "a"}, {"destination": "b"}]"#;
    let tried = route(&node, &["try", "r", "--bindings", bindings]).unwrap();
    assert_eq!(tried["destinations"][0]["name"], "b");

    let now = "(import \"shunt\" \"now_ms\" (func (result i64)))";
    let random = "(import \"shunt\" \"random\" (func (result i64)))";
    let wanting = Guest::index(0).import(now).import(random).wants(&["clock", "random"]);
    let wanting = file("wanting.wat", wanting);
    let refused = route(&node, &["deploy", "w", &wanting, "--grant", "clock"]).unwrap_err();
    assert!(refused.contains("'random', which is not granted"), "{refused}");
    let grants = ["deploy", "w", &wanting, "--grant", "clock", "--grant", "random"];
    route(&node, &grants).unwrap();
    let any = ["deploy", "any", &first, "--destinations", "any"];
    route(&node, &any).unwrap();
    assert_eq!(route(&node, &["show", "any"]).unwrap()["versions"][0]["destinations"], "any");
    // What the command line calls the default is known by the node too.
    route(&node, &["deploy", "bound", &first]).unwrap();
    route(&node, &["remove", "w"]).unwrap();
    let gone = route(&node, &["show", "w"]).unwrap_err();
    assert!(gone.starts_with("shunt: error: ") && gone.contains("'w'"), "{gone}");
    assert_eq!(gone.lines().count(), 1);
}

#[test]
fn routes_survive_a_restart() {
    let (mut node, mut client) = start(&Guest::index(0), "", &[("x-mine", "kept")]);
    deploy_with(&node.http(), "r", "?limit.call_cpu_time_us=77", Guest::index(1).wat())
        .unwrap()
        .expect(201);
    let held = deploy_with(&node.http(), "r", "?activate=false", Guest::index(5).wat()).unwrap();
    held.expect(201);
    client.publish("e", "", &Props::new(), b"x").unwrap();
    client.confirms().unwrap();
    let before = show(&node);
    node.kill().unwrap();
    node.start_again().unwrap();
    let after = show(&node);
    assert_eq!(after["active"], 2);
    for version in 0..3 {
        for name in ["sha256", "reads", "limits", "deployed_at_ms", "active", "destinations"] {
            let of = |route: &Json| route["versions"][version][name].clone();
            assert_eq!(of(&after), of(&before), "{name}");
        }
        assert_eq!(after["versions"][version]["unavailable"], Json::Null);
    }
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    client.publish("e", "", &Props::new(), b"again").unwrap();
    assert_eq!(client.confirms().unwrap().acked, [1].into());
    assert_eq!(client.drain("q1").unwrap(), ["again"]);
}
