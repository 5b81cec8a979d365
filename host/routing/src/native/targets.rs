//! The destinations of a key, each with how many bindings lead to it.

use std::sync::Arc;

use crate::exchange_type::Destination;
use crate::map::Map;

/// Destinations, counted: a destination bound twice is there until both bindings are gone.
///
/// Most keys have one destination, which then needs no allocation; a key may also have a
/// million, so that more than one are a [`Map`].
#[derive(Clone, Default)]
pub(super) enum Targets {
    #[default]
    None,
    One(Destination, u32),
    Many(Arc<Map<Destination, u32>>),
}

impl Targets {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn add(&mut self, destination: Destination) {
        match self {
            Self::None => *self = Self::One(destination, 1),
            Self::One(only, count) if *only == destination => *count += 1,
            Self::One(only, count) => {
                let both = [(*only, *count), (destination, 1)];
                *self = Self::Many(Arc::new(both.into_iter().collect()));
            }
            Self::Many(counts) => {
                let counts = Arc::make_mut(counts);
                match counts.get_mut(&destination) {
                    Some(count) => *count += 1,
                    None => drop(counts.insert(destination, 1)),
                }
            }
        }
    }

    pub(super) fn remove(&mut self, destination: Destination) {
        match self {
            Self::One(only, count) if *only == destination => match *count {
                1 => *self = Self::None,
                _ => *count -= 1,
            },
            Self::None | Self::One(..) => {}
            Self::Many(counts) => {
                let counts = Arc::make_mut(counts);
                match counts.get_mut(&destination) {
                    Some(count) if *count > 1 => *count -= 1,
                    _ => drop(counts.remove(&destination)),
                }
                if counts.len() == 1 {
                    let last = counts.iter().next().map(|(&only, &count)| (only, count));
                    *self = last.map_or(Self::None, |(only, count)| Self::One(only, count));
                }
            }
        }
    }

    pub(super) fn append_to(&self, destinations: &mut Vec<Destination>) {
        match self {
            Self::None => {}
            Self::One(only, _) => destinations.push(*only),
            Self::Many(counts) => destinations.extend(counts.iter().map(|(target, _)| *target)),
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
            steps in prop::collection::vec((any::<bool>(), 0..4u64), 0..60),
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
