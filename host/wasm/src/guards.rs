//! Guards: what holds for every answer of a version, whatever its module says.
//!
//! A guard is a name and a rule. What a rule says of bindings is found out once for each set of
//! bindings, as one bit a guard and binding; a message pays for the bits of its picks, and for the
//! conditions of those guards that they would break.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use shunt_routing::{Binding, Destination, Failure, FailureCause, Header};

use crate::fields::Field;
use crate::limits::{GUARD_BYTES_MAX, GUARD_NAME_BYTES_MAX, GUARDS_MAX};
use crate::replay::write_value;

/// Guards that can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// More guards than a version may have.
    #[error("{0} guards, at most {GUARDS_MAX} are allowed")]
    TooMany(usize),
    /// A name that can't stand in a failure or a metric.
    #[error(
        "a guard's name has 1 to {GUARD_NAME_BYTES_MAX} letters, digits, '-', '_' and '.', not \
         '{0}'"
    )]
    Name(String),
    /// A rule that says nothing.
    #[error(
        "guard '{name}': '{rule}' is no rule; a rule is 'at least N', 'at most N', 'keys PATTERN' \
         or 'queues PATTERN', after 'when FIELD=VALUE' if it holds for some messages only"
    )]
    Rule {
        /// The guard.
        name: String,
        /// What was given.
        rule: String,
    },
    /// A condition on a field that isn't there.
    #[error("guard '{name}': there is no field '{field}' to compare")]
    Field {
        /// The guard.
        name: String,
        /// The field.
        field: String,
    },
}

/// The guards of a version, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    guards: Vec<Guard>,
    /// The fields of their conditions.
    fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Guard {
    name: String,
    /// The rule as it was given.
    text: String,
    condition: Option<Condition>,
    rule: Rule,
}

/// The guard holds for messages whose field has this value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    field: Field,
    value: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// At least so many destinations.
    AtLeast(usize),
    /// At most so many destinations.
    AtMost(usize),
    /// Only bindings whose key matches: words between dots, `*` for one, `#` for any number.
    Keys(String),
    /// Only queues whose name matches: `*` for any characters.
    Queues(String),
}

impl Guards {
    /// Reads guards from their names and rules.
    ///
    /// # Errors
    /// The first one that can't be had.
    pub fn parse(given: &BTreeMap<String, String>) -> Result<Self, GuardError> {
        if given.len() > GUARDS_MAX {
            return Err(GuardError::TooMany(given.len()));
        }
        let guards = given.iter().map(|(name, text)| Guard::parse(name, text));
        let guards: Vec<_> = guards.collect::<Result<_, _>>()?;
        let mut fields: Vec<Field> = Vec::new();
        for condition in guards.iter().filter_map(|guard| guard.condition.as_ref()) {
            if !fields.contains(&condition.field) {
                fields.push(condition.field.clone());
            }
        }
        Ok(Self { guards, fields })
    }

    /// Names and rules, as they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.guards.iter().map(|guard| (&*guard.name, &*guard.text))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.guards.is_empty()
    }

    /// The fields of their conditions.
    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// What each binding would break; nothing where there are no guards.
    pub(crate) fn table(&self, bindings: &[Arc<Binding>]) -> Option<GuardTable> {
        let broken = || bindings.iter().map(|binding| self.broken_by(binding)).collect();
        (!self.is_empty()).then(|| GuardTable { broken: broken() })
    }

    fn broken_by(&self, binding: &Binding) -> u32 {
        let queue = match binding.destination {
            Destination::Queue(_) => Some(&*binding.destination_name),
            // What another exchange does with the message is in nobody's hands here.
            Destination::Exchange(_) => None,
        };
        self.bits(|rule| match rule {
            Rule::Keys(pattern) => !key_matches(pattern, &binding.key),
            Rule::Queues(pattern) => !queue.is_some_and(|queue| name_matches(pattern, queue)),
            Rule::AtLeast(_) | Rule::AtMost(_) => false,
        })
    }

    /// What a queue would break that the answer names.
    pub(crate) fn broken_by_queue(&self, name: &str) -> u32 {
        self.bits(|rule| match rule {
            // It was not picked by a binding, so by none whose key matches.
            Rule::Keys(_) => true,
            Rule::Queues(pattern) => !name_matches(pattern, name),
            Rule::AtLeast(_) | Rule::AtMost(_) => false,
        })
    }

    fn bits(&self, is_broken: impl Fn(&Rule) -> bool) -> u32 {
        let bits = self.guards.iter().zip(0_u32..).filter(|(guard, _)| is_broken(&guard.rule));
        bits.fold(0, |mask, (_, bit)| mask | 1 << bit)
    }

    /// The first guard that an answer breaks: of picks with these bits, and of so many different
    /// destinations, at most as many as it has picks.
    pub(crate) fn check(
        &self,
        broken: u32,
        picks: usize,
        different: impl Fn() -> usize,
        header: &Header<'_>,
    ) -> Result<(), Broken> {
        for (index, guard) in self.guards.iter().enumerate() {
            let is_broken = match guard.rule {
                Rule::AtLeast(least) => picks < least || (least > 1 && different() < least),
                Rule::AtMost(most) => picks > most && different() > most,
                Rule::Keys(_) | Rule::Queues(_) => broken & 1 << index != 0,
            };
            let holds = |condition: &Condition| condition.holds(header);
            if is_broken && guard.condition.as_ref().is_none_or(holds) {
                return Err(self.broken(index));
            }
        }
        Ok(())
    }

    #[cold]
    fn broken(&self, index: usize) -> Broken {
        let guard = &self.guards[index];
        let detail = format!("guard '{}' is broken: {}", guard.name, guard.text);
        Broken { index, failure: Failure::new(FailureCause::Refused, detail) }
    }

    /// The name of a guard by its place.
    pub(crate) fn name(&self, index: usize) -> &str {
        self.guards.get(index).map_or("", |guard| &guard.name)
    }
}

/// A guard that an answer breaks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Its place.
    pub(crate) index: usize,
    /// What becomes of the decision.
    pub(crate) failure: Failure,
}

/// The guards that each binding of an exchange would break.
pub(crate) struct GuardTable {
    broken: Vec<u32>,
}

impl GuardTable {
    /// What the binding at an index would break.
    #[inline]
    pub(crate) fn of(&self, index: u64) -> u32 {
        let bits = usize::try_from(index).ok().and_then(|index| self.broken.get(index));
        bits.copied().unwrap_or_default()
    }
}

impl Guard {
    fn parse(name: &str, text: &str) -> Result<Self, GuardError> {
        let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > GUARD_NAME_BYTES_MAX || !name.chars().all(is_good) {
            return Err(GuardError::Name(name.to_owned()));
        }
        let wrong = || GuardError::Rule { name: name.to_owned(), rule: text.to_owned() };
        if text.len() > GUARD_BYTES_MAX {
            return Err(wrong());
        }
        let text = text.trim();
        let (condition, rule) = match text.strip_prefix("when ") {
            Some(rest) => {
                let (field, rest) = rest.split_once('=').ok_or_else(wrong)?;
                // A value may have spaces in it: the rule is the last that could be one.
                let words = [" at least ", " at most ", " keys ", " queues "];
                let at = words.iter().filter_map(|word| rest.rfind(word)).max();
                let (value, rule) = rest.split_at(at.ok_or_else(wrong)?);
                let field = field.trim();
                let parsed = Field::parse(field).filter(|field| *field != Field::Headers);
                let field = parsed.ok_or_else(|| {
                    let (name, field) = (name.to_owned(), field.to_owned());
                    GuardError::Field { name, field }
                })?;
                (Some(Condition { field, value: value.trim().to_owned() }), rule.trim_start())
            }
            None => (None, text),
        };
        let rule = Rule::parse(rule).ok_or_else(wrong)?;
        Ok(Self { name: name.to_owned(), text: text.to_owned(), condition, rule })
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| text.trim().parse().ok();
        let pattern = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        if let Some(rest) = text.strip_prefix("at least ") {
            number(rest).filter(|least| *least > 0).map(Self::AtLeast)
        } else if let Some(rest) = text.strip_prefix("at most ") {
            number(rest).map(Self::AtMost)
        } else if let Some(rest) = text.strip_prefix("keys ") {
            pattern(rest).map(Self::Keys)
        } else {
            text.strip_prefix("queues ").and_then(pattern).map(Self::Queues)
        }
    }
}

impl Condition {
    /// Whether the message has the value, compared as text, without making that text.
    fn holds(&self, header: &Header<'_>) -> bool {
        let mut rest = Rest { text: &self.value, is_same: true };
        write_value(&mut rest, &self.field, header);
        rest.is_same && rest.text.is_empty()
    }
}

/// What of a text was not yet written the same way.
struct Rest<'a> {
    text: &'a str,
    is_same: bool,
}

impl fmt::Write for Rest<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        match self.text.strip_prefix(part) {
            Some(rest) => self.text = rest,
            None => self.is_same = false,
        }
        Ok(())
    }
}

/// Whether a binding key matches a topic pattern.
fn key_matches(pattern: &str, key: &str) -> bool {
    let (pattern, key) = (words(pattern), words(key));
    wild(&pattern, &key, |word| *word == "#", |word, found| *word == "*" || word == found)
}

/// An empty key has no word (RabbitMQ, `rabbit_exchange_type_topic`).
fn words(key: &str) -> Vec<&str> {
    if key.is_empty() { Vec::new() } else { key.split('.').collect() }
}

/// Whether a queue's name matches a pattern.
fn name_matches(pattern: &str, name: &str) -> bool {
    wild(pattern.as_bytes(), name.as_bytes(), |byte| *byte == b'*', |byte, found| byte == found)
}

/// Whether a text is what a pattern stands for, of which some elements stand for any run. Of the
/// runs, only the last one that was begun is ever made longer: the time is the product of the
/// lengths, at most.
fn wild<T>(
    pattern: &[T],
    text: &[T],
    is_any: impl Fn(&T) -> bool,
    is_like: impl Fn(&T, &T) -> bool,
) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut run = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(element) if is_any(element) => {
                run = Some((p, t));
                p += 1;
            }
            Some(element) if is_like(element, &text[t]) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((begun, to)) = run else { return false };
                run = Some((begun, to + 1));
                p = begun + 1;
                t = to + 1;
            }
        }
    }
    pattern[p..].iter().all(is_any)
}

/// How many different destinations there are.
pub(crate) fn different<T: Ord>(destinations: impl Iterator<Item = T>) -> usize {
    let mut all: Vec<_> = destinations.collect();
    all.sort_unstable();
    all.dedup();
    all.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shunt_types::{Properties, PropertiesRef, Value, VhostName};

    use super::*;

    fn guards(rules: &[(&str, &str)]) -> Result<Guards, GuardError> {
        let owned = rules.iter().map(|(name, rule)| ((*name).to_owned(), (*rule).to_owned()));
        Guards::parse(&owned.collect())
    }

    /// The guard that an answer of these queues, named, breaks for a message of that region.
    fn broken(rules: &[(&str, &str)], queues: &[&str], region: Option<Value>) -> Option<String> {
        let guards = guards(rules).unwrap();
        let headers = region.map(|value| [("region".to_owned(), value)].into_iter().collect());
        let properties = Properties { headers, ..Properties::default() };
        let mut encoded = Vec::new();
        properties.encode(&mut encoded);
        let header = Header {
            vhost: &VhostName::new("/").unwrap(),
            exchange: "e",
            routing_keys: &["orders.new"],
            properties: PropertiesRef::decode(&encoded).unwrap(),
            body_size: 7,
            user: "u",
            now_ms: 0,
            random: 0,
        };
        let bits = queues.iter().fold(0, |bits, name| bits | guards.broken_by_queue(name));
        let count = || different(queues.iter());
        let checked = guards.check(bits, queues.len(), count, &header);
        checked.err().map(|broken| guards.name(broken.index).to_owned())
    }

    #[test]
    fn counts_are_of_different_destinations() {
        let least = [("some", "at least 1"), ("two", "at least 2")];
        assert_eq!(broken(&least, &[], None).as_deref(), Some("some"));
        assert_eq!(broken(&least, &["a", "a"], None).as_deref(), Some("two"));
        assert_eq!(broken(&least, &["a", "b"], None), None);
        let most = [("one", "at most 1")];
        assert_eq!(broken(&most, &["a", "b"], None).as_deref(), Some("one"));
        assert_eq!(broken(&most, &["a", "a"], None), None);
        assert_eq!(broken(&[("none", "at most 0")], &["a"], None).as_deref(), Some("none"));
    }

    #[test]
    fn a_condition_compares_the_value_as_text() {
        let eu = [("eu", "when headers.region=eu queues eu-*")];
        let text = |text: &str| Some(Value::from(text));
        assert_eq!(broken(&eu, &["us-1"], text("eu")).as_deref(), Some("eu"));
        assert_eq!(broken(&eu, &["eu-1"], text("eu")), None);
        for region in ["us", "e", "eu2", ""] {
            assert_eq!(broken(&eu, &["us-1"], text(region)), None, "{region}");
        }
        let five = [("five", "when headers.region=5 queues five")];
        assert_eq!(broken(&five, &["six"], Some(Value::I64(5))).as_deref(), Some("five"));
        let none = [("none", "when headers.region=(none) queues eu-*")];
        assert_eq!(broken(&none, &["us-1"], None).as_deref(), Some("none"));
        let long = "x".repeat(200);
        let rule = format!("when headers.region={long} at most 0");
        assert_eq!(broken(&[("long", &rule)], &["a"], text(&long)).as_deref(), Some("long"));
        let spaced = [("spaced", "when headers.region=far keys away queues a")];
        assert_eq!(broken(&spaced, &["b"], text("far keys away")).as_deref(), Some("spaced"));
        let size = [("size", "when body_size=7 at most 0")];
        assert_eq!(broken(&size, &["b"], None).as_deref(), Some("size"));
    }

    #[test]
    fn bindings_are_looked_at_once() {
        let guards = guards(&[("a", "keys orders.#"), ("b", "queues eu*")]).unwrap();
        let binding = |destination, name: &str, key: &str| {
            let (destination_name, key) = (name.into(), key.into());
            Arc::new(Binding {
                destination,
                destination_name,
                key,
                arguments: shunt_types::PackedTable::default(),
                sequence: 0,
            })
        };
        let queue = crate::tests::queue(0);
        let exchange = Destination::Exchange(shunt_types::ExchangeId(1));
        let table = guards.table(&[
            binding(queue, "eu1", "orders.new"),
            binding(queue, "us1", "orders"),
            binding(queue, "eu2", "parcels.new"),
            binding(exchange, "eu", "orders.old"),
        ]);
        let table = table.unwrap();
        assert_eq!([0, 1, 2, 3, 4].map(|index| table.of(index)), [0, 2, 1, 2, 0]);
        assert!(Guards::default().table(&[]).is_none());
    }

    #[test]
    fn what_is_no_guard_is_named() {
        let error = |name: &str, rule: &str| guards(&[(name, rule)]).unwrap_err().to_string();
        assert!(error("a b", "at least 1").contains("not 'a b'"));
        assert!(error("", "at least 1").contains("not ''"));
        for rule in ["", "at least", "at least 0", "at most x", "keys", "keys ", "when a queues b"]
        {
            assert!(error("g", rule).contains("is no rule"), "{rule}");
        }
        let body = error("g", "when body=x queues b");
        assert_eq!(body, "guard 'g': there is no field 'body' to compare");
        assert!(error("g", "when headers=x queues b").contains("'headers'"));
        let many: BTreeMap<_, _> =
            (0..33).map(|n| (format!("g{n}"), "at least 1".to_owned())).collect();
        assert_eq!(Guards::parse(&many), Err(GuardError::TooMany(33)));
    }

    #[test]
    fn patterns_of_keys_are_topics() {
        for (pattern, key, is_match) in [
            ("orders.*", "orders.new", true),
            ("orders.*", "orders", false),
            ("orders.*", "orders.new.eu", false),
            ("orders.#", "orders", true),
            ("orders.#", "orders.new.eu", true),
            ("#.eu", "eu", true),
            ("#.eu", "orders.new.eu", true),
            ("#.eu.#", "a.eu.b.eu.c", true),
            ("#", "", true),
            ("*.*", "a", false),
            ("", "", true),
            ("a", "", false),
            ("*", "", false),
        ] {
            assert_eq!(key_matches(pattern, key), is_match, "{pattern} {key}");
        }
    }

    proptest! {
        #[test]
        fn names_match_as_the_plain_rule_says(pattern in "[ab*]{0,8}", name in "[ab]{0,10}") {
            fn plain(pattern: &[u8], name: &[u8]) -> bool {
                match pattern.split_first() {
                    None => name.is_empty(),
                    Some((b'*', rest)) => (0..=name.len()).any(|at| plain(rest, &name[at..])),
                    Some((byte, rest)) => {
                        name.split_first().is_some_and(|(b, tail)| b == byte && plain(rest, tail))
                    }
                }
            }
            let expected = plain(pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(name_matches(&pattern, &name), expected);
        }
    }
}
