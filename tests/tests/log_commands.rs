//! `shunt log`: a damaged log is said to be, served as far as it can be, and repaired.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use shunt_tests::{Client, Node, Props, command};

/// The exit code and the answer of `shunt log`.
fn log(node: &Node, arguments: &[&str]) -> (i32, Value) {
    let mut command = command(["log"]).unwrap();
    command.args(arguments).args(["--output", "json", "--data-dir"]).arg(node.data_dir());
    let output = command.output().unwrap();
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().unwrap(), answer)
}

fn filled() -> Node {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    client.confirm_select().unwrap();
    for number in 0..20 {
        let body = format!("{number:02}{}", "x".repeat(500));
        client.publish("", "q", &Props::persistent(), body.as_bytes()).unwrap();
    }
    client.confirms().unwrap();
    node
}

fn segment(node: &Node) -> PathBuf {
    let entries = fs::read_dir(node.data_dir().join("messages")).unwrap();
    let mut segments: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "segment"))
        .collect();
    segments.sort();
    segments.remove(0)
}

fn there(node: &Node) -> Vec<String> {
    let mut client = Client::open(node.amqp()).unwrap();
    client.drain("q").unwrap().iter().map(|body| body[..2].to_owned()).collect()
}

#[test]
fn a_flipped_byte_is_named_skipped_and_repaired() {
    let mut node = filled();
    let (code, _) = log(&node, &["check"]);
    assert_eq!(code, 2, "a shunt runs on it");
    node.stop().unwrap();
    let (code, answer) = log(&node, &["check"]);
    assert_eq!((code, &answer["clean"]), (0, &Value::Bool(true)));

    // The middle of the tenth message's body.
    let path = segment(&node);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|window| window == b"09xx").unwrap();
    bytes[at + 100] ^= 1;
    fs::write(&path, bytes).unwrap();

    let (code, answer) = log(&node, &["check"]);
    assert_eq!((code, &answer["damaged"]), (1, &Value::from(1)));
    let files = answer["files"].as_array().unwrap();
    let file = files.iter().find(|file| file["path"] == path.to_str().unwrap()).unwrap();
    let damaged = &file["damaged"][0];
    let offset = damaged["offset"].as_u64().unwrap() as usize;
    let size = damaged["size"].as_u64().unwrap() as usize;
    assert!((offset..offset + size).contains(&(at + 100)), "{damaged}");
    assert_eq!(damaged["reason"], "a record's checksum is wrong");

    let (code, answer) = log(&node, &["repair"]);
    assert_eq!((code, &answer["written"]), (0, &Value::Bool(false)));
    assert_eq!(answer["steps"][0]["step"], "take_out");
    assert_eq!(log(&node, &["check"]).0, 1, "a dry run changes nothing");

    let (code, answer) = log(&node, &["repair", "--write"]);
    assert_eq!(code, 0);
    assert!(PathBuf::from(answer["steps"][0]["kept"].as_str().unwrap()).is_file());
    assert_eq!(log(&node, &["check"]).0, 0);
    assert_eq!(log(&node, &["repair"]).1["steps"], Value::Array(vec![]));

    node.start_again().unwrap();
    let expected = (0..20).filter(|number| *number != 9).map(|number| format!("{number:02}"));
    assert!(there(&node).into_iter().eq(expected));
}

#[test]
fn a_damaged_log_is_served_without_what_is_damaged_and_says_so() {
    let mut node = filled();
    node.stop().unwrap();
    let path = segment(&node);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|window| window == b"09xx").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    node.start_again().unwrap();
    assert_eq!(there(&node).len(), 19);
    let metrics = node.http().get("/metrics").unwrap().text();
    assert!(metrics.contains("shunt_log_damaged_total 1\n"), "{metrics}");
    let log = node.log();
    assert!(log.contains("the log of messages is damaged"), "{log}");
    assert!(log.contains(path.to_str().unwrap()), "{log}");
}

#[test]
fn a_folder_that_is_none_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let mut command = command(["log", "check", "--data-dir"]).unwrap();
    let output = command.arg(place.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no data folder of shunt"));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}
