//! Queues, publishers and consumers that live on different shards: a connection belongs to one
//! shard, a queue to another, and no client may notice.

use std::collections::BTreeMap;

use shunt_tests::amqp_raw::Value;
use shunt_tests::{Client, Consume, Incoming, Node, Props, command, poll};

const SHARDS: usize = 4;
const CONNECTIONS: usize = 8;
const QUEUES: usize = 16;
const MESSAGES: usize = 60;

/// Nodes whose connections stay where they were accepted, and those where they go from shard to shard.
fn start_each() -> [Node; 2] {
    ["never", "always"].map(start)
}

fn start(moves: &str) -> Node {
    let node = Node::builder()
        .setting("node.shards", SHARDS)
        .setting("amqp.moves", format!("\"{moves}\""));
    let node = node.start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    for queue in 0..QUEUES {
        client.declare_queue(&name(queue)).unwrap();
    }
    node
}

fn name(queue: usize) -> String {
    format!("q{queue:02}")
}

/// Each publisher numbers what it sends to a queue.
fn check_order(bodies: &[String], each: usize) {
    let mut next: BTreeMap<&str, usize> = BTreeMap::new();
    for body in bodies {
        let (publisher, number) = body.split_once(':').unwrap();
        let next = next.entry(publisher).or_default();
        assert_eq!(number.parse::<usize>().unwrap(), *next, "{publisher} in {bodies:?}");
        *next += 1;
    }
    assert_eq!(next.len(), CONNECTIONS);
    assert!(next.values().all(|&count| count == each), "{next:?}");
}

#[test]
fn every_message_arrives_once_and_in_order() {
    start_each().iter().for_each(check_every_message_arrives_once_and_in_order);
}

fn check_every_message_arrives_once_and_in_order(node: &Node) {
    let bodies: Vec<Vec<String>> = std::thread::scope(|scope| {
        for publisher in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut client = Client::open(node.amqp()).unwrap();
                client.confirm_select().unwrap();
                for number in 0..MESSAGES {
                    let body = format!("{publisher}:{number}");
                    for queue in 0..QUEUES {
                        client.publish("", &name(queue), &Props::new(), body.as_bytes()).unwrap();
                    }
                    client.wait_confirms(500).unwrap();
                }
                let confirms = client.confirms().unwrap();
                assert_eq!(confirms.acked.len(), MESSAGES * QUEUES);
            });
        }
        let consumers: Vec<_> = (0..QUEUES)
            .map(|queue| {
                let node = &node;
                scope.spawn(move || {
                    let mut client = Client::open(node.amqp()).unwrap();
                    client.qos(50, false).unwrap();
                    client.consume(&name(queue), Consume::default()).unwrap();
                    let mut bodies = Vec::new();
                    while bodies.len() < CONNECTIONS * MESSAGES {
                        let message = client.delivery().unwrap();
                        assert!(!message.redelivered);
                        bodies.push(message.text());
                        if bodies.len() % 10 == 0 {
                            client.ack(message.delivery_tag, true).unwrap();
                        }
                    }
                    client.sync().unwrap();
                    bodies
                })
            })
            .collect();
        consumers.into_iter().map(|consumer| consumer.join().unwrap()).collect()
    });
    for bodies in &bodies {
        check_order(bodies, MESSAGES);
    }
    let all = poll("the acknowledgements", || {
        let queues = node.http().get("/api/queues").unwrap().expect(200);
        let queues = queues.as_array().unwrap().clone();
        queues.iter().all(|queue| queue["messages"] == 0).then_some(queues)
    });
    for queue in all.unwrap() {
        assert_eq!(queue["message_stats"]["ack"], CONNECTIONS * MESSAGES, "{queue}");
    }
}

#[test]
fn a_fanout_reaches_every_queue_of_every_shard() {
    start_each().iter().for_each(check_a_fanout_reaches_every_queue_of_every_shard);
}

fn check_a_fanout_reaches_every_queue_of_every_shard(node: &Node) {
    let mut client = Client::open(node.amqp()).unwrap();
    for queue in 0..QUEUES {
        client.bind(&name(queue), "amq.fanout", "", &[]).unwrap();
    }
    std::thread::scope(|scope| {
        for publisher in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut client = Client::open(node.amqp()).unwrap();
                client.confirm_select().unwrap();
                for number in 0..MESSAGES {
                    let body = format!("{publisher}:{number}");
                    client.publish("amq.fanout", "", &Props::new(), body.as_bytes()).unwrap();
                }
                assert_eq!(client.confirms().unwrap().acked.len(), MESSAGES);
            });
        }
    });
    // Confirmed is in every queue, whoever asks.
    for queue in 0..QUEUES {
        check_order(&client.drain(&name(queue)).unwrap(), MESSAGES);
    }
}

#[test]
fn what_was_declared_is_in_force_everywhere_at_once() {
    start_each().iter().for_each(check_what_was_declared_is_in_force_everywhere_at_once);
}

fn check_what_was_declared_is_in_force_everywhere_at_once(node: &Node) {
    let mut clients: Vec<Client> =
        (0..CONNECTIONS).map(|_| Client::open(node.amqp()).unwrap()).collect();
    for round in 0..40 {
        let (queue, key) = (format!("new-{round}"), format!("key-{round}"));
        let declaring = &mut clients[round % CONNECTIONS];
        declaring.declare_queue(&queue).unwrap();
        declaring.bind(&queue, "amq.direct", &key, &[]).unwrap();
        let publishing = &mut clients[(round + 3) % CONNECTIONS];
        publishing.publish_with("amq.direct", &key, true, &Props::new(), b"x").unwrap();
        publishing.publish_with("", &queue, true, &Props::new(), b"y").unwrap();
        publishing.sync().unwrap();
        let getting = &mut clients[(round + 5) % CONNECTIONS];
        assert_eq!(getting.drain(&queue).unwrap(), ["x", "y"]);
        clients[(round + 6) % CONNECTIONS].delete_queue(&queue).unwrap();
        let publishing = &mut clients[(round + 7) % CONNECTIONS];
        publishing.publish_with("", &queue, true, &Props::new(), b"z").unwrap();
        assert!(matches!(publishing.receive().unwrap(), Incoming::Return(312, _)));
    }
}

#[test]
fn everything_that_is_settled_elsewhere_comes_back() {
    start_each().iter().for_each(check_everything_that_is_settled_elsewhere_comes_back);
}

fn check_everything_that_is_settled_elsewhere_comes_back(node: &Node) {
    let mut publisher = Client::open(node.amqp()).unwrap();
    for queue in 0..QUEUES {
        for number in 0..3 {
            let body = number.to_string();
            publisher.publish("", &name(queue), &Props::new(), body.as_bytes()).unwrap();
        }
    }
    publisher.sync().unwrap();
    // One connection holds messages of queues of all shards.
    let mut holder = Client::open(node.amqp()).unwrap();
    for queue in 0..QUEUES {
        holder.consume(&name(queue), Consume::default()).unwrap();
    }
    let mut last = 0;
    for _ in 0..3 * QUEUES {
        last = holder.delivery().unwrap().delivery_tag;
    }
    assert_eq!(last as usize, 3 * QUEUES);
    // Half of them by a word, the rest by its end.
    holder.nack(last / 2, true, true).unwrap();
    drop(holder);
    for queue in 0..QUEUES {
        let mut bodies = Vec::new();
        poll("what the connection held", || {
            while let Some(message) = publisher.get(&name(queue)).unwrap() {
                assert!(message.redelivered);
                bodies.push(message.text());
            }
            (bodies.len() == 3).then_some(())
        })
        .unwrap();
        bodies.sort_unstable();
        assert_eq!(bodies, ["0", "1", "2"]);
    }
}

#[test]
fn consumers_are_told_across_shards() {
    start_each().iter().for_each(check_consumers_are_told_across_shards);
}

fn check_consumers_are_told_across_shards(node: &Node) {
    let mut consuming: Vec<Client> = (0..QUEUES)
        .map(|queue| {
            let mut client = Client::open(node.amqp()).unwrap();
            client.consume(&name(queue), Consume { tag: "c", ..Consume::default() }).unwrap();
            client
        })
        .collect();
    let mut client = Client::open(node.amqp()).unwrap();
    for (queue, consuming) in consuming.iter_mut().enumerate() {
        assert_eq!(client.declare_queue(&name(queue)).unwrap().2, 1);
        client.delete_queue(&name(queue)).unwrap();
        assert_eq!(consuming.receive().unwrap(), Incoming::Cancel("c".into()));
    }
}

/// Publishers read on while another shard makes dead letters of what they send, which is slower.
#[test]
fn publishers_that_are_faster_than_a_queues_shard_wait_for_it() {
    let node = Node::builder().setting("node.shards", 2).start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    let text = |text: &str| Value::Str(text.to_owned());
    let bound = [("x-max-length".to_owned(), Value::I32(1))];
    let dies = [
        ("x-dead-letter-exchange".to_owned(), text("")),
        ("x-dead-letter-routing-key".to_owned(), text("end")),
    ];
    client.declare_queue_as("end", "d", &bound).unwrap();
    client.declare_queue_as("q", "d", &[&bound[..], &dies].concat()).unwrap();
    let mut flood = command(["perf", "--uri", &node.amqp_url(), "-u", "q"]).unwrap();
    // Publishers' connections take turns on the shards, so that half of them are on the other one.
    flood.args("-x 4 -y 0 -s 16 -z 4 --warmup 0 --output json".split_whitespace());
    let mut flood = flood.stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut most = 0;
    while flood.try_wait().unwrap().is_none() {
        most = most.max(node.resident_bytes().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(most < 400 << 20, "{} MiB of memory", most >> 20);
    // It goes on as soon as nobody floods it.
    client.publish("", "q", &Props::new(), b"last").unwrap();
    client.publish("", "q", &Props::new(), b"").unwrap();
    poll("the last letter", || Some(client.get("end").ok()??.body == b"last").filter(|is| *is))
        .unwrap();
}

/// The way between two threads would be most of the way of a message then.
#[test]
fn who_publishes_slowly_moves_to_the_queue_and_loses_nothing() {
    let node = Node::builder().setting("node.shards", 2).start().unwrap();
    let moved = || {
        let metrics = node.http().get("/metrics").unwrap().text();
        let line = metrics.lines().find(|line| line.starts_with("shunt_connections_moved_total"));
        line.unwrap().split(' ').nth(1).unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(moved(), 0);
    let mut slow = command(["perf", "verify", "--uri", &node.amqp_url()]).unwrap();
    slow.args("-r 500 -C 1500 -q 20 -f persistent -c 100".split_whitespace());
    let slow = slow.output().unwrap();
    assert!(slow.status.success(), "{slow:?}");
    assert!(moved() > 0, "{slow:?}");
}

/// All ways of publishing and consuming, by connections that never stay on a thread.
#[test]
fn connections_that_go_from_shard_to_shard_lose_nothing() {
    let node = start("always");
    for options in [
        "-C 2000 -x 2 -y 2 --queues 2 -f persistent -c 100 -q 10",
        "-C 20000 -a",
        "-C 300 -s 100000 -q 3 -c 10",
        "-C 5000 -q 7 --flag mandatory",
    ] {
        let mut perf = command(["perf", "verify", "--uri", &node.amqp_url()]).unwrap();
        let done = perf.args(options.split_whitespace()).output().unwrap();
        assert!(done.status.success(), "{options}: {done:?}");
    }
}
