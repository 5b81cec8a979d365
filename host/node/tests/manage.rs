//! Users, permissions, virtual hosts and definitions by the command line, on a node that runs.

#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected is found")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A node with a folder of its own; it ends with the test.
struct Node {
    process: Child,
    url: String,
    folder: TempDir,
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shunt"));
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SHUNT_") {
            command.env_remove(name);
        }
    }
    command
}

impl Node {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = ["--amqp-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"];
        let mut process = command(folder.path())
            .args(ports)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let (_, rest) = ready.split_once("HTTP on ").unwrap_or_else(|| panic!("{ready:?}"));
        let url = rest.split(',').next().unwrap().to_owned();
        Self { process, url, folder }
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = command(self.folder.path())
            .args(arguments)
            .args(["--url", &self.url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Expects it to work, and gives what it said.
    #[track_caller]
    fn ok(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Expects it to fail, and gives the one line of its error.
    #[track_caller]
    fn refused(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        error.strip_prefix("shunt: error: ").unwrap().trim_end().to_owned()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[arguments, &["--output", "json"]].concat(), "")).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_user_is_made_by_the_command_line() {
    let node = Node::start();
    let add = ["user", "add", "ann", "--tags", "management,monitoring"];
    assert_eq!(node.ok(&add, "secret\n"), "user 'ann' added\n");
    assert!(node.refused(&add, "other\n").starts_with("there is a user 'ann' already"));
    assert_eq!(
        node.ok(&["user", "list"], ""),
        "name   tags\nann    management, monitoring\nguest  administrator\n"
    );
    // The password is the new user's, and not on any command line.
    let as_ann = ["vhost", "list", "--user", "ann", "--password", "-"];
    let vhosts = "name  messages_ready  messages_unacknowledged\n/     0               0\n";
    assert_eq!(node.ok(&as_ann, "secret\n"), vhosts);
    assert_eq!(node.refused(&as_ann, "wrong\n"), "not_authorised: Login failed");
    assert!(node.refused(&as_ann, "").contains("expected on standard input"));
    node.ok(&["user", "set-password", "ann", "new"], "");
    assert_eq!(node.ok(&as_ann, "new\n"), vhosts);
    // Tags change and the password stays.
    node.ok(&["user", "set-tags", "ann", "administrator"], "");
    // First the line for the login, then the one for the new password.
    let both = ["user", "set-password", "ann", "--user", "ann", "--password", "-"];
    assert_eq!(node.ok(&both, "new\nnewer\n"), "user 'ann' has another password\n");
    assert_eq!(node.ok(&as_ann, "newer\n"), vhosts);
    node.ok(&["user", "add", "certificate", "--no-password"], "");
    assert_eq!(node.json(&["user", "list"])[1]["password_hash"], "");
    node.ok(&["user", "delete", "ann"], "");
    assert!(node.refused(&["user", "delete", "ann"], "").contains("no user 'ann'"));
}

#[test]
fn permissions_and_vhosts_are_managed_by_the_command_line() {
    let node = Node::start();
    node.ok(&["user", "add", "ann", "x"], "");
    assert_eq!(node.ok(&["vhost", "add", "a/b"], ""), "virtual host 'a/b' is there\n");
    let set = ["permission", "set", "ann", "^ann", "", ".*", "--vhost", "a/b"];
    node.ok(&set, "");
    let listed = node.ok(&["permission", "list", "--vhost", "a/b"], "");
    let expected = "user   vhost  configure  write  read\n\
                    ann    a/b    ^ann              .*\n\
                    guest  a/b    .*         .*     .*\n";
    assert_eq!(listed, expected);
    let of_ann = json!([
        {"user": "ann", "vhost": "a/b", "configure": "^ann", "write": "", "read": ".*"},
    ]);
    assert_eq!(node.json(&["permission", "list", "ann"]), of_ann);
    let wrong = ["permission", "set", "ann", "(", "", "", "--vhost", "a/b"];
    let reason = "bad_request: 'configure': '(' is not a regular expression: error: unclosed group";
    assert_eq!(node.refused(&wrong, ""), reason);
    node.ok(&["permission", "clear", "ann", "--vhost", "a/b"], "");
    assert_eq!(node.json(&["permission", "list", "ann"]), json!([]));
    assert_eq!(node.ok(&["vhost", "delete", "a/b"], ""), "virtual host 'a/b' deleted\n");
    assert!(node.refused(&["vhost", "delete", "a/b"], "").contains("no vhost 'a/b'"));
    assert_eq!(node.json(&["vhost", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn topic_permissions_and_limits_are_managed_by_the_command_line() {
    let node = Node::start();
    node.ok(&["user", "add", "ann", "x"], "");
    let topic = ["permission", "topic"];
    let run = |arguments: &[&str]| node.ok(&[&topic[..], arguments].concat(), "");
    run(&["set", "ann", "amq.topic", "^{username}", ".*"]);
    let expected = "user  vhost  exchange   write        read\n\
                    ann   /      amq.topic  ^{username}  .*\n";
    assert_eq!(run(&["list"]), expected);
    assert_eq!(run(&["list", "ann"]), expected);
    run(&["clear", "ann", "amq.topic"]);
    let refused = node.refused(&[&topic[..], &["clear", "ann"]].concat(), "");
    assert!(refused.contains("no topic permissions"), "{refused}");
    node.ok(&["user", "limits", "set", "ann", "max-channels", "-1"], "");
    let listed = node.ok(&["user", "limits", "list"], "");
    assert_eq!(listed, "user  max-connections  max-channels\nann   -                -1\n");
    node.ok(&["user", "limits", "clear", "ann", "max-channels"], "");
    assert_eq!(node.json(&["user", "limits", "list", "ann"]), json!([]));
    node.ok(&["vhost", "limits", "set", "max-queues", "3"], "");
    let expected = json!([{"vhost": "/", "value": {"max-queues": 3}}]);
    assert_eq!(node.json(&["vhost", "limits", "list"]), expected);
    let wrong = node.refused(&["vhost", "limits", "set", "max-cows", "3"], "");
    assert!(wrong.contains("unrecognised limit 'max-cows'"), "{wrong}");
    node.ok(&["vhost", "limits", "clear", "max-queues"], "");
    node.ok(&["vhost", "add", "v", "--description", "ours", "--tags", "a,b"], "");
    let vhosts = node.json(&["vhost", "list"]);
    assert_eq!(
        (&vhosts[1]["description"], &vhosts[1]["tags"]),
        (&json!("ours"), &json!(["a", "b"]))
    );
    node.ok(&["vhost", "protect", "v"], "");
    assert!(node.refused(&["vhost", "delete", "v"], "").contains("protected from deletion"));
    node.ok(&["vhost", "unprotect", "v"], "");
    node.ok(&["vhost", "delete", "v"], "");
}

#[test]
fn policies_are_managed_by_the_command_line() {
    let node = Node::start();
    for (command, what) in [("policy", "policy"), ("operator-policy", "operator policy")] {
        let set = [command, "set", "short", "^q", r#"{"max-length": 5}"#, "--priority", "-2"];
        let done = format!("{what} 'short' is set in virtual host '/'\n");
        assert_eq!(node.ok(&[&set[..], &["--apply-to", "queues"]].concat(), ""), done);
        let expected = "name   priority  apply-to  pattern  definition\n\
                        short  -2        queues    ^q       {\"max-length\":5}\n";
        assert_eq!(node.ok(&[command, "list"], ""), expected);
        let policy = json!({"vhost": "/", "name": "short", "pattern": "^q", "priority": -2,
            "apply-to": "queues", "definition": {"max-length": 5}});
        assert_eq!(node.json(&[command, "show", "short"]), policy);
        assert_eq!(node.json(&[command, "list"]), json!([policy]));
        let wrong = node.refused(&[command, "set", "p", "", r#"{"max-length": "x"}"#], "");
        assert_eq!(wrong, "bad_request: Validation failed 'x' is not a valid maximum length");
        assert!(node.refused(&[command, "set", "p", "", "{"], "").contains("is not JSON"));
        let done = format!("{what} 'short' is cleared in virtual host '/'\n");
        assert_eq!(node.ok(&[command, "clear", "short"], ""), done);
        assert!(node.refused(&[command, "clear", "short"], "").contains("no policy 'short'"));
    }
}

#[test]
fn definitions_go_from_node_to_node_in_a_file() {
    let node = Node::start();
    let file = json!({
        "users": [{"name": "ann", "password": "secret", "tags": "administrator"}],
        "vhosts": [{"name": "v"}],
        "permissions": [{"user": "ann", "vhost": "v", "configure": "", "write": "", "read": ""}],
        "exchanges": [{"name": "x", "vhost": "v", "type": "topic"}],
        "queues": [{"name": "q", "vhost": "v"}, {"name": "log", "vhost": "v", "type": "stream"}],
        "bindings": [{"source": "x", "vhost": "v", "destination": "q", "destination_type": "queue",
            "routing_key": "#"}],
    });
    let told = node.ok(&["definitions", "import", "-"], &file.to_string());
    let expected = "imported: 1 users, 1 vhosts, 1 permissions, 0 topic permissions, 0 policies, \
                    1 exchanges, 1 queues, 1 bindings\n\
                    not honoured:\n\
                    kind   vhost  name  reason\n\
                    queue  v      log   queues of type stream are not supported\n";
    assert_eq!(told, expected);
    node.ok(&["definitions", "export", "all.json"], "");
    let path = node.folder.path().join("all.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let other = Node::start();
    let path = path.to_str().unwrap();
    assert_eq!(other.json(&["definitions", "import", path])["not_honoured"], json!([]));
    let as_ann = ["definitions", "export", "--user", "ann", "--password", "secret"];
    assert_eq!(other.ok(&as_ann, ""), std::fs::read_to_string(path).unwrap());
    let one = other.json(&["definitions", "export", "--only-vhost", "--vhost", "v"]);
    assert_eq!(one["queues"][0]["name"], "q");
    std::fs::write(path, "{\n,").unwrap();
    let refused = other.refused(&["definitions", "import", path], "");
    assert!(refused.contains("line 2 column 1"), "{refused}");
    assert!(other.refused(&["definitions", "import", "none.json"], "").contains("none.json"));
}
