//! From an exchange into queues, on one shard and across two.

use shunt_types::{FieldTable, Message, Properties, ReplyCode, Value};

use super::harness::{World, body, message};
use crate::ports::Confirmation;
use crate::queue::{ConsumerOptions, Settlement};
use crate::{PublishOptions, PublishOutcome, Publisher, RemotePublisher};

fn texts(keys: &[&str]) -> Value {
    Value::Array(keys.iter().map(|&key| key.into()).collect())
}

#[test]
fn a_message_reaches_queues_of_both_shards_and_each_is_confirmed() {
    let mut world = World::new(2);
    let (near, far) = (world.queue("near", &[]), world.queue("far", &[]));
    assert_ne!(near.shard(), far.shard());
    world.bind("amq.fanout", "near", "");
    world.bind("amq.fanout", "far", "");
    world.run();
    let from = near.shard().0;
    let outcome = world.publish_from(from, message("amq.fanout", "k", &[], "m"), Some(9));
    assert_eq!(outcome, Ok(PublishOutcome::Routed { pending: 1, rejected: false }));
    assert_eq!(world.confirms.take(), [], "the other shard has not run");
    world.run();
    assert_eq!(world.confirms.take(), [Confirmation { token: 9, accepted: true }]);
    assert_eq!(world.bodies(near), ["m"]);
    assert_eq!(world.bodies(far), ["m"]);
}

#[test]
fn a_publisher_without_a_shard_reaches_them_all() {
    let mut world = World::new(2);
    let queues = [world.queue("a", &[]), world.queue("b", &[])];
    let topology = world.broker.vhost("/").unwrap().topology();
    let mut publisher = RemotePublisher::new(world.broker.clone());
    for name in ["a", "b"] {
        let exchange = topology.find_exchange("").unwrap();
        let options =
            PublishOptions { topology: &topology, exchange, user: "guest", confirm: None };
        let outcome = publisher.publish(&options, message("", name, &[], name)).unwrap();
        assert_eq!(outcome, PublishOutcome::Routed { pending: 1, rejected: false });
    }
    publisher.flush();
    assert_eq!(queues.map(|queue| world.bodies(queue).concat()), ["a", "b"]);
}

#[test]
fn a_full_queue_that_rejects_says_so_near_and_far() {
    let mut world = World::new(2);
    let arguments =
        [("x-max-length", Value::I32(1)), ("x-overflow", Value::from("reject-publish"))];
    let queue = world.queue("q", &arguments);
    let (near, far) = (queue.shard().0, 1 - queue.shard().0);
    world.publish("", "q", "first");
    let outcome = world.publish_from(near, message("", "q", &[], "second"), Some(1));
    assert_eq!(outcome, Ok(PublishOutcome::Routed { pending: 0, rejected: true }));
    let outcome = world.publish_from(far, message("", "q", &[], "third"), Some(2));
    assert_eq!(outcome, Ok(PublishOutcome::Routed { pending: 1, rejected: false }));
    world.run();
    assert_eq!(world.confirms.take(), [Confirmation { token: 2, accepted: false }]);
    assert_eq!(world.bodies(queue), ["first"]);
}

#[test]
fn a_bounded_queue_offers_each_message_before_it_drops_one() {
    let mut world = World::new(1);
    let queue = world.queue("q", &[("x-max-length", Value::I32(1))]);
    let taker = world.consume(queue, ConsumerOptions::default());
    for n in ["1", "2", "3"] {
        world.publish("", "q", n);
    }
    assert_eq!(taker.bodies(), ["1", "2", "3"]);
    assert_eq!(taker.get().flushed, 3);
    let deliveries = taker.take();
    world.shards[0].cancel(taker.consumer());
    for delivery in &deliveries {
        world.settle(delivery, Settlement::Requeue);
    }
    assert_eq!(world.bodies(queue), ["3"], "the oldest are dropped");
}

#[test]
fn nobody_bound_is_unroutable() {
    let mut world = World::new(1);
    assert_eq!(world.publish("amq.direct", "nowhere", "m"), PublishOutcome::Unroutable);
    assert_eq!(world.publish("", "no queue", "m"), PublishOutcome::Unroutable);
}

#[test]
fn an_alternate_exchange_gets_what_nobody_else_does() {
    let mut world = World::new(1);
    let queue = world.queue("q", &[]);
    world.exchange("x", "direct", &[("alternate-exchange", "amq.fanout".into())]).unwrap();
    world.bind("amq.fanout", "q", "");
    world.publish("x", "nowhere", "m");
    assert_eq!(world.bodies(queue), ["m"]);
}

#[test]
fn cc_and_bcc_are_routing_keys_and_only_bcc_is_hidden() {
    let mut world = World::new(1);
    let queues = ["a", "b", "c"].map(|name| world.queue(name, &[]));
    let headers =
        [("CC", texts(&["b", "a"])), ("BCC", texts(&["c"])), ("other", Value::Boolean(true))];
    world.publish_from(0, message("", "a", &headers, "m"), None).unwrap();
    for queue in queues {
        let got = world.drain(queue);
        assert_eq!(got.len(), 1, "each queue once");
        let headers = got[0].properties().to_owned().headers.unwrap();
        assert_eq!(headers.get("CC"), Some(&texts(&["b", "a"])));
        assert_eq!(headers.get("BCC"), None);
        assert_eq!(headers.get("other"), Some(&Value::Boolean(true)));
    }
}

#[test]
fn cc_that_is_no_array_of_texts_is_refused() {
    let mut world = World::new(1);
    for (name, bad) in [("CC", Value::from("b")), ("BCC", Value::I32(1))] {
        let refused = world.publish_from(0, message("", "a", &[(name, bad)], "m"), None);
        assert_eq!(refused.unwrap_err().code, ReplyCode::PreconditionFailed);
    }
}

fn route_error(message: &Message) -> Option<String> {
    let headers: FieldTable = message.properties().to_owned().headers?;
    headers.get("x-route-error").and_then(Value::as_text).map(str::to_owned)
}

/// An exchange whose route fails, bound to `bound`, with an alternate exchange to `spare`.
fn failing(on_failure: &str) -> World {
    let world = World::new(1);
    world.queue("bound", &[]);
    world.queue("spare", &[]);
    let arguments =
        [("alternate-exchange", "amq.fanout".into()), ("x-on-failure", on_failure.into())];
    world.exchange("x", "x-failing", &arguments).unwrap();
    world.bind("x", "bound", "");
    world.bind("amq.fanout", "spare", "");
    world
}

#[test]
fn a_failed_route_with_nack_gives_a_confirming_publisher_a_failure_and_nobody_the_message() {
    let mut world = failing("nack");
    let (bound, spare) = (world.queue("bound", &[]), world.queue("spare", &[]));
    let outcome = world.publish_from(0, message("x", "k", &[], "m"), Some(1)).unwrap();
    let PublishOutcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.exchange.as_str(), "x");
    assert_eq!(failure.failure.to_string(), "trap: unreachable executed");
    assert!(world.bodies(bound).is_empty() && world.bodies(spare).is_empty());
    // Without confirms the alternate exchange gets it.
    world.publish("x", "k", "m");
    let got = world.drain(spare);
    assert_eq!(got.iter().map(body).collect::<Vec<_>>(), ["m"]);
    assert_eq!(route_error(&got[0]).as_deref(), Some("trap"));
}

#[test]
fn a_failed_route_with_alternate_goes_there_even_with_confirms() {
    let mut world = failing("alternate");
    let spare = world.queue("spare", &[]);
    let outcome = world.publish_from(0, message("x", "k", &[], "m"), Some(1)).unwrap();
    assert_eq!(outcome, PublishOutcome::Routed { pending: 0, rejected: false });
    assert_eq!(route_error(&world.drain(spare)[0]).as_deref(), Some("trap"));
}

#[test]
fn a_route_that_decides_decides() {
    let mut world = failing("nack");
    let bound = world.queue("bound", &[]);
    world.publish("x", "fine", "m");
    let got = world.drain(bound);
    assert_eq!(got.len(), 1);
    assert_eq!(route_error(&got[0]), None);
}

#[test]
fn a_queue_made_elsewhere_is_there_for_the_first_message() {
    let mut world = World::new(2);
    // Nobody has run: the creations still wait in the inboxes.
    let queues = [world.queue("a", &[]), world.queue("b", &[])];
    for name in ["a", "b"] {
        world.publish_from(0, message("", name, &[], name), None).unwrap();
    }
    assert_eq!(queues.map(|queue| world.bodies(queue).concat()), ["a", "b"]);
}

#[test]
fn an_expiration_is_kept_with_the_message() {
    let mut world = World::new(1);
    let queue = world.queue("q", &[]);
    let properties = Properties { expiration: Some("50".into()), ..Properties::default() };
    let message = Message::build("", "q", &properties, b"m").unwrap();
    world.publish_from(0, message, None).unwrap();
    world.pass(49);
    assert_eq!(world.stats(queue).unwrap().ready, 1);
    world.pass(1);
    assert_eq!(world.stats(queue).unwrap().ready, 0);
}
