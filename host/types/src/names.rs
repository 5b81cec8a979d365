//! The two names that a message goes by, as the bytes in which they travel.

use crate::limits::SHORT_STRING_MAX;

/// Exchange and routing key as two short strings, one behind the other: the end of
/// `basic.publish`, and of `basic.deliver` again. Both were found to be UTF-8.
///
/// ```text
///  0        1              1 + n      2 + n
/// +--------+--------------+----------+-------------+
/// | n      | exchange     | m        | routing key |
/// +--------+--------------+----------+-------------+
///  octet    n octets       octet      m octets
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names<'a>(&'a [u8]);

impl<'a> Names<'a> {
    /// The default exchange and the empty routing key.
    pub const EMPTY: Names<'static> = Names(&[0, 0]);

    /// Octets that any two names take at most.
    pub(crate) const LENGTH_MAX: usize = 2 * (1 + SHORT_STRING_MAX);

    /// Takes bytes that are two short strings and nothing else; `None` for any others.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let (&exchange, rest) = bytes.split_first()?;
        let (exchange, rest) = rest.split_at_checked(exchange.into())?;
        let (&length, key) = rest.split_first()?;
        let is_text = |name: &[u8]| name.is_ascii() || std::str::from_utf8(name).is_ok();
        let holds = key.len() == usize::from(length) && is_text(exchange) && is_text(key);
        holds.then_some(Self(bytes))
    }

    /// Bytes that were [`Names`] before, when they were copied.
    #[inline]
    pub(crate) fn trusted(bytes: &'a [u8]) -> Self {
        debug_assert!(Self::new(bytes).is_some());
        Self(bytes)
    }

    /// The exchange; empty for the default exchange.
    #[inline]
    pub fn exchange(self) -> &'a str {
        let length = usize::from(self.0[0]);
        text(&self.0[1..1 + length])
    }

    /// The routing key.
    #[inline]
    pub fn routing_key(self) -> &'a str {
        let exchange = usize::from(self.0[0]);
        text(&self.0[2 + exchange..])
    }

    /// Both as the short strings that they are.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// One of the names. Each is asked for several times while a message is routed, and was checked
/// when the bytes came in.
#[inline]
#[expect(unsafe_code, reason = "checking a name again costs more than finding its queue")]
fn text(name: &[u8]) -> &str {
    // SAFETY: `Names::new` makes `Names` of nothing but bytes whose two names, cut where
    // `exchange` and `routing_key` cut them, are UTF-8. `Names::trusted` is given copies of such
    // bytes alone: a message's block, whose names are written once, before it is shared.
    unsafe { std::str::from_utf8_unchecked(name) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The two short strings that bytes are, by the book.
    fn by_the_book(bytes: &[u8]) -> Option<(&str, &str)> {
        let mut rest = bytes;
        let mut next = || {
            let (&length, after) = rest.split_first()?;
            let (name, after) = after.split_at_checked(length.into())?;
            rest = after;
            std::str::from_utf8(name).ok()
        };
        let (exchange, key) = (next()?, next()?);
        rest.is_empty().then_some((exchange, key))
    }

    #[track_caller]
    fn check(bytes: &[u8]) {
        let found = Names::new(bytes).map(|names| (names.exchange(), names.routing_key()));
        assert_eq!(found, by_the_book(bytes), "{bytes:?}");
    }

    #[test]
    fn what_is_no_pair_of_texts_is_refused() {
        check(b"\x06orders\x0aeu.created");
        check(b"\0\0");
        check("\u{2}é\u{3}日".as_bytes());
        for bytes in [&b""[..], b"\0", b"\x05ab", b"\x01a\x02b", b"\x01a\x01bc", b"\x01\xff\0"] {
            check(bytes);
            assert_eq!(Names::new(bytes), None);
        }
        // A character that begins in the one name and ends in the other.
        check(b"\x01\xc3\x01\xa9");
    }

    proptest! {
        #[test]
        fn names_are_what_they_would_be_if_read_with_care(
            exchange in prop::collection::vec(any::<u8>(), 0..4),
            key in ".{0,20}",
            damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut bytes = vec![exchange.len() as u8];
            bytes.extend_from_slice(&exchange);
            bytes.push(key.len() as u8);
            bytes.extend_from_slice(key.as_bytes());
            if let Some((index, octet)) = damage {
                let index = index.index(bytes.len());
                bytes[index] = octet;
            }
            check(&bytes);
        }
    }
}
