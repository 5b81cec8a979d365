//! What exchanges keep for destinations that are bound later, and the types that compare.

use shunt_types::Value;

use super::harness::{World, body, message};
use crate::{PublishOptions, PublishOutcome, Publisher, RemotePublisher};

#[test]
fn a_queue_that_is_bound_gets_what_passed_before() {
    for shards in [1, 3] {
        let mut world = World::new(shards);
        world
            .exchange("h", "x-recent-history", &[("x-recent-history-length", Value::I32(2))])
            .unwrap();
        for body in ["a", "b", "c"] {
            assert_eq!(world.publish("h", "k", body), PublishOutcome::Unroutable);
        }
        let queue = world.queue("q", &[]);
        world.bind("h", "q", "");
        assert_eq!(world.bodies(queue), ["b", "c"]);
        world.bind("h", "q", "");
        assert_eq!(world.bodies(queue), [""; 0], "it was bound already");
        world.publish("h", "k", "d");
        assert_eq!(world.bodies(queue), ["d"]);
    }
}

#[test]
fn a_last_value_comes_by_its_key_and_its_exchange() {
    let mut world = World::new(2);
    world.exchange("v", "x-lvc", &[]).unwrap();
    world.publish("v", "a", "old");
    world.publish("v", "a", "new");
    world.publish("v", "b", "other");
    let queue = world.queue("q", &[]);
    world.bind("v", "q", "a");
    world.bind("v", "q", "none");
    let got = world.drain(queue);
    assert_eq!(got.iter().map(body).collect::<Vec<_>>(), ["new"]);
    assert_eq!((got[0].exchange(), got[0].routing_key()), ("v", "a"));
}

#[test]
fn an_exchange_that_is_bound_passes_on_what_was_kept() {
    let mut world = World::new(2);
    world.exchange("h", "x-recent-history", &[]).unwrap();
    world.publish("h", "k", "m");
    let queue = world.queue("q", &[]);
    world.bind("amq.fanout", "q", "");
    world.bind_exchange("h", "amq.fanout");
    assert_eq!(world.bodies(queue), ["m"]);
}

#[test]
fn a_blind_copy_is_not_told_to_who_comes_later() {
    let mut world = World::new(1);
    world.exchange("v", "x-lvc", &[]).unwrap();
    let keys = |key: &str| Value::Array(vec![key.into()]);
    let sent = message("v", "a", &[("BCC", keys("blind")), ("CC", keys("copied"))], "m");
    world.publish_from(0, sent, None).unwrap();
    let queue = world.queue("q", &[]);
    for key in ["a", "blind", "copied"] {
        world.bind("v", "q", key);
        let got = world.drain(queue).remove(0);
        assert_eq!(got.routing_key(), key);
        assert_eq!(got.properties().to_owned().headers.unwrap().get("BCC"), None);
    }
}

#[test]
fn a_duplicate_reaches_nobody_whoever_sends_it() {
    let mut world = World::new(2);
    world.exchange("once", "x-message-deduplication", &[("x-cache-size", Value::I32(9))]).unwrap();
    let queue = world.queue("q", &[]);
    world.bind("once", "q", "");
    let sent = || message("once", "k", &[("x-deduplication-header", Value::I32(7))], "m");
    let outcome = world.publish_from(0, sent(), None).unwrap();
    assert!(matches!(outcome, PublishOutcome::Routed { .. }));
    assert_eq!(world.publish_from(1, sent(), None).unwrap(), PublishOutcome::Unroutable);
    let topology = world.broker.vhost("/").unwrap().topology();
    let exchange = topology.find_exchange("once").unwrap();
    let options = PublishOptions { topology: &topology, exchange, user: "", confirm: None };
    let mut remote = RemotePublisher::new(world.broker.clone());
    assert_eq!(remote.publish(&options, sent()).unwrap(), PublishOutcome::Unroutable);
    remote.flush();
    assert_eq!(world.bodies(queue), ["m"]);
}

#[test]
fn chance_spreads_over_the_queues() {
    for kind in ["x-random", "x-local-random"] {
        let mut world = World::new(2);
        world.exchange("r", kind, &[]).unwrap();
        let queues = ["a", "b"].map(|name| {
            let queue = world.queue(name, &[]);
            world.bind("r", name, "");
            queue
        });
        for _ in 0..200 {
            world.publish("r", "same", "m");
        }
        let shares = queues.map(|queue| world.drain(queue).len());
        assert_eq!(shares.iter().sum::<usize>(), 200);
        assert!(shares.iter().all(|share| (60..140).contains(share)), "{shares:?}");
    }
}
