//! Guards: what holds for every answer, whatever the module says.

use serde_json::{Value as Json, json};
use shunt_tests::{Client, Guest, Node, Props, command};

use super::commands::shunt;
use super::{deploy_with, show, start};

const EU: &str = "?guard.eu=when%20headers.region%3Deu%20queues%20q0&guard.few=at%20most%201";

fn from_region(region: &str) -> Props {
    Props::new().text_header("region", region)
}

fn breaks(node: &Node, version: usize) -> Json {
    show(node)["versions"][version - 1]["counters"]["guard_breaks"].clone()
}

#[test]
fn an_answer_that_breaks_one_is_refused_by_its_name() {
    let (mut node, mut client) = start(&Guest::index(1), EU, &[]);
    for (region, is_kept) in [("us", true), ("eu", false), ("us", true), ("eu", false)] {
        let number = client.publish("e", "k", &from_region(region), b"x").unwrap();
        let confirms = client.confirms().unwrap();
        assert_eq!(confirms.acked.contains(&number), is_kept, "{region}");
        assert_eq!(confirms.nacked.contains(&number), !is_kept, "{region}");
    }
    assert_eq!(client.drain("q1").unwrap().len(), 2);
    assert_eq!(breaks(&node, 1), json!({"eu": 2, "few": 0}));
    assert_eq!(show(&node)["versions"][0]["counters"]["failures"]["refused"], 2);
    let metrics = node.http().get("/metrics").unwrap().text();
    let sample = r#"shunt_route_guard_broken_total{vhost="/",route="r",version="1",guard="eu"} 2"#;
    assert!(metrics.contains(sample), "{metrics}");
    assert!(node.log().contains("is broken: when headers.region=eu queues q0"));
    let stats = shunt(&node, &["route", "stats", "r"]).unwrap();
    assert!(stats.contains("refused 2  eu 2\n"), "{stats}");
    // The publisher by HTTP is told which one.
    let http = node.http();
    let request = http.request("POST", "/v1/vhosts/%2F/exchanges/e/messages?routing_key=k");
    let answer = request.header("X-Header-Region", "eu").body("x").send().unwrap().expect(503);
    assert!(answer["reason"].as_str().unwrap().contains("guard 'eu'"), "{answer}");

    node.kill().unwrap();
    node.start_again().unwrap();
    let rules = json!({"eu": "when headers.region=eu queues q0", "few": "at most 1"});
    assert_eq!(show(&node)["versions"][0]["guards"], rules);
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    client.publish("e", "k", &from_region("eu"), b"x").unwrap();
    assert_eq!(client.confirms().unwrap().nacked, [1].into());
}

#[test]
fn a_break_ends_in_the_failure_policy() {
    let (_node, mut client) = start(
        &Guest::index(1),
        "?guard.none=at%20most%200",
        &[("x-on-failure", "alternate"), ("alternate-exchange", "other")],
    );
    client.declare_exchange("other", "fanout", "d", &[]).unwrap();
    client.declare_queue("caught").unwrap();
    client.bind("caught", "other", "", &[]).unwrap();
    client.publish("e", "k", &Props::new(), b"x").unwrap();
    assert_eq!(client.confirms().unwrap().acked, [1].into());
    let caught = client.get("caught").unwrap().expect("the message");
    let properties = String::from_utf8_lossy(&caught.properties).into_owned();
    for part in ["x-route-error", "refused", "guard 'none' is broken: at most 0"] {
        assert!(properties.contains(part), "{properties}");
    }
    assert_eq!(client.drain("q1").unwrap(), [""; 0]);
}

#[test]
fn a_guard_that_says_nothing_is_refused_by_its_name() {
    let node = Node::start().unwrap();
    for (query, part) in [
        ("?guard.x=often", "'often' is no rule"),
        ("?guard.x=when%20body%3D1%20at%20most%201", "no field 'body'"),
        ("?guard.a%20b=at%20most%201", "not 'a b'"),
    ] {
        let answer = deploy_with(&node.http(), "r", query, Guest::index(0).wat()).unwrap();
        let reason = answer.expect(400)["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains(part), "{reason}");
    }
}

#[test]
fn a_trace_is_asked_before_a_version_decides() {
    let (node, mut client) = start(&Guest::index(0).reads(&["routing_key"]), "", &[]);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("two.wat"), Guest::index(1).wat()).unwrap();
    let manifest = "name = \"two\"\n[guards]\neu = \"when headers.region=eu queues q0\"\n";
    std::fs::write(path("route.toml"), manifest).unwrap();
    let held = ["route", "deploy", "r", &path("two.wat"), "--no-activate"];
    shunt(&node, &held).unwrap();
    shunt(&node, &["route", "trace", "start", "r"]).unwrap();
    for region in ["eu", "us", "eu"] {
        client.publish("e", "k", &from_region(region), b"x").unwrap();
    }
    client.confirms().unwrap();
    shunt(&node, &["route", "trace", "stop", "r"]).unwrap();

    let refused = shunt(&node, &["route", "activate", "r", "2"]).unwrap_err();
    let told = "version 2 of route 'r' breaks its guards on 3 recorded messages: 'eu' 2 times";
    assert!(refused.contains(told), "{refused}");
    assert_eq!(show(&node)["active"], 1);
    let forced = shunt(&node, &["route", "activate", "r", "2", "--force"]).unwrap();
    assert!(forced.ends_with("guards broken on 3 recorded messages: 'eu' 2 times\n"), "{forced}");
    shunt(&node, &["route", "rollback", "r"]).unwrap();

    // A deployment that would decide at once is held back.
    let with = ["--guard", "some=at least 1"];
    let held = shunt(&node, &[&held[..4], &with].concat()).unwrap_err();
    assert!(held.contains("recorded messages break its guards"), "{held}");
    let shown = show(&node);
    assert_eq!((&shown["active"], &shown["versions"][2]["version"]), (&json!(1), &json!(3)));
    let good = ["route", "deploy", "r", &path("two.wat"), "--guard", "eu=queues q1"];
    let said = shunt(&node, &good).unwrap();
    let told = "route 'r': version 4 is active\nguards broken on 3 recorded messages: none\n";
    assert_eq!(said, told);
    assert_eq!(show(&node)["versions"][3]["guards"], json!({"eu": "queues q1"}));

    // At the desk, with the guards of the manifest.
    shunt(&node, &["route", "trace", "download", "r", &path("r.trace")]).unwrap();
    let (trace, two) = (path("r.trace"), path("two.wat"));
    let desk = ["route", "replay", "--trace", &trace, "--module", &two, "--output", "json"];
    let replayed: Json = serde_json::from_str(&shunt(&node, &desk).unwrap()).unwrap();
    assert_eq!(replayed["candidate"]["guards"], json!({"eu": 2}));
}

#[test]
fn a_dry_run_and_a_test_are_checked_too() {
    let (node, _client) = start(&Guest::index(1), EU, &[]);
    let tried = ["route", "try", "r", "--exchange", "e", "--output", "json", "--header"];
    let run = |region: &str| -> Json {
        let said = shunt(&node, &[&tried[..], &[region]].concat()).unwrap();
        serde_json::from_str(&said).unwrap()
    };
    assert_eq!(run("region=eu")["failure"]["cause"], "refused");
    assert_eq!(run("region=us")["destinations"][0]["name"], "q1");

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("r.wat"), Guest::index(0).wat()).unwrap();
    let cases = json!({"bindings": [["queue", "one", "", {}]], "cases": [
        {"name": "kept", "queues": ["one"]},
        {"name": "broken", "header": {"routing_key": "k"},
            "failure": {"cause": "refused", "reason_contains": "guard 'none'"}},
    ]});
    std::fs::write(path("cases.json"), cases.to_string()).unwrap();
    let (module, cases) = (path("r.wat"), path("cases.json"));
    let rule = "none=when routing_key=k at most 0";
    let test = ["route", "test", "--module", &module, "--cases", &cases, "--guard", rule];
    let output = command(test).unwrap().env("XDG_CACHE_HOME", folder.path()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.ends_with("2 passed, 0 failed\n"), "{said}");
}
