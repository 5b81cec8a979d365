//! `shunt route …` against a running node, as a person at a terminal uses it.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value as Json;
use shunt_tests::{Guest, Node, Props, command};

use super::{declare, start};

/// The standard output of a command that works; that of one that doesn't is its error.
pub(super) fn shunt(node: &Node, arguments: &[&str]) -> Result<String, String> {
    let url = format!("http://{}", node.http_address());
    let mut command = command(arguments).unwrap();
    let output = command.args(["--url", &url]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn a_route_is_deployed_swapped_and_taken_back() {
    let node = Node::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, guest: &Guest| {
        let path = folder.path().join(name);
        std::fs::write(&path, guest.wat()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (one, two) = (file("one.wat", &Guest::index(0)), file("two.wat", &Guest::index(1)));
    assert_eq!(shunt(&node, &["route", "list"]).unwrap(), "no routes in virtual host '/'\n");
    let said = shunt(&node, &["route", "deploy", "r", &one]).unwrap();
    assert_eq!(said, "route 'r': version 1 is active\n");
    let none = shunt(&node, &["route", "rollback", "r"]).unwrap_err();
    assert!(none.contains("no version that was active before"), "{none}");
    let limit = ["--no-activate", "--limit", "memory_bytes=1048576"];
    let said = shunt(&node, &[&["route", "deploy", "r", &two][..], &limit].concat()).unwrap();
    assert_eq!(said, "route 'r': version 2 waits for `shunt route activate r 2`\n");
    let said = shunt(&node, &["route", "activate", "r", "2"]).unwrap();
    assert_eq!(said, "route 'r': version 2 is active, version 1 was before\n");
    let said = shunt(&node, &["route", "rollback", "r"]).unwrap();
    assert_eq!(said, "route 'r': version 1 is active, version 2 was before\n");

    let shown = shunt(&node, &["route", "show", "r", "--output", "json"]).unwrap();
    let shown: Json = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["active"], &shown["previous"]), (&1.into(), &2.into()));
    assert_eq!(shown["versions"][1]["limits"]["memory_bytes"], 1_048_576);
    let active = shunt(&node, &["route", "remove", "r", "--version", "1"]).unwrap_err();
    assert!(active.contains("version 1 of route 'r' is active"), "{active}");
    let said = shunt(&node, &["route", "remove", "r", "--version", "2"]).unwrap();
    assert_eq!(said, "version 2 of route 'r' removed\n");
    assert_eq!(shunt(&node, &["route", "remove", "r"]).unwrap(), "route 'r' removed\n");
    let gone = shunt(&node, &["route", "stats", "r"]).unwrap_err();
    assert!(gone.contains("no route 'r' in vhost '/'"), "{gone}");
}

#[test]
fn counters_and_logs_are_shown_by_version() {
    let import = r#"(import "shunt" "log" (func $log (param i32 i32 i32)))"#;
    let body = "(call $log (i32.const 3) (i32.const 3072) (i32.const 5)) i64.const 0x80000000002";
    let data = r#"(data (i32.const 2048) "\91\00") (data (i32.const 3072) "hello")"#;
    let (node, mut client) = start(&Guest::new(body).import(import).extra(data), "", &[]);
    let url = format!("http://{}", node.http_address());
    for _ in 0..3 {
        client.publish("e", "k", &Props::new(), b"x").unwrap();
    }
    client.confirms().unwrap();
    let stats = shunt(&node, &["route", "stats", "--output", "json"]).unwrap();
    let stats: Json = serde_json::from_str(&stats).unwrap();
    assert_eq!((&stats[0]["route"], &stats[0]["calls"]), (&"r".into(), &3.into()), "{stats}");
    assert_eq!(stats[0]["failures"]["trap"], 0);
    let logged = shunt(&node, &["route", "logs", "r", "--lines", "2"]).unwrap();
    assert_eq!(logged.matches("v1 warn  hello\n").count(), 2, "{logged}");

    let follow = ["route", "logs", "r", "--follow", "--output", "json", "--url", &url];
    let mut follow = command(follow).unwrap().stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    for number in 1..=3 {
        let line: Json = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(line["number"], number);
    }
    // A second exchange of the same route writes into the same log.
    declare(&mut client, "f", "r", &[]).unwrap();
    client.bind("q0", "f", "", &[]).unwrap();
    client.publish("f", "k", &Props::new(), b"x").unwrap();
    let line: Json = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!((&line["number"], &line["text"]), (&4.into(), &"hello".into()));
    follow.kill().unwrap();
    follow.wait().unwrap();
}

#[test]
fn a_shell_gets_its_completions() {
    let output = command(["completions", "bash"]).unwrap().output().unwrap();
    let script = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && script.contains("rollback"), "{script}");
}
