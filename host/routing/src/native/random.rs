//! `x-random`: to the destination of one binding, chosen at random; keys don't count.

use std::any::Any;
use std::sync::Arc;

use super::ranked::Ranked;
use super::tree::{scramble, stable_hash};
use crate::exchange_type::{
    Binding, Destination, ExchangeSpec, ExchangeType, Header, Matcher, Topology,
};
use crate::failure::Failure;

/// The exchange type `x-random`.
pub(crate) struct Random;

impl ExchangeType for Random {
    fn name(&self) -> &'static str {
        "x-random"
    }

    fn create(&self, exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        Ok(Box::new(RandomMatcher { dice: Dice::new(exchange) }))
    }
}

#[derive(Clone)]
struct RandomMatcher {
    dice: Dice,
}

/// Bindings of which one is chosen at random: a destination bound twice is chosen twice as often.
#[derive(Clone)]
pub(super) struct Dice {
    bindings: Ranked,
    /// Keeps two exchanges that one message passes from choosing alike.
    salt: u64,
}

impl Dice {
    pub(super) fn new(exchange: &ExchangeSpec) -> Self {
        let salt = stable_hash(exchange.name.as_str().as_bytes());
        Self { bindings: Ranked::default(), salt }
    }

    pub(super) fn add(&mut self, binding: &Binding) {
        self.bindings.add(binding);
    }

    pub(super) fn remove(&mut self, binding: &Binding) {
        self.bindings.remove(binding);
    }

    pub(super) fn roll(&self, header: &Header<'_>) -> Option<Destination> {
        self.bindings.choose(scramble(header.random ^ self.salt))
    }
}

impl Matcher for RandomMatcher {
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
    use super::*;
    use crate::Walk;
    use crate::fixture::{Publish, bind_all, binding, queue, raw_destinations};

    #[test]
    fn every_binding_has_an_equal_share() {
        // Queue 3 is bound twice.
        let bindings = [(1, "a"), (2, "a"), (3, "a"), (3, "b")];
        let bindings: Vec<_> = bindings.iter().map(|&(n, key)| binding(queue(n), key)).collect();
        let mut matcher = bind_all(&Random, &bindings);
        let mut walk = Walk::new();
        let mut shares = |matcher: &dyn Matcher| {
            let mut shares = [0; 4];
            for _ in 0..8_000 {
                let mut publish = Publish::to(&["whatever"]);
                publish.random = walk.next_random();
                match raw_destinations(matcher, &publish)[..] {
                    [Destination::Queue(id)] => shares[id.slot() as usize] += 1,
                    ref other => panic!("{other:?}"),
                }
            }
            shares
        };
        let [_, one, two, three] = shares(&*matcher);
        assert!((1_800..2_200).contains(&one) && (1_800..2_200).contains(&two), "{one} {two}");
        assert!((3_800..4_200).contains(&three), "{three}");
        matcher.unbind(&bindings[3]);
        matcher.unbind(&bindings[0]);
        let [_, one, two, three] = shares(&*matcher);
        assert_eq!((one, two + three), (0, 8_000));
        assert!((3_700..4_300).contains(&two), "{two}");
    }

    #[test]
    fn the_same_bits_choose_the_same_and_nothing_bound_is_nowhere() {
        let bindings: Vec<_> = (0..10).map(|n| binding(queue(n), "")).collect();
        let matcher = bind_all(&Random, &bindings);
        let publish = Publish::to(&["k"]);
        assert_eq!(
            raw_destinations(&*matcher, &publish),
            raw_destinations(&*matcher.boxed_clone(), &publish)
        );
        assert_eq!(raw_destinations(&*bind_all(&Random, &[]), &publish), []);
    }
}
