//! A disk that answers EIO for a while: nothing more is confirmed or declared, nothing confirmed
//! is lost, consumers go on, and it is over, without a restart, when the disk works again.

use std::time::Duration;

use shunt_tests::{Client, Faults, Node, Props, poll};

fn is_alarmed(node: &Node) -> bool {
    let nodes = node.http().get("/api/nodes").unwrap().expect(200);
    nodes[0]["disk_free_alarm"] == true
}

fn publish(client: &mut Client, numbers: std::ops::Range<u32>) {
    for number in numbers {
        client.publish("", "q", &Props::persistent(), number.to_string().as_bytes()).unwrap();
    }
}

/// What a node does while these system calls of it fail, and after.
fn check(calls: &str) {
    let mut node = Node::start().unwrap();
    let mut consumer = Client::open(node.amqp()).unwrap();
    consumer.declare_queue("q").unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    publish(&mut client, 0..100);
    client.wait_confirms(0).unwrap();

    let Some(faults) = Faults::inject(&node, calls).unwrap() else { return };
    publish(&mut client, 100..200);
    poll("the alarm", || is_alarmed(&node).then_some(())).unwrap();
    client.read_confirms(Duration::from_millis(200)).unwrap();
    assert_eq!(client.unconfirmed(), 100, "confirmed by a disk that fails: {calls}");
    let first = consumer.get_as("q", false).unwrap().unwrap();
    assert_eq!((&first.body[..], first.redelivered), (&b"0"[..], false));
    consumer.nack(first.delivery_tag, false, true).unwrap();
    consumer.sync().unwrap();
    let declared = std::thread::spawn({
        let amqp = node.amqp();
        move || Client::open(amqp).unwrap().declare_queue("meanwhile").unwrap()
    });
    // Long enough for several tries.
    std::thread::sleep(Duration::from_millis(2500));
    assert!(!declared.is_finished(), "declared by a disk that fails: {calls}");
    let log = node.log();
    assert_eq!(log.matches("confirms wait").count(), 1, "told once: {log}");
    assert_eq!(log.matches("declarations wait").count(), 1, "told once: {log}");

    drop(faults);
    client.wait_confirms(0).unwrap();
    declared.join().unwrap();
    poll("the end of the alarm", || (!is_alarmed(&node)).then_some(())).unwrap();
    publish(&mut client, 200..300);
    let confirms = client.confirms().unwrap();
    assert_eq!((confirms.acked.len(), confirms.nacked.len()), (300, 0));

    node.kill().unwrap();
    node.start_again().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    node.http().get("/api/queues/%2f/meanwhile").unwrap().expect(200);
    let expected: Vec<_> = (0..300).map(|number| number.to_string()).collect();
    assert_eq!(client.drain("q").unwrap(), expected);
}

#[test]
fn syncs_that_fail_confirm_nothing_and_lose_nothing() {
    check("fdatasync,fsync");
}

#[test]
fn writes_that_fail_confirm_nothing_and_lose_nothing() {
    check("pwrite64,pwritev,pwritev2");
}
