//! The capabilities `load` and `state`.

use std::sync::Arc;

use shunt_routing::{Destination, FailureCause};
use shunt_types::{QueueGauge, QueueId, QueueLoad};

use super::dry_run::dry_run;
use super::world::{Guest, World, guest, publish, queue, vhost};
use crate::{Destinations, LimitOverrides, QueueLoads};

/// Gauges of the queues in slots 0 and 1.
struct Loads([Arc<QueueGauge>; 2]);

impl QueueLoads for Loads {
    fn gauge(&self, queue: QueueId) -> Option<Arc<QueueGauge>> {
        self.0.get(queue.slot() as usize).cloned()
    }
}

/// Picks binding 0 or 1, whichever has fewer messages ready.
fn least_loaded() -> Guest {
    let mut least = guest(
        "(if (i64.ne (call $load (i32.const 2) (i32.const 0)) (i64.const -1)) (then unreachable))
         (if (i64.ne (call $load (i32.const 9) (i32.const 0)) (i64.const -1)) (then unreachable))
         (if (i64.ne (call $load (i32.const 0) (i32.const 3)) (i64.const -1)) (then unreachable))
         (i32.store8 (i32.const 2049) (i64.gt_s
           (call $load (i32.const 0) (i32.const 0)) (call $load (i32.const 1) (i32.const 0))))
         i64.const 0x80000000002",
    )
    .with("(data (i32.const 2048) \"\\91\\00\")");
    least.imports =
        "(import \"shunt\" \"queue_load\" (func $load (param i32 i32) (result i64)))".into();
    least.wants = vec!["load"];
    least
}

#[test]
fn a_route_sees_how_full_its_queues_are() {
    let world = World::new();
    let gauges = [Arc::<QueueGauge>::default(), Arc::default()];
    world.routes.serve_loads(Arc::new(Loads(gauges.clone())));
    let wat = least_loaded().wat();
    world.try_deploy("least", wat.as_bytes(), &["load"], Destinations::Bound).unwrap();
    let exchange = world.exchange("least");
    let show = |gauge: usize, ready| {
        gauges[gauge].set(QueueLoad { ready, unacked: 7, consumers: 1 });
    };
    show(0, 5);
    show(1, 2);
    assert_eq!(publish(&*exchange, "k"), Ok(vec![queue(1)]));
    assert_eq!(&*dry_run(&world, "least", None).unwrap().destinations[0].name, "us");
    show(1, 9);
    assert_eq!(publish(&*exchange, "k"), Ok(vec![queue(0)]));
}

/// Counts its calls under the key "n", and picks the binding of that number, modulo 2.
fn counting() -> Guest {
    let mut counting = guest(
        "(i32.store8 (i32.const 3000) (i32.const 0))
         (drop (call $get (i32.const 2048) (i32.const 1) (i32.const 3000) (i32.const 1)))
         (i32.store8 (i32.const 2051) (i32.and (i32.load8_u (i32.const 3000)) (i32.const 1)))
         (i32.store8 (i32.const 3000) (i32.add (i32.load8_u (i32.const 3000)) (i32.const 1)))
         (if (call $put (i32.const 2048) (i32.const 1) (i32.const 3000) (i32.const 1))
           (then unreachable))
         i64.const 0x80200000002",
    )
    .with("(data (i32.const 2048) \"n.\\91\\00\")");
    counting.imports = STATE.into();
    counting.wants = vec!["state"];
    counting
}

const STATE: &str = "
    (import \"shunt\" \"state_get\" (func $get (param i32 i32 i32 i32) (result i32)))
    (import \"shunt\" \"state_put\" (func $put (param i32 i32 i32 i32) (result i32)))";

fn picks(exchange: &dyn shunt_routing::Matcher, count: usize) -> Vec<Destination> {
    (0..count).flat_map(|_| publish(exchange, "k").unwrap()).collect()
}

#[test]
fn state_is_shared_by_threads_and_versions_and_kept_by_exchange() {
    let world = World::new();
    let grants = &["state"];
    let deploy = |guest: &Guest| {
        let wat = guest.wat();
        world.try_deploy("count", wat.as_bytes(), grants, Destinations::Bound).unwrap();
    };
    deploy(&counting());
    let exchange = world.exchange("count");
    assert_eq!(picks(&*exchange, 3), [queue(0), queue(1), queue(0)]);
    // A dry run has a map of its own.
    assert_eq!(&*dry_run(&world, "count", None).unwrap().destinations[0].name, "eu");
    std::thread::scope(|scope| {
        let other = scope.spawn(|| picks(&*exchange, 1));
        assert_eq!(other.join().unwrap(), [queue(1)]);
    });
    deploy(&counting().with("(func)"));
    assert_eq!(picks(&*exchange, 2), [queue(0), queue(1)]);
    let another = world.exchange("count");
    assert_eq!(picks(&*another, 1), [queue(0)]);
}

#[test]
fn state_has_a_limit_and_its_addresses_are_checked() {
    let world = World::new();
    let mut full = guest(
        "(if (i32.ne (call $put (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 60000))
                     (i32.const -1)) (then unreachable))
         (if (call $put (i32.const 0) (i32.const 1) (i32.const 2048) (i32.const 2))
           (then unreachable))
         ;; No room for the value: its length, and nothing is written.
         (if (i32.ne (call $get (i32.const 0) (i32.const 1) (i32.const 4000) (i32.const 1))
                     (i32.const 2)) (then unreachable))
         (if (i32.load8_u (i32.const 4000)) (then unreachable))
         (if (call $put (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0))
           (then unreachable))
         (if (i32.ne (call $get (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0))
                     (i32.const -1)) (then unreachable))
         i64.const 0",
    )
    .with("(data (i32.const 2048) \"ab\")");
    full.imports = STATE.into();
    full.wants = vec!["state"];
    let limits = LimitOverrides { state_bytes: Some(1_000), ..LimitOverrides::default() };
    let deploy = |guest: &Guest| {
        let wat = guest.wat();
        let request = crate::DeployRequest {
            vhost: &vhost(),
            name: "full",
            module: wat.as_bytes(),
            grants: &["state"],
            destinations: Destinations::Bound,
            limits,
            guards: &crate::Guards::default(),
            activate: true,
            now_ms: 0,
        };
        world.routes.deploy(&request).unwrap();
    };
    deploy(&full);
    let exchange = world.exchange("full");
    assert_eq!(publish(&*exchange, "k"), Ok(vec![]));
    for outside in [
        "call $get (i32.const -1) (i32.const 1) (i32.const 0) (i32.const 0)",
        "call $put (i32.const 0) (i32.const -1) (i32.const 0) (i32.const 0)",
        "call $put (i32.const 0) (i32.const 1) (i32.const 131071) (i32.const 2)",
    ] {
        full.route = format!("(drop ({outside})) i64.const 0");
        deploy(&full);
        let failure = publish(&*exchange, "k").unwrap_err();
        assert_eq!(failure.cause, FailureCause::Trap, "{failure}");
        assert!(failure.detail.contains("out of bounds"), "{failure}");
    }
}
