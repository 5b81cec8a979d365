//! Arguments of the wrong type or out of range: 406, with the argument's name, its value and what
//! was allowed.

use super::*;

/// What an argument takes.
#[derive(Clone, Copy)]
enum Takes {
    /// An integer within these bounds.
    Integer(i64, i64),
    AnyInteger,
    Boolean,
    /// Any text.
    Text,
    /// One of some texts.
    OneOf,
}

/// Wrong values of an argument that takes `takes`, and how a refusal shows each.
fn wrong(takes: Takes) -> Vec<(Value, String)> {
    let mut values = vec![
        (Value::Double(1.5), "1.5".to_owned()),
        (Value::Void, "void".to_owned()),
        (Value::Array(vec![Value::I32(1)]), "array".to_owned()),
        (Value::Table(Vec::new()), "table".to_owned()),
    ];
    let boolean = (Value::Bool(true), "true".to_owned());
    let number = (Value::I32(7), "7".to_owned());
    let word = (text("wörd"), "'wörd'".to_owned());
    match takes {
        Takes::Integer(min, max) => {
            values.extend([boolean, word, (Value::I64(min - 1), (min - 1).to_string())]);
            if let Some(above) = max.checked_add(1) {
                values.push((Value::I64(above), above.to_string()));
            }
        }
        Takes::AnyInteger => values.extend([boolean, word]),
        Takes::Boolean => values.extend([number, word]),
        Takes::Text => values.extend([boolean, number]),
        Takes::OneOf => values.extend([boolean, number, word]),
    }
    values
}

/// Tries every wrong value of an argument; `attempt` declares with it.
#[track_caller]
fn check_argument(
    client: &mut Client,
    (name, takes, allowed): (&str, Takes, &str),
    mut attempt: impl FnMut(&mut Client, Vec<(String, Value)>) -> Result<(), RawError>,
) {
    for (value, shown) in wrong(takes) {
        match attempt(client, vec![(name.to_owned(), value)]) {
            Err(RawError::Closed { channel: 1, code: 406, text, .. }) => {
                for part in [&format!("'{name}'"), shown.as_str(), allowed] {
                    assert!(text.contains(part), "{part} in {text:?}");
                }
            }
            other => panic!("{name} of {shown}: {other:?}"),
        }
        client.reopen().unwrap();
    }
}

const TIME_MAX: i64 = 315_360_000_000;

#[test]
fn of_queues() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    use Takes::{Boolean, Integer, OneOf, Text};
    for argument in [
        ("x-message-ttl", Integer(0, TIME_MAX), "must be 0 to 315360000000"),
        ("x-expires", Integer(1, TIME_MAX), "must be 1 to 315360000000"),
        ("x-consumer-timeout", Integer(1, TIME_MAX), "must be 1 to 315360000000"),
        ("x-max-length", Integer(0, i64::MAX), "must be 0 to"),
        ("x-max-length-bytes", Integer(0, i64::MAX), "must be 0 to"),
        ("x-max-priority", Integer(0, 255), "must be 0 to 255"),
        ("x-overflow", Text, "must be longstr"),
        ("x-dead-letter-exchange", Text, "must be longstr"),
        ("x-dead-letter-routing-key", Text, "must be longstr"),
        ("x-single-active-consumer", Boolean, "must be bool"),
        ("x-message-deduplication", Boolean, "must be bool"),
        ("x-queue-mode", OneOf, "must be 'default' or 'lazy'"),
        ("x-queue-version", OneOf, "must be 1 or 2"),
        ("x-queue-type", OneOf, "must be 'classic'"),
        ("x-queue-leader-locator", OneOf, "must be 'client-local' or 'balanced'"),
        ("x-queue-master-locator", OneOf, "must be 'client-local' or 'balanced'"),
    ] {
        check_argument(&mut client, argument, |client, arguments| {
            client.declare_queue_as("new", "d", &arguments).map(drop)
        });
    }
    let mut refused = |arguments: &[(&str, Value)], parts: [&str; 3]| {
        let declared = client.declare_queue_as("new", "d", &table(arguments));
        let Err(RawError::Closed { code: 406, text, .. }) = declared else {
            panic!("{arguments:?}: {declared:?}");
        };
        parts.iter().for_each(|part| assert!(text.contains(part), "{part} in {text:?}"));
        client.reopen().unwrap();
    };
    refused(
        &[("x-overflow", text("spill"))],
        [
            "'x-overflow'",
            "'spill'",
            "must be 'drop-head', 'reject-publish' or 'reject-publish-dlx'",
        ],
    );
    refused(
        &[("x-dead-letter-routing-key", text("k"))],
        ["'x-dead-letter-routing-key'", "'k'", "must come with x-dead-letter-exchange"],
    );
    refused(
        &[
            ("x-dead-letter-exchange", text("x")),
            ("x-dead-letter-routing-key", text(&"k".repeat(256))),
        ],
        ["'x-dead-letter-routing-key'", "'kkkkkk", "must be at most 255 bytes"],
    );
    for locator in ["client-local", "balanced", "random", "least-leaders", "min-masters"] {
        let arguments = table(&[("x-queue-leader-locator", text(locator))]);
        client.declare_queue_as("", "e", &arguments).unwrap();
    }
}

#[test]
fn of_consumers() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    for argument in [
        ("x-priority", Takes::AnyInteger, "must be an integer"),
        ("x-consumer-timeout", Takes::Integer(1, TIME_MAX), "must be 1 to 315360000000"),
    ] {
        check_argument(&mut client, argument, |client, arguments| {
            client.consume("q", Consume { arguments: &arguments, ..Consume::default() }).map(drop)
        });
    }
}

#[test]
fn of_exchanges() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    use Takes::{Integer, OneOf, Text};
    let from_one = "must be an integer from 1 on";
    let size = ("x-cache-size", Value::I32(9));
    let delayed = ("x-delayed-type", text("direct"));
    for (kind, with, argument) in [
        ("direct", None, ("alternate-exchange", Text, "must be longstr")),
        ("x-delayed-message", Some(delayed), ("alternate-exchange", Text, "must be longstr")),
        ("x-delayed-message", None, ("x-delayed-type", Text, "must be longstr")),
        ("x-consistent-hash", None, ("hash-header", Text, "must be longstr")),
        ("x-consistent-hash", None, ("hash-property", Text, "must be longstr")),
        (
            "x-recent-history",
            None,
            ("x-recent-history-length", Integer(1, 100_000), "must be an integer from 1 to 100000"),
        ),
        ("x-message-deduplication", None, ("x-cache-size", Integer(1, i64::MAX), from_one)),
        (
            "x-message-deduplication",
            Some(size.clone()),
            ("x-cache-ttl", Integer(1, i64::MAX), from_one),
        ),
        ("x-message-deduplication", Some(size), ("x-cache-persistence", OneOf, "must be")),
    ] {
        check_argument(&mut client, argument, |client, mut arguments| {
            arguments.extend(with.clone().map(|(name, value)| (name.to_owned(), value)));
            client.declare_exchange("new", kind, "", &arguments)
        });
    }
}
