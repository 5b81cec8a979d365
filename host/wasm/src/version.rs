//! A route, its versions, and what is live of them.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use shunt_routing::{Failure, FailureCause};
use shunt_types::VhostName;

use crate::capability::Capabilities;
use crate::counters::Counters;
use crate::engine::Ticker;
use crate::fields::Field;
use crate::guards::Guards;
use crate::instance::{Instance, Terms};
use crate::limits::LimitOverrides;
use crate::log::RouteRef;
use crate::module::RouteModule;
use crate::rollout::Rollout;
use crate::store::{Destinations, StoredCanary};
use crate::trace::Recorder;
use crate::view::RolloutEnd;

/// A name in a virtual host under which modules are deployed. Exchanges hold on to it, so that a
/// route that is removed and deployed again is theirs again.
pub(crate) struct Route {
    pub(crate) vhost: VhostName,
    pub(crate) name: Arc<str>,
    /// The version that decides; exchanging this pointer is the activation.
    pub(crate) active: Arc<ArcSwapOption<Version>>,
    /// The version beside it, while there is a shadow or a canary.
    pub(crate) candidate: Arc<ArcSwapOption<Version>>,
    pub(crate) rollout: ArcSwapOption<Rollout>,
    /// What became of the last one.
    pub(crate) last_rollout: Mutex<Option<RolloutEnd>>,
    pub(crate) recorder: ArcSwapOption<Recorder>,
    /// Whether there is a rollout or a recorder: all that a message looks at where there is not.
    pub(crate) is_observed: AtomicBool,
    /// The version that decided before, for exchanges whose failure policy is `previous`.
    pub(crate) previous: Arc<ArcSwapOption<Version>>,
    /// Messages that found no active version.
    pub(crate) unavailable: AtomicU64,
    /// Exchanges that name the route.
    pub(crate) exchanges: AtomicUsize,
    pub(crate) deployed: Mutex<Deployed>,
}

/// What a route consists of; changed by deployments only.
#[derive(Default)]
pub(crate) struct Deployed {
    pub(crate) versions: Vec<Arc<Version>>,
    pub(crate) previous: Option<u32>,
    pub(crate) canary: Option<StoredCanary>,
    /// The number that was given last; numbers are never given twice.
    pub(crate) last_version: u32,
}

/// One version: a module with the settings that it was deployed with.
pub(crate) struct Version {
    pub(crate) route: RouteRef,
    pub(crate) sha256: String,
    pub(crate) size: u64,
    pub(crate) grants: Capabilities,
    pub(crate) destinations: Destinations,
    pub(crate) overrides: LimitOverrides,
    pub(crate) guards: Guards,
    /// What an answer that is kept depends on: the fields that are read, and those that guards
    /// compare.
    pub(crate) key_fields: Vec<Field>,
    pub(crate) deployed_at_ms: u64,
    pub(crate) terms: Terms,
    /// The module, or why it can't run on this node.
    pub(crate) module: Result<Arc<RouteModule>, String>,
    pub(crate) counters: Counters,
    /// What it did as a shadow, which nobody got.
    pub(crate) shadow_counters: Counters,
    pub(crate) live: AtomicUsize,
}

impl Route {
    pub(crate) fn new(vhost: VhostName, name: Arc<str>) -> Self {
        Self {
            vhost,
            name,
            active: Arc::default(),
            candidate: Arc::default(),
            rollout: ArcSwapOption::empty(),
            last_rollout: Mutex::default(),
            recorder: ArcSwapOption::empty(),
            is_observed: AtomicBool::new(false),
            previous: Arc::default(),
            unavailable: AtomicU64::new(0),
            exchanges: AtomicUsize::new(0),
            deployed: Mutex::default(),
        }
    }
}

impl Deployed {
    /// The version that decided before.
    pub(crate) fn previous(&self) -> Option<Arc<Version>> {
        let is_previous = |known: &&Arc<Version>| Some(known.route.version) == self.previous;
        self.versions.iter().find(is_previous).cloned()
    }
}

/// The fields that an answer of a module depends on under these guards.
pub(crate) fn key_fields(module: Option<&RouteModule>, guards: &Guards) -> Vec<Field> {
    let mut fields = module.map(|module| module.description.reads.clone()).unwrap_or_default();
    let more: Vec<_> = guards.fields().iter().filter(|f| !fields.contains(f)).cloned().collect();
    fields.extend(more);
    fields
}

impl Version {
    /// The module, where it can run.
    pub(crate) fn module(&self) -> Result<&Arc<RouteModule>, Failure> {
        self.module.as_ref().map_err(|reason| Failure::new(FailureCause::Unavailable, reason))
    }

    /// Makes an instance, unless there are too many already.
    pub(crate) fn instance(self: &Arc<Self>, ticker: &Arc<Ticker>) -> Result<Live, Failure> {
        let module = self.module()?;
        // Counted by a guard first: whatever fails below gives its place back.
        let place = Place::take(self)?;
        let instance = Instance::new(&module.prepared, &self.terms, Arc::clone(ticker))?;
        Ok(Live { instance, _place: place })
    }
}

/// A live instance of a version.
pub(crate) struct Live {
    instance: Instance,
    _place: Place,
}

impl Deref for Live {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

impl DerefMut for Live {
    fn deref_mut(&mut self) -> &mut Instance {
        &mut self.instance
    }
}

/// One of the instances that a version may have; its drop frees the place.
struct Place(Arc<Version>);

impl Place {
    fn take(version: &Arc<Version>) -> Result<Self, Failure> {
        let most = version.terms.limits.instances;
        let live = version.live.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(version));
        if live as u64 >= most {
            let detail = format!("{most} instances are live, the limit 'instances'");
            return Err(Failure::new(FailureCause::Unavailable, detail));
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}
