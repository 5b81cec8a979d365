//! `x-modulus-hash`: to the destination of one binding, by the hash of the routing keys modulo
//! the number of bindings; binding keys don't count.

use std::any::Any;
use std::sync::Arc;

use super::ranked::Ranked;
use super::tree::{scramble, stable_hash};
use crate::exchange_type::{
    Binding, Destination, ExchangeSpec, ExchangeType, Header, Matcher, Topology,
};
use crate::failure::Failure;

/// The exchange type `x-modulus-hash`.
pub(crate) struct ModulusHash;

impl ExchangeType for ModulusHash {
    fn name(&self) -> &'static str {
        "x-modulus-hash"
    }

    fn create(&self, _exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        Ok(Box::new(ModulusHashMatcher::default()))
    }
}

#[derive(Clone, Default)]
struct ModulusHashMatcher {
    /// By name, so that a restart and the order of binding change nothing (RabbitMQ 4.3).
    bindings: Ranked,
}

impl Matcher for ModulusHashMatcher {
    fn bind(&mut self, binding: &Arc<Binding>) {
        self.bindings.add(binding);
    }

    fn unbind(&mut self, binding: &Binding) {
        self.bindings.remove(binding);
    }

    fn matches(
        &self,
        header: &Header<'_>,
        _topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        let index = hash(header.routing_keys).checked_rem(self.bindings.len());
        destinations.extend(index.and_then(|index| self.bindings.nth(index)));
        Ok(())
    }

    fn boxed_clone(&self) -> Box<dyn Matcher> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A hash of the routing key and those of `CC` and `BCC`; frozen, since another one sends running
/// keys to other queues.
fn hash(keys: &[&str]) -> u64 {
    keys.iter().fold(0, |hash, key| scramble(hash ^ stable_hash(key.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Publish, bind_all, binding, destinations, queue};

    fn keys() -> Vec<String> {
        (0..4_000).map(|n| format!("key-{n}")).collect()
    }

    #[test]
    fn a_key_has_one_queue_whatever_the_order_of_binding() {
        let mut bindings: Vec<_> = (0..4).map(|n| binding(queue(n), "ignored")).collect();
        let matcher = bind_all(&ModulusHash, &bindings);
        bindings.reverse();
        let other = bind_all(&ModulusHash, &bindings);
        let mut shares = [0; 4];
        for key in keys() {
            let publish = Publish::to(&[&key]);
            let found = destinations(&*matcher, &publish);
            assert_eq!(found.len(), 1);
            assert_eq!(found, destinations(&*other, &publish));
            shares[found[0] as usize] += 1;
        }
        assert!(shares.iter().all(|share| (850..1_150).contains(share)), "{shares:?}");
    }

    #[test]
    fn the_hash_is_frozen() {
        assert_eq!(hash(&["orders.eu"]), 6_628_973_081_037_824_545);
        assert_eq!(hash(&["orders.eu", "cc"]), 10_950_806_472_182_562_870);
        assert_ne!(hash(&["a", "b"]), hash(&["b", "a"]));
        assert_ne!(hash(&["a"]), hash(&["a", "a"]));
    }

    #[test]
    fn each_binding_counts_and_none_is_nowhere() {
        let bindings = [(1, "a"), (1, "b"), (1, "c"), (2, "a")];
        let bindings: Vec<_> = bindings.iter().map(|&(n, key)| binding(queue(n), key)).collect();
        let matcher = bind_all(&ModulusHash, &bindings);
        let to_two = |key: &String| destinations(&*matcher, &Publish::to(&[key])) == [2];
        let share = keys().iter().filter(|key| to_two(key)).count();
        assert!((850..1_150).contains(&share), "{share}");
        assert_eq!(destinations(&*bind_all(&ModulusHash, &[]), &Publish::to(&["a"])), []);
    }
}
