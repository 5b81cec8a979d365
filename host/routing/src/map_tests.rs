//! Tests of the map, against the standard one.

use std::collections::HashMap;
use std::hash::Hasher;

use proptest::prelude::*;

use super::*;

/// A key whose hash has few values, so that leaves grow at the bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Colliding(u16);

impl Hash for Colliding {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0 % 3).hash(state);
    }
}

impl From<&Self> for Colliding {
    fn from(key: &Self) -> Self {
        *key
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, u32),
    Add(u16, u32),
    Remove(u16),
    Keep,
}

fn steps(keys: u16) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..keys, any::<u32>()).prop_map(|(key, value)| Step::Insert(key, value)),
        1 => (0..keys, any::<u32>()).prop_map(|(key, value)| Step::Add(key, value)),
        4 => (0..keys).prop_map(Step::Remove),
        1 => Just(Step::Keep),
    ];
    prop::collection::vec(step, 0..600)
}

#[track_caller]
fn check<K>(map: &Map<K, u32>, expected: &HashMap<u16, u32>, key: fn(u16) -> K)
where
    K: Hash + Eq + Copy + Into<u16>,
{
    assert_eq!(map.len(), expected.len());
    assert_eq!(map.iter().len(), expected.len());
    let entries: HashMap<u16, u32> = map.iter().map(|(&k, &v)| (k.into(), v)).collect();
    assert_eq!(&entries, expected);
    let mut rest = map.iter();
    let mut stepped: HashMap<u16, u32> =
        rest.by_ref().take(map.len() / 2).map(|(&k, &v)| (k.into(), v)).collect();
    assert_eq!(rest.len(), map.len() - stepped.len());
    rest.for_each(|(&k, &v)| assert_eq!(stepped.insert(k.into(), v), None));
    assert_eq!(&stepped, expected);
    for k in 0..100 {
        assert_eq!(map.get(&key(k)), expected.get(&k));
    }
}

/// Runs the steps on a map and on the standard one; clones kept on the way must not change.
fn run<K>(steps: Vec<Step>, key: fn(u16) -> K)
where
    K: Hash + Eq + Copy + Into<u16> + for<'a> From<&'a K>,
{
    let mut map = Map::new();
    let mut model = HashMap::new();
    let mut kept = Vec::new();
    for step in steps {
        match step {
            Step::Insert(k, v) => assert_eq!(map.insert(key(k), v), model.insert(k, v)),
            Step::Add(k, v) => {
                map.update(&key(k), || 1, |old| *old = old.wrapping_add(v));
                let old = model.entry(k).or_insert(1);
                *old = old.wrapping_add(v);
            }
            Step::Remove(k) => assert_eq!(map.remove(&key(k)), model.remove(&k)),
            Step::Keep => kept.push((map.clone(), model.clone())),
        }
    }
    kept.push((map, model));
    for (map, model) in &kept {
        check(map, model, key);
    }
}

impl From<Colliding> for u16 {
    fn from(key: Colliding) -> Self {
        key.0
    }
}

proptest! {
    #[test]
    fn is_a_map_and_old_clones_do_not_change(steps in steps(300)) {
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        struct Plain(u16);
        impl From<Plain> for u16 {
            fn from(key: Plain) -> Self {
                key.0
            }
        }
        impl From<&Self> for Plain {
            fn from(key: &Self) -> Self {
                *key
            }
        }
        run(steps, Plain);
    }

    #[test]
    fn collisions_are_held(steps in steps(60)) {
        run(steps, Colliding);
    }
}

#[test]
fn a_hundred_thousand_inserts_with_every_snapshot_alive_come_back() {
    let mut map = Map::new();
    let mut kept = Vec::new();
    for n in 0..100_000u32 {
        map.insert(n, n);
        kept.push(map.clone());
    }
    for n in (0..100_000u32).step_by(997) {
        let old = &kept[n as usize];
        assert_eq!((old.len(), old.get(&n), old.get(&(n + 1))), (n as usize + 1, Some(&n), None));
    }
    for n in 0..100_000u32 {
        assert_eq!(map.remove(&n), Some(n));
    }
    assert!(matches!(map.root, Slot::Under(None)), "branches are merged as they empty");
}

#[test]
fn a_slot_takes_two_words() {
    assert_eq!(size_of::<Slot<Arc<str>, u64>>(), 2 * size_of::<usize>());
}
