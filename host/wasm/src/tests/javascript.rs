//! Routes in plain JavaScript.

use std::sync::LazyLock;

use shunt_routing::FailureCause;

use super::dry_run::dry_run;
use super::world::{World, publish, queue};
use crate::{Destinations, LogLevel};

/// A route with this as its function, and what stands before it.
fn script(before: &str, route: &str) -> String {
    format!(
        "import {{ route, text, log, nowMs, random, stateText, statePut }} from 'shunt-route';
         {before}
         export default route({{
           name: 'js', version: '1', reads: {{ key: text('routing_key') }}, wants: WANTS,
           route({{ key }}, bindings, destinations) {{ {route} }},
         }});"
    )
}

fn pure(route: &str) -> String {
    script("const WANTS = [];", route)
}

/// One registry for tests that look at no log: each compiles the engine.
static SHARED: LazyLock<World> = LazyLock::new(World::new);

#[track_caller]
fn check_refused(source: &str, text: &str) {
    let world = &*SHARED;
    let error =
        world.try_deploy("refused", source.as_bytes(), &[], Destinations::Bound).unwrap_err();
    assert!(error.to_string().contains(text), "{error}");
    assert!(world.routes.list(None).iter().all(|route| &*route.name != "refused"));
}

#[test]
fn it_decides_and_outlives_a_restart() {
    let source =
        pure("bindings.forEach((b) => { if (b.name === key) destinations.add(b.index); });");
    let world = World::new();
    world.try_deploy("r", source.as_bytes(), &[], Destinations::Bound).unwrap();
    let exchange = world.exchange("r");
    assert_eq!(publish(&*exchange, "us"), Ok(vec![queue(1)]));
    assert_eq!(publish(&*exchange, "nowhere"), Ok(vec![]));
    let dry = dry_run(&world, "r", None).unwrap();
    assert!(dry.fuel > 0);
    drop(exchange);
    let world = world.reopened();
    assert_eq!(publish(&*world.exchange("r"), "eu"), Ok(vec![queue(0)]));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    check_refused("import 'shunt-route';\nlet = 5 5;", "SyntaxError");
    check_refused(
        "import 'shunt-route';\nfoo();",
        "ReferenceError: foo is not defined at route.js:2:",
    );
    check_refused("import x from 'lodash';", "there is no module 'lodash'");
    check_refused("import { nothing } from 'shunt-route';", "'nothing'");
    check_refused("import 'shunt-route';", "the default export is no route");
    check_refused("await new Promise(() => {});", "waits for a promise");
    check_refused("throw new RangeError('no');", "RangeError: no");
    check_refused("<html></html>", "text that is no WebAssembly is taken for JavaScript");
    check_refused("for (;;) {}", "timeout");
    check_refused("const all = []; for (;;) all.push(new Uint8Array(1 << 20));", "memory");
    check_refused(&script("const WANTS = ['disk'];", ""), "'disk'");
    check_refused(&script("const WANTS = ['clock'];", ""), "'clock', which is not granted");
    check_refused(&pure("").replace("routing_key", "body"), "'body'");
}

#[test]
fn an_exception_is_a_trap_with_its_text() {
    let source = pure(
        "if (key === 'null') null.x; if (key === 'deep') (function f() { f(); })(); destinations.add(key);",
    );
    let world = &*SHARED;
    world.try_deploy("thrower", source.as_bytes(), &[], Destinations::Bound).unwrap();
    let exchange = world.exchange("thrower");
    let failure = publish(&*exchange, "null").unwrap_err();
    assert_eq!(failure.cause, FailureCause::Trap);
    assert!(
        failure.detail.starts_with("TypeError: cannot read property 'x' of null at route.js:"),
        "{failure:?}"
    );
    assert_eq!(publish(&*exchange, "deep").unwrap_err().cause, FailureCause::Trap);
    let failure = publish(&*exchange, "0").unwrap_err();
    assert!(failure.detail.contains("0 is no index"), "{failure:?}");
}

#[test]
fn what_is_not_wanted_is_not_there() {
    for (call, capability) in [
        ("nowMs()", "clock"),
        ("random()", "random"),
        ("stateText('k')", "state"),
        ("statePut('k', 'v')", "state"),
    ] {
        let world = &*SHARED;
        world
            .try_deploy(capability, pure(call).as_bytes(), &["clock"], Destinations::Bound)
            .unwrap();
        let failure = publish(&*world.exchange(capability), "k").unwrap_err();
        let expected = format!("the capability {capability} is not in the route's wants");
        assert!(failure.detail.contains(&expected), "{failure:?}");
        // At its top level a route has none either: what it says of itself depends on nothing.
        let early = script(&format!("const WANTS = ['clock', 'random', 'state']; {call};"), "");
        check_refused(&early, &expected);
    }
}

#[test]
fn clocks_and_chance_are_the_same_for_all_without_a_capability() {
    let say = "log('info', `${Date.now()} ${new Date().getTimezoneOffset()} ${Math.random()}`);";
    let world = World::new();
    world.try_deploy("r", pure(say).as_bytes(), &[], Destinations::Bound).unwrap();
    for _ in 0..2 {
        publish(&*world.exchange("r"), "k").unwrap();
    }
    let log = world.log();
    assert_eq!(log[0], log[1]);
    assert!(log[0].1.starts_with("1700000000000 0 0."), "{log:?}");

    let source = script(
        "const WANTS = ['clock'];",
        "log('info', `${Date.now() === nowMs()} ${nowMs() > 1.75e12}`);",
    );
    world.try_deploy("c", source.as_bytes(), &["clock"], Destinations::Bound).unwrap();
    publish(&*world.exchange("c"), "k").unwrap();
    assert_eq!(world.log()[2], (LogLevel::Info, "true true".to_owned()));
}

#[test]
fn what_is_printed_is_in_the_log() {
    let world = World::new();
    let source = pure("console.warn('größe', 1); console.log('x');");
    world.try_deploy("r", source.as_bytes(), &[], Destinations::Bound).unwrap();
    publish(&*world.exchange("r"), "k").unwrap();
    let expected = [(LogLevel::Warn, "größe 1".to_owned()), (LogLevel::Info, "x".to_owned())];
    assert_eq!(world.log(), expected);
}
