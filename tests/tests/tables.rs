//! What each method is answered, one table a class: the state, the method, the answer. Codes and
//! texts are RabbitMQ's.

mod arguments;
mod basic;
mod channel;
mod confirm_tx;
mod connection;
mod dead_letter;
mod exchange;
mod queue;

use shunt_tests::amqp_raw::{
    Args, FrameKind, MethodId, RawError, Value, method, push_content, push_method,
};
use shunt_tests::{Client, Consume, Node, Props};

/// One line of a table.
struct Row {
    what: &'static str,
    /// The state: what the client has done before.
    given: Given,
    /// What it sends, and the method that is blamed if that is refused.
    sent: Vec<u8>,
    cause: MethodId,
    answer: Answer,
}

/// What a client does before the line's own method.
type Given = fn(&mut Client);

/// What comes back.
enum Answer {
    /// This method.
    Method(MethodId),
    /// `channel.close` with this code and a text that begins so.
    Channel(u16, &'static str),
    /// `connection.close` with this code and a text that begins so.
    Connection(u16, &'static str),
    /// Nothing: the next call is answered.
    Nothing,
}

use Answer::{Channel, Connection, Method, Nothing};

fn row(what: &'static str, given: Given, id: MethodId, args: Args, answer: Answer) -> Row {
    let mut sent = Vec::new();
    push_method(&mut sent, 1, id, &args);
    Row { what, given, sent, cause: id, answer }
}

/// A line whose method is `basic.publish`, with its content.
fn publish(
    what: &'static str,
    given: Given,
    (exchange, key): (&str, &str),
    props: Props,
    body: &[u8],
    answer: Answer,
) -> Row {
    let cause = method::BASIC_PUBLISH;
    let args = Args::new().short(0).shortstr(exchange).shortstr(key).bits(&[false, false]);
    let mut sent = Vec::new();
    push_method(&mut sent, 1, cause, &args);
    push_content(&mut sent, 1, &props.encode(), body, 131_072);
    Row { what, given, sent, cause, answer }
}

fn fresh(_: &mut Client) {}

/// A delivery with the tag 1 that is not settled.
fn one_unsettled(client: &mut Client) {
    let (queue, ..) = client.declare_queue_as("", "e", &[]).unwrap();
    client.publish("", &queue, &Props::new(), b"x").unwrap();
    client.get_as(&queue, false).unwrap().unwrap();
}

/// A consumer `c` of the queue that was declared last.
fn consumer_c(client: &mut Client) {
    client.declare_queue_as("", "e", &[]).unwrap();
    client.consume("", Consume { tag: "c", ..Consume::default() }).unwrap();
}

fn table(arguments: &[(&str, Value)]) -> Vec<(String, Value)> {
    arguments.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn text(value: &str) -> Value {
    Value::Str(value.to_owned())
}

/// A node with what the tables name, and the connection that holds what is exclusive: the queues
/// `q` (durable, a message in it), `used` (a consumer), `mine` (exclusive) and `bounded`, the
/// exchanges `x` (direct, `q` bound), `inside` (internal) and `with-alternate`.
fn node() -> (Node, Client) {
    let node = Node::builder().setting("amqp.message_size_max", 100_000).start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    client.publish("", "q", &Props::new(), b"x").unwrap();
    client.declare_queue("used").unwrap();
    client.consume("used", Consume::default()).unwrap();
    client.declare_queue_as("mine", "e", &[]).unwrap();
    client.declare_queue_as("bounded", "d", &table(&[("x-max-length", Value::I32(5))])).unwrap();
    client.declare_exchange("x", "direct", "", &[]).unwrap();
    client.bind("q", "x", "k", &[]).unwrap();
    client.declare_exchange("inside", "fanout", "i", &[]).unwrap();
    let alternate = table(&[("alternate-exchange", text("amq.fanout"))]);
    client.declare_exchange("with-alternate", "direct", "", &alternate).unwrap();
    (node, client)
}

/// Checks every line, each on a connection of its own.
fn check(rows: Vec<Row>) {
    let (node, _holder) = node();
    for Row { what, given, sent, cause, answer } in rows {
        let mut client = Client::open(node.amqp()).unwrap();
        given(&mut client);
        client.raw().send(&sent).unwrap();
        match (answer, next(&mut client)) {
            (Method(expected), Ok(found)) => assert_eq!(found, expected, "{what}"),
            (
                Channel(code, expected),
                Err(RawError::Closed { channel: 1, code: c, text, cause: m }),
            )
            | (
                Connection(code, expected),
                Err(RawError::Closed { channel: 0, code: c, text, cause: m }),
            ) => {
                assert_eq!((c, m), (code, cause), "{what}: {text}");
                assert!(text.starts_with(expected), "{what}: {text}");
            }
            (Nothing, found) => {
                // The answer to the question that follows.
                assert!(matches!(found, Ok(method::CHANNEL_FLOW_OK)), "{what}: {found:?}");
            }
            (_, found) => panic!("{what}: {found:?}"),
        }
    }
}

/// A question that is always answered, behind a method that is not.
fn then_ask(mut row: Row) -> Row {
    push_method(&mut row.sent, 1, method::CHANNEL_FLOW, &Args::new().bits(&[true]));
    row
}

/// The next method that comes.
fn next(client: &mut Client) -> Result<MethodId, RawError> {
    loop {
        let frame = client.raw().frame()?;
        if frame.kind == FrameKind::METHOD {
            frame.refuse_close()?;
            return Ok(frame.method().unwrap().0);
        }
    }
}
