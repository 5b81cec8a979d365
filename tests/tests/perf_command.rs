//! `shunt perf` against a node, and against what is none. Runs are counted, never timed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Output, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use shunt_tests::{Client, Node, Props, command};

fn perf(node: &Node, action: &[&str], options: &str) -> Command {
    let mut call = command(["perf"]).unwrap();
    call.args(action).args(["--uri", &node.amqp_url()]);
    call.args(options.split_whitespace());
    call
}

/// What a run that succeeded printed, as JSON.
#[track_caller]
fn report(node: &Node, action: &[&str], options: &str) -> Value {
    let mut call = perf(node, action, options);
    if action != ["scale"] {
        call.args(["--interval", "0"]);
    }
    let output = call.args(["--output", "json"]).output().unwrap();
    assert!(output.status.success(), "{options}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn refused(output: &Output, part: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains(part), "{part:?} is not in {said}");
}

/// Nothing of a run stays behind.
#[track_caller]
fn nothing_left(node: &Node) {
    let queues = node.http().get("/api/queues").unwrap().expect(200);
    assert_eq!(queues.as_array().map(Vec::len), Some(0), "{queues}");
    let exchanges = node.http().get("/api/exchanges").unwrap().expect(200);
    for prefix in ["shunt-perf", "shunt-scale"] {
        assert!(!exchanges.to_string().contains(prefix), "{exchanges}");
    }
}

#[test]
fn scenarios_are_counted_to_the_message() {
    let node = Node::start().unwrap();
    let check = |options: &str, published: u64, received: u64| {
        let found = report(&node, &[], options);
        let counts = ["published", "received", "lost", "doubled"].map(|name| found[name].as_u64());
        assert_eq!(counts, [published, received, 0, 0].map(Some), "{options}: {found}");
        found
    };
    check("-C 1000 -a", 1000, 1000);
    check("-C 500 -x 2 -y 4 --queues 2 -q 10 -A 5", 1000, 1000);
    check("-C 100 -s 0 -a -t default", 100, 100);
    check("-C 20 -s 300000 -a", 20, 20);
    check("-C 100 -t fanout --queues 3 -y 2 -a", 100, 300);
    check("-C 300 -t topic --bindings 50 --queues 3 -a", 300, 300);
    check("-C 100 -t headers --bindings 10 -a --message-properties priority=3,city=x", 100, 100);
    check("-C 400 -t x-consistent-hash --queues 4 -K -a", 400, 400);
    check("-C 50 -y 0", 50, 0);
    // More queues than messages may be on their way: each has its share.
    let found = check("-C 40 --queues 20 --in-flight 4 -a", 40, 40);
    assert!(found["received_per_s"].as_f64() > Some(0.0), "{found}");

    let found = check("-C 200 -f persistent -c 10 -s 100", 200, 200);
    assert_eq!(found["confirmed"], 200);
    assert_eq!(found["confirm_latency"]["count"], 200, "{found}");
    assert_eq!(found["delivery_latency"]["count"], 200, "{found}");
    assert!(found["broker"]["pid"].is_u64(), "the process was not found: {found}");
    nothing_left(&node);
}

#[test]
fn a_rate_is_kept_and_what_is_unroutable_comes_back() {
    let node = Node::start().unwrap();
    let found = report(&node, &[], "-C 100 -r 500 -c 50 -a");
    assert_eq!((&found["received"], &found["confirmed"]), (&100.into(), &100.into()));
    // Also without confirms, which follow what comes back: nothing else tells a publisher.
    for confirms in ["-c 30", ""] {
        let options = "-C 3000 -f mandatory -k nowhere --binding-key elsewhere --copies 0 -a";
        let found = report(&node, &[], &format!("{options} {confirms}"));
        assert_eq!(found["returned"], 3000, "{confirms}: {found}");
    }
}

#[test]
fn queues_of_others_are_used_and_left_alone() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("mine").unwrap();
    report(&node, &[], "-C 10 -u mine -t default -a");
    assert_eq!(node.http().get("/api/queues/%2F/mine").unwrap().expect(200)["name"], "mine");
    client.publish("", "mine", &Props::default(), b"already here").unwrap();
    client.sync().unwrap();
    let output = perf(&node, &[], "-C 10 -u mine").output().unwrap();
    refused(&output, "purge it first");
    // Who only consumes came for it.
    let output = perf(&node, &[], "-x 0 -u mine -s 12 -a -z 0.5 --warmup 0").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("received 1\n"), "{output:?}");
}

#[test]
fn a_consumer_ends_while_others_go_on_publishing() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("shared").unwrap();
    let options = "-p -u shared -t default -y 0 -r 1000 -z 60 --interval 0";
    let mut other = perf(&node, &[], options).spawn().unwrap();
    let found = report(&node, &[], "-p -u shared -t default -x 0 -z 1 --warmup 0");
    let others = other.try_wait().unwrap();
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(others, None, "it ended with the other program");
    assert!(found["received"].as_u64() > Some(0), "{found}");
}

#[test]
fn confirms_are_counted_while_something_else_bounds_a_publisher() {
    let node = Node::start().unwrap();
    let options = "-C 5000 -c 1000 --in-flight 1 -a";
    assert_eq!(report(&node, &[], options)["confirmed"], 5000);
}

#[test]
fn every_message_is_verified() {
    let node = Node::start().unwrap();
    let options = "-C 2000 -x 2 -y 2 --queues 2 -f persistent -c 100 -A 10";
    let found = report(&node, &["verify"], options);
    let verified = &found["verified"];
    assert_eq!(verified["published"], 4000, "{found}");
    for fault in ["missing", "doubled", "out_of_order"] {
        assert_eq!(verified[fault]["count"], 0, "{found}");
    }

    // A queue that drops its head loses messages, and says which.
    let lossy = "-C 500 -c 500 -q 1 --copies 0 --queue-args x-max-length=1";
    let output = perf(&node, &["verify"], lossy).output().unwrap();
    refused(&output, "not every message arrived");
    assert!(String::from_utf8_lossy(&output.stdout).contains("MISSING"), "{output:?}");

    // Also where what is lost leaves no room for more.
    let lossy = "-C 100000 -q 1 --in-flight 100 --queue-args x-max-length=1 --interval 0";
    let output = perf(&node, &["verify"], lossy).output().unwrap();
    refused(&output, "nothing arrived for 10 s");
    assert!(String::from_utf8_lossy(&output.stdout).contains("LOST"), "{output:?}");
    nothing_left(&node);
}

#[test]
fn two_sides_are_compared_and_the_ceiling_is_measured() {
    let node = Node::start().unwrap();
    let uri = node.amqp_url();
    let topic = format!("{uri} -t topic");
    let arguments = ["perf", "compare", "--pairs", "2", "--output", "json", &topic, &uri];
    let mut call = command(arguments).unwrap();
    let output = call.args(["-C", "200", "-a", "-i", "0"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["runs"]["a"][1]["scenario"]["exchange_type"], "topic");
    assert_eq!(found["runs"]["b"][1]["scenario"]["exchange_type"], "direct");
    assert!(found["measures"]["received_per_s"]["a_to_b"]["median"].is_f64(), "{found}");

    let mut call = command(["perf", "limit", "-C", "5000", "-c", "100"]).unwrap();
    let output = call.args(["-f", "persistent", "-i", "0", "--output", "json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["received"], &found["confirmed"]), (&5000.into(), &5000.into()));
    assert!(found["relay_us_per_message"].as_f64() > Some(0.0), "{found}");
}

#[test]
fn who_is_interrupted_says_what_was_measured_and_leaves_nothing() {
    let node = Node::start().unwrap();
    let uri = node.amqp_url();
    let interrupted = |arguments: &[&str], begun: &str, signal: Signal| {
        let mut call = command(arguments).unwrap();
        let mut run = call.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut progress = BufReader::new(run.stderr.take().unwrap()).lines();
        progress.find(|line| line.as_ref().unwrap().contains(begun)).unwrap().unwrap();
        kill_process(Pid::from_child(&run), signal).unwrap();
        progress.for_each(drop);
        let output = run.wait_with_output().unwrap();
        nothing_left(&node);
        output
    };
    // The third line of progress is of the second pair.
    let compare = ["perf", "compare", "--output", "json", &uri, &uri, "-z", "0.5", "--warmup", "0"];
    let output = interrupted(&compare, "A, run 2", Signal::INT);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["runs"]["b"].as_array().map(Vec::len), Some(1), "{found}");

    let run = ["perf", "--uri", &uri, "-z", "60", "-i", "0.05", "--output", "json"];
    let output = interrupted(&run, "published", Signal::TERM);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["failure"].is_null(), "{found}");
}

#[test]
fn what_is_declared_has_its_price() {
    let node = Node::start().unwrap();
    let found = report(&node, &["scale"], "--connections 20 --queues 600 --bindings 700 -t topic");
    let kinds: Vec<_> = found.as_array().unwrap().iter().map(|row| &row["count"]).collect();
    assert_eq!(kinds, [20, 600, 700], "{found}");
    nothing_left(&node);
    let failing = perf(&node, &["scale"], "--queues 20 --bindings 10 -t no-such-type").output();
    refused(&failing.unwrap(), "no-such-type");
    nothing_left(&node);
}

#[test]
fn who_refuses_is_quoted() {
    let node = Node::start().unwrap();
    let failing = |options: &str| perf(&node, &[], options).output().unwrap();
    refused(&failing("-t no-such-type"), "declaring an exchange of type no-such-type");
    refused(&failing("-t x-wasm --exchange-args x-route=none"), "none");
    refused(&failing("-p -u nobody -x 0 -z 2"), "nobody");
    refused(&failing("--queues 3 --bindings 2"), "each needs one");
    // Who only publishes hears of it, too: as fast as it goes, at a rate, and with confirms.
    for how in ["", "-r 100", "-r 100 -c 10", "-f mandatory"] {
        refused(&failing(&format!("-p -e nowhere -u nobody -y 0 -z 60 {how}")), "404 NOT_FOUND");
    }

    let uri = format!("amqp://guest:wrong@{}", node.amqp());
    let output = command(["perf", "--uri", &uri]).unwrap().output().unwrap();
    refused(&output, "ACCESS_REFUSED");
    let output = command(["perf", "--uri", &uri, "--output", "json"]).unwrap().output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["failure"].to_string().contains("ACCESS_REFUSED"), "{found}");

    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let output = command(["perf", "--uri", &format!("amqp://{closed}")]).unwrap().output().unwrap();
    refused(&output, &format!("connecting to {closed}"));
}

#[test]
fn who_speaks_something_else_is_no_broker() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 8]).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let uri = format!("amqp://{address}");
    let output = command(["perf", "--uri", &uri]).unwrap().output().unwrap();
    refused(&output, "the broker sent no frame");
    server.join().unwrap();
}

#[test]
fn a_broker_that_dies_leaves_what_was_measured() {
    let mut node = Node::start().unwrap();
    let mut call = perf(&node, &[], "-z 60 --warmup 0 -a --output json");
    call.args(["--interval", "0.05"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = call.spawn().unwrap();
    // Its first lines of progress say that it is at work.
    let mut progress = BufReader::new(run.stderr.take().unwrap()).lines();
    progress.find(|line| !line.as_ref().unwrap().contains("received 0/s")).unwrap().unwrap();
    node.kill().unwrap();
    let said: Vec<String> = progress.map(Result::unwrap).collect();
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.last().unwrap().contains("the run ended early"), "{said:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["received"].as_u64() > Some(0), "{found}");
    assert!(found["failure"].is_string(), "{found}");
    assert!(found["broker"]["rss_bytes"].as_u64() > Some(0), "what was seen last: {found}");
}
