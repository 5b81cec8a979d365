//! The binary as an operator meets it: settings, their refusal, help, and commands without a
//! node.

#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected is found")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

/// The binary in a folder of its own, without any setting of the machine that tests it.
fn shunt(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shunt"));
    command.current_dir(folder).args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SHUNT_") {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn check_refused(arguments: &[&str], variables: &[(&str, &str)], code: i32, expected: &str) {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("bad.toml"), "[http]\nlitsen = 1\n").unwrap();
    let output = shunt(place.path(), arguments, variables);
    assert_eq!(text(&output.stderr), format!("shunt: error: {expected}\n"));
    assert_eq!(text(&output.stdout), "");
    assert_eq!(output.status.code(), Some(code));
    assert!(!place.path().join("shunt-data").exists(), "nothing was made");
}

#[test]
fn config_show_says_where_each_value_came_from() {
    let place = tempfile::tempdir().unwrap();
    let file = "[amqp]\nheartbeat_s = 20\n\n[auth]\ndefault_pass = \"hidden\"\n";
    std::fs::write(place.path().join("shunt.toml"), file).unwrap();
    let arguments = ["config", "show", "--config", "shunt.toml", "--http-listen", "127.0.0.1:0"];
    let variables = [("SHUNT_NODE_SHARDS", ""), ("SHUNT_SHARDS", "3")];
    let output = shunt(place.path(), &arguments, &variables);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    let line = |start: &str| {
        let line = shown.lines().find(|line| line.starts_with(start)).unwrap_or_default();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("heartbeat_s"), "heartbeat_s = 20 # shunt.toml:2");
    assert_eq!(line("shards"), "shards = 3 # environment SHUNT_SHARDS");
    assert_eq!(line("data_dir"), "data_dir = \"shunt-data\" # default");
    assert_eq!(line("# default_pass"), "# default_pass = \"********\" # shunt.toml:5");
    assert!(shown.contains("# flag --http-listen"));
    assert!(!shown.contains("hidden"));

    // What is shown is a file of settings that gives the same.
    std::fs::write(place.path().join("again.toml"), &shown).unwrap();
    let output = shunt(place.path(), &["config", "show", "--config", "again.toml"], &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn config_show_answers_json() {
    let place = tempfile::tempdir().unwrap();
    let arguments = ["config", "show", "--output", "json"];
    let output = shunt(place.path(), &arguments, &[("SHUNT_AMQP_LISTEN", "0.0.0.0:1")]);
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let settings = shown["settings"].as_array().unwrap();
    let listen = settings.iter().find(|setting| setting["name"] == "amqp.listen").unwrap();
    assert_eq!(listen["value"], "0.0.0.0:1");
    assert_eq!(listen["source"]["variable"], "SHUNT_AMQP_LISTEN");
}

#[test]
fn what_is_no_setting_is_refused_in_one_line() {
    let text = "bad.toml:2:1: unknown setting 'http.litsen', did you mean 'http.listen'?";
    check_refused(&["--config", "bad.toml"], &[], 1, text);
    check_refused(&["config", "show"], &[("SHUNT_CONFIG", "bad.toml")], 1, text);
    let text = "unknown environment variable SHUNT_HTTP_LITSEN, did you mean SHUNT_HTTP_LISTEN?";
    check_refused(&["serve"], &[("SHUNT_HTTP_LITSEN", "x")], 1, text);
    let text = "can't read none.toml: No such file or directory (os error 2)";
    check_refused(&["--config", "none.toml"], &[], 1, text);
}

#[test]
fn a_bad_value_is_refused_with_what_is_allowed() {
    let text = "amqp.listen = \"5672\" (from flag --amqp-listen): must be an address and a port, \
                such as 127.0.0.1:5672";
    check_refused(&["--amqp-listen", "5672"], &[], 1, text);
    let text = "log.level = \"lound\" (from environment SHUNT_LOG_LEVEL): must be off, error, \
                warn, info, debug, trace, or a list of PART=LEVEL";
    check_refused(&["serve"], &[("SHUNT_LOG_LEVEL", "lound")], 1, text);
}

#[test]
fn a_command_line_that_cannot_be_read_is_a_usage_error() {
    let text = "unexpected argument '--amqp-litsen' found tip: a similar argument exists: \
                '--amqp-listen' (see shunt --help)";
    check_refused(&["--amqp-litsen", "x"], &[], 2, text);
    let text = "the following required arguments were not provided: <FILE> (see shunt --help)";
    check_refused(&["route", "deploy", "geo"], &[], 2, text);
}

#[test]
fn help_names_commands_and_settings() {
    let place = tempfile::tempdir().unwrap();
    let output = shunt(place.path(), &["--help"], &[]);
    assert!(output.status.success());
    let help = text(&output.stdout);
    let named = [
        "serve",
        "config",
        "route",
        "user",
        "vhost",
        "definitions",
        "--data-dir",
        "--log-format",
        "SHUNT_AMQP_LISTEN",
    ];
    for name in named {
        assert!(help.contains(name), "{name} in:\n{help}");
    }
    let output = shunt(place.path(), &["--version"], &[]);
    assert_eq!(text(&output.stdout), format!("shunt {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_node_that_is_not_there_is_said_in_one_line() {
    // A port that was free a moment ago, and that nobody listens on.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let text = format!("no node answers at {url}: Connection refused (os error 111)");
    check_refused(&["route", "list", "--url", &url], &[], 1, &text);
    check_refused(&["route", "list"], &[("SHUNT_URL", &url)], 1, &text);
}

/// Answers one request, whatever it is, and gives the request's head.
fn answer_once(listener: &TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    stream.write_all(answer.as_bytes()).unwrap();
    text(&head)
}

#[test]
fn a_route_is_asked_for_over_http() {
    let place = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let ask = |arguments: &[&str], status: &str, body: &str| {
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        std::thread::scope(|scope| {
            let head = scope.spawn(|| answer_once(&listener, &answer));
            let arguments = [&["route", "--url", &url, "--vhost", "a b"], arguments].concat();
            let output = shunt(place.path(), &arguments, &[]);
            (head.join().unwrap(), output)
        })
    };
    let (head, output) = ask(&["list"], "200 OK", r#"[{"name":"geo","active":2}]"#);
    assert!(head.starts_with("GET /api/routes/a%20b HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("authorization: basic z3vlc3q6z3vlc3q="), "{head}");
    let table = "name  active  previous  versions  exchanges  calls  failed\n\
                 geo   2       -         0         -          0      0\n";
    assert_eq!(text(&output.stdout), table);

    let (head, output) = ask(&["remove", "geo"], "204 No Content", "");
    assert!(head.starts_with("DELETE /api/routes/a%20b/geo HTTP/1.1\r\n"), "{head}");
    assert_eq!(text(&output.stdout), "route 'geo' removed\n");

    let body = r#"{"error":"Object Not Found","reason":"no route 'geo'"}"#;
    let (_, output) = ask(&["show", "geo"], "404 Not Found", body);
    assert_eq!(text(&output.stderr), "shunt: error: Object Not Found: no route 'geo'\n");
    assert_eq!(output.status.code(), Some(1));
}
