//! Deployed routes as a front door shows them: plain values.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shunt_types::VhostName;

use crate::capability::Capabilities;
use crate::counters::RouteCounters;
use crate::limits::{LimitOverrides, RouteLimits};
use crate::rollout::{CanarySettings, CanarySide, Difference, Rollout, ShadowSettings};
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
    /// The candidate that runs beside the active version.
    pub shadow: Option<ShadowView>,
    /// The candidate that has a part of the messages.
    pub canary: Option<CanaryView>,
    /// What became of the last shadow or canary since the broker started.
    pub last_rollout: Option<RolloutEnd>,
    /// The versions in the order of their numbers.
    pub versions: Vec<VersionView>,
}

/// A shadow.
#[derive(Clone, Debug)]
pub struct ShadowView {
    /// How it runs.
    pub settings: ShadowSettings,
    /// Messages that both decided about.
    pub compared: u64,
    /// Of them, those that would go elsewhere.
    pub different: u64,
    /// Messages that it was not asked about: its time was used up.
    pub skipped: u64,
    /// Some of the differences, the newest last.
    pub differences: Vec<Difference>,
    /// What it did; none of it counts for the version.
    pub counters: RouteCounters,
    /// The names of its guards, and how many of its answers broke them.
    pub guards: Vec<(String, u64)>,
}

/// A canary.
#[derive(Clone, Debug)]
pub struct CanaryView {
    /// How it runs.
    pub settings: CanarySettings,
    /// The step that it has reached, from 0.
    pub step: u32,
    /// Its share of the messages, in per cent.
    pub per_cent: u32,
    /// When the step began, in Unix milliseconds; 0 before the first look.
    pub step_since_ms: u64,
    /// What the candidate did in this step.
    pub candidate: SideView,
    /// What the active version did in this step.
    pub active: SideView,
}

/// What one of two versions did in a step of a canary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SideView {
    /// Messages that it was asked about.
    pub calls: u64,
    /// Of them, those that it failed to decide about.
    pub failed: u64,
    /// Of them, those without a destination.
    pub unroutable: u64,
    /// The median time of a decision, in nanoseconds, within a quarter.
    pub time_p50_ns: Option<u64>,
    /// The median fuel of decisions about some of the step's messages, once there are enough.
    pub fuel_p50: Option<u64>,
}

/// How a shadow or a canary ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutEnd {
    /// The candidate.
    pub version: u32,
    /// `promoted`, `taken-back` or, of a shadow, `ended`.
    pub outcome: &'static str,
    /// Why.
    pub reason: String,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
}

impl SideView {
    fn of(side: &CanarySide, fuel_p50: Option<u64>) -> Self {
        Self {
            calls: side.calls.load(Ordering::Relaxed),
            failed: side.failed.load(Ordering::Relaxed),
            unroutable: side.unroutable.load(Ordering::Relaxed),
            time_p50_ns: side.times.median_ns(),
            fuel_p50,
        }
    }
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
    /// Its guards: the name, the rule, and how many answers broke it since the broker started.
    pub guards: Vec<(String, String, u64)>,
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
        let (mut shadow, mut canary) = (None, None);
        match self.rollout.load().as_deref() {
            Some(Rollout::Shadow(now)) => {
                let candidate = self.candidate.load_full();
                let counters = candidate
                    .as_ref()
                    .map_or_else(RouteCounters::default, |c| c.shadow_counters.read());
                let guards = candidate.iter().flat_map(|candidate| candidate.guards.iter());
                let guards = guards.zip(counters.guards).map(|((name, _), n)| (name.to_owned(), n));
                shadow = Some(ShadowView {
                    settings: now.settings.clone(),
                    compared: now.compared.load(Ordering::Relaxed),
                    different: now.different.load(Ordering::Relaxed),
                    skipped: now.skipped.load(Ordering::Relaxed),
                    differences: now.differences.lock().iter().cloned().collect(),
                    guards: guards.collect(),
                    counters,
                });
            }
            Some(Rollout::Canary(now)) => {
                let (mine, usual) = now.fuel.medians().unzip();
                canary = Some(CanaryView {
                    settings: now.settings.clone(),
                    step: now.step.load(Ordering::Relaxed),
                    per_cent: now.per_cent(),
                    step_since_ms: now.step_since_ms.load(Ordering::Relaxed),
                    candidate: SideView::of(&now.candidate, mine),
                    active: SideView::of(&now.active, usual),
                });
            }
            None => {}
        }
        Some(RouteView {
            shadow,
            canary,
            last_rollout: self.last_rollout.lock().clone(),
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
        let counters = self.counters.read();
        let guards = self.guards.iter().zip(counters.guards);
        let guards = guards.map(|((name, rule), n)| (name.to_owned(), rule.to_owned(), n));
        VersionView {
            guards: guards.collect(),
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
            counters,
        }
    }
}
