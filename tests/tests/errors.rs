//! What a client is told when it asks for what it can't have: RabbitMQ's reply codes and texts.

use shunt_tests::amqp_raw::{Args, MethodId, RawError, Value, method, push_content, push_method};
use shunt_tests::{Client, Consume, Node, Props};

/// What a case does before its last step, which is refused.
type Setup = fn(&mut Client);

fn nothing(_: &mut Client) {}

fn tx_select(client: &mut Client) {
    client.call(method::TX_SELECT, &Args::new(), method::TX_SELECT_OK).unwrap();
}

fn confirm_select(client: &mut Client) {
    client.confirm_select().unwrap();
}

/// An unsettled message with the delivery tag 1.
fn one_got(client: &mut Client) {
    let (queue, ..) = client.declare_queue_as("", "e", &[]).unwrap();
    client.publish("", &queue, &Props::new(), b"x").unwrap();
    client.get_as(&queue, false).unwrap().unwrap();
}

/// A consumer `c` of the exclusive queue that was declared last.
fn consuming(client: &mut Client) {
    client.declare_queue_as("", "e", &[]).unwrap();
    client.consume("", Consume { tag: "c", ..Consume::default() }).unwrap();
}

fn declare(queue: &str, flags: &str, arguments: &[(&str, Value)]) -> Args {
    let bits = ['p', 'd', 'e', 'a', 'n'].map(|flag| flags.contains(flag));
    Args::new().short(0).shortstr(queue).bits(&bits).table(&table(arguments))
}

fn exchange(exchange: &str, kind: &str, flags: &str, arguments: &[(&str, Value)]) -> Args {
    let bits = ['p', 'd', 'a', 'i', 'n'].map(|flag| flags.contains(flag));
    Args::new().short(0).shortstr(exchange).shortstr(kind).bits(&bits).table(&table(arguments))
}

fn bind(queue: &str, exchange: &str, key: &str, arguments: &[(&str, Value)]) -> Args {
    let names = Args::new().short(0).shortstr(queue).shortstr(exchange).shortstr(key);
    names.bits(&[false]).table(&table(arguments))
}

fn consume(queue: &str, tag: &str) -> Args {
    Args::new().short(0).shortstr(queue).shortstr(tag).bits(&[false; 4]).table(&[])
}

fn get(queue: &str) -> Args {
    Args::new().short(0).shortstr(queue).bits(&[false])
}

fn table(arguments: &[(&str, Value)]) -> Vec<(String, Value)> {
    arguments.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn text(value: &str) -> Value {
    Value::Str(value.into())
}

/// How the broker closed channel or connection.
#[derive(Debug)]
struct Close {
    channel: u16,
    code: u16,
    text: String,
    cause: MethodId,
}

#[track_caller]
fn close(outcome: Result<impl std::fmt::Debug, RawError>) -> Close {
    match outcome {
        Err(RawError::Closed { channel, code, text, cause }) => {
            Close { channel, code, text, cause }
        }
        other => panic!("no close: {other:?}"),
    }
}

/// A node with what the cases need, and the connection that holds it.
fn node() -> (Node, Client) {
    let node = Node::builder().setting("amqp.message_size_max", 100_000).start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    client.publish("", "q", &Props::new(), b"x").unwrap();
    client.declare_queue("used").unwrap();
    client.consume("used", Consume::default()).unwrap();
    client.declare_queue_as("mine", "e", &[]).unwrap();
    client.declare_exchange("inside", "fanout", "i", &[]).unwrap();
    client.declare_exchange("e", "fanout", "", &[]).unwrap();
    client.bind("q", "e", "", &[]).unwrap();
    client.declare_queue_as("bounded", "d", &table(&[("x-max-length", Value::I32(5))])).unwrap();
    (node, client)
}

#[track_caller]
fn check(node: &Node, setup: Setup, id: MethodId, args: &Args, code: u16, expected: &str) {
    let mut client = Client::open(node.amqp()).unwrap();
    setup(&mut client);
    client.raw().send_method(1, id, args).unwrap();
    let close = close(client.receive());
    let is_hard = code == 503 || (500..).contains(&code);
    let name = format!("{id} {expected}");
    assert_eq!(close.channel, if is_hard { 0 } else { 1 }, "{name}: {close:?}");
    assert_eq!((close.code, close.cause), (code, id), "{name}: {close:?}");
    assert!(close.text.starts_with(expected), "{name}: {close:?}");
    if is_hard {
        client.raw().send_method(0, method::CONNECTION_CLOSE_OK, &Args::new()).unwrap();
        assert!(matches!(client.receive(), Err(RawError::EndOfStream)), "{name}");
    } else {
        // Everything is dropped until close-ok; then the channel can be opened again.
        client.raw().send_method(1, method::QUEUE_DECLARE, &declare("q", "", &[])).unwrap();
        client.reopen().unwrap();
        client.declare_queue_as("q", "p", &[]).unwrap();
    }
}

#[test]
fn what_is_not_there() {
    let (node, _holder) = node();
    let check = |id, args: Args, text: &str| check(&node, nothing, id, &args, 404, text);
    let no_queue = "NOT_FOUND - no queue 'none' in vhost '/'";
    let no_exchange = "NOT_FOUND - no exchange 'none' in vhost '/'";
    check(method::QUEUE_DECLARE, declare("none", "p", &[]), no_queue);
    check(method::EXCHANGE_DECLARE, exchange("none", "direct", "p", &[]), no_exchange);
    check(method::BASIC_CONSUME, consume("none", ""), no_queue);
    check(method::BASIC_GET, get("none"), no_queue);
    check(method::QUEUE_PURGE, get("none"), no_queue);
    check(method::QUEUE_BIND, bind("none", "amq.direct", "", &[]), no_queue);
    check(method::QUEUE_BIND, bind("q", "none", "", &[]), no_exchange);
    check(method::EXCHANGE_BIND, bind("none", "amq.direct", "", &[]), no_exchange);
    check(method::EXCHANGE_BIND, bind("amq.direct", "none", "", &[]), no_exchange);
    check(method::BASIC_GET, get(""), "NOT_FOUND - no previously declared queue");
}

#[test]
fn what_nobody_may_do() {
    let (node, _holder) = node();
    let check = |id, args: Args, text: &str| check(&node, nothing, id, &args, 403, text);
    let reserved = "ACCESS_REFUSED - queue name 'amq.x' contains reserved prefix 'amq.*'";
    check(method::QUEUE_DECLARE, declare("amq.x", "", &[]), reserved);
    let reserved = "ACCESS_REFUSED - exchange name 'amq.x' contains reserved prefix 'amq.*'";
    check(method::EXCHANGE_DECLARE, exchange("amq.x", "direct", "", &[]), reserved);
    let default = "ACCESS_REFUSED - operation not permitted on the default exchange";
    check(method::EXCHANGE_DECLARE, exchange("", "direct", "", &[]), default);
    check(method::EXCHANGE_DECLARE, exchange("", "direct", "p", &[]), default);
    check(method::QUEUE_BIND, bind("q", "", "", &[]), default);
    let delete = |name: &str| Args::new().short(0).shortstr(name).bits(&[false; 2]);
    check(method::EXCHANGE_DELETE, delete(""), default);
    check(method::EXCHANGE_DELETE, delete("amq.direct"), "ACCESS_REFUSED - ");
}

#[test]
fn what_belongs_to_another_connection() {
    let (node, _holder) = node();
    let locked =
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost '/'";
    let check = |id, args: Args| check(&node, nothing, id, &args, 405, locked);
    check(method::QUEUE_DECLARE, declare("mine", "e", &[]));
    // Who owns it comes before whether it was declared alike.
    check(method::QUEUE_DECLARE, declare("mine", "d", &[]));
    check(method::QUEUE_DECLARE, declare("mine", "p", &[]));
    check(method::BASIC_CONSUME, consume("mine", ""));
    check(method::BASIC_GET, get("mine"));
    check(method::QUEUE_PURGE, get("mine"));
    check(method::QUEUE_BIND, bind("mine", "amq.direct", "", &[]));
    check(method::QUEUE_DELETE, Args::new().short(0).shortstr("mine").bits(&[false; 3]));
}

#[test]
fn declarations_that_do_not_fit() {
    let (node, _holder) = node();
    let check = |id, args: Args, text: &str| check(&node, nothing, id, &args, 406, text);
    let differs = "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': \
                   received 'false' but current is 'true'";
    check(method::QUEUE_DECLARE, declare("q", "", &[]), differs);
    let differs = "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue 'q'";
    check(method::QUEUE_DECLARE, declare("q", "da", &[]), differs);
    let differs = "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'bounded' in \
                   vhost '/': received none but current is the value '5'";
    check(method::QUEUE_DECLARE, declare("bounded", "d", &[]), differs);
    let differs = "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'e' in vhost '/': \
                   received 'direct' but current is 'fanout'";
    check(method::EXCHANGE_DECLARE, exchange("e", "direct", "", &[]), differs);
    let differs = "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'e'";
    check(method::EXCHANGE_DECLARE, exchange("e", "fanout", "d", &[]), differs);

    let unknown = "PRECONDITION_FAILED - unknown exchange type 'x-none'";
    check(method::EXCHANGE_DECLARE, exchange("new", "x-none", "", &[]), unknown);
    let alternate = [("alternate-exchange", Value::I32(1))];
    check(
        method::EXCHANGE_DECLARE,
        exchange("new", "direct", "", &alternate),
        "PRECONDITION_FAILED - invalid arg 'alternate-exchange'",
    );
    for (name, value) in [
        ("x-message-ttl", Value::I32(-1)),
        ("x-message-ttl", text("soon")),
        ("x-expires", Value::I32(0)),
        ("x-max-length", Value::I32(-1)),
        ("x-max-priority", Value::I32(256)),
        ("x-overflow", text("spill")),
        ("x-dead-letter-exchange", Value::I32(1)),
        ("x-dead-letter-routing-key", text("without an exchange")),
        ("x-queue-type", text("stack")),
    ] {
        let invalid = format!("PRECONDITION_FAILED - invalid arg '{name}'");
        check(method::QUEUE_DECLARE, declare("new", "d", &[(name, value)]), &invalid);
    }
    // Arguments that nobody knows are nobody's business.
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue_as("odd", "d", &table(&[("x-odd", Value::Bool(true))])).unwrap();
}

#[test]
fn bindings_that_make_no_sense() {
    let (node, mut holder) = node();
    holder.declare_exchange("ring", "x-consistent-hash", "", &[]).unwrap();
    let check =
        |args: Args, text: &str| check(&node, nothing, method::QUEUE_BIND, &args, 406, text);
    check(bind("q", "ring", "heavy", &[]), "PRECONDITION_FAILED - ");
    check(bind("q", "amq.headers", "", &[("x-match", text("some"))]), "PRECONDITION_FAILED - ");
    check(bind("q", "amq.headers", "", &[("x-match", Value::I32(1))]), "PRECONDITION_FAILED - ");
}

#[test]
fn route_exchanges_name_a_route() {
    let (node, _holder) = node();
    let check = |arguments: &[(&str, Value)], text: &str| {
        let args = exchange("new", "x-wasm", "", arguments);
        check(&node, nothing, method::EXCHANGE_DECLARE, &args, 406, text);
    };
    check(&[], "PRECONDITION_FAILED - ");
    check(&[("x-route", Value::I32(1))], "PRECONDITION_FAILED - ");
    check(&[("x-route", text("none"))], "PRECONDITION_FAILED - ");
}

#[test]
fn what_is_still_needed_is_not_deleted() {
    let (node, _holder) = node();
    let check = |id, args: Args, text: &str| check(&node, nothing, id, &args, 406, text);
    let queue = |name: &str, bits| Args::new().short(0).shortstr(name).bits(bits);
    let (if_unused, if_empty) = (&[true, false, false], &[false, true, false]);
    let not_empty = "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty";
    check(method::QUEUE_DELETE, queue("q", if_empty), not_empty);
    let in_use = "PRECONDITION_FAILED - queue 'used' in vhost '/' in use";
    check(method::QUEUE_DELETE, queue("used", if_unused), in_use);
    let in_use = "PRECONDITION_FAILED - exchange 'e' in vhost '/' in use";
    check(method::EXCHANGE_DELETE, queue("e", &[true, false]), in_use);
}

#[test]
fn delivery_tags_that_are_not_outstanding() {
    let (node, _holder) = node();
    let unknown = |setup, id, tag: u64, bits: &[bool]| {
        let args = Args::new().longlong(tag).bits(bits);
        let text = format!("PRECONDITION_FAILED - unknown delivery tag {tag}");
        check(&node, setup, id, &args, 406, &text);
    };
    for setup in [nothing as Setup, one_got] {
        unknown(setup, method::BASIC_ACK, 7, &[false]);
        unknown(setup, method::BASIC_ACK, 7, &[true]);
        unknown(setup, method::BASIC_ACK, 0, &[false]);
        unknown(setup, method::BASIC_REJECT, 7, &[true]);
        unknown(setup, method::BASIC_NACK, 7, &[true, true]);
    }
    let acked = |client: &mut Client| {
        one_got(client);
        client.ack(1, false).unwrap();
    };
    unknown(acked, method::BASIC_ACK, 1, &[false]);
    unknown(acked, method::BASIC_ACK, 1, &[true]);
    // All of none is fine.
    let mut client = Client::open(node.amqp()).unwrap();
    client.ack(0, true).unwrap();
    client.sync().unwrap();
}

#[test]
fn modes_exclude_each_other() {
    let (node, _holder) = node();
    let (none, no_wait) = (Args::new(), Args::new().bits(&[false]));
    let check = |setup, id, args, text: &str| check(&node, setup, id, args, 406, text);
    let not_tx = "PRECONDITION_FAILED - channel is not transactional";
    check(nothing, method::TX_COMMIT, &none, not_tx);
    check(nothing, method::TX_ROLLBACK, &none, not_tx);
    let text = "PRECONDITION_FAILED - cannot switch from tx to confirm mode";
    check(tx_select, method::CONFIRM_SELECT, &no_wait, text);
    let text = "PRECONDITION_FAILED - cannot switch from confirm to tx mode";
    check(confirm_select, method::TX_SELECT, &none, text);
}

/// Publishes and tells how that was refused.
fn publish(node: &Node, exchange: &str, props: &Props, body: &[u8], immediate: bool) -> Close {
    let mut client = Client::open(node.amqp()).unwrap();
    let args = Args::new().short(0).shortstr(exchange).shortstr("q").bits(&[false, immediate]);
    let mut bytes = Vec::new();
    push_method(&mut bytes, 1, method::BASIC_PUBLISH, &args);
    push_content(&mut bytes, 1, &props.encode(), body, 131_072);
    client.raw().send(&bytes).unwrap();
    close(client.receive())
}

#[test]
fn publishes_that_are_refused() {
    let (node, _holder) = node();
    let check = |exchange: &str, props: Props, body: &[u8], code: u16, expected: &str| {
        let close = publish(&node, exchange, &props, body, false);
        assert_eq!((close.channel, close.code), (1, code), "{close:?}");
        assert_eq!(close.cause, method::BASIC_PUBLISH, "{close:?}");
        assert!(close.text.starts_with(expected), "{close:?}");
    };
    let plain = Props::new;
    check("none", plain(), b"", 404, "NOT_FOUND - no exchange 'none' in vhost '/'");
    let internal = "ACCESS_REFUSED - cannot publish to internal exchange 'inside' in vhost '/'";
    check("inside", plain(), b"", 403, internal);
    let large =
        "PRECONDITION_FAILED - message size 100001 is larger than configured max size 100000";
    check("", plain(), &[0; 100_001], 406, large);
    for expiration in ["soon", "-1", "1.5", "315360000001"] {
        let props = plain().text("expiration", expiration);
        let invalid = format!("PRECONDITION_FAILED - invalid expiration '{expiration}'");
        check("", props, b"", 406, &invalid);
    }
    let user = "PRECONDITION_FAILED - user_id property set to 'other' but authenticated user was \
                'guest'";
    check("", plain().text("user_id", "other"), b"", 406, user);
    for name in ["CC", "BCC"] {
        check("", plain().text_header(name, "q"), b"", 406, "PRECONDITION_FAILED - ");
    }

    let close = publish(&node, "", &plain(), b"x", true);
    assert_eq!((close.channel, close.code), (0, 540), "{close:?}");
}

#[test]
fn what_is_not_implemented_ends_the_connection() {
    let (node, _holder) = node();
    let check =
        |setup, id, args: Args, code, text: &str| check(&node, setup, id, &args, code, text);
    let size = Args::new().long(1).short(0).bits(&[false]);
    check(nothing, method::BASIC_QOS, size, 540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)");
    let flow = Args::new().bits(&[false]);
    check(nothing, method::CHANNEL_FLOW, flow.clone(), 540, "NOT_IMPLEMENTED - active=false");
    check(nothing, method::BASIC_RECOVER, flow, 540, "NOT_IMPLEMENTED - requeue=false");
    let consume = Args::new().short(0).shortstr("").shortstr("c").bits(&[false; 4]).table(&[]);
    let reused = "NOT_ALLOWED - attempt to reuse consumer tag 'c'";
    check(consuming, method::BASIC_CONSUME, consume, 530, reused);
    // A method that only a server sends.
    let get_empty = Args::new().shortstr("");
    check(nothing, method::BASIC_GET_EMPTY, get_empty, 503, "COMMAND_INVALID - ");
}

#[test]
fn channels_that_are_not_open() {
    let node = Node::start().unwrap();
    let on = |channel: u16, id, args: Args| {
        let mut client = Client::open(node.amqp()).unwrap();
        client.raw().send_method(channel, id, &args).unwrap();
        close(client.receive())
    };
    let unopened = on(7, method::BASIC_GET, get("q"));
    assert_eq!((unopened.channel, unopened.code), (0, 504), "{unopened:?}");
    let twice = on(1, method::CHANNEL_OPEN, Args::new().shortstr(""));
    assert_eq!((twice.channel, twice.code), (0, 504), "{twice:?}");
    let on_zero = on(0, method::BASIC_GET, get("q"));
    assert_eq!((on_zero.channel, on_zero.code), (0, 504), "{on_zero:?}");
    let tuned = on(0, method::CONNECTION_TUNE_OK, Args::new().short(9).long(8192).short(0));
    assert_eq!((tuned.channel, tuned.code), (0, 504), "{tuned:?}");
    for close in [unopened, twice, on_zero, tuned] {
        assert!(close.text.starts_with("CHANNEL_ERROR - "), "{close:?}");
    }
}

#[test]
fn a_table_or_a_name_that_can_not_be_read() {
    let node = Node::start().unwrap();
    let bad = |args: Args| {
        let mut client = Client::open(node.amqp()).unwrap();
        client.raw().send_method(1, method::QUEUE_DECLARE, &args).unwrap();
        let close = close(client.receive());
        assert_eq!((close.channel, close.code), (0, 501), "{close:?}");
        assert!(close.text.starts_with("FRAME_ERROR - "), "{close:?}");
    };
    let names = || Args::new().short(0).shortstr("q").bits(&[false; 5]);
    bad(names().raw(&[0, 0, 0, 3, 1, b'a', b'?']));
    bad(names().raw(&[0, 0, 0, 9, 1, b'a', b'I', 0]));
    bad(names().raw(&[0, 0]));
    bad(Args::new().short(0).raw(&[2, 0xc3, 0x28]).bits(&[false; 5]).table(&[]));
}

#[test]
fn access_request_is_always_granted() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    let args = Args::new().shortstr("/data").bits(&[true; 5]);
    let ok = client.call(MethodId(30, 10), &args, MethodId(30, 11)).unwrap();
    assert_eq!(ok, [0, 1]);
}

#[test]
fn a_direct_reply_needs_a_consumer() {
    let (node, _holder) = node();
    let props = Props::new().text("reply_to", "amq.rabbitmq.reply-to");
    let close = publish(&node, "", &props, b"", false);
    assert_eq!((close.channel, close.code), (1, 406), "{close:?}");
    let expected = "PRECONDITION_FAILED - fast reply consumer does not exist";
    assert!(close.text.starts_with(expected), "{close:?}");
}
