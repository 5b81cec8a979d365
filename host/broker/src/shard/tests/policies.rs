//! Policies set and cleared while queues and exchanges are there.

use std::sync::Arc;

use shunt_types::{Value, VhostName};

use super::harness::{Arguments, World, message, table};
use crate::Actor;
use crate::PublishOutcome;
use crate::metadata::Command;
use crate::policy::{ApplyTo, Policy, PolicyDefinition, PolicyKind};

fn policy(name: &str, pattern: &str, settings: Arguments<'_>) -> PolicyDefinition {
    PolicyDefinition {
        name: name.into(),
        pattern: pattern.into(),
        apply_to: ApplyTo::All,
        priority: 0,
        settings: Arc::new(table(settings)),
    }
}

impl World {
    fn set(&mut self, kind: PolicyKind, definition: PolicyDefinition) {
        let policy = Policy::new(kind, definition).unwrap();
        self.broker.set_policy(&self.vhost, Actor::NODE, kind, policy).unwrap();
        self.run();
    }

    pub(super) fn set_user(&mut self, name: &str, pattern: &str, settings: Arguments<'_>) {
        self.set(PolicyKind::User, policy(name, pattern, settings));
    }

    pub(super) fn clear(&mut self, name: &str) {
        let cleared =
            self.broker.clear_policy(&self.vhost, Actor::NODE, PolicyKind::User, name).unwrap();
        assert!(cleared.is_some());
        self.run();
    }

    fn publish_all(&mut self, queue: &str, bodies: &[&str]) {
        for body in bodies {
            self.publish("", queue, body);
        }
    }
}

#[test]
fn bounds_come_and_go_with_a_policy() {
    let mut world = World::new(2);
    let queues = ["a", "b"].map(|name| world.queue(name, &[]));
    for name in ["a", "b"] {
        world.publish_all(name, &["1", "2", "3"]);
    }
    world.set_user("short", "^[ab]$", &[("max-length", Value::I32(2))]);
    assert_eq!(world.bodies(queues[0]), ["2", "3"]);
    assert_eq!(world.bodies(queues[1]), ["2", "3"]);
    // One that is declared later goes by it too, another name doesn't.
    let [later, other] = ["b2", "c"].map(|name| world.queue(name, &[]));
    world.set_user("short", "^b", &[("max-length", Value::I32(1))]);
    for name in ["a", "b2", "c"] {
        world.publish_all(name, &["1", "2", "3"]);
    }
    assert_eq!(world.bodies(queues[0]), ["1", "2", "3"]);
    assert_eq!(world.bodies(later), ["3"]);
    assert_eq!(world.bodies(other), ["1", "2", "3"]);
    world.clear("short");
    world.publish_all("b2", &["1", "2"]);
    assert_eq!(world.bodies(later), ["1", "2"]);
}

#[test]
fn an_argument_and_a_policy_are_merged_as_in_rabbitmq() {
    let mut world = World::new(1);
    let strict = world.queue("strict", &[("x-max-length", Value::I32(1))]);
    let wide = world.queue("wide", &[("x-max-length", Value::I32(9))]);
    let refusing = world.queue("refusing", &[("x-overflow", "reject-publish".into())]);
    let dead = ["by-argument", "by-policy"].map(|name| world.queue(name, &[]));
    let lettered = world.queue(
        "lettered",
        &[
            ("x-dead-letter-exchange", "".into()),
            ("x-dead-letter-routing-key", "by-argument".into()),
        ],
    );
    let settings = [
        ("max-length", Value::I32(2)),
        ("overflow", "drop-head".into()),
        ("dead-letter-exchange", "".into()),
        ("dead-letter-routing-key", "by-policy".into()),
    ];
    world.set_user("p", "^(strict|wide|refusing|lettered)$", &settings);
    for name in ["strict", "wide", "refusing", "lettered"] {
        world.publish_all(name, &["1", "2", "3"]);
    }
    assert_eq!(world.bodies(strict), ["3"]);
    assert_eq!(world.bodies(wide), ["2", "3"]);
    assert_eq!(world.bodies(refusing), ["1", "2"]);
    assert_eq!(world.bodies(lettered), ["2", "3"]);
    assert_eq!(world.bodies(dead[0]), ["1"]);
    assert_eq!(world.bodies(dead[1]), ["1", "2", "1"]);
}

#[test]
fn an_operators_limit_holds_against_a_users_policy_and_without_one() {
    let mut world = World::new(1);
    let [a, b] = ["a", "b"].map(|name| world.queue(name, &[]));
    let limit = policy("limit", ".*", &[("max-length", Value::I32(2))]);
    world.set(PolicyKind::Operator, limit);
    world.set_user("long", "^a", &[("max-length", Value::I32(5))]);
    for name in ["a", "b"] {
        world.publish_all(name, &["1", "2", "3"]);
    }
    assert_eq!((world.bodies(a).len(), world.bodies(b).len()), (2, 2));
}

#[test]
fn time_to_live_by_policy_is_for_messages_that_come_later() {
    let mut world = World::new(1);
    let queue = world.queue("q", &[]);
    world.publish_all("q", &["old"]);
    world.set_user("ttl", "q", &[("message-ttl", Value::I32(10))]);
    world.pass(20);
    assert_eq!(world.bodies(queue), ["old"]);
    world.publish_all("q", &["new"]);
    world.pass(10);
    assert_eq!(world.stats(queue).unwrap().ready, 0);
    world.clear("ttl");
    world.publish_all("q", &["later"]);
    world.pass(1_000);
    assert_eq!(world.bodies(queue), ["later"]);
}

#[test]
fn an_unused_queue_expires_from_the_time_that_a_policy_says_so() {
    let mut world = World::new(1);
    let queue = world.queue("q", &[]);
    world.pass(1_000);
    world.set_user("e", "q", &[("expires", Value::I32(10))]);
    world.pass(9);
    assert!(world.stats(queue).is_some());
    world.pass(1);
    assert!(world.stats(queue).is_none());
}

#[test]
fn what_is_dead_already_goes_where_it_went_then() {
    let mut world = World::new(1);
    let dead = ["first", "second"].map(|name| world.queue(name, &[]));
    let settings =
        |key: &str| [("dead-letter-exchange", "".into()), ("dead-letter-routing-key", key.into())];
    world.set_user("p", "^q$", &settings("first"));
    let limited = world.queue("q", &[("x-max-length", Value::I32(0))]);
    world.publish_all("q", &["1"]);
    world.set_user("p", "^q$", &settings("second"));
    world.publish_all("q", &["2"]);
    world.clear("p");
    world.publish_all("q", &["3"]);
    assert!(world.bodies(limited).is_empty());
    assert_eq!(world.bodies(dead[0]), ["1"]);
    assert_eq!(world.bodies(dead[1]), ["2"]);
}

#[test]
fn an_alternate_exchange_by_policy_stands_behind_the_argument() {
    let mut world = World::new(1);
    let [a, b] = ["a", "b"].map(|name| world.queue(name, &[]));
    for (exchange, queue) in [("alt-a", "a"), ("alt-b", "b")] {
        world.exchange(exchange, "fanout", &[]).unwrap();
        world.bind(exchange, queue, "");
    }
    world.exchange("plain", "direct", &[]).unwrap();
    world.exchange("own", "direct", &[("alternate-exchange", "alt-b".into())]).unwrap();
    assert!(matches!(world.publish("plain", "k", "0"), PublishOutcome::Unroutable));
    world.set_user("alt", "^(plain|own|late)$", &[("alternate-exchange", "alt-a".into())]);
    world.exchange("late", "direct", &[]).unwrap();
    for exchange in ["plain", "own", "late"] {
        world.publish(exchange, "k", exchange);
    }
    assert_eq!(world.bodies(a), ["plain", "late"]);
    assert_eq!(world.bodies(b), ["own"]);
    world.clear("alt");
    assert!(matches!(world.publish("plain", "k", "0"), PublishOutcome::Unroutable));
    world.publish("own", "k", "own");
    assert_eq!(world.bodies(b), ["own"]);
}

#[test]
fn policies_come_back_with_the_log_and_with_a_snapshot() {
    let mut world = World::new(1);
    world.queue("q", &[]);
    world.exchange("x", "direct", &[]).unwrap();
    let settings = [("max-length", Value::I32(1)), ("alternate-exchange", "amq.fanout".into())];
    world.set_user("p", "", &settings);
    world.set_user("gone", "", &settings);
    world.clear("gone");
    world.set(PolicyKind::Operator, policy("o", "^q", &[("expires", Value::I32(50))]));
    for commands in [world.broker.snapshot(|commands| commands), world.log.commands()] {
        let mut again = World::empty(1);
        for command in commands {
            again.broker.restore(command).unwrap();
        }
        again.run();
        let topology = again.broker.vhost("/").unwrap().topology();
        assert_eq!(topology.policies().all(PolicyKind::User).len(), 1);
        let alternate = topology.find_exchange("x").unwrap().alternate.as_ref().unwrap();
        assert_eq!(alternate.as_str(), "amq.fanout");
        let queue = again.queue_id("q");
        again.publish_all("q", &["1", "2"]);
        assert_eq!(again.bodies(queue), ["2"]);
        again.pass(50);
        assert!(again.stats(queue).is_none());
    }
}

#[test]
fn a_policy_needs_its_virtual_host() {
    let world = World::new(1);
    let vhost = VhostName::new("missing").unwrap();
    let definition = policy("p", "", &[("max-length", Value::I32(1))]);
    let wanted = Policy::new(PolicyKind::User, definition).unwrap();
    assert!(world.broker.set_policy(&vhost, Actor::NODE, PolicyKind::User, wanted).is_err());
    assert!(world.broker.clear_policy(&vhost, Actor::NODE, PolicyKind::User, "p").is_err());
    let missing =
        world.broker.clear_policy(&world.vhost, Actor::NODE, PolicyKind::User, "p").unwrap();
    assert_eq!(missing, None);
    assert!(
        world.log.commands().iter().all(|command| !matches!(command, Command::ClearPolicy { .. }))
    );
}

#[test]
fn a_publisher_sees_no_message_lost_while_policies_change() {
    let mut world = World::new(2);
    let queue = world.queue("q", &[]);
    for round in 0..50 {
        world.set_user("p", "^q", &[("max-length", Value::I32(1_000 + round))]);
        world.publish_from(0, message("", "q", &[], "m"), None).unwrap();
    }
    assert_eq!(world.bodies(queue).len(), 50);
}
