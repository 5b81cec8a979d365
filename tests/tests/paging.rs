//! Queues that are longer than what they may keep in memory: the rest is on disk, and nobody
//! notices.

use std::time::Duration;

use serde_json::Value as Json;
use shunt_tests::amqp_raw::Value;
use shunt_tests::{Client, Consume, Deadline, Node, Props, poll};

/// What each queue may keep, the least that the setting takes.
const MEMORY: u64 = 256 * 1024;

fn node() -> Node {
    let node = Node::builder()
        .setting("node.queue_memory_bytes", MEMORY)
        .setting("node.queue_transient_memory_bytes", 2 * MEMORY);
    node.start().unwrap()
}

/// A body that tells its number, of a kilobyte.
fn body(number: u32) -> Vec<u8> {
    let mut body = format!("{number:08}").into_bytes();
    body.resize(1024, b'.');
    body
}

fn number(body: &[u8]) -> u32 {
    assert_eq!(body.len(), 1024);
    std::str::from_utf8(&body[..8]).unwrap().parse().unwrap()
}

fn publish(
    client: &mut Client,
    exchange: &str,
    key: &str,
    numbers: std::ops::Range<u32>,
    props: &Props,
) {
    for n in numbers {
        client.publish(exchange, key, props, &body(n)).unwrap();
        if n % 500 == 0 {
            client.wait_confirms(100).unwrap();
        }
    }
    assert!(client.confirms().unwrap().nacked.is_empty());
}

fn stats(node: &Node, queue: &str) -> Json {
    node.http().get(&format!("/api/queues/%2F/{queue}")).unwrap().expect(200)
}

fn consume_all(
    client: &mut Client,
    queue: &str,
    expected: impl Iterator<Item = u32>,
    no_ack: bool,
) {
    if !no_ack {
        client.qos(300, false).unwrap();
    }
    let tag = client.consume(queue, Consume { no_ack, ..Consume::default() }).unwrap();
    for (at, expected) in expected.enumerate() {
        let message = client.delivery().unwrap();
        assert_eq!(number(&message.body), expected, "at {at}");
        assert!(!message.redelivered);
        if !no_ack && at % 100 == 99 {
            client.ack(message.delivery_tag, true).unwrap();
        }
    }
    assert!(client.receive_within(Duration::from_millis(50)).unwrap().is_none());
    client.cancel(&tag).unwrap();
}

fn open(node: &Node) -> Client {
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    client
}

#[test]
fn a_long_queue_keeps_its_head_in_memory_and_its_order() {
    let node = node();
    let mut client = open(&node);
    client.declare_queue_as("long", "d", &[]).unwrap();
    publish(&mut client, "", "long", 0..6_000, &Props::persistent());
    let long = stats(&node, "long");
    assert!(long["messages_paged_out"].as_u64().unwrap() > 4_000, "{long}");
    assert!(long["message_bytes_ram"].as_u64().unwrap() < 2 * MEMORY, "{long}");
    assert_eq!(long["messages"], 6_000);

    // What is fetched is read at once; what goes back keeps its place.
    let first = client.get_as("long", false).unwrap().unwrap();
    assert_eq!(number(&first.body), 0);
    client.nack(first.delivery_tag, false, true).unwrap();
    let again = client.get_as("long", true).unwrap().unwrap();
    assert_eq!((number(&again.body), again.redelivered), (0, true));
    consume_all(&mut client, "long", 1..6_000, true);
    assert_eq!(stats(&node, "long")["messages_paged_out"], 0);
}

#[test]
fn transient_messages_leave_memory_too() {
    let node = node();
    let mut client = open(&node);
    client.declare_queue_as("passing", "e", &[]).unwrap();
    publish(&mut client, "", "passing", 0..6_000, &Props::new());
    let passing = stats(&node, "passing");
    assert!(passing["messages_paged_out"].as_u64().unwrap() > 3_000, "{passing}");
    consume_all(&mut client, "passing", 0..6_000, false);
}

#[test]
fn a_restart_reads_a_message_only_when_it_is_wanted() {
    let mut node = node();
    let mut client = open(&node);
    client.declare_queue_as("kept", "d", &[]).unwrap();
    publish(&mut client, "", "kept", 0..3_000, &Props::persistent());
    drop(client);
    for clean in [true, false] {
        if clean {
            node.stop().unwrap();
        } else {
            node.kill().unwrap();
        }
        node.start_again().unwrap();
        let kept = stats(&node, "kept");
        assert_eq!(
            (&kept["messages"], &kept["messages_paged_out"]),
            (&3_000.into(), &3_000.into())
        );
    }
    consume_all(&mut open(&node), "kept", 0..3_000, false);
}

#[test]
fn what_expires_on_disk_gets_its_letter() {
    let node = node();
    let mut client = open(&node);
    client.declare_queue_as("letters", "d", &[]).unwrap();
    let arguments = [
        ("x-message-ttl".to_owned(), Value::I32(1_500)),
        ("x-dead-letter-exchange".to_owned(), Value::Str("".into())),
        ("x-dead-letter-routing-key".to_owned(), Value::Str("letters".into())),
    ];
    client.declare_queue_as("brief", "d", &arguments).unwrap();
    publish(&mut client, "", "brief", 0..3_000, &Props::persistent());
    let has_all = || (stats(&node, "letters")["messages"] == 3_000).then_some(());
    Deadline::after(Duration::from_secs(20)).poll("the letters", has_all).unwrap();
    assert_eq!(stats(&node, "brief")["messages"], 0);
    consume_all(&mut client, "letters", 0..3_000, true);
}

#[test]
fn the_highest_priority_comes_first_from_disk() {
    let node = node();
    let mut client = open(&node);
    let arguments = [("x-max-priority".to_owned(), Value::I32(5))];
    client.declare_queue_as("lanes", "d", &arguments).unwrap();
    for priority in [0u8, 5, 3] {
        let props = Props::persistent().octet("priority", priority);
        let start = u32::from(priority) * 1_000;
        publish(&mut client, "", "lanes", start..start + 1_000, &props);
    }
    assert!(stats(&node, "lanes")["messages_paged_out"].as_u64().unwrap() > 2_000);
    consume_all(&mut client, "lanes", (5_000..6_000).chain(3_000..4_000).chain(0..1_000), true);
}

/// The queues of several shards share one record: the log takes each body once.
#[test]
fn a_message_is_written_once_however_many_queues_get_it() {
    let node = Node::builder().setting("node.shards", 3).start().unwrap();
    let mut client = open(&node);
    for n in 0..9 {
        let queue = format!("q{n}");
        client.declare_queue_as(&queue, "d", &[]).unwrap();
        client.bind(&queue, "amq.fanout", "", &[]).unwrap();
    }
    publish(&mut client, "amq.fanout", "", 0..500, &Props::persistent());
    let written = log_bytes(&node);
    assert!(written < 2 * 500 * 1024, "{written} bytes for {} of bodies", 500 * 1024);
    for n in 0..9 {
        consume_all(&mut client, &format!("q{n}"), 0..500, true);
    }
}

/// Bytes that stand in the log's segments; preallocated ones hold zeros behind them.
fn log_bytes(node: &Node) -> usize {
    let folder = node.data_dir().join("messages");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let segments = files.filter(|path| path.extension().is_some_and(|e| e == "segment"));
    let size = |path: std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count()
    };
    segments.map(size).sum()
}

#[test]
fn what_left_memory_and_the_queue_gives_its_space_back() {
    let node = node();
    let mut client = open(&node);
    client.declare_queue_as("gone", "d", &[]).unwrap();
    client.declare_queue_as("purged", "e", &[]).unwrap();
    publish(&mut client, "", "gone", 0..2_000, &Props::persistent());
    publish(&mut client, "", "purged", 0..2_000, &Props::new());
    let live = || node.http().get("/metrics").unwrap().text();
    let bytes = |page: &str| {
        let line = page.lines().find(|line| line.starts_with("shunt_message_log_live_bytes"));
        line.unwrap().rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    assert!(bytes(&live()) > 3.0 * 1024.0 * 1024.0);
    client.purge("purged").unwrap();
    client.delete_queue("gone").unwrap();
    poll("the space", || (bytes(&live()) == 0.0).then_some(())).unwrap();
}
