//! Dry runs: everything is told, nothing is delivered or counted.

use shunt_routing::{FailureCause, Header};
use shunt_types::PropertiesRef;

use super::world::{World, answering, bindings, guest, spec, vhost};
use crate::{Destinations, DryRun, DryRunRequest, LogLevel, RouteError};

pub(super) fn dry_run(
    world: &World,
    name: &str,
    version: Option<u32>,
) -> Result<DryRun, RouteError> {
    world.routes.dry_run(&DryRunRequest {
        name,
        version,
        exchange: &spec(&[]),
        bindings: &bindings(),
        header: Header {
            vhost: &vhost(),
            exchange: "orders",
            routing_keys: &["key"],
            properties: PropertiesRef::EMPTY,
            body_size: 0,
            user: "guest",
            now_ms: 0,
            random: 0,
        },
        queue_exists: &|queue| queue == "named",
    })
}

#[test]
fn a_dry_run_names_destinations_and_counts_fuel() {
    let world = World::new();
    world.deploy("r", &answering(b"\x91\x00"));
    world.deploy("r", &answering(b"\x92\x01\x02"));
    let run = dry_run(&world, "r", None).unwrap();
    let names: Vec<_> =
        run.destinations.iter().map(|d| (&*d.name, d.is_queue, d.binding)).collect();
    assert_eq!(names, [("us", true, Some(1)), ("rest", false, Some(2))]);
    assert_eq!((run.version, &run.failure), (2, &None));
    assert!(run.fuel > 0);
    let again = dry_run(&world, "r", None).unwrap();
    assert_eq!((again.fuel, again.destinations), (run.fuel, run.destinations));

    let first = dry_run(&world, "r", Some(1)).unwrap();
    assert_eq!(&*first.destinations[0].name, "eu");
    let missing = dry_run(&world, "r", Some(3)).unwrap_err();
    assert!(matches!(missing, RouteError::NoVersion { version: 3, .. }));
    assert!(matches!(dry_run(&world, "x", None), Err(RouteError::NoRoute { .. })));
    let view = world.routes.show(&vhost(), "r").unwrap();
    assert!(view.versions.iter().all(|version| version.counters.calls == 0));
}

#[test]
fn a_failure_and_the_log_are_told() {
    let world = World::new();
    let mut logging = guest(
        "(call $log (i32.const 3) (i32.const 2048) (i32.const 2)) (loop $l br $l) unreachable",
    )
    .with("(data (i32.const 2048) \"hi\")");
    logging.imports = "(import \"shunt\" \"log\" (func $log (param i32 i32 i32)))".into();
    world.deploy("r", &logging);
    let run = dry_run(&world, "r", None).unwrap();
    assert_eq!(run.failure.unwrap().cause, FailureCause::Timeout);
    assert_eq!(run.log.len(), 1);
    assert_eq!((run.log[0].level, &*run.log[0].text), (LogLevel::Warn, "hi"));
    assert!(run.destinations.is_empty());
    assert!(world.log().is_empty());
}

#[test]
fn names_are_looked_up() {
    let world = World::new();
    for (name, answer) in [("known", &b"\x91\xa5named"[..]), ("lost", b"\x91\xa4lost")] {
        let wat = answering(answer).wat();
        world.try_deploy(name, wat.as_bytes(), &[], Destinations::Any).unwrap();
    }
    let known = dry_run(&world, "known", None).unwrap();
    assert_eq!((&*known.destinations[0].name, known.destinations[0].binding), ("named", None));
    let lost = dry_run(&world, "lost", None).unwrap();
    assert_eq!(lost.failure.unwrap().cause, FailureCause::UnknownQueue);
}
