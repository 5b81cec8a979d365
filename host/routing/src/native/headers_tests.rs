//! Tests of `headers`: the rules by name, and the index against a matcher too simple to be wrong.

use std::collections::BTreeSet;

use proptest::prelude::*;
use shunt_types::{FieldTable, Reader, Value};

use super::*;
use crate::fixture::{Publish, bind_all, binding_with, destinations, queue, table};

type Fields<'a> = &'a [(&'a str, Value)];

fn mode(name: &str) -> (&'static str, Value) {
    ("x-match", name.into())
}

/// Whether a message with the headers matches a binding with the arguments.
#[track_caller]
fn check(arguments: Fields<'_>, headers: Fields<'_>, expected: bool) {
    let matcher = bind_all(&Headers, &[binding_with(queue(1), "", arguments)]);
    let found = destinations(&*matcher, &Publish::headers(table(headers)));
    assert_eq!(!found.is_empty(), expected);
}

#[test]
fn all_is_the_default_and_wants_every_pair() {
    let (a, b) = (("a", Value::I32(1)), ("b", Value::from("x")));
    let both = [a.clone(), b.clone()];
    check(&both, &both, true);
    check(&both, std::slice::from_ref(&a), false);
    check(&[mode("all"), a.clone()], &both, true);
    check(&both, &[a, ("b", Value::from("y"))], false);
    check(&both, &[], false);
}

#[test]
fn any_wants_one_pair() {
    let (a, b) = (("a", Value::I32(1)), ("b", Value::from("x")));
    let rule = [mode("any"), a.clone(), b.clone()];
    check(&rule, &[a], true);
    check(&rule, &[("a", Value::I32(2)), b], true);
    check(&rule, &[("a", Value::I32(2))], false);
    check(&rule, &[], false);
}

#[test]
fn names_with_x_count_only_where_the_mode_says_so() {
    let (x, a) = (("x-tier", Value::from("gold")), ("a", Value::I32(1)));
    check(&[mode("all"), x.clone(), a.clone()], std::slice::from_ref(&a), true);
    check(&[mode("all-with-x"), x.clone(), a.clone()], std::slice::from_ref(&a), false);
    check(&[mode("all-with-x"), x.clone(), a.clone()], &[a.clone(), x.clone()], true);
    check(&[mode("any"), x.clone(), a.clone()], std::slice::from_ref(&x), false);
    check(&[mode("any-with-x"), x.clone(), a], &[x], true);
}

#[test]
fn x_match_itself_is_never_compared() {
    check(&[mode("all-with-x")], &[], true);
    check(&[mode("any-with-x")], &[mode("any-with-x")], false);
}

#[test]
fn without_pairs_all_matches_everything_and_any_nothing() {
    check(&[], &[], true);
    check(&[mode("all"), ("x-other", Value::Void)], &[("a", Value::Void)], true);
    check(&[mode("any")], &[("a", Value::Void)], false);
}

#[test]
fn void_asks_for_the_name_only() {
    check(&[("a", Value::Void)], &[("a", Value::I32(7))], true);
    check(&[("a", Value::Void)], &[("a", Value::Void)], true);
    check(&[("a", Value::Void)], &[("b", Value::I32(7))], false);
    check(&[("a", Value::I32(7))], &[("a", Value::Void)], false);
}

#[test]
fn values_are_compared_whatever_their_types() {
    check(&[("a", Value::I64(5))], &[("a", Value::U8(5))], true);
    check(&[("a", Value::I64(5))], &[("a", Value::from("5"))], false);
}

#[test]
fn of_a_header_that_stands_twice_the_first_counts() {
    for padding in [0, UNSORTED_MAX] {
        let mut bytes = Vec::new();
        for (name, value) in [("a", 1i64), ("a", 2)] {
            let mut one = Vec::new();
            table(&[(name, value.into())]).encode(&mut one);
            bytes.extend_from_slice(&one[4..]);
        }
        for n in 0..padding {
            let mut one = Vec::new();
            table(&[(&format!("p{n}"), Value::Void)]).encode(&mut one);
            bytes.extend_from_slice(&one[4..]);
        }
        let mut framed = (bytes.len() as u32).to_be_bytes().to_vec();
        framed.extend_from_slice(&bytes);
        let headers = TableRef::decode(&mut Reader::new(&framed)).unwrap().to_owned();
        for (wanted, expected) in [(1i64, &[1][..]), (2, &[])] {
            let rule = binding_with(queue(1), "", &[("a", wanted.into())]);
            let matcher = bind_all(&Headers, &[rule]);
            let found = destinations(&*matcher, &Publish::headers(headers.clone()));
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn another_mode_is_refused_by_name() {
    let matcher = bind_all(&Headers, &[]);
    let validate =
        |value| matcher.validate_binding(&binding_with(queue(1), "", &[("x-match", value)]));
    for good in ["all", "any", "all-with-x", "any-with-x"] {
        assert_eq!(validate(good.into()), Ok(()));
    }
    assert_eq!(
        validate("some".into()),
        Err("Invalid x-match field value 'some'; \
             expected all, any, all-with-x, or any-with-x"
            .into())
    );
    assert_eq!(
        validate(Value::I32(1)),
        Err("Invalid x-match field type signedint; expected longstr".into())
    );
}

#[test]
fn unbinding_one_of_two_keeps_the_other() {
    let a = [("a", Value::I32(1)), ("b", Value::I32(1))];
    let (first, second) = (binding_with(queue(1), "k1", &a), binding_with(queue(1), "k2", &a));
    let mut matcher = HeadersMatcher::default();
    matcher.bind(&first);
    matcher.bind(&second);
    let publish = Publish::headers(table(&a));
    matcher.unbind(&first);
    assert_eq!(destinations(&matcher, &publish), [1]);
    matcher.unbind(&second);
    assert_eq!(destinations(&matcher, &publish), []);
    assert!(matcher.names.is_empty(), "nothing is left behind");
}

#[test]
fn names_and_values_are_kept_once() {
    let mut matcher = HeadersMatcher::default();
    let long = "1".repeat(100);
    for n in 0..3 {
        let arguments = [mode("any"), ("a", long.as_str().into()), ("b", "1".into())];
        matcher.bind(&binding_with(queue(n), "", &arguments));
    }
    let name = matcher.names.kept_key("a").unwrap();
    let (value, rules) = matcher.names.get("a").unwrap().values.iter().next().unwrap();
    let Rules::Many(mixed) = rules else { panic!("three rules stand under one pair") };
    assert_eq!(mixed.rules.len(), 3);
    for (rule, _) in mixed.rules.iter() {
        assert!(Arc::ptr_eq(&rule.pairs[0].name, name));
        let Some(Kept::Long(shared)) = &rule.pairs[0].value else { panic!("the value is long") };
        assert!(matches!(value, Kept::Long(kept) if kept.as_ptr() == shared.as_ptr()));
    }
}

#[test]
fn of_a_rule_with_one_pair_the_destination_alone_is_kept() {
    let mut matcher = HeadersMatcher::default();
    for (n, mode) in [mode("any"), mode("all")].into_iter().enumerate() {
        matcher.bind(&binding_with(queue(n as u32), "", &[mode, ("a", "1".into())]));
    }
    let (_, rules) = matcher.names.get("a").unwrap().values.iter().next().unwrap();
    assert!(matches!(rules, Rules::Sole(sole) if sole.len() == 2));
    assert_eq!(size_of::<Rules>(), size_of::<Targets>());
}

#[test]
fn rules_stand_under_their_rarest_pair() {
    let mut matcher = HeadersMatcher::default();
    for n in 0..1000i64 {
        let arguments = [("type", Value::from("order")), ("customer", n.into())];
        matcher.bind(&binding_with(queue(n as u32), "", &arguments));
    }
    let common =
        Pair { name: "type".into(), value: Some(Kept::of(ValueRef::LongString(b"order"))) };
    assert!(matcher.rules(&common).map_or(0, Rules::len) <= 1);
}

/// The rules of RabbitMQ, written down once more and simply.
fn reference(arguments: &FieldTable, headers: &FieldTable) -> bool {
    let mode = arguments.get("x-match").and_then(Value::as_text).unwrap_or("all");
    let mut hits = arguments
        .iter()
        .filter(|(name, _)| *name != "x-match")
        .filter(|(name, _)| mode.ends_with("-with-x") || !name.starts_with("x-"))
        .map(|(name, wanted)| match (wanted, headers.get(name)) {
            (_, None) => false,
            (Value::Void, Some(_)) => true,
            (wanted, Some(sent)) => match (wanted.as_integer(), sent.as_integer()) {
                (Some(wanted), Some(sent)) => wanted == sent,
                _ => wanted == sent,
            },
        });
    if mode.starts_with("all") { hits.all(|hit| hit) } else { hits.any(|hit| hit) }
}

fn fields(most: usize) -> impl Strategy<Value = FieldTable> {
    let name = prop::sample::select(vec!["a", "b", "c", "x-a", "x-b"]);
    let value = prop::sample::select(vec![
        Value::Void,
        Value::I8(1),
        Value::I64(1),
        Value::I64(2),
        Value::from("1"),
        Value::Boolean(true),
    ]);
    prop::collection::vec((name.prop_map(str::to_owned), value), 0..most)
        .prop_map(|fields| fields.into_iter().collect())
}

fn arguments() -> impl Strategy<Value = FieldTable> {
    let modes = vec![None, Some("all"), Some("any"), Some("all-with-x"), Some("any-with-x")];
    (prop::sample::select(modes), fields(4)).prop_map(|(mode, mut fields)| {
        if let Some(mode) = mode {
            fields.insert("x-match", mode.into());
        }
        fields
    })
}

proptest! {
    #[test]
    fn the_index_answers_as_the_reference(
        steps in prop::collection::vec(
            (any::<Option<prop::sample::Index>>(), arguments(), 0..3u32), 0..40),
        messages in prop::collection::vec(fields(6), 1..8),
    ) {
        let mut matcher = HeadersMatcher::default();
        let mut bound: Vec<Arc<Binding>> = Vec::new();
        let mut kept = Vec::new();
        for (unbind, arguments, n) in steps {
            match unbind {
                Some(index) if !bound.is_empty() => {
                    let victim = bound.remove(index.index(bound.len()));
                    matcher.unbind(&victim);
                }
                _ => {
                    let key = bound.len().to_string();
                    let mut binding = (*binding_with(queue(n), &key, &[])).clone();
                    binding.arguments = (&arguments).into();
                    let binding = Arc::new(binding);
                    matcher.bind(&binding);
                    bound.push(binding);
                }
            }
            kept.push((matcher.clone(), bound.clone()));
        }
        for (matcher, bound) in &kept {
            for headers in &messages {
                let expected: BTreeSet<u32> = bound
                    .iter()
                    .filter(|binding| reference(&binding.arguments.to_table(), headers))
                    .map(|binding| match binding.destination {
                        Destination::Queue(id) => id.slot(),
                        Destination::Exchange(_) => unreachable!("queues are bound"),
                    })
                    .collect();
                let found = destinations(matcher, &Publish::headers(headers.clone()));
                prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
            }
        }
        for binding in bound {
            matcher.unbind(&binding);
        }
        prop_assert!(matcher.names.is_empty() && matcher.everything.is_empty());
    }
}
