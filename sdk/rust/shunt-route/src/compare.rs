//! Comparing bytes, eight at a time.
//!
//! The compiler's own runtime compares one after the other, at some 25 instructions each, and what
//! routes do is compare names and keys. Its functions are weak symbols: these take their place.

#![expect(unsafe_code, reason = "the compiler calls these with pointers")]

/// As in C: below, equal to or above 0 as the first bytes are in their order.
///
/// # Safety
/// Both pointers are good for `length` bytes.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, length: usize) -> i32 {
    if length < 8 {
        // SAFETY: as the caller promises.
        return unsafe { compare_short(one, other, length) };
    }
    let last = length - 8;
    let mut at = 0;
    loop {
        // SAFETY: eight bytes from here on are within the length.
        let (a, b) = unsafe { (word(one.add(at)), word(other.add(at))) };
        if a != b {
            // The first bytes count most.
            return if a.swap_bytes() < b.swap_bytes() { -1 } else { 1 };
        }
        if at == last {
            return 0;
        }
        // The last eight may be some that were compared before: they are equal then.
        at = if at + 8 < last { at + 8 } else { last };
    }
}

/// # Safety
/// As for `memcmp`.
#[inline(always)]
unsafe fn compare_short(one: *const u8, other: *const u8, length: usize) -> i32 {
    for at in 0..length {
        // SAFETY: the byte is within the length.
        let (a, b) = unsafe { (one.add(at).read(), other.add(at).read()) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

/// As in C: 0 where the bytes are the same.
///
/// # Safety
/// As for `memcmp`.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, length: usize) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { memcmp(one, other, length) }
}

/// # Safety
/// Eight bytes are there.
#[inline(always)]
unsafe fn word(at: *const u8) -> u64 {
    // SAFETY: as the caller promises; an unaligned read may be anywhere.
    unsafe { at.cast::<u64>().read_unaligned() }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::cmp::Ordering;

    use super::*;

    #[track_caller]
    fn check(one: &[u8], other: &[u8]) {
        assert_eq!(one.len(), other.len());
        // SAFETY: both slices have that many bytes.
        let found = unsafe { memcmp(one.as_ptr(), other.as_ptr(), one.len()) };
        assert_eq!(found.cmp(&0), one.cmp(other), "{one:?} {other:?}");
        // SAFETY: as above.
        let differ = unsafe { bcmp(one.as_ptr(), other.as_ptr(), one.len()) } != 0;
        assert_eq!(differ, one.cmp(other) != Ordering::Equal);
    }

    #[test]
    fn bytes_of_every_length_compare_as_slices_do() {
        for length in 0..40 {
            let bytes: Vec<u8> = (0..length).map(|n| 100 + n).collect();
            check(&bytes, &bytes);
            for at in 0..bytes.len() {
                for byte in [0, 255] {
                    let mut other = bytes.clone();
                    other[at] = byte;
                    check(&bytes, &other);
                    // What differs later must not count.
                    if let Some(last) = other.last_mut() {
                        *last ^= 0x80;
                    }
                    check(&bytes, &other);
                }
            }
        }
    }
}
