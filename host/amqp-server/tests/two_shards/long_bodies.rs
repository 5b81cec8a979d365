//! Long bodies, which are read to where they stay: however the bytes come, the messages are those
//! that were sent.

use std::time::Duration;

use shunt_amqp_codec::Method;
use shunt_amqp_codec::method::{ChannelClose, ConfirmSelect, TxCommit, TxSelect};
use shunt_types::limits::LONG_BODY_MIN;

use super::consume;
use crate::world::{Client, World, publish_bytes};

/// A text of that length that is unlike those of other numbers.
fn body(number: usize, length: usize) -> String {
    (0..).map(|n| char::from(b'a' + ((number * 7 + n / 3 + n) % 26) as u8)).take(length).collect()
}

/// Lengths about each bound: nothing, inline, shared, read apart, a whole frame.
const LENGTHS: [usize; 9] =
    [70_000, 0, 3, 4_097, LONG_BODY_MIN - 1, LONG_BODY_MIN, 65_536, 131_064, 60_000];

#[track_caller]
fn expect(consumer: &mut Client, lengths: impl Iterator<Item = usize>) {
    for (number, length) in lengths.enumerate() {
        consumer.method(|method| matches!(method, Method::BasicDeliver(_)).then_some(()));
        let found = if length == 0 { consumer.empty_body() } else { consumer.body() };
        assert!(found == body(number, length), "message {number} of {length} bytes");
    }
}

#[test]
fn messages_are_the_same_however_their_bytes_come() {
    let world = World::start(2);
    world.declare("q", 0);
    let mut consumer = world.connect(1);
    consumer.call(consume("q", true));
    let mut bytes = Vec::new();
    for (number, length) in LENGTHS.into_iter().enumerate() {
        bytes.extend(publish_bytes("q", &body(number, length)));
    }
    for (index, piece) in
        [usize::MAX, 200_000, 65_616, 40_000, 4_096, 4_095, 1_361].into_iter().enumerate()
    {
        let mut publisher = world.connect(index % 2);
        if index % 3 == 0 {
            publisher.call(ConfirmSelect { no_wait: false });
        }
        for piece in bytes.chunks(piece) {
            publisher.write(piece);
            // So that the pieces are read one by one, more often than not.
            std::thread::yield_now();
        }
        expect(&mut consumer, LENGTHS.into_iter());
    }
}

#[test]
fn a_publish_may_stop_anywhere_before_and_in_its_body() {
    let world = World::start(1);
    world.declare("q", 0);
    let mut consumer = world.connect(0);
    consumer.call(consume("q", true));
    let bytes = publish_bytes("q", &body(0, 50_000));
    let head = bytes.len() - 50_001;
    let mut publisher = world.connect(0);
    for end in [1, head - 1, head, head + 1, head + 40_000, bytes.len() - 1] {
        for first in [0, end] {
            // The second time a long body is expected.
            publisher.write(&bytes[..first]);
            std::thread::sleep(Duration::from_millis(20));
            publisher.write(&bytes[first..]);
            expect(&mut consumer, [50_000].into_iter());
        }
    }
}

#[test]
fn a_long_body_with_another_end_is_a_frame_error() {
    let world = World::start(1);
    let mut bytes = publish_bytes("q", &body(0, 100_000));
    *bytes.last_mut().unwrap() = 0;
    for piece in [usize::MAX, 70_000] {
        let mut publisher = world.connect(0);
        for piece in bytes.chunks(piece) {
            publisher.write(piece);
            std::thread::sleep(Duration::from_millis(20));
        }
        let code = publisher.method(|method| match method {
            Method::ConnectionClose(close) => Some(close.reply_code),
            _ => None,
        });
        assert_eq!(code, 501);
    }
}

#[test]
fn a_transaction_and_a_closed_channel_treat_long_bodies_as_others() {
    let world = World::start(1);
    let queue = world.declare("q", 0);
    let mut client = world.connect(0);
    client.call(TxSelect {});
    let bytes = publish_bytes("q", &body(0, 100_000));
    let (first, rest) = bytes.split_at(30_000);
    let send = |client: &mut Client| {
        client.write(first);
        std::thread::sleep(Duration::from_millis(20));
        client.write(rest);
    };
    send(&mut client);
    client.sync();
    assert_eq!(crate::world::stats(&world.broker, queue).ready, 0);
    client.call(TxCommit {});
    assert_eq!(crate::world::stats(&world.broker, queue).ready, 1);
    client.call(ChannelClose { reply_code: 200, reply_text: "", class_id: 0, method_id: 0 });
    send(&mut client);
    let code = client.method(|method| match method {
        Method::ConnectionClose(close) => Some(close.reply_code),
        _ => None,
    });
    assert_eq!(code, 504);
}
