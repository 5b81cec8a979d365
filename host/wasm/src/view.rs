//! Deployed routes as a front door shows them: plain values.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shunt_types::VhostName;

use crate::capability::Capabilities;
use crate::counters::RouteCounters;
use crate::limits::{LimitOverrides, RouteLimits};
use crate::store::Destinations;
use crate::version::{Route, Version};

/// A route with all its versions.
#[derive(Clone, Debug)]
pub struct RouteView {
    /// The virtual host.
    pub vhost: VhostName,
    /// The route's name.
    pub name: Arc<str>,
    /// The version that decides.
    pub active: Option<u32>,
    /// The version that decided before; activating it is the rollback.
    pub previous: Option<u32>,
    /// Exchanges that name the route.
    pub exchanges: usize,
    /// Messages that found no active version.
    pub unavailable: u64,
    /// The versions in the order of their numbers.
    pub versions: Vec<VersionView>,
}

/// A version of a route.
#[derive(Clone, Debug)]
pub struct VersionView {
    /// Its number.
    pub version: u32,
    /// Whether it decides.
    pub is_active: bool,
    /// SHA-256 of the module, in hexadecimal.
    pub sha256: String,
    /// Length of the module, in bytes.
    pub size_bytes: u64,
    /// What the module says about itself; `None` where it can't run.
    pub module: Option<ModuleView>,
    /// Why the module can't run on this node.
    pub unavailable: Option<String>,
    /// The capabilities granted.
    pub grants: Capabilities,
    /// What it may answer with.
    pub destinations: Destinations,
    /// The limits in force.
    pub limits: RouteLimits,
    /// The limits that were given at deploy.
    pub own_limits: LimitOverrides,
    /// When it was deployed, in Unix milliseconds.
    pub deployed_at_ms: u64,
    /// Live instances.
    pub instances: usize,
    /// What it did since the broker started.
    pub counters: RouteCounters,
}

/// The answer of `shunt_describe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleView {
    /// The module's own name.
    pub name: String,
    /// The module's own version.
    pub version: String,
    /// The fields that it reads, in its order.
    pub reads: Vec<String>,
    /// The capabilities that it wants.
    pub wants: Capabilities,
}

impl Route {
    /// `None` where nothing is deployed under the name any more.
    pub(crate) fn view(&self) -> Option<RouteView> {
        let active = self.active.load_full();
        let deployed = self.deployed.lock();
        if deployed.versions.is_empty() {
            return None;
        }
        let view = |version: &Arc<Version>| {
            version.view(active.as_ref().is_some_and(|active| Arc::ptr_eq(active, version)))
        };
        Some(RouteView {
            vhost: self.vhost.clone(),
            name: Arc::clone(&self.name),
            active: active.as_ref().map(|version| version.route.version),
            previous: deployed.previous,
            exchanges: self.exchanges.load(Ordering::Relaxed),
            unavailable: self.unavailable.load(Ordering::Relaxed),
            versions: deployed.versions.iter().map(view).collect(),
        })
    }
}

impl Version {
    fn view(&self, is_active: bool) -> VersionView {
        let module = self.module.as_ref().ok().map(|module| {
            let description = &module.description;
            ModuleView {
                name: description.name.clone(),
                version: description.version.clone(),
                reads: description.reads.iter().map(ToString::to_string).collect(),
                wants: description.wants,
            }
        });
        VersionView {
            version: self.route.version,
            is_active,
            sha256: self.sha256.clone(),
            size_bytes: self.size,
            module,
            unavailable: self.module.as_ref().err().cloned(),
            grants: self.grants,
            destinations: self.destinations,
            limits: self.terms.limits,
            own_limits: self.overrides,
            deployed_at_ms: self.deployed_at_ms,
            instances: self.live.load(Ordering::Relaxed),
            counters: self.counters.read(),
        }
    }
}
