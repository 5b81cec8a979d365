//! Class basic (60).

use super::*;

fn consume(queue: &str, tag: &str, no_ack: bool, exclusive: bool) -> Args {
    consume_with(queue, tag, no_ack, exclusive, &[])
}

fn consume_with(
    queue: &str,
    tag: &str,
    no_ack: bool,
    exclusive: bool,
    arguments: &[(&str, Value)],
) -> Args {
    let names = Args::new().short(0).shortstr(queue).shortstr(tag);
    names.bits(&[false, no_ack, exclusive, false]).table(&table(arguments))
}

fn get(queue: &str) -> Args {
    Args::new().short(0).shortstr(queue).bits(&[false])
}

#[test]
fn publish_is_answered_where_it_is_refused() {
    let plain = Props::new;
    let cc = |value| Props::new().header("CC", value);
    let to_q = ("", "q");
    let immediate = {
        let args = Args::new().short(0).shortstr("").shortstr("q").bits(&[false, true]);
        let mut line = row(
            "immediate",
            fresh,
            method::BASIC_PUBLISH,
            args,
            Connection(540, "NOT_IMPLEMENTED - immediate=true"),
        );
        push_content(&mut line.sent, 1, &plain().encode(), b"x", 131_072);
        line
    };
    check(vec![
        then_ask(publish("to a queue", fresh, to_q, plain(), b"x", Nothing)),
        then_ask(publish("to nowhere", fresh, ("", "none"), plain(), b"x", Nothing)),
        immediate,
        publish(
            "to no exchange",
            fresh,
            ("none", ""),
            plain(),
            b"x",
            Channel(404, "NOT_FOUND - no exchange 'none' in vhost '/'"),
        ),
        publish(
            "to an internal exchange",
            fresh,
            ("inside", ""),
            plain(),
            b"x",
            Channel(
                403,
                "ACCESS_REFUSED - cannot publish to internal exchange 'inside' in vhost '/'",
            ),
        ),
        publish(
            "too large",
            fresh,
            to_q,
            plain(),
            &[0; 100_001],
            Channel(
                406,
                "PRECONDITION_FAILED - message size 100001 is larger than configured max size 100000",
            ),
        ),
        publish(
            "an expiration that is no number",
            fresh,
            to_q,
            plain().text("expiration", "soon"),
            b"",
            Channel(406, "PRECONDITION_FAILED - invalid expiration 'soon'"),
        ),
        publish(
            "a negative expiration",
            fresh,
            to_q,
            plain().text("expiration", "-1"),
            b"",
            Channel(406, "PRECONDITION_FAILED - invalid expiration '-1'"),
        ),
        publish(
            "an expiration over ten years",
            fresh,
            to_q,
            plain().text("expiration", "315360000001"),
            b"",
            Channel(406, "PRECONDITION_FAILED - invalid expiration '315360000001'"),
        ),
        publish(
            "CC that is no array",
            fresh,
            to_q,
            cc(text("q")),
            b"",
            Channel(
                406,
                "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"CC\",longstr}",
            ),
        ),
        publish(
            "BCC that is no array",
            fresh,
            to_q,
            plain().header("BCC", Value::I32(1)),
            b"",
            Channel(
                406,
                "PRECONDITION_FAILED - invalid message: \
                {unacceptable_type_in_header,\"BCC\",signedint}",
            ),
        ),
        then_ask(publish(
            "CC with what is no text",
            fresh,
            to_q,
            cc(Value::Array(vec![Value::I32(1)])),
            b"",
            Nothing,
        )),
        publish(
            "another one's user id",
            fresh,
            to_q,
            plain().text("user_id", "other"),
            b"",
            Channel(
                406,
                "PRECONDITION_FAILED - user_id property set to 'other' but authenticated \
                user was 'guest'",
            ),
        ),
        then_ask(publish(
            "one's own user id",
            fresh,
            to_q,
            plain().text("user_id", "guest"),
            b"",
            Nothing,
        )),
        publish(
            "a direct reply without its consumer",
            fresh,
            to_q,
            plain().text("reply_to", "amq.rabbitmq.reply-to"),
            b"",
            Channel(406, "PRECONDITION_FAILED - fast reply consumer does not exist"),
        ),
    ]);
}

/// The queue `sac` has a single active consumer.
fn single_active(client: &mut Client) {
    let arguments = table(&[("x-single-active-consumer", Value::Bool(true))]);
    client.declare_queue_as("sac", "d", &arguments).unwrap();
}

#[test]
fn consume_cancel_get() {
    let consumed = || Method(method::BASIC_CONSUME_OK);
    let id = method::BASIC_CONSUME;
    let no_queue = "NOT_FOUND - no queue 'none' in vhost '/'";
    let locked = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine'";
    let in_use = "ACCESS_REFUSED - queue 'used' in vhost '/' in exclusive use";
    let cancel = |tag: &str| Args::new().shortstr(tag).bits(&[false]);
    check(vec![
        row("consume", fresh, id, consume("used", "", false, false), consumed()),
        row(
            "consume, none declared before",
            fresh,
            id,
            consume("", "", false, false),
            Channel(404, "NOT_FOUND - no previously declared queue"),
        ),
        row(
            "consume from none",
            fresh,
            id,
            consume("none", "", false, false),
            Channel(404, no_queue),
        ),
        row(
            "consume from somebody else's",
            fresh,
            id,
            consume("mine", "", false, false),
            Channel(405, locked),
        ),
        row(
            "consume alone, where somebody consumes",
            fresh,
            id,
            consume("used", "", false, true),
            Channel(403, in_use),
        ),
        row(
            "a tag twice",
            consumer_c,
            id,
            consume("used", "c", false, false),
            Connection(530, "NOT_ALLOWED - attempt to reuse consumer tag 'c'"),
        ),
        row(
            "a priority that is no number",
            fresh,
            id,
            consume_with("used", "", false, false, &[("x-priority", text("high"))]),
            Channel(
                406,
                "PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'used' in vhost '/': \
             \"expected integer, got longstr\"",
            ),
        ),
        row(
            "an argument of streams",
            fresh,
            id,
            consume_with("used", "", false, false, &[("x-stream-offset", text("first"))]),
            Channel(
                406,
                "PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 'used' in \
                vhost '/' of queue type rabbit_classic_queue",
            ),
        ),
        row(
            "replies with acknowledgements",
            fresh,
            id,
            consume("amq.rabbitmq.reply-to", "", false, false),
            Channel(406, "PRECONDITION_FAILED - reply consumer cannot acknowledge"),
        ),
        row("replies", fresh, id, consume("amq.rabbitmq.reply-to", "", true, false), consumed()),
        row(
            "cancel",
            consumer_c,
            method::BASIC_CANCEL,
            cancel("c"),
            Method(method::BASIC_CANCEL_OK),
        ),
        row(
            "cancel what is not there",
            fresh,
            method::BASIC_CANCEL,
            cancel("none"),
            Method(method::BASIC_CANCEL_OK),
        ),
        then_ask(row(
            "cancel-ok, unasked",
            fresh,
            method::BASIC_CANCEL_OK,
            Args::new().shortstr("c"),
            Nothing,
        )),
        row(
            "consume alone, where one of many is active",
            single_active,
            id,
            consume("sac", "", false, true),
            Channel(403, "ACCESS_REFUSED - queue 'sac' in vhost '/' in exclusive use"),
        ),
        row("get", fresh, method::BASIC_GET, get("q"), Method(method::BASIC_GET_OK)),
        row(
            "get from an empty one",
            fresh,
            method::BASIC_GET,
            get("bounded"),
            Method(method::BASIC_GET_EMPTY),
        ),
        row("get from none", fresh, method::BASIC_GET, get("none"), Channel(404, no_queue)),
        row(
            "get from somebody else's",
            fresh,
            method::BASIC_GET,
            get("mine"),
            Channel(405, locked),
        ),
        row(
            "get replies",
            fresh,
            method::BASIC_GET,
            get("amq.rabbitmq.reply-to"),
            Connection(540, "NOT_IMPLEMENTED - "),
        ),
    ]);
}

#[test]
fn settlements_and_qos() {
    let (ack, nack, reject) = (method::BASIC_ACK, method::BASIC_NACK, method::BASIC_REJECT);
    let tag = |tag: u64, bits: &[bool]| Args::new().longlong(tag).bits(bits);
    let qos = |size, count, global| Args::new().long(size).short(count).bits(&[global]);
    let recover = |requeue| Args::new().bits(&[requeue]);
    let acked = |client: &mut Client| {
        one_unsettled(client);
        client.ack(1, false).unwrap();
    };
    let unknown = |tag: u64| match tag {
        0 => Channel(406, "PRECONDITION_FAILED - unknown delivery tag 0"),
        1 => Channel(406, "PRECONDITION_FAILED - unknown delivery tag 1"),
        _ => Channel(406, "PRECONDITION_FAILED - unknown delivery tag 7"),
    };
    check(vec![
        then_ask(row("ack", one_unsettled, ack, tag(1, &[false]), Nothing)),
        then_ask(row("ack up to", one_unsettled, ack, tag(1, &[true]), Nothing)),
        then_ask(row("ack all", one_unsettled, ack, tag(0, &[true]), Nothing)),
        then_ask(row("ack all of none", fresh, ack, tag(0, &[true]), Nothing)),
        row("ack 0", one_unsettled, ack, tag(0, &[false]), unknown(0)),
        row("ack what never was", one_unsettled, ack, tag(7, &[false]), unknown(7)),
        row("ack up to what never was", one_unsettled, ack, tag(7, &[true]), unknown(7)),
        row("ack twice", acked, ack, tag(1, &[false]), unknown(1)),
        row("ack up to what was acked", acked, ack, tag(1, &[true]), unknown(1)),
        then_ask(row("nack", one_unsettled, nack, tag(1, &[false, true]), Nothing)),
        row("nack what never was", fresh, nack, tag(7, &[false, true]), unknown(7)),
        then_ask(row("reject", one_unsettled, reject, tag(1, &[true]), Nothing)),
        row("reject what never was", fresh, reject, tag(7, &[true]), unknown(7)),
        row(
            "recover",
            one_unsettled,
            method::BASIC_RECOVER,
            recover(true),
            Method(method::BASIC_RECOVER_OK),
        ),
        row(
            "recover without requeue",
            fresh,
            method::BASIC_RECOVER,
            recover(false),
            Connection(540, "NOT_IMPLEMENTED - requeue=false"),
        ),
        then_ask(row(
            "recover-async",
            one_unsettled,
            method::BASIC_RECOVER_ASYNC,
            recover(true),
            Nothing,
        )),
        row("qos", fresh, method::BASIC_QOS, qos(0, 10, false), Method(method::BASIC_QOS_OK)),
        row(
            "qos of the channel",
            fresh,
            method::BASIC_QOS,
            qos(0, 10, true),
            Method(method::BASIC_QOS_OK),
        ),
        row(
            "qos by size",
            fresh,
            method::BASIC_QOS,
            qos(1, 0, false),
            Connection(540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)"),
        ),
    ]);
}
