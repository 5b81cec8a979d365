//! Content headers (AMQP 0-9-1, section 4.2.6.1): what stands between a method that carries a
//! message and the message's body.
//!
//! ```text
//!  0          2        4           12               14
//! +----------+--------+-----------+----------------+--------------------+
//! | class id | weight | body size | property flags | present properties |
//! +----------+--------+-----------+----------------+--------------------+
//!  short      short    long long   `- properties ---------------------->
//! ```
//!
//! The properties stay bytes here: [`Message::new`](shunt_types::Message::new) validates them,
//! [`PropertiesRef`](shunt_types::PropertiesRef) reads them.

use shunt_types::{DecodeError, Reader};

/// The class of every content that there is.
pub const CLASS_BASIC: u16 = 60;

/// Octets before the property flags.
pub(crate) const CONTENT_HEADER_FIXED: usize = 12;

/// The payload of a content header frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    /// The class of the method that carries the content; anything but [`CLASS_BASIC`] is
    /// `UNEXPECTED_FRAME`.
    pub class: u16,
    /// How many bytes of body follow, in as many body frames as the sender likes.
    pub body_size: u64,
    /// Property flags and properties, not validated.
    pub properties: &'a [u8],
}

impl<'a> ContentHeader<'a> {
    /// Reads a header frame's payload.
    #[inline]
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let class = reader.u16()?;
        // The weight is unused and must be zero, says the specification; RabbitMQ doesn't look.
        reader.u16()?;
        let body_size = reader.u64()?;
        Ok(Self { class, body_size, properties: reader.rest() })
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&fixed_part(self.class, self.body_size));
        out.extend_from_slice(self.properties);
    }
}

/// What stands before the property flags.
#[inline]
pub(crate) fn fixed_part(class: u16, body_size: u64) -> [u8; CONTENT_HEADER_FIXED] {
    let mut bytes = [0; CONTENT_HEADER_FIXED];
    bytes[..2].copy_from_slice(&class.to_be_bytes());
    bytes[4..].copy_from_slice(&body_size.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_header_survives_the_wire(
            class: u16,
            body_size: u64,
            properties in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let header = ContentHeader { class, body_size, properties: &properties };
            let mut bytes = Vec::new();
            header.encode(&mut bytes);
            prop_assert_eq!(ContentHeader::decode(&bytes), Ok(header));
        }
    }

    #[test]
    fn fields_stand_where_the_specification_puts_them() {
        let payload = b"\x00\x3c\xff\xff\x00\x00\x00\x00\x00\x01\x00\x02\x10\x00\x02";
        let header = ContentHeader::decode(payload).unwrap();
        assert_eq!(
            header,
            ContentHeader { class: CLASS_BASIC, body_size: 65538, properties: b"\x10\x00\x02" }
        );
    }

    #[test]
    fn a_header_without_body_size_is_truncated() {
        for length in 0..CONTENT_HEADER_FIXED {
            assert_eq!(ContentHeader::decode(&vec![0; length]), Err(DecodeError::Truncated));
        }
    }
}
