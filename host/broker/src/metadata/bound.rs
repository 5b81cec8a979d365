//! The bindings of a virtual host, found by their source and by their destination.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::{HashMap, HashSet, hash_map::Entry};
use shunt_routing::{Binding, Destination};
use shunt_types::{ExchangeId, ExchangeName, QueueName};

use super::{BindingDefinition, DestinationName};

/// Every binding once, by the pair of its ends: a second set by destination alone would cost a
/// million bindings of a few queues 22 bytes each.
#[derive(Default)]
pub(crate) struct Bound {
    from: HashMap<ExchangeId, HashMap<Destination, Between>>,
    /// The sources of a destination; each has a binding to it.
    to: HashMap<Destination, HashSet<ExchangeId>>,
}

/// The bindings from one exchange to one destination. Most pairs have one, which then needs no
/// set.
enum Between {
    One(BindingEntry),
    Many(Box<HashSet<BindingEntry>>),
}

/// A binding as a member of a set: the same when destination, key and arguments are.
#[derive(Clone)]
pub(crate) struct BindingEntry(pub(crate) Arc<Binding>);

impl Bound {
    /// Takes a binding in; answers whether it was not there yet.
    pub(crate) fn insert(&mut self, source: ExchangeId, binding: BindingEntry) -> bool {
        let destination = binding.0.destination;
        match self.from.entry(source).or_default().entry(destination) {
            Entry::Occupied(between) => between.into_mut().insert(binding),
            Entry::Vacant(between) => {
                between.insert(Between::One(binding));
                self.to.entry(destination).or_default().insert(source);
                true
            }
        }
    }

    /// Takes a binding out and answers it as it was kept.
    pub(crate) fn take(
        &mut self,
        source: ExchangeId,
        binding: &BindingEntry,
    ) -> Option<BindingEntry> {
        let destination = binding.0.destination;
        let destinations = self.from.get_mut(&source)?;
        let Entry::Occupied(mut between) = destinations.entry(destination) else { return None };
        let taken = match between.get_mut() {
            Between::One(only) if only == binding => {
                let Between::One(only) = between.remove() else { return None };
                only
            }
            Between::One(_) => return None,
            Between::Many(bindings) => {
                let taken = bindings.take(binding)?;
                if bindings.is_empty() {
                    between.remove();
                }
                taken
            }
        };
        if !destinations.contains_key(&destination) {
            if destinations.is_empty() {
                self.from.remove(&source);
            }
            self.forget_source(destination, source);
        }
        Some(taken)
    }

    /// Takes out every binding of a source.
    pub(crate) fn take_from(
        &mut self,
        source: ExchangeId,
    ) -> impl Iterator<Item = BindingEntry> + use<> {
        let taken = self.from.remove(&source).unwrap_or_default();
        for destination in taken.keys() {
            self.forget_source(*destination, source);
        }
        taken.into_values().flat_map(Between::into_bindings)
    }

    /// Takes out every binding that leads to `destination`, each with its source.
    pub(crate) fn take_to(&mut self, destination: Destination) -> Vec<(ExchangeId, BindingEntry)> {
        let mut taken = Vec::new();
        for source in self.to.remove(&destination).unwrap_or_default() {
            let Some(destinations) = self.from.get_mut(&source) else { continue };
            let between = destinations.remove(&destination);
            if destinations.is_empty() {
                self.from.remove(&source);
            }
            taken.extend(
                between
                    .into_iter()
                    .flat_map(Between::into_bindings)
                    .map(|binding| (source, binding)),
            );
        }
        taken
    }

    /// Whether anything is bound to the exchange.
    pub(crate) fn has_from(&self, source: ExchangeId) -> bool {
        self.from.contains_key(&source)
    }

    /// Every binding with its source, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ExchangeId, &BindingEntry)> {
        self.from.iter().flat_map(|(source, destinations)| {
            destinations.values().flat_map(Between::iter).map(|binding| (*source, binding))
        })
    }

    fn forget_source(&mut self, destination: Destination, source: ExchangeId) {
        if let Some(sources) = self.to.get_mut(&destination) {
            sources.remove(&source);
            if sources.is_empty() {
                self.to.remove(&destination);
            }
        }
    }
}

impl Between {
    fn insert(&mut self, binding: BindingEntry) -> bool {
        match self {
            Self::One(only) if *only == binding => false,
            Self::One(only) => {
                let bindings = [only.clone(), binding].into_iter().collect();
                *self = Self::Many(Box::new(bindings));
                true
            }
            Self::Many(bindings) => bindings.insert(binding),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &BindingEntry> {
        let (only, many) = match self {
            Self::One(only) => (Some(only), None),
            Self::Many(bindings) => (None, Some(bindings.iter())),
        };
        only.into_iter().chain(many.into_iter().flatten())
    }

    fn into_bindings(self) -> impl Iterator<Item = BindingEntry> {
        let (only, many) = match self {
            Self::One(only) => (Some(only), None),
            Self::Many(bindings) => (None, Some(bindings.into_iter())),
        };
        only.into_iter().chain(many.into_iter().flatten())
    }
}

impl Hash for BindingEntry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.destination.hash(state);
        self.0.key.hash(state);
        // Equal arguments have the same number of fields, whatever their order.
        self.0.arguments.as_table().iter().count().hash(state);
    }
}

impl PartialEq for BindingEntry {
    fn eq(&self, other: &Self) -> bool {
        self.0.destination == other.0.destination
            && self.0.key == other.0.key
            && self.0.arguments.is_equivalent(&other.0.arguments)
    }
}

impl Eq for BindingEntry {}

impl BindingEntry {
    /// What to look for in a set; its sequence doesn't count.
    pub(super) fn wanted(binding: Binding) -> Self {
        Self(Arc::new(binding))
    }

    /// Where it leads, by name.
    pub(crate) fn to(&self) -> DestinationName {
        let name = self.0.destination_name.clone();
        match self.0.destination {
            Destination::Queue(_) => DestinationName::Queue(QueueName::of_shared(name)),
            Destination::Exchange(_) => DestinationName::Exchange(ExchangeName::of_shared(name)),
        }
    }

    /// The binding by names; `source` is where it comes from.
    pub(crate) fn definition(&self, source: &ExchangeName) -> BindingDefinition {
        BindingDefinition {
            source: source.clone(),
            destination: self.to(),
            key: self.0.key.clone(),
            arguments: self.0.arguments.clone(),
        }
    }
}

#[cfg(test)]
#[path = "bound_tests.rs"]
mod tests;
