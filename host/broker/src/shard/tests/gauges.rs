//! Gauges: what other threads see of a queue.

use shunt_types::{QueueId, QueueLoad, ShardId};

use super::harness::{World, message};
use crate::queue::{ConsumerOptions, Settlement};

#[test]
fn a_gauge_follows_its_queue_batch_by_batch() {
    let mut world = World::new(2);
    let queue = world.queue("q", &[]);
    world.run();
    let gauge = world.broker.gauge(queue).unwrap();
    assert!(!gauge.is_set());
    world.run();
    assert!(gauge.is_set());
    assert_eq!(gauge.get(), QueueLoad::default());

    for _ in 0..3 {
        let published = world.publish_from(0, message("", "q", &[], "m"), None);
        published.unwrap();
    }
    world.run();
    assert_eq!(gauge.get(), QueueLoad { ready: 3, unacked: 0, consumers: 0 });
    let (delivery, _) = world.shard(queue).fetch(queue, false).unwrap().unwrap();
    world.run();
    assert_eq!(gauge.get(), QueueLoad { ready: 2, unacked: 1, consumers: 0 });
    world.shard(queue).settle(queue, delivery.id.unwrap(), Settlement::Ack);
    world.shard(queue).purge(queue).unwrap();
    world.run();
    assert_eq!(gauge.get(), QueueLoad::default());
    // Whoever asks again looks at the same one.
    assert!(std::sync::Arc::ptr_eq(&gauge, &world.broker.gauge(queue).unwrap()));
}

#[test]
fn a_gauge_shows_consumers_and_none_is_there_for_no_shard() {
    let mut world = World::new(1);
    let queue = world.queue("q", &[]);
    let gauge = world.broker.gauge(queue).unwrap();
    world.consume(queue, ConsumerOptions::default());
    world.run();
    assert_eq!(gauge.get().consumers, 1);
    assert!(world.broker.gauge(QueueId::new(ShardId(1), 0, 0)).is_none());
}
