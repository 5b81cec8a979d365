use proptest::prelude::*;
use shunt_types::limits::{BODY_INLINE_MAX, FRAME_MAX, FRAME_MAX_MIN};
use shunt_types::{MessageBody, Properties};

use super::*;
use crate::method::tests::{Pick, any_pool};
use crate::{ContentHeader, Frame};

/// An output that keeps long bodies apart, as a connection does.
#[derive(Default)]
struct Pieces {
    done: Vec<Bytes>,
    bytes: Vec<u8>,
}

impl Output for Pieces {
    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    fn shared(&mut self, body: Bytes) {
        self.done.push(std::mem::take(&mut self.bytes).into());
        self.done.push(body);
    }
}

impl Pieces {
    fn joined(self) -> Vec<u8> {
        [self.done.concat(), self.bytes].concat()
    }
}

/// Cuts what was written into frames; all of it must be frames.
fn frames(mut bytes: &[u8], frame_max: u32) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    while let Some((frame, size)) = Frame::parse(bytes, frame_max).unwrap() {
        frames.push(frame);
        bytes = &bytes[size..];
    }
    assert_eq!(bytes, b"");
    frames
}

/// The method, and the message that its content is.
fn read_message(bytes: &[u8], channel: u16, frame_max: u32) -> (Method<'_>, Vec<u8>, Vec<u8>) {
    let frames = frames(bytes, frame_max);
    assert!(frames.iter().all(|frame| frame.channel == channel));
    let method = Method::decode(frames[0].payload).unwrap();
    assert_eq!(frames[1].kind, FrameKind::Header);
    let header = ContentHeader::decode(frames[1].payload).unwrap();
    assert_eq!(header.class, CLASS_BASIC);
    let mut body = Vec::new();
    for frame in &frames[2..] {
        assert_eq!(frame.kind, FrameKind::Body);
        assert!(!frame.payload.is_empty());
        assert!(frame.payload.len() + FRAME_OVERHEAD <= frame_max as usize);
        body.extend_from_slice(frame.payload);
    }
    assert_eq!(header.body_size, body.len() as u64);
    (method, header.properties.to_vec(), body)
}

fn message(body: Vec<u8>) -> Message {
    let properties = Properties { delivery_mode: Some(2), ..Properties::default() };
    let mut bytes = Vec::new();
    properties.encode(&mut bytes);
    Message::new("orders", "eu", &bytes, MessageBody::Shared(body.into())).unwrap()
}

fn any_message() -> impl Strategy<Value = Message> {
    let length = prop_oneof![
        0..40usize,
        BODY_INLINE_MAX - 1..BODY_INLINE_MAX + 2,
        (FRAME_MAX_MIN as usize - 10)..(FRAME_MAX_MIN as usize + 10),
        0..40_000usize,
    ];
    (length, any::<u8>()).prop_map(|(length, first)| {
        message((0..length).map(|at| first.wrapping_add((at % 251) as u8)).collect())
    })
}

/// Frame sizes as they are negotiated, and smaller ones, which cut a body into more frames. A method
/// is never cut: the longest here has 240 bytes of consumer tag.
fn any_frame_max() -> impl Strategy<Value = u32> {
    prop_oneof![Just(FRAME_MAX_MIN), Just(FRAME_MAX), 400..9_000u32]
}

proptest! {
    #[test]
    fn every_method_fills_its_frame(pool in any_pool(), channel: u16) {
        let methods = Pick::new(&pool).one_of_each();
        let mut bytes = Vec::new();
        for method in &methods {
            put_method(&mut bytes, channel, method);
        }
        let frames = frames(&bytes, FRAME_MAX);
        prop_assert_eq!(frames.len(), methods.len());
        for (frame, method) in frames.iter().zip(methods) {
            prop_assert_eq!((frame.kind, frame.channel), (FrameKind::Method, channel));
            prop_assert_eq!(Method::decode(frame.payload), Ok(method));
        }
    }

    #[test]
    fn a_message_survives_the_wire_however_it_is_sent(
        message in any_message(),
        channel: u16,
        frame_max in any_frame_max(),
        consumer_tag in ".{0,60}",
        (tag, redelivered, count) in any::<(u64, bool, u32)>(),
    ) {
        let check = |bytes: &[u8], expected: Method<'_>| {
            let (method, properties, body) = read_message(bytes, channel, frame_max);
            assert_eq!(method, expected);
            assert_eq!(properties, message.properties().as_bytes());
            assert_eq!(body, message.body());
        };
        let (exchange, routing_key) = (message.exchange(), message.routing_key());

        let mut copied = Vec::new();
        put_deliver(&mut copied, channel, frame_max, &consumer_tag, tag, redelivered, &message);
        let deliver = BasicDeliver {
            consumer_tag: &consumer_tag,
            delivery_tag: tag,
            redelivered,
            exchange,
            routing_key,
        };
        check(&copied, deliver.into());

        let mut pieces = Pieces::default();
        put_deliver(&mut pieces, channel, frame_max, &consumer_tag, tag, redelivered, &message);
        prop_assert_eq!(pieces.done.is_empty(), message.long_body().is_none());
        prop_assert_eq!(&pieces.joined(), &copied);

        let mut by_hand = Vec::new();
        put_method(&mut by_hand, channel, deliver);
        put_content(&mut by_hand, channel, frame_max, &message);
        prop_assert_eq!(&by_hand, &copied);

        let mut bytes = Vec::new();
        put_get_ok(&mut bytes, channel, frame_max, tag, redelivered, &message, count);
        let message_count = count;
        let get_ok =
            BasicGetOk { delivery_tag: tag, redelivered, exchange, routing_key, message_count };
        check(&bytes, get_ok.into());

        bytes.clear();
        put_return(&mut bytes, channel, frame_max, 312, "NO_ROUTE", &message);
        let (reply_code, reply_text) = (312, "NO_ROUTE");
        check(&bytes, BasicReturn { reply_code, reply_text, exchange, routing_key }.into());
    }
}

#[test]
fn a_delivery_is_the_bytes_of_the_specification() {
    let mut bytes = Vec::new();
    put_deliver(&mut bytes, 5, FRAME_MAX, "ct", 9, true, &message(b"{}".to_vec()));
    let expected = b"\x01\x00\x05\x00\x00\x00\x1a\x00\x3c\x00\x3c\x02ct\
        \x00\x00\x00\x00\x00\x00\x00\x09\x01\x06orders\x02eu\xce\
        \x02\x00\x05\x00\x00\x00\x0f\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\
        \x10\x00\x02\xce\
        \x03\x00\x05\x00\x00\x00\x02{}\xce";
    assert_eq!(bytes, expected);
}

#[test]
fn a_heartbeat_is_the_bytes_of_the_specification() {
    let mut bytes = Vec::new();
    put_heartbeat(&mut bytes);
    assert_eq!(bytes, b"\x08\x00\x00\x00\x00\x00\x00\xce");
}

#[test]
fn an_empty_body_has_no_frame() {
    let mut bytes = Vec::new();
    put_content(&mut bytes, 1, FRAME_MAX, &message(Vec::new()));
    assert_eq!(frames(&bytes, FRAME_MAX).len(), 1);
}

#[test]
fn a_long_body_is_written_by_reference() {
    let long = message(vec![7; 20_000]);
    let mut pieces = Pieces::default();
    put_content(&mut pieces, 1, FRAME_MAX_MIN, &long);
    let shared: Vec<_> = pieces.done.iter().skip(1).step_by(2).collect();
    assert_eq!(shared.iter().map(|part| part.len()).collect::<Vec<_>>(), [8184, 8184, 3632]);
    assert_eq!(shared[0].as_ptr(), long.body().as_ptr());
}

#[test]
fn a_delivery_reserves_once_and_no_more_than_it_writes() {
    for body in [0, 10, BODY_INLINE_MAX] {
        let mut bytes = Vec::new();
        put_deliver(&mut bytes, 1, FRAME_MAX, "ct", 1, false, &message(vec![7; body]));
        let size = bytes.len();
        let mut exact = Vec::with_capacity(size);
        put_deliver(&mut exact, 1, FRAME_MAX, "ct", 1, false, &message(vec![7; body]));
        assert_eq!(exact.capacity(), size);
    }
}

#[test]
fn a_consumer_tag_that_is_too_long_is_cut_at_a_character() {
    let tag = "é".repeat(200);
    let mut bytes = Vec::new();
    put_deliver(&mut bytes, 1, FRAME_MAX, &tag, 1, false, &message(Vec::new()));
    let (method, ..) = read_message(&bytes, 1, FRAME_MAX);
    let Method::BasicDeliver(deliver) = method else { panic!("{method:?}") };
    assert_eq!(deliver.consumer_tag, "é".repeat(127));
}
