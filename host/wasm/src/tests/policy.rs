//! What happens around a route that fails: the version before, the breaker.

use shunt_routing::FailureCause;

use super::world::{World, answering, bindings, guest, publish, queue, vhost};
use crate::{DeployRequest, Destinations, LimitOverrides};

#[test]
fn the_version_before_decides_where_the_active_one_fails() {
    let world = World::new();
    world.deploy("r", &answering(b"\x91\x01"));
    let mut exchange = world.declare(&[("x-route", "r"), ("x-on-failure", "previous")]).unwrap();
    bindings().iter().for_each(|binding| exchange.bind(binding));
    let plain = world.exchange("r");
    let bad = "(i32.store8 (i32.const 2050) (i32.const 9)) i64.const 0x80000000003";
    world.deploy("r", &guest(bad).with("(data (i32.const 2048) \"\\92\\00\\00\")"));
    for _ in 0..3 {
        // What the failing version had picked before counts for nothing.
        assert_eq!(publish(&*exchange, "k"), Ok(vec![queue(1)]));
        assert_eq!(publish(&*plain, "k").unwrap_err().cause, FailureCause::BadAnswer);
    }
    let view = world.routes.show(&vhost(), "r").unwrap();
    assert_eq!(view.versions[0].counters.calls, 3);
    assert_eq!(view.versions[1].counters.failures_by(FailureCause::BadAnswer), 6);

    // A failure of that one too is the failure of the active one.
    world.deploy("r", &guest("unreachable"));
    let failure = publish(&*exchange, "k").unwrap_err();
    assert_eq!(failure.cause, FailureCause::Trap);
    // A version that is gone decides nothing.
    world.routes.activate(&vhost(), "r", 1).unwrap();
    world.routes.remove_version(&vhost(), "r", 3).unwrap();
    assert_eq!(publish(&*exchange, "k"), Ok(vec![queue(1)]));
    let world = world.reopened();
    let mut exchange = world.declare(&[("x-route", "r"), ("x-on-failure", "previous")]).unwrap();
    bindings().iter().for_each(|binding| exchange.bind(binding));
    world.routes.activate(&vhost(), "r", 2).unwrap();
    let world = world.reopened();
    let mut exchange = world.declare(&[("x-route", "r"), ("x-on-failure", "previous")]).unwrap();
    bindings().iter().for_each(|binding| exchange.bind(binding));
    assert_eq!(publish(&*exchange, "k"), Ok(vec![queue(1)]));
}

#[test]
fn a_route_that_keeps_trapping_rests() {
    let world = World::new();
    let wat = guest("unreachable").wat();
    let limits = LimitOverrides {
        breaker_failures: Some(3),
        breaker_pause_ms: Some(200),
        ..LimitOverrides::default()
    };
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
    let exchange = world.exchange("r");
    let cause = || publish(&*exchange, "k").unwrap_err().cause;
    assert_eq!([cause(), cause(), cause()], [FailureCause::Trap; 3]);
    assert_eq!([cause(), cause()], [FailureCause::Unavailable; 2]);
    let log = world.log();
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].1.starts_with("it failed too often and rests for 200 ms"), "{log:?}");
    let again = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        cause() == FailureCause::Trap
    });
    assert!(again);
    let counters = world.routes.show(&vhost(), "r").unwrap().versions[0].counters;
    assert!(counters.failures_by(FailureCause::Unavailable) >= 2);
}
