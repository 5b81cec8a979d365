//! Reading what a guest answered. Every number in it is hostile until it is checked.

use shunt_routing::{Failure, FailureCause};

use crate::abi::unpack;
use crate::limits::{DETAIL_BYTES_MAX, RouteLimits};
use crate::msgpack::{Reader, Token};

/// One destination of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick<'a> {
    /// The binding at that place.
    Binding(u64),
    /// The queue of that name.
    Queue(&'a str),
}

/// Finds the bytes that a packed answer names.
#[inline]
pub(crate) fn bytes(memory: &[u8], packed: i64, limit: u64) -> Result<&[u8], Failure> {
    let (address, length) = unpack(packed);
    if u64::from(length) > limit {
        return Err(bad(format!("the answer has {length} bytes, at most {limit} are allowed")));
    }
    let start = address as usize;
    start
        .checked_add(length as usize)
        .and_then(|end| memory.get(start..end))
        .ok_or_else(|| bad(format!("the answer's address {address} is out of bounds")))
}

/// A packed reason, cut to what is kept of it.
pub(crate) fn reason(memory: &[u8], packed: i64, limit: u64) -> Result<String, Failure> {
    let bytes = bytes(memory, packed, limit)?;
    Ok(String::from_utf8_lossy(&bytes[..bytes.len().min(DETAIL_BYTES_MAX)]).into_owned())
}

/// Reads the answer of `shunt_route` and hands each destination to `take`.
#[inline]
pub(crate) fn route(
    memory: &[u8],
    packed: i64,
    limits: &RouteLimits,
    mut take: impl FnMut(Pick<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if packed == 0 {
        return Ok(());
    }
    if packed < 0 {
        let reason = reason(memory, packed & i64::MAX, limits.answer_bytes)?;
        return Err(Failure::new(FailureCause::Refused, reason));
    }
    let bytes = bytes(memory, packed, limits.answer_bytes)?;
    if let [0x91, index @ 0..=0x7f] = *bytes
        && limits.destinations > 0
    {
        // What nearly every answer is: one binding, of the first 128.
        return take(Pick::Binding(index.into()));
    }
    let mut reader = Reader::new(bytes);
    let count = match reader.next() {
        Ok(Token::Array(count)) => count,
        Ok(_) => return Err(bad("the answer is no array")),
        Err(error) => return Err(bad(error.to_string())),
    };
    if u64::from(count) > limits.destinations {
        return Err(bad(format!(
            "the answer has {count} destinations, at most {} are allowed",
            limits.destinations
        )));
    }
    for _ in 0..count {
        match reader.next() {
            Ok(Token::Unsigned(index)) => take(Pick::Binding(index))?,
            Ok(Token::Text(name)) => take(Pick::Queue(name))?,
            Ok(_) => return Err(bad("a destination is neither an index nor a queue's name")),
            Err(error) => return Err(bad(error.to_string())),
        }
    }
    if !reader.is_empty() {
        return Err(bad("bytes are left over after the answer"));
    }
    Ok(())
}

pub(crate) fn bad(detail: impl Into<String>) -> Failure {
    Failure::new(FailureCause::BadAnswer, detail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(memory: &[u8], packed: i64) -> Result<Vec<String>, Failure> {
        let mut picks = Vec::new();
        route(memory, packed, &RouteLimits::default(), |pick| {
            picks.push(format!("{pick:?}"));
            Ok(())
        })?;
        Ok(picks)
    }

    fn packed(address: u32, length: u32) -> i64 {
        (u64::from(address) << 32 | u64::from(length)) as i64
    }

    #[test]
    fn indexes_and_names() {
        assert_eq!(read(b"", 0), Ok(vec![]));
        let picks = read(b"..\x92\x05\xa1q", packed(2, 4)).unwrap();
        assert_eq!(picks, ["Binding(5)", "Queue(\"q\")"]);
    }

    #[test]
    fn a_set_highest_bit_is_a_reason() {
        let failure = read(b"no way", packed(3, 3) | i64::MIN).unwrap_err();
        assert_eq!(failure.to_string(), "refused: way");
        assert_eq!(read(b"", i64::MIN).unwrap_err().to_string(), "refused: ");
    }

    #[track_caller]
    fn check_bad(memory: &[u8], packed: i64, detail: &str) {
        let failure = read(memory, packed).unwrap_err();
        assert_eq!(failure.cause, FailureCause::BadAnswer);
        assert!(failure.detail.contains(detail), "{failure}");
    }

    #[test]
    fn hostile_numbers_are_a_bad_answer() {
        check_bad(b"abc", packed(0, u32::MAX), "4294967295 bytes");
        check_bad(b"abc", packed(2, 2), "address 2 is out of bounds");
        check_bad(b"abc", packed(0x7fff_ffff, 1), "out of bounds");
        check_bad(b"abc", packed(3, 0), "ends in the middle");
        check_bad(b"\xdd\xff\xff\xff\xff", packed(0, 5), "4294967295 destinations");
        check_bad(b"\x92\x01", packed(0, 2), "ends in the middle");
        check_bad(b"\x91\xff", packed(0, 2), "neither");
        check_bad(b"\x91\xa1\xff", packed(0, 3), "UTF-8");
        check_bad(b"\x90\x00", packed(0, 2), "left over");
        check_bad(b"\x05", packed(0, 1), "no array");
        check_bad(b"abc", packed(9, 1) | i64::MIN, "out of bounds");
    }

    proptest! {
        #[test]
        fn no_answer_panics(memory in prop::collection::vec(any::<u8>(), 0..100), at in any::<i64>()) {
            let _ = read(&memory, at);
            let _ = read(&memory, packed(0, memory.len() as u32));
        }
    }
}
