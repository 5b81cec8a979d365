//! `x-consistent-hash`: one destination for each message, by the hash of its routing key or of
//! another of its fields; the binding key is the destination's weight.

use std::any::Any;
use std::sync::Arc;

use shunt_types::ValueRef;

use super::arguments;
use super::comparable::comparable;
use super::tree::{Tree, stable_hash};
use crate::exchange_type::{
    Binding, Destination, ExchangeSpec, ExchangeType, Header, Matcher, Topology,
};
use crate::failure::Failure;

/// Greatest weight of a destination (RabbitMQ 4.3).
const WEIGHT_MAX: u32 = 10_000;

/// The exchange type `x-consistent-hash`.
pub(crate) struct ConsistentHash;

impl ExchangeType for ConsistentHash {
    fn name(&self) -> &'static str {
        "x-consistent-hash"
    }

    fn create(&self, exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        let header = arguments::text(exchange, "hash-header")?;
        let property = arguments::text(exchange, "hash-property")?;
        let source = match (header, property) {
            (None, None) => Source::RoutingKey,
            (Some(name), None) => Source::Header(name.into()),
            (None, Some("message_id")) => Source::MessageId,
            (None, Some("correlation_id")) => Source::CorrelationId,
            (None, Some("timestamp")) => Source::Timestamp,
            (None, Some(other)) => {
                return Err(format!(
                    "Unsupported property: {other} (invalid arg 'hash-property', must be \
                     'message_id', 'correlation_id' or 'timestamp')"
                ));
            }
            (Some(_), Some(_)) => {
                return Err("hash-header and hash-property are mutually exclusive".to_owned());
            }
        };
        Ok(Box::new(ConsistentHashMatcher { source, tree: Tree::default() }))
    }
}

#[derive(Clone)]
struct ConsistentHashMatcher {
    source: Source,
    tree: Tree,
}

/// What of a message is hashed. A message without it is hashed as an empty text: all of them go
/// to the same destination, as in RabbitMQ.
#[derive(Clone)]
enum Source {
    RoutingKey,
    Header(Arc<str>),
    MessageId,
    CorrelationId,
    Timestamp,
}

impl Matcher for ConsistentHashMatcher {
    fn validate_binding(&self, binding: &Binding) -> Result<(), String> {
        weight(&binding.key).map(|_| ())
    }

    fn bind(&mut self, binding: &Arc<Binding>) {
        // A key that is no weight was refused.
        if let Ok(weight) = weight(&binding.key) {
            self.tree.add(binding, weight);
        }
    }

    fn unbind(&mut self, binding: &Binding) {
        self.tree.remove(binding);
    }

    fn matches(
        &self,
        header: &Header<'_>,
        _topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        destinations.extend(self.tree.pick(self.source.hash(header)));
        Ok(())
    }

    fn boxed_clone(&self) -> Box<dyn Matcher> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Source {
    fn hash(&self, header: &Header<'_>) -> u64 {
        let properties = header.properties;
        let text = match self {
            Self::RoutingKey => header.routing_key(),
            Self::MessageId => properties.message_id().unwrap_or_default(),
            Self::CorrelationId => properties.correlation_id().unwrap_or_default(),
            Self::Timestamp => {
                let seconds = properties.timestamp().map(u64::to_be_bytes);
                return stable_hash(seconds.as_ref().map_or(&[], |bytes| bytes));
            }
            Self::Header(name) => {
                return match properties.header(name) {
                    None => stable_hash(&[]),
                    Some(ValueRef::LongString(bytes)) => stable_hash(bytes),
                    Some(value) => stable_hash(&comparable(value)),
                };
            }
        };
        stable_hash(text.as_bytes())
    }
}

fn weight(key: &str) -> Result<u32, String> {
    let digits = key.strip_prefix(['-', '+']).unwrap_or(key);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("The binding key must be an integer: '{key}'"));
    }
    match key.parse::<u32>() {
        Ok(weight @ 1..=WEIGHT_MAX) => Ok(weight),
        _ if key.starts_with('-') || digits.bytes().all(|byte| byte == b'0') => {
            Err(format!("The binding key must be greater than 0: '{key}'"))
        }
        _ => Err(format!("The binding key must not be greater than {WEIGHT_MAX}: '{key}'")),
    }
}

#[cfg(test)]
mod tests {
    use shunt_types::{Properties, Value};

    use super::*;
    use crate::fixture::{Publish, bind_all, binding, create, destinations, queue, table};

    type Arguments<'a> = &'a [(&'a str, Value)];

    fn refusal(arguments: Arguments<'_>) -> Option<String> {
        create(&ConsistentHash, arguments).err()
    }

    /// Whether two messages go to the same of a hundred queues under the arguments.
    #[track_caller]
    fn check(arguments: Arguments<'_>, a: &Publish<'_>, b: &Publish<'_>, same: bool) {
        let mut matcher = create(&ConsistentHash, arguments).unwrap();
        for n in 0..100 {
            matcher.bind(&binding(queue(n), "1"));
        }
        let (a, b) = (destinations(&*matcher, a), destinations(&*matcher, b));
        assert_eq!((a.len(), b.len()), (1, 1), "one destination for each message");
        assert_eq!(a == b, same);
    }

    fn sent(key: &'static str, properties: Properties) -> Publish<'static> {
        Publish::with(&[key], &properties)
    }

    #[test]
    fn the_routing_key_decides_and_no_other_key() {
        check(&[], &Publish::to(&["a", "x"]), &Publish::to(&["a", "y"]), true);
        check(&[], &Publish::to(&["a"]), &Publish::to(&["b"]), false);
    }

    #[test]
    fn a_header_decides_where_the_exchange_says_so() {
        let arguments = [("hash-header", Value::from("customer"))];
        let of = |value: Value| Publish::headers(table(&[("customer", value)]));
        check(&arguments, &of("a".into()), &of("a".into()), true);
        check(&arguments, &of("a".into()), &of("b".into()), false);
        check(&arguments, &of(Value::I8(5)), &of(Value::I64(5)), true);
        check(&arguments, &Publish::to(&["a"]), &Publish::to(&["b"]), true);
    }

    #[test]
    fn a_property_decides_where_the_exchange_says_so() {
        let message_id =
            |id: &str| Properties { message_id: Some(id.into()), ..Default::default() };
        let arguments = [("hash-property", Value::from("message_id"))];
        check(&arguments, &sent("a", message_id("1")), &sent("b", message_id("1")), true);
        check(&arguments, &sent("a", message_id("1")), &sent("a", message_id("2")), false);

        let correlation =
            |id: &str| Properties { correlation_id: Some(id.into()), ..Default::default() };
        let arguments = [("hash-property", Value::from("correlation_id"))];
        check(&arguments, &sent("a", correlation("1")), &sent("b", correlation("1")), true);
        check(&arguments, &sent("a", correlation("1")), &sent("a", correlation("2")), false);

        let at = |time| Properties { timestamp: Some(time), ..Default::default() };
        let arguments = [("hash-property", Value::from("timestamp"))];
        check(&arguments, &sent("a", at(1)), &sent("b", at(1)), true);
        check(&arguments, &sent("a", at(1)), &sent("a", at(2)), false);
    }

    #[test]
    fn arguments_that_contradict_are_refused() {
        let (header, property) =
            (("hash-header", Value::from("h")), ("hash-property", Value::from("message_id")));
        assert_eq!(
            refusal(&[header, property]).as_deref(),
            Some("hash-header and hash-property are mutually exclusive")
        );
        assert_eq!(
            refusal(&[("hash-property", "app_id".into())]).as_deref(),
            Some(
                "Unsupported property: app_id (invalid arg 'hash-property', must be 'message_id', \
                 'correlation_id' or 'timestamp')"
            )
        );
        assert_eq!(
            refusal(&[("hash-header", Value::I32(1))]).as_deref(),
            Some("invalid arg 'hash-header': 1, must be longstr")
        );
    }

    #[test]
    fn the_binding_key_is_a_weight_from_1_to_10000() {
        for good in ["1", "10000", "007"] {
            assert!(weight(good).is_ok(), "{good}");
        }
        for (bad, text) in [
            ("", "The binding key must be an integer: ''"),
            ("1.5", "The binding key must be an integer: '1.5'"),
            ("#", "The binding key must be an integer: '#'"),
            ("0", "The binding key must be greater than 0: '0'"),
            ("-3", "The binding key must be greater than 0: '-3'"),
            ("10001", "The binding key must not be greater than 10000: '10001'"),
            (
                "99999999999999999999",
                "The binding key must not be greater than 10000: '99999999999999999999'",
            ),
        ] {
            assert_eq!(weight(bad), Err(text.to_owned()));
        }
    }

    #[test]
    fn without_bindings_nobody_gets_it() {
        let matcher = bind_all(&ConsistentHash, &[]);
        assert_eq!(destinations(&*matcher, &Publish::to(&["a"])), []);
    }
}
