//! What died, or was settled, in a queue that goes, or whose dead-letter target goes.

use std::sync::Arc;
use std::time::Duration;

use shunt_storage::{Faults, FaultyDisk, SegmentLog, SegmentLogOptions, SegmentWriter};
use shunt_types::{Message, Properties, QueueId, Value};

use super::dead_letter::dead_lettering;
use super::harness::{World, table};
use crate::queue::{ConsumerOptions, MemoryBudget, Settlement};

/// More than are dead-lettered at once.
const MANY: usize = 3_000;

pub(super) fn with_log() -> (World, FaultyDisk) {
    let disk = FaultyDisk::new(1);
    let (log_disk, options) = (Arc::new(disk.clone()), SegmentLogOptions::default());
    let (writer, _) = SegmentWriter::open(log_disk, options, &mut |_, _, _| {}).unwrap();
    let world = World::new(1);
    world.broker.set_message_log(SegmentLog::start(writer, |_| {}).unwrap());
    (world, disk)
}

fn publish(world: &mut World, queue: &str) {
    let properties = Properties { delivery_mode: Some(2), ..Properties::default() };
    let message = Message::build("", queue, &properties, b"m").unwrap();
    world.publish_from(0, message, None).unwrap();
}

/// Settles the message of an auto-delete queue and cancels its only consumer, in one batch.
fn settle_and_cancel(world: &mut World, settlement: Settlement) {
    let arguments = Arc::new(table(&dead_lettering("", "dead")));
    let declared = world.declare("auto", |queue| {
        queue.definition.auto_delete = true;
        queue.definition.arguments = arguments;
    });
    let queue = declared.unwrap().queue.id;
    publish(world, "auto");
    let recorder = world.consume(queue, ConsumerOptions::default());
    let delivery = recorder.take().pop().unwrap();
    let consumer = recorder.consumer();
    let shard = world.shard(queue);
    shard.settle(queue, delivery.id.unwrap(), settlement);
    shard.cancel(consumer);
    shard.flush();
    assert!(world.stats(queue).is_none());
}

fn reject_many(world: &mut World, queue: QueueId) {
    (0..MANY).for_each(|_| publish(world, "q"));
    let shard = world.shard(queue);
    let fetch = || Some(shard.fetch(queue, false).unwrap()?.0.id.unwrap());
    let ids: Vec<_> = std::iter::from_fn(fetch).collect();
    let shard = world.shard(queue);
    ids.into_iter().for_each(|id| shard.settle(queue, id, Settlement::Reject));
    shard.flush();
}

#[test]
fn a_reject_is_dead_lettered_though_its_queue_goes_in_the_same_batch() {
    let mut world = World::new(1);
    let dead = world.queue("dead", &[]);
    settle_and_cancel(&mut world, Settlement::Reject);
    assert_eq!(world.bodies(dead), ["m"]);
}

#[test]
fn an_ack_frees_its_record_though_its_queue_goes_in_the_same_batch() {
    let (mut world, _disk) = with_log();
    settle_and_cancel(&mut world, Settlement::Ack);
    assert_eq!(world.broker.live_log_bytes(), 0);
}

#[test]
fn a_letter_that_comes_back_into_a_queue_that_goes_frees_its_record() {
    let (mut world, _disk) = with_log();
    let queue = world.queue("q", &dead_lettering("", "q"));
    publish(&mut world, "q");
    let shard = world.shard(queue);
    let id = shard.fetch(queue, false).unwrap().unwrap().0.id.unwrap();
    shard.settle(queue, id, Settlement::Reject);
    shard.delete_queue(queue, Default::default()).unwrap();
    shard.flush();
    assert_eq!(world.broker.live_log_bytes(), 0);
}

#[test]
fn all_that_died_in_a_queue_leaves_before_it_is_deleted() {
    let mut world = World::new(1);
    let dead = world.queue("dead", &[]);
    let queue = world.queue("q", &dead_lettering("", "dead"));
    reject_many(&mut world, queue);
    let shard = world.shard(queue);
    shard.delete_queue(queue, Default::default()).unwrap();
    shard.flush();
    assert_eq!(world.bodies(dead).len(), MANY);
}

#[test]
fn all_that_died_under_a_policy_goes_where_that_said() {
    let mut world = World::new(1);
    let dead = world.queue("dead", &[]);
    let settings =
        [("dead-letter-exchange", "".into()), ("dead-letter-routing-key", "dead".into())];
    world.set_user("p", "^q$", &settings);
    let queue = world.queue("q", &[]);
    reject_many(&mut world, queue);
    world.clear("p");
    assert_eq!(world.bodies(dead).len(), MANY);
}

#[test]
fn a_dead_message_that_the_disk_refuses_is_asked_for_again() {
    let (mut world, disk) = with_log();
    world.broker.set_memory_budget(MemoryBudget { logged: 0, unlogged: u64::MAX });
    let dead = world.queue("dead", &[]);
    let arguments = [&dead_lettering("", "dead")[..], &[("x-message-ttl", Value::I32(10))]];
    world.queue("q", &arguments.concat());
    (0..3).for_each(|_| publish(&mut world, "q"));
    // Until it is written, the log has it in memory.
    while world.broker.unsynced_log_bytes() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    disk.set_faults(Faults { read_error_per_mille: 1_000, ..Faults::default() });
    world.pass(20);
    disk.set_faults(Faults::default());
    world.pass(5_000);
    assert_eq!(world.stats(dead).unwrap().ready, 3);
}

#[test]
fn a_cancel_from_another_shard_does_not_overtake_a_reject() {
    let mut world = World::new(2);
    let dead = world.queue("dead", &[]);
    let arguments = Arc::new(table(&dead_lettering("", "dead")));
    let declared = world.declare("auto", |queue| {
        queue.definition.auto_delete = true;
        queue.definition.arguments = arguments;
    });
    let queue = declared.unwrap().queue.id;
    publish(&mut world, "auto");
    world.run();
    let recorder = world.consume(queue, ConsumerOptions::default());
    let delivery = recorder.take().pop().unwrap();
    let other = &mut world.shards[usize::from(1 - queue.shard().0)];
    other.settle(queue, delivery.id.unwrap(), Settlement::Reject);
    other.cancel(recorder.consumer());
    other.flush();
    assert!(world.stats(queue).is_none());
    assert_eq!(world.bodies(dead), ["m"]);
}
