//! Exchanges that delay: when, by which bindings, and what ends what waits.

use shunt_types::{ExchangeName, Message, Properties, QueueId, Value, VhostName};

use super::harness::{Arguments, World, body, message, table, to_queue};
use crate::Actor;
use crate::PublishOutcome;
use crate::metadata::Command;

fn delayed(kind: &str) -> [(&'static str, Value); 1] {
    [("x-delayed-type", kind.into())]
}

fn delay(ms: i32) -> [(&'static str, Value); 1] {
    [("x-delay", Value::I32(ms))]
}

/// An exchange `d` of that type, and a queue `q` bound by the key `k`.
fn world(shards: u16, kind: &str) -> (World, QueueId) {
    let world = World::new(shards);
    world.exchange("d", "x-delayed-message", &delayed(kind)).unwrap();
    let queue = world.queue("q", &[]);
    world.bind("d", "q", "k");
    (world, queue)
}

fn name(exchange: &str) -> ExchangeName {
    ExchangeName::new(exchange).unwrap()
}

fn send(world: &mut World, body: &str, headers: Arguments<'_>) -> PublishOutcome {
    let outcome = world.publish_from(0, message("d", "k", headers, body), None).unwrap();
    world.run();
    outcome
}

/// How many messages wait.
fn waiting(world: &mut World) -> Option<u64> {
    let queue = world.broker.waiting_queue(&world.vhost, &name("d"))?;
    Some(world.stats(queue)?.ready)
}

#[test]
fn messages_come_in_the_order_in_which_they_are_due() {
    for shards in [1, 3] {
        let (mut world, queue) = world(shards, "direct");
        for (body, ms) in [("c", 500), ("a", 100), ("b", 300), ("a2", 100), ("d", 501)] {
            let outcome = send(&mut world, body, &delay(ms));
            assert!(matches!(outcome, PublishOutcome::Routed { .. }), "mandatory or not");
        }
        send(&mut world, "now", &[]);
        send(&mut world, "negative", &delay(-5));
        assert_eq!(waiting(&mut world), Some(5));
        assert_eq!(world.bodies(queue), ["now", "negative"]);
        world.pass(99);
        assert_eq!(world.bodies(queue), [""; 0]);
        world.pass(1);
        assert_eq!(world.bodies(queue), ["a", "a2"]);
        world.pass(400);
        assert_eq!(world.bodies(queue), ["b", "c"]);
        world.pass(1);
        assert_eq!(world.bodies(queue), ["d"]);
        assert_eq!(waiting(&mut world), Some(0));
    }
}

#[test]
fn what_is_due_tells_that_it_waited() {
    let (mut world, queue) = world(1, "direct");
    for (value, told) in [
        (Value::I32(7), Value::I32(-7)),
        (Value::from("8"), Value::I32(-8)),
        (Value::I64(4_000_000_000), Value::I64(-4_000_000_000)),
    ] {
        let headers = [("x-delay", value), ("mine", Value::I32(1))];
        let properties = Properties {
            headers: Some(table(&headers)),
            message_id: Some("m".into()),
            expiration: Some("5".into()),
            ..Properties::default()
        };
        let sent = Message::build("d", "k", &properties, b"body").unwrap();
        world.publish_from(0, sent, None).unwrap();
        world.pass(4_000_000_000);
        // Its time to live begins when it enters the queue.
        let got = world.drain(queue).remove(0);
        assert_eq!((got.exchange(), got.routing_key()), ("d", "k"));
        let headers = Some(table(&[("x-delay", told), ("mine", Value::I32(1))]));
        assert_eq!(got.properties().to_owned(), Properties { headers, ..properties });
    }
}

#[test]
fn the_bindings_of_then_decide() {
    let (mut world, queue) = world(2, "topic");
    let later = world.queue("later", &[]);
    send(&mut world, "m", &delay(10));
    world.broker.unbind(&world.vhost, Actor::NODE, to_queue("d", "q", "k")).unwrap();
    world.bind("d", "later", "#");
    world.pass(10);
    assert_eq!((world.bodies(queue), world.bodies(later)), (vec![], vec!["m".to_owned()]));

    world.broker.unbind(&world.vhost, Actor::NODE, to_queue("d", "later", "#")).unwrap();
    send(&mut world, "to nobody", &delay(10));
    world.pass(10);
    assert_eq!(waiting(&mut world), Some(0));
}

#[test]
fn an_alternate_exchange_gets_what_is_unroutable_when_it_is_due() {
    let mut world = World::new(1);
    let arguments = [delayed("direct")[0].clone(), ("alternate-exchange", "amq.fanout".into())];
    world.exchange("d", "x-delayed-message", &arguments).unwrap();
    let spare = world.queue("spare", &[]);
    world.bind("amq.fanout", "spare", "");
    send(&mut world, "m", &delay(10));
    assert_eq!(world.bodies(spare), [""; 0], "it waits, so it isn't unroutable yet");
    world.pass(10);
    assert_eq!(world.bodies(spare), ["m"]);
}

#[test]
fn every_key_counts_then_and_no_consumer_sees_bcc() {
    let (mut world, queue) = world(1, "direct");
    let [copied, blind] = ["copied", "blind"].map(|name| {
        let queue = world.queue(name, &[]);
        world.bind("d", name, name);
        queue
    });
    let keys = |key: &str| Value::Array(vec![key.into()]);
    let headers = [delay(10)[0].clone(), ("CC", keys("copied")), ("BCC", keys("blind"))];
    send(&mut world, "m", &headers);
    world.pass(10);
    for queue in [queue, copied, blind] {
        let got = world.drain(queue);
        assert_eq!(got.len(), 1);
        let headers = got[0].properties().to_owned().headers.unwrap();
        assert_eq!((headers.get("CC").is_some(), headers.get("BCC")), (true, None));
    }
}

#[test]
fn another_delayed_exchange_behind_does_not_delay_again() {
    let (mut world, queue) = world(1, "fanout");
    world.exchange("front", "x-delayed-message", &delayed("fanout")).unwrap();
    world.bind_exchange("front", "d");
    world.publish_from(0, message("front", "k", &delay(10), "m"), None).unwrap();
    world.pass(10);
    assert_eq!(world.bodies(queue), ["m"]);
    // An exchange before it passes the message on, and it waits behind.
    world.bind_exchange("amq.fanout", "d");
    world.publish_from(0, message("amq.fanout", "k", &delay(10), "behind"), None).unwrap();
    assert_eq!(waiting(&mut world), Some(1));
    world.pass(10);
    assert_eq!(world.bodies(queue), ["behind"]);
}

#[test]
fn what_waits_goes_with_its_exchange() {
    let (mut world, queue) = world(2, "direct");
    send(&mut world, "cancelled", &delay(10));
    world.broker.delete_exchange(&world.vhost, Actor::NODE, &name("d"), false).unwrap();
    world.run();
    // Another one of its name has nothing to do with it.
    world.exchange("d", "x-delayed-message", &delayed("direct")).unwrap();
    world.bind("d", "q", "k");
    assert_eq!(waiting(&mut world), Some(0));
    send(&mut world, "kept", &delay(20));
    world.pass(20);
    assert_eq!(world.bodies(queue), ["kept"]);
}

#[test]
fn it_goes_with_the_virtual_host_and_with_the_last_binding_too() {
    let mut world = World::new(1);
    world.exchange("auto-d", "x-delayed-message", &delayed("direct")).unwrap();
    let gone = world.broker.waiting_queue(&world.vhost, &name("auto-d")).unwrap();
    world.queue("q", &[]);
    world.bind("auto-d", "q", "k");
    world.broker.unbind(&world.vhost, Actor::NODE, to_queue("auto-d", "q", "k")).unwrap();
    assert_eq!(world.stats(gone), None);
    world.exchange("d", "x-delayed-message", &delayed("direct")).unwrap();
    let gone = world.broker.waiting_queue(&world.vhost, &name("d")).unwrap();
    assert!(world.stats(gone).is_some());
    world.broker.delete_vhost(&world.vhost.clone(), Actor::NODE).unwrap();
    assert_eq!(world.stats(gone), None);
}

#[test]
fn no_client_sees_the_queue() {
    let (mut world, queue) = world(1, "direct");
    send(&mut world, "m", &delay(10));
    let known: Vec<_> = world.shards[0].all_queue_stats().into_iter().map(|(id, _)| id).collect();
    assert_eq!(known, [queue]);
    assert_eq!(world.listing().matches("QueueDefinition").count(), 1);
    assert_eq!(world.broker.counters().queues_created.get(), 1);
    world.broker.delete_exchange(&world.vhost, Actor::NODE, &name("d"), false).unwrap();
    world.run();
    assert_eq!(world.broker.counters().queues_deleted.get(), 0);
}

#[test]
fn a_crowd_that_is_due_at_once_comes_in_parts_and_in_order() {
    let (mut world, queue) = world(1, "direct");
    let bodies: Vec<String> = (0..2_500).map(|n| n.to_string()).collect();
    for body in &bodies {
        world.publish_from(0, message("d", "k", &delay(1_000), body), None).unwrap();
    }
    world.pass(1_000);
    let (first, left) = (world.stats(queue).unwrap().ready, waiting(&mut world).unwrap());
    assert_eq!(first + left, 2_500);
    assert!(left > 0, "the shard must get to other work in between");
    (0..5).for_each(|_| world.pass(1));
    assert_eq!(world.drain(queue).iter().map(body).collect::<Vec<_>>(), bodies);
}

#[test]
fn a_declaration_must_agree_in_the_type_that_routes() {
    let (world, _) = world(1, "direct");
    world.exchange("d", "x-delayed-message", &delayed("direct")).unwrap();
    let error = world.exchange("d", "x-delayed-message", &delayed("topic")).unwrap_err();
    assert_eq!(
        error.explanation,
        "inequivalent arg 'x-delayed-type' for exchange 'd' in vhost '/': received 'topic' but \
         current is 'direct'"
    );
    let error = world.exchange("e", "x-delayed-message", &[]).unwrap_err();
    assert_eq!(
        error.explanation,
        "missing arg 'x-delayed-type', must be an exchange type other than 'x-delayed-message' \
         (exchange 'e' in vhost '/')"
    );
}

#[test]
fn the_queue_keeps_its_name_in_the_log_over_restarts() {
    let (world, _) = world(2, "direct");
    let uid = |commands: &[Command]| {
        commands.iter().find_map(|command| match command {
            Command::DeclareExchange { exchange, uid, .. } if exchange.name.as_str() == "d" => *uid,
            _ => None,
        })
    };
    let commands = world.log.commands();
    let known = uid(&commands);
    assert!(known.is_some());
    assert_eq!(uid(&world.broker.snapshot(|commands| commands)), known);

    let mut again = World::empty(2);
    for command in &commands {
        again.broker.restore(command.clone()).unwrap();
    }
    assert_eq!(uid(&again.broker.snapshot(|commands| commands)), known);
    again.run();
    assert_eq!(waiting(&mut again), Some(0));

    // What the log deletes again leaves no queue behind.
    let vhost = again.vhost.clone();
    for end in [
        Command::DeleteExchange { vhost: vhost.clone(), exchange: name("d") },
        Command::DeleteVhost { vhost: VhostName::new("/").unwrap() },
    ] {
        let mut deleted = World::empty(1);
        for command in commands.iter().chain([&end]) {
            deleted.broker.restore(command.clone()).unwrap();
        }
        deleted.run();
        assert_eq!(waiting(&mut deleted), None);
        let left = deleted.shards[0].queue_count();
        assert_eq!(left, usize::from(matches!(end, Command::DeleteExchange { .. })));
    }
}
