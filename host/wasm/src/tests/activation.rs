//! Versions under load, bindings that change, and what is freed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shunt_routing::FailureCause;

use super::world::{World, answering, bindings, guest, publish, queue, vhost};
use crate::{DeployRequest, Destinations, LimitOverrides, local};

#[test]
fn each_message_is_decided_by_one_version() {
    let world = World::new();
    // Each version answers its own binding twice: a mixture would show.
    world.deploy("r", &answering(b"\x92\x00\x00"));
    world.deploy("r", &answering(b"\x92\x01\x01"));
    let exchange: Arc<_> = world.exchange("r").into();
    let stop = Arc::new(AtomicBool::new(false));
    let publishers: Vec<_> = (0..3)
        .map(|_| {
            let (exchange, stop) = (Arc::clone(&exchange), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut published = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    let picks = publish(&*exchange, "key").unwrap();
                    let whole = [[queue(0); 2], [queue(1); 2]];
                    assert!(whole.iter().any(|whole| picks == whole), "{picks:?}");
                    published += 1;
                }
                published
            })
        })
        .collect();
    for round in 0..60 {
        world.routes.activate(&vhost(), "r", 1 + round % 2).unwrap();
        std::thread::yield_now();
    }
    stop.store(true, Ordering::Relaxed);
    let published: u64 = publishers.into_iter().map(|thread| thread.join().unwrap()).sum();
    let view = world.routes.show(&vhost(), "r").unwrap();
    let calls: u64 = view.versions.iter().map(|version| version.counters.calls).sum();
    assert_eq!(calls, published);
    // The threads are gone, and their instances with them; this one checked the bindings.
    assert_eq!(view.versions.iter().map(|version| version.instances).sum::<usize>(), 1);
}

#[test]
fn the_bindings_are_told_when_they_changed() {
    let world = World::new();
    // Answers its last binding; the count comes from the array's first byte.
    let last = guest(
        "(i32.store8 (i32.const 2048) (i32.const 0x91))
         (i32.store8 (i32.const 2049) (i32.sub (global.get $n) (i32.const 1)))
         i64.const 0x80000000002",
    )
    .with(
        "(global $n (mut i32) (i32.const 0))
         (func (export \"shunt_bindings\") (param i32 i32) (result i64)
           (global.set $n (i32.and (i32.load8_u (local.get 0)) (i32.const 15))) i64.const 0)",
    );
    world.deploy("r", &last);
    let mut exchange = world.declare(&[("x-route", "r")]).unwrap();
    let [eu, us, _] = &bindings()[..] else { unreachable!() };
    exchange.bind(eu);
    assert_eq!(publish(&*exchange, "key").unwrap(), [queue(0)]);
    let mut changed = exchange.boxed_clone();
    changed.bind(us);
    // Old and new snapshot may be in use at the same time.
    assert_eq!(publish(&*changed, "key").unwrap(), [queue(1)]);
    assert_eq!(publish(&*exchange, "key").unwrap(), [queue(0)]);
    changed.unbind(us);
    assert_eq!(publish(&*changed, "key").unwrap(), [queue(0)]);
}

#[test]
fn instances_of_what_is_gone_are_freed() {
    let world = World::new();
    world.deploy("r", &answering(b"\x91\x00"));
    local::release_instances();
    let before = local::held();
    let exchanges: Vec<_> = (0..20).map(|_| world.exchange("r")).collect();
    exchanges.iter().for_each(|exchange| drop(publish(&**exchange, "key")));
    assert_eq!(local::held(), before + 20);
    assert_eq!(world.routes.show(&vhost(), "r").unwrap().versions[0].instances, 20);
    assert_eq!(world.routes.show(&vhost(), "r").unwrap().exchanges, 20);
    let mut exchanges = exchanges;
    exchanges.truncate(1);
    // The next call of the thread frees the rest.
    publish(&*exchanges[0], "key").unwrap();
    assert_eq!(local::held(), before + 1);
    assert_eq!(world.routes.show(&vhost(), "r").unwrap().versions[0].instances, 1);

    world.deploy("r", &answering(b"\x91\x01"));
    local::release_instances();
    assert_eq!(local::held(), before);
    assert_eq!(publish(&*exchanges[0], "key").unwrap(), [queue(1)]);
    let calls = world.routes.show(&vhost(), "r").unwrap().versions[0].counters.calls;
    assert_eq!(calls, 21);
}

#[test]
fn a_removed_route_fails_and_comes_back() {
    let world = World::new();
    world.deploy("r", &answering(b"\x91\x00"));
    let exchange = world.exchange("r");
    publish(&*exchange, "key").unwrap();
    world.routes.remove(&vhost(), "r").unwrap();
    let failure = publish(&*exchange, "key").unwrap_err();
    assert_eq!(failure.cause, FailureCause::Unavailable);
    world.deploy("r", &answering(b"\x91\x01"));
    assert_eq!(publish(&*exchange, "key").unwrap(), [queue(1)]);
    assert_eq!(world.routes.show(&vhost(), "r").unwrap().unavailable, 1);
}

#[test]
fn names_that_nobody_holds_are_forgotten() {
    let world = World::new();
    for name in 0..10 {
        assert!(world.declare(&[("x-route", &format!("no-{name}"))]).is_err());
    }
    assert_eq!(world.routes.names(), 0);
}

#[test]
fn a_version_has_no_more_instances_than_its_limit() {
    let world = World::new();
    let wat = answering(b"\x91\x00").wat();
    let limits = LimitOverrides { instances: Some(2), ..LimitOverrides::default() };
    let request = DeployRequest {
        vhost: &vhost(),
        name: "r",
        module: wat.as_bytes(),
        grants: &[],
        destinations: Destinations::Bound,
        limits,
        guards: &crate::Guards::default(),
        activate: true,
        now_ms: 0,
    };
    world.routes.deploy(&request).unwrap();
    let exchanges = [world.exchange("r"), world.exchange("r")];
    let refused = world.declare(&[("x-route", "r")]).err().unwrap();
    assert!(refused.contains("unavailable: 2 instances are live"), "{refused}");
    assert_eq!(publish(&*exchanges[1], "key").unwrap(), [queue(0)]);
}

#[test]
fn the_clock_stands_still_within_a_call_and_random_numbers_differ() {
    let world = World::new();
    let mut sampling = guest(
        "(if (i64.ne (call $now) (call $now)) (then unreachable))
         (if (i64.lt_u (call $now) (i64.const 1600000000000)) (then unreachable))
         (if (i64.eq (call $random) (call $random)) (then unreachable))
         i64.const 0",
    );
    sampling.imports = "(import \"shunt\" \"now_ms\" (func $now (result i64)))
        (import \"shunt\" \"random\" (func $random (result i64)))"
        .into();
    sampling.wants = vec!["clock", "random"];
    let wat = sampling.wat();
    let grants = ["random", "clock"];
    world.try_deploy("r", wat.as_bytes(), &grants, Destinations::Bound).unwrap();
    assert_eq!(publish(&*world.exchange("r"), "key"), Ok(vec![]));
}
