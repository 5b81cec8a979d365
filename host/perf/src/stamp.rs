//! What a message's body says of itself: when it was published, by whom, and the how-manieth of
//! that publisher it is.
//!
//! ```text
//!  0              8          10             16
//! +--------------+----------+--------------+- - -
//! | time, ns     | producer | number       | x x x
//! +--------------+----------+--------------+- - -
//!  long long      short      6 octets
//! ```
//!
//! A body too short for both says what it has room for.

/// Octets that the time takes.
pub(crate) const TIME_LENGTH: usize = 8;

/// Octets that time and number take.
pub(crate) const STAMP_LENGTH: usize = 16;

const NUMBER_BITS: u32 = 48;

/// Which message it is, over all publishers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) producer: u16,
    pub(crate) sequence: u64,
}

impl Number {
    fn bits(self) -> u64 {
        u64::from(self.producer) << NUMBER_BITS | self.sequence & ((1 << NUMBER_BITS) - 1)
    }

    fn from_bits(bits: u64) -> Self {
        let producer = (bits >> NUMBER_BITS) as u16;
        Self { producer, sequence: bits & ((1 << NUMBER_BITS) - 1) }
    }
}

/// Writes as much of the stamp as there is room for.
#[inline]
pub(crate) fn write(body: &mut [u8], time_ns: u64, number: Number) {
    if let Some(stamp) = body.first_chunk_mut::<STAMP_LENGTH>() {
        stamp[..TIME_LENGTH].copy_from_slice(&time_ns.to_be_bytes());
        stamp[TIME_LENGTH..].copy_from_slice(&number.bits().to_be_bytes());
    } else if let Some(time) = body.first_chunk_mut::<TIME_LENGTH>() {
        *time = time_ns.to_be_bytes();
    }
}

/// When the message was published.
#[inline]
pub(crate) fn time_ns(body: &[u8]) -> Option<u64> {
    body.first_chunk::<TIME_LENGTH>().map(|time| u64::from_be_bytes(*time))
}

/// Which message it is.
#[inline]
pub(crate) fn number(body: &[u8]) -> Option<Number> {
    let (_, rest) = body.split_first_chunk::<TIME_LENGTH>()?;
    rest.first_chunk::<8>().map(|bits| Number::from_bits(u64::from_be_bytes(*bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_holds_what_it_has_room_for() {
        let sent = Number { producer: 0xffee, sequence: (1 << NUMBER_BITS) - 2 };
        for (length, time, found) in
            [(0, None, None), (7, None, None), (8, Some(5), None), (16, Some(5), Some(sent))]
        {
            let mut body = vec![b'x'; length];
            write(&mut body, 5, sent);
            assert_eq!((time_ns(&body), number(&body)), (time, found), "{length} octets");
        }
    }
}
