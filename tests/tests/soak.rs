//! Everything at once, killed again and again: fan-out over shards, priorities, dead letters by
//! time to live through two queues, transactions, a consumer, a queue longer than its memory, a
//! log that makes room all the while; also killed while it starts.
//!
//! Five kills unless `SHUNT_SOAK_KILLS` says more; `SHUNT_SOAK_SEED` repeats a run's choices.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use shunt_tests::amqp_raw::{RawError, Value};
use shunt_tests::{Client, Consume, Deadline, Node, Props};

/// Priorities of the queue that has some.
const PRIORITIES: u64 = 4;

/// Numbers by xorshift, so that a seed is all that a run depends on, apart from time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What clients know; each number is published once.
#[derive(Default)]
struct Known {
    next: u64,
    /// Confirmed, or committed.
    fanned: BTreeSet<u64>,
    briefed: BTreeSet<u64>,
    committed: BTreeSet<u64>,
    /// Acknowledged by the consumer, whether or not the node heard of it.
    acked: BTreeSet<u64>,
}

fn take(known: &Mutex<Known>, count: u64) -> Vec<u64> {
    let mut known = known.lock().unwrap();
    let first = known.next;
    known.next += count;
    (first..first + count).collect()
}

/// Mostly short, now and then a few kilobytes; the number comes first.
fn body(dice: &mut Dice, number: u64) -> Vec<u8> {
    let mut body = format!("{number} ").into_bytes();
    let size = if dice.below(5) == 0 { 6_000 } else { 40 };
    body.resize(size, b'.');
    body
}

fn number(text: &str) -> u64 {
    text.split(' ').next().unwrap().parse().unwrap()
}

fn declare(client: &mut Client) {
    client.declare_exchange("all", "fanout", "d", &[]).unwrap();
    let priorities = [("x-max-priority".to_owned(), Value::I32(PRIORITIES as i32 - 1))];
    for (queue, arguments) in [("plain", &[][..]), ("other", &[]), ("lanes", &priorities)] {
        client.declare_queue_as(queue, "d", arguments).unwrap();
        client.bind(queue, "all", "", &[]).unwrap();
    }
    for (queue, ttl, next) in [("brief", 30, "second"), ("second", 20, "letters")] {
        let arguments = [
            ("x-message-ttl".to_owned(), Value::I32(ttl)),
            ("x-dead-letter-exchange".to_owned(), Value::Str(String::new())),
            ("x-dead-letter-routing-key".to_owned(), Value::Str(next.into())),
        ];
        client.declare_queue_as(queue, "d", &arguments).unwrap();
    }
    for queue in ["letters", "together"] {
        client.declare_queue(queue).unwrap();
    }
}

/// Publishes small batches with confirms until the connection breaks.
fn publish(
    client: &mut Client,
    dice: &mut Dice,
    known: &Mutex<Known>,
    (exchange, key): (&str, &str),
    confirmed: impl Fn(&mut Known) -> &mut BTreeSet<u64>,
) -> Result<(), RawError> {
    client.confirm_select()?;
    loop {
        let numbers = take(known, 1 + dice.below(30));
        for &number in &numbers {
            let props = Props::persistent().octet("priority", (number % PRIORITIES) as u8);
            let body = body(dice, number);
            client.publish(exchange, key, &props, &body)?;
        }
        assert_eq!(client.confirms()?.nacked.len(), 0);
        confirmed(&mut known.lock().unwrap()).extend(numbers);
    }
}

fn commit(client: &mut Client, dice: &mut Dice, known: &Mutex<Known>) -> Result<(), RawError> {
    client.tx_select()?;
    loop {
        let numbers = take(known, 3);
        for &number in &numbers {
            let body = body(dice, number);
            client.publish("", "together", &Props::persistent(), &body)?;
        }
        client.tx_commit()?;
        known.lock().unwrap().committed.extend(numbers);
    }
}

fn consume(client: &mut Client, known: &Mutex<Known>) -> Result<(), RawError> {
    client.qos(50, false)?;
    client.consume("plain", Consume::default())?;
    let mut last = None;
    loop {
        let message = client.delivery()?;
        let number = number(&message.text());
        assert!(last < Some(number), "{number} after {last:?}");
        last = Some(number);
        known.lock().unwrap().acked.insert(number);
        client.ack(message.delivery_tag, false)?;
    }
}

/// Every client's connection breaks; none is told to go.
fn broke(result: Result<(), RawError>) {
    if let Err(RawError::Closed { code, .. }) = result {
        panic!("refused with {code}");
    }
}

/// One life of the node: everybody at work until it is killed.
fn live(node: &mut Node, dice: &mut Dice, known: &Mutex<Known>) {
    let clients = [(); 4].map(|()| Client::open(node.amqp()).unwrap());
    let mut seeds = [(); 3].map(|()| Dice(dice.below(u64::MAX) + 1));
    let lifetime = Duration::from_millis(20 + dice.below(250));
    std::thread::scope(|scope| {
        let [mut fan, mut brief, mut together, mut consumer] = clients;
        let [a, b, c] = &mut seeds;
        scope.spawn(move || broke(publish(&mut fan, a, known, ("all", ""), |k| &mut k.fanned)));
        scope
            .spawn(move || broke(publish(&mut brief, b, known, ("", "brief"), |k| &mut k.briefed)));
        scope.spawn(move || broke(commit(&mut together, c, known)));
        scope.spawn(move || broke(consume(&mut consumer, known)));
        std::thread::sleep(lifetime);
        node.kill().unwrap();
    });
    if dice.below(3) == 0 {
        node.start_and_kill(Duration::from_millis(dice.below(40))).unwrap();
    }
    node.start_again().unwrap();
}

/// Each number in a queue, and how often.
fn count(client: &mut Client, queue: &str) -> BTreeMap<u64, u32> {
    let mut counts = BTreeMap::new();
    for text in client.drain(queue).unwrap() {
        *counts.entry(number(&text)).or_default() += 1;
    }
    counts
}

#[track_caller]
fn check_once(name: &str, found: &BTreeMap<u64, u32>, wanted: impl IntoIterator<Item = u64>) {
    let lost: Vec<_> = wanted.into_iter().filter(|n| !found.contains_key(n)).collect();
    assert!(lost.is_empty(), "{name} lost {} of what was promised: {lost:?}", lost.len());
    let doubled: Vec<_> = found.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "{name} has more than once: {doubled:?}");
}

#[test]
fn nothing_promised_is_lost_in_many_lives() {
    let from_env = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let kills: u64 = from_env("SHUNT_SOAK_KILLS").unwrap_or(5);
    let seed =
        from_env("SHUNT_SOAK_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 16 | 1);
    println!("SHUNT_SOAK_SEED={seed} SHUNT_SOAK_KILLS={kills}");
    let mut dice = Dice(seed);
    let mut node = Node::builder()
        .setting("node.queue_memory_bytes", 256 * 1024)
        .setting("node.segment_bytes", 1024 * 1024)
        .start()
        .unwrap();
    declare(&mut Client::open(node.amqp()).unwrap());
    let known = Mutex::new(Known::default());
    for life in 0..kills {
        live(&mut node, &mut dice, &known);
        if life % 50 == 49 {
            println!("{} lives, {} messages", life + 1, known.lock().unwrap().next);
        }
    }
    let known = known.into_inner().unwrap();
    assert!(known.fanned.len() > 100 && known.briefed.len() > 100 && known.committed.len() > 10);

    let mut client = Client::open(node.amqp()).unwrap();
    let is_over = || {
        let left = ["brief", "second"].map(|q| client.declare_queue_as(q, "p", &[]).unwrap().1);
        (left == [0, 0]).then_some(())
    };
    Deadline::after(Duration::from_secs(60)).poll("the last letters", is_over).unwrap();
    check_once("letters", &count(&mut client, "letters"), known.briefed);
    check_once("together", &count(&mut client, "together"), known.committed);

    let plain: Vec<u64> = client.drain("plain").unwrap().iter().map(|t| number(t)).collect();
    assert!(plain.is_sorted_by(|a, b| a < b), "plain is out of order, or doubled");
    let there: BTreeSet<u64> = plain.into_iter().collect();
    let lost: Vec<_> =
        known.fanned.iter().filter(|n| !there.contains(n) && !known.acked.contains(n)).collect();
    assert!(lost.is_empty(), "plain lost {lost:?}");

    let other: Vec<u64> = client.drain("other").unwrap().iter().map(|t| number(t)).collect();
    assert!(other.is_sorted_by(|a, b| a < b), "other is out of order, or doubled");
    let lanes: Vec<u64> = client.drain("lanes").unwrap().iter().map(|t| number(t)).collect();
    let order = |n: &u64| (PRIORITIES - n % PRIORITIES, *n);
    assert!(lanes.is_sorted_by(|a, b| order(a) < order(b)), "lanes is out of order, or doubled");
    for (name, queue) in [("other", other), ("lanes", lanes)] {
        let there: BTreeSet<u64> = queue.into_iter().collect();
        let lost: Vec<_> = known.fanned.difference(&there).collect();
        assert!(lost.is_empty(), "{name} lost {lost:?}");
    }
}
