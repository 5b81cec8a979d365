//! What follows a refusal, and what only Shunt refuses; what each method is refused for stands in
//! the tables.

use shunt_tests::amqp_raw::{Args, MethodId, RawError, Value, method};
use shunt_tests::{Client, Node};

fn declare(queue: &str, flags: &str) -> Args {
    let bits = ['p', 'd', 'e', 'a', 'n'].map(|flag| flags.contains(flag));
    Args::new().short(0).shortstr(queue).bits(&bits).table(&[])
}

fn exchange(exchange: &str, kind: &str, arguments: &[(&str, Value)]) -> Args {
    let names = Args::new().short(0).shortstr(exchange).shortstr(kind);
    names.bits(&[false; 5]).table(&table(arguments))
}

fn bind(queue: &str, exchange: &str, key: &str) -> Args {
    let names = Args::new().short(0).shortstr(queue).shortstr(exchange).shortstr(key);
    names.bits(&[false]).table(&[])
}

fn table(arguments: &[(&str, Value)]) -> Vec<(String, Value)> {
    arguments.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// A channel's close for a method that can't be used.
#[track_caller]
fn refused(client: &mut Client, id: MethodId, args: &Args) {
    client.raw().send_method(1, id, args).unwrap();
    let closed = client.receive();
    let Err(RawError::Closed { channel: 1, code: 406, text, cause }) = &closed else {
        panic!("{closed:?}");
    };
    assert!(text.starts_with("PRECONDITION_FAILED - "), "{text}");
    assert_eq!(*cause, id, "{text}");
}

#[test]
fn a_closed_channel_drops_everything_and_can_be_opened_again() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    refused(&mut client, method::QUEUE_DECLARE, &declare("q", "da"));
    // Until close-ok comes.
    client.raw().send_method(1, method::QUEUE_DECLARE, &declare("q", "")).unwrap();
    client.reopen().unwrap();
    client.declare_queue_as("q", "p", &[]).unwrap();
}

#[test]
fn a_closed_connection_ends_with_its_close_ok() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.raw().send_method(7, method::QUEUE_DECLARE, &declare("q", "")).unwrap();
    let closed = client.receive();
    assert!(matches!(&closed, Err(RawError::Closed { channel: 0, code: 504, .. })), "{closed:?}");
    client.raw().send_method(0, method::CONNECTION_CLOSE_OK, &Args::new()).unwrap();
    assert!(matches!(client.receive(), Err(RawError::EndOfStream)));
}

#[test]
fn bindings_that_make_no_sense() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    client.declare_exchange("ring", "x-consistent-hash", "", &[]).unwrap();
    refused(&mut client, method::QUEUE_BIND, &bind("q", "ring", "heavy"));
}

#[test]
fn route_exchanges_name_a_route() {
    let node = Node::start().unwrap();
    for route in [None, Some(Value::I32(1)), Some(Value::Str("none".into()))] {
        let mut client = Client::open(node.amqp()).unwrap();
        let arguments: Vec<_> = route.map(|route| ("x-route", route)).into_iter().collect();
        refused(&mut client, method::EXCHANGE_DECLARE, &exchange("new", "x-wasm", &arguments));
    }
}

#[test]
fn a_table_or_a_name_that_can_not_be_read() {
    let node = Node::start().unwrap();
    let bad = |args: Args| {
        let mut client = Client::open(node.amqp()).unwrap();
        client.raw().send_method(1, method::QUEUE_DECLARE, &args).unwrap();
        let closed = client.receive();
        let Err(RawError::Closed { channel: 0, code: 501, text, .. }) = &closed else {
            panic!("{closed:?}");
        };
        assert!(text.starts_with("FRAME_ERROR - "), "{text}");
    };
    let names = || Args::new().short(0).shortstr("q").bits(&[false; 5]);
    bad(names().raw(&[0, 0, 0, 3, 1, b'a', b'?']));
    bad(names().raw(&[0, 0, 0, 9, 1, b'a', b'I', 0]));
    bad(names().raw(&[0, 0]));
    bad(Args::new().short(0).raw(&[2, 0xc3, 0x28]).bits(&[false; 5]).table(&[]));
}
