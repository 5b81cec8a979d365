//! Tests of `x-message-deduplication`: the arguments, the headers, and the cache against a list.

use proptest::prelude::*;
use shunt_types::Value;

use super::*;
use crate::fixture::{Publish, binding, create, destinations, queue, table};

type Fields<'a> = &'a [(&'a str, Value)];

fn matcher(arguments: Fields<'_>) -> Box<dyn Matcher> {
    let mut matcher = create(&MessageDeduplication, arguments).unwrap();
    matcher.bind(&binding(queue(1), "ignored"));
    matcher
}

/// Publishes at that time; whether the message passes.
fn passes(matcher: &dyn Matcher, now_ms: u64, headers: Fields<'_>) -> bool {
    let mut publish = Publish::headers(table(headers));
    publish.now_ms = now_ms;
    destinations(matcher, &publish) == [1]
}

fn id(value: impl Into<Value>) -> (&'static str, Value) {
    ("x-deduplication-header", value.into())
}

#[test]
fn a_value_passes_once() {
    let matcher = matcher(&[("x-cache-size", Value::I32(10))]);
    assert!(passes(&*matcher, 0, &[id("a")]));
    assert!(!passes(&*matcher, 0, &[id("a")]));
    assert!(!passes(&*matcher.boxed_clone(), u64::MAX - 1, &[id("a")]), "without a time, for ever");
    assert!(passes(&*matcher, 0, &[id("b")]));
    for _ in 0..2 {
        assert!(passes(&*matcher, 0, &[]), "without the header nothing is compared");
    }
}

#[test]
fn values_of_every_type_are_compared() {
    let matcher = matcher(&[("x-cache-size", Value::from("100"))]);
    for value in [Value::I32(42), Value::F64(4.5), Value::Boolean(true), Value::Void, "42".into()] {
        assert!(passes(&*matcher, 0, &[id(value.clone())]), "{value:?}");
        assert!(!passes(&*matcher, 0, &[id(value.clone())]), "{value:?}");
    }
    assert!(!passes(&*matcher, 0, &[id(Value::I64(42))]), "the width of a number doesn't count");
}

#[test]
fn a_value_passes_again_after_its_time() {
    let matcher = matcher(&[("x-cache-size", Value::I32(10)), ("x-cache-ttl", Value::I32(100))]);
    assert!(passes(&*matcher, 1_000, &[id("a")]));
    assert!(!passes(&*matcher, 1_099, &[id("a")]));
    assert!(passes(&*matcher, 1_100, &[id("a")]));
    assert!(!passes(&*matcher, 1_199, &[id("a")]), "its time begins anew when it passes");
}

#[test]
fn a_message_may_bring_its_own_time() {
    let matcher = matcher(&[("x-cache-size", Value::I32(10)), ("x-cache-ttl", Value::I32(100))]);
    let own = |ttl: Value| [id("a"), ("x-cache-ttl", ttl)];
    assert!(passes(&*matcher, 0, &own(Value::I32(500))));
    assert!(!passes(&*matcher, 499, &own(Value::I32(500))));
    assert!(passes(&*matcher, 500, &own(Value::from("10"))));
    assert!(passes(&*matcher, 510, &own(Value::I32(-5))));
    assert!(passes(&*matcher, 510, &own(Value::from("soon"))), "the exchange's own time counts");
    assert!(!passes(&*matcher, 609, &own(Value::I32(1))));
}

#[test]
fn a_full_cache_forgets_the_oldest() {
    let matcher = matcher(&[("x-cache-size", Value::I32(2))]);
    for value in ["a", "b", "c"] {
        assert!(passes(&*matcher, 0, &[id(value)]));
    }
    assert!(!passes(&*matcher, 0, &[id("b")]));
    assert!(!passes(&*matcher, 0, &[id("c")]));
    assert!(passes(&*matcher, 0, &[id("a")]));
}

#[test]
fn memory_is_bounded_whatever_the_size() {
    let mut cache = Cache { size: usize::MAX, ..Cache::default() };
    let value = vec![0; DEDUPLICATION_BYTES_MAX / 10];
    for n in 0..30u8 {
        let mut value = value.clone();
        value[0] = n;
        assert!(cache.insert(&value, 0, u64::MAX));
        assert!(cache.bytes <= DEDUPLICATION_BYTES_MAX);
    }
    assert_eq!(cache.entries.len(), 9);
}

#[test]
fn arguments_are_checked() {
    #[track_caller]
    fn check(arguments: Fields<'_>, refusal: Option<&str>) {
        assert_eq!(create(&MessageDeduplication, arguments).err().as_deref(), refusal);
    }
    let size = || ("x-cache-size", Value::I32(10));
    check(&[size(), ("x-cache-persistence", "disk".into())], None);
    check(&[("x-cache-size", "10".into()), ("x-cache-ttl", "10".into())], None);
    check(&[], Some("missing arg 'x-cache-size', must be an integer from 1 on"));
    check(
        &[("x-cache-size", Value::I32(0))],
        Some("invalid arg 'x-cache-size': 0, must be an integer from 1 on"),
    );
    check(
        &[("x-cache-size", "many".into())],
        Some("invalid arg 'x-cache-size': 'many', must be an integer from 1 on"),
    );
    check(
        &[size(), ("x-cache-ttl", Value::Boolean(true))],
        Some("invalid arg 'x-cache-ttl': true, must be an integer from 1 on"),
    );
    check(
        &[size(), ("x-cache-persistence", "tape".into())],
        Some("invalid arg 'x-cache-persistence': 'tape', must be 'memory' or 'disk'"),
    );
}

proptest! {
    #[test]
    fn the_cache_is_a_list_of_the_last_values(
        size in 1..6usize,
        steps in prop::collection::vec((0..8u8, 0..4u64, 0..6u64), 0..200),
    ) {
        let mut cache = Cache { size, ..Cache::default() };
        let mut model: Vec<(u8, u64)> = Vec::new();
        let mut now_ms = 0;
        for (value, later, ttl) in steps {
            now_ms += later;
            let expires_at = now_ms + ttl;
            let is_new = !model.iter().any(|&(other, at)| other == value && at > now_ms);
            prop_assert_eq!(cache.insert(&[value], now_ms, expires_at), is_new);
            if is_new {
                model.retain(|&(other, _)| other != value);
                while model.len() >= size || model.first().is_some_and(|&(_, at)| at <= now_ms) {
                    model.remove(0);
                }
                model.push((value, expires_at));
            }
            prop_assert_eq!(cache.entries.len(), model.len());
            prop_assert_eq!(cache.order.len(), model.len());
            prop_assert_eq!(cache.bytes, model.len() * cost(&[0]));
        }
    }
}
