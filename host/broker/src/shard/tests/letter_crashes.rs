//! What a crash leaves of a message that is dead-lettered.

use std::sync::{Arc, Barrier};

use shunt_storage::{FaultyDisk, RecordPosition, SegmentLog, SegmentLogOptions, SegmentWriter};
use shunt_types::{Message, Properties, QueueId, ShardId, Value};

use super::dead_letter::dead_lettering;
use super::harness::World;
use crate::Shard;
use crate::durable::{QueueUid, Recovery, share};
use crate::queue::Settlement;
use crate::shard::Task;

/// A queue's name and its arguments. One whose name begins with `copy` is bound to `amq.fanout`.
type Declaration = (&'static str, Vec<(&'static str, Value)>);

const HAS_ROOM: [(&str, Value); 1] = [("x-max-length", Value::I32(5))];
const HAS_NONE: [(&str, Value); 1] = [("x-max-length", Value::I32(0))];

/// A queue that is full, and hands what it refuses to `next`.
fn refusing(name: &'static str, next: &'static str) -> Declaration {
    let refuses = [("x-overflow", Value::from("reject-publish-dlx"))];
    (name, [&dead_lettering("", next)[..], &refuses, &HAS_NONE].concat())
}

fn work(next: &'static str) -> Declaration {
    let exchange = if next.starts_with("copy") { "amq.fanout" } else { "" };
    ("work", dead_lettering(exchange, next).to_vec())
}

/// A world with a log of messages, on a disk that is read again.
struct Crash {
    world: World,
    log: Arc<SegmentLog>,
    disk: FaultyDisk,
    queues: Vec<(&'static str, QueueUid)>,
    first: QueueId,
}

impl Crash {
    /// The queues take turns on the shards. Only the first shard has run, and put so many persistent
    /// messages into the first queue.
    fn new(shards: u16, messages: usize, declarations: &[Declaration]) -> Self {
        let disk = FaultyDisk::new(1);
        let log = SegmentLog::start(open(&disk, |_, _, _| {}), |_| {}).unwrap();
        let mut world = World::new(shards);
        world.broker.set_message_log(log.clone());
        let mut queues = Vec::new();
        for (number, (name, arguments)) in declarations.iter().enumerate() {
            let queue = world.queue(name, arguments);
            assert_eq!(usize::from(queue.shard().0), number % usize::from(shards));
            if name.starts_with("copy") {
                world.bind("amq.fanout", name, "");
            }
            let topology = world.broker.vhost("/").unwrap().topology();
            queues.push((*name, topology.find_queue(name).unwrap().uid.unwrap()));
        }
        let first = world.queue_id(declarations[0].0);
        let properties = Properties { delivery_mode: Some(2), ..Properties::default() };
        for _ in 0..messages {
            let sent = Message::build("", declarations[0].0, &properties, b"m").unwrap();
            world.publish_from(0, sent, None).unwrap();
        }
        Self { world, log, disk, queues, first }
    }

    /// Rejects the messages; what other shards have to do with them is in their inboxes.
    fn reject(&mut self) {
        let shard = self.world.shard(self.first);
        while let Some((delivery, _)) = shard.fetch(self.first, false).unwrap() {
            shard.settle(self.first, delivery.id.unwrap(), Settlement::Reject);
        }
        shard.flush();
        // Many are dead-lettered by several flushes.
        while !self.world.broker.inbox(self.first.shard()).is_empty() {
            self.world.shard(self.first).run_inbox();
        }
    }

    /// Runs what is left to do, the later shards before the earlier ones if that is `reversed`.
    fn run(&mut self, reversed: bool) {
        for _ in 0..8 {
            match reversed {
                false => self.world.shards.iter_mut().for_each(Shard::run_inbox),
                true => self.world.shards.iter_mut().rev().for_each(Shard::run_inbox),
            }
        }
    }

    /// Ends the node, and reads its log.
    fn end(self) -> Ended {
        let live_bytes = self.world.broker.usage().live_bytes();
        drop(self.world);
        // The last one writes what it was given.
        assert_eq!(Arc::strong_count(&self.log), 1);
        drop(self.log);
        let mut records = Vec::new();
        open(&self.disk, |position, kind, head| records.push((position, kind, head.to_vec())));
        let ended = Ended { queues: self.queues, records };
        let (_, bytes) = ended.after(ended.records.len());
        assert_eq!(live_bytes as i64, bytes, "what is counted is what is there");
        ended
    }
}

/// What a node left on its disk.
struct Ended {
    queues: Vec<(&'static str, QueueUid)>,
    records: Vec<(RecordPosition, u8, Vec<u8>)>,
}

impl Ended {
    /// Which queues have a message after so many records, and how many bytes that takes.
    fn after(&self, records: usize) -> (Vec<&'static str>, i64) {
        let mut recovery = Recovery::new();
        for (position, kind, head) in &self.records[..records] {
            recovery.replay(*position, *kind, head).unwrap();
        }
        let (mut holders, mut bytes) = (Vec::new(), 0);
        for (name, uid) in &self.queues {
            let recovered = recovery.take(*uid).unwrap_or_default();
            for entry in recovered.iter() {
                holders.push(*name);
                bytes += share(entry.position, entry.shares);
            }
        }
        (holders, bytes)
    }

    /// Which queues would have the message after a crash, for a crash after each record, from the
    /// message's own on.
    fn states(&self) -> Vec<Vec<&'static str>> {
        let mut states: Vec<_> =
            (1..=self.records.len()).map(|records| self.after(records).0).collect();
        states.dedup();
        states
    }
}

fn open(disk: &FaultyDisk, mut replay: impl FnMut(RecordPosition, u8, &[u8])) -> SegmentWriter {
    let disk = Arc::new(disk.clone());
    SegmentWriter::open(disk, SegmentLogOptions::default(), &mut replay).unwrap().0
}

/// Rejects a message of the first queue, with so many shards, in both orders of them.
fn crashes(shards: u16, declarations: &[Declaration]) -> [Vec<Vec<&'static str>>; 2] {
    [false, true].map(|reversed| {
        let mut crash = Crash::new(shards, 1, declarations);
        crash.reject();
        crash.run(reversed);
        crash.end().states()
    })
}

/// A crash leaves the message in these queues, one state after the other.
#[track_caller]
fn check(shards: u16, declarations: &[Declaration], expected: &[&[&str]]) {
    for left in crashes(shards, declarations) {
        assert_eq!(left, expected, "with {shards} shards");
    }
}

/// A crash may double the message, but each letter or what it comes from is there.
#[track_caller]
fn check_nothing_lost(shards: u16, declarations: &[Declaration], letters: &[&str]) {
    for left in crashes(shards, declarations) {
        let is_there = |state: &Vec<&str>, letter| state.contains(letter);
        for state in &left {
            let all = letters.iter().all(|letter| is_there(state, letter));
            assert!(all || is_there(state, &"work"), "with {shards} shards: {left:?}");
        }
        assert_eq!(left.last().unwrap(), letters, "with {shards} shards");
    }
}

#[test]
fn a_letter_and_its_death_are_one() {
    let reject = [("x-overflow", Value::from("reject-publish"))];
    for shards in [1, 2] {
        for arguments in [vec![], HAS_ROOM.to_vec(), [reject.clone(), HAS_ROOM].concat()] {
            check(shards, &[work("dead"), ("dead", arguments)], &[&["work"], &["dead"]]);
        }
    }
}

#[test]
fn a_letter_that_full_queues_refuse_is_one_with_the_first_death() {
    for shards in [1, 2, 3] {
        let last = ("dead", vec![]);
        let moves: [&[&str]; 2] = [&["work"], &["dead"]];
        check(shards, &[work("a"), refusing("a", "dead"), last.clone()], &moves);
        let two = [work("a"), refusing("a", "b"), refusing("b", "dead"), last.clone()];
        check(shards, &two, &moves);
        let three = [
            work("a"),
            refusing("a", "b"),
            refusing("b", "c"),
            refusing("c", "dead"),
            ("dead", HAS_ROOM.to_vec()),
        ];
        check(shards, &three, &moves);
    }
}

#[test]
fn a_refused_letter_that_goes_nowhere_is_gone() {
    for shards in [1, 2] {
        let nowhere = refusing("a", "no such");
        check(shards, &[work("a"), nowhere], &[&["work"], &[]]);
        let mut gone = refusing("a", "dead");
        gone.1[0].1 = "no such exchange".into();
        check(shards, &[work("a"), gone, ("dead", vec![])], &[&["work"], &[]]);
        let circle = [work("a"), refusing("a", "b"), refusing("b", "a")];
        check(shards, &circle, &[&["work"], &[]]);
        let kept_by_none = ("a", refusing("a", "b").1.split_off(2));
        check(shards, &[work("a"), kept_by_none], &[&["work"], &[]]);
    }
}

#[test]
fn a_refused_letter_may_come_back() {
    for shards in [1, 2] {
        check(shards, &[work("a"), refusing("a", "work")], &[&["work"]]);
    }
}

#[test]
fn a_letter_that_is_dropped_itself_is_never_gone_between() {
    for shards in [1, 2, 3] {
        let drops = ("drops", [&dead_lettering("", "dead")[..], &HAS_NONE].concat());
        let queues = [work("drops"), drops, ("dead", vec![])];
        check(shards, &queues, &[&["work"], &["drops"], &["dead"]]);
    }
}

#[test]
fn the_letters_of_one_shard_are_one() {
    let (a, b) = (("copy-a", HAS_ROOM.to_vec()), ("copy-b", HAS_ROOM.to_vec()));
    let (c, d) = (("copy-c", vec![]), ("copy-d", vec![]));
    let all: [&[&str]; 2] = [&["work"], &["copy-a", "copy-b"]];
    check(1, &[work("copy"), a.clone(), b.clone()], &all);
    let all: [&[&str]; 2] = [&["work"], &["copy-c", "copy-a", "copy-d", "copy-b"]];
    check(1, &[work("copy"), c.clone(), a, d.clone(), b], &all);
    // Both on the second shard.
    let all: [&[&str]; 2] = [&["work"], &["copy-c", "copy-d"]];
    check(2, &[work("copy"), c, ("other", vec![]), d], &all);
}

#[test]
fn no_letter_of_many_is_lost() {
    let a = ("copy-a", HAS_ROOM.to_vec());
    let last = ("dead", vec![]);
    for shards in [1, 2, 3, 4] {
        let three = [work("copy"), a.clone(), ("copy-b", vec![]), ("copy-c", HAS_ROOM.to_vec())];
        check_nothing_lost(shards, &three, &["copy-a", "copy-b", "copy-c"]);
        let refused = [work("copy"), a.clone(), refusing("copy-b", "dead"), last.clone()];
        check_nothing_lost(shards, &refused, &["copy-a", "dead"]);
        let refused = [work("copy"), refusing("copy-b", "dead"), a.clone(), last.clone()];
        check_nothing_lost(shards, &refused, &["copy-a", "dead"]);
        let both = [
            work("copy"),
            refusing("copy-a", "x"),
            refusing("copy-b", "y"),
            ("x", vec![]),
            ("y", HAS_ROOM.to_vec()),
        ];
        check_nothing_lost(shards, &both, &["x", "y"]);
    }
}

#[test]
fn a_letter_that_waits_in_a_queue_leaves_before_it_goes() {
    let queues = [work("a"), refusing("a", "dead"), ("dead", vec![])];
    let mut crash = Crash::new(2, 1, &queues);
    let full = crash.world.queue_id("a");
    crash.reject();
    // The inbox holds the letter, and then the deletion of the queue that refuses it.
    crash.world.broker.inbox(ShardId(1)).post(Task::Call(Box::new(move |shard| {
        shard.delete_queue(full, Default::default()).unwrap();
    })));
    crash.run(false);
    assert_eq!(crash.end().states(), [["work"], ["dead"]]);
}

#[test]
fn shards_that_write_at_once_leave_no_death_untold() {
    const MESSAGES: usize = 1_000;
    for _ in 0..20 {
        let queues = [work("copy"), ("copy-a", vec![]), ("copy-b", vec![])];
        let mut crash = Crash::new(3, MESSAGES, &queues);
        crash.reject();
        crash.world.shards.truncate(1);
        let broker = &crash.world.broker;
        let both_have_journalled = &Barrier::new(2);
        std::thread::scope(|scope| {
            for id in [ShardId(1), ShardId(2)] {
                scope.spawn(move || {
                    let mut shard = Shard::new(id, broker.clone());
                    let (creations, tasks) = broker.inbox(id).take();
                    creations.into_iter().for_each(|creation| shard.create(creation));
                    tasks.into_iter().for_each(|task| shard.run(task));
                    both_have_journalled.wait();
                    shard.flush();
                });
            }
        });
        let ended = crash.end();
        let (left, _) = ended.after(ended.records.len());
        assert_eq!(left, [["copy-a"; MESSAGES], ["copy-b"; MESSAGES]].concat());
    }
}
