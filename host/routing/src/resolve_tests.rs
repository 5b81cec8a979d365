//! Tests of the walk, over a virtual host of a few exchanges.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::exchange_type::{Binding, ExchangeType, Matcher};
use crate::failure::FailureCause;
use shunt_types::Value;

use crate::fixture::{Publish, binding, create, queue, queue_id, table};
use crate::native::{DelayedMessage, Direct, Fanout, LastValue};

/// Exchanges and queues by name; queues are `q1`, `q2` and so on.
struct Host {
    exchanges: Vec<Exchange>,
    queues: BTreeMap<String, QueueId>,
}

impl Host {
    /// A virtual host with the default exchange and nine queues.
    fn new() -> Self {
        let queues = (1..10).map(|n| (format!("q{n}"), queue_id(n))).collect();
        let mut host = Self { exchanges: Vec::new(), queues };
        host.declare("", create(&Direct, &[]).unwrap());
        host
    }

    fn declare(&mut self, name: &str, matcher: Box<dyn Matcher>) -> &mut Exchange {
        self.exchanges.push(Exchange {
            id: ExchangeId(self.exchanges.len() as u64),
            name: ExchangeName::new(name).unwrap(),
            internal: false,
            alternate: None,
            on_failure: OnFailure::default(),
            waiting: None,
            retention: matcher.retention(),
            matcher,
        });
        self.exchanges.last_mut().unwrap()
    }

    /// Exchanges of a type, each with destinations that are queues (`q1`) or exchanges bound by
    /// the key `k`, and after a `|` its alternate exchange.
    fn with(mut self, kind: &dyn ExchangeType, exchanges: &[(&str, &str)]) -> Self {
        for (name, _) in exchanges {
            self.declare(name, create(kind, &[]).unwrap());
        }
        for (name, rest) in exchanges {
            let (targets, alternate) = rest.split_once('|').unwrap_or((rest, ""));
            for target in targets.split_whitespace() {
                let destination = match self.queues.get(target) {
                    Some(id) => Destination::Queue(*id),
                    None => Destination::Exchange(self.named(target).id),
                };
                self.edit(name).matcher.bind(&binding(destination, "k"));
            }
            if !alternate.is_empty() {
                self.edit(name).alternate = Some(ExchangeName::new(alternate.trim()).unwrap());
            }
        }
        self
    }

    fn named(&self, name: &str) -> &Exchange {
        self.exchange_named(name).unwrap()
    }

    fn edit(&mut self, name: &str) -> &mut Exchange {
        self.exchanges.iter_mut().find(|exchange| exchange.name.as_str() == name).unwrap()
    }

    fn walk(&self, exchange: &str, keys: &[&str], confirming: bool) -> Walk {
        let mut walk = Walk::new();
        // Scratch space that was used before must not show.
        walk.queues.push(queue_id(99));
        walk.diverted = true;
        let publish = Publish::to(keys);
        walk.resolve(self, self.named(exchange), &publish.header(), confirming);
        walk
    }

    /// Publishes to `exchange` and expects the message in exactly these queues.
    #[track_caller]
    fn check(&self, exchange: &str, keys: &[&str], expected: &[u32]) {
        let walk = self.walk(exchange, keys, true);
        assert_eq!(slots(&walk), expected);
        assert_eq!(walk.failure(), None);
        assert!(!walk.is_diverted());
    }
}

fn slots(walk: &Walk) -> Vec<u32> {
    walk.queues().iter().map(|id| id.slot()).collect()
}

impl Topology for Host {
    fn queue(&self, name: &str) -> Option<QueueId> {
        self.queues.get(name).copied()
    }

    fn exchange(&self, id: ExchangeId) -> Option<&Exchange> {
        self.exchanges.iter().find(|exchange| exchange.id == id)
    }

    fn exchange_named(&self, name: &str) -> Option<&Exchange> {
        self.exchanges.iter().find(|exchange| exchange.name.as_str() == name)
    }
}

/// A route that never decides, and leaves something behind to show that it doesn't count.
struct Failing;

impl Matcher for Failing {
    fn bind(&mut self, _binding: &Arc<Binding>) {}

    fn unbind(&mut self, _binding: &Binding) {}

    fn matches(
        &self,
        _header: &Header<'_>,
        _topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        destinations.push(queue(9));
        Err(Failure::new(FailureCause::Trap, "unreachable"))
    }

    fn boxed_clone(&self) -> Box<dyn Matcher> {
        Box::new(Self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[test]
fn the_default_exchange_takes_each_key_for_a_queue() {
    let host = Host::new();
    host.check("", &["q1"], &[1]);
    host.check("", &["q1", "q2", "q1", "nowhere"], &[1, 2]);
    host.check("", &["nowhere"], &[]);
}

#[test]
fn a_queue_gets_a_message_once_however_many_ways_lead_there() {
    let host = Host::new()
        .with(&Fanout, &[("a", "b c q1"), ("b", "q1 q2"), ("c", "d q2"), ("d", "q1 q3")]);
    host.check("a", &["k"], &[1, 2, 3]);
}

#[test]
fn cycles_do_no_harm() {
    let host = Host::new().with(&Fanout, &[("a", "b a q1"), ("b", "c"), ("c", "a b q2")]);
    host.check("a", &["k"], &[1, 2]);
    host.check("c", &["k"], &[1, 2]);
}

#[test]
fn keys_pass_unchanged_from_exchange_to_exchange() {
    let host = Host::new().with(&Direct, &[("a", "b"), ("b", "q1")]);
    host.check("a", &["k"], &[1]);
    host.check("a", &["x", "k"], &[1]);
    host.check("a", &["x"], &[]);
}

#[test]
fn what_matches_nothing_goes_to_the_alternate_exchange() {
    let host = Host::new().with(&Direct, &[("a", "q1 | b"), ("b", "| c")]);
    let host = host.with(&Fanout, &[("c", "q2")]);
    host.check("a", &["k"], &[1]);
    host.check("a", &["x"], &[2]);
}

#[test]
fn an_exchange_on_the_way_diverts_too() {
    let host = Host::new().with(&Fanout, &[("a", "b q1"), ("b", "| c"), ("c", "q2")]);
    host.check("a", &["k"], &[1, 2]);
}

#[test]
fn a_match_that_leads_nowhere_is_a_match() {
    let host = Host::new().with(&Fanout, &[("a", "b | c"), ("b", ""), ("c", "q1")]);
    host.check("a", &["k"], &[]);
}

#[test]
fn alternate_exchanges_that_are_missing_or_in_a_circle_end_the_walk() {
    let host = Host::new().with(&Direct, &[("a", "| b"), ("b", "| a"), ("c", "| gone")]);
    host.check("a", &["k"], &[]);
    host.check("c", &["k"], &[]);
}

#[test]
fn an_exchange_deleted_meanwhile_is_skipped() {
    let mut host = Host::new().with(&Fanout, &[("a", "b q1"), ("b", "q2")]);
    host.exchanges.retain(|exchange| exchange.name.as_str() != "b");
    host.check("a", &["k"], &[1]);
}

#[test]
fn the_default_exchange_may_be_an_alternate() {
    let mut host = Host::new().with(&Direct, &[("a", "")]);
    host.edit("a").alternate = Some(ExchangeName::new("").unwrap());
    host.check("a", &["q3"], &[3]);
}

/// A failing exchange `f` with the alternate exchange `alt` to q1, if it has one, and the policy.
fn failing(alternate: bool, on_failure: OnFailure) -> Host {
    let mut host = Host::new().with(&Fanout, &[("alt", "q1")]);
    let exchange = host.declare("f", Box::new(Failing));
    exchange.alternate = alternate.then(|| ExchangeName::new("alt").unwrap());
    exchange.on_failure = on_failure;
    host
}

/// Publishes to `f`: the queues, and whether the failure was answered.
#[track_caller]
fn check_failure(host: &Host, from: &str, confirming: bool, queues: &[u32], diverted: bool) {
    let walk = host.walk(from, &["k"], confirming);
    assert_eq!((slots(&walk).as_slice(), walk.is_diverted()), (queues, diverted));
    let failure = walk.failure().unwrap();
    assert_eq!(failure.exchange.as_str(), "f");
    assert_eq!(failure.failure, Failure::new(FailureCause::Trap, "unreachable"));
}

#[test]
fn nack_gives_a_confirming_publisher_no_queue() {
    check_failure(&failing(true, OnFailure::Nack), "f", true, &[], false);
    check_failure(&failing(false, OnFailure::Nack), "f", true, &[], false);
}

#[test]
fn nack_without_confirms_diverts_where_it_can() {
    check_failure(&failing(true, OnFailure::Nack), "f", false, &[1], true);
    check_failure(&failing(false, OnFailure::Nack), "f", false, &[], false);
}

#[test]
fn alternate_diverts_whether_or_not_the_publisher_confirms() {
    check_failure(&failing(true, OnFailure::Alternate), "f", true, &[1], true);
    check_failure(&failing(true, OnFailure::Alternate), "f", false, &[1], true);
    check_failure(&failing(false, OnFailure::Alternate), "f", true, &[], false);
}

#[test]
fn a_failure_that_is_not_answered_takes_every_queue_away() {
    let host = failing(true, OnFailure::Nack).with(&Fanout, &[("a", "q2 f")]);
    check_failure(&host, "a", true, &[], false);
    check_failure(&host, "a", false, &[1, 2], true);
}

#[test]
fn a_failure_that_is_not_answered_weighs_more_than_one_that_is() {
    for order in ["f g q2", "g f q2"] {
        let mut host = failing(false, OnFailure::Nack);
        let other = host.declare("g", Box::new(Failing));
        other.alternate = Some(ExchangeName::new("alt").unwrap());
        other.on_failure = OnFailure::Alternate;
        let host = host.with(&Fanout, &[("a", order)]);
        check_failure(&host, "a", true, &[], false);
    }
}

/// An exchange of that type, with a queue for what it delays where the type delays.
fn made_of(host: &mut Host, name: &str, kind: &dyn ExchangeType, arguments: &[(&str, Value)]) {
    let exchange = host.declare(name, create(kind, arguments).unwrap());
    exchange.waiting = exchange.matcher.may_delay().then(|| queue_id(77));
    exchange.matcher.bind(&binding(queue(1), "k"));
}

#[test]
fn a_message_that_has_to_wait_is_matched_nowhere_else_on_its_way() {
    let mut host = Host::new().with(&Fanout, &[("alt", "q9")]);
    let kind = [("x-delayed-type", Value::from("x-recent-history"))];
    made_of(&mut host, "delayed", &DelayedMessage, &kind);
    host.edit("delayed").alternate = Some(ExchangeName::new("alt").unwrap());
    let host = host.with(&Fanout, &[("a", "delayed q2")]);

    let mut walk = Walk::new();
    let publish = Publish::headers(table(&[("x-delay", Value::I32(5))]));
    walk.resolve(&host, host.named("a"), &publish.header(), true);
    assert_eq!((slots(&walk).as_slice(), walk.waiting()), (&[2][..], &[queue_id(77)][..]));
    assert_eq!(walk.retaining(), []);

    let due = Publish::headers(table(&[("x-delay", Value::I32(-5))]));
    walk.resolve(&host, host.named("delayed"), &due.header(), true);
    assert_eq!((slots(&walk).as_slice(), walk.waiting()), (&[1][..], &[][..]));
    assert_eq!(walk.retaining(), [host.named("delayed").id]);
}

#[test]
fn nothing_waits_and_nothing_is_kept_of_a_message_that_a_route_refuses() {
    let mut host = failing(false, OnFailure::Nack);
    made_of(&mut host, "delayed", &DelayedMessage, &[("x-delayed-type", "fanout".into())]);
    made_of(&mut host, "kept", &LastValue, &[]);
    let host = host.with(&Fanout, &[("a", "delayed kept f")]);
    let mut walk = Walk::new();
    let publish = Publish::headers(table(&[("x-delay", Value::I32(5))]));
    walk.resolve(&host, host.named("a"), &publish.header(), true);
    assert!(walk.failure().is_some());
    assert!(walk.queues().is_empty() && walk.waiting().is_empty() && walk.retaining().is_empty());
}

#[test]
fn random_bits_follow_from_the_seed() {
    let draws = |mut walk: Walk| [(); 3].map(|()| walk.next_random());
    assert_eq!(draws(Walk::seeded(1)), draws(Walk::seeded(1)));
    assert_ne!(draws(Walk::seeded(1)), draws(Walk::seeded(2)));
    let [a, b, c] = draws(Walk::new());
    assert!(a != b && b != c);
}
