//! How long decisions take, as far as a median needs it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets of a power of two.
const FINE: u32 = 4;
const BUCKETS: usize = 64 * FINE as usize;

/// Counts of durations by their size, in steps of a quarter of a power of two.
pub(crate) struct Times(Box<[AtomicU64]>);

impl Default for Times {
    fn default() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Times {
    pub(crate) fn add(&self, ns: u64) {
        let ns = ns.max(1);
        let power = ns.ilog2();
        // The two bits after the highest one.
        let fine = if power >= 2 { (ns >> (power - 2)) & 3 } else { 0 };
        let bucket = (power * FINE) as usize + fine as usize;
        self.0[bucket].fetch_add(1, Ordering::Relaxed);
    }

    /// The lower end of the median's bucket, in nanoseconds; nothing where nothing was counted.
    pub(crate) fn median_ns(&self) -> Option<u64> {
        let counts: Vec<_> = self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let half = counts.iter().sum::<u64>().div_ceil(2);
        let mut passed = 0;
        let bucket = counts.iter().position(|count| {
            passed += count;
            *count > 0 && passed >= half
        })?;
        let (power, fine) = (bucket as u32 / FINE, bucket as u64 % u64::from(FINE));
        Some((1 << power) + (fine << power >> 2))
    }

    pub(crate) fn clear(&self) {
        self.0.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_known_within_a_quarter() {
        let times = Times::default();
        assert_eq!(times.median_ns(), None);
        for ns in [100, 1_000, 1_050, 1_100, 900_000] {
            times.add(ns);
        }
        assert_eq!(times.median_ns(), Some(1_024));
        times.add(u64::MAX);
        times.add(0);
        times.clear();
        assert_eq!(times.median_ns(), None);
    }
}
