//! Space comes back from the log of messages while it is written, also where messages that nobody
//! reads stand between those that are consumed.

use std::path::Path;

use shunt_tests::{Client, Consume, Node, Props, poll};

const MIB: u64 = 1 << 20;
/// Of each, with bodies of a KiB.
const OLD: u32 = 3_000;
const BUSY: u32 = 40_000;

fn body(number: u32) -> Vec<u8> {
    let mut body = format!("{number:08}").into_bytes();
    body.resize(1024, b'.');
    body
}

fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap();
    // One may go while they are listed.
    entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
}

#[test]
fn old_messages_among_consumed_ones_cost_twice_their_size_at_most() {
    let mut node = Node::builder().setting("node.segment_bytes", MIB).start().unwrap();
    let folder = node.data_dir().join("messages");
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("old").unwrap();
    client.declare_queue("busy").unwrap();
    client.confirm_select().unwrap();
    let mut consumer = Client::open(node.amqp()).unwrap();
    consumer.confirm_select().unwrap();
    consumer.consume("busy", Consume::default()).unwrap();
    let mut largest = 0;
    for number in 0..BUSY {
        client.publish("", "busy", &Props::persistent(), &body(number)).unwrap();
        if number % (BUSY / OLD) == 0 && number / (BUSY / OLD) < OLD {
            let old = number / (BUSY / OLD);
            client.publish("", "old", &Props::persistent(), &body(old)).unwrap();
        }
        let delivery = consumer.delivery().unwrap();
        if number % 100 == 99 {
            consumer.ack(delivery.delivery_tag, true).unwrap();
            client.wait_confirms(100).unwrap();
            largest = largest.max(size(&folder));
        }
    }
    client.wait_confirms(0).unwrap();
    // Nobody is told that an acknowledgement is in the log; a confirm of what its channel sent
    // after it says so.
    consumer.publish("", "busy", &Props::persistent(), &body(BUSY)).unwrap();
    consumer.wait_confirms(0).unwrap();

    // What lives, its records' heads, and the few segments that are worth no work.
    let live = u64::from(OLD) * 1_150;
    let bound = 2 * live + 5 * MIB;
    poll("the log to be short", || (size(&folder) <= bound).then_some(())).unwrap();
    // It grows while it is made shorter, but nothing like as far as without that.
    assert!(largest < 24 * MIB, "{largest} bytes at most");

    node.kill().unwrap();
    node.start_again().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    let there = client.drain("old").unwrap();
    let expected = (0..OLD).map(|number| String::from_utf8(body(number)).unwrap());
    assert!(there.iter().cloned().eq(expected), "{} are there", there.len());
    let there = client.drain("busy").unwrap();
    assert!(there.iter().cloned().eq([String::from_utf8(body(BUSY)).unwrap()]), "{there:?}");
}
