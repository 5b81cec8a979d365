//! Tests of the tree: shares, movement, and that nothing depends on order, ids or the machine.

use std::collections::BTreeMap;

use proptest::prelude::*;
use shunt_types::Value;

use super::*;
use crate::fixture::{binding, binding_with, queue};

fn tree(weights: &[(u32, u32)]) -> Tree {
    let mut tree = Tree::default();
    for &(n, weight) in weights {
        tree.add(&binding(queue(n), &weight.to_string()), weight);
    }
    tree
}

fn picks(tree: &Tree, keys: u64) -> Vec<Option<Destination>> {
    (0..keys).map(|key| tree.pick(stable_hash(format!("key-{key}").as_bytes()))).collect()
}

/// Checks the shares of 200 000 keys: chi-square over its degrees of freedom is near 1 when the
/// deviations are those of chance, and many times that when shares are off by a few hundredths.
#[track_caller]
fn check_shares(weights: &[(u32, u32)]) {
    let keys = 200_000;
    let mut counts = BTreeMap::new();
    for picked in picks(&tree(weights), keys) {
        *counts.entry(picked.unwrap()).or_insert(0u32) += 1;
    }
    let total: u32 = weights.iter().map(|(_, weight)| weight).sum();
    let mut chi_square = 0.0;
    for &(n, weight) in weights {
        let expected = keys as f64 * f64::from(weight) / f64::from(total);
        let found = f64::from(counts.get(&queue(n)).copied().unwrap_or(0));
        chi_square += (found - expected).powi(2) / expected;
    }
    let degrees = (weights.len() - 1) as f64;
    // What chance passes once in ten thousand times (Wilson and Hilferty).
    let spread = 2.0 / (9.0 * degrees);
    let bound = (1.0 - spread + 3.72 * spread.sqrt()).powi(3);
    assert!(chi_square / degrees < bound, "{} over {bound}", chi_square / degrees);
}

#[test]
fn shares_are_as_the_weights() {
    check_shares(&[(1, 1), (2, 1)]);
    check_shares(&(0..10).map(|n| (n, 1)).collect::<Vec<_>>());
    check_shares(&(0..10).map(|n| (n, n + 1)).collect::<Vec<_>>());
    check_shares(&(0..300).map(|n| (n, 1)).collect::<Vec<_>>());
    check_shares(&[(1, 1), (2, 10), (3, 100), (4, 1000), (5, 10_000)]);
}

/// The part of the keys that moves when `changed` comes, over its share, which is the least.
fn movement(weights: &[(u32, u32)], changed: u32) -> f64 {
    let keys = 50_000;
    let before: Vec<_> = weights.iter().copied().filter(|(n, _)| *n != changed).collect();
    let (before, after) = (picks(&tree(&before), keys), picks(&tree(weights), keys));
    let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    let gained = after.iter().filter(|picked| **picked == Some(queue(changed))).count();
    moved as f64 / gained as f64
}

#[test]
fn little_moves_when_a_destination_comes_or_goes() {
    // Adding and removing are the same two trees, so that one direction tells for both.
    for (count, bound) in [(3, 1.5), (10, 2.0), (100, 3.0), (1000, 4.0)] {
        let weights: Vec<_> = (0..count).map(|n| (n, 1 + n % 3)).collect();
        let ratios: Vec<_> =
            [0, count / 2, count - 1].map(|changed| movement(&weights, changed)).to_vec();
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        println!("{count} destinations: {mean:.2} times the least, {ratios:.2?}");
        assert!(mean < bound, "{mean} over {bound}");
    }
}

#[test]
fn the_first_binding_of_a_destination_counts_until_it_goes() {
    let (heavy, light) = (binding(queue(1), "9999"), binding(queue(1), "1"));
    let mut tree = tree(&[(2, 1)]);
    tree.add(&heavy, 9999);
    tree.add(&light, 1);
    let share = |tree: &Tree| {
        picks(tree, 2000).into_iter().filter(|picked| *picked == Some(queue(1))).count()
    };
    assert!(share(&tree) > 1950, "the second binding is ignored");
    tree.remove(&heavy);
    assert!((800..1200).contains(&share(&tree)), "it takes over");
    tree.remove(&light);
    assert_eq!(share(&tree), 0);
}

#[test]
fn a_binding_goes_whatever_its_arguments() {
    let nan = binding_with(queue(1), "5", &[("n", Value::F64(f64::NAN))]);
    let mut tree = Tree::default();
    tree.add(&nan, 5);
    tree.remove(&nan);
    assert_eq!(tree.pick(7), None);
}

#[test]
fn a_queue_and_an_exchange_of_one_name_are_two() {
    let queue_named = binding(queue(1), "1");
    let exchange = Arc::new(Binding {
        destination: Destination::Exchange(shunt_types::ExchangeId(1)),
        ..(*queue_named).clone()
    });
    let mut tree = Tree::default();
    tree.add(&queue_named, 1);
    tree.add(&exchange, 1);
    tree.remove(&queue_named);
    assert_eq!(tree.pick(7), Some(exchange.destination));
}

#[test]
fn names_with_one_hash_share_a_leaf() {
    let mut leaf = Leaf { hash: 0, members: Vec::new() };
    let bindings: Vec<_> = (0..3).map(|n| binding(queue(n), "1")).collect();
    bindings.iter().for_each(|binding| leaf.add(binding, 1));
    for n in 0..3 {
        assert!((0..100).any(|key| leaf.pick(key) == Some(queue(n))));
    }
    assert!(leaf.remove(&bindings[1]) == Left::Something);
    assert!((0..100).all(|key| leaf.pick(key) != Some(queue(1))));
    assert!(leaf.remove(&bindings[0]) == Left::Something);
    assert!(leaf.remove(&bindings[2]) == Left::Nothing);
}

/// A change here sends the keys of running systems to other queues.
#[test]
fn choices_are_frozen() {
    assert_eq!(stable_hash(b""), 0xa706_dd2f_4d19_7e6f);
    assert_eq!(stable_hash(b"orders.eu"), 0x615a_06da_c950_e765);
    let tree = tree(&[(1, 1), (2, 20), (3, 300), (4, 4000), (5, 4000)]);
    let slots: Vec<_> = picks(&tree, 12)
        .into_iter()
        .map(|picked| match picked {
            Some(Destination::Queue(id)) => id.slot(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(slots, [4, 4, 4, 4, 5, 5, 5, 4, 5, 5, 5, 5]);
}

/// To the last bit, at both ends and among ten thousand in between.
#[test]
fn the_logarithm_is_frozen() {
    let all = [0, u64::MAX].into_iter().chain((0..10_000).map(scramble));
    let digest = all.fold(0, |digest, bits| scramble(digest ^ exponential(bits).to_bits()));
    assert_eq!(digest, 0xf671_2053_2b3e_e79f);
}

/// A branch of children of these weights.
fn branch(weights: &[u32]) -> Branch {
    let child = |(slot, &weight): (usize, &u32)| Child {
        slot: slot as u8,
        seed: scramble(slot as u64),
        weight: weight.into(),
        inverse_weight: 1.0 / f64::from(weight),
        node: Node::leaf(slot as u64, &binding(queue(slot as u32), "1"), weight),
    };
    Branch { children: weights.iter().enumerate().map(child).collect() }
}

/// Checks that bounds never decide otherwise than the draw, and says for how many of 20 000 keys they
/// don't decide.
#[track_caller]
fn undecided(weights: &[u32]) -> u32 {
    let branch = branch(weights);
    let mut undecided = 0;
    for key in (0..20_000).map(scramble) {
        let drawn = branch.draw(key).unwrap().slot;
        match branch.pick_by_bounds(key) {
            Some(picked) => assert_eq!(picked.slot, drawn, "{weights:?}, key {key}"),
            None => undecided += 1,
        }
    }
    undecided
}

#[test]
fn bounds_decide_nearly_always_and_as_the_draw_does() {
    for count in 2..=16 {
        let equal = undecided(&vec![7; count]);
        assert!(equal < 600, "{count} equals: {equal}");
        let rising: Vec<_> = (1..=count as u32).collect();
        let rising = undecided(&rising);
        assert!(rising < 600, "{count} rising: {rising}");
        let steep: Vec<_> = (0..count as u32).map(|n| 10_000 >> n).map(|w| w.max(1)).collect();
        let steep = undecided(&steep);
        assert!(steep < 600, "{count} steep: {steep}");
    }
}

#[test]
fn what_is_too_close_is_drawn_for() {
    let mut branch = branch(&[1, 1]);
    branch.children[1].seed = branch.children[0].seed;
    assert!(branch.pick_by_bounds(1).is_none());
    assert!(std::ptr::eq(branch.pick(1).unwrap(), &raw const branch.children[0]));
}

/// Also where the logarithm's pieces meet, and at the ends of each interval.
#[test]
fn every_logarithm_is_within_its_bounds() {
    let shift = u64::BITS - BOUNDS_BITS;
    let ends = (0..1 << BOUNDS_BITS).flat_map(|first: u64| {
        let (least, last) = (first << shift, first << shift | u64::MAX >> BOUNDS_BITS);
        [least, least + (1 << 12), last - (1 << 12), last]
    });
    for bits in ends.chain((0..200_000).map(scramble)) {
        let index = (bits >> shift) as usize;
        let number = exponential(bits);
        assert!(number <= BOUNDS[index] * BOUNDS_MARGIN, "{bits:x}");
        assert!(number * BOUNDS_MARGIN >= BOUNDS[index + 1], "{bits:x}");
    }
}

#[test]
fn the_logarithm_is_one() {
    let mut worst: f64 = 0.0;
    for n in 0..100_000 {
        let bits = scramble(n);
        let expected = -(((bits >> 12) as f64 + 0.5) / (1u64 << 52) as f64).ln();
        worst = worst.max((exponential(bits) / expected - 1.0).abs());
    }
    assert!(worst < 1e-8, "{worst:e}");
    assert!(exponential(0).is_finite() && exponential(u64::MAX) >= 0.0);
}

proptest! {
    #[test]
    fn order_and_history_do_not_matter(
        steps in prop::collection::vec((0..40u32, 1..50u32), 1..80),
    ) {
        let mut present: BTreeMap<u32, u32> = BTreeMap::new();
        let mut changed = Tree::default();
        let mut kept = Vec::new();
        for (n, weight) in steps {
            match present.remove(&n) {
                Some(old) => changed.remove(&binding(queue(n), &old.to_string())),
                None => {
                    present.insert(n, weight);
                    changed.add(&binding(queue(n), &weight.to_string()), weight);
                }
            }
            kept.push((changed.clone(), present.clone()));
        }
        for (changed, present) in kept.iter().step_by(7).chain(kept.last()) {
            let mut weights: Vec<_> = present.iter().map(|(n, weight)| (*n, *weight)).collect();
            weights.reverse();
            prop_assert_eq!(picks(changed, 50), picks(&tree(&weights), 50));
        }
    }
}
