//! Declare, bind and delete: what is allowed, and in which words it is refused.

use std::sync::Arc;

use shunt_types::{AmqpError, ExchangeName, ReplyCode, Value};

use super::harness::{Arguments, SOMEBODY, World, table, to_exchange, to_queue};
use crate::metadata::Command;
use crate::ports::Position;
use crate::{Actor, ConnectionId};

#[track_caller]
fn refused<T>(outcome: Result<T, AmqpError>, text: &str) {
    assert_eq!(outcome.err().map(|error| error.to_string()).as_deref(), Some(text));
}

#[test]
fn a_queue_declared_again_is_the_same_queue() {
    let world = World::new(2);
    let first = world.declare("q", |_| {}).unwrap();
    let again = world.declare("q", |_| {}).unwrap();
    assert!(first.created && !again.created);
    assert_eq!(first.queue.id, again.queue.id);
    assert_eq!(again.position, Position::default(), "nothing is logged");
}

#[test]
fn what_differs_is_named_with_both_values() {
    let world = World::new(1);
    world.queue("q", &[("x-message-ttl", Value::I32(1000)), ("x-queue-type", "classic".into())]);
    let again = |arguments: Arguments<'_>| {
        let arguments = Arc::new(table(arguments));
        world.declare("q", |queue| queue.definition.arguments = arguments).map(|d| d.created)
    };
    assert_eq!(again(&[("x-message-ttl", Value::U8(232)), ("x-unknown", "?".into())]).ok(), None);
    assert_eq!(again(&[("x-message-ttl", Value::I64(1000)), ("x-unknown", "?".into())]), Ok(false));
    let text = |received: &str, current: &str| {
        format!(
            "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': \
             received {received} but current is {current}"
        )
    };
    let current = "the value '1000' of type 'signedint'";
    refused(again(&[]), &text("none", current));
    refused(
        again(&[("x-message-ttl", Value::I16(5))]),
        // Where both are there, RabbitMQ names no types.
        &text("'5'", "'1000'"),
    );
    let durable = "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': \
                   received 'false' but current is 'true'";
    refused(world.declare("q", |queue| queue.definition.durable = false), durable);
}

#[test]
fn bad_arguments_are_refused_and_make_nothing() {
    let world = World::new(1);
    let long = "k".repeat(256);
    for (name, value) in [
        ("x-message-ttl", Value::I32(-1)),
        ("x-expires", Value::I32(0)),
        ("x-max-priority", Value::I32(256)),
        ("x-max-length", Value::from("1")),
        ("x-overflow", Value::from("drop-tail")),
        ("x-queue-type", Value::from("stream")),
        ("x-dead-letter-routing-key", Value::from("k")),
        ("x-max-in-memory-bytes", Value::I32(1)),
        ("x-single-active-consumer", Value::from("yes")),
    ] {
        let arguments = Arc::new(table(&[(name, value)]));
        let error = world.declare("q", |q| q.definition.arguments = arguments).err().unwrap();
        assert_eq!(error.code, ReplyCode::PreconditionFailed, "{name}");
        assert!(error.explanation.contains(name), "{error}");
    }
    let unsendable = [
        ("x-dead-letter-exchange", Value::from("")),
        ("x-dead-letter-routing-key", Value::from(long)),
    ];
    let arguments = Arc::new(table(&unsendable));
    assert!(world.declare("q", |q| q.definition.arguments = arguments).is_err());
    assert!(world.broker.vhost("/").unwrap().topology().find_queue("q").is_err());
}

#[test]
fn an_exclusive_queue_is_its_connections_alone() {
    let world = World::new(1);
    let own = |queue: &mut crate::metadata::QueueDeclaration| {
        queue.exclusive_owner = Some(SOMEBODY);
    };
    let declared = world.declare("q", own).unwrap();
    assert!(!declared.queue.definition.durable, "it goes with its connection");
    assert!(!world.declare("q", own).unwrap().created);
    let locked = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost \
                  '/'. It could be originally declared on another connection or the exclusive \
                  property value does not match that of the original declaration.";
    refused(world.declare("q", |_| {}), locked);
    let other = Some(ConnectionId(78));
    refused(world.declare("q", |queue| queue.exclusive_owner = other), locked);
    let of = |connection| Actor { connection, ..Actor::NODE };
    let binding = to_queue("amq.direct", "q", "k");
    refused(world.broker.bind(&world.vhost, of(other), binding.clone()), locked);
    refused(world.broker.unbind(&world.vhost, of(other), binding.clone()), locked);
    assert!(world.broker.bind(&world.vhost, of(Some(SOMEBODY)), binding).is_ok());
    world.queue("free", &[]);
    refused(world.declare("free", own), &locked.replace("'q'", "'free'"));
}

#[test]
fn exchanges_differ_by_type_flags_and_alternate_exchange() {
    let world = World::new(1);
    let spare = [("alternate-exchange", Value::from("none"))];
    world.exchange("x", "topic", &[("whatever", Value::I32(1))]).unwrap();
    assert_eq!(world.exchange("x", "topic", &[]), Ok(Position::default()));
    refused(
        world.exchange("x", "direct", &[]),
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received \
         'direct' but current is 'topic'",
    );
    refused(
        world.exchange("x", "topic", &spare),
        "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'x' in vhost \
         '/': received the value 'none' of type 'longstr' but current is none",
    );
    refused(
        world.exchange("y", "no-type", &[]),
        "PRECONDITION_FAILED - unknown exchange type 'no-type' (exchange 'y' in vhost '/')",
    );
}

#[test]
fn reserved_names_are_not_for_clients() {
    let world = World::new(1);
    let code = |outcome: Result<_, AmqpError>| outcome.map(|_: ()| ()).unwrap_err().code;
    assert_eq!(code(world.declare("amq.q", |_| {}).map(drop)), ReplyCode::AccessRefused);
    assert!(world.declare("amq.gen-1", |queue| queue.server_named = true).is_ok());
    assert!(world.declare("amq.gen-1", |_| {}).is_ok(), "it is there");
    assert_eq!(code(world.exchange("amq.x", "direct", &[]).map(drop)), ReplyCode::AccessRefused);
    assert!(world.exchange("amq.direct", "direct", &[]).is_ok());
    assert_eq!(code(world.exchange("", "direct", &[]).map(drop)), ReplyCode::AccessRefused);
    for name in ["", "amq.direct", "amq.no-such"] {
        let name = ExchangeName::new(name).unwrap();
        let deleted = world.broker.delete_exchange(&world.vhost, Actor::NODE, &name, false);
        assert_eq!(code(deleted.map(drop)), ReplyCode::AccessRefused);
    }
}

#[test]
fn binding_twice_and_unbinding_twice_change_nothing_more() {
    let mut world = World::new(1);
    let queue = world.queue("q", &[]);
    let binding = to_queue("amq.direct", "q", "k");
    let before = world.log.commands().len();
    for _ in 0..2 {
        world.broker.bind(&world.vhost, Actor::NODE, binding.clone()).unwrap();
    }
    world.publish("amq.direct", "k", "m");
    assert_eq!(world.bodies(queue), ["m"]);
    for _ in 0..2 {
        world.broker.unbind(&world.vhost, Actor::NODE, binding.clone()).unwrap();
    }
    world.publish("amq.direct", "k", "m");
    assert!(world.bodies(queue).is_empty());
    let changes = &world.log.commands()[before..];
    assert!(matches!(changes, [Command::Bind { .. }, Command::Unbind { .. }]), "{changes:?}");
}

#[test]
fn bindings_need_both_ends_and_never_the_default_exchange() {
    let world = World::new(1);
    world.queue("q", &[]);
    world.exchange("x", "x-failing", &[]).unwrap();
    let code = |outcome: Result<Position, AmqpError>| outcome.unwrap_err().code;
    let bind = |binding| world.broker.bind(&world.vhost, Actor::NODE, binding);
    let unbind = |binding| world.broker.unbind(&world.vhost, Actor::NODE, binding);
    assert_eq!(code(bind(to_queue("no", "q", ""))), ReplyCode::NotFound);
    assert_eq!(code(bind(to_queue("x", "no", ""))), ReplyCode::NotFound);
    assert_eq!(code(bind(to_exchange("x", "no"))), ReplyCode::NotFound);
    // What isn't there isn't bound.
    assert_eq!(unbind(to_queue("x", "no", "")), Ok(Position::default()));
    assert_eq!(unbind(to_queue("no", "q", "")), Ok(Position::default()));
    assert_eq!(unbind(to_queue("x", "q", "")), Ok(Position::default()));
    for binding in [to_queue("", "q", ""), to_exchange("x", ""), to_exchange("", "x")] {
        assert_eq!(code(bind(binding.clone())), ReplyCode::AccessRefused);
        assert_eq!(code(unbind(binding)), ReplyCode::AccessRefused);
    }
    refused(
        bind(to_queue("x", "q", "bad")),
        "PRECONDITION_FAILED - invalid binding 'bad' from exchange 'x' in vhost '/': the key is \
         bad",
    );
}
