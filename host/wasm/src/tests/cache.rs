//! Answers that are kept: right under every change, and only where they may be.

use super::world::{World, answering, binding, guest, publish, queue, vhost};
use crate::{Destinations, RouteCounters};

fn counters(world: &World) -> RouteCounters {
    world.routes.show(&vhost(), "r").unwrap().versions.last().unwrap().counters
}

#[test]
fn an_answer_is_given_again_without_the_module() {
    let world = World::new();
    let mut keyed = answering(b"\x91\x00");
    keyed.reads = vec!["routing_key"];
    world.deploy("r", &keyed);
    let exchange = world.exchange("r");
    for key in ["a", "b", "a", "a"] {
        assert_eq!(publish(&*exchange, key), Ok(vec![queue(0)]));
    }
    let counted = counters(&world);
    assert_eq!((counted.calls, counted.cache_hits, counted.cache_misses), (4, 2, 2));
}

#[test]
fn every_change_forgets() {
    let world = World::new();
    // Picks the last of its bindings.
    let last = guest("(i32.store8 (i32.const 2049) (global.get $last)) i64.const 0x80000000002")
        .with(
            "(data (i32.const 2048) \"\\91\\00\") (global $last (mut i32) (i32.const 0))
         (func (export \"shunt_bindings\") (param i32 i32) (result i64)
           (global.set $last (i32.sub
             (i32.and (i32.load8_u (local.get 0)) (i32.const 15)) (i32.const 1)))
           i64.const 0)",
        );
    world.deploy("r", &last);
    let mut exchange = world.declare(&[("x-route", "r")]).unwrap();
    let all: Vec<_> = (0..4).map(|slot| binding(queue(slot), &slot.to_string())).collect();
    for (slot, binding) in (0..).zip(&all) {
        exchange.bind(binding);
        for _ in 0..2 {
            assert_eq!(publish(&*exchange, "k"), Ok(vec![queue(slot)]));
        }
    }
    let before = exchange.boxed_clone();
    assert_eq!(publish(&*exchange, "k"), Ok(vec![queue(3)]));
    exchange.unbind(&all[3]);
    assert_eq!(publish(&*exchange, "k"), Ok(vec![queue(2)]));
    // A snapshot that a publisher still has answers by its own bindings.
    assert_eq!(publish(&*before, "k"), Ok(vec![queue(3)]));
    world.deploy("r", &answering(b"\x91\x01"));
    assert_eq!(publish(&*exchange, "k"), Ok(vec![queue(1)]));
    world.routes.activate(&vhost(), "r", 1).unwrap();
    assert_eq!(publish(&*exchange, "k"), Ok(vec![queue(2)]));
}

#[test]
fn what_may_not_be_kept() {
    // A failure, an answer by name, one that was logged.
    let mut logging = guest("(call $log (i32.const 2) (i32.const 0) (i32.const 1)) i64.const 0");
    logging.imports = "(import \"shunt\" \"log\" (func $log (param i32 i32 i32)))".into();
    for guest in [guest("unreachable"), answering(b"\x91\xa5named"), logging] {
        let world = World::new();
        world.try_deploy("r", guest.wat().as_bytes(), &[], Destinations::Any).unwrap();
        let exchange = world.exchange("r");
        for _ in 0..3 {
            let _ = publish(&*exchange, "k");
        }
        assert_eq!(counters(&world).cache_hits, 0);
    }
    // A route that sees more than its fields.
    let mut timed = guest("(drop (call $now)) i64.const 0");
    timed.imports = "(import \"shunt\" \"now_ms\" (func $now (result i64)))".into();
    timed.wants = vec!["clock"];
    let world = World::new();
    world.try_deploy("r", timed.wat().as_bytes(), &["clock"], Destinations::Bound).unwrap();
    let exchange = world.exchange("r");
    for _ in 0..3 {
        assert_eq!(publish(&*exchange, "k"), Ok(vec![]));
    }
    let counted = counters(&world);
    assert_eq!((counted.cache_hits, counted.cache_misses), (0, 0));
}
