//! The event exchange `amq.rabbitmq.event`: what happens on the node, as messages.

use serde_json::{Value as Json, json};
use shunt_tests::amqp_raw::{RawError, Value};
use shunt_tests::{Client, Consume, Node, poll};

/// A queue that gets every event.
fn listen(node: &Node) -> Client {
    let mut listener = Client::open(node.amqp()).unwrap();
    listener.declare_queue_as("events", "d", &[]).unwrap();
    listener.bind("events", "amq.rabbitmq.event", "#", &[]).unwrap();
    listener
}

/// The events so far, each with its headers, up to one of this name, and takes them out.
fn events_until(node: &Node, last: &str) -> Vec<(String, Json)> {
    let mut events = Vec::new();
    poll(last, || {
        let take = json!({"count": 1000, "ackmode": "ack_requeue_false", "encoding": "auto"});
        let taken = node.http().post("/api/queues/%2F/events/get", &take).unwrap().expect(200);
        for message in taken.as_array().unwrap() {
            assert_eq!(message["exchange"], "amq.rabbitmq.event");
            assert_eq!(message["payload"], "");
            assert_eq!(message["properties"]["delivery_mode"], 2);
            let headers = message["properties"]["headers"].clone();
            let seconds = headers["timestamp_in_ms"].as_u64().unwrap() / 1000;
            assert_eq!(message["properties"]["timestamp"], seconds);
            events.push((message["routing_key"].as_str().unwrap().to_owned(), headers));
        }
        events.iter().any(|(name, _)| name == last).then_some(())
    })
    .unwrap();
    events
}

/// The headers of the events of that name.
fn named<'a>(events: &'a [(String, Json)], name: &str) -> Vec<&'a Json> {
    events.iter().filter(|(event, _)| event == name).map(|(_, headers)| headers).collect()
}

/// Checks that there is an event with at least these headers, and answers all of it.
#[track_caller]
fn told<'a>(events: &'a [(String, Json)], name: &str, headers: Json) -> &'a Json {
    let wanted = headers.as_object().unwrap();
    let has_all = |event: &&&Json| wanted.iter().all(|(name, value)| event[name] == *value);
    let found = named(events, name);
    let fits = found.iter().find(has_all);
    fits.unwrap_or_else(|| panic!("{name} {headers} in {events:#?}"))
}

#[test]
fn what_is_declared_and_deleted_is_told() {
    let node = Node::start().unwrap();
    let _listener = listen(&node);
    let mut client = Client::open(node.amqp()).unwrap();
    let alternate = [("alternate-exchange".to_owned(), Value::Str("amq.fanout".to_owned()))];
    client.declare_exchange("x", "topic", "a", &alternate).unwrap();
    client.declare_exchange("x", "topic", "a", &alternate).unwrap();
    let bound = [("x-max-length".to_owned(), Value::I32(5))];
    client.declare_queue_as("q", "d", &bound).unwrap();
    client.declare_queue_as("q", "d", &bound).unwrap();
    client.declare_queue_as("mine", "e", &[]).unwrap();
    let colour = [("colour".to_owned(), Value::Str("red".to_owned()))];
    client.bind("q", "x", "a.*", &colour).unwrap();
    client.bind("q", "x", "a.*", &colour).unwrap();
    client.bind_exchange("amq.direct", "x", "k").unwrap();
    client.delete_queue("q").unwrap();
    node.http().delete("/api/exchanges/%2F/x").unwrap().expect(204);
    client.close().unwrap();
    let events = events_until(&node, "connection.closed");

    let guest = json!("guest");
    assert_eq!(named(&events, "exchange.created").len(), 1, "declared anew is not created");
    told(
        &events,
        "exchange.created",
        json!({
            "name": "x", "vhost": "/", "type": "topic", "durable": false, "auto_delete": true,
            "internal": false, "arguments": {"alternate-exchange": "amq.fanout"},
            "user_who_performed_action": guest,
        }),
    );
    assert_eq!(named(&events, "queue.created").len(), 2);
    told(
        &events,
        "queue.created",
        json!({
            "name": "q", "vhost": "/", "durable": true, "auto_delete": false, "exclusive": false,
            "owner_pid": "", "arguments": {"x-max-length": 5}, "user_who_performed_action": guest,
        }),
    );
    let mine = told(&events, "queue.created", json!({"name": "mine", "exclusive": true}));
    assert!(mine["owner_pid"].as_str().unwrap().starts_with("127.0.0.1:"), "{mine}");
    assert_eq!(named(&events, "binding.created").len(), 3, "with the listener's own");
    let binding = json!({
        "vhost": "/", "source_name": "x", "source_kind": "exchange", "destination_name": "q",
        "destination_kind": "queue", "routing_key": "a.*", "arguments": {"colour": "red"},
    });
    told(&events, "binding.created", binding.clone());
    told(&events, "binding.deleted", binding);
    told(&events, "binding.deleted", json!({"destination_name": "amq.direct"}));
    let deleted = json!({"name": "q", "vhost": "/", "user_who_performed_action": guest});
    told(&events, "queue.deleted", deleted);
    told(&events, "exchange.deleted", json!({"name": "x", "user_who_performed_action": guest}));
    // It went with its connection.
    let by_node = json!({"name": "mine", "user_who_performed_action": "rmq-internal"});
    told(&events, "queue.deleted", by_node);
    let order: Vec<_> = events.iter().map(|(name, headers)| (&**name, &headers["name"])).collect();
    let place = |name: &str| order.iter().position(|event| *event == (name, &json!("q")));
    assert!(place("queue.created") < place("queue.deleted"), "{order:?}");
}

#[test]
fn connections_channels_and_consumers_are_told() {
    let node = Node::start().unwrap();
    let mut listener = listen(&node);
    listener.declare_queue("q").unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    let priority = [("x-priority".to_owned(), Value::I32(3))];
    for tag in ["cancelled", "left", "lost"] {
        let how = Consume { tag, arguments: &priority, ..Consume::default() };
        client.consume("q", how).unwrap();
    }
    client.cancel("cancelled").unwrap();
    let refused = client.declare_queue_as("none", "p", &[]);
    assert!(matches!(refused, Err(RawError::Closed { code: 404, .. })), "{refused:?}");
    client.reopen().unwrap();
    client.consume("q", Consume { tag: "again", no_ack: true, ..Consume::default() }).unwrap();
    listener.delete_queue("q").unwrap();
    client.close().unwrap();
    assert!(Client::open_as(node.amqp(), "guest", "wrong", "/").is_err());
    let events = events_until(&node, "user.authentication.failure");

    let created = told(&events, "connection.created", json!({"user": "guest", "vhost": "/"}));
    let name = created["name"].as_str().unwrap();
    assert_eq!(created["auth_mechanism"], "PLAIN");
    assert_eq!(created["peer_host"], "127.0.0.1");
    assert_eq!(created["client_properties"]["product"], "shunt-tests amqp_raw");
    told(&events, "connection.closed", json!({"name": name, "pid": created["pid"]}));
    told(&events, "user.authentication.success", json!({"name": "guest"}));
    told(
        &events,
        "user.authentication.failure",
        json!({"name": "guest", "connection_type": "network"}),
    );

    let channel = format!("{name} (1)");
    let of_channel = json!({"name": channel, "number": 1, "connection": name, "user": "guest"});
    told(&events, "channel.created", of_channel.clone());
    told(&events, "channel.closed", of_channel);
    assert_eq!(named(&events, "channel.created").len(), 2, "one was opened after an error");
    assert_eq!(named(&events, "channel.closed").len(), 2);

    let consumer = json!({
        "consumer_tag": "left", "queue": "q", "vhost": "/", "channel": channel,
        "ack_required": true, "exclusive": false, "prefetch_count": 0,
        "arguments": {"x-priority": 3},
    });
    told(&events, "consumer.created", consumer);
    for tag in ["cancelled", "left", "lost", "again"] {
        let gone = json!({"consumer_tag": tag, "queue": "q", "channel": channel});
        told(&events, "consumer.deleted", gone);
    }
    assert_eq!(named(&events, "consumer.deleted").len(), 4);
}

#[test]
fn changes_by_operators_are_told() {
    let node = Node::start().unwrap();
    let _listener = listen(&node);
    let http = node.http();
    let put = |path: &str, body: Json| {
        let answer = http.put(path, &body).unwrap();
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.text());
    };
    let delete = |path: &str| drop(http.delete(path).unwrap().expect(204));
    put("/api/vhosts/v", json!({"description": "d", "tags": "a,b"}));
    put("/api/users/u", json!({"password": "p", "tags": "management"}));
    put("/api/users/u", json!({"password": "q", "tags": ""}));
    put("/api/permissions/v/u", json!({"configure": ".*", "write": "w", "read": "r"}));
    let topic = json!({"exchange": "amq.topic", "write": "w", "read": "r"});
    put("/api/topic-permissions/v/u", topic);
    put("/api/vhost-limits/v/max-queues", json!({"value": 5}));
    delete("/api/vhost-limits/v/max-queues");
    put("/api/user-limits/u/max-channels", json!({"value": 6}));
    delete("/api/user-limits/u/max-channels");
    Client::open(node.amqp()).unwrap().declare_queue_as("q", "d", &[]).unwrap();
    let policy = json!({"pattern": "^q", "definition": {"max-length": 3}, "priority": 2,
        "apply-to": "queues"});
    put("/api/policies/%2F/p", policy.clone());
    put("/api/operator-policies/%2F/op", policy);
    delete("/api/policies/%2F/p");
    delete("/api/operator-policies/%2F/op");
    delete("/api/topic-permissions/v/u");
    delete("/api/permissions/v/u");
    delete("/api/users/u");
    delete("/api/vhosts/v");
    let events = events_until(&node, "vhost.deleted");

    for (name, headers) in [
        ("exchange.created", json!({"name": "amq.direct", "vhost": "v"})),
        ("vhost.created", json!({"name": "v", "description": "d", "tags": ["a", "b"]})),
        ("user.created", json!({"name": "u"})),
        ("user.tags.set", json!({"name": "u", "tags": ["management"]})),
        ("user.password.changed", json!({"name": "u"})),
        ("user.tags.set", json!({"name": "u", "tags": []})),
        (
            "permission.created",
            json!({"user": "u", "vhost": "v", "configure": ".*", "write": "w", "read": "r"}),
        ),
        (
            "topic.permission.created",
            json!({"user": "u", "vhost": "v", "exchange": "amq.topic", "write": "w", "read": "r"}),
        ),
        ("vhost.limits.set", json!({"name": "limits", "vhost": "v", "max-queues": 5})),
        ("vhost.limits.cleared", json!({"vhost": "v"})),
        ("user.limits.set", json!({"username": "u", "max-channels": 6})),
        ("user.limits.cleared", json!({"username": "u"})),
        (
            "policy.set",
            json!({"name": "p", "vhost": "/", "pattern": "^q", "apply-to": "queues",
                "priority": 2, "definition": {"max-length": 3}}),
        ),
        ("policy.set", json!({"name": "op"})),
        (
            "parameter.set",
            json!({"component": "operator_policy", "name": "op", "vhost": "/", "value": {
                "pattern": "^q", "apply-to": "queues", "priority": 2, "definition": {"max-length": 3},
            }}),
        ),
        ("parameter.cleared", json!({"component": "operator_policy", "name": "op", "vhost": "/"})),
        (
            "parameter.set",
            json!({"component": "vhost-limits", "name": "limits", "vhost": "v",
                "value": {"max-queues": 5}}),
        ),
        ("parameter.cleared", json!({"component": "vhost-limits", "name": "limits", "vhost": "v"})),
        (
            "queue.policy.updated",
            json!({"name": "q", "vhost": "/", "type": "rabbit_classic_queue", "max-length": 3}),
        ),
        (
            "queue.policy.cleared",
            json!({"name": "q", "vhost": "/", "type": "rabbit_classic_queue", "max-length": null}),
        ),
        ("policy.cleared", json!({"name": "p", "vhost": "/"})),
        ("operator.policy.cleared", json!({"name": "op", "vhost": "/"})),
        ("topic.permission.deleted", json!({"user": "u", "vhost": "v"})),
        ("permission.deleted", json!({"user": "u", "vhost": "v"})),
        ("user.deleted", json!({"name": "u"})),
        ("exchange.deleted", json!({"name": "amq.direct", "vhost": "v"})),
        ("vhost.deleted", json!({"name": "v"})),
    ] {
        let event = told(&events, name, headers);
        assert_eq!(event["user_who_performed_action"], "guest", "{name}");
    }
}

#[test]
fn alarms_are_told_when_they_begin_and_end() {
    let node = Node::start().unwrap();
    let _listener = listen(&node);
    for active in [true, true, false] {
        let state = json!({"active": active});
        node.http().put("/api/alarms/operator", &state).unwrap().expect(204);
    }
    let events = events_until(&node, "alarm.cleared");
    for name in ["alarm.set", "alarm.cleared"] {
        let event = told(&events, name, json!({"source": "operator"}));
        assert_eq!(event["user_who_performed_action"], "rmq-internal");
        assert!(event["node"].as_str().is_some_and(|node| !node.is_empty()), "{event}");
        assert_eq!(named(&events, name).len(), 1);
    }
}

#[test]
fn the_exchange_is_the_nodes_own() {
    let mut node = Node::start().unwrap();
    drop(listen(&node));
    // Bindings of a durable queue survive a restart, and events with them.
    node.stop().unwrap();
    node.start_again().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    told(&events_until(&node, "queue.created"), "queue.created", json!({"name": "q"}));

    client.declare_exchange("amq.rabbitmq.event", "topic", "di", &[]).unwrap();
    let arguments = json!({"properties": {}, "routing_key": "k", "payload": "x",
        "payload_encoding": "string"});
    let path = "/api/exchanges/%2F/amq.rabbitmq.event/publish";
    let refused = node.http().post(path, &arguments).unwrap();
    assert!(refused.status >= 400, "an internal exchange: {}", refused.text());
    node.http().put("/api/vhosts/other", &json!({})).unwrap().expect(201);
    let elsewhere = node.http().get("/api/exchanges/other/amq.rabbitmq.event").unwrap();
    assert_eq!(elsewhere.status, 404, "{}", elsewhere.text());
}

#[test]
fn arguments_that_fit_no_header_are_left_out() {
    let node = Node::start().unwrap();
    let mut listener = listen(&node);
    let long = [("x-note".to_owned(), Value::Str("n".repeat(100_000)))];
    listener.declare_queue_as("q", "d", &long).unwrap();
    let events = events_until(&node, "queue.created");
    let created = told(&events, "queue.created", json!({"name": "q"}));
    assert_eq!(created["arguments"], Json::Null);
}
