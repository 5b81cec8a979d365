//! `direct`: to the destinations whose binding key is the routing key.

use std::any::Any;
use std::sync::Arc;

use super::targets::Targets;
use crate::exchange_type::{
    Binding, Destination, ExchangeSpec, ExchangeType, Header, Matcher, Topology,
};
use crate::failure::Failure;
use crate::map::Map;

/// The exchange type `direct`.
pub(crate) struct Direct;

impl ExchangeType for Direct {
    fn name(&self) -> &'static str {
        "direct"
    }

    fn create(&self, _exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        Ok(Box::new(DirectMatcher::default()))
    }
}

#[derive(Clone, Default)]
struct DirectMatcher {
    keys: Map<Arc<str>, Targets>,
}

impl Matcher for DirectMatcher {
    fn bind(&mut self, binding: &Arc<Binding>) {
        match self.keys.get_mut(&*binding.key) {
            Some(targets) => targets.add(binding.destination),
            // The key is shared with the binding, which the broker keeps anyway.
            None => {
                let targets = Targets::One(binding.destination, 1);
                self.keys.insert(Arc::clone(&binding.key), targets);
            }
        }
    }

    fn unbind(&mut self, binding: &Binding) {
        let Some(targets) = self.keys.get_mut(&*binding.key) else { return };
        targets.remove(binding.destination);
        if targets.is_empty() {
            self.keys.remove(&*binding.key);
        }
    }

    fn matches(
        &self,
        header: &Header<'_>,
        _topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        for key in header.routing_keys {
            if let Some(targets) = self.keys.get(*key) {
                targets.append_to(destinations);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Publish, bind_all, binding, destinations, queue, table};

    #[track_caller]
    fn check(bindings: &[(u32, &str)], keys: &[&str], expected: &[u32]) {
        let bindings: Vec<_> = bindings.iter().map(|&(n, key)| binding(queue(n), key)).collect();
        let matcher = bind_all(&Direct, &bindings);
        assert_eq!(destinations(&*matcher, &Publish::to(keys)), expected);
    }

    #[test]
    fn the_key_must_be_equal() {
        check(&[(1, "a"), (2, "b"), (3, "a.b")], &["a"], &[1]);
        check(&[(1, "a"), (2, "*"), (3, "")], &[""], &[3]);
        check(&[(1, "a")], &["A"], &[]);
    }

    #[test]
    fn every_destination_of_the_key_gets_it() {
        check(&[(1, "a"), (2, "a"), (3, "a"), (4, "b")], &["a"], &[1, 2, 3]);
    }

    #[test]
    fn every_routing_key_counts() {
        check(&[(1, "a"), (2, "b"), (3, "c")], &["a", "c", "nowhere"], &[1, 3]);
        check(&[(1, "a"), (1, "b")], &["a", "b"], &[1]);
    }

    #[test]
    fn unbinding_one_of_two_keeps_the_other() {
        let (first, second) = (binding(queue(1), "a"), binding(queue(1), "b"));
        let mut matcher = bind_all(&Direct, &[Arc::clone(&first), second]);
        let before = matcher.boxed_clone();
        matcher.unbind(&first);
        assert_eq!(destinations(&*matcher, &Publish::to(&["a"])), []);
        assert_eq!(destinations(&*matcher, &Publish::to(&["b"])), [1]);
        assert_eq!(destinations(&*before, &Publish::to(&["a"])), [1], "a snapshot doesn't change");
    }

    #[test]
    fn bindings_that_differ_in_arguments_alone_are_two() {
        let plain = binding(queue(1), "a");
        let other = Arc::new(Binding {
            arguments: (&table(&[("n", 1i64.into())])).into(),
            ..(*plain).clone()
        });
        let mut matcher = bind_all(&Direct, &[Arc::clone(&plain), other]);
        matcher.unbind(&plain);
        assert_eq!(destinations(&*matcher, &Publish::to(&["a"])), [1]);
    }
}
