//! Guards in a registry: every answer is checked, whoever asks for it.

use shunt_routing::{FailureCause, Header, Matcher};
use shunt_types::{Properties, PropertiesRef, Value};

use super::world::{
    Guest, World, answering, binding, publish, publish_with, queue, request, spec, vhost,
};
use crate::{
    CanaryBounds, CanarySettings, DeployRequest, Destinations, DryRunRequest, Guards, LogLevel,
    Metering, ReplayRequest, RouteCounters, ShadowSettings, TraceSettings, replay,
};

fn guards(rules: &[(&str, &str)]) -> Guards {
    let owned = rules.iter().map(|(name, rule)| ((*name).to_owned(), (*rule).to_owned()));
    Guards::parse(&owned.collect()).unwrap()
}

fn deploy(world: &World, guest: &Guest, rules: &[(&str, &str)], activate: bool) -> u32 {
    let (module, guards) = (guest.wat(), guards(rules));
    let plain = request("r", module.as_bytes(), &[], Destinations::Any);
    let deployed = world.routes.deploy(&DeployRequest { guards: &guards, activate, ..plain });
    deployed.unwrap().version
}

fn counters(world: &World, version: usize) -> RouteCounters {
    world.routes.show(&vhost(), "r").unwrap().versions[version - 1].counters
}

fn from_region(region: &str) -> Properties {
    let headers = Some([("region".to_owned(), Value::from(region))].into_iter().collect());
    Properties { headers, ..Properties::default() }
}

#[track_caller]
fn check_refused(exchange: &dyn Matcher, guard: &str) {
    let failure = publish(exchange, "key").unwrap_err();
    assert_eq!(failure.cause, FailureCause::Refused);
    assert!(failure.detail.starts_with(&format!("guard '{guard}' is broken: ")), "{failure}");
}

#[test]
fn an_answer_that_breaks_one_is_refused_and_counted_by_its_name() {
    let world = World::new();
    let rules = [("a-few", "at most 1"), ("b-some", "at least 1")];
    deploy(&world, &answering(b"\x92\x00\x01"), &rules, true);
    let exchange = world.exchange("r");
    check_refused(&*exchange, "a-few");
    check_refused(&*exchange, "a-few");
    let counted = counters(&world, 1);
    assert_eq!(counted.guards[..2], [2, 0]);
    assert_eq!((counted.failures_by(FailureCause::Refused), counted.cache_hits), (2, 0));
    let told = "guard 'a-few' is broken: at most 1 (1 since the last such line)";
    assert_eq!(world.log(), [(LogLevel::Warn, told.to_owned())]);
    deploy(&world, &answering(b"\x90"), &rules, true);
    check_refused(&*exchange, "b-some");
    deploy(&world, &answering(b"\x92\x01\x01"), &rules, true);
    assert!(publish(&*exchange, "key").is_ok());
    let view = &world.routes.show(&vhost(), "r").unwrap().versions[0].guards;
    assert_eq!(view[0], ("a-few".to_owned(), "at most 1".to_owned(), 2));
}

#[test]
fn bindings_and_names_are_checked_by_their_patterns() {
    let world = World::new();
    let rules = [("keys", "keys k"), ("queues", "queues e*")];
    deploy(&world, &answering(b"\x91\x00"), &rules, true);
    let exchange = world.exchange("r");
    assert_eq!(publish(&*exchange, "key"), Ok(vec![queue(0)]));
    for (answer, guard) in [(b"\x91\x01".as_slice(), "queues"), (b"\x91\x02", "queues")] {
        deploy(&world, &answering(answer), &rules, true);
        check_refused(&*exchange, guard);
    }
    deploy(&world, &answering(b"\x91\xa5named"), &rules, true);
    check_refused(&*exchange, "keys");
    deploy(&world, &answering(b"\x91\xa5named"), &[("queues", "queues n*d")], true);
    assert!(publish(&*exchange, "key").is_ok());
}

#[test]
fn a_guard_knows_bindings_that_come_later() {
    let world = World::new();
    deploy(&world, &answering(b"\x91\x03"), &[("eu", "queues eu*")], true);
    let mut exchange = world.exchange("r");
    exchange.bind(&binding(queue(3), "us-2"));
    check_refused(&*exchange, "eu");
    exchange.unbind(&binding(queue(3), "us-2"));
    exchange.bind(&binding(queue(4), "eu-2"));
    assert_eq!(publish(&*exchange, "key"), Ok(vec![queue(4)]));
}

#[test]
fn an_answer_that_is_kept_is_one_for_the_value_that_a_guard_compares() {
    let world = World::new();
    let rules = [("eu", "when headers.region=eu queues eu*")];
    deploy(&world, &answering(b"\x91\x01"), &rules, true);
    let exchange = world.exchange("r");
    // The route reads nothing, and would answer all of them from what it said first.
    for _ in 0..2 {
        assert!(publish_with(&*exchange, "key", &from_region("us")).is_ok());
        assert!(publish_with(&*exchange, "key", &from_region("eu")).is_err());
        assert!(publish(&*exchange, "key").is_ok());
    }
    let counted = counters(&world, 1);
    assert_eq!((counted.guards[0], counted.cache_hits, counted.cache_misses), (2, 2, 2));
}

#[test]
fn another_rule_is_another_version_and_they_outlive_a_restart() {
    let world = World::new();
    let module = answering(b"\x92\x00\x01");
    assert_eq!(deploy(&world, &module, &[("few", "at most 1")], true), 1);
    assert_eq!(deploy(&world, &module, &[("few", "at most 2")], false), 2);
    assert_eq!(deploy(&world, &module, &[("few", "at most 1")], true), 1);
    let world = world.reopened();
    check_refused(&*world.exchange("r"), "few");
    let view = world.routes.show(&vhost(), "r").unwrap();
    assert_eq!(view.versions[1].guards[0].1, "at most 2");
}

#[test]
fn a_dry_run_says_what_would_be_refused() {
    let world = World::new();
    deploy(&world, &answering(b"\x91\x01"), &[("eu", "queues eu*")], true);
    let vhost = vhost();
    let run = world.routes.dry_run(&DryRunRequest {
        name: "r",
        version: None,
        exchange: &spec(&[]),
        bindings: &super::world::bindings(),
        header: Header {
            vhost: &vhost,
            exchange: "e",
            routing_keys: &["k"],
            properties: PropertiesRef::EMPTY,
            body_size: 0,
            user: "u",
            now_ms: 0,
            random: 0,
        },
        queue_exists: &|_| true,
    });
    let run = run.unwrap();
    assert!(run.failure.unwrap().detail.contains("guard 'eu'") && run.destinations.is_empty());
    assert_eq!(counters(&world, 1).guards[0], 0);
}

#[test]
fn a_trace_tells_before_a_version_decides() {
    let world = World::new();
    let rules = [("eu", "when headers.region=eu queues eu*")];
    let candidate = answering(b"\x91\x01");
    deploy(&world, &answering(b"\x91\x00"), &[], true);
    assert_eq!(deploy(&world, &candidate, &rules, false), 2);
    let check = |world: &World| world.routes.check_guards(&vhost(), "r", 2).unwrap();
    assert_eq!(check(&world), None);
    let exchange = world.exchange("r");
    let settings =
        TraceSettings { fields: vec![], exchange: None, every: 1, bytes: 1 << 20, seconds: 60 };
    world.routes.start_trace(&vhost(), "r", settings, 0).unwrap();
    for region in ["eu", "us", "eu"] {
        publish_with(&*exchange, "key", &from_region(region)).unwrap();
    }
    world.routes.stop_trace(&vhost(), "r", false).unwrap();
    let found = check(&world).unwrap();
    assert_eq!((found.messages, found.unchecked), (3, None));
    assert_eq!(found.broken, [("eu".to_owned(), 2)].into());
    assert_eq!(world.routes.check_guards(&vhost(), "r", 1).unwrap(), None);

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
    assert_eq!(found.candidate.guards["eu"], 2);
    assert_eq!((found.candidate.failures["refused"], found.changed), (2, 3));
    // A guard that compares what wasn't recorded can't be checked.
    deploy(&world, &candidate, &[("big", "when body_size=3 at most 0")], false);
    let found = world.routes.check_guards(&vhost(), "r", 3).unwrap().unwrap();
    assert!(found.unchecked.unwrap().contains("needs body_size"));
}

#[test]
fn candidates_are_checked_and_cost_no_message() {
    let world = World::new();
    deploy(&world, &answering(b"\x91\x00"), &[], true);
    deploy(&world, &answering(b"\x91\x01"), &[("eu", "queues eu*")], false);
    let exchange = world.exchange("r");
    let shadow = ShadowSettings { version: 2, time_per_cent: 100 };
    world.routes.start_shadow(&vhost(), "r", shadow).unwrap();
    assert_eq!(publish(&*exchange, "key"), Ok(vec![queue(0)]));
    let shown = world.routes.show(&vhost(), "r").unwrap().shadow.unwrap();
    assert_eq!((shown.counters.guards[0], shown.different), (1, 1));
    assert_eq!(shown.differences[0].candidate, ["(refused)"]);
    world.routes.end_rollout(&vhost(), "r", "", 0).unwrap();

    let canary = CanarySettings {
        version: 2,
        field: None,
        steps: vec![100],
        interval_ms: 0,
        bounds: CanaryBounds { calls_min: 1, ..CanaryBounds::default() },
    };
    world.routes.start_canary(&vhost(), "r", canary).unwrap();
    assert_eq!(publish(&*exchange, "key"), Ok(vec![queue(0)]));
    let canary = world.routes.show(&vhost(), "r").unwrap().canary.unwrap();
    assert_eq!((canary.candidate.failed, counters(&world, 2).guards[0]), (1, 1));
}
