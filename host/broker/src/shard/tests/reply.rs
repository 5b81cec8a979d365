//! Direct reply-to: from whichever thread to the requester, stored nowhere.

use std::cell::RefCell;
use std::rc::Rc;

use shunt_types::Message;

use super::harness::{World, message};
use crate::PublishOutcome;
use crate::replies::ReplySink;

const ROUTED: PublishOutcome = PublishOutcome::Routed { pending: 0, rejected: false };

#[derive(Clone, Default)]
struct Seen(Rc<RefCell<Vec<String>>>);

impl ReplySink for Seen {
    fn reply(&mut self, message: &Message) {
        self.0.borrow_mut().push(String::from_utf8_lossy(message.body()).into_owned());
    }
}

#[test]
fn a_reply_reaches_its_requester_from_any_shard_until_the_address_is_closed() {
    let mut world = World::new(2);
    let seen = Seen::default();
    let address = world.shards[0].open_replies("secret", Box::new(seen.clone()));
    assert_eq!(&*address, "amq.rabbitmq.reply-to.secret");
    assert!(world.broker.has_requester(&address));
    for shard in [0, 1] {
        let outcome = world.publish_from(shard, message("", &address, &[], "hello"), None);
        assert_eq!(outcome, Ok(ROUTED));
    }
    world.run();
    assert_eq!(*seen.0.borrow(), ["hello", "hello"]);

    world.shards[0].close_replies(&address);
    assert!(!world.broker.has_requester(&address));
    for shard in [0, 1] {
        let outcome = world.publish_from(shard, message("", &address, &[], "late"), None);
        assert_eq!(outcome, Ok(PublishOutcome::Unroutable));
    }
    world.run();
    assert_eq!(seen.0.borrow().len(), 2);
}

#[test]
fn only_the_default_exchange_knows_reply_addresses() {
    let mut world = World::new(1);
    let seen = Seen::default();
    let address = world.shards[0].open_replies("secret", Box::new(seen.clone()));
    assert_eq!(world.publish("amq.direct", &address, "hello"), PublishOutcome::Unroutable);
    let pseudo_queue = world.publish("", "amq.rabbitmq.reply-to", "hello");
    assert_eq!(pseudo_queue, PublishOutcome::Unroutable);
    assert!(seen.0.borrow().is_empty());
}
