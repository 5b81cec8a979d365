//! Class connection (10), and the frames beneath it.

use shunt_tests::amqp_raw::{AmqpUri, RawConnection};

use super::*;

/// Sends one frame on a connection that is open and has channel 1, and tells what it is answered.
fn on_frame(node: &Node, kind: u8, channel: u16, payload: &[u8], end: u8) -> RawError {
    let mut client = Client::open(node.amqp()).unwrap();
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&channel.to_be_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes.push(end);
    client.raw().send(&bytes).unwrap();
    match next(&mut client) {
        Err(error) => error,
        Ok(found) => panic!("answered by {found}"),
    }
}

#[test]
fn frames() {
    let node = Node::start().unwrap();
    // basic.publish to the default exchange.
    let publish = [0, 60, 0, 40, 0, 0, 0, 0, 0];
    // A header of class basic that announces one byte, and of class queue.
    let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0];
    for (what, kind, channel, payload, end, code) in [
        ("a frame that ends otherwise", 1, 1, &publish[..], 0, 501),
        ("a kind that is none", 9, 1, &publish[..], 0xce, 501),
        ("a heartbeat with a payload", 8, 0, &[1][..], 0xce, 501),
        ("a heartbeat on a channel", 8, 1, &[][..], 0xce, 505),
        ("a header where a method is due", 2, 1, &header[..], 0xce, 505),
        ("a body where a method is due", 3, 1, &[1][..], 0xce, 505),
        ("a method on a channel that is not open", 1, 7, &publish[..], 0xce, 504),
        ("a channel's method on channel 0", 1, 0, &publish[..], 0xce, 504),
        ("a method cut short", 1, 1, &publish[..7], 0xce, 501),
    ] {
        match on_frame(&node, kind, channel, payload, end) {
            RawError::Closed { channel: 0, code: found, text, .. } => {
                assert_eq!(found, code, "{what}: {text}");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
    // RabbitMQ says nothing to a method that it does not know.
    let unknown = on_frame(&node, 1, 1, &[0, 60, 0, 99], 0xce);
    assert!(matches!(unknown, RawError::EndOfStream), "{unknown:?}");
}

#[test]
fn protocol_headers() {
    let node = Node::start().unwrap();
    for (what, sent, answer) in [
        ("AMQP 1.0", &b"AMQP\x00\x01\x00\x00"[..], &b"AMQP\x03\x01\x00\x00"[..]),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n", b"AMQP\x03\x01\x00\x00"),
        ("a later 0-9", b"AMQP\x00\x00\x09\x02", b"AMQP\x00\x00\x09\x01"),
    ] {
        let mut raw = RawConnection::dial(node.amqp()).unwrap();
        raw.send(sent).unwrap();
        assert_eq!(raw.read_to_end().unwrap(), answer, "{what}");
    }
    for sent in [b"AMQP\x00\x00\x09\x01", b"AMQP\x01\x01\x00\x09"] {
        let mut raw = RawConnection::dial(node.amqp()).unwrap();
        raw.send(sent).unwrap();
        raw.expect(0, method::CONNECTION_START).unwrap();
    }
}

/// A connection that has logged in, before it is tuned.
fn logged_in(node: &Node) -> RawConnection {
    let mut raw = RawConnection::dial(node.amqp()).unwrap();
    raw.send(b"AMQP\x00\x00\x09\x01").unwrap();
    raw.expect(0, method::CONNECTION_START).unwrap();
    let start_ok =
        Args::new().table(&[]).shortstr("PLAIN").longstr(b"\0guest\0guest").shortstr("en_US");
    raw.call(0, method::CONNECTION_START_OK, &start_ok, method::CONNECTION_TUNE).unwrap();
    raw
}

#[test]
fn tuning_and_opening() {
    let node = Node::start().unwrap();
    let tune_ok = |channels, frame| Args::new().short(channels).long(frame).short(0);
    for (what, args, expected) in [
        (
            "frames too small",
            tune_ok(9, 8191),
            "NOT_ALLOWED - negotiated frame_max = 8191 is lower",
        ),
        ("frames too large", tune_ok(9, 131_073), "NOT_ALLOWED - negotiated frame_max = 131073 is"),
        (
            "frames without a bound",
            tune_ok(9, 0),
            "NOT_ALLOWED - negotiated frame_max = 0 is higher",
        ),
        (
            "too many channels",
            tune_ok(2048, 131_072),
            "NOT_ALLOWED - negotiated channel_max = 2048 is higher",
        ),
        (
            "channels without a bound",
            tune_ok(0, 131_072),
            "NOT_ALLOWED - negotiated channel_max = 0 is higher",
        ),
    ] {
        let mut raw = logged_in(&node);
        raw.send_method(0, method::CONNECTION_TUNE_OK, &args).unwrap();
        refused(what, raw.expect(0, method::CONNECTION_OPEN_OK), 530, expected);
    }
    let mut raw = logged_in(&node);
    raw.send_method(0, method::CONNECTION_TUNE_OK, &tune_ok(9, 8192)).unwrap();
    let open = Args::new().shortstr("none").shortstr("").bits(&[false]);
    let opened = raw.call(0, method::CONNECTION_OPEN, &open, method::CONNECTION_OPEN_OK);
    refused("an unknown virtual host", opened, 530, "NOT_ALLOWED - vhost none not found");
    let mut raw = logged_in(&node);
    raw.send_method(1, method::CHANNEL_OPEN, &Args::new().shortstr("")).unwrap();
    refused(
        "a channel before it is open",
        raw.expect(1, method::CHANNEL_OPEN_OK),
        505,
        "UNEXPECTED_FRAME - ",
    );
    let mut raw = logged_in(&node);
    raw.send_method(0, method::CONNECTION_OPEN, &open).unwrap();
    refused(
        "open before it is tuned",
        raw.expect(0, method::CONNECTION_OPEN_OK),
        504,
        "CHANNEL_ERROR - ",
    );
}

#[track_caller]
fn refused(what: &str, outcome: Result<Vec<u8>, RawError>, expected: u16, begins: &str) {
    let Err(RawError::Closed { channel: 0, code, text, .. }) = &outcome else {
        panic!("{what}: {outcome:?}");
    };
    assert_eq!(*code, expected, "{what}: {text}");
    assert!(text.starts_with(begins), "{what}: {text}");
}

#[test]
fn an_open_connection() {
    let node = Node::start().unwrap();
    let mut uri = AmqpUri {
        host: node.amqp().ip().to_string(),
        port: node.amqp().port(),
        user: "guest".into(),
        password: "guest".into(),
        vhost: "/".into(),
    };
    let mut raw = RawConnection::open(&uri).unwrap();
    let secret = Args::new().longstr(b"another").shortstr("it was time");
    let (update, updated) = (method::CONNECTION_UPDATE_SECRET, method::CONNECTION_UPDATE_SECRET_OK);
    raw.call(0, update, &secret, updated).unwrap();
    raw.open_channel(1).unwrap();
    raw.open_channel(2047).unwrap();
    let again = Args::new().shortstr("/").shortstr("").bits(&[false]);
    let opened = raw.call(0, method::CONNECTION_OPEN, &again, method::CONNECTION_OPEN_OK);
    refused("open twice", opened, 504, "CHANNEL_ERROR - ");

    RawConnection::open(&uri).unwrap().close().unwrap();
    uri.password = "wrong".into();
    match RawConnection::open(&uri) {
        // The client said that it understands this.
        Err(RawError::Closed { channel: 0, code: 403, text, .. }) => {
            assert!(text.starts_with("ACCESS_REFUSED - Login was refused"), "{text}");
        }
        other => panic!("{:?}", other.map(drop)),
    }
}
