//! Class queue (50).

use super::*;

/// `flags` has a letter for each of passive, durable, exclusive, auto-delete and no-wait.
fn declare(queue: &str, flags: &str, arguments: &[(&str, Value)]) -> Args {
    let bits = ['p', 'd', 'e', 'a', 'n'].map(|flag| flags.contains(flag));
    Args::new().short(0).shortstr(queue).bits(&bits).table(&table(arguments))
}

fn bind(queue: &str, exchange: &str, arguments: &[(&str, Value)]) -> Args {
    let names = Args::new().short(0).shortstr(queue).shortstr(exchange).shortstr("k");
    names.bits(&[false]).table(&table(arguments))
}

fn unbind(queue: &str, exchange: &str) -> Args {
    let names = Args::new().short(0).shortstr(queue).shortstr(exchange).shortstr("k");
    names.table(&[])
}

fn delete(queue: &str, if_unused: bool, if_empty: bool) -> Args {
    Args::new().short(0).shortstr(queue).bits(&[if_unused, if_empty, false])
}

fn purge(queue: &str) -> Args {
    Args::new().short(0).shortstr(queue).bits(&[false])
}

const LOCKED: &str = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in \
    vhost '/'. It could be originally declared on another connection or the exclusive property \
    value does not match that of the original declaration.";
const NO_QUEUE: &str = "NOT_FOUND - no queue 'none' in vhost '/'";
const NO_EXCHANGE: &str = "NOT_FOUND - no exchange 'none' in vhost '/'";

#[test]
fn declare_finds_or_makes() {
    let declared = || Method(method::QUEUE_DECLARE_OK);
    let id = method::QUEUE_DECLARE;
    let ttl = |value| [("x-message-ttl", value)];
    let length = |value| [("x-max-length", value)];
    check(vec![
        row("a new one", fresh, id, declare("new", "d", &[]), declared()),
        row("the same again", fresh, id, declare("q", "d", &[]), declared()),
        row("a name of the server's", fresh, id, declare("", "e", &[]), declared()),
        row("passive", fresh, id, declare("q", "p", &[]), declared()),
        then_ask(row("no wait", fresh, id, declare("q", "dn", &[]), Nothing)),
        row("line ends are left out", fresh, id, declare("q\r\n", "p", &[]), declared()),
        row("transient, shared", fresh, id, declare("new-2", "", &[]), declared()),
        row("passive, not there", fresh, id, declare("none", "p", &[]), Channel(404, NO_QUEUE)),
        row(
            "passive, without a name",
            fresh,
            id,
            declare("", "p", &[]),
            Channel(404, "NOT_FOUND - no queue '' in vhost '/'"),
        ),
        row(
            "passive, without a name, after another",
            consumer_c,
            id,
            declare("", "p", &[]),
            Channel(404, "NOT_FOUND - no queue '' in vhost '/'"),
        ),
        row(
            "a reserved name",
            fresh,
            id,
            declare("amq.new", "d", &[]),
            Channel(403, "ACCESS_REFUSED - queue name 'amq.new' contains reserved prefix 'amq.*'"),
        ),
        row(
            "a reserved name, passive",
            fresh,
            id,
            declare("amq.new", "p", &[]),
            Channel(404, "NOT_FOUND - no queue 'amq.new' in vhost '/'"),
        ),
        row("somebody else's", fresh, id, declare("mine", "e", &[]), Channel(405, LOCKED)),
        row(
            "somebody else's, declared otherwise",
            fresh,
            id,
            declare("mine", "d", &[]),
            Channel(405, LOCKED),
        ),
        row("somebody else's, passive", fresh, id, declare("mine", "p", &[]), Channel(405, LOCKED)),
        row(
            "exclusive, was not",
            fresh,
            id,
            declare("q", "de", &[]),
            Channel(
                405,
                "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'.",
            ),
        ),
        row(
            "transient, was durable",
            fresh,
            id,
            declare("q", "", &[]),
            Channel(
                406,
                "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received \
             'false' but current is 'true'",
            ),
        ),
        row(
            "auto-delete, was not",
            fresh,
            id,
            declare("q", "da", &[]),
            Channel(
                406,
                "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue 'q' in vhost '/': \
             received 'true' but current is 'false'",
            ),
        ),
        row(
            "an argument, had none",
            fresh,
            id,
            declare("q", "d", &ttl(Value::I32(6))),
            Channel(
                406,
                "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': \
             received the value '6' of type 'signedint' but current is none",
            ),
        ),
        row(
            "no argument, had one",
            fresh,
            id,
            declare("bounded", "d", &[]),
            Channel(
                406,
                "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'bounded' in vhost \
             '/': received none but current is the value '5' of type 'signedint'",
            ),
        ),
        row(
            "another value",
            fresh,
            id,
            declare("bounded", "d", &length(Value::I32(6))),
            Channel(
                406,
                "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'bounded' in vhost \
             '/': received '6' but current is '5'",
            ),
        ),
        row(
            "the same value in another width",
            fresh,
            id,
            declare("bounded", "d", &length(Value::I64(5))),
            declared(),
        ),
        row(
            "the default type, said",
            fresh,
            id,
            declare("q", "d", &[("x-queue-type", text("classic"))]),
            declared(),
        ),
        row(
            "an argument that nobody knows",
            fresh,
            id,
            declare("new-3", "d", &[("x-odd", Value::Void)]),
            declared(),
        ),
        row(
            "modes of RabbitMQ's past",
            fresh,
            id,
            declare(
                "new-4",
                "d",
                &[("x-queue-mode", text("lazy")), ("x-queue-version", Value::I32(2))],
            ),
            declared(),
        ),
    ]);
}

#[test]
fn arguments_that_can_not_be() {
    let refused = |name: &'static str, value: Value, expected: &'static str| {
        let args = declare("new", "d", &[(name, value)]);
        row(name, fresh, method::QUEUE_DECLARE, args, Channel(406, expected))
    };
    let minus = Value::I32(-1);
    check(vec![
        refused(
            "x-message-ttl",
            minus.clone(),
            "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'new' in vhost '/': \
             {value_negative,-1}, must be 0 to 315360000000",
        ),
        refused(
            "x-message-ttl",
            Value::I64(315_360_000_001),
            "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'new' in vhost '/': \
             {value_too_large,315360000001}, must be 0 to 315360000000",
        ),
        refused(
            "x-message-ttl",
            text("soon"),
            "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'new' in vhost '/': \
             \"expected integer, got longstr\" 'soon', must be 0 to",
        ),
        refused(
            "x-message-ttl",
            Value::Double(1.5),
            "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'new' in vhost '/': \
             \"expected integer, got double\"",
        ),
        refused(
            "x-expires",
            Value::I32(0),
            "PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'new' in vhost '/': \
             {value_zero,0}, must be 1 to",
        ),
        refused(
            "x-expires",
            minus.clone(),
            "PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'new' in vhost '/': \
             {value_negative,-1}",
        ),
        refused(
            "x-max-length",
            minus.clone(),
            "PRECONDITION_FAILED - invalid arg 'x-max-length' for queue 'new' in vhost '/': \
             {value_negative,-1}",
        ),
        refused(
            "x-max-length-bytes",
            Value::Bool(true),
            "PRECONDITION_FAILED - invalid arg 'x-max-length-bytes' for queue 'new' in vhost '/': \
             \"expected integer, got bool\"",
        ),
        refused(
            "x-max-priority",
            Value::I32(256),
            "PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue 'new' in vhost '/': \
             {max_value_exceeded,256}, must be 0 to 255",
        ),
        refused(
            "x-overflow",
            text("spill"),
            "PRECONDITION_FAILED - invalid arg 'x-overflow' for queue 'new' in vhost '/': \
             invalid_overflow 'spill', must be 'drop-head', 'reject-publish' or",
        ),
        refused(
            "x-overflow",
            Value::I32(1),
            "PRECONDITION_FAILED - invalid arg 'x-overflow' for queue 'new' in vhost '/': \
             {unacceptable_type,signedint}",
        ),
        refused(
            "x-dead-letter-exchange",
            Value::I32(1),
            "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in \
             queue 'new' in vhost '/'",
        ),
        refused(
            "x-dead-letter-routing-key",
            text("k"),
            "PRECONDITION_FAILED - invalid arg 'x-dead-letter-routing-key' for queue 'new' in vhost \
             '/': routing_key_but_no_dlx_defined",
        ),
        refused(
            "x-single-active-consumer",
            text("yes"),
            "PRECONDITION_FAILED - invalid arg 'x-single-active-consumer' for queue 'new' in vhost \
             '/': {unacceptable_type,longstr} 'yes', must be bool",
        ),
        refused(
            "x-queue-mode",
            text("odd"),
            "PRECONDITION_FAILED - invalid arg 'x-queue-mode' for queue 'new' in vhost '/': \
             \"unsupported queue mode 'odd'\", must be 'default' or 'lazy'",
        ),
        refused(
            "x-queue-version",
            Value::I32(3),
            "PRECONDITION_FAILED - invalid arg 'x-queue-version' for queue 'new' in vhost '/': \
             \"unsupported queue version '3'\"",
        ),
        refused(
            "x-queue-type",
            text("stack"),
            "PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue 'new' in vhost '/': \
             \"unsupported queue type 'stack'\", must be 'classic'",
        ),
        refused(
            "x-consumer-timeout",
            Value::I32(0),
            "PRECONDITION_FAILED - invalid arg 'x-consumer-timeout' for queue 'new' in vhost '/': \
             {value_zero,0}",
        ),
        refused(
            "x-delivery-limit",
            Value::I32(3),
            "PRECONDITION_FAILED - invalid arg 'x-delivery-limit' for queue 'new' in vhost '/' of \
             queue type rabbit_classic_queue",
        ),
        refused(
            "x-max-age",
            text("1D"),
            "PRECONDITION_FAILED - invalid arg 'x-max-age' for queue 'new' in vhost '/' of queue \
             type rabbit_classic_queue",
        ),
    ]);
}

#[test]
fn bind_unbind_purge_delete() {
    let default = "ACCESS_REFUSED - operation not permitted on the default exchange";
    let headers = |value| [("x-match", value)];
    let (to_bind, to_unbind) = (method::QUEUE_BIND, method::QUEUE_UNBIND);
    let (to_purge, to_delete) = (method::QUEUE_PURGE, method::QUEUE_DELETE);
    let last = |client: &mut Client| drop(client.declare_queue_as("", "e", &[]).unwrap());
    check(vec![
        row("bind", fresh, to_bind, bind("q", "x", &[]), Method(method::QUEUE_BIND_OK)),
        row(
            "bind the last declared",
            last,
            to_bind,
            bind("", "x", &[]),
            Method(method::QUEUE_BIND_OK),
        ),
        row(
            "bind, none declared before",
            fresh,
            to_bind,
            bind("", "x", &[]),
            Channel(404, "NOT_FOUND - no previously declared queue"),
        ),
        row("bind none", fresh, to_bind, bind("none", "x", &[]), Channel(404, NO_QUEUE)),
        row("bind to none", fresh, to_bind, bind("q", "none", &[]), Channel(404, NO_EXCHANGE)),
        row(
            "bind to the default exchange",
            fresh,
            to_bind,
            bind("q", "", &[]),
            Channel(403, default),
        ),
        row("bind somebody else's", fresh, to_bind, bind("mine", "x", &[]), Channel(405, LOCKED)),
        row(
            "bind with an unknown x-match",
            fresh,
            to_bind,
            bind("q", "amq.headers", &headers(text("some"))),
            Channel(
                406,
                "PRECONDITION_FAILED - invalid binding 'k' from exchange 'amq.headers' in vhost '/': Invalid x-match field value 'some'",
            ),
        ),
        row(
            "bind with an x-match of another type",
            fresh,
            to_bind,
            bind("q", "amq.headers", &headers(Value::I32(1))),
            Channel(
                406,
                "PRECONDITION_FAILED - invalid binding 'k' from exchange 'amq.headers' in vhost '/': Invalid x-match field type signedint",
            ),
        ),
        row("unbind", fresh, to_unbind, unbind("q", "x"), Method(method::QUEUE_UNBIND_OK)),
        row(
            "unbind what is not bound",
            fresh,
            to_unbind,
            unbind("q", "amq.topic"),
            Method(method::QUEUE_UNBIND_OK),
        ),
        row(
            "unbind what is not there",
            fresh,
            to_unbind,
            unbind("none", "none"),
            Method(method::QUEUE_UNBIND_OK),
        ),
        row("purge", fresh, to_purge, purge("bounded"), Method(method::QUEUE_PURGE_OK)),
        row("purge none", fresh, to_purge, purge("none"), Channel(404, NO_QUEUE)),
        row("purge somebody else's", fresh, to_purge, purge("mine"), Channel(405, LOCKED)),
        row(
            "delete none",
            fresh,
            to_delete,
            delete("none", false, false),
            Method(method::QUEUE_DELETE_OK),
        ),
        row(
            "delete if unused, in use",
            fresh,
            to_delete,
            delete("used", true, false),
            Channel(406, "PRECONDITION_FAILED - queue 'used' in vhost '/' in use"),
        ),
        row(
            "delete if empty, not empty",
            fresh,
            to_delete,
            delete("q", false, true),
            Channel(406, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty"),
        ),
        row(
            "delete somebody else's",
            fresh,
            to_delete,
            delete("mine", false, false),
            Channel(405, LOCKED),
        ),
        row(
            "delete if unused and empty",
            fresh,
            to_delete,
            delete("bounded", true, true),
            Method(method::QUEUE_DELETE_OK),
        ),
        row(
            "delete in use",
            fresh,
            to_delete,
            delete("used", false, false),
            Method(method::QUEUE_DELETE_OK),
        ),
    ]);
}
