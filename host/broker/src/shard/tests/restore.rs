//! The log read again, and the snapshot that stands for it.

use shunt_types::{QueueId, VhostName};

use super::harness::{World, message, to_queue};
use crate::metadata::{Command, VhostMetadata};
use crate::{Actor, DeleteOptions};

/// Another world, made of commands.
fn restored(commands: impl IntoIterator<Item = Command>) -> World {
    let world = World::empty(2);
    for command in commands {
        world.broker.restore(command).unwrap();
    }
    assert!(world.log.commands().is_empty(), "nothing is logged again");
    world
}

/// A world with something of everything, some of it deleted again.
fn lively() -> World {
    let mut world = World::new(2);
    world.broker.create_vhost(&VhostName::new("gone").unwrap(), Actor::NODE);
    world.broker.delete_vhost(&VhostName::new("gone").unwrap(), Actor::NODE).unwrap();
    world.broker.create_vhost(&VhostName::new("other").unwrap(), Actor::NODE);
    let description = |vhost: &mut VhostMetadata| vhost.description = "kept".to_owned();
    world.broker.change_vhost(&world.vhost, Actor::NODE, description).unwrap();
    world.exchange("x", "topic", &[("alternate-exchange", "amq.fanout".into())]).unwrap();
    world.exchange("auto-x", "fanout", &[]).unwrap();
    world.exchange("auto-gone", "fanout", &[]).unwrap();
    let queues: Vec<QueueId> = ["a", "b", "c"].map(|name| world.queue(name, &[])).to_vec();
    world.declare("transient", |queue| queue.definition.durable = false).unwrap();
    world.bind("x", "a", "k.#");
    world.bind("x", "transient", "k");
    world.bind("x", "b", "k.*");
    world.bind("auto-x", "a", "");
    world.bind("auto-gone", "c", "");
    world.bind_exchange("x", "auto-gone");
    world.bind_exchange("x", "auto-x");
    world.broker.unbind(&world.vhost, Actor::NODE, to_queue("x", "b", "k.*")).unwrap();
    world.run();
    world.shard(queues[2]).delete_queue(queues[2], DeleteOptions::default()).unwrap();
    world
}

fn without_transient(mut world: World) -> String {
    let id = world.queue_id("transient");
    world.shard(id).delete_queue(id, DeleteOptions::default()).unwrap();
    world.listing()
}

#[test]
fn the_snapshot_and_the_log_make_the_same_world() {
    let world = lively();
    let by_snapshot = restored(world.broker.snapshot(|commands| commands));
    let by_log = restored(world.log.commands());
    let expected = without_transient(world);
    assert!(expected.contains("auto-x") && !expected.contains("auto-gone"));
    assert_eq!(by_snapshot.listing(), expected);
    assert_eq!(by_log.listing(), expected);
}

#[test]
fn records_that_the_snapshot_knows_already_change_nothing() {
    let world = lively();
    let again = World::empty(2);
    for command in
        world.broker.snapshot(|commands| commands).into_iter().chain(world.log.commands())
    {
        // Some have no effect any more, and say so.
        let _ = again.broker.restore(command);
    }
    assert_eq!(again.listing(), without_transient(world));
}

#[test]
fn restored_queues_work() {
    let mut again = restored(lively().broker.snapshot(|commands| commands));
    again.run();
    let queue = again.queue_id("a");
    again.publish_from(0, message("x", "k.1", &[], "m"), None).unwrap();
    assert_eq!(again.bodies(queue), ["m"]);
    assert!(again.declare("c", |_| {}).unwrap().created);
}

#[test]
fn a_snapshot_keeps_the_order_of_bindings() {
    let world = World::new(1);
    world.exchange("h", "x-consistent-hash", &[]).unwrap();
    for name in ["z", "a", "m"] {
        world.queue(name, &[]);
        for weight in ["7", "1"] {
            world.bind("h", name, weight);
        }
    }
    let bound = |commands: Vec<Command>| -> Vec<String> {
        let bind = |command| match command {
            Command::Bind { binding, .. } => {
                Some(format!("{} {}", binding.destination.as_str(), binding.key))
            }
            _ => None,
        };
        commands.into_iter().filter_map(bind).collect()
    };
    assert_eq!(
        bound(world.broker.snapshot(|commands| commands)),
        ["z 7", "z 1", "a 7", "a 1", "m 7", "m 1"]
    );
    assert_eq!(bound(world.broker.snapshot(|commands| commands)), bound(world.log.commands()));
}

#[test]
fn what_is_deleted_in_the_log_leaves_nothing_on_the_shards() {
    let world = World::new(1);
    let other = VhostName::new("other").unwrap();
    world.queue("q", &[]);
    let mut commands = world.log.commands();
    commands.push(Command::DeleteVhost { vhost: world.vhost.clone() });
    commands.push(Command::CreateVhost { vhost: other });
    let mut again = restored(commands);
    again.run();
    for shard in &again.shards {
        assert!(shard.all_queue_stats().is_empty());
    }
}
