//! Traces, replays, shadows and canaries of a registry.

use shunt_routing::Matcher;

use super::world::{Guest, World, answering, guest, publish, queue, vhost};
use crate::{
    CanaryBounds, CanarySettings, Metering, ReplayRequest, RolloutChange, ShadowSettings,
    TraceSettings, replay,
};

fn traced(every: u64) -> TraceSettings {
    let bytes = 1 << 20;
    TraceSettings { fields: vec!["routing_key".into()], exchange: None, every, bytes, seconds: 60 }
}

fn canary(steps: &[u32]) -> CanarySettings {
    CanarySettings {
        version: 2,
        field: None,
        steps: steps.to_vec(),
        interval_ms: 10,
        bounds: CanaryBounds {
            calls_min: 10,
            time_factor: 0.0,
            fuel_factor: 0.0,
            ..CanaryBounds::default()
        },
    }
}

/// Version 1 answers binding 0, version 2 what is given; version 1 is active.
fn two(second: &Guest) -> (World, Box<dyn Matcher>) {
    let world = World::new();
    world.deploy("r", &answering(b"\x91\x00"));
    world.deploy("r", second);
    world.routes.activate(&vhost(), "r", 1).unwrap();
    let exchange = world.exchange("r");
    (world, exchange)
}

#[test]
fn a_trace_is_replayed_and_tells_what_moves() {
    let (world, exchange) = two(&answering(b"\x91\x01"));
    world.routes.start_trace(&vhost(), "r", traced(2), 0).unwrap();
    let running = world.routes.start_trace(&vhost(), "r", traced(2), 0).unwrap_err();
    assert!(running.to_string().contains("stop it first"), "{running}");
    for n in 0..20 {
        publish(&*exchange, if n < 6 { "few" } else { "many" }).unwrap();
    }
    world.routes.stop_trace(&vhost(), "r", false).unwrap();
    publish(&*exchange, "late").unwrap();
    let status = world.routes.trace_status(&vhost(), "r").unwrap().unwrap();
    assert_eq!((status.recorded, status.missed, status.is_running), (10, 0, false));

    let trace = world.routes.read_trace(&vhost(), "r").unwrap();
    let route =
        |version| world.routes.desk_route(&vhost(), "r", Some(version), Metering::Fuel).unwrap();
    let (one, two) = (route(1), route(2));
    let request = ReplayRequest {
        trace: &trace,
        vhost: &vhost(),
        candidate: &two,
        against: Some(&one),
        bindings: None,
    };
    let found = replay(&request).unwrap();
    assert_eq!((found.messages, found.changed), (10, 10));
    assert_eq!(found.moves.len(), 1);
    assert_eq!((found.moves[0].from.len(), found.moves[0].messages), (1, 10));
    let moved: Vec<_> = found.destinations.iter().map(|d| (d.binding, d.gained, d.lost)).collect();
    assert_eq!(moved, [(Some(0), 0, 10), (Some(1), 10, 0)]);
    assert!(found.candidate.fuel_p50 > 0 && found.candidate.fuel_p99 >= found.candidate.fuel_p50);
    let same = replay(&ReplayRequest { candidate: &one, ..request }).unwrap();
    assert_eq!((same.messages, same.changed), (10, 0));
    assert!(same.moves.is_empty() && same.destinations.is_empty());

    let mut damaged = trace.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let error = replay(&ReplayRequest { trace: &damaged, ..request }).unwrap_err();
    assert!(error.to_string().contains("damaged at byte"), "{error}");
    let cut = replay(&ReplayRequest { trace: &trace[..last], ..request }).unwrap();
    assert!(cut.messages < 10);
    let error = replay(&ReplayRequest { trace: b"not a trace", ..request }).unwrap_err();
    assert!(error.to_string().contains("no trace"), "{error}");

    world.routes.stop_trace(&vhost(), "r", true).unwrap();
    assert!(world.routes.read_trace(&vhost(), "r").unwrap().is_empty());
}

#[test]
fn what_was_not_recorded_is_not_replayed() {
    let mut reader = answering(b"\x91\x00");
    reader.reads = vec!["headers.region"];
    let (world, exchange) = two(&answering(b"\x91\x01"));
    world.routes.start_trace(&vhost(), "r", traced(1), 0).unwrap();
    publish(&*exchange, "k").unwrap();
    world.routes.stop_trace(&vhost(), "r", false).unwrap();
    world.deploy("r", &reader);
    let trace = world.routes.read_trace(&vhost(), "r").unwrap();
    let candidate = world.routes.desk_route(&vhost(), "r", Some(3), Metering::Fuel).unwrap();
    let request = ReplayRequest {
        trace: &trace,
        vhost: &vhost(),
        candidate: &candidate,
        against: None,
        bindings: None,
    };
    let error = replay(&request).unwrap_err();
    assert!(error.to_string().contains("needs headers.region, which"), "{error}");
}

#[test]
fn a_shadow_delivers_nothing_and_its_failures_are_its_own() {
    let (world, exchange) = two(&guest("unreachable"));
    let settings = ShadowSettings { version: 2, time_per_cent: 100 };
    world.routes.start_shadow(&vhost(), "r", settings.clone()).unwrap();
    let twice = world.routes.start_shadow(&vhost(), "r", settings).unwrap_err();
    assert!(twice.to_string().contains("is the candidate"), "{twice}");
    let kept = world.routes.remove_version(&vhost(), "r", 2).unwrap_err();
    assert!(kept.to_string().contains("is the candidate"), "{kept}");
    for _ in 0..5 {
        assert_eq!(publish(&*exchange, "k").unwrap(), [queue(0)]);
    }
    let view = world.routes.show(&vhost(), "r").unwrap();
    let shadow = view.shadow.unwrap();
    assert_eq!((shadow.compared, shadow.different, shadow.skipped), (5, 5, 0));
    assert_eq!(shadow.differences[0].candidate, ["(trap)"]);
    assert_eq!(shadow.counters.failures_total(), 5);
    assert_eq!(view.versions[1].counters.calls, 0);
    world.routes.end_rollout(&vhost(), "r", "enough", 7).unwrap();
    assert_eq!(publish(&*exchange, "k").unwrap(), [queue(0)]);
    let view = world.routes.show(&vhost(), "r").unwrap();
    assert!(view.shadow.is_none());
    assert_eq!(view.last_rollout.unwrap().outcome, "ended");
}

#[test]
fn a_canary_is_raised_and_promoted() {
    let (world, exchange) = two(&answering(b"\x91\x01"));
    world.routes.start_canary(&vhost(), "r", canary(&[20, 60, 100])).unwrap();
    let mut now_ms = 1_000;
    let mut changes = Vec::new();
    while changes.len() < 3 {
        for _ in 0..200 {
            let picked = publish(&*exchange, "k").unwrap();
            assert!(picked == [queue(0)] || picked == [queue(1)], "{picked:?}");
        }
        now_ms += 10;
        changes.extend(world.routes.advance_rollouts(now_ms).into_iter().map(|event| event.what));
        assert!(now_ms < 10_000, "{changes:?}");
    }
    let (twenty, hundred) = (RolloutChange::Raised(60), RolloutChange::Raised(100));
    assert_eq!(changes, [twenty, hundred, RolloutChange::Promoted]);
    let view = world.routes.show(&vhost(), "r").unwrap();
    assert_eq!((view.active, view.previous, view.canary.is_none()), (Some(2), Some(1), true));
    assert_eq!(view.last_rollout.unwrap().outcome, "promoted");
    assert_eq!(publish(&*exchange, "k").unwrap(), [queue(1)]);
    assert_eq!(world.routes.rollback(&vhost(), "r").unwrap(), 1);
    assert_eq!(publish(&*exchange, "k").unwrap(), [queue(0)]);
}

#[test]
fn a_canary_that_fails_is_taken_back_and_no_publisher_sees_it() {
    let (world, exchange) = two(&guest("unreachable"));
    world.routes.start_canary(&vhost(), "r", canary(&[50])).unwrap();
    assert!(world.routes.advance_rollouts(1).is_empty());
    for _ in 0..100 {
        assert_eq!(publish(&*exchange, "k").unwrap(), [queue(0)]);
    }
    let view = world.routes.show(&vhost(), "r").unwrap();
    let failed = view.canary.unwrap().candidate.failed;
    assert!(failed > 20, "{failed}");
    assert_eq!(view.versions[1].counters.failures_total(), failed);
    let events = world.routes.advance_rollouts(2);
    assert!(matches!(&events[0].what, RolloutChange::TakenBack(why) if why.contains("failed")));
    let view = world.routes.show(&vhost(), "r").unwrap();
    assert_eq!((view.active, view.canary.is_none()), (Some(1), true));
    assert_eq!(publish(&*exchange, "k").unwrap(), [queue(0)]);
    assert_eq!(world.routes.show(&vhost(), "r").unwrap().versions[0].counters.calls, 101);
}

#[test]
fn a_canary_that_takes_too_much_fuel_is_taken_back() {
    let dear = guest(
        "(local $n i32) (loop $l (br_if $l (i32.lt_u
           (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 5000))))
         i64.const 0x80000000002",
    );
    let (world, exchange) = two(&dear.with("(data (i32.const 2048) \"\\91\\00\")"));
    let bounds = CanaryBounds { fuel_factor: 3.0, ..canary(&[100]).bounds };
    let settings = CanarySettings { bounds, interval_ms: 60_000, ..canary(&[100]) };
    world.routes.start_canary(&vhost(), "r", settings).unwrap();
    assert!(world.routes.advance_rollouts(1).is_empty());
    // Nine are too few to tell.
    (0..9).for_each(|_| drop(publish(&*exchange, "k").unwrap()));
    assert!(world.routes.advance_rollouts(2).is_empty());
    let seen = world.routes.show(&vhost(), "r").unwrap().canary.unwrap();
    assert_eq!((seen.candidate.fuel_p50, seen.active.fuel_p50), (None, None));
    assert_eq!(publish(&*exchange, "k").unwrap(), [queue(0)]);
    let events = world.routes.advance_rollouts(3);
    let [RolloutChange::TakenBack(why)] = &[events[0].what.clone()] else { panic!("{events:?}") };
    assert!(why.starts_with("the median fuel of its decisions is ") && why.contains("3 times"));
    assert_eq!(world.routes.show(&vhost(), "r").unwrap().active, Some(1));
    assert_eq!(publish(&*exchange, "k").unwrap(), [queue(0)]);
}

#[test]
fn a_canary_outlives_a_restart_at_its_step() {
    let (world, exchange) = two(&answering(b"\x91\x01"));
    world.routes.start_canary(&vhost(), "r", canary(&[20, 70])).unwrap();
    world.routes.advance_rollouts(1);
    (0..200).for_each(|_| drop(publish(&*exchange, "k").unwrap()));
    let events = world.routes.advance_rollouts(20);
    assert_eq!(events[0].what, RolloutChange::Raised(70));
    drop(exchange);
    let again = world.reopened();
    let view = again.routes.show(&vhost(), "r").unwrap();
    let canary = view.canary.unwrap();
    assert_eq!((view.active, canary.per_cent, canary.step), (Some(1), 70, 1));
    again.routes.activate(&vhost(), "r", 2).unwrap();
    assert!(again.routes.show(&vhost(), "r").unwrap().canary.is_none());
    assert!(again.reopened().routes.show(&vhost(), "r").unwrap().canary.is_none());
}

#[test]
fn a_candidate_must_make_sense() {
    let (world, _exchange) = two(&answering(b"\x91\x01"));
    let shadow = |version| ShadowSettings { version, time_per_cent: 10 };
    let refused = |version| world.routes.start_shadow(&vhost(), "r", shadow(version)).unwrap_err();
    assert!(refused(1).to_string().contains("is active"));
    assert!(refused(9).to_string().contains("no version 9"));
    let wrong = world.routes.start_canary(&vhost(), "r", canary(&[])).unwrap_err();
    assert!(wrong.to_string().contains("steps"), "{wrong}");
    let none = world.routes.end_rollout(&vhost(), "r", "", 0).unwrap_err();
    assert!(none.to_string().contains("neither"), "{none}");
}
