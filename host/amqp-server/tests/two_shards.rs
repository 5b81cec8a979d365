//! Connections and queues on different shards, over real sockets.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "two_shards/long_bodies.rs"]
mod long_bodies;
#[path = "two_shards/turns.rs"]
mod turns;
mod world;

use std::time::Duration;

use shunt_amqp_codec::Method;
use shunt_amqp_codec::method::{
    BasicAck, BasicConsume, BasicGet, BasicQos, ChannelClose, TxSelect,
};
use shunt_types::TableRef;

use world::{Client, World};

fn consume(queue: &str, no_ack: bool) -> BasicConsume<'_> {
    BasicConsume {
        queue,
        consumer_tag: "c",
        no_local: false,
        no_ack,
        exclusive: false,
        no_wait: false,
        arguments: TableRef::EMPTY,
    }
}

/// Reads deliveries; number in the body, and whether it was delivered before.
fn next_delivery(client: &mut Client) -> (u64, usize, bool) {
    let (tag, redelivered) = client.method(|method| match method {
        Method::BasicDeliver(deliver) => Some((deliver.delivery_tag, deliver.redelivered)),
        _ => None,
    });
    (tag, client.body().parse().unwrap(), redelivered)
}

#[test]
fn what_was_on_its_way_to_a_lost_connection_is_still_there() {
    const MESSAGES: usize = 3_000;
    let world = World::start(2);
    let queue = world.declare("q", 0);
    for round in 0..10 {
        let mut lost = world.connect(1);
        lost.call(consume("q", false));
        let mut publisher = world.connect(round % 2);
        let publishing = std::thread::spawn(move || {
            for n in 0..MESSAGES {
                publisher.publish("q", &n.to_string());
            }
            publisher.sync();
        });
        assert_eq!(next_delivery(&mut lost).1, 0);
        drop(lost);
        publishing.join().unwrap();
        world.wait_until("every message is ready again", |broker| {
            let stats = world::stats(broker, queue);
            stats.ready == MESSAGES as u64 && stats.unacked == 0 && stats.consumers == 0
        });
        world.purge(queue);
    }
}

#[test]
fn a_prefetch_of_the_channel_keeps_the_order_across_shards() {
    const MESSAGES: usize = 5_000;
    let world = World::start(2);
    world.declare("q", 0);
    let mut consumer = world.connect(1);
    consumer.call(BasicQos { prefetch_size: 0, prefetch_count: 3, global: true });
    consumer.call(consume("q", false));
    let mut publisher = world.connect(0);
    let publishing = std::thread::spawn(move || {
        for n in 0..MESSAGES {
            publisher.publish("q", &n.to_string());
            if n % 3 == 0 {
                publisher.sync();
            }
        }
    });
    for n in 0..MESSAGES {
        let (tag, number, redelivered) = next_delivery(&mut consumer);
        assert_eq!((number, redelivered), (n, false));
        consumer.send(BasicAck { delivery_tag: tag, multiple: false });
    }
    publishing.join().unwrap();
}

#[test]
fn what_a_transaction_had_settled_returns_with_its_channel() {
    let world = World::start(2);
    for shard in 0..2 {
        let name = format!("q{shard}");
        let queue = world.declare(&name, shard);
        let mut client = world.connect(0);
        client.publish(&name, "1");
        client.sync();
        client.call(TxSelect {});
        client.send(BasicGet { queue: &name, no_ack: false });
        let tag = client.method(|method| match method {
            Method::BasicGetOk(got) => Some(got.delivery_tag),
            _ => None,
        });
        assert_eq!(client.body(), "1");
        client.send(BasicAck { delivery_tag: tag, multiple: false });
        client.call(ChannelClose { reply_code: 200, reply_text: "", class_id: 0, method_id: 0 });
        world.wait_until("the message is ready again", |broker| {
            let stats = world::stats(broker, queue);
            stats.ready == 1 && stats.unacked == 0
        });
    }
}

#[test]
fn a_message_expires_in_time_whatever_the_shard_waits_for() {
    let world = World::start(1);
    let queue = world.declare("q", 0);
    let mut client = world.connect(0);
    // The shard's inbox learns of a deadline far away, and sleeps.
    client.publish_expiring("q", 600_000);
    client.sync();
    assert_eq!(world::stats(&world.broker, queue).ready, 1);
    let soon = world.declare("soon", 0);
    world::stats(&world.broker, soon);
    client.publish_expiring("soon", 20);
    client.sync();
    // Asking would wake it, so it is asked once, much later.
    client.pause(Duration::from_millis(400));
    assert_eq!(world::stats(&world.broker, soon).ready, 0);
}

#[test]
fn a_client_that_reads_nothing_is_asked_nothing_more() {
    let world = World::start(1);
    let mut client = world.connect(0);
    let body = "x".repeat(100_000);
    client.set_write_timeout(Duration::from_millis(500));
    // Each comes back, since it is mandatory; nobody reads it.
    let sent = (0..2_000).take_while(|_| client.try_publish_mandatory("nowhere", &body)).count();
    assert!(sent < 1_000, "{sent} messages were taken");
    assert!(world.connect(0).is_open(), "others go on");
}
