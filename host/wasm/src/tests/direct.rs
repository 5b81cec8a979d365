//! Components by their core modules: they get and answer what they do by wasmtime's typed calls.

use std::sync::Arc;

use proptest::prelude::*;
use shunt_routing::{Binding, Destination, ExchangeSpec, Header};
use shunt_types::{
    ExchangeId, ExchangeName, FieldTable, Properties, PropertiesRef, Value, VhostName,
};

use super::component::{LIFTED, TYPES};
use super::world::{Logged, queue};
use crate::RouteRef;
use crate::answer::Pick;
use crate::artifact::Artifacts;
use crate::capability::Capabilities;
use crate::code::Code;
use crate::component::{self, ComponentInstance, DirectCode};
use crate::engine::Runtime;
use crate::fields::Field;
use crate::instance::Terms;
use crate::limits::RouteLimits;
use crate::log::LogGate;

/// Answers every call with a reason of eight letters: a hash of all that it was given.
const HASHING: &str = r#"
  (core module $base
    (func (export "mix") (param $h i32) (param $byte i32) (result i32)
      (i32.mul (i32.xor (local.get $h) (local.get $byte)) (i32.const 16777619))))
  (core instance $b (instantiate $base))
  (core instance $renamed (export "stir" (func $b "mix")))
  (core module $m
    (import "base" "stir" (func $mix (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 16384))
    (global $h (mut i32) (i32.const 0))
    (global $freed (mut i32) (i32.const 0))
    (data (i32.const 1024) "\00\04\00\00\01\00\00\00\00\04\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00h")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
        (then (drop (memory.grow (i32.const 16)))))
      (local.get $at))
    (func $byte (param i32) (global.set $h (call $mix (global.get $h) (local.get 0))))
    (func $bytes (param $at i32) (param $n i32)
      (call $byte (local.get $n))
      (loop $l
        (if (local.get $n) (then
          (call $byte (i32.load8_u (local.get $at)))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (br $l)))))
    (func $text (param $at i32) (call $bytes (i32.load (local.get $at)) (i32.load offset=4 (local.get $at))))
    (func $value (param $at i32)
      (local $case i32)
      (local.set $case (i32.load8_u (local.get $at)))
      (call $byte (local.get $case))
      (if (i32.eqz (local.get $case)) (then (return)))
      (if (i32.eq (local.get $case) (i32.const 1))
        (then (call $byte (i32.load8_u offset=8 (local.get $at))) (return)))
      (if (i32.or (i32.or (i32.eq (local.get $case) (i32.const 2)) (i32.eq (local.get $case) (i32.const 3)))
            (i32.eq (local.get $case) (i32.const 6)))
        (then (call $bytes (i32.add (local.get $at) (i32.const 8)) (i32.const 8)) (return)))
      (call $text (i32.add (local.get $at) (i32.const 8))))
    (func $values (param $at i32) (param $n i32)
      (call $byte (local.get $n))
      (loop $l
        (if (local.get $n) (then
          (call $value (local.get $at))
          (local.set $at (i32.add (local.get $at) (i32.const 16)))
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (br $l)))))
    (func $arguments (param $at i32) (param $n i32)
      (call $byte (local.get $n))
      (loop $l
        (if (local.get $n) (then
          (call $text (local.get $at))
          (call $value (i32.add (local.get $at) (i32.const 8)))
          (local.set $at (i32.add (local.get $at) (i32.const 24)))
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (br $l)))))
    (func $begin (global.set $h (i32.const 0x811c9dc5)) (call $byte (global.get $freed)))
    (func $told (result i32)
      (local $n i32)
      (loop $l
        (i32.store8 (i32.add (i32.const 2064) (local.get $n))
          (i32.add (i32.const 97) (i32.and (i32.shr_u (global.get $h)
            (i32.shl (local.get $n) (i32.const 2))) (i32.const 15))))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $n) (i32.const 8))))
      (i32.store8 (i32.const 2048) (i32.const 1))
      (i32.store (i32.const 2052) (i32.const 2064))
      (i32.store (i32.const 2056) (i32.const 8))
      (global.set $next (i32.const 16384))
      (i32.const 2048))
    (func (export "freed") (param i32) (global.set $freed (i32.add (global.get $freed) (local.get 0))))
    (func (export "describe") (result i32)
      (i32.store (i32.const 2048) (i32.const 1056)) (i32.store (i32.const 2052) (i32.const 1))
      (i32.store (i32.const 2056) (i32.const 1056)) (i32.store (i32.const 2060) (i32.const 1))
      (i32.const 2048))
    (func (export "configure") (param i32 i32 i32 i32 i32 i32) (result i32)
      (call $begin)
      (call $bytes (local.get 0) (local.get 1))
      (call $bytes (local.get 2) (local.get 3))
      (call $arguments (local.get 4) (local.get 5))
      (call $told))
    (func (export "check") (param i32 i32 i32 i32 i32 i32 i32) (result i32)
      (call $begin)
      (call $byte (local.get 0))
      (call $bytes (local.get 1) (local.get 2))
      (call $bytes (local.get 3) (local.get 4))
      (call $arguments (local.get 5) (local.get 6))
      (call $told))
    (func (export "bindings") (param $at i32) (param $n i32) (result i32)
      (call $begin)
      (call $byte (local.get $n))
      (loop $l
        (if (local.get $n) (then
          (call $byte (i32.load8_u (local.get $at)))
          (call $text (i32.add (local.get $at) (i32.const 4)))
          (call $text (i32.add (local.get $at) (i32.const 12)))
          (call $arguments (i32.load offset=20 (local.get $at)) (i32.load offset=24 (local.get $at)))
          (local.set $at (i32.add (local.get $at) (i32.const 28)))
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (br $l))))
      (call $told))
    (func (export "route") (param i32 i32) (result i32)
      (call $begin)
      (call $values (local.get 0) (local.get 1))
      (call $told)))
  (core instance $i (instantiate $m (with "base" (instance $renamed))))"#;

struct Pair {
    typed: ComponentInstance,
    direct: ComponentInstance,
}

fn pair(text: &str) -> Pair {
    let runtime = Runtime::new().unwrap();
    let sandbox = &runtime.calls;
    let directory = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::new(directory.path().to_owned());
    let compiled = Code::compile(&sandbox.engine, text.as_bytes());
    let compiled = compiled.unwrap_or_else(|error| panic!("{error}"));
    let Code::Component(compiled) = compiled else { panic!("a core module") };
    let pre = component::link(sandbox, &compiled).unwrap();
    let code = DirectCode::new(sandbox, &artifacts, "s", text.as_bytes()).expect("it imports none");
    let route = RouteRef { vhost: VhostName::new("/").unwrap(), name: "r".into(), version: 1 };
    let log = Arc::new(LogGate::new(Arc::new(Logged::default()), route, 1_000));
    let terms = Terms { limits: RouteLimits::default(), granted: Capabilities::NONE, log };
    let instance = |code: Option<&DirectCode>| {
        ComponentInstance::new(&pre, code, false, &terms, Arc::clone(&runtime.ticker)).unwrap()
    };
    Pair { typed: instance(None), direct: instance(Some(&code)) }
}

impl Pair {
    /// What both say.
    #[track_caller]
    fn say<R: std::fmt::Debug>(&mut self, ask: impl Fn(&mut ComponentInstance) -> R) -> String {
        let typed = format!("{:?}", ask(&mut self.typed));
        assert_eq!(format!("{:?}", ask(&mut self.direct)), typed);
        typed
    }

    #[track_caller]
    fn route(&mut self, fields: &[Field], header: &Header<'_>) -> String {
        self.say(|live| {
            let mut picks = Vec::new();
            let routed = live.route(fields, header, |pick| {
                picks.push(match pick {
                    Pick::Binding(index) => index.to_string(),
                    Pick::Queue(name) => name.to_owned(),
                });
                Ok(())
            });
            (routed, picks)
        })
    }
}

fn hashing(with_post_return: bool) -> String {
    let lifted = match with_post_return {
        // One function is enough to see that its answers are freed.
        true => LIFTED.replace(
            "(canon lift (core func $i \"route\")",
            "(canon lift (core func $i \"route\") (post-return (core func $i \"freed\"))",
        ),
        false => LIFTED.to_owned(),
    };
    format!("(component {TYPES} {HASHING} {lifted})")
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::I64),
        any::<f64>().prop_map(Value::F64),
        ".{0,40}".prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::LongString),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::ByteArray),
        any::<u64>().prop_map(Value::Timestamp),
        prop::collection::vec(any::<u8>().prop_map(Value::U8), 0..9).prop_map(Value::Array),
        Just(Value::Void),
    ]
}

fn table() -> impl Strategy<Value = FieldTable> {
    prop::collection::vec(("[a-f]{1,3}", value()), 0..6)
        .prop_map(|fields| fields.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_value_comes_as_by_typed_calls(
        tables in prop::collection::vec(table(), 1..6),
        key in ".{0,80}",
        with_post_return: bool,
    ) {
        let mut pair = pair(&hashing(with_post_return));
        let spec = ExchangeSpec {
            vhost: VhostName::new("/").unwrap(),
            name: ExchangeName::new("orders").unwrap(),
            arguments: Arc::new(tables[0].clone()),
        };
        pair.say(|live| live.configure(&spec));
        let bindings: Vec<_> = tables.iter().enumerate().map(|(n, table)| Arc::new(Binding {
            destination: if n % 2 == 0 { queue(1) } else { Destination::Exchange(ExchangeId(1)) },
            destination_name: format!("queue {n}").into(),
            key: key.as_str().into(),
            arguments: table.into(),
            sequence: n as u64,
        })).collect();
        pair.say(|live| live.check_binding(&bindings[0]));
        pair.say(|live| live.bindings(&bindings));
        let fields = ["routing_key", "headers", "headers.a", "headers.b", "body_size", "priority"];
        let fields = fields.map(|name| Field::parse(name).unwrap());
        for headers in tables {
            let properties = Properties { headers: Some(headers), ..Properties::default() };
            let mut bytes = Vec::new();
            properties.encode(&mut bytes);
            let header = Header {
                vhost: &spec.vhost,
                exchange: "orders",
                routing_keys: &[&key],
                properties: PropertiesRef::decode(&bytes).unwrap(),
                body_size: 7,
                user: "u",
                now_ms: 0,
                random: 0,
            };
            let said = pair.route(&fields, &header);
            prop_assert!(said.contains("Refused"), "{said}");
        }
    }
}

#[test]
fn descriptions_and_indexes_are_read_alike() {
    let mut pair = pair(include_str!("../../benches/two-fields-component.wat"));
    let said = pair.say(|live| live.describe().map_err(|error| error.to_string()));
    assert!(said.contains("two-fields"), "{said}");
    let fields = ["routing_key", "headers.region"].map(|name| Field::parse(name).unwrap());
    let vhost = VhostName::new("/").unwrap();
    for (key, expected) in [("orders.new", "(Ok(()), [\"0\"])"), ("other", "(Ok(()), [])")] {
        let header = Header {
            vhost: &vhost,
            exchange: "e",
            routing_keys: &[key],
            properties: PropertiesRef::EMPTY,
            body_size: 0,
            user: "u",
            now_ms: 0,
            random: 0,
        };
        assert_eq!(pair.route(&fields, &header), expected);
    }
}

#[test]
fn what_imports_a_function_is_left_to_wasmtime() {
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::new(directory.path().to_owned());
    let is_taken =
        |text: &str| DirectCode::new(&runtime.calls, &artifacts, "s", text.as_bytes()).is_some();
    let whole = hashing(false);
    assert!(is_taken(&whole));
    let with = |what: &str| whole.replacen("(component ", &format!("(component {what} "), 1);
    for other in [
        with("(import \"f\" (func))"),
        with("(component)"),
        with(
            "(import \"i\" (instance $x (export \"f\" (func)))) (core func (canon lower (func $x \"f\")))",
        ),
        whole.replace("\"memory\"))", "\"memory\")) string-encoding=utf16"),
        "(component)".to_owned(),
        "(module)".to_owned(),
        "(".to_owned(),
    ] {
        assert!(!is_taken(&other), "{other}");
    }
}
