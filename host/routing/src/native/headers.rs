//! `headers`: by the message's headers, compared with the binding's arguments.
//!
//! A binding is compiled to a [`Rule`] when it is bound and stands in an index by header name
//! and value. A message looks its headers up there and meets only rules that share a pair with
//! it: an `any` rule stands under each of its pairs, and a hit is a match; an `all` rule stands
//! under one of them, and a hit is checked for the others.

use std::any::Any;
use std::iter;
use std::sync::Arc;

use shunt_types::{TableRef, ValueRef};
use smallvec::SmallVec;

use super::comparable::{Comparable, Kept, concise};
use super::targets::Targets;
use crate::exchange_type::{
    Binding, Destination, ExchangeSpec, ExchangeType, Header, Matcher, Topology,
};
use crate::failure::Failure;
use crate::map::Map;

/// Headers up to this many are looked through in order; more are sorted, so that a message made
/// of thousands doesn't cost thousands times thousands.
const UNSORTED_MAX: usize = 24;

/// The exchange type `headers`.
pub(crate) struct Headers;

impl ExchangeType for Headers {
    fn name(&self) -> &'static str {
        "headers"
    }

    fn create(&self, _exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        Ok(Box::new(HeadersMatcher::default()))
    }
}

#[derive(Clone, Default)]
struct HeadersMatcher {
    names: Map<Arc<str>, Name>,
    /// Destinations of `all` rules without pairs, which every message matches.
    everything: Targets,
}

/// What is bound under one header name.
#[derive(Clone, Default)]
struct Name {
    values: Map<Kept, Rules>,
    /// Rules that ask for the name only.
    present: Rules,
}

/// Rules, each with how many bindings made it: bindings may differ in their keys alone.
///
/// Most bindings ask for one pair, and where that is found nothing is left to check: of these no
/// more than the destinations are kept. Most pairs have one rule, which then needs no map.
#[derive(Clone)]
enum Rules {
    Sole(Targets),
    One(Arc<Rule>, u32),
    Many(Box<Mixed>),
}

#[derive(Clone, Default)]
struct Mixed {
    /// Destinations of rules whose only pair this is.
    sole: Targets,
    /// Rules with further pairs.
    rules: Map<Arc<Rule>, u32>,
}

impl Default for Rules {
    fn default() -> Self {
        Self::Sole(Targets::None)
    }
}

/// A binding as it is matched.
#[derive(PartialEq, Eq, Hash)]
struct Rule {
    destination: Destination,
    any: bool,
    pairs: Box<[Pair]>,
}

#[derive(PartialEq, Eq, Hash)]
struct Pair {
    name: Arc<str>,
    /// The value in its concise form; `None` asks for the name only.
    value: Option<Kept>,
}

impl Matcher for HeadersMatcher {
    fn validate_binding(&self, binding: &Binding) -> Result<(), String> {
        Mode::of(binding.arguments.as_table()).map(|_| ())
    }

    fn bind(&mut self, binding: &Arc<Binding>) {
        let rule = Rule::compile(binding);
        if rule.pairs.is_empty() {
            if !rule.any {
                self.everything.add(rule.destination);
            }
        } else if let [pair] = &*rule.pairs {
            self.change(pair, |rules| rules.add_sole(rule.destination));
        } else if rule.any {
            let rule = self.shared(rule);
            for pair in &rule.pairs {
                self.change(pair, |rules| rules.add(&rule));
            }
        } else if let Some(anchor) = self.anchor_of(&rule).or_else(|| self.rarest(&rule)) {
            let rule = self.shared(rule);
            self.change(&rule.pairs[anchor], |rules| rules.add(&rule));
        }
    }

    fn unbind(&mut self, binding: &Binding) {
        let rule = Rule::compile(binding);
        if rule.pairs.is_empty() {
            if !rule.any {
                self.everything.remove(rule.destination);
            }
        } else if let [pair] = &*rule.pairs {
            self.change(pair, |rules| rules.remove_sole(rule.destination));
        } else if rule.any {
            for pair in &rule.pairs {
                self.change(pair, |rules| rules.remove(&rule));
            }
        } else if let Some(anchor) = self.anchor_of(&rule) {
            self.change(&rule.pairs[anchor], |rules| rules.remove(&rule));
        }
    }

    fn matches(
        &self,
        header: &Header<'_>,
        _topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        self.everything.append_to(destinations);
        if self.names.is_empty() {
            return Ok(());
        }
        let sent = Sent::of(header.properties.headers());
        for (index, (name, value)) in sent.headers.iter().enumerate() {
            let Some(indexed) = self.names.get(*name) else { continue };
            if sent.is_repeated(index) {
                continue;
            }
            sent.append_matching(&indexed.present, name, destinations);
            if !indexed.values.is_empty()
                && let Some(rules) = indexed.values.get(concise(*value).as_slice())
            {
                sent.append_matching(rules, name, destinations);
            }
        }
        Ok(())
    }

    fn boxed_clone(&self) -> Box<dyn Matcher> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl HeadersMatcher {
    fn rules(&self, pair: &Pair) -> Option<&Rules> {
        let name = self.names.get(&*pair.name)?;
        match &pair.value {
            Some(value) => name.values.get(value.as_slice()),
            None => Some(&name.present),
        }
    }

    /// The rule with the names and values that are kept already in the place of its own.
    fn shared(&self, mut rule: Rule) -> Arc<Rule> {
        for pair in &mut rule.pairs {
            if let Some(name) = self.names.kept_key(&*pair.name) {
                pair.name = Arc::clone(name);
            }
            let kept = self.names.get(&*pair.name);
            if let Some(value) = &mut pair.value
                && let Some(kept) = kept.and_then(|name| name.values.kept_key(value.as_slice()))
            {
                *value = kept.clone();
            }
        }
        Arc::new(rule)
    }

    /// The pair under which an `all` rule stands already.
    fn anchor_of(&self, rule: &Rule) -> Option<usize> {
        let stands = |pair: &Pair| self.rules(pair).is_some_and(|rules| rules.contains(rule));
        rule.pairs.iter().position(stands)
    }

    /// The pair under which the fewest rules stand: bindings that all ask for `type = order`, and
    /// each for a customer of its own, end up under the customers.
    fn rarest(&self, rule: &Rule) -> Option<usize> {
        let len = |pair| self.rules(pair).map_or(0, Rules::len);
        (0..rule.pairs.len()).min_by_key(|&index| len(&rule.pairs[index]))
    }

    /// Changes the rules under a pair, and clears away what that leaves empty.
    fn change(&mut self, pair: &Pair, change: impl FnOnce(&mut Rules)) {
        let mut is_empty = false;
        self.names.update_shared(&pair.name, Name::default, |name| {
            match &pair.value {
                None => change(&mut name.present),
                Some(value) => {
                    let mut is_empty = false;
                    name.values.update_shared(value, Rules::default, |rules| {
                        change(rules);
                        is_empty = rules.is_empty();
                    });
                    if is_empty {
                        name.values.remove(value.as_slice());
                    }
                }
            }
            is_empty = name.values.is_empty() && name.present.is_empty();
        });
        if is_empty {
            self.names.remove(&*pair.name);
        }
    }
}

impl Rules {
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        match self {
            Self::Sole(sole) => sole.len(),
            Self::One(..) => 1,
            Self::Many(mixed) => mixed.sole.len() + mixed.rules.len(),
        }
    }

    fn contains(&self, rule: &Rule) -> bool {
        match self {
            Self::Sole(_) => false,
            Self::One(only, _) => **only == *rule,
            Self::Many(mixed) => mixed.rules.contains_key(rule),
        }
    }

    fn add_sole(&mut self, destination: Destination) {
        match self {
            Self::Sole(sole) => sole.add(destination),
            Self::One(..) | Self::Many(_) => self.mix(|mixed| mixed.sole.add(destination)),
        }
    }

    fn remove_sole(&mut self, destination: Destination) {
        match self {
            Self::Sole(sole) => sole.remove(destination),
            Self::One(..) => {}
            Self::Many(mixed) => {
                mixed.sole.remove(destination);
                self.simplify();
            }
        }
    }

    fn add(&mut self, rule: &Arc<Rule>) {
        match self {
            Self::Sole(Targets::None) => *self = Self::One(Arc::clone(rule), 1),
            Self::One(only, count) if **only == **rule => *count += 1,
            _ => self.mix(|mixed| mixed.rules.update_shared(rule, || 0, |count| *count += 1)),
        }
    }

    fn remove(&mut self, rule: &Rule) {
        match self {
            Self::One(only, count) if **only == *rule => match count {
                1 => *self = Self::default(),
                _ => *count -= 1,
            },
            Self::Sole(_) | Self::One(..) => {}
            Self::Many(mixed) => match mixed.rules.get_mut(rule) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    mixed.rules.remove(rule);
                    self.simplify();
                }
            },
        }
    }

    /// Changes the rules in the form in which any can be added.
    fn mix(&mut self, change: impl FnOnce(&mut Mixed)) {
        let mut mixed = match std::mem::take(self) {
            Self::Sole(sole) => Box::new(Mixed { sole, rules: Map::new() }),
            Self::One(rule, count) => {
                let rules = iter::once((rule, count)).collect();
                Box::new(Mixed { sole: Targets::None, rules })
            }
            Self::Many(mixed) => mixed,
        };
        change(&mut mixed);
        *self = Self::Many(mixed);
    }

    /// The simplest form of what a removal left.
    fn simplify(&mut self) {
        let Self::Many(mixed) = self else { return };
        match mixed.rules.len() {
            0 => *self = Self::Sole(std::mem::take(&mut mixed.sole)),
            1 if mixed.sole.is_empty() => {
                let only = mixed.rules.iter().next();
                if let Some((rule, count)) = only {
                    *self = Self::One(Arc::clone(rule), *count);
                }
            }
            _ => {}
        }
    }
}

/// The argument `x-match`.
#[derive(Clone, Copy)]
struct Mode {
    any: bool,
    /// Whether names that start with `x-` are compared.
    with_x: bool,
}

impl Mode {
    const ALL: Self = Self { any: false, with_x: false };

    fn of(arguments: TableRef<'_>) -> Result<Self, String> {
        let expected = "expected all, any, all-with-x, or any-with-x";
        let (any, with_x) = match arguments.get("x-match") {
            None => return Ok(Self::ALL),
            Some(ValueRef::LongString(text)) => match text {
                b"all" => (false, false),
                b"any" => (true, false),
                b"all-with-x" => (false, true),
                b"any-with-x" => (true, true),
                other => {
                    let other = String::from_utf8_lossy(other);
                    return Err(format!("Invalid x-match field value '{other}'; {expected}"));
                }
            },
            Some(other) => {
                let kind = other.to_owned().type_name();
                return Err(format!("Invalid x-match field type {kind}; expected longstr"));
            }
        };
        Ok(Self { any, with_x })
    }
}

impl Rule {
    fn compile(binding: &Binding) -> Self {
        // A binding that could not be validated is not bound.
        let arguments = binding.arguments.as_table();
        let mode = Mode::of(arguments).unwrap_or(Mode::ALL);
        let mut pairs: Vec<Pair> = Vec::new();
        for (name, value) in arguments.iter() {
            let compared = name != "x-match" && (mode.with_x || !name.starts_with("x-"));
            // Of a name that stands twice the first counts, as in a message.
            if compared && pairs.iter().all(|pair| &*pair.name != name) {
                let value = match value {
                    ValueRef::Void => None,
                    value => Some(Kept::of(value)),
                };
                pairs.push(Pair { name: name.into(), value });
            }
        }
        Self { destination: binding.destination, any: mode.any, pairs: pairs.into() }
    }
}

/// The headers of one message.
struct Sent<'a> {
    headers: SmallVec<[(&'a str, ValueRef<'a>); 12]>,
    sorted: bool,
}

impl<'a> Sent<'a> {
    fn of(table: TableRef<'a>) -> Self {
        let mut headers: SmallVec<_> = table.iter().collect();
        let sorted = headers.len() > UNSORTED_MAX;
        if sorted {
            // Stable: of a name that stands twice the first counts.
            headers.sort_by_key(|(name, _)| *name);
            headers.dedup_by_key(|(name, _)| *name);
        }
        Self { headers, sorted }
    }

    fn get(&self, name: &str) -> Option<ValueRef<'a>> {
        let index = if self.sorted {
            self.headers.binary_search_by_key(&name, |(name, _)| name).ok()
        } else {
            self.headers.iter().position(|(header, _)| *header == name)
        };
        Some(self.headers[index?].1)
    }

    /// Whether the header's name stands before it already.
    fn is_repeated(&self, index: usize) -> bool {
        let (name, _) = self.headers[index];
        !self.sorted && self.headers[..index].iter().any(|(header, _)| *header == name)
    }

    /// Appends the destinations of the rules found under the header `hit` that match the message.
    fn append_matching(&self, rules: &Rules, hit: &str, destinations: &mut Vec<Destination>) {
        let look_at = |rule: &Rule, destinations: &mut Vec<Destination>| {
            let matches = rule.any
                || rule.pairs.iter().all(|pair| &*pair.name == hit || self.satisfies(pair));
            if matches {
                destinations.push(rule.destination);
            }
        };
        match rules {
            Rules::Sole(sole) => sole.append_to(destinations),
            Rules::One(rule, _) => look_at(rule, destinations),
            Rules::Many(mixed) => {
                mixed.sole.append_to(destinations);
                mixed.rules.iter().for_each(|(rule, _)| look_at(rule, destinations));
            }
        }
    }

    fn satisfies(&self, pair: &Pair) -> bool {
        match (self.get(&pair.name), &pair.value) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(sent), Some(wanted)) => {
                let sent: Comparable = concise(sent);
                sent.as_slice() == wanted.as_slice()
            }
        }
    }
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
