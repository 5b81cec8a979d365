//! The end of queues, exchanges and virtual hosts.

use std::sync::Arc;

use shunt_types::{ExchangeName, QueueId, Value, VhostName};

use super::harness::{Arguments, Log, World, message, table, to_exchange, to_queue};
use crate::metadata::Command;
use crate::queue::{ConsumerOptions, Settlement};
use crate::{Actor, DeleteOptions};

fn exists(world: &World, queue: &str) -> bool {
    world.broker.vhost("/").is_some_and(|vhost| vhost.topology().find_queue(queue).is_ok())
}

fn exchange_exists(world: &World, name: &str) -> bool {
    world.broker.exchange_definition(&world.vhost, &ExchangeName::new(name).unwrap()).is_some()
}

fn auto_delete(world: &World, name: &str, arguments: Arguments<'_>) -> QueueId {
    let arguments = Arc::new(table(arguments));
    let declared = world.declare(name, |queue| {
        queue.definition.auto_delete = true;
        queue.definition.arguments = arguments;
    });
    declared.unwrap().queue.id
}

#[test]
fn messages_expire_by_the_clock_alone() {
    let mut world = World::new(1);
    let queue = world.queue("q", &[("x-message-ttl", Value::I32(10))]);
    world.publish("", "q", "1");
    world.pass(5);
    world.publish("", "q", "2");
    world.pass(5);
    assert_eq!(world.stats(queue).unwrap().ready, 1);
    world.pass(5);
    assert_eq!(world.stats(queue).unwrap().ready, 0);
    assert_eq!(world.shards[0].next_deadline_ms(), None);
}

/// A time to live of 0: delivered at once or never, and once only, however quick its consumer is.
#[test]
fn what_lives_for_no_time_is_not_delivered_again() {
    let mut world = World::new(1);
    let queue = world.queue("q", &[("x-message-ttl", Value::I32(0))]);
    world.run();
    world.publish("", "q", "nobody is there");
    assert_eq!(world.stats(queue).unwrap().ready, 0);
    let user = world.consume(queue, ConsumerOptions::default());
    world.publish("", "q", "now");
    assert_eq!(user.bodies(), ["now"]);
    let delivery = user.take().remove(0);
    world.settle(&delivery, Settlement::Requeue);
    assert_eq!(user.bodies(), [""; 0]);
    assert_eq!(world.stats(queue).unwrap().ready, 0);
}

#[test]
fn an_unused_queue_goes_when_its_time_is_over() {
    let mut world = World::new(1);
    let queue = world.queue("q", &[("x-expires", Value::I32(10))]);
    world.run();
    let user = world.consume(queue, ConsumerOptions::default());
    world.pass(100);
    assert!(exists(&world, "q"), "in use");
    world.shards[0].tick();
    world.shards[0].cancel(user.consumer());
    world.shards[0].flush();
    world.pass(9);
    assert!(exists(&world, "q"));
    world.pass(1);
    assert!(!exists(&world, "q"));
    assert!(world.stats(queue).is_none());
}

#[test]
fn queues_that_come_and_go_leave_no_deadlines() {
    let mut world = World::new(1);
    for _ in 0..10_000 {
        let queue = world.queue("q", &[("x-expires", Value::I32(1_000_000))]);
        world.shards[0].run_inbox();
        world.shards[0].delete_queue(queue, DeleteOptions::default()).unwrap();
    }
    assert!(world.shards[0].deadlines.len() < 1_000, "{}", world.shards[0].deadlines.len());
}

#[test]
fn an_auto_delete_queue_goes_with_its_last_consumer_and_not_before_it_had_one() {
    let mut world = World::new(1);
    let queue = auto_delete(&world, "q", &[]);
    world.run();
    let [a, b] = [(); 2].map(|()| world.consume(queue, ConsumerOptions::default()));
    world.shards[0].cancel(a.consumer());
    assert!(exists(&world, "q"));
    world.shards[0].cancel(a.consumer());
    assert!(exists(&world, "q"), "it was gone already");
    world.shards[0].cancel(b.consumer());
    assert!(!exists(&world, "q"));
    assert!(!a.get().cancelled && !b.get().cancelled, "they cancelled themselves");
}

#[test]
fn a_poll_that_ends_is_no_end_of_consuming() {
    let mut world = World::new(1);
    let queue = auto_delete(&world, "q", &[]);
    let poll = world.consume(queue, ConsumerOptions::default());
    world.shards[0].withdraw(poll.consumer());
    assert!(exists(&world, "q"));
}

#[test]
fn deletion_asks_its_conditions_and_tells_the_consumers() {
    let mut world = World::new(1);
    let queue = world.queue("q", &[]);
    let used = world.consume(queue, ConsumerOptions { prefetch: 1, ..Default::default() });
    world.publish("", "q", "1");
    world.publish("", "q", "2");
    let mut delete = |if_unused, if_empty| {
        let options = DeleteOptions { if_unused, if_empty, user: None };
        world.shards[0].delete_queue(queue, options).map_err(|error| error.to_string())
    };
    let refused = |text: &str| Err(format!("PRECONDITION_FAILED - queue 'q' in vhost '/' {text}"));
    assert_eq!(delete(true, false), refused("in use"));
    assert_eq!(delete(false, true), refused("not empty"));
    assert_eq!(delete(false, false), Ok(1), "ready ones count");
    assert_eq!(delete(true, true), Ok(0), "it is gone");
    assert!(used.get().cancelled);
    world.settle(&used.take()[0], Settlement::Requeue);
    assert!(!exists(&world, "q"));
}

#[test]
fn an_id_of_before_reaches_nobody_in_the_slot_used_again() {
    let mut world = World::new(1);
    let old = world.queue("q", &[]);
    let waiting = world.consume(old, ConsumerOptions::default());
    world.publish("", "q", "1");
    let delivery = waiting.take().remove(0);
    world.shards[0].delete_queue(old, DeleteOptions::default()).unwrap();
    let new = world.queue("q", &[]);
    assert_eq!((old.slot(), old == new), (new.slot(), false));
    world.publish("", "q", "2");
    let (fresh, _) = world.shards[0].fetch(new, false).unwrap().unwrap();
    world.settle(&delivery, Settlement::Ack);
    world.shards[0].return_undelivered(waiting.consumer().id, delivery);
    world.shards[0].cancel(waiting.consumer());
    assert!(world.shards[0].fetch(old, true).is_err());
    let stats = world.stats(new).unwrap();
    assert_eq!((stats.ready, stats.unacked), (0, 1));
    assert!(world.shards[0].settle_now(new, fresh.id.unwrap(), Settlement::Ack));
}

#[test]
fn auto_delete_exchanges_fall_one_after_the_other() {
    let mut world = World::new(1);
    for name in ["auto-1", "auto-2", "stays"] {
        world.exchange(name, "fanout", &[]).unwrap();
    }
    let queue = world.queue("q", &[]);
    world.bind_exchange("stays", "auto-1");
    world.bind_exchange("auto-1", "auto-2");
    world.bind("auto-2", "q", "");
    world.run();
    world.shards[0].delete_queue(queue, DeleteOptions::default()).unwrap();
    assert!(!exchange_exists(&world, "auto-2") && !exchange_exists(&world, "auto-1"));
    assert!(exchange_exists(&world, "stays"));
    let explicit = |world: &World| {
        world.broker.bindings(&world.vhost).iter().filter(|b| !b.source.is_default()).count()
    };
    assert_eq!(explicit(&world), 0);
    // By hand, and only where the exchange was the source.
    world.exchange("auto-3", "fanout", &[]).unwrap();
    world.queue("q", &[]);
    world.bind("auto-3", "q", "");
    world.bind_exchange("stays", "auto-3");
    world.broker.unbind(&world.vhost, Actor::NODE, to_exchange("stays", "auto-3")).unwrap();
    assert!(exchange_exists(&world, "auto-3"));
    world.broker.unbind(&world.vhost, Actor::NODE, to_queue("auto-3", "q", "")).unwrap();
    assert!(!exchange_exists(&world, "auto-3"));
}

#[test]
fn a_long_chain_of_auto_delete_exchanges_needs_no_stack() {
    let mut world = World::new(1);
    const LENGTH: usize = 20_000;
    let queue = world.queue("q", &[]);
    world.run();
    for n in 0..LENGTH {
        world.exchange(&format!("auto-{n}"), "fanout", &[]).unwrap();
    }
    world.bind("auto-0", "q", "");
    for n in 1..LENGTH {
        world.bind_exchange(&format!("auto-{n}"), &format!("auto-{}", n - 1));
    }
    world.shards[0].delete_queue(queue, DeleteOptions::default()).unwrap();
    assert!(!exchange_exists(&world, &format!("auto-{}", LENGTH - 1)));
}

#[test]
fn an_exchange_in_use_is_not_deleted_where_that_is_asked() {
    let world = World::new(1);
    world.exchange("x", "fanout", &[]).unwrap();
    world.queue("q", &[]);
    world.bind("x", "q", "");
    let name = ExchangeName::new("x").unwrap();
    let refused = world.broker.delete_exchange(&world.vhost, Actor::NODE, &name, true).unwrap_err();
    assert_eq!(refused.to_string(), "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use");
    world.broker.delete_exchange(&world.vhost, Actor::NODE, &name, false).unwrap();
    assert!(
        world.broker.delete_exchange(&world.vhost, Actor::NODE, &name, true).is_ok(),
        "gone already"
    );
}

#[test]
fn a_virtual_host_goes_with_its_queues() {
    let mut world = World::new(2);
    let queues = [world.queue("a", &[]), world.queue("b", &[])];
    let consumer = world.consume(queues[0], ConsumerOptions::default());
    let vhost = world.broker.vhost("/").unwrap();
    world.broker.delete_vhost(&world.vhost, Actor::NODE).unwrap();
    world.run();
    assert!(vhost.is_deleted());
    assert!(consumer.get().cancelled);
    assert_eq!(queues.map(|queue| world.stats(queue)), [None, None]);
    assert!(world.broker.delete_vhost(&world.vhost, Actor::NODE).is_err());
    assert_eq!(world.broker.counters().queues_deleted.get(), 2);
}

#[test]
fn a_virtual_host_made_again_at_once_keeps_its_own_queues() {
    let mut world = World::new(1);
    let old = world.queue("q", &[]);
    world.run();
    world.broker.delete_vhost(&world.vhost, Actor::NODE).unwrap();
    world.broker.create_vhost(&world.vhost, Actor::NODE);
    let new = world.queue("q", &[]);
    // Only now does the shard hear of the end of the old one.
    world.run();
    assert!(exists(&world, "q"));
    assert!(world.stats(old).is_none());
    world.publish_from(0, message("", "q", &[], "m"), None).unwrap();
    assert_eq!(world.bodies(new), ["m"]);
    let deleted = |log: &Log| {
        log.commands().iter().any(|command| matches!(command, Command::DeleteQueue { .. }))
    };
    assert!(!deleted(&world.log));
    assert!(world.broker.vhost("other").is_none());
    assert!(world.broker.create_vhost(&VhostName::new("other").unwrap(), Actor::NODE).0);
}

#[test]
fn a_protected_virtual_host_stays() {
    let world = World::new(1);
    world
        .broker
        .change_vhost(&world.vhost, Actor::NODE, |vhost| vhost.is_protected = true)
        .unwrap();
    let error = world.broker.delete_vhost(&world.vhost, Actor::NODE).unwrap_err();
    assert!(error.explanation.ends_with("'/': it is protected from deletion"), "{error}");
    world
        .broker
        .change_vhost(&world.vhost, Actor::NODE, |vhost| vhost.is_protected = false)
        .unwrap();
    world.broker.delete_vhost(&world.vhost, Actor::NODE).unwrap();
}

#[test]
fn a_virtual_host_has_no_more_queues_than_it_may() {
    let world = World::new(1);
    world.queue("a", &[]);
    world
        .broker
        .change_vhost(&world.vhost, Actor::NODE, |vhost| vhost.limits.max_queues = Some(1))
        .unwrap();
    let error = world.declare("b", |_| {}).err().unwrap();
    let text = "cannot declare queue 'b': queue limit in vhost '/' (1) is reached";
    assert_eq!(error.explanation, text);
    // What is there may be declared again.
    assert!(!world.declare("a", |_| {}).unwrap().created);
    world
        .broker
        .change_vhost(&world.vhost, Actor::NODE, |vhost| vhost.limits.max_queues = Some(-1))
        .unwrap();
    world.declare("b", |_| {}).unwrap();
}
