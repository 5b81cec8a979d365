//! A connection's bytes: cut into frames, decoded, and encoded again where they decode. What was
//! written must read as what was read, wherever a socket happens to split it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shunt_amqp_codec::{
    ContentHeader, Frame, FrameKind, Method, ProtocolHeader, put_deliver, put_method,
};
use shunt_types::limits::{FRAME_MAX, FRAME_MAX_MIN};
use shunt_types::{Message, MessageBody};

fuzz_target!(|bytes: &[u8]| {
    let _ = ProtocolHeader::parse(bytes);
    let mut rest = bytes;
    while let Ok(Some((frame, size))) = Frame::parse(rest, FRAME_MAX) {
        let split = size / 2;
        assert_eq!(Frame::parse(&rest[..split], FRAME_MAX), Ok(None));
        assert_eq!(Frame::parse(&rest[..size - 1], FRAME_MAX), Ok(None));
        let mut again = Vec::new();
        frame.encode(&mut again);
        assert_eq!(again, rest[..size]);
        match frame.kind {
            FrameKind::Method => method(frame),
            FrameKind::Header => header(frame),
            FrameKind::Body | FrameKind::Heartbeat => {}
        }
        rest = &rest[size..];
    }
});

fn method(frame: Frame<'_>) {
    match Method::decode(frame.payload) {
        Ok(method) => {
            // Reserved arguments are not kept, so methods are compared, not bytes.
            let mut out = Vec::new();
            put_method(&mut out, frame.channel, method);
            let (written, size) = Frame::parse(&out, u32::MAX - 8).unwrap().unwrap();
            assert_eq!(size, out.len());
            assert_eq!(written.channel, frame.channel);
            assert_eq!(Method::decode(written.payload), Ok(method));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn header(frame: Frame<'_>) {
    let Ok(header) = ContentHeader::decode(frame.payload) else {
        return;
    };
    let body = MessageBody::Borrowed(b"body");
    let Ok(message) = Message::new("exchange", "key", header.properties, body) else {
        return;
    };
    let owned = message.properties().to_owned();
    assert_eq!(owned.delivery_mode == Some(2), message.is_persistent());

    let mut out = Vec::new();
    put_deliver(&mut out, frame.channel, FRAME_MAX_MIN, "tag", 1, false, &message);
    // A content header is never split, so it may be larger than a small frame_max.
    let (_, size) = Frame::parse(&out, FRAME_MAX).unwrap().unwrap();
    let (written, _) = Frame::parse(&out[size..], FRAME_MAX).unwrap().unwrap();
    assert_eq!(ContentHeader::decode(written.payload).unwrap().properties, header.properties);
}
