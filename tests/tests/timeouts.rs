//! Consumer timeouts: who leaves a delivery unsettled for too long loses its channel.

use std::time::{Duration, UNIX_EPOCH};

use shunt_tests::amqp_raw::{RawError, Value};
use shunt_tests::{Client, Consume, Node, Props};

/// Waits for the channel's close; how long that took.
fn timed_out(client: &mut Client, timeout_ms: u64) -> Duration {
    let begun = UNIX_EPOCH.elapsed().unwrap();
    let closed = client.receive();
    let Err(RawError::Closed { channel: 1, code: 406, text, .. }) = &closed else {
        panic!("{closed:?}");
    };
    let expected = format!(
        "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value \
         used: {timeout_ms} ms."
    );
    assert!(text.starts_with(&expected), "{text}");
    UNIX_EPOCH.elapsed().unwrap() - begun
}

fn redelivered(client: &mut Client, queue: &str) {
    client.reopen().unwrap();
    let again = client.get(queue).unwrap().unwrap();
    assert!(again.redelivered);
}

#[test]
fn a_channel_that_does_not_acknowledge_is_closed_and_its_message_goes_back() {
    let node = Node::builder().setting("amqp.consumer_timeout_ms", 400).start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    client.consume("q", Consume::default()).unwrap();
    client.publish("", "q", &Props::new(), b"first").unwrap();
    let first = client.delivery().unwrap();
    client.ack(first.delivery_tag, false).unwrap();
    // What is acknowledged in time does no harm, however long that is ago.
    assert_eq!(client.receive_within(Duration::from_millis(700)).unwrap(), None);
    client.publish("", "q", &Props::new(), b"second").unwrap();
    client.delivery().unwrap();
    let waited = timed_out(&mut client, 400);
    assert!(waited >= Duration::from_millis(350), "{waited:?}");
    redelivered(&mut client, "q");
    // basic.get as well.
    client.publish("", "q", &Props::new(), b"third").unwrap();
    client.get_as("q", false).unwrap().unwrap();
    timed_out(&mut client, 400);
    redelivered(&mut client, "q");
}

#[test]
fn a_queue_and_a_consumer_may_have_times_of_their_own() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    let timeout = |ms| [("x-consumer-timeout".to_owned(), Value::I32(ms))];
    client.declare_queue_as("slow", "d", &timeout(60_000)).unwrap();
    client.declare_queue_as("quick", "d", &timeout(300)).unwrap();
    for queue in ["slow", "quick"] {
        client.publish("", queue, &Props::new(), b"m").unwrap();
        client.consume(queue, Consume::default()).unwrap();
        client.delivery().unwrap();
    }
    timed_out(&mut client, 300);
    redelivered(&mut client, "quick");
    let arguments = timeout(200);
    client.consume("slow", Consume { arguments: &arguments, ..Consume::default() }).unwrap();
    client.delivery().unwrap();
    timed_out(&mut client, 200);
    client.reopen().unwrap();

    let refused = client.declare_queue_as("none", "d", &timeout(0));
    assert!(matches!(refused, Err(RawError::Closed { code: 406, .. })), "{refused:?}");
}
