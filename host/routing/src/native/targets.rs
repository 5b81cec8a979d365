//! The destinations of a key, each with how many bindings lead to it.

use std::iter;
use std::sync::Arc;

use crate::exchange_type::Destination;
use crate::map::Map;

/// Destinations, counted: a destination bound twice is there until both bindings are gone.
///
/// Most keys have one destination, which then needs no allocation. A few stand in one block,
/// which is the quickest to go through; a key may also have a million, bound one at a time, so
/// that many are a [`Map`].
#[derive(Clone, Default)]
pub(super) enum Targets {
    #[default]
    None,
    One(Destination, u32),
    Few(Arc<[(Destination, u32)]>),
    Many(Arc<Map<Destination, u32>>),
}

/// Destinations of a block; a change copies it.
const FEW_MAX: usize = 64;
/// Destinations of a map at which it becomes a block again.
const FEW_AGAIN: usize = FEW_MAX / 2;

impl Targets {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// How many destinations there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(..) => 1,
            Self::Few(few) => few.len(),
            Self::Many(counts) => counts.len(),
        }
    }

    pub(super) fn add(&mut self, destination: Destination) {
        if let Some(count) = self.count_mut(destination) {
            *count += 1;
            return;
        }
        let added = iter::once((destination, 1));
        match self {
            Self::None => *self = Self::One(destination, 1),
            Self::One(only, count) => *self = Self::few([(*only, *count)].into_iter().chain(added)),
            Self::Few(few) if few.len() < FEW_MAX => {
                *self = Self::few(few.iter().copied().chain(added));
            }
            Self::Few(few) => {
                *self = Self::Many(Arc::new(few.iter().copied().chain(added).collect()));
            }
            Self::Many(counts) => drop(Arc::make_mut(counts).insert(destination, 1)),
        }
    }

    pub(super) fn remove(&mut self, destination: Destination) {
        match self.count_mut(destination) {
            None => return,
            Some(count) if *count > 1 => {
                *count -= 1;
                return;
            }
            Some(_) => {}
        }
        match self {
            Self::None | Self::One(..) => *self = Self::None,
            Self::Few(few) => {
                *self = Self::few(few.iter().copied().filter(|(target, _)| *target != destination));
            }
            Self::Many(counts) => {
                let counts = Arc::make_mut(counts);
                counts.remove(&destination);
                if counts.len() <= FEW_AGAIN {
                    *self = Self::few(counts.iter().map(|(target, count)| (*target, *count)));
                }
            }
        }
    }

    pub(super) fn append_to(&self, destinations: &mut Vec<Destination>) {
        match self {
            Self::None => {}
            Self::One(only, _) => destinations.push(*only),
            Self::Few(few) => destinations.extend(few.iter().map(|(target, _)| *target)),
            Self::Many(counts) => {
                destinations.reserve(counts.len());
                counts.iter().for_each(|(target, _)| destinations.push(*target));
            }
        }
    }

    /// One or a few.
    fn few(targets: impl Iterator<Item = (Destination, u32)>) -> Self {
        let targets: Arc<[_]> = targets.collect();
        match *targets {
            [(only, count)] => Self::One(only, count),
            _ => Self::Few(targets),
        }
    }

    fn count_mut(&mut self, destination: Destination) -> Option<&mut u32> {
        match self {
            Self::None => None,
            Self::One(only, count) => (*only == destination).then_some(count),
            Self::Few(few) => {
                let index = few.iter().position(|(target, _)| *target == destination)?;
                Some(&mut Arc::make_mut(few)[index].1)
            }
            Self::Many(counts) => {
                // Asked first, since changing copies what is shared.
                counts.get(&destination)?;
                Arc::make_mut(counts).get_mut(&destination)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use shunt_types::ExchangeId;

    use super::*;

    proptest! {
        #[test]
        fn a_destination_stays_until_its_last_binding_goes(
            steps in prop_oneof![
                prop::collection::vec((any::<bool>(), 0..4u64), 0..60),
                // Far beyond a block, and back.
                (0..120usize, prop::collection::vec((any::<bool>(), 0..100u64), 0..300)).prop_map(
                    |(removed, middle)| {
                        let fill = (0..100).map(|id| (true, id));
                        let clear = (0..removed as u64).map(|id| (false, id));
                        fill.chain(middle).chain(clear).collect()
                    },
                ),
            ],
        ) {
            let mut targets = Targets::default();
            let mut counts = BTreeMap::new();
            for (add, id) in steps {
                let destination = Destination::Exchange(ExchangeId(id));
                let count = counts.entry(destination).or_insert(0u32);
                if add {
                    targets.add(destination);
                    *count += 1;
                } else {
                    targets.remove(destination);
                    *count = count.saturating_sub(1);
                }
                counts.retain(|_, count| *count > 0);
                let mut found = Vec::new();
                targets.append_to(&mut found);
                found.sort_unstable();
                prop_assert_eq!(found, counts.keys().copied().collect::<Vec<_>>());
                prop_assert_eq!(targets.is_empty(), counts.is_empty());
            }
        }
    }

    #[test]
    fn a_key_costs_24_bytes() {
        assert_eq!(size_of::<Targets>(), 24);
    }
}
