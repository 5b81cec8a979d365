//! What a route may use of the world, and the ports behind it.

use std::fmt;

use shunt_types::QueueId;

use crate::log::RouteRef;

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

    /// Whether this version of the broker can serve it. The ports of the others stand in this
    /// file, so that what they need from the broker is known.
    pub fn is_supported(self) -> bool {
        matches!(self, Self::Clock | Self::Random)
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

/// How full a queue is, as `load` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueLoad {
    /// Messages ready for delivery.
    pub ready: u64,
    /// Messages delivered and not settled.
    pub unacked: u64,
    /// Consumers.
    pub consumers: u32,
}

/// The port behind the capability `load`: a snapshot that costs no lock, since it is asked while
/// a message is being routed.
pub trait QueueLoads: Send + Sync {
    /// The queue's load; `None` where there is no such queue on this node.
    fn load(&self, queue: QueueId) -> Option<QueueLoad>;
}

/// The port behind the capability `state`: one small map for each route, bounded by the broker.
pub trait RouteState: Send + Sync {
    /// Appends the value of `key` to `out`; `false` where there is none.
    fn get(&self, route: &RouteRef, key: &[u8], out: &mut Vec<u8>) -> bool;

    /// Sets `key`; an empty value removes it. `false` where the route's limit would be passed.
    fn put(&self, route: &RouteRef, key: &[u8], value: &[u8]) -> bool;
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
