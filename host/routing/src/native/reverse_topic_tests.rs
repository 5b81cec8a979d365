//! Tests of `x-rtopic`: the plugin's own example, the rules by name, and the trie against the
//! topic exchange with binding and message in exchanged roles.

use proptest::prelude::*;

use super::*;
use crate::fixture::{Publish, bind_all, binding, destinations, queue};
use crate::native::Topic;

#[track_caller]
fn check(bindings: &[&str], key: &str, expected: &[&str]) {
    let bound: Vec<_> = (0..).zip(bindings).map(|(n, key)| binding(queue(n), key)).collect();
    let matcher = bind_all(&ReverseTopic, &bound);
    let found: Vec<_> = destinations(&*matcher, &Publish::to(&[key]))
        .into_iter()
        .map(|n| bindings[n as usize])
        .collect();
    assert_eq!(found, expected, "{key}");
}

#[test]
fn the_plugins_example() {
    let all = [
        "server1.app1.mod1.info",
        "server1.app1.mod1.error",
        "server1.app2.mod1.info",
        "server2.app2.mod1.warning",
        "server1.app1.mod2.info",
        "server2.app1.mod1.info",
    ];
    let [a, b, c, _, e, f] = all;
    check(&all, "server1.app1.mod1.info", &[a]);
    check(&all, "*.app1.mod1.info", &[a, f]);
    check(&all, "#.info", &[a, c, e, f]);
    check(&all, "#.mod1.info", &[a, c, f]);
    check(&all, "#", &all);
    check(&all, "server1.app1.mod1.*", &[a, b]);
    check(&all, "server1.app1.#", &[a, b, e]);
}

#[test]
fn wildcards_in_a_binding_key_are_letters() {
    check(&["*", "#", "a.*", "a.b"], "a.b", &["a.b"]);
    check(&["*", "#", "a", ""], "*", &["*", "#", "a"]);
    check(&["*", "#", "a", ""], "#", &["*", "#", "a", ""]);
    check(&["*", "#", "a", ""], "", &[""]);
}

#[test]
fn a_pattern_may_be_as_long_as_a_key_can_be() {
    let words = ["a"; 128].join(".");
    assert_eq!(words.len(), 255);
    let stars = ["*"; 128].join(".");
    let shorter = ["a"; 127].join(".");
    check(&[&words, &shorter], &words, &[&words]);
    check(&[&words, &shorter], &stars, &[&words]);
    check(&[&words, &shorter], &["#"; 128].join("."), &[&words, &shorter]);
    check(&[&words, &shorter], &["#", "a"].repeat(64).join("."), &[&words, &shorter]);
    check(&[&words, &shorter], &["a", "#"].repeat(64).join("."), &[&words, &shorter]);
    // Only a header `CC` can bring more.
    check(&[&words, &shorter], &["#"; 1_000].join("."), &[]);
}

#[test]
fn many_wildcards_cost_one_walk_of_the_trie() {
    let keys: Vec<String> = (0..2_000).map(|n| format!("a.a.a.a.a.a.a.a.{n}")).collect();
    let bound: Vec<_> = (0..).zip(&keys).map(|(n, key)| binding(queue(n), key)).collect();
    let matcher = bind_all(&ReverseTopic, &bound);
    // Tried one way after the other this is a number of ways with twenty digits.
    let key = ["#", "a"].repeat(30).join(".") + ".#.*.#";
    assert_eq!(destinations(&*matcher, &Publish::to(&[&key])), []);
    let key = ["#", "*"].repeat(4).join(".") + ".#.a.#.1999";
    assert_eq!(destinations(&*matcher, &Publish::to(&[&key])), [1_999]);
}

#[test]
fn every_routing_key_counts_and_unbinding_leaves_the_rest() {
    let bound = [binding(queue(1), "a.b"), binding(queue(2), "a.c"), binding(queue(3), "b")];
    let mut matcher = bind_all(&ReverseTopic, &bound);
    assert_eq!(destinations(&*matcher, &Publish::to(&["a.*", "b"])), [1, 2, 3]);
    let before = matcher.boxed_clone();
    matcher.unbind(&bound[0]);
    assert_eq!(destinations(&*matcher, &Publish::to(&["#"])), [2, 3]);
    assert_eq!(destinations(&*before, &Publish::to(&["#"])), [1, 2, 3]);
}

fn key(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(words), 0..6).prop_map(|words| words.join("."))
}

proptest! {
    #[test]
    fn it_is_the_topic_exchange_the_other_way_round(
        bindings in prop::collection::vec(key(&["a", "b", ""]), 0..12),
        unbound in 0..12usize,
        pattern in key(&["a", "b", "", "*", "#"]),
    ) {
        let bound: Vec<_> = (0..).zip(&bindings).map(|(n, key)| binding(queue(n), key)).collect();
        let mut matcher = bind_all(&ReverseTopic, &bound);
        let unbound = unbound.min(bound.len());
        bound[..unbound].iter().for_each(|binding| matcher.unbind(binding));
        // A topic exchange refuses more than two `#` when it is asked, not when it matches.
        let mut topic = crate::fixture::create(&Topic, &[]).unwrap();
        topic.bind(&binding(queue(0), &pattern));
        let matches = |key: &str| !destinations(&*topic, &Publish::to(&[key])).is_empty();
        let expected: Vec<u32> = (0..)
            .zip(&bindings)
            .skip(unbound)
            .filter_map(|(n, key)| matches(key).then_some(n))
            .collect();
        prop_assert_eq!(destinations(&*matcher, &Publish::to(&[&pattern])), expected);
    }
}
