//! A route that is a plain function.

use shunt_route::testing::{Data, Declared, Destination, Header as Message};
use shunt_route::{Array, Bindings, Destinations, Fields, Refusal, Table, Value, route};

#[derive(Fields)]
struct Header<'m> {
    routing_key: &'m str,
    #[field("headers.region")]
    region: Option<&'m str>,
    priority: Option<u8>,
    timestamp: Value<'m>,
    routing_keys: Option<Array<'m>>,
    headers: Option<Table<'m>>,
    r#type: Option<&'m str>,
}

/// To the bindings of the region; a key that begins with `@` names a queue.
#[route(name = "by-region", version = "1.2.3", wants = ["clock", "state"])]
fn by_region(
    header: Header<'_>,
    bindings: &Bindings<'_>,
    destinations: &mut Destinations,
) -> Result<(), Refusal> {
    if let Some(queue) = header.routing_key.strip_prefix('@') {
        destinations.add_queue(queue);
    }
    if header.priority == Some(9) || header.timestamp == Value::Timestamp(13) {
        return Err("not today".into());
    }
    assert!(header.routing_keys.is_none() && header.r#type.is_none());
    assert_eq!(header.headers.is_some(), header.region.is_some());
    let mine = |key: &str| header.region.is_none_or(|region| key == region);
    for binding in bindings.iter().filter(|binding| mine(binding.key)) {
        destinations.add(binding.index);
    }
    Ok(())
}

fn declared() -> Declared<by_region> {
    let mut exchange = Declared::new([]).expect("declared");
    exchange.bind_queue("orders.eu", "eu", []).expect("bound");
    exchange.bind_queue("orders.us", "us", []).expect("bound");
    exchange.bind_exchange("audit", "us", [("x", 1.into())]).expect("bound");
    exchange
}

#[track_caller]
fn check(message: Message, expected: &[&str]) {
    let answer = declared().route(&message).expect("routed");
    let names = answer.into_iter().map(|destination| match destination {
        Destination::Queue(name) | Destination::Exchange(name) => name,
    });
    assert_eq!(names.collect::<Vec<_>>(), expected);
}

#[test]
fn destinations_are_bindings_and_queues() {
    check(Message::new().header("region", "eu"), &["orders.eu"]);
    check(Message::new().header("region", "us"), &["orders.us", "audit"]);
    check(Message::new().header("region", "ch"), &[]);
    check(Message::new(), &["orders.eu", "orders.us", "audit"]);
    let named = Message::new().routing_key("@dead").header("region", "eu");
    check(named, &["dead", "orders.eu"]);
}

#[test]
fn refusals_have_their_reason() {
    let mut exchange = declared();
    let message = |field, value: Data| Message::new().field(field, value);
    for (message, reason) in [
        (message("priority", 9.into()), "not today"),
        (message("timestamp", Data::Timestamp(13)), "not today"),
        (message("priority", 256.into()), "priority is not an integer from 0 to 255"),
        (message("routing_key", Data::Absent), "routing_key is missing"),
        (message("routing_key", 5.into()), "routing_key is not a string"),
    ] {
        assert_eq!(exchange.route(&message), Err(reason.into()));
    }
}

#[test]
fn it_describes_itself() {
    let reads = [
        "routing_key",
        "headers.region",
        "priority",
        "timestamp",
        "routing_keys",
        "headers",
        "type",
    ];
    let expected = Data::Table(vec![
        ("name".into(), "by-region".into()),
        ("version".into(), "1.2.3".into()),
        ("reads".into(), reads.into()),
        ("wants".into(), ["clock", "state"].into()),
    ]);
    assert_eq!(declared().describe(), expected);
}

#[test]
fn many_destinations() {
    for count in [15, 16, 200, 70_000] {
        let mut exchange = Declared::<by_region>::new([]).expect("declared");
        let queues = (0..count).map(|index| (format!("q{index}"), "eu"));
        exchange.bind_queues(queues).expect("bound");
        let answer = exchange.route(&Message::new()).expect("routed");
        assert_eq!(answer.len(), count);
        let last = format!("q{}", count - 1);
        assert_eq!(answer.last(), Some(&last.as_str().into()));
    }
}

#[test]
fn every_form_of_a_field_is_the_same() {
    let mut exchange = declared();
    for region in ["eu", "é", &"r".repeat(32), &"ü".repeat(40), &"r".repeat(300)] {
        exchange.bind_queue("of-region", region, []).expect("bound");
        for length in [1, 31, 32, 255, 256, 70_000] {
            let key = format!("@{}", "k".repeat(length));
            let message = Message::new().routing_key(&key).header("region", region);
            let queues = exchange.route(&message).expect("routed");
            assert_eq!(queues.first(), Some(&key[1..].into()));
            assert_eq!(queues.last(), Some(&"of-region".into()));
        }
    }
    for (priority, refused) in [(9, true), (8, false), (127, false), (128, false), (255, false)] {
        let answer = exchange.route(&Message::new().field("priority", Data::from(priority)));
        assert_eq!(answer.is_err(), refused, "{priority}");
    }
}
