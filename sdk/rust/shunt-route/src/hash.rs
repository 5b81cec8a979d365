//! A hash that never changes.

/// Hashes `bytes` to 64 evenly spread bits: FNV-1a, then the finisher of SplitMix64.
///
/// The result is the same for every instance, version and platform, and it will stay so:
/// routes may send by it for years. It is no defence against keys that are chosen to collide.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    stable_hash_with(0, bytes)
}

/// The hash of `bytes` under a `seed`, unrelated to the one under another seed. To hash two
/// texts into one number, use the hash of the first as the seed of the second.
pub fn stable_hash_with(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ mix(seed);
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mix(hash)
}

/// Spreads every bit of `bits` over all of them; 0 stays 0.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
