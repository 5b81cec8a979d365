//! The frame, the unit of the wire:
//!
//! ```text
//!  0      1         3               7               7+size
//! +------+---------+---------------+----------------+-----------+
//! | kind | channel | size of       | payload        | end, 0xCE |
//! | u8   | u16     | payload, u32  | size octets    | u8        |
//! +------+---------+---------------+----------------+-----------+
//! ```

/// What a frame adds to its payload: the seven octets before it and the one behind it.
pub const FRAME_OVERHEAD: usize = 8;

const FRAME_HEAD: usize = 7;
const FRAME_END: u8 = 0xCE;

/// Longer than any frame a broker may send us: a length above it is damage.
const FRAME_SIZE_MAX: usize = 16 << 20;

/// The first octet of a frame. A number, not an enum: tests send kinds that do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameKind(pub u8);

impl FrameKind {
    /// A method and its arguments.
    pub const METHOD: Self = Self(1);
    /// A content header: class, body size, properties.
    pub const HEADER: Self = Self(2);
    /// A piece of a content body.
    pub const BODY: Self = Self(3);
    /// A heartbeat: channel 0, no payload.
    pub const HEARTBEAT: Self = Self(8);
}

/// A frame as it lies in the buffer it was read into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The first octet.
    pub kind: FrameKind,
    /// 0 for the connection itself.
    pub channel: u16,
    /// What is between the size and the end octet.
    pub payload: &'a [u8],
}

/// Bytes that cannot be a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The octet after the payload.
    #[error("frame of kind {kind} ends with {found:#04x} instead of 0xce")]
    BadEnd {
        /// The frame's first octet.
        kind: u8,
        /// What stood in the place of the end octet.
        found: u8,
    },
    /// A size that no broker may send.
    #[error("frame of kind {kind} claims {size} octets")]
    TooLong {
        /// The frame's first octet.
        kind: u8,
        /// The size it claims.
        size: usize,
    },
}

/// Cuts the first frame off `bytes`: the frame, and how many bytes it took. `None` where more
/// bytes are needed first.
#[inline]
pub fn cut(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some((head, rest)) = bytes.split_first_chunk::<FRAME_HEAD>() else { return Ok(None) };
    let [kind, c0, c1, s0, s1, s2, s3] = *head;
    let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
    if size > FRAME_SIZE_MAX {
        return Err(FrameError::TooLong { kind, size });
    }
    let Some(&end) = rest.get(size) else { return Ok(None) };
    if end != FRAME_END {
        return Err(FrameError::BadEnd { kind, found: end });
    }
    let channel = u16::from_be_bytes([c0, c1]);
    let frame = Frame { kind: FrameKind(kind), channel, payload: &rest[..size] };
    Ok(Some((frame, FRAME_OVERHEAD + size)))
}

/// Appends one frame.
pub fn push_frame(out: &mut Vec<u8>, kind: FrameKind, channel: u16, payload: &[u8]) {
    let size = u32::try_from(payload.len()).expect("a test's frame is shorter than 4 GiB");
    out.push(kind.0);
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(payload);
    out.push(FRAME_END);
}

/// Appends a content of class basic: its header frame and as many body frames as `frame_max`
/// asks for. `properties` are the property flags and what follows them, as bytes.
pub fn push_content(
    out: &mut Vec<u8>,
    channel: u16,
    properties: &[u8],
    body: &[u8],
    frame_max: usize,
) {
    const CLASS_BASIC: u16 = 60;
    const WEIGHT: u16 = 0;
    let mut header = Vec::with_capacity(12 + properties.len());
    header.extend_from_slice(&CLASS_BASIC.to_be_bytes());
    header.extend_from_slice(&WEIGHT.to_be_bytes());
    header.extend_from_slice(&(body.len() as u64).to_be_bytes());
    header.extend_from_slice(properties);
    push_frame(out, FrameKind::HEADER, channel, &header);
    for piece in body.chunks(frame_max - FRAME_OVERHEAD) {
        push_frame(out, FrameKind::BODY, channel, piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_cut_only_when_all_of_it_is_there() {
        let mut bytes = Vec::new();
        push_frame(&mut bytes, FrameKind::BODY, 7, b"abc");
        let whole = bytes.len();
        bytes.extend_from_slice(b"next");
        for short in 0..whole {
            assert_eq!(cut(&bytes[..short]), Ok(None), "{short} bytes");
        }
        let frame = Frame { kind: FrameKind::BODY, channel: 7, payload: b"abc" };
        assert_eq!(cut(&bytes), Ok(Some((frame, whole))));
    }

    #[test]
    fn damage_is_named() {
        assert_eq!(
            cut(&[1, 0, 0, 0, 0, 0, 1, 9, 0]),
            Err(FrameError::BadEnd { kind: 1, found: 0 })
        );
        assert_eq!(
            cut(&[1, 0, 0, 0xff, 0, 0, 0]),
            Err(FrameError::TooLong { kind: 1, size: 0xff00_0000 })
        );
    }

    #[test]
    fn a_long_body_is_split_at_frame_max() {
        let mut bytes = Vec::new();
        push_content(&mut bytes, 1, &[0, 0], &[5; 25], 18);
        let mut sizes = Vec::new();
        let mut rest = &bytes[..];
        while let Ok(Some((frame, length))) = cut(rest) {
            sizes.push((frame.kind, frame.payload.len()));
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
        let (header, body) = (FrameKind::HEADER, FrameKind::BODY);
        assert_eq!(sizes, [(header, 14), (body, 10), (body, 10), (body, 5)]);
    }
}
