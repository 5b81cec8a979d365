//! Frames (AMQP 0-9-1, section 4.2.3), cut out of the bytes in which they came.
//!
//! ```text
//!  0      1         3         7                   7 + size
//! +------+---------+---------+-------------------+-----------+
//! | type | channel | size    | payload           | frame-end |
//! +------+---------+---------+-------------------+-----------+
//!  octet   short     long      size octets         0xCE
//!
//!  type 1  method           class id, method id, arguments   crate::method
//!       2  content header   class id, body size, properties  crate::ContentHeader
//!       3  content body     part of a message's body
//!       8  heartbeat        nothing
//! ```
//!
//! `frame_max` counts the whole frame, its 8 octets of envelope included.

use shunt_types::limits::FRAME_SIZE_TOLERANCE;
use shunt_types::{AmqpError, ReplyCode};

/// Octets before the payload.
pub(crate) const FRAME_HEADER_SIZE: usize = 7;
/// Octets of a frame that are not payload.
pub(crate) const FRAME_OVERHEAD: usize = FRAME_HEADER_SIZE + 1;
/// The octet after the payload.
pub const FRAME_END: u8 = 0xCE;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// A method.
    Method,
    /// A content header.
    Header,
    /// A part of a message's body.
    Body,
    /// Nothing: the peer lives.
    Heartbeat,
}

impl FrameKind {
    /// The octet on the wire.
    pub(crate) const fn octet(self) -> u8 {
        match self {
            Self::Method => 1,
            Self::Header => 2,
            Self::Body => 3,
            Self::Heartbeat => 8,
        }
    }

    fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::Method,
            2 => Self::Header,
            3 => Self::Body,
            8 => Self::Heartbeat,
            _ => return None,
        })
    }
}

/// A frame, in the bytes in which it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the payload is.
    pub kind: FrameKind,
    /// The channel; 0 is the connection itself.
    pub channel: u16,
    /// What stands between header and end octet.
    pub payload: &'a [u8],
}

/// Why bytes are no frame; the connection can't be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first octet is none of the frame types.
    #[error("unknown frame type {0}")]
    UnknownType(u8),
    /// The frame would be larger than what was agreed on.
    #[error("frame of {size} bytes exceeds the negotiated frame_max of {frame_max}")]
    TooLarge {
        /// The size of the whole frame, in bytes.
        size: u64,
        /// The size that was agreed on, in bytes.
        frame_max: u32,
    },
    /// A heartbeat is a frame without payload.
    #[error("heartbeat frame with a payload of {0} bytes")]
    HeartbeatPayload(u32),
    /// The sender's idea of the payload's size and ours differ.
    #[error(
        "frame of type {kind} with {size} bytes of payload ends in 0x{found:02x} instead of 0xce"
    )]
    BadEnd {
        /// The frame type on the wire.
        kind: u8,
        /// The payload's size, in bytes.
        size: u32,
        /// What stands where the end octet should.
        found: u8,
    },
}

impl From<FrameError> for AmqpError {
    fn from(error: FrameError) -> Self {
        Self::new(ReplyCode::FrameError, error.to_string())
    }
}

impl<'a> Frame<'a> {
    /// Cuts the first frame off `bytes`, and says how many bytes it took. `None` means that more
    /// bytes must come first.
    ///
    /// Whatever is wrong is said as early as it can be known, so that a peer can't make us buffer
    /// a frame that we are going to refuse. `frame_max` is the bound in force on the connection:
    /// always a number, never the "no limit" that 0 is in `connection.tune`.
    #[inline]
    pub fn parse(bytes: &'a [u8], frame_max: u32) -> Result<Option<(Self, usize)>, FrameError> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let kind = FrameKind::from_octet(first).ok_or(FrameError::UnknownType(first))?;
        let Some((header, rest)) = bytes.split_first_chunk::<FRAME_HEADER_SIZE>() else {
            return Ok(None);
        };
        let [_, c0, c1, s0, s1, s2, s3] = *header;
        let payload_size = u32::from_be_bytes([s0, s1, s2, s3]);
        let size = u64::from(payload_size) + FRAME_OVERHEAD as u64;
        if size > u64::from(frame_max) + u64::from(FRAME_SIZE_TOLERANCE) {
            return Err(FrameError::TooLarge { size, frame_max });
        }
        if kind == FrameKind::Heartbeat && payload_size != 0 {
            return Err(FrameError::HeartbeatPayload(payload_size));
        }
        let Some((payload, rest)) = rest.split_at_checked(payload_size as usize) else {
            return Ok(None);
        };
        match rest.first() {
            None => Ok(None),
            Some(&FRAME_END) => {
                let channel = u16::from_be_bytes([c0, c1]);
                Ok(Some((Self { kind, channel, payload }, payload.len() + FRAME_OVERHEAD)))
            }
            Some(&found) => Err(FrameError::BadEnd { kind: first, size: payload_size, found }),
        }
    }

    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.payload.len() + FRAME_OVERHEAD);
        out.extend_from_slice(&frame_header(self.kind, self.channel, self.payload.len()));
        out.extend_from_slice(self.payload);
        out.push(FRAME_END);
    }
}

/// The octets before a payload of `size` bytes.
#[inline]
pub(crate) fn frame_header(kind: FrameKind, channel: u16, size: usize) -> [u8; FRAME_HEADER_SIZE] {
    let [c0, c1] = channel.to_be_bytes();
    let [s0, s1, s2, s3] = (size as u32).to_be_bytes();
    [kind.octet(), c0, c1, s0, s1, s2, s3]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shunt_types::limits::FRAME_MAX_MIN;

    use super::*;

    fn any_kind() -> impl Strategy<Value = FrameKind> {
        prop_oneof![Just(FrameKind::Method), Just(FrameKind::Header), Just(FrameKind::Body)]
    }

    proptest! {
        #[test]
        fn a_frame_survives_the_wire_and_is_incomplete_until_its_last_byte(
            kind in any_kind(),
            channel: u16,
            payload in prop::collection::vec(any::<u8>(), 0..200),
            next in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let frame = Frame { kind, channel, payload: &payload };
            let mut bytes = Vec::new();
            frame.encode(&mut bytes);
            let size = bytes.len();
            for length in 0..size {
                prop_assert_eq!(Frame::parse(&bytes[..length], FRAME_MAX_MIN), Ok(None));
            }
            bytes.extend(next);
            prop_assert_eq!(Frame::parse(&bytes, FRAME_MAX_MIN), Ok(Some((frame, size))));
        }

        #[test]
        fn hostile_bytes_are_refused_or_read(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            frame_max: u32,
        ) {
            if let Ok(Some((frame, size))) = Frame::parse(&bytes, frame_max) {
                prop_assert!(size <= bytes.len());
                prop_assert_eq!(frame.payload.len() + FRAME_OVERHEAD, size);
            }
        }
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let error = Frame::parse(bytes, FRAME_MAX_MIN).unwrap_err();
        let error = AmqpError::from(error);
        assert_eq!(error.to_string(), format!("FRAME_ERROR - {expected}"));
    }

    #[test]
    fn what_is_wrong_is_said_as_soon_as_it_is_known() {
        check(b"\x04", "unknown frame type 4");
        check(b"G", "unknown frame type 71");
        // 8193 octets of payload and 8 of envelope: one more than frame_max and the tolerance.
        check(
            b"\x03\x00\x01\x00\x00\x20\x01",
            "frame of 8201 bytes exceeds the negotiated frame_max of 8192",
        );
        check(b"\x08\x00\x00\x00\x00\x00\x01", "heartbeat frame with a payload of 1 bytes");
        check(
            b"\x01\x00\x00\x00\x00\x00\x02ab\xcd",
            "frame of type 1 with 2 bytes of payload ends in 0xcd instead of 0xce",
        );
    }

    #[test]
    fn the_tolerance_is_that_of_rabbitmq() {
        let mut bytes = vec![3, 0, 1, 0, 0, 0x20, 0];
        assert_eq!(Frame::parse(&bytes, FRAME_MAX_MIN), Ok(None));
        bytes.resize(FRAME_HEADER_SIZE + 8192, b'x');
        bytes.push(FRAME_END);
        let (frame, size) = Frame::parse(&bytes, FRAME_MAX_MIN).unwrap().unwrap();
        assert_eq!((frame.payload.len(), size), (8192, 8200));
    }

    #[test]
    fn a_heartbeat_is_read() {
        let heartbeat = Frame { kind: FrameKind::Heartbeat, channel: 0, payload: &[] };
        let bytes = b"\x08\x00\x00\x00\x00\x00\x00\xce";
        assert_eq!(Frame::parse(bytes, FRAME_MAX_MIN), Ok(Some((heartbeat, 8))));
    }
}
