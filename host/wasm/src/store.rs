//! What of deployed routes outlives the process, and the port to where it is kept.

use std::collections::BTreeMap;
use std::io;

use shunt_types::VhostName;

use crate::capability::Capabilities;
use crate::limits::LimitOverrides;
use crate::rollout::CanarySettings;

/// What a route may answer with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Destinations {
    /// Indexes of bindings: it reaches nothing that was not bound.
    #[default]
    Bound,
    /// Names of any queue of the virtual host too; takes an administrator.
    Any,
}

impl Destinations {
    /// The setting's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Any => "any",
        }
    }

    /// The setting of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Bound, Self::Any].into_iter().find(|destinations| destinations.name() == name)
    }
}

/// A route as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRoute {
    /// The virtual host.
    pub vhost: VhostName,
    /// The route's name.
    pub name: String,
    /// The version that decides.
    pub active: Option<u32>,
    /// The version that decided before.
    pub previous: Option<u32>,
    /// The number that was given last.
    pub last_version: u32,
    /// The canary that runs.
    pub canary: Option<StoredCanary>,
    /// The versions in the order of their numbers.
    pub versions: Vec<StoredVersion>,
}

/// A canary as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredCanary {
    /// Its settings.
    pub settings: CanarySettings,
    /// The step that it has reached, from 0.
    pub step: u32,
}

/// A version as it is kept; the module's bytes lie in a file under their SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVersion {
    /// Its number.
    pub version: u32,
    /// Address of the module's bytes, in hexadecimal.
    pub sha256: String,
    /// Length of the module, in bytes.
    pub size_bytes: u64,
    /// The capabilities granted.
    pub grants: Capabilities,
    /// What it may answer with.
    pub destinations: Destinations,
    /// Its own limits.
    pub limits: LimitOverrides,
    /// The names and rules of its guards.
    pub guards: BTreeMap<String, String>,
    /// When it was deployed, in Unix milliseconds.
    pub deployed_at_ms: u64,
}

/// Keeps what routes are deployed. A call returns when the change is on disk.
pub trait RouteStore: Send + Sync {
    /// Every route that was put and not removed.
    ///
    /// # Errors
    /// Nothing can be read; the broker doesn't start then.
    fn load(&self) -> io::Result<Vec<StoredRoute>>;

    /// Keeps a route in the place of what was kept under its name.
    ///
    /// # Errors
    /// The route is kept as it was before.
    fn put(&self, route: &StoredRoute) -> io::Result<()>;

    /// Forgets a route.
    ///
    /// # Errors
    /// The route is kept as it was before.
    fn remove(&self, vhost: &VhostName, name: &str) -> io::Result<()>;
}
