//! Bytes to text.

use crate::cursor::Malformed;

/// The text that `bytes` are. The standard library's check goes byte by byte where text is
/// short, as it is in headers, and each loop of a guest has the host's check for time in it: so
/// ASCII is found by whole words first.
#[inline(always)]
#[expect(unsafe_code, reason = "what has been checked need not be checked again")]
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    if is_ascii(bytes) {
        // SAFETY: ASCII is UTF-8.
        return Ok(unsafe { core::str::from_utf8_unchecked(bytes) });
    }
    other(bytes)
}

#[cold]
fn other(bytes: &[u8]) -> Result<&str, Malformed> {
    core::str::from_utf8(bytes).map_err(|_| Malformed)
}

/// The last word may overlap the one before.
#[inline(always)]
fn is_ascii(bytes: &[u8]) -> bool {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    let mut all = 0;
    if let Some(last) = bytes.last_chunk() {
        all = u64::from_le_bytes(*last);
        for word in bytes.as_chunks().0 {
            all |= u64::from_le_bytes(*word);
        }
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        all = u64::from(u32::from_le_bytes(*first) | u32::from_le_bytes(*last));
    } else if let [first, .., last] | [first @ last] = bytes {
        // Three at most: the one in the middle is the second.
        all = u64::from(first | bytes[bytes.len() / 2] | last);
    }
    all & HIGH_BITS == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_the_standard_library_says() {
        let mut seed = 0;
        for length in 0..40 {
            let ascii: Vec<u8> = (0..length).map(|at| b'a' + at % 26).collect();
            assert_eq!(text(&ascii).map(str::as_bytes), Ok(ascii.as_slice()));
            for at in 0..ascii.len() {
                for byte in [0x7f, 0x80, 0xc3, 0xff] {
                    let mut bytes = ascii.clone();
                    bytes[at] = byte;
                    if let Some(next) = bytes.get_mut(at + 1) {
                        seed = crate::stable_hash_with(seed, &[]);
                        *next = [b'x', 0xa9][(seed % 2) as usize];
                    }
                    assert_eq!(text(&bytes).ok(), core::str::from_utf8(&bytes).ok(), "{bytes:x?}");
                }
            }
        }
    }
}
