//! What a route may use of the world, and the port behind it.

use std::fmt;
use std::sync::Arc;

use shunt_types::{QueueGauge, QueueId};

/// Something that a module can't have unless it declares it and the deployment grants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capability {
    /// The wall clock.
    Clock,
    /// Random numbers.
    Random,
    /// How full the bound queues are.
    Load,
    /// A small map kept by the broker.
    State,
}

impl Capability {
    /// Every capability.
    pub const ALL: [Self; 4] = [Self::Clock, Self::Random, Self::Load, Self::State];

    /// The name in a module's `wants` and in a deployment's grants.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Load => "load",
            Self::State => "state",
        }
    }

    /// The capability of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.name() == name)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(u8);

impl Capabilities {
    /// No capability.
    pub const NONE: Self = Self(0);

    /// Adds one.
    pub fn insert(&mut self, capability: Capability) {
        self.0 |= 1 << capability as u8;
    }

    /// Whether it is in the set.
    pub fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u8) != 0
    }

    /// What is in both sets.
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The capabilities in the order of [`Capability::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |capability| self.contains(*capability))
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        let mut set = Self::NONE;
        capabilities.into_iter().for_each(|capability| set.insert(capability));
        set
    }
}

/// The port behind the capability `load`.
pub trait QueueLoads: Send + Sync {
    /// The gauge of a queue, which its shard keeps; `None` where there is no such queue on this
    /// node. Asked when an instance learns its exchange's bindings, never for a message.
    fn gauge(&self, queue: QueueId) -> Option<Arc<QueueGauge>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set: Capabilities = [Capability::State, Capability::Clock].into_iter().collect();
        assert!(set.contains(Capability::Clock) && !set.contains(Capability::Random));
        let names: Vec<_> = set.iter().map(Capability::name).collect();
        assert_eq!(names, ["clock", "state"]);
        for capability in Capability::ALL {
            assert_eq!(Capability::parse(capability.name()), Some(capability));
        }
        assert_eq!(Capability::parse("network"), None);
    }
}
