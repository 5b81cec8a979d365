//! Consumers with little room, and settlements from another shard.

use super::harness::{World, message};
use crate::queue::{ConsumerOptions, Settlement};

#[test]
fn a_sink_without_room_gets_the_rest_in_order_when_it_is_resumed() {
    let mut world = World::new(1);
    let queue = world.queue("q", &[]);
    let slow = world.consume(queue, ConsumerOptions { no_ack: true, ..Default::default() });
    slow.get().room = Some(2);
    for n in ["1", "2", "3", "4"] {
        world.publish("", "q", n);
    }
    assert_eq!(slow.bodies(), ["1", "2"]);
    slow.get().room = Some(0);
    world.shards[0].resume(queue, slow.consumer().id);
    world.shards[0].flush();
    assert_eq!(world.stats(queue).unwrap().ready, 2, "refused, and in its place again");
    slow.get().room = None;
    world.shards[0].resume(queue, slow.consumer().id);
    world.shards[0].flush();
    assert_eq!(slow.bodies(), ["1", "2", "3", "4"]);
    assert!(slow.get().deliveries.iter().all(|delivery| !delivery.redelivered));
    let stats = world.stats(queue).unwrap();
    assert_eq!((stats.delivered_no_ack, stats.redelivered), (4, 0));
}

#[test]
fn settlements_travel_to_the_queues_shard() {
    let mut world = World::new(2);
    let queue = world.queue("q", &[]);
    let taker = world.consume(queue, ConsumerOptions { prefetch: 1, ..Default::default() });
    for n in ["1", "2", "3"] {
        world.publish("", "q", n);
    }
    let far = usize::from(1 - queue.shard().0);
    for (settlement, expected) in [(Settlement::Ack, "2"), (Settlement::Requeue, "2")] {
        let delivery = taker.take().remove(0);
        world.shards[far].settle(queue, delivery.id.unwrap(), settlement);
        world.shards[far].flush();
        assert!(taker.bodies().is_empty(), "not before the inbox runs");
        world.run();
        assert_eq!(taker.bodies(), [expected]);
    }
    assert!(taker.get().deliveries[0].redelivered);
    assert_eq!(world.stats(queue).unwrap().ready, 1);
}

#[test]
fn what_comes_back_undelivered_goes_out_first_again_to_whoever_is_next() {
    let mut world = World::new(1);
    let queue = world.queue("q", &[]);
    let gone = world.consume(queue, ConsumerOptions::default());
    for n in ["1", "2"] {
        world.publish("", "q", n);
    }
    world.publish_from(0, message("", "q", &[], "3"), None).unwrap();
    let on_their_way = gone.take();
    let consumer = gone.consumer();
    world.shards[0].cancel(consumer);
    for delivery in on_their_way {
        world.shards[0].return_undelivered(consumer.id, delivery);
    }
    let next = world.consume(queue, ConsumerOptions::default());
    assert_eq!(next.bodies(), ["1", "2", "3"]);
    assert!(next.get().deliveries.iter().all(|delivery| !delivery.redelivered));
}

#[test]
fn exclusive_use_is_refused_in_rabbitmqs_words() {
    let mut world = World::new(1);
    let queue = world.queue("q", &[]);
    let exclusive = ConsumerOptions { exclusive: true, ..Default::default() };
    let first = world.consume(queue, exclusive);
    let sink = Box::new(first.clone());
    let refused = world.shards[0].consume(queue, ConsumerOptions::default(), sink).unwrap_err();
    assert_eq!(refused.to_string(), "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use");
}
