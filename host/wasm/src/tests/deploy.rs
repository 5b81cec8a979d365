//! What is deployed, and what is refused at deploy by name.

use std::fs;

use super::world::{Guest, World, answering, guest, publish, queue, vhost};
use crate::{DeployRequest, Destinations, ErrorKind, LimitOverrides, RouteError};

#[track_caller]
fn check_refused(module: &[u8], grants: &[&str], text: &str) {
    let world = World::new();
    let error = world.try_deploy("r", module, grants, Destinations::Bound).unwrap_err();
    assert!(error.to_string().contains(text), "{error}");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(world.routes.list(None).is_empty());
    assert!(!world.directory.path().join("modules").exists());
}

#[track_caller]
fn check_guest_refused(guest: &Guest, text: &str) {
    check_refused(guest.wat().as_bytes(), &[], text);
}

#[test]
fn bytes_that_are_no_module() {
    check_refused(b"", &[], "can't be compiled");
    check_refused(b"(module", &[], "can't be compiled");
    check_refused(b"\xff\xfe", &[], "neither a WebAssembly binary nor");
    check_refused(b"\0asm\x01\0\0\0\xff", &[], "can't be compiled");
    check_refused(b"\0asm\x0d\0\x01\0", &[], "lacks the exports 'describe'");
    let engine = wasmtime::Engine::default();
    let compiled = engine.precompile_module(b"(module)").unwrap();
    check_refused(&compiled, &[], "precompiled");
}

#[test]
fn exports_of_the_contract() {
    check_refused(b"(module)", &[], "'memory', 'shunt_abi', 'shunt_alloc', 'shunt_describe'");
    let wat = guest("i64.const 0").wat();
    let other = wat.replace("(param i32) (result i32) i32.const 4096", "(param i64)");
    check_refused(other.as_bytes(), &[], "'shunt_alloc' is (i64) -> (), it must be (i32) -> i32");
    let optional = guest("i64.const 0").with("(func (export \"shunt_configure\"))");
    check_guest_refused(&optional, "'shunt_configure' is () -> ()");
    let mut abi = guest("i64.const 0");
    abi.abi = "i32.const 2";
    check_guest_refused(&abi, "'shunt_abi' answers 2");
    check_refused(wat.replace("2)", "i64 2)").as_bytes(), &[], "can't be compiled");
}

#[test]
fn imports_are_a_closed_list() {
    let mut importing = guest("i64.const 0");
    importing.imports =
        "(import \"env\" \"open\" (func)) (import \"shunt\" \"disk\" (func))".into();
    check_guest_refused(&importing, "unknown imports 'env.open', 'shunt.disk'");
    importing.imports = "(import \"wasi_snapshot_preview1\" \"fd_close\" (func))".into();
    check_guest_refused(&importing, "'wasi_snapshot_preview1.fd_close' is () -> ()");
    importing.imports = "(import \"shunt\" \"log\" (memory 1))".into();
    check_guest_refused(&importing, "can't be compiled");
}

#[test]
fn capabilities_are_declared_and_granted() {
    let mut timed = guest("(drop (call $now)) i64.const 0");
    timed.imports = "(import \"shunt\" \"now_ms\" (func $now (result i64)))".into();
    check_refused(
        timed.wat().as_bytes(),
        &["clock"],
        "'shunt.now_ms' needs the capability 'clock'",
    );
    timed.wants = vec!["clock"];
    check_guest_refused(&timed, "wants the capability 'clock', which is not granted");
    check_refused(timed.wat().as_bytes(), &["disk"], "unknown capability 'disk'");
    timed.wants = vec!["clock", "state"];
    check_refused(timed.wat().as_bytes(), &["clock"], "wants the capability 'state'");

    timed.wants = vec!["clock"];
    let world = World::new();
    world.try_deploy("r", timed.wat().as_bytes(), &["clock"], Destinations::Bound).unwrap();
    assert_eq!(publish(&*world.exchange("r"), "key"), Ok(vec![]));
}

#[test]
fn unknown_fields() {
    let mut reading = guest("i64.const 0");
    reading.reads = vec!["routing_key", "body", "header.x"];
    check_guest_refused(&reading, "unknown fields 'body', 'header.x'");
}

#[test]
fn a_module_that_fails_while_it_starts() {
    let looping = guest("i64.const 0").with("(func $s (loop $l br $l)) (start $s)");
    check_guest_refused(&looping, "timeout: the call took more than 200000 us");
    let trapping = guest("i64.const 0").with("(func (export \"_initialize\") unreachable)");
    check_guest_refused(&trapping, "failed at deploy: trap");
    let wat = guest("i64.const 0").wat();
    check_refused(wat.replace(") 2)", ") 2000)").as_bytes(), &[], "failed at deploy: memory");
}

#[test]
fn limits_have_a_hard_maximum_and_the_module_has_a_size() {
    let world = World::new();
    let wat = guest("i64.const 0").wat();
    let mut request = DeployRequest {
        vhost: &vhost(),
        name: "r",
        module: wat.as_bytes(),
        grants: &[],
        destinations: Destinations::Bound,
        limits: LimitOverrides { memory_bytes: Some(u64::MAX), ..LimitOverrides::default() },
        guards: &crate::Guards::default(),
        activate: false,
        now_ms: 5,
    };
    let error = world.routes.deploy(&request).unwrap_err();
    assert!(error.to_string().contains("'memory_bytes'"), "{error}");
    request.limits = LimitOverrides { module_bytes: Some(10), ..LimitOverrides::default() };
    assert_eq!(world.routes.deploy(&request).unwrap_err().kind(), ErrorKind::TooLarge);
    request.limits = LimitOverrides::default();
    request.name = "";
    assert!(world.routes.deploy(&request).is_err());
}

#[test]
fn the_same_again_is_the_same_version() {
    let world = World::new();
    let one = answering(b"\x91\x00");
    let first = world.deploy("r", &one);
    assert_eq!((first.version, first.created, first.active), (1, true, true));
    let again = world.deploy("r", &one);
    assert_eq!((again.version, again.created, again.active), (1, false, true));
    let wat = one.wat();
    let any = world.try_deploy("r", wat.as_bytes(), &[], Destinations::Any).unwrap();
    assert_eq!((any.version, any.created), (2, true));
    let back = world.deploy("r", &one);
    assert_eq!((back.version, back.created, back.active), (1, false, true));
    let view = world.routes.show(&vhost(), "r").unwrap();
    assert_eq!((view.active, view.previous), (Some(1), Some(2)));
    assert_eq!(view.versions[0].sha256, first.sha256);
    assert_eq!(view.versions[0].module.as_ref().unwrap().name, "t");
}

#[test]
fn routes_survive_a_restart_and_a_broken_one_is_unavailable() {
    let world = World::new();
    world.deploy("good", &answering(b"\x91\x01"));
    let bad = world.deploy("bad", &answering(b"\x91\x00"));
    let modules = world.directory.path().join("modules");
    fs::write(modules.join(format!("{}.wasm", bad.sha256)), "damaged").unwrap();
    let world = world.reopened();
    assert_eq!(publish(&*world.exchange("good"), "key").unwrap(), [queue(1)]);

    let view = world.routes.show(&vhost(), "bad").unwrap();
    assert!(view.versions[0].unavailable.as_ref().unwrap().contains("damaged"));
    assert!(world.declare(&[("x-route", "bad")]).err().unwrap().contains("unavailable"));
    let activated = world.routes.activate(&vhost(), "bad", 1);
    assert!(matches!(activated, Err(RouteError::Unavailable { .. })));

    // An exchange that was there before the restart comes back, and fails by policy.
    let recovery = world.routes.recovery();
    let exchange = world.declare(&[("x-route", "bad")]).unwrap();
    drop(recovery);
    let failure = publish(&*exchange, "key").unwrap_err();
    assert!(failure.to_string().starts_with("unavailable: the module"), "{failure}");
}

#[test]
fn removing_takes_the_files_that_nothing_needs() {
    let world = World::new();
    let first = world.deploy("a", &answering(b"\x91\x00"));
    world.deploy("b", &answering(b"\x91\x00"));
    world.deploy("b", &answering(b"\x91\x01"));
    let file = world.directory.path().join("modules").join(format!("{}.wasm", first.sha256));
    world.routes.remove(&vhost(), "a").unwrap();
    assert!(file.exists());
    let active = world.routes.remove_version(&vhost(), "b", 2).unwrap_err();
    assert_eq!(active.kind(), ErrorKind::Conflict);
    world.routes.remove_version(&vhost(), "b", 1).unwrap();
    assert!(!file.exists());
    assert_eq!(world.routes.remove(&vhost(), "a").unwrap_err().kind(), ErrorKind::NotFound);
    let missing = world.routes.activate(&vhost(), "b", 1).unwrap_err();
    assert_eq!(missing.to_string(), "route 'b' has no version 1");
}

#[test]
fn arguments_of_the_exchange_are_checked() {
    let world = World::new();
    let refused = |arguments: &[(&str, &str)]| world.declare(arguments).err().unwrap();
    assert!(refused(&[]).contains("'x-route'"));
    assert_eq!(refused(&[("x-route", "gone")]), "no active route 'gone' in vhost '/'");
    world.deploy("r", &answering(b"\x91\x00"));
    assert!(refused(&[("x-route", "r"), ("x-on-failure", "drop")]).contains("'drop'"));
    world.declare(&[("x-route", "r"), ("x-on-failure", "alternate")]).unwrap();

    let refusing = guest("i64.const 0").with(
        "(data (i32.const 2048) \"no region\")
         (func (export \"shunt_configure\") (param i32 i32) (result i64) i64.const 0x80000000009)",
    );
    world.deploy("strict", &refusing);
    assert_eq!(refused(&[("x-route", "strict")]), "route 'strict' refuses: no region");
}

#[test]
fn a_binding_is_refused_with_the_reason_of_the_route() {
    let world = World::new();
    let refusing = guest("i64.const 0").with(
        "(data (i32.const 2048) \"no key\")
         (func (export \"shunt_check_binding\") (param i32 i32) (result i64)
           (i64.const 0x80000000006))",
    );
    world.deploy("r", &refusing);
    let matcher = world.declare(&[("x-route", "r")]).unwrap();
    let refused = matcher.validate_binding(&super::world::bindings()[0]).unwrap_err();
    assert_eq!(refused, "route 'r' refuses: no key");
}
