//! `topic`: by the words of the routing key, with `*` for one word and `#` for zero or more.
//!
//! Binding keys stand in a trie by words. A lookup follows at each word at most the branch of
//! that word and those of the wildcards, so that keys which don't match cost nothing.

use std::any::Any;
use std::iter::Skip;
use std::ptr;
use std::str::Split;
use std::sync::Arc;

use hashbrown::HashSet;
use smallvec::SmallVec;

use super::targets::Targets;
use crate::exchange_type::{
    Binding, Destination, ExchangeSpec, ExchangeType, Header, Matcher, Topology,
};
use crate::failure::Failure;
use crate::map::{self, Map};

/// Most `#` in a binding key (RabbitMQ 4.3).
const HASHES_MAX: usize = 2;

/// The exchange type `topic`.
pub(crate) struct Topic;

impl ExchangeType for Topic {
    fn name(&self) -> &'static str {
        "topic"
    }

    fn create(&self, _exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        Ok(Box::new(TopicMatcher::default()))
    }
}

#[derive(Clone, Default)]
struct TopicMatcher {
    root: Node,
}

/// What comes after a sequence of words.
#[derive(Clone, Default)]
struct Node {
    words: Map<Arc<str>, Child>,
    star: Child,
    hash: Child,
    /// Destinations of the binding keys that end here.
    targets: Targets,
}

/// What one more word leads to. With most of them binding keys end, and no more than their
/// destinations need be kept then.
#[derive(Clone)]
enum Child {
    /// To the end of binding keys, or to nothing.
    End(Targets),
    Node(Arc<Node>),
}

impl Default for Child {
    fn default() -> Self {
        Self::End(Targets::None)
    }
}

impl Matcher for TopicMatcher {
    fn validate_binding(&self, binding: &Binding) -> Result<(), String> {
        let hashes = words(&binding.key).filter(|word| *word == "#").count();
        if hashes > HASHES_MAX {
            let key = &binding.key;
            return Err(format!(
                "invalid binding key '{key}': it has {hashes} '#' wildcards, \
                 at most {HASHES_MAX} are allowed"
            ));
        }
        Ok(())
    }

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
        for key in header.routing_keys {
            let mut words = split(key);
            Search { words: &mut words, destinations, seen: Seen::default() }
                .visit(&self.root, 0, false);
        }
        Ok(())
    }

    fn boxed_clone(&self) -> Box<dyn Matcher> {
        Box::new(self.clone())
    }

    fn matches_by_topic(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Node {
    /// Whether no binding key goes on from here.
    fn is_end(&self) -> bool {
        self.words.is_empty() && self.star.is_empty() && self.hash.is_empty()
    }

    fn bind(&mut self, mut rest: Rest<'_>, destination: Destination) {
        match rest.next() {
            None => self.targets.add(destination),
            Some("*") => self.star.bind(rest, destination),
            Some("#") => self.hash.bind(rest, destination),
            Some(word) => {
                let go_on = |child: &mut Child| child.bind(rest, destination);
                self.words.update(word, Child::default, go_on);
            }
        }
    }

    fn unbind(&mut self, mut rest: Rest<'_>, destination: Destination) {
        match rest.next() {
            None => self.targets.remove(destination),
            Some("*") => self.star.unbind(rest, destination),
            Some("#") => self.hash.unbind(rest, destination),
            Some(word) => {
                let Some(child) = self.words.get_mut(word) else { return };
                child.unbind(rest, destination);
                if child.is_empty() {
                    self.words.remove(word);
                }
            }
        }
    }
}

impl Child {
    fn is_empty(&self) -> bool {
        matches!(self, Self::End(targets) if targets.is_empty())
    }

    fn bind(&mut self, rest: Rest<'_>, destination: Destination) {
        match self {
            Self::End(targets) if rest.clone().next().is_none() => targets.add(destination),
            Self::End(targets) => {
                let mut node = Node { targets: std::mem::take(targets), ..Node::default() };
                node.bind(rest, destination);
                *self = Self::Node(Arc::new(node));
            }
            Self::Node(node) => Arc::make_mut(node).bind(rest, destination),
        }
    }

    fn unbind(&mut self, rest: Rest<'_>, destination: Destination) {
        match self {
            Self::End(targets) => {
                // What goes on was not bound here.
                if rest.clone().next().is_none() {
                    targets.remove(destination);
                }
            }
            Self::Node(node) => {
                let node = Arc::make_mut(node);
                node.unbind(rest, destination);
                if node.is_end() {
                    *self = Self::End(std::mem::take(&mut node.targets));
                }
            }
        }
    }
}

/// The words of a key: what stands between the dots; the empty key has none (RabbitMQ).
pub(super) fn words(key: &str) -> Rest<'_> {
    key.split('.').skip(usize::from(key.is_empty()))
}

pub(super) type Rest<'a> = Skip<Split<'a, char>>;

/// A routing key's words, each with its hash once a node has looked it up.
type Words<'a> = SmallVec<[(&'a str, Option<u32>); 8]>;

/// What [`words`] gives, quicker for the few short words that a key has.
#[inline]
fn split(key: &str) -> Words<'_> {
    let mut words = Words::new();
    let mut start = 0;
    for (at, octet) in key.bytes().enumerate() {
        if octet == b'.' {
            words.push((&key[start..at], None));
            start = at + 1;
        }
    }
    if !key.is_empty() {
        words.push((&key[start..], None));
    }
    words
}

/// One routing key on its way through the trie. The recursion is as deep as a binding key has
/// words: at most 128, since a key has at most 255 bytes.
struct Search<'a, 'k> {
    words: &'a mut [(&'k str, Option<u32>)],
    destinations: &'a mut Vec<Destination>,
    seen: Seen,
}

impl Search<'_, '_> {
    /// Matches the words from `at` on. `repeats` says that a `#` stands above, so that the node
    /// may be visited again with fewer words left.
    fn visit(&mut self, node: &Node, at: usize, repeats: bool) {
        self.visit_hash(&node.hash, at, repeats);
        if at == self.words.len() {
            node.targets.append_to(self.destinations);
        } else {
            self.step(node, at, repeats);
        }
    }

    fn visit_child(&mut self, child: &Child, at: usize, repeats: bool) {
        match child {
            Child::Node(node) => self.visit(node, at, repeats),
            Child::End(targets) if at == self.words.len() => targets.append_to(self.destinations),
            Child::End(_) => {}
        }
    }

    fn step(&mut self, node: &Node, at: usize, repeats: bool) {
        if !node.words.is_empty() {
            let (word, hash) = &mut self.words[at];
            let hash = *hash.get_or_insert_with(|| map::hash(*word));
            if let Some(child) = node.words.get_hashed(hash, *word) {
                self.visit_child(child, at + 1, repeats);
            }
        }
        self.visit_child(&node.star, at + 1, repeats);
    }

    /// Matches what stands under a `#`, which takes none of the words, or one, or two ...
    ///
    /// A `#` under another would be reached once for each number of words that the first one
    /// takes, and would start over each time: that is where matching turns quadratic, and worse
    /// with each further `#`. The first visit leaves the most words, and whatever the later ones
    /// find it has found already.
    fn visit_hash(&mut self, child: &Child, at: usize, repeats: bool) {
        if child.is_empty() || repeats && !self.seen.insert(child) {
            return;
        }
        let node = match child {
            Child::End(targets) => return targets.append_to(self.destinations),
            Child::Node(node) => node,
        };
        node.targets.append_to(self.destinations);
        self.visit_hash(&node.hash, at, true);
        for at in at..self.words.len() {
            self.step(node, at, true);
        }
    }
}

/// The nodes of `#` that were visited: a few, or in an exchange made to hurt many.
#[derive(Default)]
struct Seen {
    few: SmallVec<[usize; 16]>,
    many: Option<HashSet<usize>>,
}

impl Seen {
    /// Whether it was not there yet.
    fn insert(&mut self, child: &Child) -> bool {
        let address = ptr::from_ref(child).addr();
        if self.few.contains(&address) {
            return false;
        }
        if self.few.len() < self.few.inline_size() {
            self.few.push(address);
            return true;
        }
        self.many.get_or_insert_default().insert(address)
    }
}

#[cfg(test)]
#[path = "topic_tests.rs"]
mod tests;
