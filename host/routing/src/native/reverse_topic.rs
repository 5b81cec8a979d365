//! `x-rtopic`: a topic exchange the other way round. Wildcards stand in the message's routing
//! key, `*` for one word and `#` for zero or more; binding keys are plain words.
//!
//! Binding keys stand in a trie by words. A message without wildcards follows one branch; one
//! with wildcards goes through what is below its first wildcard, each node once however many ways
//! its pattern leads there: what is left of the pattern at a node is a set of places, one bit
//! each.

use std::any::Any;
use std::sync::Arc;

use shunt_types::limits::SHORT_STRING_MAX;
use smallvec::SmallVec;

use super::targets::Targets;
use super::topic::{Rest, words};
use crate::exchange_type::{
    Binding, Destination, ExchangeSpec, ExchangeType, Header, Matcher, Topology,
};
use crate::failure::Failure;
use crate::map::{self, Map};

/// The exchange type `x-rtopic`.
pub(crate) struct ReverseTopic;

impl ExchangeType for ReverseTopic {
    fn name(&self) -> &'static str {
        "x-rtopic"
    }

    fn create(&self, _exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        Ok(Box::new(ReverseTopicMatcher::default()))
    }
}

#[derive(Clone, Default)]
struct ReverseTopicMatcher {
    root: Node,
}

/// What comes after a sequence of words.
#[derive(Clone, Default)]
struct Node {
    words: Map<Arc<str>, Arc<Self>>,
    /// Destinations of the binding keys that end here.
    targets: Targets,
}

impl Matcher for ReverseTopicMatcher {
    fn bind(&mut self, binding: &Arc<Binding>) {
        self.root.bind(words(&binding.key), binding.destination);
    }

    fn unbind(&mut self, binding: &Binding) {
        self.root.unbind(words(&binding.key), binding.destination);
    }

    fn matches(
        &self,
        header: &Header<'_>,
        _topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        // A header `CC` can hold longer keys; no binding key is as long.
        for key in header.routing_keys.iter().filter(|key| key.len() <= SHORT_STRING_MAX) {
            let pattern = Pattern::new(key);
            pattern.visit(&self.root, pattern.start(), destinations);
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

impl Node {
    fn bind(&mut self, mut rest: Rest<'_>, destination: Destination) {
        match rest.next() {
            None => self.targets.add(destination),
            Some(word) => self.words.update(word, Arc::default, |child| {
                Arc::make_mut(child).bind(rest, destination);
            }),
        }
    }

    fn unbind(&mut self, mut rest: Rest<'_>, destination: Destination) {
        let Some(word) = rest.next() else { return self.targets.remove(destination) };
        let Some(child) = self.words.get_mut(word) else { return };
        Arc::make_mut(child).unbind(rest, destination);
        if child.words.is_empty() && child.targets.is_empty() {
            self.words.remove(word);
        }
    }
}

/// A routing key. A key of 255 bytes has at most 128 words, so that a place in it is one bit.
struct Pattern<'a> {
    /// With the hash of each; of several `#` in a row only the first.
    words: SmallVec<[(u32, &'a str); 8]>,
    stars: u128,
    hashes: u128,
}

/// Where in the pattern a node stands.
#[derive(Clone, Copy)]
struct Places {
    /// The words that may come next.
    next: u128,
    /// Whether the pattern may end here.
    ends: bool,
}

impl<'a> Pattern<'a> {
    fn new(key: &'a str) -> Self {
        let mut pattern = Self { words: SmallVec::new(), stars: 0, hashes: 0 };
        for word in words(key) {
            let bit = 1 << pattern.words.len();
            match word {
                "#" if pattern.hashes << 1 & bit != 0 => continue,
                "#" => pattern.hashes |= bit,
                "*" => pattern.stars |= bit,
                _ => {}
            }
            pattern.words.push((map::hash(word), word));
        }
        pattern
    }

    fn start(&self) -> Places {
        self.with_skipped(u128::from(!self.words.is_empty()), self.words.is_empty())
    }

    /// Adds the places behind each `#`, which takes no word at all.
    fn with_skipped(&self, next: u128, ends: bool) -> Places {
        let skipped = next & self.hashes;
        Places {
            next: (next | skipped << 1) & self.all(),
            ends: ends || skipped & self.last() != 0,
        }
    }

    /// Where a node stands that a word leads to.
    fn after(&self, next: u128, word: &str) -> Places {
        let mut taken = next & self.stars;
        for place in ones(next & !self.stars & !self.hashes) {
            taken |= u128::from(self.words[place].1 == word) << place;
        }
        self.with_skipped(next & self.hashes | taken << 1 & self.all(), taken & self.last() != 0)
    }

    fn all(&self) -> u128 {
        u128::MAX.checked_shr(u128::BITS - self.words.len() as u32).unwrap_or(0)
    }

    fn last(&self) -> u128 {
        self.all() & !(self.all() >> 1)
    }

    /// Recursion is as deep as a binding key has words: at most 128.
    fn visit(&self, node: &Node, places: Places, destinations: &mut Vec<Destination>) {
        if places.ends {
            node.targets.append_to(destinations);
        }
        let next = places.next;
        if next & (self.stars | self.hashes) != 0 {
            for (word, child) in node.words.iter() {
                self.visit(child, self.after(next, word), destinations);
            }
        } else if next != 0 {
            // Without a `#` on the way there is one place only.
            let (hash, word) = self.words[next.trailing_zeros() as usize];
            if let Some(child) = node.words.get_hashed(hash, word) {
                self.visit(child, self.after(next, word), destinations);
            }
        }
    }
}

/// The places of the bits that are set.
fn ones(mut bits: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = (bits != 0).then(|| bits.trailing_zeros() as usize);
        bits &= bits.wrapping_sub(1);
        place
    })
}

#[cfg(test)]
#[path = "reverse_topic_tests.rs"]
mod tests;
