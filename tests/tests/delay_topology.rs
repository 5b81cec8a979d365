//! Delays by topology, as NServiceBus and MassTransit build them where the broker has no delayed
//! exchange: a queue for each bit of the delay, whose messages expire into the next level.

use std::time::{Duration, UNIX_EPOCH};

use shunt_tests::amqp_raw::Value;
use shunt_tests::{Client, Consume, Node, Props};

/// Bits of the longest delay: 2^28 units.
const LEVELS: u32 = 28;

/// Milliseconds of one unit. The real thing takes a second; the chain is the same.
const UNIT_MS: i64 = 20;

fn level(level: u32) -> String {
    format!("nsb.delay-level-{level:02}")
}

fn text(value: &str) -> Value {
    Value::Str(value.to_owned())
}

/// `0` or `1` for each level, the highest first, then where the message goes in the end.
fn delay_key(units: u64, address: &str) -> String {
    let bits = (0..LEVELS).rev().map(|level| if units >> level & 1 == 1 { "1." } else { "0." });
    bits.collect::<String>() + address
}

/// A topic exchange for each level: a 1 at its place of the key leads into the level's queue,
/// where the message waits for 2^level units, a 0 past it to the next level.
fn declare_levels(client: &mut Client) {
    let delivery = "nsb.delay-delivery";
    client.declare_exchange(delivery, "topic", "d", &[]).unwrap();
    for n in 0..LEVELS {
        client.declare_exchange(&level(n), "topic", "d", &[]).unwrap();
    }
    for n in 0..LEVELS {
        let next = n.checked_sub(1).map_or(delivery.to_owned(), level);
        let arguments = [
            ("x-queue-mode".to_owned(), text("lazy")),
            ("x-message-ttl".to_owned(), Value::I64(UNIT_MS << n)),
            ("x-dead-letter-exchange".to_owned(), text(&next)),
        ];
        client.declare_queue_as(&level(n), "d", &arguments).unwrap();
        let before = "*.".repeat((LEVELS - 1 - n) as usize);
        client.bind(&level(n), &level(n), &format!("{before}1.#"), &[]).unwrap();
        client.bind_exchange(&next, &level(n), &format!("{before}0.#")).unwrap();
    }
}

#[test]
fn a_chain_of_28_levels_delivers_each_message_after_its_own_delay() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    declare_levels(&mut client);
    client.declare_queue("endpoint").unwrap();
    client.bind("endpoint", "nsb.delay-delivery", "#.endpoint", &[]).unwrap();
    client.consume("endpoint", Consume { no_ack: true, ..Consume::default() }).unwrap();
    client.confirm_select().unwrap();
    let begun = UNIX_EPOCH.elapsed().unwrap();
    // The longest first: order comes from the delays alone.
    for units in [45_u64, 22, 7, 0] {
        let key = delay_key(units, "endpoint");
        client
            .publish(&level(LEVELS - 1), &key, &Props::persistent(), units.to_string().as_bytes())
            .unwrap();
    }
    // This one stays in the highest queue: 2^27 units are a month.
    let far = delay_key(1 << (LEVELS - 1), "endpoint");
    client.publish(&level(LEVELS - 1), &far, &Props::persistent(), b"far").unwrap();
    assert_eq!(client.confirms().unwrap().acked.len(), 5);
    for units in [0_u64, 7, 22, 45] {
        let message = client.delivery().unwrap();
        assert_eq!(message.text(), units.to_string());
        let least = Duration::from_millis(units * UNIT_MS as u64);
        assert!(
            (UNIX_EPOCH.elapsed().unwrap() - begun) >= least,
            "{units} units took {:?}",
            (UNIX_EPOCH.elapsed().unwrap() - begun)
        );
        // It keeps the key that it was published with, all the way.
        assert_eq!(message.routing_key, delay_key(units, "endpoint"));
    }
    assert_eq!(client.declare_queue_as(&level(LEVELS - 1), "p", &[]).unwrap().1, 1);
    let queues = node.http().get("/api/queues/%2F").unwrap().json();
    let waiting: u64 =
        queues.as_array().unwrap().iter().map(|queue| queue["messages"].as_u64().unwrap()).sum();
    assert_eq!(waiting, 1);
}
