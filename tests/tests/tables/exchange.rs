//! Class exchange (40).

use super::*;

/// `flags` has a letter for each of passive, durable, auto-delete, internal and no-wait.
fn declare(exchange: &str, kind: &str, flags: &str, arguments: &[(&str, Value)]) -> Args {
    let bits = ['p', 'd', 'a', 'i', 'n'].map(|flag| flags.contains(flag));
    Args::new().short(0).shortstr(exchange).shortstr(kind).bits(&bits).table(&table(arguments))
}

fn delete(exchange: &str, if_unused: bool) -> Args {
    Args::new().short(0).shortstr(exchange).bits(&[if_unused, false])
}

fn bind(destination: &str, source: &str) -> Args {
    let names = Args::new().short(0).shortstr(destination).shortstr(source).shortstr("k");
    names.bits(&[false]).table(&[])
}

#[test]
fn declare_and_delete() {
    let declared = || Method(method::EXCHANGE_DECLARE_OK);
    let deleted = || Method(method::EXCHANGE_DELETE_OK);
    let id = method::EXCHANGE_DECLARE;
    let default = "ACCESS_REFUSED - operation not permitted on the default exchange";
    let alternate = |value| [("alternate-exchange", value)];
    check(vec![
        row("a new one", fresh, id, declare("new", "topic", "d", &[]), declared()),
        row("the same again", fresh, id, declare("x", "direct", "", &[]), declared()),
        row(
            "a pre-declared one as it is",
            fresh,
            id,
            declare("amq.topic", "topic", "d", &[]),
            declared(),
        ),
        row("passive", fresh, id, declare("x", "", "p", &[]), declared()),
        then_ask(row("no wait", fresh, id, declare("x", "direct", "n", &[]), Nothing)),
        row("line ends are left out", fresh, id, declare("x\r\n", "direct", "", &[]), declared()),
        row(
            "passive, not there",
            fresh,
            id,
            declare("none", "", "p", &[]),
            Channel(404, "NOT_FOUND - no exchange 'none' in vhost '/'"),
        ),
        row(
            "the default exchange",
            fresh,
            id,
            declare("", "direct", "d", &[]),
            Channel(403, default),
        ),
        row(
            "the default exchange, passive",
            fresh,
            id,
            declare("", "direct", "p", &[]),
            Channel(403, default),
        ),
        row(
            "a reserved name",
            fresh,
            id,
            declare("amq.new", "direct", "", &[]),
            Channel(
                403,
                "ACCESS_REFUSED - exchange name 'amq.new' contains reserved prefix 'amq.*'",
            ),
        ),
        row(
            "an unknown type",
            fresh,
            id,
            declare("new-2", "x-none", "", &[]),
            Channel(406, "PRECONDITION_FAILED - unknown exchange type 'x-none'"),
        ),
        row(
            "another type",
            fresh,
            id,
            declare("x", "fanout", "", &[]),
            Channel(
                406,
                "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received \
             'fanout' but current is 'direct'",
            ),
        ),
        row(
            "durable, was not",
            fresh,
            id,
            declare("x", "direct", "d", &[]),
            Channel(
                406,
                "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'x' in vhost '/': \
             received 'true' but current is 'false'",
            ),
        ),
        row(
            "auto-delete, was not",
            fresh,
            id,
            declare("x", "direct", "a", &[]),
            Channel(406, "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for exchange 'x'"),
        ),
        row(
            "internal, was not",
            fresh,
            id,
            declare("x", "direct", "i", &[]),
            Channel(406, "PRECONDITION_FAILED - inequivalent arg 'internal' for exchange 'x'"),
        ),
        row(
            "an alternate exchange, had none",
            fresh,
            id,
            declare("x", "direct", "", &alternate(text("amq.direct"))),
            Channel(
                406,
                "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'x' in vhost \
             '/': received the value 'amq.direct' of type 'longstr' but current is none",
            ),
        ),
        row(
            "another alternate exchange",
            fresh,
            id,
            declare("with-alternate", "direct", "", &alternate(text("amq.direct"))),
            Channel(
                406,
                "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange \
             'with-alternate' in vhost '/': received 'amq.direct' but current is 'amq.fanout'",
            ),
        ),
        row(
            "an alternate exchange that is no name",
            fresh,
            id,
            declare("new-3", "direct", "", &alternate(Value::I32(1))),
            Channel(
                406,
                "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in \
             exchange 'new-3' in vhost '/': 1, must be longstr",
            ),
        ),
        row(
            "an argument that nobody knows",
            fresh,
            id,
            declare("new-4", "direct", "", &[("x-odd", Value::Void)]),
            declared(),
        ),
        row("delete, not there", fresh, method::EXCHANGE_DELETE, delete("none", false), deleted()),
        row(
            "delete if unused, in use",
            fresh,
            method::EXCHANGE_DELETE,
            delete("x", true),
            Channel(406, "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use"),
        ),
        row("delete if unused", fresh, method::EXCHANGE_DELETE, delete("new", true), deleted()),
        row(
            "delete a pre-declared one",
            fresh,
            method::EXCHANGE_DELETE,
            delete("amq.direct", false),
            Channel(
                403,
                "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' \
                not allowed",
            ),
        ),
        row(
            "delete the default exchange",
            fresh,
            method::EXCHANGE_DELETE,
            delete("", false),
            Channel(403, default),
        ),
    ]);
}

#[test]
fn bind_and_unbind() {
    let none = "NOT_FOUND - no exchange 'none' in vhost '/'";
    let default = "ACCESS_REFUSED - operation not permitted on the default exchange";
    let (to_bind, to_unbind) = (method::EXCHANGE_BIND, method::EXCHANGE_UNBIND);
    check(vec![
        row("bind", fresh, to_bind, bind("amq.fanout", "x"), Method(method::EXCHANGE_BIND_OK)),
        row(
            "bind again",
            fresh,
            to_bind,
            bind("amq.fanout", "x"),
            Method(method::EXCHANGE_BIND_OK),
        ),
        row("bind to itself", fresh, to_bind, bind("x", "x"), Method(method::EXCHANGE_BIND_OK)),
        row("bind none", fresh, to_bind, bind("none", "x"), Channel(404, none)),
        row("bind to none", fresh, to_bind, bind("x", "none"), Channel(404, none)),
        row("bind the default exchange", fresh, to_bind, bind("", "x"), Channel(403, default)),
        row("bind to the default exchange", fresh, to_bind, bind("x", ""), Channel(403, default)),
        // Unbind-ok is 51, not 41.
        row("unbind", fresh, to_unbind, bind("amq.fanout", "x"), Method(MethodId(40, 51))),
        row(
            "unbind what is not bound",
            fresh,
            to_unbind,
            bind("amq.topic", "x"),
            Method(MethodId(40, 51)),
        ),
    ]);
}
