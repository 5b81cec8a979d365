//! Direct reply-to: a requester consumes from `amq.rabbitmq.reply-to`, and whoever answers
//! publishes to the address that its request carries.

use std::time::Duration;

use shunt_tests::amqp_raw::{Args, RawError, method};
use shunt_tests::{Client, Consume, Incoming, Node, Props};

const PSEUDO_QUEUE: &str = "amq.rabbitmq.reply-to";

fn consume_replies(client: &mut Client) {
    let how = Consume { tag: "replies", no_ack: true, ..Consume::default() };
    assert_eq!(client.consume(PSEUDO_QUEUE, how).unwrap(), "replies");
}

fn request() -> Props {
    Props::new().text("correlation_id", "7").text("reply_to", PSEUDO_QUEUE)
}

/// The reply address in a request as its server got it.
fn address_in(properties: &[u8]) -> String {
    let text = String::from_utf8_lossy(properties);
    let start = text.find("amq.rabbitmq.reply-to.").expect("an address");
    let length = usize::from(properties[start - 1]);
    text[start..start + length].to_owned()
}

/// A client that waits for replies, and the address that its request carried.
fn requester(node: &Node) -> (Client, String) {
    let mut client = Client::open(node.amqp()).unwrap();
    consume_replies(&mut client);
    let (queue, ..) = client.declare_queue_as("", "e", &[]).unwrap();
    client.publish("", &queue, &request(), b"request").unwrap();
    let got = client.get(&queue).unwrap().unwrap();
    assert_eq!(got.text(), "request");
    (client, address_in(&got.properties))
}

fn refusal(outcome: Result<impl std::fmt::Debug, RawError>) -> (u16, String) {
    match outcome {
        Err(RawError::Closed { code, text, .. }) => (code, text),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn replies_come_from_any_connection_and_over_http() {
    let node = Node::builder().setting("node.shards", 2).start().unwrap();
    let (mut requester, address) = requester(&node);
    // One of two connections in a row is on the other shard.
    for body in ["first", "second"] {
        let mut server = Client::open(node.amqp()).unwrap();
        assert_eq!(server.declare_queue_as(&address, "p", &[]).unwrap(), (address.clone(), 0, 1));
        server.confirm_select().unwrap();
        server.publish_with("", &address, true, &Props::new(), body.as_bytes()).unwrap();
        assert_eq!(server.confirms().unwrap().acked, [1].into(), "and nothing came back");
        let reply = requester.delivery().unwrap();
        assert_eq!((reply.text().as_str(), reply.consumer_tag.as_str()), (body, "replies"));
        assert_eq!((reply.exchange.as_str(), &reply.routing_key), ("", &address));
    }
    let publish = serde_json::json!({
        "routing_key": address, "properties": {}, "payload": "third", "payload_encoding": "string",
    });
    let answer = node.http().post("/api/exchanges/%2F/amq.default/publish", &publish).unwrap();
    assert!(answer.text().contains(r#""routed":true"#), "{}", answer.text());
    assert_eq!(requester.delivery().unwrap().text(), "third");
    // A copy may be a reply as well.
    let cc = shunt_tests::amqp_raw::Value::Array(vec![shunt_tests::amqp_raw::Value::Str(address)]);
    requester.publish("", "nowhere", &Props::new().header("CC", cc), b"copy").unwrap();
    assert_eq!(requester.delivery().unwrap().text(), "copy");
}

#[test]
fn an_address_ends_with_its_consumer_and_with_its_channel() {
    let node = Node::start().unwrap();
    let mut server = Client::open(node.amqp()).unwrap();
    let mut is_gone = |address: &str| {
        server.publish_with("", address, true, &Props::new(), b"late").unwrap();
        let returned = server.receive().unwrap();
        assert!(matches!(&returned, Incoming::Return(312, _)), "{returned:?}");
        let (code, text) = refusal(server.declare_queue_as(address, "p", &[]));
        assert_eq!(code, 404, "{text}");
        server.reopen().unwrap();
    };
    let (mut cancelled, address) = requester(&node);
    cancelled.cancel("replies").unwrap();
    is_gone(&address);
    // It may consume again, under another address.
    consume_replies(&mut cancelled);
    is_gone(&address);

    let (mut closed, address) = requester(&node);
    let args = Args::new().short(200).shortstr("").short(0).short(0);
    closed.call(method::CHANNEL_CLOSE, &args, method::CHANNEL_CLOSE_OK).unwrap();
    is_gone(&address);

    let (gone, address) = requester(&node);
    gone.close().unwrap();
    is_gone(&address);
    assert_eq!(cancelled.receive_within(Duration::from_millis(50)).unwrap(), None);
}

#[test]
fn what_a_pseudo_queue_can_not_do() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    let (code, text) = refusal(client.consume(PSEUDO_QUEUE, Consume::default()));
    assert_eq!(
        (code, text.as_str()),
        (406, "PRECONDITION_FAILED - reply consumer cannot acknowledge")
    );
    client.reopen().unwrap();

    // To ask for the pseudo-queue itself is fine, whoever asks.
    assert_eq!(client.declare_queue_as(PSEUDO_QUEUE, "", &[]).unwrap().0, PSEUDO_QUEUE);
    consume_replies(&mut client);
    let second = Consume { no_ack: true, ..Consume::default() };
    let (code, text) = refusal(client.consume(PSEUDO_QUEUE, second));
    assert_eq!((code, text.as_str()), (406, "PRECONDITION_FAILED - reply consumer already set"));
    client.reopen().unwrap();

    client.publish("", "q", &request(), b"").unwrap();
    let (code, text) = refusal(client.receive());
    assert_eq!(
        (code, text.as_str()),
        (406, "PRECONDITION_FAILED - fast reply consumer does not exist")
    );
    client.reopen().unwrap();

    let (code, text) = refusal(client.bind(PSEUDO_QUEUE, "amq.direct", "k", &[]));
    assert_eq!(code, 403, "{text}");
    client.reopen().unwrap();

    consume_replies(&mut client);
    let reuse = Consume { tag: "replies", ..Consume::default() };
    let (code, text) = refusal(client.consume("q", reuse));
    assert_eq!(
        (code, text.as_str()),
        (530, "NOT_ALLOWED - attempt to reuse consumer tag 'replies'")
    );

    let mut client = Client::open(node.amqp()).unwrap();
    let (code, text) = refusal(client.get(PSEUDO_QUEUE));
    assert_eq!(code, 540, "{text}");
}
