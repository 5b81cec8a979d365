//! Who has much to do keeps nobody else from their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use shunt_broker::{Shard, Task};
use shunt_types::limits::SHARD_WAITING_BYTES_MAX;

use crate::world::World;

/// A task that posts itself again until it has run so often.
fn again_and_again(shard: &mut Shard, left: u32, run: Arc<AtomicU32>) {
    run.fetch_add(1, Ordering::Relaxed);
    if left > 0 {
        let next = move |shard: &mut Shard| again_and_again(shard, left - 1, run);
        shard.broker().inbox(shard.id()).post(Task::Call(Box::new(next)));
    }
}

#[test]
fn connections_have_their_turn_while_a_shard_works_on_what_is_posted() {
    const TIMES: u32 = 1_000_000;
    let world = World::start(1);
    let queue = world.declare("q", 0);
    let mut client = world.connect(0);
    let run = Arc::new(AtomicU32::new(0));
    let counted = run.clone();
    let task = move |shard: &mut Shard| again_and_again(shard, TIMES, counted);
    world.broker.inbox(queue.shard()).post(Task::Call(Box::new(task)));
    client.sync();
    let run = run.load(Ordering::Relaxed);
    assert!(run < TIMES, "the answer came when all {run} were over");
}

/// Nothing is read from a publisher that waits, not even its heartbeats.
#[test]
fn a_publisher_that_waits_for_a_shard_does_not_miss_its_heartbeats() {
    const MIB: usize = 1024 * 1024;
    const HALVES: u32 = 8;
    let half = Duration::from_millis(500);
    let world = World::start(2);
    let queue = world.declare("q", 1);
    let mut client = world.connect_with_heartbeat(0, 1);
    let busy = Task::Call(Box::new(move |_| std::thread::sleep(half * HALVES)));
    world.broker.inbox(queue.shard()).post(busy);
    let body = "x".repeat(MIB);
    for _ in 0..=SHARD_WAITING_BYTES_MAX / MIB as u64 {
        client.publish("q", &body);
    }
    for _ in 0..HALVES {
        client.write(&[8, 0, 0, 0, 0, 0, 0, 0xce]);
        std::thread::sleep(half);
    }
    client.sync();
}
