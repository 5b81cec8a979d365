//! `shunt route test` and `bench`: no node runs.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use shunt_tests::{Guest, Node, command};

fn recipes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/routes")
}

/// Whether the command worked, its output and its error.
fn shunt(folder: &Path, arguments: &[&str]) -> (bool, String, String) {
    let mut command = command(arguments).unwrap();
    let output = command.current_dir(folder).env("XDG_CACHE_HOME", folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_recipes_pass_their_cases() {
    let cache = tempfile::tempdir().unwrap();
    for recipe in ["by-key", "region-pinning", "priority-lanes"] {
        let folder = recipes().join(recipe);
        let module = folder.join(format!("{recipe}.wasm"));
        let (module, cases) = (module.to_str().unwrap(), folder.join("cases.json"));
        let arguments = ["route", "test", "--module", module, "--cases", cases.to_str().unwrap()];
        let (passed, said, error) = shunt(cache.path(), &arguments);
        assert!(passed && said.ends_with(" passed, 0 failed\n"), "{recipe}: {said}{error}");
    }
    assert!(cache.path().join("shunt/compiled").is_dir(), "nothing is kept for the next time");
}

#[test]
fn what_fails_is_told_with_a_difference_and_in_junit() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("r.wat"), Guest::index(0).wat()).unwrap();
    let cases = json!({
        "bindings": [["queue", "one", "", {}], ["queue", "two", "", {}]],
        "cases": [
            {"name": "goes to one", "header": {"routing_key": "k"}, "queues": ["one"]},
            {"name": "goes to two", "queues": ["two"]},
            {"name": "is refused", "failure": {"cause": "refused", "reason_contains": "no"}},
        ],
    });
    std::fs::write(folder.path().join("cases.json"), cases.to_string()).unwrap();
    let arguments = ["route", "test", "--module", "r.wat", "--junit", "report.xml"];
    let (passed, said, error) = shunt(folder.path(), &arguments);
    assert!(!passed && error.contains("2 of 3 cases failed"), "{error}");
    assert!(said.starts_with("ok    goes to one\nFAIL  goes to two\n  - two\n  + one\n"), "{said}");
    let report = std::fs::read_to_string(folder.path().join("report.xml")).unwrap();
    assert!(report.contains(r#"tests="3" failures="2""#), "{report}");
    let (_, said, _) = shunt(folder.path(), &[&arguments[..], &["--output", "json"]].concat());
    let said: Json = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["passed"], &said["cases"][1]["found"]), (&json!(1), &json!("one")));
    let (passed, _, error) = shunt(folder.path(), &["route", "test", "--module", "none.wasm"]);
    assert!(!passed && error.contains("can't read none.wasm"), "{error}");
}

#[test]
fn a_module_is_measured_beside_another() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("one.wat"), Guest::index(0).wat()).unwrap();
    std::fs::write(folder.path().join("two.wat"), Guest::new("unreachable").wat()).unwrap();
    let cases = json!({"bindings": [["queue", "q", "", {}]],
        "cases": [{"name": "a", "queues": ["q"]}]});
    std::fs::write(folder.path().join("cases.json"), cases.to_string()).unwrap();
    let bench = ["route", "bench", "--module", "one.wat", "--against", "two.wat"];
    let more = ["--calls", "1600", "--output", "json"];
    let (passed, said, error) = shunt(folder.path(), &[&bench[..], &more].concat());
    assert!(passed, "{error}");
    let rows: Json = serde_json::from_str(&said).unwrap();
    assert!(rows[0]["ns_p50"].as_u64() > Some(0) && rows[0]["fuel_p50"].as_u64() > Some(0));
    assert_eq!((&rows[0]["failed"], &rows[1]["failed"]), (&json!(0), &json!(1)));
    assert_eq!(
        (&rows[0]["memory_bytes"], &rows[0]["memory_grown_per_call"]),
        (&json!(131_072), &json!(0.0))
    );
    assert!(rows[0]["fuel_ratio"].as_f64() > Some(0.0), "{rows}");
}

#[test]
fn a_module_is_measured_beside_the_one_that_is_deployed() {
    let node = Node::start().unwrap();
    let grows = "(drop (memory.grow (i32.const 1))) i64.const 0x80000000002";
    let grows = Guest::new(grows).extra(r#"(data (i32.const 2048) "\91\00")"#);
    for guest in [&Guest::index(0), &grows] {
        super::deploy(&node.http(), "r", guest.wat()).unwrap().expect(201);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("new.wat"), Guest::index(0).version("2").wat()).unwrap();
    let cases = json!({"bindings": [["queue", "q", "", {}]],
        "cases": [{"name": "a", "queues": ["q"]}]});
    std::fs::write(folder.path().join("cases.json"), cases.to_string()).unwrap();
    let url = format!("http://{}", node.http_address());
    let bench = ["route", "bench", "--module", "new.wat", "--calls", "160", "--url", &url];
    let run = |more: &[&str]| {
        let (passed, said, error) = shunt(folder.path(), &[&bench[..], more].concat());
        assert!(passed, "{error}");
        said
    };
    let active: Json =
        serde_json::from_str(&run(&["--deployed", "r", "--output", "json"])).unwrap();
    assert_eq!(active[1]["module"], "r version 2");
    assert!(active[1]["memory_grown_per_call"].as_f64() > Some(0.0), "{active}");
    let told = run(&["--deployed", "r", "--version", "1"]);
    assert!(told.ends_with("1.00 times the fuel of r version 1\n"), "{told}");
    let (passed, _, error) = shunt(folder.path(), &[&bench[..], &["--deployed", "no"]].concat());
    assert!(!passed && error.contains("no route 'no'"), "{error}");
}
