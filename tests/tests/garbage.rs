//! Bytes from outside that are no honest client's. Whoever sends them gets RabbitMQ's answer;
//! another connection goes on working all the while.

use std::time::Duration;

use shunt_tests::amqp_raw::{
    Args, FrameKind, MethodId, RawConnection, RawError, Value, method, push_frame, push_method,
};
use shunt_tests::{Client, Node, Props};

const HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

/// The broker's answer to what it does not speak: AMQP 1.0 with SASL.
const OTHER_PROTOCOL: &[u8; 8] = b"AMQP\x03\x01\x00\x00";

/// A client that has nothing to do with the garbage.
struct Bystander(Client);

impl Bystander {
    fn new(node: &Node) -> Self {
        let mut client = Client::open(node.amqp()).unwrap();
        client.declare_queue("bystander").unwrap();
        client.confirm_select().unwrap();
        Self(client)
    }

    #[track_caller]
    fn works(&mut self) {
        let sent = self.0.publish("", "bystander", &Props::new(), b"still here").unwrap();
        assert!(self.0.confirms().unwrap().acked.contains(&sent));
        assert_eq!(self.0.get("bystander").unwrap().unwrap().text(), "still here");
    }
}

fn dial(node: &Node) -> RawConnection {
    RawConnection::dial(node.amqp()).unwrap()
}

/// A connection with channel 1, and a small wait for answers.
fn open(node: &Node) -> RawConnection {
    let uri = format!("amqp://{}", node.amqp()).parse().unwrap();
    let mut connection = RawConnection::open(&uri).unwrap();
    connection.open_channel(1).unwrap();
    connection
}

/// Reads on until the broker closes, and tells with which code.
#[track_caller]
fn code(connection: &mut RawConnection) -> u16 {
    close(connection).0
}

/// The code and the text with which the connection is closed.
#[track_caller]
fn close(connection: &mut RawConnection) -> (u16, String) {
    loop {
        let refused = match connection.frame() {
            Ok(frame) => frame.refuse_close(),
            Err(error) => Err(error),
        };
        match refused {
            Ok(()) => {}
            Err(RawError::Closed { channel: 0, code, text, .. }) => return (code, text),
            Err(error) => panic!("no connection.close: {error}"),
        }
    }
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_frame(&mut bytes, FrameKind(kind), channel, payload);
    bytes
}

/// A publish to the default exchange, without its content.
fn publish(channel: u16) -> Vec<u8> {
    let args = Args::new().short(0).shortstr("").shortstr("q").bits(&[false, false]);
    let mut bytes = Vec::new();
    push_method(&mut bytes, channel, method::BASIC_PUBLISH, &args);
    bytes
}

fn content_header(class: u16, size: u64) -> Vec<u8> {
    let mut payload = class.to_be_bytes().to_vec();
    payload.extend([0, 0]);
    payload.extend(size.to_be_bytes());
    payload.extend([0, 0]);
    payload
}

#[test]
fn another_protocol_is_told_which_one_is_spoken() {
    let node = Node::start().unwrap();
    let mut bystander = Bystander::new(&node);
    for hello in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"AMQP\x00\x01\x00\x00",
        b"\0\0\0\0\0\0\0\0",
    ] {
        let mut connection = dial(&node);
        connection.send(hello).unwrap();
        assert_eq!(connection.read_to_end().unwrap(), OTHER_PROTOCOL, "{hello:?}");
        bystander.works();
    }
    // The older way to say the same is understood.
    let mut connection = dial(&node);
    connection.send(b"AMQP\x01\x01\x00\x09").unwrap();
    connection.expect(0, method::CONNECTION_START).unwrap();
}

#[test]
fn who_says_nothing_is_let_go() {
    let node = Node::builder().setting("amqp.handshake_timeout_ms", 200).start().unwrap();
    let silent = dial(&node);
    assert_eq!(silent.read_to_end().unwrap(), b"");
    let mut halfway = dial(&node);
    halfway.send(HEADER).unwrap();
    halfway.expect(0, method::CONNECTION_START).unwrap();
    assert!(matches!(halfway.frame(), Err(RawError::EndOfStream)));
}

#[test]
fn before_the_login_errors_are_not_explained() {
    let node = Node::start().unwrap();
    // All wait their pause at the same time.
    let started = || {
        let mut connection = dial(&node);
        connection.send(HEADER).unwrap();
        connection.expect(0, method::CONNECTION_START).unwrap();
        connection
    };
    let start_ok = |mechanism: &str, response: &[u8]| {
        let args = Args::new().table(&[]).shortstr(mechanism).longstr(response).shortstr("en_US");
        let mut bytes = Vec::new();
        push_method(&mut bytes, 0, method::CONNECTION_START_OK, &args);
        bytes
    };
    let mut bad_end = frame(1, 0, &[0, 10, 0, 11]);
    *bad_end.last_mut().unwrap() = 0;
    let garbage = [
        start_ok("NOPE", b""),
        // Without the capability to be told, a wrong password is an end without a word too.
        start_ok("PLAIN", b"\0guest\0wrong"),
        start_ok("PLAIN", b"guest"),
        frame(1, 1, &[0, 20, 0, 10, 0]),
        bad_end,
        frame(99, 0, b"?"),
        frame(1, 0, &[0xff; 4]),
    ];
    let mut connections: Vec<RawConnection> = garbage
        .iter()
        .map(|bytes| {
            let mut connection = started();
            connection.send(bytes).unwrap();
            connection
        })
        .collect();
    for (connection, bytes) in connections.iter_mut().zip(garbage) {
        assert!(matches!(connection.frame(), Err(RawError::EndOfStream)), "{bytes:?}");
    }
}

#[test]
fn frames_that_are_none() {
    let node = Node::start().unwrap();
    let mut bystander = Bystander::new(&node);
    let mut bad_end = frame(1, 1, &[0, 20, 0, 20, 1]);
    *bad_end.last_mut().unwrap() = 0x23;
    // A frame that claims more than any may have; nothing of it has to follow.
    let oversize = [1, 0, 1, 0xff, 0xff, 0xff, 0xff].to_vec();
    let cases = [
        ("a bad end octet", bad_end, 501),
        ("an unknown frame type", frame(9, 1, b"?"), 501),
        ("a frame type of zero", frame(0, 1, b""), 501),
        ("a heartbeat with a payload", frame(8, 0, b"?"), 501),
        ("a heartbeat on a channel", frame(8, 1, b""), 505),
        ("an oversize frame", oversize, 501),
        ("an oversize body", frame(3, 1, &[0; 131_090]), 501),
        ("a method cut short", frame(1, 1, &[0, 50]), 501),
        ("arguments cut short", frame(1, 1, &[0, 50, 0, 10, 0, 0, 99]), 501),
    ];
    for (name, bytes, expected) in cases {
        let mut connection = open(&node);
        connection.send(&bytes).unwrap();
        assert_eq!(code(&mut connection), expected, "{name}");
        bystander.works();
    }
}

#[test]
fn an_unknown_method_ends_the_connection_without_a_word() {
    let node = Node::start().unwrap();
    let mut bystander = Bystander::new(&node);
    for id in [MethodId(60, 99), MethodId(61, 10), MethodId(0xffff, 0xffff)] {
        let mut connection = open(&node);
        connection.send_method(1, id, &Args::new()).unwrap();
        assert!(matches!(connection.frame(), Err(RawError::EndOfStream)), "{id}");
        bystander.works();
    }
}

#[test]
fn content_out_of_order() {
    let node = Node::start().unwrap();
    let mut bystander = Bystander::new(&node);
    let header = |size| frame(2, 1, &content_header(60, size));
    let qos = frame(1, 1, &[0, 60, 0, 10, 0, 0, 0, 0, 0, 1, 0]);
    let cases = [
        ("a header without a publish", header(0), 505),
        ("a body without a publish", frame(3, 1, b"x"), 505),
        ("a body in the place of a header", [publish(1), frame(3, 1, b"x")].concat(), 505),
        ("a method in the place of a header", [publish(1), qos.clone()].concat(), 505),
        ("a method in the place of a body", [publish(1), header(5), qos].concat(), 505),
        ("a header in the place of a body", [publish(1), header(5), header(5)].concat(), 505),
        (
            "a header of another class",
            [publish(1), frame(2, 1, &content_header(50, 0))].concat(),
            505,
        ),
        (
            "a body longer than announced",
            [publish(1), header(2), frame(3, 1, b"xyz")].concat(),
            501,
        ),
        ("a body size above everything", [publish(1), header(1 << 40)].concat(), 501),
        ("a header cut short", [publish(1), frame(2, 1, &[0, 60, 0, 0])].concat(), 501),
        (
            "properties cut short",
            [publish(1), frame(2, 1, &[&content_header(60, 0)[..12], &[0x80, 0, 9]].concat())]
                .concat(),
            501,
        ),
    ];
    for (name, bytes, expected) in cases {
        let mut connection = open(&node);
        connection.send(&bytes).unwrap();
        assert_eq!(code(&mut connection), expected, "{name}");
        bystander.works();
    }
}

#[test]
fn contents_of_two_channels_may_be_interleaved() {
    let node = Node::start().unwrap();
    let mut connection = open(&node);
    connection.open_channel(2).unwrap();
    let declare = Args::new().short(0).shortstr("q").bits(&[false; 5]).table(&[]);
    connection.call(1, method::QUEUE_DECLARE, &declare, method::QUEUE_DECLARE_OK).unwrap();
    let header = |channel| frame(2, channel, &content_header(60, 4));
    let bytes = [
        publish(1),
        publish(2),
        header(2),
        header(1),
        frame(3, 1, b"on"),
        frame(3, 2, b"tw"),
        // An empty body frame means nothing.
        frame(3, 2, b""),
        frame(3, 2, b"o!"),
        frame(3, 1, b"e!"),
    ];
    // One byte at a time: no cut is special.
    for byte in bytes.concat() {
        connection.send(&[byte]).unwrap();
    }
    connection.call(1, method::QUEUE_DECLARE, &declare, method::QUEUE_DECLARE_OK).unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    let mut got = client.drain("q").unwrap();
    got.sort();
    assert_eq!(got, ["one!", "two!"]);
}

/// A connection that has logged in and sent connection.tune-ok.
fn tuned(node: &Node, channel_max: u16, frame_max: u32) -> RawConnection {
    let mut connection = dial(node);
    connection.send(HEADER).unwrap();
    connection.expect(0, method::CONNECTION_START).unwrap();
    let plain = b"\0guest\0guest";
    let start_ok = Args::new().table(&[]).shortstr("PLAIN").longstr(plain).shortstr("en_US");
    let tune = method::CONNECTION_TUNE;
    connection.call(0, method::CONNECTION_START_OK, &start_ok, tune).unwrap();
    let tune_ok = Args::new().short(channel_max).long(frame_max).short(0);
    connection.send_method(0, method::CONNECTION_TUNE_OK, &tune_ok).unwrap();
    connection
}

#[test]
fn content_out_of_order_is_told_what_was_expected() {
    let node = Node::start().unwrap();
    let header = frame(2, 1, &content_header(60, 5));
    let body = frame(3, 1, b"x");
    let cases = [
        (header.clone(), "expected a method frame, got a content header"),
        (body.clone(), "expected a method frame, got a content body"),
        ([publish(1), body].concat(), "expected a content header, got a content body"),
        (
            [publish(1), header.clone(), header].concat(),
            "expected a content body, got a content header",
        ),
    ];
    for (bytes, expected) in cases {
        let mut connection = open(&node);
        connection.send(&bytes).unwrap();
        assert_eq!(close(&mut connection), (505, format!("UNEXPECTED_FRAME - {expected}")));
    }
}

#[test]
fn a_channel_before_the_virtual_host_is_an_unexpected_frame() {
    let node = Node::start().unwrap();
    let mut connection = tuned(&node, 2, 8192);
    connection.send(&frame(1, 1, &[0, 20, 0, 10, 0])).unwrap();
    assert_eq!(code(&mut connection), 505);
}

#[test]
fn tuning_and_opening_have_limits() {
    let node = Node::start().unwrap();
    let mut bystander = Bystander::new(&node);
    let tuned = |channel_max, frame_max| tuned(&node, channel_max, frame_max);
    for (channel_max, frame_max) in
        [(2047, 8191), (2047, 131_073), (2047, 0), (0, 8192), (2048, 8192)]
    {
        let mut connection = tuned(channel_max, frame_max);
        assert_eq!(code(&mut connection), 530, "{channel_max} {frame_max}");
        bystander.works();
    }
    let open = |vhost: &str| Args::new().shortstr(vhost).shortstr("").bits(&[false]);
    let mut connection = tuned(2, 8192);
    connection.send_method(0, method::CONNECTION_OPEN, &open("none")).unwrap();
    assert_eq!(code(&mut connection), 530);

    let mut connection = tuned(2, 8192);
    connection.call(0, method::CONNECTION_OPEN, &open("/"), method::CONNECTION_OPEN_OK).unwrap();
    for channel in [1, 2] {
        connection.open_channel(channel).unwrap();
    }
    connection.send_method(3, method::CHANNEL_OPEN, &Args::new().shortstr("")).unwrap();
    assert_eq!(code(&mut connection), 530);

    bystander.works();
}

#[test]
fn a_wrong_password_is_told_to_those_who_can_hear_it() {
    let node = Node::start().unwrap();
    for (user, password) in [("guest", "wrong"), ("nobody", "guest")] {
        let refused = Client::open_as(node.amqp(), user, password, "/");
        let Err(RawError::Closed { channel: 0, code: 403, text, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert!(text.starts_with("ACCESS_REFUSED - "), "{text}");
        assert!(!text.contains(password), "{text}");
    }
}

#[test]
fn tables_of_any_depth_do_no_harm() {
    let node = Node::start().unwrap();
    let mut bystander = Bystander::new(&node);
    let mut value = Value::Bool(true);
    for _ in 0..5000 {
        value = Value::Table(vec![("x".into(), value)]);
    }
    let mut client = Client::open(node.amqp()).unwrap();
    let declared = client.declare_queue_as("deep", "d", &[("x-deep".into(), value)]);
    assert!(declared.is_ok() || matches!(declared, Err(RawError::Closed { .. })), "{declared:?}");
    bystander.works();
}

/// A small generator of numbers (xorshift): the same bytes at every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> usize {
        (self.next() % limit) as usize
    }

    fn bytes(&mut self, length_max: u64) -> Vec<u8> {
        (0..self.below(length_max)).map(|_| self.next() as u8).collect()
    }
}

/// Bytes that look more or less like what a client sends.
fn garbage(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..1 + random.below(8) {
        match random.below(4) {
            0 => bytes.extend(random.bytes(64)),
            1 => {
                let kind = [1, 2, 3, 8][random.below(4)];
                bytes.extend(frame(kind, random.below(3) as u16, &random.bytes(200)));
            }
            2 => {
                let class = [10, 20, 40, 50, 60, 85, 90][random.below(7)];
                let mut payload = vec![0, class, 0, (random.below(13) * 10) as u8];
                payload.extend(random.bytes(60));
                bytes.extend(frame(1, 1, &payload));
            }
            _ => {
                let mut whole = [publish(1), frame(2, 1, &content_header(60, 3))].concat();
                whole.extend(frame(3, 1, b"abc"));
                let at = random.below(whole.len() as u64);
                whole[at] = random.next() as u8;
                bytes.extend(whole);
            }
        }
    }
    bytes
}

#[test]
fn random_bytes_hurt_nobody_else() {
    let node = Node::start().unwrap();
    let mut bystander = Bystander::new(&node);
    let mut random = Random(0x5eed_0f5b_0a57_1e55);
    let before = node.resident_bytes().unwrap();
    for round in 0..600 {
        let mut connection = if round % 3 == 0 {
            let mut connection = dial(&node);
            if round % 2 == 0 {
                connection.send(HEADER).unwrap();
            }
            connection
        } else {
            open(&node)
        };
        connection.set_read_timeout(Duration::from_millis(1)).unwrap();
        // The broker may have closed before all of it was written.
        let _ = connection.send(&garbage(&mut random));
        let _ = connection.frame().map(drop);
        if round % 50 == 0 {
            bystander.works();
        }
    }
    bystander.works();
    let after = node.resident_bytes().unwrap();
    assert!(after < before + (64 << 20), "{before} bytes became {after}");
    assert!(!node.log().contains("panic"), "{}", node.log());
}

#[test]
fn messages_that_never_end_take_no_memory() {
    let node = Node::start().unwrap();
    let mut bystander = Bystander::new(&node);
    let before = node.resident_bytes().unwrap();
    let mut connections = Vec::new();
    for _ in 0..100 {
        let mut connection = open(&node);
        // Announced as the largest that there may be, and hardly begun.
        let begun = [publish(1), frame(2, 1, &content_header(60, 16 << 20)), frame(3, 1, b"x")];
        connection.send(&begun.concat()).unwrap();
        connections.push(connection);
    }
    bystander.works();
    let after = node.resident_bytes().unwrap();
    assert!(after < before + (128 << 20), "{before} bytes became {after}");
    drop(connections);
    bystander.works();
}

#[test]
fn a_close_is_answered_though_more_was_sent_behind_it() {
    let node = Node::start().unwrap();
    let mut connection = open(&node);
    let close = Args::new().short(200).shortstr("goodbye").short(0).short(0);
    let mut bytes = Vec::new();
    push_method(&mut bytes, 0, method::CONNECTION_CLOSE, &close);
    let publish = Args::new().short(0).shortstr("").shortstr("q").bits(&[false, false]);
    for _ in 0..500_000 {
        push_method(&mut bytes, 1, method::BASIC_PUBLISH, &publish);
    }
    // More than the sockets hold: closing over it would reset the connection.
    connection.send(&bytes).unwrap();
    connection.expect(0, method::CONNECTION_CLOSE_OK).unwrap();
}
