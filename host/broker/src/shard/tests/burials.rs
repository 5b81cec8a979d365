//! How much of what died a flush dead-letters, when publishers wait for a shard, and what large messages
//! take of memory and of the log.

use std::sync::Arc;
use std::time::Duration;

use shunt_types::limits::{MESSAGE_OVERHEAD, SHARD_WAITING_BYTES_MAX};
use shunt_types::{Message, Properties, QueueId, ShardId, Value};

use super::dead_letter::dead_lettering;
use super::ends::with_log;
use super::harness::{World, message, table};
use crate::Publisher as _;
use crate::ports::ConfirmSink;
use crate::shard::PublishOptions;
use crate::shard::dead_letter::{BURIED_AT_ONCE, BURIED_BY_FLUSH_MAX};

const MIB: usize = 1024 * 1024;

fn ready(world: &mut World, queue: QueueId) -> u64 {
    world.shards[0].queue_stats(queue).unwrap().ready
}

/// Publishes within a batch of the first shard, with a confirm.
fn publish(world: &mut World, token: u64, message: Message) {
    let topology = world.broker.vhost("/").unwrap().topology();
    let exchange = topology.find_exchange(message.exchange()).unwrap();
    let sink: Arc<dyn ConfirmSink> = world.confirms.clone();
    let confirm = Some((token, &sink));
    let options = PublishOptions { topology: &topology, exchange, user: "guest", confirm };
    world.shards[0].publish(&options, message).unwrap();
}

fn persistent(queue: &str, size: usize) -> Message {
    let properties = Properties { delivery_mode: Some(2), ..Properties::default() };
    Message::build("", queue, &properties, &vec![b'x'; size]).unwrap()
}

/// Each of them sends what it refuses to all the others, and those on, in every order that there is.
#[test]
fn full_queues_that_dead_letter_into_one_another_do_not_keep_a_flush() {
    let mut world = World::new(1);
    let end = world.queue("end", &[]);
    world.bind("amq.fanout", "end", "");
    let full = [
        ("x-dead-letter-exchange", Value::from("amq.fanout")),
        ("x-max-length", Value::I32(0)),
        ("x-overflow", Value::from("reject-publish-dlx")),
    ];
    const QUEUES: u64 = 8;
    for number in 0..QUEUES {
        let name = format!("q{number}");
        world.queue(&name, &full);
        world.bind("amq.fanout", &name, "");
    }
    let letter = message("", "q0", &[], "m");
    world.publish_from(0, letter, None).unwrap();
    assert_eq!(ready(&mut world, end), BURIED_AT_ONCE + 1);
    for flushes in 2..10 {
        world.shards[0].run_inbox();
        assert!(ready(&mut world, end) <= flushes * BURIED_BY_FLUSH_MAX);
    }
    // One for each way through some of the other queues.
    let ways = (1..QUEUES).rev().scan(1, |ways, queues| {
        *ways *= queues;
        Some(*ways)
    });
    let all = 1 + ways.sum::<u64>();
    world.run();
    assert_eq!(ready(&mut world, end), all);
}

#[test]
fn what_dies_in_every_batch_does_not_heap_up() {
    let mut world = World::new(1);
    let end = world.queue("end", &[]);
    let bound = ("x-max-length", Value::I32(1));
    world.queue("q", &[&dead_lettering("", "end")[..], &[bound]].concat());
    const BATCHES: u64 = 20;
    const BATCH: u64 = 4 * BURIED_AT_ONCE;
    for _ in 0..BATCHES {
        (0..BATCH).for_each(|token| publish(&mut world, token, message("", "q", &[], "m")));
        world.shards[0].flush();
    }
    let died = BATCHES * BATCH - 1;
    assert_eq!(ready(&mut world, end), died);
}

#[test]
fn publishers_wait_for_a_shard_that_owes_many_letters_by_their_doing() {
    let mut world = World::new(1);
    world.queue("end", &[]);
    let bound = ("x-max-length", Value::I32(1));
    world.queue("q", &[&dead_lettering("", "end")[..], &[bound]].concat());
    let many = 2 * BURIED_BY_FLUSH_MAX + BURIED_AT_ONCE;
    (0..many).for_each(|token| publish(&mut world, token, message("", "q", &[], "m")));
    world.shards[0].flush();
    assert_eq!(world.shards[0].behind(), Some(ShardId(0)));
    world.shards[0].run_inbox();
    assert_eq!(world.shards[0].behind(), None);
    world.run();
    assert!(!world.broker.inbox(ShardId(0)).is_behind());
}

/// Many that expire, and then the deaths of every batch.
#[test]
fn what_expired_does_not_hide_what_clients_do() {
    let mut world = World::new(1);
    world.queue("end", &[("x-max-length", Value::I32(1))]);
    let expires = ("x-message-ttl", Value::I32(10));
    world.queue("e", &[&dead_lettering("", "end")[..], &[expires]].concat());
    let bound = ("x-max-length", Value::I32(1));
    let full = world.queue("q", &[&dead_lettering("", "end")[..], &[bound]].concat());
    let many = 50 * BURIED_BY_FLUSH_MAX;
    (0..many).for_each(|token| publish(&mut world, token, message("", "e", &[], "m")));
    world.shards[0].flush();
    world.wait(20);
    world.shards[0].run_deadlines();
    for _ in 0..20 {
        (0..BURIED_BY_FLUSH_MAX).for_each(|token| {
            publish(&mut world, token, message("", "q", &[], "m"));
        });
        world.shards[0].flush();
        // As publishers do.
        while world.shards[0].behind().is_some() {
            world.shards[0].flush();
        }
        let owed = world.shards[0].dead_work(full);
        assert!(owed <= BURIED_BY_FLUSH_MAX, "{owed} wait, and no publisher");
    }
}

/// What died and was buried in one flush is owed by nobody.
#[test]
fn publishers_do_not_wait_for_what_expires() {
    let mut world = World::new(1);
    world.queue("end", &[("x-max-length", Value::I32(1))]);
    let bound = ("x-max-length", Value::I32(1));
    let bounded = |next| [&dead_lettering("", next)[..], std::slice::from_ref(&bound)].concat();
    world.queue("middle", &bounded("end"));
    world.queue("q", &bounded("middle"));
    let expires = ("x-message-ttl", Value::I32(10));
    world.queue("e", &[&dead_lettering("", "end")[..], &[expires]].concat());
    for _ in 0..256 {
        (0..BURIED_AT_ONCE / 2).for_each(|token| {
            publish(&mut world, token, message("", "q", &[], "m"));
        });
        world.shards[0].flush();
    }
    let many = 2 * BURIED_BY_FLUSH_MAX;
    (0..many).for_each(|token| publish(&mut world, token, message("", "e", &[], "m")));
    world.shards[0].flush();
    world.wait(20);
    world.shards[0].run_deadlines();
    publish(&mut world, 1, message("", "middle", &[], "m"));
    world.shards[0].flush();
    assert_eq!(world.shards[0].behind(), None);
}

#[test]
fn letters_wait_for_a_shard_that_has_much_to_take_in() {
    let mut world = World::new(2);
    let end = world.declare("end", |queue| queue.near = Some(ShardId(1))).unwrap().queue.id;
    let arguments = [&dead_lettering("", "end")[..], &[("x-max-length", Value::I32(1))]].concat();
    let arguments = Arc::new(table(&arguments));
    let declared = world.declare("q", |queue| {
        queue.near = Some(ShardId(0));
        queue.definition.arguments = arguments;
    });
    assert_eq!((end.shard().0, declared.unwrap().queue.id.shard().0), (1, 0));
    world.run();
    let most = SHARD_WAITING_BYTES_MAX / MIB as u64;
    let many = 3 * most;
    let body = vec![b'x'; MIB];
    let sent = Message::build("", "q", &Properties::default(), &body).unwrap();
    (0..many).for_each(|token| publish(&mut world, token, sent.clone()));
    world.shards[0].flush();
    for _ in 0..many {
        world.shards[0].run_inbox();
        world.wait(10);
        world.shards[0].run_deadlines();
    }
    world.shards[1].run_inbox();
    let arrived = world.shards[1].queue_stats(end).unwrap().ready;
    assert!((most..most + BURIED_AT_ONCE).contains(&arrived), "{arrived} of {many}");
    for _ in 0..many {
        world.pass(10);
    }
    assert_eq!(world.shards[1].queue_stats(end).unwrap().ready, many - 1);
}

#[test]
fn publishers_wait_for_another_shard_that_has_much_to_take_in() {
    let mut world = World::new(2);
    let names = ["a", "b"];
    let queues = names.map(|name| world.queue(name, &[]));
    let far = queues.iter().position(|queue| queue.shard() == ShardId(1)).unwrap();
    world.run();
    for (what, size) in [("small", 1), ("large", MIB)] {
        let body = vec![b'x'; size];
        let sent = Message::build("", names[far], &Properties::default(), &body).unwrap();
        let count = SHARD_WAITING_BYTES_MAX / (sent.memory() as u64 + MESSAGE_OVERHEAD);
        (0..count).for_each(|token| publish(&mut world, token, sent.clone()));
        world.shards[0].flush();
        assert_eq!(world.shards[0].behind(), None, "{what}");
        publish(&mut world, count, sent);
        world.shards[0].flush();
        assert_eq!(world.shards[0].behind(), Some(ShardId(1)), "{what}");
        assert!(world.broker.inbox(ShardId(1)).is_behind(), "{what}");
        world.run();
        assert!(!world.broker.inbox(ShardId(1)).is_behind(), "{what}");
    }
}

#[test]
fn a_million_that_expire_at_once_do_not_keep_a_flush() {
    let mut world = World::new(1);
    let end = world.queue("end", &[]);
    let expires = ("x-message-ttl", Value::I32(10));
    world.queue("q", &[&dead_lettering("", "end")[..], &[expires]].concat());
    let many = 10 * BURIED_BY_FLUSH_MAX;
    (0..many).for_each(|token| publish(&mut world, token, message("", "q", &[], "m")));
    world.shards[0].flush();
    world.wait(20);
    world.shards[0].run_deadlines();
    assert_eq!(ready(&mut world, end), BURIED_AT_ONCE);
    world.run();
    assert_eq!(ready(&mut world, end), many);
}

#[test]
fn a_batch_of_large_messages_goes_to_the_log_in_parts() {
    let (mut world, _disk) = with_log();
    world.queue("q", &[]);
    for token in 0..4 {
        publish(&mut world, token, persistent("q", MIB));
        let live = world.broker.live_log_bytes();
        assert_eq!(live / MIB as u64, token, "all but the last one are in the log");
    }
}

#[test]
fn copies_of_a_large_message_share_a_record_all_the_same() {
    let (mut world, _disk) = with_log();
    for name in ["a", "b", "c"] {
        world.queue(name, &[]);
        world.bind("amq.fanout", name, "");
    }
    let properties = Properties { delivery_mode: Some(2), ..Properties::default() };
    let body = vec![b'x'; 2 * MIB];
    publish(&mut world, 1, Message::build("amq.fanout", "", &properties, &body).unwrap());
    world.shards[0].flush();
    let live = world.broker.live_log_bytes();
    assert_eq!(live / MIB as u64, 2, "{live} bytes for three copies");
}

/// Settings allow messages of 512 MiB.
#[test]
fn what_is_in_a_batch_with_a_very_large_message_is_kept_and_confirmed_with_it() {
    let (mut world, _disk) = with_log();
    let queue = world.queue("q", &[]);
    publish(&mut world, 1, persistent("q", 1));
    publish(&mut world, 2, persistent("q", 65 * MIB));
    publish(&mut world, 3, persistent("q", 1));
    world.shards[0].flush();
    while world.broker.unsynced_log_bytes() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    world.shards[0].synced(u64::MAX);
    let confirms = world.confirms.take();
    let answers: Vec<_> = confirms.iter().map(|c| (c.token, c.accepted)).collect();
    assert_eq!(answers, [(1, true), (2, true), (3, true)]);
    assert_eq!(ready(&mut world, queue), 3);
}
