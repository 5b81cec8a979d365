//! `x-lvc`: by the routing key, as `direct`; and a destination that is bound gets the last message
//! that passed with the binding's key.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use shunt_types::Message;
use shunt_types::limits::{RETAINED_BYTES_MAX, RETAINED_MESSAGES_MAX};

use super::Direct;
use crate::exchange_type::{
    Binding, Destination, ExchangeSpec, ExchangeType, Header, Matcher, Topology,
};
use crate::failure::Failure;
use crate::retention::Retention;

/// The exchange type `x-lvc`.
pub(crate) struct LastValue;

impl ExchangeType for LastValue {
    fn name(&self) -> &'static str {
        "x-lvc"
    }

    fn create(&self, exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        Ok(Box::new(LastValueMatcher { direct: Direct.create(exchange)?, values: Arc::default() }))
    }
}

struct LastValueMatcher {
    direct: Box<dyn Matcher>,
    values: Arc<Values>,
}

#[derive(Default)]
struct Values(Mutex<ByKey>);

/// The last message of each key.
#[derive(Default)]
struct ByKey {
    values: HashMap<Arc<str>, (u64, Message)>,
    /// Keys by when they passed last: who goes first when there are too many.
    order: BTreeMap<u64, Arc<str>>,
    bytes: usize,
    passed: u64,
}

impl Matcher for LastValueMatcher {
    fn validate_binding(&self, binding: &Binding) -> Result<(), String> {
        self.direct.validate_binding(binding)
    }

    fn bind(&mut self, binding: &Arc<Binding>) {
        self.direct.bind(binding);
    }

    fn unbind(&mut self, binding: &Binding) {
        self.direct.unbind(binding);
    }

    fn matches(
        &self,
        header: &Header<'_>,
        topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        self.direct.matches(header, topology, destinations)
    }

    fn retention(&self) -> Option<Arc<dyn Retention>> {
        Some(self.values.clone())
    }

    fn boxed_clone(&self) -> Box<dyn Matcher> {
        Box::new(Self { direct: self.direct.boxed_clone(), values: self.values.clone() })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Retention for Values {
    fn retain(&self, message: &Message, routing_keys: &[&str]) {
        let mut by_key = self.0.lock();
        routing_keys.iter().for_each(|key| by_key.put(key, message));
    }

    fn recall(&self, binding: &Binding) -> Vec<Message> {
        let Some(message) = self.0.lock().values.get(&*binding.key).map(|(_, m)| m.clone()) else {
            return Vec::new();
        };
        if message.routing_key() == &*binding.key {
            return vec![message];
        }
        // It passed by a key of its header `CC`, by which the new destination knows it.
        let properties = message.properties().to_owned();
        let hidden = message.hidden().cloned();
        let same = message.republished(message.exchange(), &binding.key, &properties, hidden);
        same.into_iter().collect()
    }
}

impl ByKey {
    fn put(&mut self, key: &str, message: &Message) {
        self.passed += 1;
        let key: Arc<str> = match self.values.get_key_value(key) {
            Some((key, (passed, _))) => {
                let (key, passed) = (key.clone(), *passed);
                self.order.remove(&passed);
                key
            }
            None => key.into(),
        };
        self.bytes += cost(&key, message);
        let old = self.values.insert(key.clone(), (self.passed, message.clone()));
        if let Some((_, old)) = old {
            self.bytes -= cost(&key, &old);
        }
        self.order.insert(self.passed, key);
        while self.values.len() > RETAINED_MESSAGES_MAX || self.bytes > RETAINED_BYTES_MAX {
            let Some((_, oldest)) = self.order.pop_first() else { return };
            if let Some((_, old)) = self.values.remove(&*oldest) {
                self.bytes -= cost(&oldest, &old);
            }
        }
    }
}

/// Bytes of memory that a key with its message takes, about.
fn cost(key: &str, message: &Message) -> usize {
    const ENTRY: usize = 128;
    ENTRY + key.len() + message.memory()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shunt_types::Properties;

    use super::*;
    use crate::fixture::{Publish, bind_all, binding, create, destinations, queue};

    fn message(key: &str, body: &str) -> Message {
        Message::build("x", key, &Properties::default(), body.as_bytes()).unwrap()
    }

    fn recall(matcher: &dyn Matcher, key: &str) -> Vec<(String, String)> {
        let recalled = matcher.retention().unwrap().recall(&binding(queue(1), key));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        recalled.iter().map(|m| (m.routing_key().to_owned(), text(m.body()))).collect()
    }

    #[test]
    fn a_binding_gets_the_last_value_of_its_key_alone() {
        let mut matcher = create(&LastValue, &[]).unwrap();
        let retention = matcher.retention().unwrap();
        for (key, body) in [("a", "1"), ("b", "2"), ("a", "3")] {
            retention.retain(&message(key, body), &[key]);
        }
        matcher.bind(&binding(queue(1), "a"));
        assert_eq!(recall(&*matcher, "a"), [("a".into(), "3".into())]);
        assert_eq!(recall(&*matcher, "b"), [("b".into(), "2".into())]);
        assert_eq!(recall(&*matcher, "c"), []);
    }

    #[test]
    fn a_message_is_the_value_of_each_of_its_keys() {
        let matcher = create(&LastValue, &[]).unwrap();
        matcher.retention().unwrap().retain(&message("a", "1"), &["a", "cc"]);
        assert_eq!(recall(&*matcher, "cc"), [("cc".into(), "1".into())]);
    }

    #[test]
    fn it_routes_as_direct_does() {
        let matcher = bind_all(&LastValue, &[binding(queue(1), "a"), binding(queue(2), "b")]);
        assert_eq!(destinations(&*matcher.boxed_clone(), &Publish::to(&["a"])), [1]);
    }

    #[test]
    fn the_key_that_passed_longest_ago_goes_first() {
        let matcher = create(&LastValue, &[]).unwrap();
        let retention = matcher.retention().unwrap();
        let body = "x".repeat(RETAINED_BYTES_MAX / 4);
        for key in ["a", "b", "c", "a", "d"] {
            retention.retain(&message(key, &body), &[key]);
        }
        let kept: Vec<_> = ["a", "b", "c", "d"]
            .into_iter()
            .filter(|key| !recall(&*matcher, key).is_empty())
            .collect();
        assert_eq!(kept, ["a", "c", "d"]);
    }

    proptest! {
        #[test]
        fn bytes_and_order_follow_the_values(keys in prop::collection::vec(0..6u8, 0..60)) {
            let mut by_key = ByKey::default();
            for (n, key) in keys.iter().enumerate() {
                let key = key.to_string();
                by_key.put(&key, &message(&key, &"x".repeat(n)));
            }
            let bytes: usize = by_key.values.iter().map(|(key, (_, m))| cost(key, m)).sum();
            prop_assert_eq!(by_key.bytes, bytes);
            prop_assert_eq!(by_key.order.len(), by_key.values.len());
            for (passed, key) in &by_key.order {
                prop_assert_eq!(by_key.values[key].0, *passed);
            }
        }
    }
}
