//! A publish in one piece: its method, its content header and its body where they stand together.
//!
//! Nearly every publish is such, and whoever gets it whole needs to keep nothing between frames.
//! Anything else, damage above all, is left to be read frame by frame, which says what is wrong.

use shunt_types::Names;

use crate::content::{CLASS_BASIC, CONTENT_HEADER_FIXED};
use crate::frame::{FRAME_END, FRAME_HEADER_SIZE, FRAME_OVERHEAD, FrameKind};
use crate::method::BasicPublish;

/// Class, method and the reserved argument before the exchange's name.
const BEFORE_NAMES: usize = 6;

/// The bit `immediate` beside `mandatory`.
const MANDATORY: u8 = 0b01;
const IMMEDIATE: u8 = 0b10;

/// A publish without `immediate`, its body in at most one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholePublish<'a> {
    /// What stands before the body.
    pub head: PublishHead<'a>,
    /// The whole body.
    pub body: &'a [u8],
}

impl<'a> WholePublish<'a> {
    /// Cuts a publish off the front of `bytes`, and says how many bytes it took. `None` where
    /// something else stands there, or not all of it has come.
    #[inline]
    pub fn parse(bytes: &'a [u8], frame_max: u32) -> Option<(Self, usize)> {
        let (head, size, rest) = head(bytes, frame_max)?;
        let (body, rest) = if size == 0 {
            (&[][..], rest)
        } else {
            let (body_channel, body, rest) = cut(rest, FrameKind::Body, frame_max)?;
            if body_channel != head.channel || body.len() as u64 != size {
                return None;
            }
            (body, rest)
        };
        Some((Self { head, body }, bytes.len() - rest.len()))
    }
}

/// What stands before the body of a [`WholePublish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishHead<'a> {
    /// The channel of all its frames.
    pub channel: u16,
    /// Exchange and routing key.
    pub names: Names<'a>,
    /// Whether it comes back when no queue takes it.
    pub mandatory: bool,
    /// Property flags and properties, not validated.
    pub properties: &'a [u8],
}

/// How the bytes of a publish are divided whose body is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishSizes {
    /// Bytes before the body, the header of its frame included.
    pub head: usize,
    /// Bytes of the body; the octet that ends a frame follows.
    pub body: usize,
}

impl<'a> PublishHead<'a> {
    /// Reads what stands before the body of a publish in one piece, be the body there or not.
    /// `None` where something else stands there, or not all of the head has come, or there is no
    /// body.
    pub fn parse(bytes: &'a [u8], frame_max: u32) -> Option<(Self, PublishSizes)> {
        let (head, size, rest) = head(bytes, frame_max)?;
        let (octet, channel, body, rest) = cut_header(rest, frame_max)?;
        let is_whole = octet == FrameKind::Body.octet() && channel == head.channel;
        if !is_whole || size == 0 || body as u64 != size {
            return None;
        }
        Some((head, PublishSizes { head: bytes.len() - rest.len(), body }))
    }
}

/// The method and the content header of a publish, the size of its body, and what follows.
#[inline(always)]
fn head(bytes: &[u8], frame_max: u32) -> Option<(PublishHead<'_>, u64, &[u8])> {
    const ID: [u8; 4] = {
        let [c0, c1] = BasicPublish::ID.class.to_be_bytes();
        let [m0, m1] = BasicPublish::ID.method.to_be_bytes();
        [c0, c1, m0, m1]
    };
    let (channel, method, rest) = cut(bytes, FrameKind::Method, frame_max)?;
    if !method.starts_with(&ID) {
        return None;
    }
    let (names, &[bits]) = method.get(BEFORE_NAMES..)?.split_last_chunk()?;
    if bits & IMMEDIATE != 0 {
        return None;
    }
    let names = Names::new(names)?;

    let (header_channel, header, rest) = cut(rest, FrameKind::Header, frame_max)?;
    let (fixed, properties) = header.split_first_chunk::<CONTENT_HEADER_FIXED>()?;
    let [c0, c1, _, _, size @ ..] = *fixed;
    if header_channel != channel || u16::from_be_bytes([c0, c1]) != CLASS_BASIC {
        return None;
    }
    let mandatory = bits & MANDATORY != 0;
    Some((PublishHead { channel, names, mandatory, properties }, u64::from_be_bytes(size), rest))
}

/// The header of a frame: its kind, its channel, the size of its payload, what follows.
#[inline(always)]
fn cut_header(bytes: &[u8], frame_max: u32) -> Option<(u8, u16, usize, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<FRAME_HEADER_SIZE>()?;
    let [octet, c0, c1, s0, s1, s2, s3] = *head;
    let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
    let fits = size <= (frame_max as usize).saturating_sub(FRAME_OVERHEAD);
    fits.then_some((octet, u16::from_be_bytes([c0, c1]), size, rest))
}

/// A frame of one kind: its channel, its payload, what follows.
#[inline(always)]
fn cut(bytes: &[u8], kind: FrameKind, frame_max: u32) -> Option<(u16, &[u8], &[u8])> {
    let (octet, channel, size, rest) = cut_header(bytes, frame_max)?;
    if octet != kind.octet() {
        return None;
    }
    let (payload, rest) = rest.split_at_checked(size)?;
    let (&end, rest) = rest.split_first()?;
    (end == FRAME_END).then_some((channel, payload, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shunt_types::limits::FRAME_MAX;

    use super::*;
    use crate::{ContentHeader, Frame, Method, put_method};

    /// A publish as a client sends it, its body in frames of at most `part` bytes.
    fn publish(publish: BasicPublish<'_>, properties: &[u8], body: &[u8], part: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_method(&mut bytes, 7, publish);
        let mut payload = Vec::new();
        ContentHeader { class: CLASS_BASIC, body_size: body.len() as u64, properties }
            .encode(&mut payload);
        Frame { kind: FrameKind::Header, channel: 7, payload: &payload }.encode(&mut bytes);
        for payload in body.chunks(part) {
            Frame { kind: FrameKind::Body, channel: 7, payload }.encode(&mut bytes);
        }
        bytes
    }

    /// Exchange, routing key, mandatory, properties, body, and the size of it all.
    type Parts = (String, String, bool, Vec<u8>, Vec<u8>, usize);

    /// The same read frame by frame; `None` where it is no publish in one piece.
    fn by_frames(bytes: &[u8]) -> Option<Parts> {
        let mut rest = bytes;
        let mut next = |kind: FrameKind| {
            let (frame, size) = Frame::parse(rest, FRAME_MAX).ok()??;
            rest = &rest[size..];
            (frame.kind == kind).then_some((frame.channel, frame.payload))
        };
        let (channel, payload) = next(FrameKind::Method)?;
        let Ok(Method::BasicPublish(publish)) = Method::decode(payload) else { return None };
        let (header_channel, payload) = next(FrameKind::Header)?;
        let header = ContentHeader::decode(payload).ok()?;
        let body = if header.body_size == 0 {
            &[]
        } else {
            let (body_channel, body) = next(FrameKind::Body)?;
            (body_channel == channel).then_some(body)?
        };
        let whole = header_channel == channel
            && header.class == CLASS_BASIC
            && body.len() as u64 == header.body_size
            && !publish.immediate;
        whole.then(|| {
            let (exchange, key) = (publish.exchange.to_owned(), publish.routing_key.to_owned());
            let (properties, body) = (header.properties.to_vec(), body.to_vec());
            let size = bytes.len() - rest.len();
            (exchange, key, publish.mandatory, properties, body, size)
        })
    }

    #[track_caller]
    fn check(bytes: &[u8]) {
        let found = WholePublish::parse(bytes, FRAME_MAX).map(|(publish, size)| {
            let WholePublish { head, body } = publish;
            let (exchange, key) = (head.names.exchange(), head.names.routing_key());
            let (properties, body) = (head.properties.to_vec(), body.to_vec());
            (exchange.to_owned(), key.to_owned(), head.mandatory, properties, body, size)
        });
        assert_eq!(found, by_frames(bytes));
        if let Some((publish, size)) = WholePublish::parse(bytes, FRAME_MAX)
            && !publish.body.is_empty()
        {
            // Known from the head on, and not before.
            let sizes =
                PublishSizes { head: size - publish.body.len() - 1, body: publish.body.len() };
            for end in 0..=size {
                let found = PublishHead::parse(&bytes[..end], FRAME_MAX);
                assert_eq!(found, (end >= sizes.head).then_some((publish.head, sizes)));
            }
        }
    }

    proptest! {
        #[test]
        fn both_ways_of_reading_find_the_same(
            exchange in ".{0,20}",
            routing_key in ".{0,20}",
            mandatory: bool,
            immediate: bool,
            properties in prop::collection::vec(any::<u8>(), 0..20),
            body in prop::collection::vec(any::<u8>(), 0..60),
            part in 1usize..80,
            damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
            end in any::<prop::sample::Index>(),
        ) {
            let method =
                BasicPublish { exchange: &exchange, routing_key: &routing_key, mandatory, immediate };
            let mut bytes = publish(method, &properties, &body, part);
            bytes.extend_from_slice(b"\x08\0\0\0\0\0\0\xce");
            if let Some((index, octet)) = damage {
                let index = index.index(bytes.len());
                bytes[index] = octet;
            }
            check(&bytes);
            check(&bytes[..end.index(bytes.len())]);
        }
    }

    #[test]
    fn a_frame_that_is_too_large_is_not_taken() {
        let method =
            BasicPublish { exchange: "", routing_key: "q", mandatory: true, immediate: false };
        let bytes = publish(method, &[0, 0], &[1; 100], 100);
        let (found, size) = WholePublish::parse(&bytes, 108).unwrap();
        assert_eq!((found.body.len(), size, found.head.mandatory), (100, bytes.len(), true));
        assert_eq!(WholePublish::parse(&bytes, 107), None);
        assert!(PublishHead::parse(&bytes, 108).is_some());
        assert_eq!(PublishHead::parse(&bytes, 107), None);
    }

    #[test]
    fn a_head_whose_body_comes_in_parts_is_not_taken() {
        let method =
            BasicPublish { exchange: "", routing_key: "q", mandatory: false, immediate: false };
        let bytes = publish(method, &[0, 0], &[1; 100], 60);
        assert_eq!(PublishHead::parse(&bytes, FRAME_MAX), None);
    }
}
