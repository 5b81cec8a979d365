//! What a queue promises, rule by rule.

use proptest::prelude::*;
use shunt_types::{ExchangeId, Properties, Value};

use super::{message, plain, queue};
use crate::queue::{ConsumerId, ConsumerOptions, Enqueued, Queue, QueueSettings, Settlement};

fn consumer(queue: &mut Queue, prefetch: u16, priority: i64) -> ConsumerId {
    queue.subscribe(ConsumerOptions { prefetch, priority, ..Default::default() }).unwrap()
}

/// Who gets what is there, as long as somebody has room.
fn turns(queue: &mut Queue) -> Vec<ConsumerId> {
    std::iter::from_fn(|| queue.next_delivery(0)).map(|(consumer, _)| consumer).collect()
}

fn fill(queue: &mut Queue, messages: usize) {
    for n in 0..messages {
        queue.enqueue(0, plain(&n.to_string()));
    }
}

#[test]
fn consumers_of_one_priority_take_turns() {
    let mut queue = queue(QueueSettings::default());
    let (a, b) = (consumer(&mut queue, 0, 0), consumer(&mut queue, 0, 0));
    fill(&mut queue, 4);
    assert_eq!(turns(&mut queue), [a, b, a, b]);
}

#[test]
fn a_lower_priority_is_asked_only_when_the_higher_one_has_no_room() {
    let mut queue = queue(QueueSettings::default());
    let (low, high) = (consumer(&mut queue, 0, -1), consumer(&mut queue, 2, 5));
    fill(&mut queue, 4);
    assert_eq!(turns(&mut queue), [high, high, low, low]);
}

#[test]
fn a_single_active_consumer_is_succeeded_by_the_next_that_came() {
    let mut queue =
        queue(QueueSettings { single_active_consumer: true, ..QueueSettings::default() });
    let (first, second) = (consumer(&mut queue, 1, 0), consumer(&mut queue, 0, 9));
    fill(&mut queue, 3);
    assert_eq!(turns(&mut queue), [first], "whatever the other's priority and room");
    queue.unsubscribe(0, first);
    assert_eq!(turns(&mut queue), [second, second]);
}

#[test]
fn fewer_unsettled_deliveries_allowed_hold_back_who_waits_already() {
    let mut queue = queue(QueueSettings::default());
    let only = consumer(&mut queue, 3, 0);
    fill(&mut queue, 4);
    assert!(queue.next_delivery(0).is_some());
    queue.set_prefetch(only, 1);
    assert!(queue.next_delivery(0).is_none());
}

#[test]
fn what_is_due_this_millisecond_is_delivered_or_expires() {
    let now_or_never = Properties { expiration: Some("0".into()), ..Properties::default() };
    let mut taken = queue(QueueSettings::default());
    consumer(&mut taken, 0, 0);
    taken.enqueue(5, message("m", &now_or_never, b""));
    assert!(taken.next_delivery(5).is_some());
    let mut left = queue(QueueSettings::default());
    left.enqueue(5, message("m", &now_or_never, b""));
    left.expire(5);
    assert_eq!(left.stats().ready, 0);
}

#[test]
fn a_returned_message_keeps_its_time() {
    let mut queue = queue(QueueSettings { message_ttl_ms: Some(10), ..QueueSettings::default() });
    queue.enqueue(0, plain("m"));
    let (delivery, _) = queue.fetch(5, false).unwrap();
    assert!(queue.settle(delivery.id.unwrap(), Settlement::Requeue));
    assert_eq!(queue.next_deadline_ms(), Some(10));
    queue.expire(10);
    assert_eq!(queue.stats().ready, 0);
}

#[test]
fn an_unused_queue_expires_and_every_use_begins_its_time_anew() {
    let mut queue = queue(QueueSettings { expires_ms: Some(10), ..QueueSettings::default() });
    assert_eq!(queue.next_deadline_ms(), Some(10));
    queue.fetch(3, true);
    assert_eq!(queue.next_deadline_ms(), Some(13));
    queue.touch(5);
    assert_eq!(queue.next_deadline_ms(), Some(15));
    let only = consumer(&mut queue, 0, 0);
    assert_eq!(queue.next_deadline_ms(), None);
    queue.unsubscribe(7, only);
    assert!(!queue.is_expired(16) && queue.is_expired(17));
}

#[test]
fn a_queue_that_was_long_keeps_no_memory_for_it() {
    let mut queue = queue(QueueSettings::default());
    fill(&mut queue, 10_000);
    let fetched: Vec<_> =
        std::iter::from_fn(|| queue.fetch(0, false)).map(|(delivery, _)| delivery).collect();
    for delivery in fetched {
        assert!(queue.settle(delivery.id.unwrap(), Settlement::Ack));
    }
    assert!(queue.unacked.capacity() <= 4_096, "{}", queue.unacked.capacity());
}

/// Takes a message that asks to wait for that long.
fn delay(queue: &mut Queue, now_ms: u64, delay_ms: u64, body: &str) {
    let header = [("x-delay".to_owned(), Value::I64(delay_ms as i64))];
    let properties =
        Properties { headers: Some(header.into_iter().collect()), ..Properties::default() };
    queue.enqueue(now_ms, message("m", &properties, body.as_bytes()));
}

proptest! {
    #[test]
    fn what_waits_comes_when_it_is_due_and_in_order(
        steps in prop::collection::vec((0..50u64, 1..100u64), 1..80),
    ) {
        let settings =
            QueueSettings { delayed_for: Some(ExchangeId(1)), ..QueueSettings::default() };
        let mut queue = queue(settings);
        let mut model = Vec::new();
        let mut now_ms = 0;
        let due = |queue: &mut Queue, model: &mut Vec<(u64, usize)>, now_ms: u64| {
            queue.expire(now_ms);
            let dead = queue.take_dead(u64::MAX);
            let got: Vec<usize> = dead
                .iter()
                .map(|dead| String::from_utf8_lossy(dead.message.as_ref().unwrap().body()).parse().unwrap())
                .collect();
            model.sort_unstable();
            let expected: Vec<usize> = model
                .extract_if(.., |(at, _)| *at <= now_ms)
                .map(|(_, number)| number)
                .collect();
            (got, expected)
        };
        for (number, (later, delay_ms)) in steps.into_iter().enumerate() {
            now_ms += later;
            let (got, expected) = due(&mut queue, &mut model, now_ms);
            prop_assert_eq!(got, expected);
            delay(&mut queue, now_ms, delay_ms, &number.to_string());
            model.push((now_ms + delay_ms, number));
            let next = model.iter().map(|(at, _)| *at).min();
            prop_assert_eq!(queue.next_deadline_ms(), next);
            prop_assert_eq!(queue.stats().ready, model.len() as u64);
        }
        let (got, expected) = due(&mut queue, &mut model, now_ms + 100);
        prop_assert_eq!(got, expected);
        prop_assert_eq!(queue.stats().ready, 0);
    }
}

#[test]
fn sequences_of_what_waits_are_never_the_same() {
    let mut waiting =
        queue(QueueSettings { delayed_for: Some(ExchangeId(1)), ..QueueSettings::default() });
    delay(&mut waiting, 0, 5, "first");
    // As if four million had come meanwhile.
    waiting.next_sequence = 1 << 22;
    delay(&mut waiting, 0, 5, "second");
    waiting.expire(5);
    let bodies: Vec<_> = waiting
        .take_dead(u64::MAX)
        .iter()
        .map(|d| d.message.as_ref().unwrap().body().to_vec())
        .collect();
    assert_eq!(bodies, [b"first".to_vec(), b"second".to_vec()]);
}

/// Offers a message with that value; whether the queue takes it.
fn takes(queue: &mut Queue, value: i32) -> bool {
    let header = [("x-deduplication-header".to_owned(), Value::I32(value))];
    let headers = Some(header.into_iter().collect());
    let properties = Properties { headers, ..Properties::default() };
    queue.enqueue(0, message("m", &properties, b"")) != Enqueued::Duplicate
}

#[test]
fn a_value_is_in_the_queue_once_until_its_message_has_left() {
    let settings =
        || QueueSettings { deduplication: true, max_length: Some(2), ..Default::default() };
    let mut queue = queue(settings());
    assert!(takes(&mut queue, 1));
    assert!(!takes(&mut queue, 1), "ready");
    let (delivery, _) = queue.fetch(0, false).unwrap();
    assert!(!takes(&mut queue, 1), "unacknowledged");
    queue.settle(delivery.id.unwrap(), Settlement::Requeue);
    assert!(!takes(&mut queue, 1), "returned");
    for end in [Settlement::Ack, Settlement::Reject] {
        let (delivery, _) = queue.fetch(0, false).unwrap();
        queue.settle(delivery.id.unwrap(), end);
        assert!(takes(&mut queue, 1), "{end:?}");
    }
    assert!(queue.fetch(0, true).is_some());
    assert!(takes(&mut queue, 1), "handed out for good");
    assert_ne!(queue.enqueue(0, plain("without")), Enqueued::Duplicate);
    assert_ne!(queue.enqueue(0, plain("without")), Enqueued::Duplicate);
    queue.enforce_bounds();
    assert!(takes(&mut queue, 1), "dropped from the head");

    queue.purge();
    assert!(takes(&mut queue, 1), "purged");
}

#[test]
fn what_was_handed_out_before_a_purge_is_still_there() {
    let mut queue = queue(QueueSettings { deduplication: true, ..Default::default() });
    assert!(takes(&mut queue, 1) && takes(&mut queue, 2));
    let (delivery, _) = queue.fetch(0, false).unwrap();
    queue.purge();
    assert!(!takes(&mut queue, 1));
    assert!(takes(&mut queue, 2));
    queue.settle(delivery.id.unwrap(), Settlement::Ack);
    assert!(takes(&mut queue, 1));
}

#[test]
fn a_delivery_that_was_refused_is_still_there() {
    let mut queue = queue(QueueSettings { deduplication: true, ..Default::default() });
    let options = ConsumerOptions { no_ack: true, ..Default::default() };
    queue.subscribe(options).unwrap();
    assert!(takes(&mut queue, 1));
    let (consumer, delivery) = queue.next_delivery(0).unwrap();
    assert!(queue.undeliver(consumer, delivery).is_none());
    assert!(!takes(&mut queue, 1));
}
