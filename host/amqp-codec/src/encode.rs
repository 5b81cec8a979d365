//! Writing whole frames.
//!
//! Deliveries are written by hand rather than through [`Method`]: a message already holds the end
//! of the method (exchange and routing key) and of the content header (the properties) as the
//! bytes that go out, so that a delivery is one reservation and a few copies.

use bytes::Bytes;
use shunt_types::Message;
use shunt_types::limits::SHORT_STRING_MAX;

use crate::content::{CLASS_BASIC, CONTENT_HEADER_FIXED, fixed_part};
use crate::frame::{FRAME_END, FRAME_HEADER_SIZE, FRAME_OVERHEAD, FrameKind, frame_header};
use crate::method::{BasicDeliver, BasicGetOk, BasicReturn, Method};

/// Where frames go: bytes in order, among which a long body may stand by reference, for a socket
/// that takes many pieces at once.
pub trait Output {
    /// The bytes at the end of what was written so far; writers append to them.
    fn bytes(&mut self) -> &mut Vec<u8>;

    /// Appends a part of a long body. Never called for a body of at most
    /// [`BODY_INLINE_MAX`](shunt_types::limits::BODY_INLINE_MAX) bytes, though the last part of
    /// a longer one may be as short as one byte.
    fn shared(&mut self, body: Bytes);
}

/// Copies bodies.
impl Output for Vec<u8> {
    #[inline]
    fn bytes(&mut self) -> &mut Vec<u8> {
        self
    }

    fn shared(&mut self, body: Bytes) {
        self.extend_from_slice(&body);
    }
}

/// Appends a method frame. A method can't be split over frames: keeping it below `frame_max` is
/// up to who fills its tables.
pub fn put_method<'a>(out: &mut impl Output, channel: u16, method: impl Into<Method<'a>>) {
    let out = out.bytes();
    let start = out.len();
    out.extend_from_slice(&frame_header(FrameKind::Method, channel, 0));
    method.into().encode(out);
    let size = out.len() - start - FRAME_HEADER_SIZE;
    out[start..start + FRAME_HEADER_SIZE].copy_from_slice(&frame_header(
        FrameKind::Method,
        channel,
        size,
    ));
    out.push(FRAME_END);
}

/// Appends a heartbeat.
pub fn put_heartbeat(out: &mut impl Output) {
    let out = out.bytes();
    out.extend_from_slice(&frame_header(FrameKind::Heartbeat, 0, 0));
    out.push(FRAME_END);
}

/// Appends `basic.deliver` and its message.
#[inline]
pub fn put_deliver(
    out: &mut impl Output,
    channel: u16,
    frame_max: u32,
    consumer_tag: &str,
    delivery_tag: u64,
    redelivered: bool,
    message: &Message,
) {
    let (length, consumer_tag) = short(consumer_tag);
    let before: [&[u8]; 3] = [&length, consumer_tag, &delivery(delivery_tag, redelivered)];
    put_message(out, channel, frame_max, BasicDeliver::ID.method, before, message, &[]);
}

/// Appends `basic.get-ok` and its message; `message_count` is what is ready after this one.
pub fn put_get_ok(
    out: &mut impl Output,
    channel: u16,
    frame_max: u32,
    delivery_tag: u64,
    redelivered: bool,
    message: &Message,
    message_count: u32,
) {
    let before: [&[u8]; 1] = [&delivery(delivery_tag, redelivered)];
    let after = message_count.to_be_bytes();
    put_message(out, channel, frame_max, BasicGetOk::ID.method, before, message, &after);
}

/// Appends `basic.return` and its message.
pub fn put_return(
    out: &mut impl Output,
    channel: u16,
    frame_max: u32,
    reply_code: u16,
    reply_text: &str,
    message: &Message,
) {
    let (length, reply_text) = short(reply_text);
    let before: [&[u8]; 3] = [&reply_code.to_be_bytes(), &length, reply_text];
    put_message(out, channel, frame_max, BasicReturn::ID.method, before, message, &[]);
}

/// Appends a message as a content header and as many body frames as `frame_max` asks for: none
/// for an empty body. A content header can't be split, so one with huge properties goes out
/// larger than a small `frame_max`, as it does in RabbitMQ.
pub fn put_content(out: &mut impl Output, channel: u16, frame_max: u32, message: &Message) {
    out.bytes().reserve(content_size(message, frame_max));
    write_content(out, channel, frame_max, message);
}

/// A short string in two pieces, cut at a character if it is too long.
#[inline]
fn short(text: &str) -> ([u8; 1], &[u8]) {
    let end = text.floor_char_boundary(SHORT_STRING_MAX);
    ([end as u8], &text.as_bytes()[..end])
}

/// Two arguments that often come together.
#[inline]
fn delivery(delivery_tag: u64, redelivered: bool) -> [u8; 9] {
    let mut bytes = [0; 9];
    bytes[..8].copy_from_slice(&delivery_tag.to_be_bytes());
    bytes[8] = redelivered.into();
    bytes
}

/// A method of class basic that carries a message: its arguments are `before`, the message's
/// names, `after`.
///
/// Inlined, as is what writes the content, so that the lengths of most pieces are known when they
/// are copied.
#[inline(always)]
fn put_message<const N: usize>(
    out: &mut impl Output,
    channel: u16,
    frame_max: u32,
    method: u16,
    before: [&[u8]; N],
    message: &Message,
    after: &[u8],
) {
    let names = message.names().as_bytes();
    let before_size: usize = before.iter().map(|piece| piece.len()).sum();
    let size = 4 + before_size + names.len() + after.len();

    let bytes = out.bytes();
    bytes.reserve(size + FRAME_OVERHEAD + content_size(message, frame_max));
    let mut head = [0; FRAME_HEADER_SIZE + 4];
    head[..FRAME_HEADER_SIZE].copy_from_slice(&frame_header(FrameKind::Method, channel, size));
    head[FRAME_HEADER_SIZE..FRAME_HEADER_SIZE + 2].copy_from_slice(&CLASS_BASIC.to_be_bytes());
    head[FRAME_HEADER_SIZE + 2..].copy_from_slice(&method.to_be_bytes());
    bytes.extend_from_slice(&head);
    for piece in before {
        bytes.extend_from_slice(piece);
    }
    bytes.extend_from_slice(names);
    bytes.extend_from_slice(after);
    bytes.push(FRAME_END);
    write_content(out, channel, frame_max, message);
}

/// How many bytes of body one frame holds.
#[inline]
fn part_max(frame_max: u32) -> usize {
    // A bound below the envelope is never negotiated; whatever it is, parts must not be empty.
    (frame_max as usize).saturating_sub(FRAME_OVERHEAD).max(1)
}

/// Bytes that [`write_content`] appends itself: a long body's frames without the body.
#[inline(always)]
fn content_size(message: &Message, frame_max: u32) -> usize {
    let header = FRAME_OVERHEAD + CONTENT_HEADER_FIXED + message.properties().as_bytes().len();
    let body = message.body_size();
    let part_max = part_max(frame_max);
    // Said first: most bodies fit, and a division is slow.
    let frames = if body <= part_max { usize::from(body > 0) } else { body.div_ceil(part_max) };
    let inline = if message.long_body().is_some() { 0 } else { body };
    header + frames * FRAME_OVERHEAD + inline
}

#[inline(always)]
fn write_content(out: &mut impl Output, channel: u16, frame_max: u32, message: &Message) {
    let properties = message.properties().as_bytes();
    let bytes = out.bytes();
    let mut head = [0; FRAME_HEADER_SIZE + CONTENT_HEADER_FIXED];
    let size = CONTENT_HEADER_FIXED + properties.len();
    let body_size = message.body_size();
    head[..FRAME_HEADER_SIZE].copy_from_slice(&frame_header(FrameKind::Header, channel, size));
    head[FRAME_HEADER_SIZE..].copy_from_slice(&fixed_part(CLASS_BASIC, body_size as u64));
    bytes.extend_from_slice(&head);
    match properties {
        // Flags alone: a copy of known length costs next to nothing.
        &[high, low] => bytes.extend_from_slice(&[high, low]),
        properties => bytes.extend_from_slice(properties),
    }
    bytes.push(FRAME_END);
    if body_size > 0 {
        write_body(out, channel, part_max(frame_max), message);
    }
}

#[inline(always)]
fn write_body(out: &mut impl Output, channel: u16, part_max: usize, message: &Message) {
    match message.long_body() {
        None => {
            let bytes = out.bytes();
            let mut rest = message.body();
            loop {
                let (part, after) = rest.split_at(rest.len().min(part_max));
                bytes.extend_from_slice(&frame_header(FrameKind::Body, channel, part.len()));
                bytes.extend_from_slice(part);
                bytes.push(FRAME_END);
                if after.is_empty() {
                    return;
                }
                rest = after;
            }
        }
        Some(body) => write_long_body(out, channel, part_max, body),
    }
}

fn write_long_body(out: &mut impl Output, channel: u16, part_max: usize, body: &Bytes) {
    for start in (0..body.len()).step_by(part_max) {
        let part = body.slice(start..body.len().min(start + part_max));
        let header = frame_header(FrameKind::Body, channel, part.len());
        out.bytes().extend_from_slice(&header);
        out.shared(part);
        out.bytes().push(FRAME_END);
    }
}

#[cfg(test)]
mod tests;
