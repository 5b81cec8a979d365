//! `x-local-random`: to one queue of the publisher's node, chosen at random (RabbitMQ 4). Every
//! queue of a single node is local.

use std::any::Any;
use std::sync::Arc;

use super::random::Dice;
use crate::exchange_type::{
    Binding, Destination, ExchangeSpec, ExchangeType, Header, Matcher, Topology,
};
use crate::failure::Failure;

/// The exchange type `x-local-random`.
pub(crate) struct LocalRandom;

impl ExchangeType for LocalRandom {
    fn name(&self) -> &'static str {
        "x-local-random"
    }

    fn create(&self, exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        Ok(Box::new(LocalRandomMatcher { dice: Dice::new(exchange) }))
    }
}

#[derive(Clone)]
struct LocalRandomMatcher {
    dice: Dice,
}

impl Matcher for LocalRandomMatcher {
    fn validate_binding(&self, binding: &Binding) -> Result<(), String> {
        if let Destination::Exchange(_) = binding.destination {
            let name = &binding.destination_name;
            return Err(format!("destination '{name}' is an exchange, must be a queue"));
        }
        match &*binding.key {
            "" => Ok(()),
            key => Err(format!("Non empty binding key '{key}' not permitted")),
        }
    }

    fn bind(&mut self, binding: &Arc<Binding>) {
        self.dice.add(binding);
    }

    fn unbind(&mut self, binding: &Binding) {
        self.dice.remove(binding);
    }

    fn matches(
        &self,
        header: &Header<'_>,
        _topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        destinations.extend(self.dice.roll(header));
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
    use shunt_types::ExchangeId;

    use super::*;
    use crate::Walk;
    use crate::fixture::{Publish, bind_all, binding, create, destinations, queue};

    #[test]
    fn one_queue_whatever_the_routing_key() {
        let bindings: Vec<_> = (0..3).map(|n| binding(queue(n), "")).collect();
        let matcher = bind_all(&LocalRandom, &bindings);
        let mut walk = Walk::new();
        let mut seen = [false; 3];
        for _ in 0..100 {
            let mut publish = Publish::to(&["k"]);
            publish.random = walk.next_random();
            let found = destinations(&*matcher, &publish);
            assert_eq!(found.len(), 1);
            seen[found[0] as usize] = true;
        }
        assert_eq!(seen, [true; 3]);
    }

    #[test]
    fn only_queues_by_the_empty_key() {
        let matcher = create(&LocalRandom, &[]).unwrap();
        let refusal = |binding: Arc<Binding>| matcher.validate_binding(&binding).unwrap_err();
        assert_eq!(refusal(binding(queue(1), "k")), "Non empty binding key 'k' not permitted");
        assert_eq!(
            refusal(binding(Destination::Exchange(ExchangeId(7)), "")),
            "destination 'x7' is an exchange, must be a queue"
        );
    }
}
