//! The first eight bytes that a client sends (AMQP 0-9-1, section 4.2.2).
//!
//! ```text
//!  0     1     2     3     4     5       6       7          8
//! +-----+-----+-----+-----+-----+-------+-------+----------+
//! | 'A' | 'M' | 'Q' | 'P' |  0  | major | minor | revision |
//! +-----+-----+-----+-----+-----+-------+-------+----------+
//!                            0      0       9        1        AMQP 0-9-1
//!                            1      1       0        9        AMQP 0-9, which differs in nothing
//!                                                             that a client could notice
//! ```

/// What an AMQP 0-9-1 client opens with, and what a client of another 0-9 is answered.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

/// The header of AMQP 1.0 with SASL: what RabbitMQ answers to whatever it doesn't speak.
const AMQP_1_0_SASL: [u8; 8] = *b"AMQP\x03\x01\x00\x00";

const AMQP_0_9: [u8; 8] = *b"AMQP\x01\x01\x00\x09";

/// What the first bytes of a connection turn out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolHeader {
    /// Could still become anything; read more.
    Incomplete,
    /// The handshake goes on with `connection.start`, after eight bytes.
    Amqp091,
    /// Another protocol or another version: write the answer, then close the socket.
    Other {
        /// The header of what the client should speak instead.
        answer: [u8; 8],
    },
}

impl ProtocolHeader {
    /// Judges what has come so far. What can't become an AMQP header is refused at the first byte
    /// that differs, since a client that speaks something else may wait for us to speak.
    pub fn parse(bytes: &[u8]) -> Self {
        const NAME: &[u8; 4] = b"AMQP";
        let known = bytes.len().min(NAME.len());
        if bytes[..known] != NAME[..known] {
            return Self::Other { answer: AMQP_1_0_SASL };
        }
        let Some(header) = bytes.first_chunk::<8>() else {
            return Self::Incomplete;
        };
        match *header {
            PROTOCOL_HEADER | AMQP_0_9 => Self::Amqp091,
            [_, _, _, _, 0, 0, minor, _] if minor >= 9 => Self::Other { answer: PROTOCOL_HEADER },
            _ => Self::Other { answer: AMQP_1_0_SASL },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: ProtocolHeader) {
        assert_eq!(ProtocolHeader::parse(bytes), expected);
    }

    #[test]
    fn both_versions_that_clients_send_are_accepted_whatever_follows() {
        check(b"AMQP\x00\x00\x09\x01", ProtocolHeader::Amqp091);
        check(b"AMQP\x01\x01\x00\x09", ProtocolHeader::Amqp091);
        check(b"AMQP\x00\x00\x09\x01\x01\x00", ProtocolHeader::Amqp091);
    }

    #[test]
    fn a_beginning_is_incomplete() {
        for length in 0..PROTOCOL_HEADER.len() {
            check(&PROTOCOL_HEADER[..length], ProtocolHeader::Incomplete);
        }
    }

    #[test]
    fn other_versions_are_told_what_to_speak() {
        let ours = ProtocolHeader::Other { answer: *b"AMQP\x00\x00\x09\x01" };
        let newer = ProtocolHeader::Other { answer: *b"AMQP\x03\x01\x00\x00" };
        check(b"AMQP\x00\x00\x09\x00", ours);
        check(b"AMQP\x00\x00\x0a\x00", ours);
        check(b"AMQP\x00\x00\x08\x00", newer);
        check(b"AMQP\x00\x01\x00\x00", newer);
        check(b"AMQP\x03\x01\x00\x00", newer);
    }

    #[test]
    fn other_protocols_are_refused_at_the_first_byte_that_differs() {
        let newer = ProtocolHeader::Other { answer: *b"AMQP\x03\x01\x00\x00" };
        check(b"GET / HTTP/1.1\r\n", newer);
        check(b"\x16\x03\x01", newer);
        check(b"AMX", newer);
        check(b"G", newer);
    }
}
