//! `fanout`: to every destination, whatever the key.

use std::any::Any;
use std::sync::Arc;

use super::targets::Targets;
use crate::exchange_type::{
    Binding, Destination, ExchangeSpec, ExchangeType, Header, Matcher, Topology,
};
use crate::failure::Failure;

/// The exchange type `fanout`.
pub(crate) struct Fanout;

impl ExchangeType for Fanout {
    fn name(&self) -> &'static str {
        "fanout"
    }

    fn create(&self, _exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        Ok(Box::new(FanoutMatcher::default()))
    }
}

#[derive(Clone, Default)]
struct FanoutMatcher {
    targets: Targets,
}

impl Matcher for FanoutMatcher {
    fn bind(&mut self, binding: &Arc<Binding>) {
        self.targets.add(binding.destination);
    }

    fn unbind(&mut self, binding: &Binding) {
        self.targets.remove(binding.destination);
    }

    fn matches(
        &self,
        _header: &Header<'_>,
        _topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        self.targets.append_to(destinations);
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
    use crate::fixture::{Publish, bind_all, binding, destinations, queue};

    #[test]
    fn every_destination_once_whatever_the_key() {
        let bindings: Vec<_> = (1..=3).map(|n| binding(queue(n), "ignored")).collect();
        let matcher = bind_all(&Fanout, &bindings);
        assert_eq!(destinations(&*matcher, &Publish::to(&["k"])), [1, 2, 3]);
    }

    #[test]
    fn a_destination_bound_by_two_keys_stays_until_both_are_gone() {
        let (a, b) = (binding(queue(1), "a"), binding(queue(1), "b"));
        let mut matcher = bind_all(&Fanout, &[Arc::clone(&a), Arc::clone(&b)]);
        matcher.unbind(&a);
        assert_eq!(destinations(&*matcher, &Publish::to(&["k"])), [1]);
        matcher.unbind(&b);
        assert_eq!(destinations(&*matcher, &Publish::to(&["k"])), []);
    }
}
