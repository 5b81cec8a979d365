//! Tests of `topic`: the rules by name, and the trie against a matcher too simple to be wrong.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::fixture::{Publish, bind_all, binding, destinations, queue, raw_destinations};

#[track_caller]
fn check(bindings: &[&str], keys: &[&str], expected: &[&str]) {
    let bound: Vec<_> = (0..).zip(bindings).map(|(n, key)| binding(queue(n), key)).collect();
    let matcher = bind_all(&Topic, &bound);
    let found: Vec<_> = destinations(&*matcher, &Publish::to(keys))
        .into_iter()
        .map(|n| bindings[n as usize])
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn words_are_compared_whole() {
    check(&["a.b", "a.bc", "a", "a.b.c", "A.b"], &["a.b"], &["a.b"]);
}

#[test]
fn star_is_one_word() {
    check(&["*", "a.*", "*.b", "*.*", "a.*.b", "*.*.*"], &["a.b"], &["a.*", "*.b", "*.*"]);
}

#[test]
fn hash_is_zero_words_or_more() {
    check(
        &["#", "a.#", "a.b.#", "#.a.b", "#.b", "a.#.b"],
        &["a.b"],
        &["#", "a.#", "a.b.#", "#.a.b", "#.b", "a.#.b"],
    );
    check(&["a.#.b"], &["a.x.y.z.b"], &["a.#.b"]);
    check(&["a.#.b"], &["a.b.c"], &[]);
}

#[test]
fn wildcards_combine() {
    check(&["#.*", "*.#", "#.*.#", "*.#.*"], &["a"], &["#.*", "*.#", "#.*.#"]);
    check(&["#.a.#", "#.#", "#.a.*.#"], &["x.a.y"], &["#.a.#", "#.#", "#.a.*.#"]);
}

#[test]
fn the_empty_key_has_no_words() {
    check(&["", "*", "#", "#.#"], &[""], &["", "#", "#.#"]);
}

#[test]
fn a_word_may_be_empty() {
    check(&["a..b", "a.*.b", "a.b", "*.*.*"], &["a..b"], &["a..b", "a.*.b", "*.*.*"]);
    check(&["", "*", "*.*", "."], &["."], &["*.*", "."]);
}

#[test]
fn a_wildcard_within_a_word_is_a_letter() {
    check(&["a*", "a#.b", "*"], &["ab"], &["*"]);
    check(&["a*"], &["a*"], &["a*"]);
}

#[test]
fn every_routing_key_counts() {
    check(&["a", "b", "*"], &["a", "b"], &["a", "b", "*"]);
}

#[test]
fn more_than_two_hashes_are_refused() {
    let matcher = bind_all(&Topic, &[]);
    let validate = |key| matcher.validate_binding(&binding(queue(0), key));
    assert_eq!(validate("#.a.#"), Ok(()));
    assert_eq!(validate("##.###.#a.#.#"), Ok(()));
    assert_eq!(
        validate("#.a.#.b.#"),
        Err("invalid binding key '#.a.#.b.#': it has 3 '#' wildcards, at most 2 are allowed".into())
    );
}

#[test]
fn unbinding_one_of_two_keeps_the_other_and_empties_the_trie() {
    let keys = ["a.*.#", "a.*", "a.*.#.b"];
    let bindings: Vec<_> = keys.iter().map(|key| binding(queue(1), key)).collect();
    let mut matcher = TopicMatcher::default();
    bindings.iter().for_each(|binding| matcher.bind(binding));
    matcher.unbind(&bindings[0]);
    assert_eq!(destinations(&matcher, &Publish::to(&["a.b"])), [1]);
    matcher.unbind(&bindings[1]);
    assert_eq!(destinations(&matcher, &Publish::to(&["a.b"])), []);
    matcher.unbind(&bindings[2]);
    assert!(matcher.root.is_end() && matcher.root.targets.is_empty());
}

/// Each of the 2^9 keys of `a` and `*` between two `#` matches at every word: the search must
/// visit each node at most once a word, however many ways lead there.
#[test]
fn a_key_made_to_hurt_finds_each_destination_once() {
    let mut bindings = Vec::new();
    for n in 0..512u32 {
        let middle: Vec<_> = (0..9).map(|bit| if n >> bit & 1 == 0 { "a" } else { "*" }).collect();
        bindings.push(binding(queue(n), &format!("#.{}.#", middle.join("."))));
    }
    let matcher = bind_all(&Topic, &bindings);
    let key = vec!["a"; 128].join(".");
    let found = raw_destinations(&*matcher, &Publish::to(&[&key]));
    assert_eq!(found.len(), 512, "each once");
}

/// The two-`#` rule is enforced when bound; matching must not explode without it either.
#[test]
fn many_hashes_do_not_explode() {
    let mut matcher = TopicMatcher::default();
    matcher.bind(&binding(queue(1), &format!("{}.b", vec!["#.a"; 40].join("."))));
    matcher.bind(&binding(queue(2), &format!("{}.#", vec!["#.a"; 40].join("."))));
    let key = vec!["a"; 128].join(".");
    assert_eq!(raw_destinations(&matcher, &Publish::to(&[&key])), [queue(2)]);
}

fn reference(pattern: &[&str], key: &[&str]) -> bool {
    match pattern.split_first() {
        None => key.is_empty(),
        Some((&"#", rest)) => (0..=key.len()).any(|taken| reference(rest, &key[taken..])),
        Some((&word, rest)) => {
            !key.is_empty() && (word == "*" || word == key[0]) && reference(rest, &key[1..])
        }
    }
}

fn key_of(words: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(words), 0..most).prop_map(|words| words.join("."))
}

proptest! {
    #[test]
    fn the_trie_answers_as_the_reference(
        steps in prop::collection::vec(
            (any::<bool>(), key_of(&["a", "b", "", "*", "#"], 6), 0..3u32), 0..60),
        keys in prop::collection::vec(key_of(&["a", "b", "c", ""], 8), 1..12),
    ) {
        let mut matcher = TopicMatcher::default();
        let mut bound: BTreeSet<(String, u32)> = BTreeSet::new();
        let mut kept = Vec::new();
        for (bind, pattern, n) in steps {
            let binding = binding(queue(n), &pattern);
            if bind {
                if matcher.validate_binding(&binding).is_ok() && bound.insert((pattern, n)) {
                    matcher.bind(&binding);
                }
            } else {
                // Something that is bound rather than something that probably isn't.
                let Some(victim) = bound.range((pattern, n)..).next().cloned() else { continue };
                matcher.unbind(&crate::fixture::binding(queue(victim.1), &victim.0));
                bound.remove(&victim);
            }
            kept.push((matcher.boxed_clone(), bound.clone()));
        }
        for (matcher, bound) in &kept {
            for key in &keys {
                let key_words: Vec<_> = words(key).collect();
                let expected: BTreeSet<u32> = bound
                    .iter()
                    .filter(|(p, _)| reference(&words(p).collect::<Vec<_>>(), &key_words))
                    .map(|(_, n)| *n)
                    .collect();
                let found = destinations(&**matcher, &Publish::to(&[key]));
                prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "key {:?}", key);
            }
        }
    }
}
