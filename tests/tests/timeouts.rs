//! Consumer timeouts: who leaves a delivery unsettled for too long is ended, and its messages go
//! back.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;
use shunt_tests::amqp_raw::{Args, RawConnection, RawError, Value, method, push_method};
use shunt_tests::{Client, Consume, Incoming, Node, Props, poll};

/// Waits for the consumer's end; how long that took.
fn cancelled(client: &mut Client, tag: &str) -> Duration {
    let begun = UNIX_EPOCH.elapsed().unwrap();
    assert_eq!(client.receive().unwrap(), Incoming::Cancel(tag.to_owned()));
    UNIX_EPOCH.elapsed().unwrap() - begun
}

/// Checks that the channel is closed for a time-out.
#[track_caller]
fn timed_out(closed: Result<impl std::fmt::Debug, RawError>, timeout_ms: u64) {
    let Err(RawError::Closed { channel: 1, code: 406, text, .. }) = &closed else {
        panic!("{closed:?}");
    };
    let expected = format!(
        "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value \
         used: {timeout_ms} ms."
    );
    assert!(text.starts_with(&expected), "{text}");
}

/// The next message, which was handed out before.
#[track_caller]
fn redelivered(client: &mut Client, queue: &str) {
    // The channel is closed before its messages are back: the queue may be another shard's.
    let again = poll("the message", || client.get(queue).unwrap()).unwrap();
    assert!(again.redelivered);
}

fn consume(client: &mut Client, queue: &str, arguments: &[(String, Value)]) {
    client.consume(queue, Consume { tag: queue, arguments, ..Consume::default() }).unwrap();
}

fn timeout(ms: i32) -> [(String, Value); 1] {
    [("x-consumer-timeout".to_owned(), Value::I32(ms))]
}

#[test]
fn a_consumer_that_does_not_acknowledge_is_cancelled_and_its_message_goes_back() {
    let node = Node::builder().setting("amqp.consumer_timeout_ms", 400).start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    client.declare_queue("other").unwrap();
    consume(&mut client, "q", &[]);
    client.publish("", "q", &Props::new(), b"first").unwrap();
    let first = client.delivery().unwrap();
    client.ack(first.delivery_tag, false).unwrap();
    // What is acknowledged in time does no harm, however long that is ago.
    assert_eq!(client.receive_within(Duration::from_millis(700)).unwrap(), None);
    client.publish("", "q", &Props::new(), b"second").unwrap();
    let second = client.delivery().unwrap();
    let waited = cancelled(&mut client, "q");
    assert!(waited >= Duration::from_millis(350), "{waited:?}");
    redelivered(&mut client, "q");
    // The channel is open, and what it says too late does no harm.
    client.ack(second.delivery_tag, false).unwrap();
    client.sync().unwrap();
    client.ack(second.delivery_tag, false).unwrap();
    let unknown = client.sync();
    assert!(matches!(unknown, Err(RawError::Closed { code: 406, .. })), "{unknown:?}");
}

#[test]
fn who_fetches_or_does_not_understand_cancels_loses_the_channel() {
    let node = Node::builder().setting("amqp.consumer_timeout_ms", 300).start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    client.publish("", "q", &Props::new(), b"m").unwrap();
    client.get_as("q", false).unwrap().unwrap();
    timed_out(client.receive(), 300);
    client.reopen().unwrap();
    redelivered(&mut client, "q");

    client.publish("", "q", &Props::new(), b"m").unwrap();
    let mut old = without_capabilities(&node);
    let consume = Args::new().short(0).shortstr("q").shortstr("c").bits(&[false; 4]).table(&[]);
    old.call(1, method::BASIC_CONSUME, &consume, method::BASIC_CONSUME_OK).unwrap();
    let closed = loop {
        match old.frame() {
            Ok(frame) => match frame.refuse_close() {
                Ok(()) => {}
                closed => break closed,
            },
            Err(error) => break Err(error),
        }
    };
    timed_out(closed, 300);
    redelivered(&mut client, "q");
}

/// A connection with channel 1 of a client that says of nothing that it understands it.
fn without_capabilities(node: &Node) -> RawConnection {
    let mut raw = RawConnection::dial(node.amqp()).unwrap();
    raw.send(b"AMQP\x00\x00\x09\x01").unwrap();
    raw.expect(0, method::CONNECTION_START).unwrap();
    let start_ok =
        Args::new().table(&[]).shortstr("PLAIN").longstr(b"\0guest\0guest").shortstr("en_US");
    raw.call(0, method::CONNECTION_START_OK, &start_ok, method::CONNECTION_TUNE).unwrap();
    let mut bytes = Vec::new();
    let tune_ok = Args::new().short(9).long(131_072).short(0);
    push_method(&mut bytes, 0, method::CONNECTION_TUNE_OK, &tune_ok);
    raw.send(&bytes).unwrap();
    let open = Args::new().shortstr("/").shortstr("").bits(&[false]);
    raw.call(0, method::CONNECTION_OPEN, &open, method::CONNECTION_OPEN_OK).unwrap();
    raw.open_channel(1).unwrap();
    raw
}

#[test]
fn a_queue_and_a_consumer_may_have_times_of_their_own() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue_as("slow", "d", &timeout(60_000)).unwrap();
    client.declare_queue_as("quick", "d", &timeout(300)).unwrap();
    for queue in ["slow", "quick"] {
        client.publish("", queue, &Props::new(), b"m").unwrap();
        consume(&mut client, queue, &[]);
        client.delivery().unwrap();
    }
    cancelled(&mut client, "quick");
    redelivered(&mut client, "quick");
    assert_eq!(client.get("slow").unwrap(), None, "that consumer has time");
    client.cancel("slow").unwrap();
    client.reopen_channel().unwrap();
    consume(&mut client, "slow", &timeout(200));
    client.delivery().unwrap();
    cancelled(&mut client, "slow");
    redelivered(&mut client, "slow");
}

#[test]
fn a_policy_may_say_the_time_and_the_shorter_one_holds() {
    let node = Node::start().unwrap();
    let set = |ms: u64| {
        let policy = json!({"pattern": "^q", "definition": {"consumer-timeout": ms}});
        let answer = node.http().put("/api/policies/%2F/t", &policy).unwrap();
        assert!(answer.status < 300, "{}", answer.text());
    };
    set(300);
    let mut client = Client::open(node.amqp()).unwrap();
    for (queue, own) in [("q", None), ("q-slow", Some(60_000))] {
        let arguments = own.map(timeout);
        client.declare_queue_as(queue, "d", arguments.as_ref().map_or(&[], |a| &a[..])).unwrap();
        client.publish("", queue, &Props::new(), b"m").unwrap();
        consume(&mut client, queue, &[]);
        client.delivery().unwrap();
        cancelled(&mut client, queue);
        redelivered(&mut client, queue);
    }
    // A change holds for who consumes already.
    client.publish("", "q", &Props::new(), b"m").unwrap();
    consume(&mut client, "q", &[]);
    client.delivery().unwrap();
    set(60_000);
    assert_eq!(client.receive_within(Duration::from_millis(800)).unwrap(), None);
}
