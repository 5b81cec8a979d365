//! A disk that is full: nothing more is confirmed, nothing confirmed is lost, consumers go on, and
//! it is over when space is back. On a small file system of its own, which takes a mount.

use std::collections::BTreeSet;
use std::time::Duration;

use shunt_tests::{Client, Node, Props, SmallDisk, poll};

/// Of the file system, and of the file that takes the last of it until it is removed.
const DISK: u64 = 24 << 20;
const FILLER: usize = 10 << 20;

fn is_alarmed(node: &Node) -> bool {
    let nodes = node.http().get("/api/nodes").unwrap().expect(200);
    nodes[0]["disk_free_alarm"] == true
}

fn numbers(client: &mut Client) -> BTreeSet<u32> {
    let bodies = client.drain("q").unwrap();
    bodies.iter().map(|body| body[..8].parse().unwrap()).collect()
}

fn publish(client: &mut Client, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let mut body = format!("{number:08}").into_bytes();
        body.resize(1024, b'.');
        client.publish("", "q", &Props::persistent(), &body).unwrap();
    }
}

#[test]
fn a_full_disk_confirms_nothing_and_loses_nothing() {
    let disk = match SmallDisk::mount(DISK) {
        Ok(disk) => disk,
        Err(error) => return eprintln!("skipped, no file system could be mounted: {error:#}"),
    };
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![1; FILLER]).unwrap();
    let mut node = Node::builder()
        .setting("node.disk_free_limit_bytes", 0)
        .setting("node.segment_bytes", 1 << 20)
        .on_disk(&disk)
        .start()
        .unwrap();
    let mut consumer = Client::open(node.amqp()).unwrap();
    consumer.declare_queue("q").unwrap();

    // More than fits, in batches, until no confirm comes any more.
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    let mut published = 0;
    while published < 40_000 && !is_alarmed(&node) {
        publish(&mut client, published..published + 100);
        published += 100;
        // What the client has not read yet is no loss.
        while client.unconfirmed() > 500 && !is_alarmed(&node) {
            client.read_confirms(Duration::from_millis(50)).unwrap();
        }
    }
    assert!(is_alarmed(&node), "{published} messages fitted");
    client.read_confirms(Duration::from_millis(300)).unwrap();
    let waiting = client.unconfirmed();
    assert!(waiting > 0, "everything was confirmed on a full disk");

    // Consumers go on meanwhile.
    let first = consumer.get_as("q", false).unwrap().unwrap();
    assert_eq!(&first.body[..8], b"00000000");
    consumer.nack(first.delivery_tag, false, true).unwrap();
    consumer.sync().unwrap();

    std::fs::remove_file(&filler).unwrap();
    client.wait_confirms(0).unwrap();
    poll("the end of the alarm", || (!is_alarmed(&node)).then_some(())).unwrap();
    publish(&mut client, published..published + 100);
    let confirms = client.confirms().unwrap();
    assert!(confirms.nacked.is_empty());
    assert_eq!(confirms.acked.len() as u32, published + 100, "each was confirmed in the end");

    node.kill().unwrap();
    node.start_again().unwrap();
    let there = numbers(&mut Client::open(node.amqp()).unwrap());
    assert!(there.iter().copied().eq(0..published + 100), "{} are there", there.len());
}

/// The file of a removed segment is kept for a later one, but not where space is short.
#[test]
fn a_low_disk_gets_the_files_of_removed_segments_back() {
    let disk = match SmallDisk::mount(DISK) {
        Ok(disk) => disk,
        Err(error) => return eprintln!("skipped, no file system could be mounted: {error:#}"),
    };
    let node = Node::builder()
        .setting("node.disk_free_limit_bytes", 10 << 20)
        .setting("node.segment_bytes", 1 << 20)
        .on_disk(&disk)
        .start()
        .unwrap();
    let files = || -> (usize, usize) {
        let folder = std::fs::read_dir(node.data_dir().join("messages")).unwrap();
        let names = folder.map(|file| file.unwrap().file_name().into_string().unwrap());
        let (removed, others): (Vec<_>, Vec<_>) = names
            .filter(|name| name.contains(".segment"))
            .partition(|name| name.ends_with(".removed"));
        (others.len(), removed.len())
    };
    let mut consumer = Client::open(node.amqp()).unwrap();
    consumer.declare_queue("q").unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    publish(&mut client, 0..4_000);
    client.confirms().unwrap();
    // Half of it goes, and one file is kept. Should that be a segment's again by then, the next one
    // that goes is.
    for _ in 0..2_000 {
        consumer.get("q").unwrap().unwrap();
    }
    let mut left = 2_000;
    poll("a file that is kept", || {
        let is_kept = files().1 == 1;
        if !is_kept {
            consumer.get("q").unwrap().unwrap();
            left -= 1;
        }
        is_kept.then_some(())
    })
    .unwrap();

    std::fs::write(disk.path().join("filler"), vec![1; FILLER + (2 << 20)]).unwrap();
    poll("the alarm", || is_alarmed(&node).then_some(())).unwrap();
    poll("its space", || (files().1 == 0).then_some(())).unwrap();
    assert_eq!(numbers(&mut consumer).len(), left);
    poll("the other segments' space", || {
        let (segments, removed) = files();
        (segments <= 2 && removed == 0).then_some(())
    })
    .unwrap();
}
