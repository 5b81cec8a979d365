//! A bucket that fills at a rate, and from which each message takes one.

use shunt_route::Refusal;

/// Thousandths of a message: what a rate of one a second gives in a millisecond.
const ONE: u64 = 1_000;
const RATE_MAX: u64 = 1_000_000;

/// Messages a second, and how many may come at once.
#[derive(Clone, Copy)]
pub(crate) struct Rate {
    per_second: u64,
    burst: u64,
}

/// What is left of a tenant's messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    thousandths: u64,
    at_ms: i64,
}

impl Rate {
    pub(crate) fn new(per_second: u64, burst: u64) -> Result<Self, Refusal> {
        if per_second > RATE_MAX || burst > RATE_MAX {
            return Err("a rate and a burst are numbers up to 1000000".into());
        }
        Ok(Self { per_second, burst })
    }

    /// The bucket of a tenant that was never seen.
    pub(crate) fn full(self, now_ms: i64) -> Bucket {
        Bucket { thousandths: self.burst * ONE, at_ms: now_ms }
    }

    /// Fills the bucket up to now and takes one message, if there is one.
    pub(crate) fn take(self, bucket: Bucket, now_ms: i64) -> (Bucket, bool) {
        // A clock that was set back fills nothing.
        let elapsed_ms = now_ms.saturating_sub(bucket.at_ms).max(0).unsigned_abs();
        let filled = elapsed_ms.saturating_mul(self.per_second);
        let thousandths = bucket.thousandths.saturating_add(filled).min(self.burst * ONE);
        let left = thousandths.checked_sub(ONE);
        (Bucket { thousandths: left.unwrap_or(thousandths), at_ms: now_ms }, left.is_some())
    }
}

impl Bucket {
    pub(crate) fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.thousandths.to_le_bytes());
        bytes[8..].copy_from_slice(&self.at_ms.to_le_bytes());
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (thousandths, at_ms) = bytes.split_at_checked(8)?;
        let thousandths = u64::from_le_bytes(thousandths.try_into().ok()?);
        Some(Self { thousandths, at_ms: i64::from_le_bytes(at_ms.try_into().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_as_it_was_kept() {
        let bucket = Bucket { thousandths: 1_234, at_ms: 5 };
        assert_eq!(Bucket::read(&bucket.bytes()), Some(bucket));
        assert_eq!(Bucket::read(b"short"), None);
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing() {
        let Ok(rate) = Rate::new(1, 1) else { panic!("a rate") };
        let (empty, _) = rate.take(rate.full(9_000), 9_000);
        let (bucket, is_taken) = rate.take(empty, 1_000);
        assert!(!is_taken);
        assert!(rate.take(bucket, 2_000).1);
    }
}
