//! Guests that misbehave: each gets its named cause, and nothing else notices.

use shunt_routing::FailureCause;
use shunt_types::{FieldTable, Properties, Value};

use super::world::{Guest, World, answering, guest, packed, publish, publish_with, queue};
use crate::{Destinations, LogLevel, clock};

const ENDLESS: &str = "(loop $l br $l) unreachable";

/// The guest fails with this cause every time, an exchange beside it works all the while, and its
/// failures are counted.
#[track_caller]
fn check(guest: &Guest, cause: FailureCause, detail: &str) {
    let world = World::new();
    world.deploy("good", &answering(b"\x91\x01"));
    let good = world.exchange("good");
    world.deploy("bad", guest);
    let bad = world.exchange("bad");
    for _ in 0..3 {
        let failure = publish(&*bad, "key").unwrap_err();
        assert_eq!(failure.cause, cause, "{failure}");
        assert!(failure.detail.contains(detail), "{failure}");
        assert_eq!(publish(&*good, "key").unwrap(), [queue(1)]);
    }
    let counters = world.routes.show(&super::world::vhost(), "bad").unwrap().versions[0].counters;
    assert_eq!(counters.calls, 3);
    assert_eq!(counters.failures_by(cause), 3);
    assert_eq!(counters.failures_total(), 3);
}

#[test]
fn a_trap() {
    check(&guest("unreachable"), FailureCause::Trap, "`unreachable` instruction executed in route");
    check(&guest("i64.const 1 i64.const 0 i64.div_u"), FailureCause::Trap, "divide by zero");
    check(&guest("i32.const -1 i64.load"), FailureCause::Trap, "out of bounds memory access");
}

#[test]
fn recursion_without_end() {
    let body = "local.get 0 local.get 1 call $route local.get 0 local.get 1 call $route i64.add";
    check(&guest(body), FailureCause::Trap, "call stack exhausted");
}

#[test]
fn a_loop_without_end_is_stopped_by_processor_time() {
    check(&guest(ENDLESS), FailureCause::Timeout, "5000 us of processor time");
    let world = World::new();
    world.deploy("loop", &guest(ENDLESS));
    let exchange = world.exchange("loop");
    let before = clock::thread_cpu_ns();
    publish(&*exchange, "key").unwrap_err();
    let used_ms = (clock::thread_cpu_ns() - before) / 1_000_000;
    assert!((4..100).contains(&used_ms), "{used_ms} ms");
}

#[test]
fn a_loop_that_logs_is_stopped_and_its_flood_is_cut() {
    let mut flood = guest(
        "(loop $l (call $log (i32.const 2) (i32.const 0) (i32.const 1000)) br $l) unreachable",
    );
    flood.imports = "(import \"shunt\" \"log\" (func $log (param i32 i32 i32)))".into();
    let world = World::new();
    assert_eq!(world.decide(&flood).unwrap_err().cause, FailureCause::Timeout);
    let bytes: usize = world.log().iter().map(|(_, text)| text.len()).sum();
    assert!(bytes <= 2 * 65_536 + 100, "{bytes}");
}

#[test]
fn memory_without_end() {
    let eater = "(loop $l
        (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    check(&guest(eater), FailureCause::Memory, "unreachable");
    // A refusal that the guest can live with is none of our business.
    let modest = "(drop (memory.grow (i32.const 60000))) i64.const 0";
    assert_eq!(World::new().decide(&guest(modest)), Ok(vec![]));
}

#[test]
fn answers_out_of_bounds() {
    let bad = FailureCause::BadAnswer;
    check(&guest(&format!("i64.const {}", packed(0, 0xffff_ffff))), bad, "4294967295 bytes");
    check(&guest(&format!("i64.const {}", packed(131_071, 2))), bad, "out of bounds");
    check(&guest(&format!("i64.const {}", packed(0x7fff_ffff, 9))), bad, "out of bounds");
    check(&guest("i64.const -1"), bad, "4294967295 bytes");
    check(&answering(b"\x91\x03"), bad, "index 3, and the exchange has 3 bindings");
    check(&answering(b"\x91\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), bad, "index 18446744073709");
}

#[test]
fn answers_that_are_garbage() {
    let bad = FailureCause::BadAnswer;
    check(&answering(b"\xc1"), bad, "0xc1");
    check(&answering(b"\x92\x01"), bad, "ends in the middle");
    check(&answering(b"\x91\xff"), bad, "neither an index nor a queue");
    check(&answering(b"\xdd\xff\xff\xff\xff"), bad, "4294967295 destinations");
    check(&answering(b"\x91\xa1\xff"), bad, "UTF-8");
}

#[test]
fn a_refusal_with_its_reason() {
    let reason = packed(2048, 7) | 1 << 63;
    let refusal = guest(&format!("i64.const {}", reason as i64));
    let refusal = refusal.with("(data (i32.const 2048) \"no, sir\")");
    check(&refusal, FailureCause::Refused, "no, sir");
}

#[test]
fn names_of_queues() {
    check(&answering(b"\x91\xa5named"), FailureCause::NotPermitted, "'named'");
    let world = World::new();
    for (name, answer) in [("any", &b"\x91\xa5named"[..]), ("lost", b"\x91\xa4lost")] {
        let wat = answering(answer).wat();
        world.try_deploy(name, wat.as_bytes(), &[], Destinations::Any).unwrap();
    }
    assert_eq!(publish(&*world.exchange("any"), "key").unwrap(), [queue(9)]);
    let failure = publish(&*world.exchange("lost"), "key").unwrap_err();
    assert_eq!(failure.to_string(), "unknown-queue: no queue 'lost'");
}

#[test]
fn an_allocator_that_lies() {
    let mut none = guest("i64.const 0");
    none.alloc = "i32.const 0";
    check(&none, FailureCause::Memory, "shunt_alloc has no 256 bytes");
    let mut outside = guest("i64.const 0");
    outside.alloc = "i32.const -8";
    check(&outside, FailureCause::BadAnswer, "4294967288, out of bounds");
    let mut endless = guest("i64.const 0");
    endless.alloc = ENDLESS;
    check(&endless, FailureCause::Timeout, "processor time");
}

#[test]
fn a_larger_input_asks_for_a_larger_buffer() {
    // Answers as many picks of binding 0 as the allocator was called times.
    let mut growing = guest(
        "(i32.store8 (i32.const 2048) (i32.add (i32.const 0x90) (global.get $calls)))
         (i32.store (i32.const 2049) (i32.const 0))
         (i64.or (i64.const 0x80000000000)
                 (i64.extend_i32_u (i32.add (i32.const 1) (global.get $calls))))",
    );
    growing.reads = vec!["headers.x"];
    growing.alloc =
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1))) i32.const 4096";
    growing.extra = "(global $calls (mut i32) (i32.const 0))".into();
    let world = World::new();
    world.deploy("grow", &growing);
    let exchange = world.exchange("grow");
    let sized = |length: usize| {
        let headers: FieldTable =
            [("x".to_owned(), Value::from("v".repeat(length)))].into_iter().collect();
        let properties = Properties { headers: Some(headers), ..Properties::default() };
        publish_with(&*exchange, "key", &properties).map(|picks| picks.len())
    };
    assert_eq!(sized(10), Ok(1));
    assert_eq!(sized(200), Ok(1));
    assert_eq!(sized(300), Ok(2));
    assert_eq!(sized(20), Ok(2));
    assert_eq!(sized(5_000), Ok(3));
    // Longer than the whole memory of the guest.
    assert_eq!(sized(200_000).unwrap_err().cause, FailureCause::BadAnswer);
}

#[test]
fn a_set_up_that_fails_is_not_run_for_each_message() {
    let world = World::new();
    let refusing = guest("i64.const 0").with(&format!(
        "(data (i32.const 2048) \"full\") (func (export \"shunt_bindings\") (param i32 i32)
             (result i64) i64.const {})",
        packed(2048, 4)
    ));
    assert_eq!(world.decide(&refusing).unwrap_err().to_string(), "refused: full");

    let looping = guest("i64.const 0").with(&format!(
        "(func (export \"shunt_bindings\") (param i32 i32) (result i64) {ENDLESS})"
    ));
    world.deploy("loop", &looping);
    let exchange = world.exchange("loop");
    let before = clock::thread_cpu_ns();
    let causes: Vec<_> = (0..100).map(|_| publish(&*exchange, "key").unwrap_err().cause).collect();
    // Each counts for ten of the hundred after which the breaker opens, for longer than this takes.
    let (called, kept_off) = causes.split_at(10);
    assert!(called.iter().all(|cause| *cause == FailureCause::Timeout), "{causes:?}");
    assert!(kept_off.iter().all(|cause| *cause == FailureCause::Unavailable), "{causes:?}");
    let used_ms = (clock::thread_cpu_ns() - before) / 1_000_000;
    assert!(used_ms < 2_000, "{used_ms} ms");
}

#[test]
fn memory_of_a_trapped_instance_is_gone() {
    let counting = guest(
        "(global.set $n (i32.add (global.get $n) (i32.const 1)))
         (if (i32.eq (global.get $n) (i32.const 3)) (then unreachable))
         i64.const 0",
    )
    .with("(global $n (mut i32) (i32.const 0))");
    // Another message each time: an answer that was given before needs no call.
    let mut counting = counting;
    counting.reads = vec!["routing_key"];
    let world = World::new();
    world.deploy("count", &counting);
    let exchange = world.exchange("count");
    let keys = ["a", "b", "c", "d", "e", "f"];
    let outcomes: Vec<_> = keys.iter().map(|key| publish(&*exchange, key).is_ok()).collect();
    assert_eq!(outcomes, [true, true, false, true, true, false]);
}

#[test]
fn an_empty_wasi_for_runtimes_that_want_one() {
    let world = World::new();
    let mut talking = guest(
        "(i32.store (i32.const 3000) (i32.const 2048)) (i32.store (i32.const 3004) (i32.const 6))
         (drop (call $write (i32.const 2) (i32.const 3000) (i32.const 1) (i32.const 3008)))
         (if (i32.ne (i32.load (i32.const 3008)) (i32.const 6)) (then unreachable))
         (if (i32.ne (i32.const 8) (call $close (i32.const 3))) (then unreachable))
         (drop (call $time (i32.const 0) (i64.const 0) (i32.const 3016)))
         (if (i64.ne (i64.load (i32.const 3016)) (i64.const 1700000000000000000))
             (then unreachable))
         (call $exit (i32.const 7)) i64.const 0",
    )
    .with("(data (i32.const 2048) \"one\\0atwo\")");
    talking.imports = "
        (import \"wasi_snapshot_preview1\" \"fd_write\"
            (func $write (param i32 i32 i32 i32) (result i32)))
        (import \"wasi_snapshot_preview1\" \"fd_close\" (func $close (param i32) (result i32)))
        (import \"wasi_snapshot_preview1\" \"clock_time_get\"
            (func $time (param i32 i64 i32) (result i32)))
        (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
        .into();
    let failure = world.decide(&talking).unwrap_err();
    assert_eq!(failure.cause, FailureCause::Trap);
    assert!(failure.detail.starts_with("the guest exited with code 7"), "{failure}");
    let expected = [(LogLevel::Warn, "one".to_owned()), (LogLevel::Warn, "tw".to_owned())];
    assert_eq!(world.log(), expected);

    let mut aborting = guest(
        "(call $abort (i32.const 2052) (i32.const 0) (i32.const 3) (i32.const 4)) i64.const 0",
    )
    .with("(data (i32.const 2048) \"\\04\\00\\00\\00h\\00i\\00\")");
    aborting.imports = "(import \"env\" \"abort\" (func $abort (param i32 i32 i32 i32)))".into();
    let failure = world.decide(&aborting).unwrap_err();
    assert!(failure.detail.starts_with("abort: hi at :3:4"), "{failure}");
}
