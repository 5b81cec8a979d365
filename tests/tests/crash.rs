//! What a confirm promises: `kill -9` at any moment, start again, look.

use std::collections::BTreeSet;
use std::time::Duration;

use shunt_tests::amqp_raw::{RawError, Value};
use shunt_tests::{Client, Deadline, Node, Props};

fn publish_all(client: &mut Client, exchange: &str, key: &str, numbers: &[u64]) {
    for number in numbers {
        let body = number.to_string();
        client.publish(exchange, key, &Props::persistent(), body.as_bytes()).unwrap();
    }
    assert_eq!(client.confirms().unwrap().nacked.len(), 0);
}

/// A confirmed publish after everything before it: what the log was told by then is on disk.
fn barrier(client: &mut Client) {
    client.declare_queue("barrier").unwrap();
    client.confirm_select().unwrap();
    client.publish("", "barrier", &Props::persistent(), b"").unwrap();
    client.confirms().unwrap();
}

fn restarted(node: &mut Node) -> Client {
    node.kill().unwrap();
    node.start_again().unwrap();
    Client::open(node.amqp()).unwrap()
}

fn numbers(client: &mut Client, queue: &str) -> Vec<u64> {
    client.drain(queue).unwrap().iter().map(|body| body.parse().unwrap()).collect()
}

/// Publishes in small batches until the connection breaks; answers what was confirmed.
fn publish_until_killed(mut client: Client, first: u64) -> (BTreeSet<u64>, u64) {
    let mut confirmed = BTreeSet::new();
    let mut next = first;
    loop {
        let batch: Vec<u64> = (next..next + 20).collect();
        next += 20;
        let sent: Result<(), RawError> = batch.iter().try_for_each(|number| {
            let body = number.to_string();
            client.publish("both", "", &Props::persistent(), body.as_bytes()).map(drop)
        });
        if sent.and_then(|()| client.confirms()).is_err() {
            return (confirmed, next);
        }
        confirmed.extend(batch);
    }
}

#[test]
fn confirmed_messages_survive_kills_at_any_moment() {
    let mut node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_exchange("both", "fanout", "d", &[]).unwrap();
    for queue in ["left", "right"] {
        client.declare_queue(queue).unwrap();
        client.bind(queue, "both", "", &[]).unwrap();
    }
    let mut confirmed = BTreeSet::new();
    let mut acked = BTreeSet::new();
    let mut next = 0;
    for round in 0..5u64 {
        // Some are consumed for good, so that the log has more than one kind of record.
        for _ in 0..round * 30 {
            let Some(message) = client.get_as("left", false).unwrap() else { break };
            acked.insert(message.text().parse::<u64>().unwrap());
            client.ack(message.delivery_tag, false).unwrap();
        }
        client.sync().unwrap();
        let mut publisher = Client::open(node.amqp()).unwrap();
        publisher.confirm_select().unwrap();
        let publishing = std::thread::spawn(move || publish_until_killed(publisher, next));
        let lifetime = Deadline::after(Duration::from_millis(60 + 47 * round));
        while lifetime.left().is_some() {
            client.sync().unwrap();
        }
        client = restarted(&mut node);
        let (more, after) = publishing.join().unwrap();
        confirmed.extend(more);
        next = after;
    }
    assert!(confirmed.len() > 100, "only {} were confirmed", confirmed.len());
    for queue in ["left", "right"] {
        let there = numbers(&mut client, queue);
        assert!(there.is_sorted_by(|a, b| a < b), "{queue} is out of order, or doubled");
        let there: BTreeSet<u64> = there.into_iter().collect();
        assert!(there.iter().all(|&number| number < next));
        let gone = if queue == "left" { acked.clone() } else { BTreeSet::new() };
        let lost: Vec<_> = confirmed.difference(&there).filter(|n| !gone.contains(n)).collect();
        assert!(lost.is_empty(), "{queue} lost {lost:?}");
    }
}

#[test]
fn a_rejected_message_is_in_one_place_after_a_kill() {
    let mut node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    client.declare_queue("dead").unwrap();
    let dead_lettering = |key: &str| {
        let exchange = ("x-dead-letter-exchange".to_owned(), Value::Str(String::new()));
        vec![exchange, ("x-dead-letter-routing-key".to_owned(), Value::Str(key.into()))]
    };
    // The second way leads through a queue that refuses every letter.
    client.declare_queue_as("work", "d", &dead_lettering("dead")).unwrap();
    client.declare_queue_as("other work", "d", &dead_lettering("full")).unwrap();
    let mut arguments = dead_lettering("dead");
    arguments.push(("x-max-length".to_owned(), Value::I32(0)));
    arguments.push(("x-overflow".to_owned(), Value::Str("reject-publish-dlx".into())));
    client.declare_queue_as("full", "d", &arguments).unwrap();
    let mut dead = Vec::new();
    for (queue, first) in [("work", 0), ("other work", 100)] {
        publish_all(&mut client, "", queue, &(first..first + 100).collect::<Vec<_>>());
        for number in first..first + 40 {
            let message = client.get_as(queue, false).unwrap().unwrap();
            client.reject(message.delivery_tag, false).unwrap();
            dead.push(number);
        }
    }
    client.sync().unwrap();
    barrier(&mut client);
    let mut client = restarted(&mut node);
    assert_eq!(numbers(&mut client, "work"), (40..100).collect::<Vec<_>>());
    assert_eq!(numbers(&mut client, "other work"), (140..200).collect::<Vec<_>>());
    let mut there = numbers(&mut client, "dead");
    there.sort_unstable();
    assert_eq!(there, dead);
}

#[test]
fn what_was_handed_out_before_the_kill_is_redelivered() {
    let mut node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    client.declare_queue("q").unwrap();
    publish_all(&mut client, "", "q", &(0..10).collect::<Vec<_>>());
    for _ in 0..4 {
        client.get_as("q", false).unwrap().unwrap();
    }
    barrier(&mut client);
    let mut client = restarted(&mut node);
    for number in 0..10 {
        let message = client.get("q").unwrap().unwrap();
        assert_eq!(message.text(), number.to_string());
        assert_eq!(message.redelivered, number < 4, "{number}");
    }
}

#[test]
fn priorities_purges_and_deletions_survive_a_kill() {
    let mut node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    let priorities = [("x-max-priority".to_owned(), Value::I32(5))];
    client.declare_queue_as("ranked", "d", &priorities).unwrap();
    for (body, priority) in [("low", 1), ("high", 4), ("middle", 2)] {
        let props = Props::persistent().octet("priority", priority);
        client.publish("", "ranked", &props, body.as_bytes()).unwrap();
    }
    for queue in ["purged", "deleted"] {
        client.declare_queue(queue).unwrap();
        publish_all(&mut client, "", queue, &[1, 2, 3]);
    }
    client.purge("purged").unwrap();
    client.delete_queue("deleted").unwrap();
    client.declare_queue("deleted").unwrap();
    publish_all(&mut client, "", "purged", &[4]);
    client.publish("", "purged", &Props::new(), b"5").unwrap();
    client.confirms().unwrap();

    let mut client = restarted(&mut node);
    assert_eq!(client.drain("ranked").unwrap(), ["high", "middle", "low"]);
    assert_eq!(numbers(&mut client, "purged"), [4], "a transient message ends with the process");
    assert_eq!(client.drain("deleted").unwrap(), [""; 0]);
}

#[test]
fn a_committed_transaction_survives_a_kill_and_an_open_one_does_not() {
    let mut node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    client.tx_select().unwrap();
    for number in 0..20 {
        client.publish("", "q", &Props::persistent(), number.to_string().as_bytes()).unwrap();
    }
    client.tx_commit().unwrap();
    client.publish("", "q", &Props::persistent(), b"99").unwrap();
    client.sync().unwrap();
    let mut client = restarted(&mut node);
    assert_eq!(numbers(&mut client, "q"), (0..20).collect::<Vec<_>>());
}

#[test]
fn space_comes_back_when_messages_are_consumed() {
    let mut node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.confirm_select().unwrap();
    client.declare_queue("q").unwrap();
    client.declare_queue("kept").unwrap();
    publish_all(&mut client, "", "kept", &[7]);
    let body = vec![b'x'; 256 * 1024];
    let folder = node.data_dir().join("messages");
    let on_disk = || -> u64 {
        let files = std::fs::read_dir(&folder).unwrap();
        files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
    };
    // Six segments' worth, each message gone before the next ones come.
    for _ in 0..6 * 256 / 16 {
        for _ in 0..16 {
            client.publish("", "q", &Props::persistent(), &body).unwrap();
        }
        client.confirms().unwrap();
        while client.get("q").unwrap().is_some() {}
    }
    let limit = 5 * 64 * 1024 * 1024;
    shunt_tests::poll("space to come back", || (on_disk() <= limit).then_some(())).unwrap();
    let mut client = restarted(&mut node);
    assert_eq!(numbers(&mut client, "kept"), [7], "the old message outlived its segment");
}
