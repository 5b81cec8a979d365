//! Start, stop, settings and logs of the process.

use std::net::TcpListener;
use std::process::Output;

use serde_json::Value;
use shunt_tests::amqp_raw::{Args, RawConnection, RawError, method};
use shunt_tests::{Client, Node, command, poll};

/// A call of the binary that ends by itself.
fn run(arguments: &[&str]) -> Output {
    command(arguments).unwrap().output().unwrap()
}

/// The one line that a failed call writes.
#[track_caller]
fn refused(arguments: &[&str], part: &str) {
    let output = run(arguments);
    let line = String::from_utf8(output.stderr).unwrap();
    let errors: Vec<&str> = line.lines().filter(|line| line.contains("error")).collect();
    assert_eq!(errors.len(), 1, "not one line: {line}");
    assert!(errors[0].starts_with("shunt: error: "), "{line}");
    assert!(errors[0].contains(part), "{part:?} is not in {line}");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "no readiness");
}

#[test]
fn one_line_says_that_it_is_ready_and_where() {
    let node = Node::start().unwrap();
    let expected = format!(
        "shunt {} is ready: AMQP on {}, HTTP on http://{}, data in {}",
        env!("CARGO_PKG_VERSION"),
        node.amqp(),
        node.http_address(),
        node.data_dir().display()
    );
    assert_eq!(node.ready_line(), expected);
    // The line is true.
    Client::open(node.amqp()).unwrap().close().unwrap();
    assert_eq!(node.http().get("/health").unwrap().expect(200)["status"], "ok");
}

#[test]
fn a_port_that_is_taken_is_one_line() {
    let place = tempfile_dir();
    let data = place.join("data");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = ["--data-dir", data.to_str().unwrap()];
    let free = "127.0.0.1:0";
    let amqp = ["--amqp-listen", &address, "--http-listen", free];
    refused(&[&data[..], &amqp].concat(), &format!("AMQP on {address}"));
    let http = ["--amqp-listen", free, "--http-listen", &address];
    refused(&[&data[..], &http].concat(), &format!("HTTP on {address}"));
    // A node that can't listen has not touched its data.
    assert!(!place.join("data").exists());
    std::fs::remove_dir_all(place).unwrap();
}

/// A folder for nodes that are not to start.
fn tempfile_dir() -> std::path::PathBuf {
    tempfile::Builder::new().prefix("shunt-test-").tempdir().unwrap().keep()
}

#[test]
fn what_is_unknown_among_the_settings_is_named() {
    let place = tempfile_dir();
    let config = place.join("bad.toml");
    std::fs::write(&config, "[amqp]\nlissten = \"127.0.0.1:0\"\n").unwrap();
    refused(&["--config", config.to_str().unwrap()], "amqp.lissten");
    std::fs::write(&config, "[amqp\n").unwrap();
    refused(&["serve", "--config", config.to_str().unwrap()], "bad.toml:1:");
    refused(&["--config", place.join("none.toml").to_str().unwrap()], "none.toml");
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn two_nodes_do_not_share_a_folder() {
    let node = Node::start().unwrap();
    let data = node.data_dir();
    let listen = ["--amqp-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"];
    let data = ["--data-dir", data.to_str().unwrap()];
    refused(&[&listen[..], &data].concat(), data[1]);
    // The first one notices nothing.
    Client::open(node.amqp()).unwrap().close().unwrap();
}

#[test]
fn sigterm_tells_the_clients_and_ends_well() {
    let mut node = Node::start().unwrap();
    let mut idle = Client::open(node.amqp()).unwrap();
    let mut consuming = Client::open(node.amqp()).unwrap();
    consuming.declare_queue("q").unwrap();
    consuming.consume("q", shunt_tests::Consume::default()).unwrap();
    node.terminate().unwrap();
    for client in [&mut idle, &mut consuming] {
        match client.receive() {
            Err(RawError::Closed { channel: 0, code: 320, text, .. }) => {
                assert!(text.starts_with("CONNECTION_FORCED"), "{text}");
            }
            other => panic!("no connection.close: {other:?}"),
        }
        client.raw().send_method(0, method::CONNECTION_CLOSE_OK, &Args::new()).unwrap();
        assert!(matches!(client.receive(), Err(RawError::EndOfStream)));
    }
    assert_eq!(node.wait().unwrap().code(), Some(0));
    assert!(RawConnection::dial(node.amqp()).is_err(), "nobody listens any more");
}

#[test]
fn a_client_that_does_not_answer_does_not_keep_the_node() {
    let mut node = Node::start().unwrap();
    let _silent = Client::open(node.amqp()).unwrap();
    let _halfway = RawConnection::dial(node.amqp()).unwrap();
    assert_eq!(node.stop().unwrap().code(), Some(0));
}

#[test]
fn the_log_in_json_is_an_object_a_line() {
    let mut node = Node::builder().argument("--log-format").argument("json").start().unwrap();
    Client::open(node.amqp()).unwrap().close().unwrap();
    node.stop().unwrap();
    let log = node.log();
    let mut messages = Vec::new();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
        messages.push(line["message"].as_str().unwrap_or_default().to_owned());
    }
    assert!(messages.iter().any(|message| message == "stopped"), "{messages:?}");
}

#[test]
fn the_settings_in_force_are_shown_with_where_they_came_from() {
    let place = tempfile_dir();
    let config = place.join("shunt.toml");
    std::fs::write(&config, "[http]\nlease_timeout_s = 7\n").unwrap();
    let config = config.to_str().unwrap();
    let arguments = ["config", "show", "--config", config, "--log-level", "warn"];
    let output = run(&arguments);
    assert!(output.status.success());
    let shown = String::from_utf8(output.stdout).unwrap();
    let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    assert!(line("lease_timeout_s = 7 ").contains("shunt.toml:2"), "{shown}");
    assert!(line("level = \"warn\"").contains("--log-level"), "{shown}");
    assert!(line("frame_max = 131072").contains("default"), "{shown}");
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn a_node_that_is_killed_leaves_its_folder_free() {
    let mut node = Node::start().unwrap();
    let client = Client::open(node.amqp()).unwrap();
    node.kill().unwrap();
    drop(client);
    node.start_again().unwrap();
    poll("the node's health", || node.http().get("/health").ok().filter(|r| r.status == 200))
        .unwrap();
}
