//! Routes that are components: the same meaning, causes and limits as for core modules.

use shunt_routing::FailureCause;
use shunt_types::{FieldTable, Properties, Value};

use super::dry_run::dry_run;
use super::world::{World, escaped, publish, publish_with, queue, vhost};
use crate::{DeployRequest, Destinations, LimitOverrides, LogLevel};

/// The types of the contract, imported, with names for the exports' types.
pub(super) const TYPES: &str = r#"
  (type $types-type (instance
    (type $v (variant (case "absent") (case "boolean" bool) (case "integer" s64)
      (case "double" f64) (case "text" string) (case "bytes" (list u8))
      (case "timestamp" s64) (case "nested" (list u8))))
    (export "value" (type $value (eq $v)))
    (type $k (enum "queue" "exchange"))
    (export "destination-kind" (type $kind (eq $k)))
    (type $arguments (list (tuple string $value)))
    (type $b (record (field "kind" $kind) (field "name" string) (field "key" string)
      (field "arguments" $arguments)))
    (export "binding" (type (eq $b)))
    (type $d (record (field "name" string) (field "version" string)
      (field "reads" (list string)) (field "wants" (list string))))
    (export "description" (type (eq $d)))
    (type $e (record (field "name" string) (field "vhost" string)
      (field "arguments" $arguments)))
    (export "exchange" (type (eq $e)))
    (type $dest (variant (case "binding" u32) (case "queue" string)))
    (export "destination" (type (eq $dest)))))
  (import "shunt:route/types@1.0.0" (instance $types (type $types-type)))
  (alias export $types "value" (type $value))
  (alias export $types "binding" (type $binding))
  (alias export $types "description" (type $description))
  (alias export $types "exchange" (type $exchange))
  (alias export $types "destination" (type $destination))"#;

pub(super) const LIFTED: &str = r#"
  (type $told (result (error string)))
  (func (export "describe") (result $description)
    (canon lift (core func $i "describe") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (func (export "configure") (param "exchange" $exchange) (result $told)
    (canon lift (core func $i "configure") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (func (export "check-binding") (param "binding" $binding) (result $told)
    (canon lift (core func $i "check") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (func (export "bindings") (param "bindings" (list $binding)) (result $told)
    (canon lift (core func $i "bindings") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (func (export "route") (param "fields" (list $value))
    (result (result (list $destination) (error string)))
    (canon lift (core func $i "route") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))"#;

/// Where an answer is put: the discriminant, then address and length.
const ANSWER: u32 = 2048;

/// A component in text, made of the parts that a test is about.
struct Component {
    reads: Vec<&'static str>,
    wants: Vec<&'static str>,
    /// Imports of the component, and the core functions made of them.
    imports: &'static str,
    /// What the core module is instantiated with.
    with: &'static str,
    /// Imports of the core module.
    core_imports: &'static str,
    realloc: &'static str,
    configure: &'static str,
    route: String,
    extra: String,
}

/// A component that reads nothing and whose core function `route` has this body: its parameters
/// are address and length of the fields, its result is the address of the answer.
fn component(route: &str) -> Component {
    Component {
        reads: vec![],
        wants: vec![],
        imports: "",
        with: "",
        core_imports: "",
        realloc: "(global.set $next (i32.and (i32.add (i32.add (global.get $next)
             (local.get 3)) (i32.const 7)) (i32.const -8)))
           (i32.sub (global.get $next)
             (i32.and (i32.add (local.get 3) (i32.const 7)) (i32.const -8)))",
        configure: "i32.const 1000",
        route: route.to_owned(),
        extra: String::new(),
    }
}

/// A component whose answer is this list of destinations, as bytes in its memory.
fn answering(destinations: &[u8], count: u32) -> Component {
    let mut component = component(&format!("i32.const {ANSWER}"));
    component.extra = format!(
        "(data (i32.const {ANSWER}) \"{}\") (data (i32.const 4096) \"{}\")",
        escaped(&[[0, 0, 0, 0], 4096_u32.to_le_bytes(), count.to_le_bytes()].concat()),
        escaped(destinations),
    );
    component
}

/// A component that answers the bindings at these places.
fn picking(indexes: &[u32]) -> Component {
    let destinations: Vec<u8> = indexes.iter().flat_map(|index| words(&[0, *index, 0])).collect();
    answering(&destinations, indexes.len() as u32)
}

/// A component that names a queue whose name has these bytes.
fn naming(name: &[u8]) -> Component {
    let mut component = answering(&words(&[1, 8192, name.len() as u32]), 1);
    component.extra.push_str(&format!("(data (i32.const 8192) \"{}\")", escaped(name)));
    component
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

impl Component {
    fn with(mut self, extra: &str) -> Self {
        self.extra.push_str(extra);
        self
    }

    fn wat(&self) -> String {
        // The description stands at 1024: eight words, then its lists, then its texts.
        let texts = [&["c", "1"][..], &self.reads, &self.wants].concat();
        let lists = 1024 + 32;
        let mut text_at = lists + 8 * (texts.len() as u32 - 2);
        let (mut places, mut bytes) = (Vec::new(), Vec::new());
        for text in &texts {
            places.push([text_at, text.len() as u32]);
            text_at += text.len() as u32;
            bytes.extend_from_slice(text.as_bytes());
        }
        let (reads, wants) = (self.reads.len() as u32, self.wants.len() as u32);
        let heads = [places[0], places[1], [lists, reads], [lists + 8 * reads, wants]];
        let heads: Vec<u8> =
            heads.iter().chain(&places[2..]).flat_map(|place| words(place)).collect();
        format!(
            "(component {TYPES} {}
               (core module $m {}
                 (memory (export \"memory\") 2)
                 (global $next (mut i32) (i32.const 65536))
                 (data (i32.const 1024) \"{}{}\")
                 (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) {})
                 (func (export \"describe\") (result i32) i32.const 1024)
                 (func (export \"configure\") (param i32 i32 i32 i32 i32 i32) (result i32) {})
                 (func (export \"check\") (param i32 i32 i32 i32 i32 i32 i32) (result i32)
                   i32.const 1000)
                 (func (export \"bindings\") (param i32 i32) (result i32) i32.const 1000)
                 (func $route (export \"route\") (param i32 i32) (result i32)
                   (global.set $next (i32.const 65536)) {})
                 {})
               (core instance $i (instantiate $m {}))
               {LIFTED})",
            self.imports,
            self.core_imports,
            escaped(&heads),
            escaped(&bytes),
            self.realloc,
            self.configure,
            self.route,
            self.extra,
            self.with,
        )
    }
}

#[track_caller]
fn deploy(world: &World, name: &str, component: &Component, grants: &[&str]) {
    let wat = component.wat();
    world.try_deploy(name, wat.as_bytes(), grants, Destinations::Bound).unwrap();
}

/// The component fails with this cause every time, a route beside it works all the while, and its
/// failures are counted.
#[track_caller]
fn check(component: &Component, cause: FailureCause, detail: &str) {
    let world = World::new();
    deploy(&world, "good", &picking(&[1]), &[]);
    let good = world.exchange("good");
    deploy(&world, "bad", component, &[]);
    let bad = world.exchange("bad");
    for _ in 0..3 {
        let failure = publish(&*bad, "key").unwrap_err();
        assert_eq!(failure.cause, cause, "{failure}");
        assert!(failure.detail.contains(detail), "{failure}");
        assert_eq!(publish(&*good, "key").unwrap(), [queue(1)]);
    }
    let counters = world.routes.show(&vhost(), "bad").unwrap().versions[0].counters;
    assert_eq!((counters.calls, counters.failures_by(cause)), (3, 3));
}

#[track_caller]
fn check_refused(wat: &str, grants: &[&str], text: &str) {
    let world = World::new();
    let refused = world.try_deploy("r", wat.as_bytes(), grants, Destinations::Bound);
    let error = refused.unwrap_err().to_string();
    assert!(error.contains(text), "{error}");
    assert!(world.routes.list(None).is_empty());
}

#[test]
fn indexes_and_none_and_names() {
    let world = World::new();
    for (name, component, grants) in [
        ("two", picking(&[1, 0]), Destinations::Bound),
        ("none", picking(&[]), Destinations::Bound),
        ("named", naming(b"named"), Destinations::Any),
        ("lost", naming(b"lost"), Destinations::Any),
    ] {
        world.try_deploy(name, component.wat().as_bytes(), &[], grants).unwrap();
    }
    let decide = |name| publish(&*world.exchange(name), "key");
    assert_eq!(decide("two"), Ok(vec![queue(1), queue(0)]));
    assert_eq!(decide("none"), Ok(vec![]));
    assert_eq!(decide("named"), Ok(vec![queue(9)]));
    assert_eq!(decide("lost").unwrap_err().to_string(), "unknown-queue: no queue 'lost'");
    check(&naming(b"named"), FailureCause::NotPermitted, "'named'");
}

#[test]
fn fields_come_typed_and_in_order() {
    // Answers as many picks of binding 0 as it got values of the expected cases.
    let cases = [(0, 4), (1, 2), (2, 0), (3, 7), (4, 6), (5, 3)];
    let counted: String = cases
        .iter()
        .map(|(place, case)| {
            format!(
                "(global.set $n (i32.add (global.get $n) (i32.eq (i32.const {case})
                   (i32.load8_u (i32.add (local.get 0) (i32.const {}))))))",
                place * 16
            )
        })
        .collect();
    let mut typed = answering(&[], 0).with("(global $n (mut i32) (i32.const 0))");
    typed.route = format!(
        "(global.set $n (i32.const 0)) {counted}
         ;; The text is 'eu', and the nested one a map of four.
         (if (i32.ne (i32.load16_u (i32.load offset=8 (local.get 0))) (i32.const 0x7565))
           (then unreachable))
         (if (i32.ne (i32.load8_u (i32.load offset=56 (local.get 0))) (i32.const 0x84))
           (then unreachable))
         (i32.store (i32.const {}) (global.get $n)) i32.const {ANSWER}",
        ANSWER + 8
    );
    typed.reads =
        vec!["routing_key", "headers.n", "headers.none", "headers", "timestamp", "headers.f"];
    let headers: FieldTable = [
        ("n".to_owned(), Value::I16(-3)),
        ("f".to_owned(), Value::F32(0.5)),
        ("d".to_owned(), Value::Decimal { scale: 1, value: 2 }),
        ("s".to_owned(), Value::from("text")),
    ]
    .into_iter()
    .collect();
    let properties =
        Properties { headers: Some(headers), timestamp: Some(9), ..Properties::default() };
    let world = World::new();
    deploy(&world, "typed", &typed, &[]);
    let exchange = world.exchange("typed");
    for _ in 0..3 {
        let picked = publish_with(&*exchange, "eu", &properties).unwrap();
        assert_eq!(picked, vec![queue(0); cases.len()]);
    }
}

#[test]
fn a_trap_and_what_ends_like_one() {
    check(&component("unreachable"), FailureCause::Trap, "`unreachable` instruction executed");
    let recursion = "local.get 0 local.get 1 call $route";
    check(&component(recursion), FailureCause::Trap, "call stack exhausted");
    let mut reallocating = picking(&[0]);
    reallocating.reads = vec!["routing_key"];
    // Only for the fields of a message: one value of 16 bytes.
    reallocating.realloc = "(if (i32.eq (local.get 3) (i32.const 16)) (then unreachable))
        i32.const 65536";
    check(&reallocating, FailureCause::Trap, "unreachable");
    let endless = component("(loop $l br $l) unreachable");
    check(&endless, FailureCause::Timeout, "5000 us of processor time");
    let eater = component(
        "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 100)) (i32.const -1)))) unreachable",
    );
    check(&eater, FailureCause::Memory, "unreachable");
}

#[test]
fn hostile_answers() {
    let bad = FailureCause::BadAnswer;
    check(&picking(&[3]), bad, "index 3, and the exchange has 3 bindings");
    check(&component("i32.const -4"), bad, "out of bounds");
    check(&component("i32.const 2049"), bad, "not aligned");
    check(&answering(&[], u32::MAX), bad, "out of bounds");
    check(&answering(&words(&[7, 0, 0]), 1), bad, "discriminant");
    check(&naming(b"\xff"), bad, "utf-8");
    check(&answering(&words(&[1, 0x7fff_fff0, 9]), 1), bad, "out of bounds");
    let many = component(
        "(drop (memory.grow (i32.const 2))) (i32.store (i32.const 2052) (i32.const 131072))
         (i32.store (i32.const 2056) (i32.const 10400)) i32.const 2048",
    );
    check(&many, bad, "10400 destinations, at most 10000");
    let mut outside = picking(&[0]);
    outside.reads = vec!["routing_key"];
    outside.realloc = "(select (i32.const -16) (i32.const 65536)
        (i32.eq (local.get 3) (i32.const 16)))";
    check(&outside, bad, "realloc");
}

#[test]
fn a_list_that_is_small_in_the_guest_and_large_in_the_host() {
    // 5 000 names, all the same 60 000 bytes: 300 MB if they were copied.
    let mut repeated = answering(&[], 5_000);
    repeated.route = format!(
        "(global.set $at (i32.const 4096))
         (loop $l
           (i32.store (global.get $at) (i32.const 1))
           (i32.store offset=4 (global.get $at) (i32.const 70000))
           (i32.store offset=8 (global.get $at) (i32.const 60000))
           (global.set $at (i32.add (global.get $at) (i32.const 12)))
           (br_if $l (i32.lt_u (global.get $at) (i32.const 64096))))
         i32.const {ANSWER}"
    );
    let repeated = repeated.with("(global $at (mut i32) (i32.const 0))");
    check(&repeated, FailureCause::BadAnswer, "300000000 bytes, at most 65536");
    let names = answering(&words(&[1, 8192, 57_000, 1, 8192, 57_000]), 2);
    check(&names, FailureCause::BadAnswer, "114000 bytes, at most 65536");
}

#[test]
fn a_refusal_with_its_reason() {
    let answer = escaped(&[[1, 0, 0, 0], 8192_u32.to_le_bytes(), 7_u32.to_le_bytes()].concat());
    let data =
        format!("(data (i32.const {ANSWER}) \"{answer}\") (data (i32.const 8192) \"no, sir\")");
    let refusal = component(&format!("i32.const {ANSWER}")).with(&data);
    check(&refusal, FailureCause::Refused, "no, sir");

    let world = World::new();
    let mut strict = picking(&[0]);
    strict.configure = "i32.const 3000";
    let strict = strict.with(&format!(
        "(data (i32.const 3000) \"{answer}\")
        (data (i32.const 8192) \"no, sir\")"
    ));
    deploy(&world, "strict", &strict, &[]);
    let refused = world.declare(&[("x-route", "strict")]).err().unwrap();
    assert_eq!(refused, "route 'strict' refuses: no, sir");
}

#[test]
fn what_is_refused_at_deploy() {
    check_refused("(component)", &[], "lacks the exports 'describe', 'configure', 'check-binding'");
    let wat = picking(&[0]).wat();
    let other = wat.replace("(case \"queue\" string)", "(case \"queue\" u32)");
    check_refused(&other, &[], "doesn't fit the contract shunt:route@1.0.0");
    let other = wat.replace("route/types@1.0.0", "route/types@2.0.0");
    check_refused(&other, &[], "unknown imports 'shunt:route/types@2.0.0'");

    let mut importing = picking(&[0]);
    importing.imports = "(import \"acme:disk/files@0.1.0\" (instance (export \"f\" (func))))
        (import \"free\" (func))";
    check_refused(&importing.wat(), &[], "unknown imports 'acme:disk/files@0.1.0', 'free'");

    let mut timed = picking(&[0]);
    timed.imports =
        "(import \"shunt:route/clock@1.0.0\" (instance (export \"now-ms\" (func (result s64)))))";
    let undeclared = "'shunt:route/clock@1.0.0' needs the capability 'clock', which isn't in";
    check_refused(&timed.wat(), &["clock"], undeclared);
    timed.wants = vec!["clock"];
    check_refused(&timed.wat(), &[], "wants the capability 'clock', which is not granted");
    World::new().try_deploy("r", timed.wat().as_bytes(), &["clock"], Destinations::Bound).unwrap();
    timed.imports =
        "(import \"shunt:route/clock@1.0.0\" (instance (export \"now-ms\" (func (result u32)))))";
    check_refused(&timed.wat(), &["clock"], "doesn't fit the contract");

    let mut reading = picking(&[0]);
    reading.reads = vec!["body"];
    check_refused(&reading.wat(), &[], "unknown fields 'body'");
    let engine = wasmtime::Engine::default();
    let compiled = engine.precompile_component(b"(component)").unwrap();
    let world = World::new();
    let refused = world.try_deploy("r", &compiled, &[], Destinations::Bound).unwrap_err();
    assert!(refused.to_string().contains("precompiled"), "{refused}");
}

/// Logs the routing key.
fn logging() -> Component {
    let mut logging = picking(&[0]);
    logging.reads = vec!["routing_key"];
    logging.imports = "
        (core module $libc (memory (export \"memory\") 2))
        (import \"shunt:route/host@1.0.0\" (instance $host
          (type $l (enum \"trace\" \"debug\" \"info\" \"warn\" \"error\"))
          (export \"level\" (type $level (eq $l)))
          (export \"log\" (func (param \"level\" $level) (param \"text\" string)))))
        (core instance $libc (instantiate $libc))
        (core func $log (canon lower (func $host \"log\") (memory (core memory $libc \"memory\"))))
        (core instance $imports (export \"log\" (func $log)))";
    logging.with = "(with \"host\" (instance $imports)) (with \"libc\" (instance $libc))";
    logging.core_imports = "(import \"host\" \"log\" (func $log (param i32 i32 i32)))";
    logging.route =
        format!("(call $log (i32.const 3) (i32.const 100) (i32.const 2)) i32.const {ANSWER}");
    logging
}

#[test]
fn what_a_component_logs() {
    let world = World::new();
    deploy(&world, "log", &logging(), &[]);
    assert_eq!(publish(&*world.exchange("log"), "eu"), Ok(vec![queue(0)]));
    // The memory that the text is read from is the other one of this component's two.
    assert_eq!(world.log(), [(LogLevel::Warn, "\0\0".to_owned())]);
}

#[test]
fn memory_is_the_sum_of_all_memories() {
    let world = World::new();
    let limits = LimitOverrides { memory_bytes: Some(3 * 65_536), ..LimitOverrides::default() };
    let wat = logging().wat();
    let request = DeployRequest {
        vhost: &vhost(),
        name: "two",
        module: wat.as_bytes(),
        grants: &[],
        destinations: Destinations::Bound,
        limits,
        guards: &crate::Guards::default(),
        activate: true,
        now_ms: 0,
    };
    let refused = world.routes.deploy(&request).unwrap_err().to_string();
    assert!(refused.contains("failed at deploy: memory"), "{refused}");
}

#[test]
fn wasi_is_there_and_does_nothing() {
    let mut asking = picking(&[0]);
    asking.imports = "
        (import \"wasi:cli/exit@0.2.3\" (instance $exit (export \"exit\" (func))))
        (core func $exit (canon lower (func $exit \"exit\")))
        (core instance $imports (export \"exit\" (func $exit)))";
    asking.with = "(with \"wasi\" (instance $imports))";
    asking.core_imports = "(import \"wasi\" \"exit\" (func $exit))";
    asking.route = format!("(call $exit) i32.const {ANSWER}");
    check(&asking, FailureCause::Trap, "the guest exited");
}

/// Imports of WASI, and a route that does this with them before it picks index 0.
fn asking(route: &str) -> Component {
    let mut asking = picking(&[0]);
    asking.imports = "
        (import \"wasi:clocks/monotonic-clock@0.2.9\" (instance $clock
            (export \"now\" (func (result u64)))
            (export \"not-yet-known\" (func (result (result (error u32)))))))
        (import \"wasi:random/random@0.2.0\" (instance $random
            (export \"get-random-u64\" (func (result u64)))))
        (import \"wasi:io/streams@0.2.3\" (instance $streams
            (export \"output-stream\" (type $os (sub resource)))
            (export \"[method]output-stream.subscribe-count\"
                (func (param \"self\" (borrow $os)) (result u32)))))
        (alias export $streams \"output-stream\" (type $stream))
        (import \"wasi:cli/stdout@0.2.3\" (instance $stdout
            (export \"output-stream\" (type $o (eq $stream)))
            (export \"get-stdout\" (func (result (own $o))))))
        (core func $now (canon lower (func $clock \"now\")))
        (core func $random (canon lower (func $random \"get-random-u64\")))
        (core func $stdout (canon lower (func $stdout \"get-stdout\")))
        (core func $count (canon lower (func $streams \"[method]output-stream.subscribe-count\")))
        (core func $drop (canon resource.drop $stream))
        (core instance $imports (export \"now\" (func $now)) (export \"random\" (func $random))
            (export \"stdout\" (func $stdout)) (export \"count\" (func $count))
            (export \"drop\" (func $drop)))";
    asking.with = "(with \"wasi\" (instance $imports))";
    asking.core_imports = "(import \"wasi\" \"now\" (func $now (result i64)))
        (import \"wasi\" \"random\" (func $random (result i64)))
        (import \"wasi\" \"stdout\" (func $stdout (result i32)))
        (import \"wasi\" \"count\" (func $count (param i32) (result i32)))
        (import \"wasi\" \"drop\" (func $drop (param i32)))";
    asking.route = format!("{route} i32.const {ANSWER}");
    asking
}

const LOOP: &str = "(local.set 1 (i32.const 0)) (loop $again";
const ROUNDS: &str = "(local.set 1 (i32.add (local.get 1) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get 1) (i32.const 3000))))";

#[test]
fn clocks_and_chance_of_wasi_are_those_that_are_granted() {
    let world = World::new();
    let fixed = asking(
        "(if (i64.ne (call $now) (i64.const 1700000000000000000)) (then unreachable))
         (if (i64.eq (call $random) (call $random)) (then unreachable))",
    );
    deploy(&world, "fixed", &fixed, &["clock"]);
    assert_eq!(publish(&*world.exchange("fixed"), "key"), Ok(vec![queue(0)]));
    // 0 is the seed of all without the capability, and this what it begins with.
    let first =
        asking("(if (i64.ne (call $random) (i64.const 0xe220a8397b1dcdaf)) (then unreachable))");
    deploy(&world, "first", &first, &[]);
    assert_eq!(publish(&*world.exchange("first"), "key"), Ok(vec![queue(0)]));
    let mut real = asking(
        "(if (i64.eq (call $now) (i64.const 1700000000000000000)) (then unreachable))
         (if (i64.eq (call $random) (i64.const 0xe220a8397b1dcdaf)) (then unreachable))",
    );
    real.wants = vec!["clock", "random"];
    deploy(&world, "real", &real, &["clock", "random"]);
    assert_eq!(publish(&*world.exchange("real"), "key"), Ok(vec![queue(0)]));
}

#[test]
fn handles_of_wasi_are_bounded_and_come_back() {
    let world = World::new();
    let tidy = asking(&format!(
        "{LOOP} (local.set 0 (call $stdout)) (if (call $count (local.get 0)) (then unreachable))
         (call $drop (local.get 0)) {ROUNDS}"
    ));
    deploy(&world, "tidy", &tidy, &[]);
    assert_eq!(publish(&*world.exchange("tidy"), "key"), Ok(vec![queue(0)]));
    let greedy = asking(&format!("{LOOP} (drop (call $stdout)) {ROUNDS}"));
    check(&greedy, FailureCause::Trap, "the guest holds more than 1024 handles of WASI");
}

#[test]
fn a_dry_run_counts_fuel_and_a_restart_loads_what_was_compiled() {
    let world = World::new();
    deploy(&world, "r", &picking(&[1]), &[]);
    let first = dry_run(&world, "r", None).unwrap();
    assert_eq!(first.failure, None);
    assert_eq!(&*first.destinations[0].name, "us");
    assert!(first.fuel > 0);
    assert_eq!(dry_run(&world, "r", None).unwrap().fuel, first.fuel);

    let compiled = world.directory.path().join("compiled");
    let artifacts = || std::fs::read_dir(&compiled).unwrap().count();
    let before = artifacts();
    let world = world.reopened();
    assert_eq!(publish(&*world.exchange("r"), "key"), Ok(vec![queue(1)]));
    assert_eq!(artifacts(), before);
}
