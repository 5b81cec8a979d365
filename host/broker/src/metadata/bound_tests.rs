use proptest::prelude::*;
use shunt_types::{FieldTable, Value};

use super::*;

/// A binding to an exchange of that id, named like it.
fn entry(to: u64, key: u8, arguments: &[(&str, Value)]) -> BindingEntry {
    let arguments: FieldTable =
        arguments.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    BindingEntry::wanted(Binding {
        destination: Destination::Exchange(ExchangeId(to)),
        destination_name: to.to_string().into(),
        key: key.to_string().into(),
        arguments: (&arguments).into(),
        sequence: 0,
    })
}

fn parts(source: ExchangeId, entry: &BindingEntry) -> (u64, String, String) {
    (source.0, entry.0.destination_name.to_string(), entry.0.key.to_string())
}

#[test]
fn what_is_taken_is_what_was_kept() {
    let mut bound = Bound::default();
    let source = ExchangeId(1);
    let kept = entry(2, 0, &[("a", Value::I32(5)), ("b", Value::from("x"))]);
    assert!(bound.insert(source, kept.clone()));
    // The same arguments: another order, integers of another width.
    let same = entry(2, 0, &[("b", Value::from("x")), ("a", Value::I64(5))]);
    assert!(!bound.insert(source, same.clone()));
    let taken = bound.take(source, &same).unwrap();
    assert!(Arc::ptr_eq(&taken.0, &kept.0));
    assert!(bound.from.is_empty() && bound.to.is_empty());
}

proptest! {
    /// Against one flat list.
    #[test]
    fn a_binding_is_found_by_either_end(
        steps in prop::collection::vec((0..8u8, 0..3u64, 0..3u64, 0..4u8), 0..120),
    ) {
        let mut bound = Bound::default();
        let mut model: Vec<(u64, String, String)> = Vec::new();
        for (step, from, to, key) in steps {
            let (source, binding) = (ExchangeId(from), entry(to, key, &[]));
            let wanted = parts(source, &binding);
            match step {
                0..4 => {
                    let is_new = !model.contains(&wanted);
                    prop_assert_eq!(bound.insert(source, binding), is_new);
                    model.extend(is_new.then_some(wanted));
                }
                4..6 => {
                    let taken = bound.take(source, &binding).map(|kept| parts(source, &kept));
                    prop_assert_eq!(taken, model.contains(&wanted).then(|| wanted.clone()));
                    model.retain(|binding| *binding != wanted);
                }
                6 => {
                    let mut taken: Vec<_> =
                        bound.take_from(source).map(|binding| parts(source, &binding)).collect();
                    let mut expected: Vec<_> =
                        model.extract_if(.., |binding| binding.0 == from).collect();
                    taken.sort();
                    expected.sort();
                    prop_assert_eq!(taken, expected);
                }
                _ => {
                    let destination = Destination::Exchange(ExchangeId(to));
                    let taken = bound.take_to(destination);
                    let mut taken: Vec<_> =
                        taken.iter().map(|(source, binding)| parts(*source, binding)).collect();
                    let mut expected: Vec<_> =
                        model.extract_if(.., |binding| binding.1 == to.to_string()).collect();
                    taken.sort();
                    expected.sort();
                    prop_assert_eq!(taken, expected);
                }
            }
            let mut all: Vec<_> = bound.iter().map(|(id, binding)| parts(id, binding)).collect();
            all.sort();
            model.sort();
            prop_assert_eq!(&all, &model);
            for id in 0..3 {
                let has = model.iter().any(|binding| binding.0 == id);
                prop_assert_eq!(bound.has_from(ExchangeId(id)), has);
                let destination = Destination::Exchange(ExchangeId(id));
                let is_reached = model.iter().any(|binding| binding.1 == id.to_string());
                prop_assert_eq!(bound.to.contains_key(&destination), is_reached);
            }
        }
    }
}
