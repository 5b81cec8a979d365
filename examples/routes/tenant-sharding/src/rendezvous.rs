//! Weighted rendezvous hashing, in integers.
//!
//! A tenant has a distance to each shard that depends on nothing but the two, and goes to the
//! nearest. So a shard that comes takes tenants from the others and moves none between them,
//! and one that goes gives its tenants away and moves no other. The distance is `-log2(u) / w`,
//! for `u` the hash as a number between 0 and 1 and `w` the weight, which makes each shard's part
//! of the tenants exactly its part of the weights.

use shunt_route::{Binding, BindingIndex, DestinationKind, stable_hash, stable_hash_with};

pub(crate) struct Shard {
    index: BindingIndex,
    hash: u64,
    weight: u64,
}

impl Shard {
    /// A shard of weight 0 gets no tenants, and is none.
    pub(crate) fn new(binding: &Binding<'_>, weight: u32) -> Option<Self> {
        let seed = match binding.kind {
            DestinationKind::Queue => 0,
            DestinationKind::Exchange => 1,
        };
        (weight > 0).then(|| Self {
            index: binding.index,
            hash: stable_hash_with(seed, binding.name.as_bytes()),
            weight: weight.into(),
        })
    }
}

pub(crate) fn nearest(shards: &[Shard], tenant: &str) -> Option<BindingIndex> {
    let tenant = stable_hash(tenant.as_bytes());
    let mut nearest: Option<(&Shard, u64)> = None;
    for shard in shards {
        let distance = minus_log2(stable_hash_with(tenant, &shard.hash.to_le_bytes()));
        let nearer = match nearest {
            // a / v < b / w, without the divisions
            Some((other, least)) => distance * other.weight < least * shard.weight,
            None => true,
        };
        if nearer {
            nearest = Some((shard, distance));
        }
    }
    nearest.map(|(shard, _)| shard.index)
}

/// `-log2(hash / 2^64)` in units of `2^-32`. It is below `2^39` and the weights are below
/// `2^20`, so their product is below `2^59`.
fn minus_log2(hash: u64) -> u64 {
    let hash = hash | 1;
    let zeros = hash.leading_zeros();
    // Behind the leading one: the fraction f in log2(1 + f).
    let fraction = hash << zeros << 1;
    let step = (fraction >> (64 - STEPS_LOG)) as usize;
    let within = (fraction << STEPS_LOG) >> 32;
    let (low, high) = (LOG2[step], LOG2[step + 1]);
    let log2 = low + (((high - low) * within) >> 32);
    ((u64::from(zeros) + 1) << 32) - log2
}

/// Between two steps the logarithm is taken for a line, which is wrong by `2^-14` at most.
const STEPS_LOG: u32 = 6;
const STEPS: usize = 1 << STEPS_LOG;

/// `log2(1 + i / STEPS)` in units of `2^-32`.
static LOG2: [u64; STEPS + 1] = {
    let mut table = [0; STEPS + 1];
    let mut step = 0;
    while step <= STEPS {
        table[step] = log2_of_step(step as u64);
        step += 1;
    }
    table
};

/// Squaring doubles the logarithm: the result's bits fall out one by one, the highest first.
const fn log2_of_step(step: u64) -> u64 {
    const ONE: u128 = 1 << 62;
    let mut number = ONE + ((step as u128) << (62 - STEPS_LOG));
    let mut log2 = 0;
    let mut bit = 1 << 32;
    while bit > 0 {
        if number >= 2 * ONE {
            log2 |= bit;
            number >>= 1;
        }
        number = (number * number) >> 62;
        bit >>= 1;
    }
    log2
}

#[cfg(test)]
mod tests {
    use super::{Shard, minus_log2, nearest};
    use shunt_route::{BindingIndex, stable_hash};

    fn shards(weights: &[u64]) -> Vec<Shard> {
        let shard = |(index, weight): (usize, &u64)| Shard {
            index: BindingIndex(index as u32),
            hash: stable_hash(format!("shard-{index}").as_bytes()),
            weight: *weight,
        };
        weights.iter().enumerate().map(shard).collect()
    }

    fn assign(shards: &[Shard]) -> Vec<u32> {
        let tenants = (0..TENANTS).map(|tenant| format!("tenant-{tenant}"));
        tenants.map(|tenant| nearest(shards, &tenant).expect("a shard").0).collect()
    }

    const TENANTS: usize = 40_000;

    #[test]
    fn logarithm_is_right() {
        for bits in (0..2000).map(|seed: u64| stable_hash(&seed.to_le_bytes())) {
            let expected = 64.0 - (bits as f64).log2();
            let difference = minus_log2(bits) as f64 / 2f64.powi(32) - expected;
            assert!(difference.abs() < 2f64.powi(-14), "{bits}: {difference}");
        }
        assert_eq!(minus_log2(0), 64 << 32);
        assert!(minus_log2(u64::MAX) > 0);
    }

    #[test]
    fn parts_are_those_of_the_weights() {
        let weights = [1, 2, 3, 10];
        let assigned = assign(&shards(&weights));
        for (index, weight) in weights.iter().enumerate() {
            let got = assigned.iter().filter(|shard| **shard == index as u32);
            let expected = TENANTS as f64 * *weight as f64 / 16.0;
            let deviation = (got.count() as f64 - expected).abs() / expected;
            assert!(deviation < 0.06, "shard {index} is off by {deviation}");
        }
    }

    #[test]
    fn a_new_shard_only_takes() {
        let before = assign(&shards(&[5, 5, 5, 5]));
        let after = assign(&shards(&[5, 5, 5, 5, 5]));
        let moved = before.iter().zip(&after).filter(|(old, new)| old != new);
        assert!(moved.clone().all(|(_, new)| *new == 4));
        let part = moved.count() as f64 / TENANTS as f64;
        assert!((part - 0.2).abs() < 0.01, "{part}");
    }

    #[test]
    fn a_heavier_shard_only_takes() {
        let before = assign(&shards(&[5, 5, 5]));
        let after = assign(&shards(&[5, 6, 5]));
        let mut moved = before.iter().zip(&after).filter(|(old, new)| old != new);
        assert!(moved.all(|(_, new)| *new == 1));
    }
}
