//! Dead letters: where they go and what they tell.

use shunt_types::{FieldTable, Message, Properties, Value};

use super::harness::{Arguments, World, body, message, table};
use crate::queue::Settlement;
use crate::{PublishOptions, Publisher, RemotePublisher};

fn deaths(message: &Message) -> Vec<FieldTable> {
    let headers = message.properties().to_owned().headers.unwrap_or_default();
    let Some(Value::Array(deaths)) = headers.get("x-death").cloned() else { return Vec::new() };
    let tables = deaths.into_iter().filter_map(|death| match death {
        Value::Table(death) => Some(death),
        _ => None,
    });
    tables.collect()
}

fn story(message: &Message) -> Vec<String> {
    let told = |death: &FieldTable| {
        let text = |name: &str| death.get(name).and_then(Value::as_text).unwrap_or("?").to_owned();
        let count = death.get("count").and_then(Value::as_integer).unwrap_or(0);
        format!("{} in {} {count}x", text("reason"), text("queue"))
    };
    deaths(message).iter().map(told).collect()
}

pub(super) fn dead_lettering(to: &str, key: &str) -> [(&'static str, Value); 2] {
    [("x-dead-letter-exchange", to.into()), ("x-dead-letter-routing-key", key.into())]
}

fn with<'a>(a: &[(&'a str, Value)], b: Arguments<'a>) -> Vec<(&'a str, Value)> {
    a.iter().cloned().chain(b.iter().cloned()).collect()
}

#[test]
fn a_rejected_message_tells_its_story() {
    let mut world = World::new(1);
    let work = world.queue("work", &dead_lettering("amq.direct", "dead"));
    let dead = world.queue("dead", &[]);
    world.bind("amq.direct", "dead", "dead");
    world.bind("amq.topic", "work", "#");
    let properties = Properties {
        expiration: Some("60000".into()),
        headers: Some(table(&[("mine", Value::I32(1))])),
        ..Properties::default()
    };
    let sent = Message::build("amq.topic", "a.b", &properties, b"m").unwrap();
    world.publish_from(0, sent, None).unwrap();
    let (delivery, _) = world.shards[0].fetch(work, false).unwrap().unwrap();
    world.settle(&delivery, Settlement::Reject);
    let got = world.drain(dead);
    assert_eq!(got.len(), 1);
    assert_eq!((got[0].exchange(), got[0].routing_key()), ("amq.direct", "dead"));
    let properties = got[0].properties().to_owned();
    assert_eq!(properties.expiration, None, "or it would die again");
    let headers = properties.headers.unwrap();
    let expected = table(&[
        ("count", Value::I64(1)),
        ("reason", "rejected".into()),
        ("queue", "work".into()),
        ("time", Value::Timestamp(1_000)),
        ("exchange", "amq.topic".into()),
        ("routing-keys", Value::Array(vec!["a.b".into()])),
        ("original-expiration", "60000".into()),
    ]);
    assert_eq!(headers.get("x-death"), Some(&Value::Array(vec![expected.into()])));
    assert_eq!(headers.get("mine"), Some(&Value::I32(1)));
    for (name, value) in [("reason", "rejected"), ("queue", "work"), ("exchange", "amq.topic")] {
        for when in ["first", "last"] {
            let header = headers.get(&format!("x-{when}-death-{name}"));
            assert_eq!(header.and_then(Value::as_text), Some(value), "{when} {name}");
        }
    }
}

#[test]
fn every_reason_has_its_name_and_each_queue_its_count() {
    let mut world = World::new(2);
    let ttl = [("x-message-ttl", Value::I32(10))];
    let retry = world.queue("retry", &with(&dead_lettering("", "work"), &ttl));
    let bound = [("x-max-length", Value::I32(1))];
    let work = world.queue("work", &with(&dead_lettering("", "retry"), &bound));
    world.publish("", "work", "old");
    world.publish("", "work", "new");
    world.run();
    assert_eq!(world.stats(retry).unwrap().ready, 1, "the old one was dropped for the new one");
    let (delivery, _) = world.shard(work).fetch(work, false).unwrap().unwrap();
    assert_eq!(body(&delivery.message), "new");
    world.settle(&delivery, Settlement::Reject);
    world.pass(10);
    // Both come back, one after the other, into a queue that holds one.
    let got = world.drain(work);
    assert_eq!(got.iter().map(body).collect::<Vec<_>>(), ["new"]);
    assert_eq!(story(&got[0]), ["expired in retry 1x", "rejected in work 1x"]);
}

#[test]
fn a_circle_without_a_reject_ends() {
    let mut world = World::new(2);
    let ttl = [("x-message-ttl", Value::I32(10))];
    let a = world.queue("a", &with(&dead_lettering("", "b"), &ttl));
    let b = world.queue("b", &with(&dead_lettering("", "a"), &ttl));
    world.publish("", "a", "m");
    for _ in 0..3 {
        world.pass(10);
    }
    assert_eq!(world.stats(a).unwrap().ready + world.stats(b).unwrap().ready, 0);
    assert_eq!(world.stats(a).unwrap().published, 1, "it did not come back");
}

#[test]
fn without_a_key_the_own_one_leads_and_with_one_that_alone() {
    let keys = || Value::Array(vec!["copy".into()]);
    for (arguments, copied) in [(&dead_lettering("amq.direct", "dead")[..], 0), (&[], 1)] {
        let mut world = World::new(1);
        let own = [("x-dead-letter-exchange", Value::from("amq.direct"))];
        let arguments = if arguments.is_empty() { &own[..] } else { arguments };
        world.queue("work", arguments);
        let (dead, copy) = (world.queue("dead", &[]), world.queue("copies", &[]));
        for key in ["dead", "work"] {
            world.bind("amq.direct", "dead", key);
        }
        world.bind("amq.direct", "copies", "copy");
        let sent = message("", "work", &[("CC", keys())], "m");
        world.publish_from(0, sent, None).unwrap();
        let work = world.queue("work", arguments);
        let (delivery, _) = world.shards[0].fetch(work, false).unwrap().unwrap();
        world.settle(&delivery, Settlement::Reject);
        let got = world.drain(dead);
        assert_eq!(got.len(), 1);
        let headers = got[0].properties().to_owned().headers.unwrap();
        assert_eq!(headers.get("CC"), Some(&keys()), "kept for the consumer to see");
        assert_eq!(world.drain(copy).len(), copied);
    }
}

#[test]
fn without_its_exchange_a_dead_message_is_gone() {
    let mut world = World::new(1);
    let queue = world.queue("q", &dead_lettering("no such", "k"));
    world.publish("", "q", "m");
    let (delivery, _) = world.shards[0].fetch(queue, false).unwrap().unwrap();
    world.settle(&delivery, Settlement::Reject);
    let stats = world.stats(queue).unwrap();
    assert_eq!((stats.ready, stats.unacked), (0, 0));
}

#[test]
fn purge_and_deletion_do_not_dead_letter() {
    let mut world = World::new(1);
    let queue = world.queue("q", &dead_lettering("", "dead"));
    let dead = world.queue("dead", &[]);
    world.publish("", "q", "m");
    assert_eq!(world.shards[0].purge(queue), Ok(1));
    world.publish("", "q", "m");
    assert_eq!(world.shards[0].delete_queue(queue, Default::default()), Ok(1));
    assert!(world.bodies(dead).is_empty());
}

#[test]
fn a_letter_to_a_queue_made_just_now_arrives() {
    let mut world = World::new(1);
    let bounded = [("x-max-length", Value::I32(1))];
    let full = world.queue("full", &with(&dead_lettering("", "late"), &bounded));
    world.publish("", "full", "old");
    // The inbox holds, in this order: a message that drops the old one, the creation of the queue
    // that the old one goes to.
    let topology = world.broker.vhost("/").unwrap().topology();
    let exchange = topology.find_exchange("").unwrap();
    let options = PublishOptions { topology: &topology, exchange, user: "guest", confirm: None };
    let mut publisher = RemotePublisher::new(world.broker.clone());
    publisher.publish(&options, message("", "full", &[], "new")).unwrap();
    publisher.flush();
    let late = world.queue("late", &[]);
    assert_eq!(world.bodies(late), ["old"]);
    assert_eq!(world.bodies(full), ["new"]);
}

#[test]
fn a_long_chain_of_full_queues_needs_no_stack() {
    let mut world = World::new(1);
    const LENGTH: usize = 3_000;
    for n in 0..LENGTH {
        let next = format!("q{}", n + 1);
        let bounded = [("x-max-length", Value::I32(1))];
        world.queue(&format!("q{n}"), &with(&dead_lettering("", &next), &bounded));
        world.publish("", &format!("q{n}"), "first");
    }
    let last = world.queue(&format!("q{LENGTH}"), &[]);
    world.publish("", "q0", "one too many");
    assert_eq!(world.bodies(last), ["first"]);
}
