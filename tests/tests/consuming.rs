//! Deliveries: limits, settling, order, and the ends of consumers.

use std::time::Duration;

use shunt_tests::amqp_raw::{Args, RawError, Value, method};
use shunt_tests::{Client, Consume, Incoming, Message, Node, Props, poll};

/// Long enough for what must not come.
const SHORTLY: Duration = Duration::from_millis(60);

fn start(messages: &[&str]) -> (Node, Client) {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    publish(&mut client, messages);
    (node, client)
}

fn publish(client: &mut Client, messages: &[&str]) {
    for message in messages {
        client.publish("", "q", &Props::new(), message.as_bytes()).unwrap();
    }
    client.sync().unwrap();
}

/// What is delivered until nothing more comes.
fn deliveries(client: &mut Client) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some(incoming) = client.receive_within(SHORTLY).unwrap() {
        match incoming {
            Incoming::Deliver(message) => messages.push(message),
            other => panic!("{other:?}"),
        }
    }
    messages
}

fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(Message::text).collect()
}

fn tags(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.delivery_tag).collect()
}

#[test]
fn the_prefetch_count_limits_each_consumer() {
    let (_node, mut client) = start(&["1", "2", "3", "4", "5", "6"]);
    client.qos(2, false).unwrap();
    client.consume("q", Consume { tag: "a", ..Consume::default() }).unwrap();
    client.consume("q", Consume { tag: "b", ..Consume::default() }).unwrap();
    let first = deliveries(&mut client);
    assert_eq!(first.len(), 4, "two for each: {first:?}");
    let of_a: Vec<&Message> = first.iter().filter(|m| m.consumer_tag == "a").collect();
    assert_eq!(of_a.len(), 2);
    client.ack(of_a[0].delivery_tag, false).unwrap();
    let next = deliveries(&mut client);
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].consumer_tag, "a");
}

#[test]
fn a_global_prefetch_count_limits_the_channel() {
    let (_node, mut client) = start(&["1", "2", "3", "4", "5", "6"]);
    client.qos(3, true).unwrap();
    client.consume("q", Consume { tag: "a", ..Consume::default() }).unwrap();
    client.consume("q", Consume { tag: "b", ..Consume::default() }).unwrap();
    let first = deliveries(&mut client);
    assert_eq!(texts(&first), ["1", "2", "3"]);
    client.ack(first[1].delivery_tag, true).unwrap();
    assert_eq!(texts(&deliveries(&mut client)), ["4", "5"]);
}

#[test]
fn no_ack_is_not_limited() {
    let (_node, mut client) = start(&["1", "2", "3"]);
    client.qos(1, false).unwrap();
    client.consume("q", Consume { no_ack: true, ..Consume::default() }).unwrap();
    assert_eq!(texts(&deliveries(&mut client)), ["1", "2", "3"]);
}

#[test]
fn what_is_requeued_comes_back_in_its_place_and_marked() {
    let (_node, mut client) = start(&["1", "2", "3", "4"]);
    let got: Vec<Message> = (0..3).map(|_| client.get_as("q", false).unwrap().unwrap()).collect();
    assert!(got.iter().all(|message| !message.redelivered));
    // The last first: each goes back to where it was all the same.
    client.reject(got[2].delivery_tag, true).unwrap();
    client.nack(got[1].delivery_tag, true, true).unwrap();
    client.consume("q", Consume::default()).unwrap();
    let again = deliveries(&mut client);
    assert_eq!(texts(&again), ["1", "2", "3", "4"]);
    let marks: Vec<bool> = again.iter().map(|message| message.redelivered).collect();
    assert_eq!(marks, [true, true, true, false]);
}

#[test]
fn what_is_rejected_is_gone() {
    let (_node, mut client) = start(&["1", "2", "3", "4"]);
    client.consume("q", Consume { tag: "c", ..Consume::default() }).unwrap();
    let got = deliveries(&mut client);
    assert_eq!(tags(&got), [1, 2, 3, 4]);
    client.reject(1, false).unwrap();
    client.nack(3, true, false).unwrap();
    client.cancel("c").unwrap();
    client.nack(4, false, true).unwrap();
    client.sync().unwrap();
    assert_eq!(client.drain("q").unwrap(), ["4"]);
}

#[test]
fn recover_brings_everything_back_in_order() {
    let (_node, mut client) = start(&["1", "2", "3"]);
    client.get_as("q", false).unwrap().unwrap();
    client.consume("q", Consume::default()).unwrap();
    assert_eq!(texts(&deliveries(&mut client)), ["2", "3"]);
    let requeue = Args::new().bits(&[true]);
    client.call(method::BASIC_RECOVER, &requeue, method::BASIC_RECOVER_OK).unwrap();
    let again = deliveries(&mut client);
    assert_eq!(texts(&again), ["1", "2", "3"]);
    assert!(again.iter().all(|message| message.redelivered));
    // Delivery tags go on, they are never used again.
    assert_eq!(tags(&again), [4, 5, 6]);
    // The same without an answer.
    client.raw().send_method(1, method::BASIC_RECOVER_ASYNC, &requeue).unwrap();
    assert_eq!(texts(&deliveries(&mut client)), ["1", "2", "3"]);
}

#[test]
fn the_end_of_a_connection_returns_what_it_held() {
    let (node, mut client) = start(&["1", "2", "3"]);
    let mut other = Client::open(node.amqp()).unwrap();
    other.consume("q", Consume::default()).unwrap();
    assert_eq!(deliveries(&mut other).len(), 3);
    drop(other);
    client.consume("q", Consume::default()).unwrap();
    let again: Vec<Message> = (0..3).map(|_| client.delivery().unwrap()).collect();
    assert_eq!(texts(&again), ["1", "2", "3"]);
    assert!(again.iter().all(|message| message.redelivered));
}

#[test]
fn a_cancelled_consumer_keeps_what_it_has_to_settle() {
    let (_node, mut client) = start(&["1", "2"]);
    client.qos(1, false).unwrap();
    client.consume("q", Consume { tag: "c", ..Consume::default() }).unwrap();
    assert_eq!(client.delivery().unwrap().text(), "1");
    client.cancel("c").unwrap();
    client.cancel("no such consumer").unwrap();
    assert_eq!(client.declare_queue("q").unwrap().1, 1, "only the second is ready");
    client.nack(1, false, true).unwrap();
    client.sync().unwrap();
    assert_eq!(client.drain("q").unwrap(), ["1", "2"]);
}

#[test]
fn who_deletes_a_queue_hears_of_that_before_its_own_consumers_end() {
    let (_node, mut client) = start(&[]);
    client.consume("q", Consume { tag: "mine", ..Consume::default() }).unwrap();
    let args = Args::new().short(0).shortstr("q").bits(&[false; 3]);
    client.raw().call(1, method::QUEUE_DELETE, &args, method::QUEUE_DELETE_OK).unwrap();
    assert_eq!(client.receive().unwrap(), Incoming::Cancel("mine".into()));
}

#[test]
fn a_consumer_is_told_that_its_queue_is_gone() {
    let (node, mut client) = start(&[]);
    client.consume("q", Consume { tag: "mine", ..Consume::default() }).unwrap();
    let mut other = Client::open(node.amqp()).unwrap();
    other.delete_queue("q").unwrap();
    assert_eq!(client.receive().unwrap(), Incoming::Cancel("mine".into()));
    // The channel goes on.
    client.declare_queue("q").unwrap();
    publish(&mut client, &["1"]);
    assert_eq!(client.drain("q").unwrap(), ["1"]);
}

#[test]
fn consumers_of_a_higher_priority_come_first() {
    let (node, mut low) = start(&[]);
    let mut high = Client::open(node.amqp()).unwrap();
    low.consume("q", Consume::default()).unwrap();
    high.qos(2, false).unwrap();
    let arguments = [("x-priority".to_owned(), Value::I32(10))];
    high.consume("q", Consume { arguments: &arguments, ..Consume::default() }).unwrap();
    let mut publisher = Client::open(node.amqp()).unwrap();
    publish(&mut publisher, &["1", "2", "3"]);
    // The third finds the higher one with its hands full.
    assert_eq!(texts(&deliveries(&mut high)), ["1", "2"]);
    assert_eq!(texts(&deliveries(&mut low)), ["3"]);
}

#[test]
fn consumers_take_turns() {
    let (node, mut one) = start(&[]);
    let mut two = Client::open(node.amqp()).unwrap();
    one.consume("q", Consume::default()).unwrap();
    two.consume("q", Consume::default()).unwrap();
    let mut publisher = Client::open(node.amqp()).unwrap();
    publish(&mut publisher, &["1", "2", "3", "4", "5", "6"]);
    let (of_one, of_two) = (deliveries(&mut one), deliveries(&mut two));
    assert_eq!((of_one.len(), of_two.len()), (3, 3), "{of_one:?}\n{of_two:?}");
}

#[test]
fn an_exclusive_consumer_is_alone() {
    let (node, mut client) = start(&[]);
    client.consume("q", Consume { exclusive: true, ..Consume::default() }).unwrap();
    let mut other = Client::open(node.amqp()).unwrap();
    let refused = other.consume("q", Consume::default());
    let Err(RawError::Closed { channel: 1, code: 403, text, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(text.contains("in exclusive use"), "{text}");
    client.close().unwrap();
    other.reopen().unwrap();
    poll("the end of the exclusive use", || {
        let consuming = other.consume("q", Consume { exclusive: true, ..Consume::default() });
        consuming.or_else(|_| other.reopen().map(|()| String::new())).ok().filter(|t| !t.is_empty())
    })
    .unwrap();
}

#[test]
fn an_auto_delete_queue_goes_with_its_last_consumer() {
    let (_node, mut client) = start(&[]);
    client.declare_queue_as("auto", "a", &[]).unwrap();
    client.consume("auto", Consume { tag: "a", ..Consume::default() }).unwrap();
    client.consume("auto", Consume { tag: "b", ..Consume::default() }).unwrap();
    client.cancel("a").unwrap();
    assert_eq!(client.declare_queue_as("auto", "p", &[]).unwrap().2, 1);
    client.cancel("b").unwrap();
    let gone = client.declare_queue_as("auto", "p", &[]);
    assert!(matches!(gone, Err(RawError::Closed { code: 404, .. })), "{gone:?}");
}

#[test]
fn an_exclusive_queue_goes_with_its_connection() {
    let (node, mut client) = start(&[]);
    let (name, ..) = client.declare_queue_as("", "e", &[]).unwrap();
    assert!(name.starts_with("amq.gen-"), "{name}");
    let mut other = Client::open(node.amqp()).unwrap();
    let locked = other.declare_queue_as(&name, "p", &[]);
    assert!(matches!(locked, Err(RawError::Closed { code: 405, .. })), "{locked:?}");
    // Exclusive queues are gone before close-ok.
    client.close().unwrap();
    other.reopen().unwrap();
    let gone = other.declare_queue_as(&name, "p", &[]);
    assert!(matches!(gone, Err(RawError::Closed { code: 404, .. })), "{gone:?}");
}

#[test]
fn an_empty_name_is_the_queue_declared_last() {
    let (_node, mut client) = start(&[]);
    let (first, ..) = client.declare_queue_as("", "e", &[]).unwrap();
    let (second, ..) = client.declare_queue_as("", "e", &[]).unwrap();
    assert_ne!(first, second);
    client.bind("", "amq.direct", "", &[]).unwrap();
    client.publish("amq.direct", &second, &Props::new(), b"x").unwrap();
    assert_eq!(client.get("").unwrap().unwrap().text(), "x");
    let tag = client.consume("", Consume::default()).unwrap();
    assert!(tag.starts_with("amq.ctag-"), "{tag}");
}

#[test]
fn a_large_message_comes_whole() {
    let (_node, mut client) = start(&[]);
    let body: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let props = Props::persistent().text("content_type", "application/octet-stream");
    client.publish("", "q", &props, &body).unwrap();
    client.publish("", "q", &Props::new(), b"").unwrap();
    client.consume("q", Consume::default()).unwrap();
    let message = client.delivery().unwrap();
    assert!(message.body == body);
    assert_eq!(message.properties, props.encode());
    assert_eq!(client.delivery().unwrap().body, b"");
}

#[test]
fn a_fetch_comes_behind_the_consumers_and_after_what_expired() {
    let node = Node::builder().setting("node.shards", 2).start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    // Queues are spread over the shards: one of two is near, one is far.
    for queue in ["first", "second"] {
        client.declare_queue(queue).unwrap();
        client.publish("", queue, &Props::new().text("expiration", "0"), b"over").unwrap();
        assert_eq!(client.get(queue).unwrap(), None, "it expires at once");
        let tag = client.consume(queue, Consume { no_ack: true, ..Consume::default() }).unwrap();
        client.publish("", queue, &Props::new(), b"consumed").unwrap();
        assert_eq!(client.get(queue).unwrap(), None, "the consumer has it");
        assert_eq!(client.delivery().unwrap().text(), "consumed");
        client.cancel(&tag).unwrap();
    }
}

#[test]
fn what_lives_for_no_time_is_delivered_once() {
    let (_node, mut client) = start(&[]);
    client.consume("q", Consume::default()).unwrap();
    let props = Props::new().text("expiration", "0");
    for _ in 0..20 {
        client.publish("", "q", &props, b"now").unwrap();
        let got = client.delivery().unwrap();
        assert!(!got.redelivered);
        client.reject(got.delivery_tag, true).unwrap();
    }
    client.sync().unwrap();
    assert_eq!(client.receive_within(Duration::from_millis(200)).unwrap(), None);
}
