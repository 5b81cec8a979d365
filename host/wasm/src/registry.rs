//! The registry of deployed routes.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use shunt_types::VhostName;
use shunt_types::limits::SHORT_STRING_MAX;

use crate::artifact::Artifacts;
use crate::capability::{Capabilities, Capability};
use crate::counters::Counters;
use crate::engine::Runtime;
use crate::error::{DeployError, RouteError};
use crate::files::{ModuleFiles, sha256_hex};
use crate::instance::Terms;
use crate::limits::{LimitOverrides, RouteLimits};
use crate::local;
use crate::log::{LogGate, RouteLog, RouteRef};
use crate::module::RouteModule;
use crate::store::{Destinations, RouteStore, StoredRoute, StoredVersion};
use crate::version::{Deployed, Route, Version};
use crate::view::RouteView;

/// Virtual host and name.
type RouteKey = (VhostName, Arc<str>);

/// What a registry needs from the node.
pub struct RoutesConfig {
    /// Directory of modules and of what was compiled from them. Only the broker may write there:
    /// it holds native code.
    pub directory: PathBuf,
    /// The node's limits, which a deployment may override.
    pub limits: RouteLimits,
    /// Where deployed routes are kept.
    pub store: Arc<dyn RouteStore>,
    /// Where routes log to.
    pub log: Arc<dyn RouteLog>,
}

/// The deployed routes of a node. Deploying takes processor time and disk: not for a thread that
/// serves connections. What routes messages never waits for any of it.
pub struct Routes {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) artifacts: Artifacts,
    pub(crate) files: ModuleFiles,
    store: Arc<dyn RouteStore>,
    log: Arc<dyn RouteLog>,
    limits: RouteLimits,
    routes: Mutex<BTreeMap<RouteKey, Arc<Route>>>,
    /// Modules in use by hash. Held while one compiles, so that two uploads neither compile the
    /// same module twice nor take two cores.
    compiled: Mutex<HashMap<String, Weak<RouteModule>>>,
    /// One change at a time, from the decision until it is on disk and in force.
    changes: Mutex<()>,
    recovering: AtomicUsize,
}

/// A module to deploy.
#[derive(Clone, Copy, Debug)]
pub struct DeployRequest<'a> {
    /// The virtual host.
    pub vhost: &'a VhostName,
    /// The route's name.
    pub name: &'a str,
    /// A `.wasm` binary or `.wat` text.
    pub module: &'a [u8],
    /// The names of the capabilities granted.
    pub grants: &'a [&'a str],
    /// What it may answer with.
    pub destinations: Destinations,
    /// Its own limits.
    pub limits: LimitOverrides,
    /// Whether it shall decide from now on.
    pub activate: bool,
    /// Now, in Unix milliseconds.
    pub now_ms: u64,
}

/// A module that is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The version's number.
    pub version: u32,
    /// Whether it is new: the same module with the same settings is the version that is there.
    pub created: bool,
    /// Whether it decides.
    pub active: bool,
    /// SHA-256 of the module, in hexadecimal.
    pub sha256: String,
}

/// While it lives, `x-wasm` exchanges are taken back as they were stored, even if their route is
/// unavailable: their messages fail by policy, and the exchange isn't lost.
pub struct Recovery(Arc<Routes>);

impl Drop for Recovery {
    fn drop(&mut self) {
        self.0.recovering.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Routes {
    /// Opens the registry and loads what is deployed. A route whose module is missing or can't be
    /// compiled any more is there all the same, unavailable, with the reason in its view.
    ///
    /// # Errors
    /// The store can't be read, a limit is above its hard maximum, or the system refuses the
    /// engine its memory or its thread.
    pub fn open(config: RoutesConfig) -> io::Result<Arc<Self>> {
        config.limits.check().map_err(io::Error::other)?;
        let runtime = Runtime::new().map_err(|error| io::Error::other(format!("{error:#}")))?;
        let routes = Self {
            runtime: Arc::new(runtime),
            artifacts: Artifacts::new(config.directory.join("compiled")),
            files: ModuleFiles::new(config.directory.join("modules")),
            store: config.store,
            log: config.log,
            limits: config.limits,
            routes: Mutex::default(),
            compiled: Mutex::default(),
            changes: Mutex::new(()),
            recovering: AtomicUsize::new(0),
        };
        for stored in routes.store.load()? {
            routes.restore(stored);
        }
        Ok(Arc::new(routes))
    }

    /// To be held while exchanges are restored at start.
    pub fn recovery(self: &Arc<Self>) -> Recovery {
        self.recovering.fetch_add(1, Ordering::SeqCst);
        Recovery(Arc::clone(self))
    }

    pub(crate) fn is_recovering(&self) -> bool {
        self.recovering.load(Ordering::SeqCst) > 0
    }

    /// Checks a module and deploys it. The same module with the same settings again is the same
    /// version.
    ///
    /// # Errors
    /// The first reason against it; nothing was changed then.
    pub fn deploy(&self, request: &DeployRequest<'_>) -> Result<Deployment, DeployError> {
        if request.name.is_empty() || request.name.len() > SHORT_STRING_MAX {
            return Err(DeployError::Name(request.name.len()));
        }
        let limits = self.limits.overridden(&request.limits)?;
        let grants = parse_grants(request.grants)?;
        let size = request.module.len() as u64;
        if size > limits.module_bytes {
            return Err(DeployError::TooLarge { size, maximum: limits.module_bytes });
        }
        let sha256 = sha256_hex(request.module);
        let probe = self.route_ref(request.vhost, request.name, 0);
        let module = self.module(&sha256, request.module, &probe, limits)?;
        module.check_grants(grants)?;

        let _change = self.changes.lock();
        self.files.put(&sha256, request.module)?;
        let route = self.route(request.vhost, request.name);
        let is_same = |version: &Arc<Version>| {
            version.sha256 == sha256
                && version.grants == grants
                && version.destinations == request.destinations
                && version.overrides == request.limits
        };
        let known = route.deployed.lock().versions.iter().find(|known| is_same(known)).cloned();
        let created = known.is_none();
        let version = match known {
            Some(version) => version,
            None => {
                let number = route.deployed.lock().last_version + 1;
                let route = self.route_ref(request.vhost, request.name, number);
                Arc::new(Version {
                    terms: self.terms(&route, limits, grants, Some(&module)),
                    route,
                    sha256: sha256.clone(),
                    size,
                    grants,
                    destinations: request.destinations,
                    overrides: request.limits,
                    deployed_at_ms: request.now_ms,
                    module: Ok(module),
                    counters: Counters::default(),
                    live: AtomicUsize::new(0),
                })
            }
        };
        let number = version.route.version;
        self.change(&route, |deployed, active| {
            if created {
                deployed.versions.push(Arc::clone(&version));
                deployed.last_version = number;
            }
            if request.activate {
                activate(deployed, active, &version);
            }
        })?;
        let active = route.active.load().as_ref().is_some_and(|a| a.route.version == number);
        Ok(Deployment { version: number, created, active, sha256 })
    }

    /// Makes a version decide, by one exchange of a pointer: each message is decided by the old
    /// one or by the new one. Whether every exchange suits the new version shows when the first
    /// message reaches its new instance: a refusal there is a failure of that message.
    ///
    /// # Errors
    /// There is no such version, or it can't run.
    pub fn activate(&self, vhost: &VhostName, name: &str, version: u32) -> Result<(), RouteError> {
        let _change = self.changes.lock();
        let (route, version) = self.find(vhost, name, Some(version))?;
        if let Err(reason) = &version.module {
            return Err(RouteError::Unavailable {
                name: name.to_owned(),
                version: version.route.version,
                reason: reason.clone(),
            });
        }
        self.change(&route, |deployed, active| activate(deployed, active, &version))?;
        Ok(())
    }

    /// Removes a route with all its versions. Exchanges that name it stay; their messages fail as
    /// unavailable until the route is deployed again.
    ///
    /// # Errors
    /// There is no such route.
    pub fn remove(&self, vhost: &VhostName, name: &str) -> Result<(), RouteError> {
        let _change = self.changes.lock();
        let route = self.existing(vhost, name)?;
        self.store.remove(vhost, name)?;
        let removed = std::mem::take(&mut *route.deployed.lock());
        route.active.store(None);
        local::changed();
        drop(route);
        self.prune();
        removed.versions.iter().for_each(|version| self.forget_module(&version.sha256));
        Ok(())
    }

    /// Removes one version that isn't active.
    ///
    /// # Errors
    /// There is no such version, or it is active.
    pub fn remove_version(
        &self,
        vhost: &VhostName,
        name: &str,
        version: u32,
    ) -> Result<(), RouteError> {
        let _change = self.changes.lock();
        let (route, version) = self.find(vhost, name, Some(version))?;
        let number = version.route.version;
        if route.active.load().as_ref().is_some_and(|active| Arc::ptr_eq(active, &version)) {
            return Err(RouteError::Active { name: name.to_owned(), version: number });
        }
        self.change(&route, |deployed, _| {
            deployed.versions.retain(|kept| kept.route.version != number);
            deployed.previous = deployed.previous.filter(|&previous| previous != number);
        })?;
        self.forget_module(&version.sha256);
        Ok(())
    }

    /// The routes of a virtual host, or of all, in alphabetical order.
    pub fn list(&self, vhost: Option<&VhostName>) -> Vec<RouteView> {
        let routes: Vec<_> = self.routes.lock().values().cloned().collect();
        let wanted = |route: &&Arc<Route>| vhost.is_none_or(|vhost| route.vhost == *vhost);
        routes.iter().filter(wanted).filter_map(|route| route.view()).collect()
    }

    /// One route with its versions.
    ///
    /// # Errors
    /// There is no such route.
    pub fn show(&self, vhost: &VhostName, name: &str) -> Result<RouteView, RouteError> {
        self.existing(vhost, name)?.view().ok_or_else(|| no_route(vhost, name))
    }

    /// The route of that name, deployed or to be.
    pub(crate) fn route(&self, vhost: &VhostName, name: &str) -> Arc<Route> {
        let key = (vhost.clone(), Arc::<str>::from(name));
        let mut routes = self.routes.lock();
        let route = routes.entry(key.clone()).or_insert_with(|| Arc::new(Route::new(key.0, key.1)));
        Arc::clone(route)
    }

    /// Forgets names under which nothing is deployed and that no exchange holds.
    pub(crate) fn prune(&self) {
        // The lock keeps new references from being made; one that is there already belongs to a
        // deployment that is about to fill the route, or to an exchange.
        self.routes.lock().retain(|_, route| {
            Arc::strong_count(route) > 1 || !route.deployed.lock().versions.is_empty()
        });
    }

    /// How many names are known, deployed or held.
    #[cfg(test)]
    pub(crate) fn names(&self) -> usize {
        self.routes.lock().len()
    }

    /// A version by number, or the one that decides, or the newest where none does.
    pub(crate) fn find(
        &self,
        vhost: &VhostName,
        name: &str,
        version: Option<u32>,
    ) -> Result<(Arc<Route>, Arc<Version>), RouteError> {
        let route = self.existing(vhost, name)?;
        let found = match version {
            Some(number) => {
                let deployed = route.deployed.lock();
                deployed.versions.iter().find(|known| known.route.version == number).cloned()
            }
            None => {
                route.active.load_full().or_else(|| route.deployed.lock().versions.last().cloned())
            }
        };
        let version = version.unwrap_or_default();
        let found = found.ok_or(RouteError::NoVersion { name: name.to_owned(), version })?;
        Ok((route, found))
    }

    fn existing(&self, vhost: &VhostName, name: &str) -> Result<Arc<Route>, RouteError> {
        let route = self.routes.lock().get(&(vhost.clone(), Arc::from(name))).cloned();
        route
            .filter(|route| !route.deployed.lock().versions.is_empty())
            .ok_or_else(|| no_route(vhost, name))
    }

    /// Changes a route: on disk first, then in memory.
    fn change(
        &self,
        route: &Route,
        edit: impl FnOnce(&mut Deployed, &mut Option<Arc<Version>>),
    ) -> io::Result<()> {
        let before = route.active.load_full();
        let mut active = before.clone();
        let mut deployed = {
            let current = route.deployed.lock();
            Deployed {
                versions: current.versions.clone(),
                previous: current.previous,
                last_version: current.last_version,
            }
        };
        edit(&mut deployed, &mut active);
        self.store.put(&stored(route, &deployed, active.as_deref()))?;
        *route.deployed.lock() = deployed;
        if active.as_ref().map(Arc::as_ptr) != before.as_ref().map(Arc::as_ptr) {
            route.active.store(active);
            local::changed();
        }
        Ok(())
    }

    /// The compiled module of that hash; compiles it unless it is in use or on disk.
    fn module(
        &self,
        sha256: &str,
        bytes: &[u8],
        route: &RouteRef,
        limits: RouteLimits,
    ) -> Result<Arc<RouteModule>, DeployError> {
        let mut compiled = self.compiled.lock();
        if let Some(module) = compiled.get(sha256).and_then(Weak::upgrade) {
            return Ok(module);
        }
        // What a module says about itself depends on nothing that it could be granted.
        let terms = self.terms(route, limits, Capabilities::NONE, None);
        let module =
            Arc::new(RouteModule::new(&self.runtime, &self.artifacts, sha256, bytes, &terms)?);
        compiled.retain(|_, module| module.strong_count() > 0);
        compiled.insert(sha256.to_owned(), Arc::downgrade(&module));
        Ok(module)
    }

    /// Removes a module's files unless another version is made of it.
    fn forget_module(&self, sha256: &str) {
        let routes: Vec<_> = self.routes.lock().values().cloned().collect();
        let in_use = routes.iter().any(|route| {
            route.deployed.lock().versions.iter().any(|version| version.sha256 == sha256)
        });
        if !in_use {
            self.files.remove(sha256);
            self.artifacts.remove(&self.runtime.calls, sha256);
            self.artifacts.remove(&self.runtime.dry_runs, sha256);
        }
    }

    fn route_ref(&self, vhost: &VhostName, name: &str, version: u32) -> RouteRef {
        RouteRef { vhost: vhost.clone(), name: name.into(), version }
    }

    /// The terms of an instance: it has what was granted and is declared by its module.
    fn terms(
        &self,
        route: &RouteRef,
        limits: RouteLimits,
        grants: Capabilities,
        module: Option<&Arc<RouteModule>>,
    ) -> Terms {
        let wants = module.map_or(Capabilities::NONE, |module| module.description.wants);
        let granted = grants.intersection(wants);
        let log = Arc::clone(&self.log);
        let log = Arc::new(LogGate::new(log, route.clone(), limits.log_bytes_per_second));
        Terms { limits, granted, log }
    }

    /// Takes a stored route in as well as it can be.
    fn restore(&self, stored: StoredRoute) {
        let route = self.route(&stored.vhost, &stored.name);
        let versions = stored.versions.into_iter().map(|kept| {
            let route = self.route_ref(&stored.vhost, &stored.name, kept.version);
            self.restore_version(route, kept)
        });
        let versions: Vec<_> = versions.collect();
        let active = versions.iter().find(|version| Some(version.route.version) == stored.active);
        route.active.store(active.cloned());
        let (previous, last_version) = (stored.previous, stored.last_version);
        *route.deployed.lock() = Deployed { versions, previous, last_version };
    }

    fn restore_version(&self, route: RouteRef, kept: StoredVersion) -> Arc<Version> {
        let (limits, refused) = match self.limits.overridden(&kept.limits) {
            Ok(limits) => (limits, None),
            Err(error) => (self.limits, Some(error.to_string())),
        };
        let load = || {
            let bytes = self.files.get(&kept.sha256)?;
            let module = self.module(&kept.sha256, &bytes, &route, limits);
            let module = module.map_err(|error| error.to_string())?;
            module.check_grants(kept.grants).map_err(|error| error.to_string())?;
            Ok(module)
        };
        let module = refused.map_or_else(load, Err);
        let terms = self.terms(&route, limits, kept.grants, module.as_ref().ok());
        Arc::new(Version {
            module,
            route,
            size: kept.size_bytes,
            sha256: kept.sha256,
            grants: kept.grants,
            destinations: kept.destinations,
            overrides: kept.limits,
            deployed_at_ms: kept.deployed_at_ms,
            terms,
            counters: Counters::default(),
            live: AtomicUsize::new(0),
        })
    }
}

fn parse_grants(names: &[&str]) -> Result<Capabilities, DeployError> {
    names
        .iter()
        .map(|&name| {
            Capability::parse(name).ok_or_else(|| DeployError::UnknownCapability(name.into()))
        })
        .collect()
}

fn activate(deployed: &mut Deployed, active: &mut Option<Arc<Version>>, version: &Arc<Version>) {
    let before = active.replace(Arc::clone(version)).map(|version| version.route.version);
    if before != Some(version.route.version) {
        deployed.previous = before;
    }
}

fn stored(route: &Route, deployed: &Deployed, active: Option<&Version>) -> StoredRoute {
    let version = |version: &Arc<Version>| StoredVersion {
        version: version.route.version,
        sha256: version.sha256.clone(),
        size_bytes: version.size,
        grants: version.grants,
        destinations: version.destinations,
        limits: version.overrides,
        deployed_at_ms: version.deployed_at_ms,
    };
    StoredRoute {
        vhost: route.vhost.clone(),
        name: route.name.to_string(),
        active: active.map(|version| version.route.version),
        previous: deployed.previous,
        last_version: deployed.last_version,
        versions: deployed.versions.iter().map(version).collect(),
    }
}

fn no_route(vhost: &VhostName, name: &str) -> RouteError {
    RouteError::NoRoute { vhost: vhost.to_string(), name: name.to_owned() }
}
