//! The registry of deployed routes.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use shunt_types::VhostName;

use crate::artifact::Artifacts;
use crate::capability::{Capabilities, QueueLoads};
use crate::engine::Runtime;
use crate::error::RouteError;
use crate::files::ModuleFiles;
use crate::instance::Terms;
use crate::limits::RouteLimits;
use crate::log::{LogGate, RouteLog, RouteRef};
use crate::module::RouteModule;
use crate::store::RouteStore;
use crate::version::{Route, Version};
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
    pub(crate) store: Arc<dyn RouteStore>,
    log: Arc<dyn RouteLog>,
    pub(crate) limits: RouteLimits,
    /// Of modules, of what was compiled from them, and of traces.
    pub(crate) directory: PathBuf,
    pub(crate) routes: Mutex<BTreeMap<RouteKey, Arc<Route>>>,
    /// Modules in use by hash. Held while one compiles, so that two uploads neither compile the
    /// same module twice nor take two cores.
    pub(crate) compiled: Mutex<HashMap<String, Weak<RouteModule>>>,
    /// One change at a time, from the decision until it is on disk and in force.
    pub(crate) changes: Mutex<()>,
    recovering: AtomicUsize,
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
            directory: config.directory,
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

    /// Shows routes with the capability `load` how full queues are; before that, and if never
    /// called, they see none. Only the first call counts.
    pub fn serve_loads(&self, loads: Arc<dyn QueueLoads>) {
        // A second one would be the same broker's.
        let _ = self.runtime.loads.set(loads);
    }

    /// To be held while exchanges are restored at start.
    pub fn recovery(self: &Arc<Self>) -> Recovery {
        self.recovering.fetch_add(1, Ordering::SeqCst);
        Recovery(Arc::clone(self))
    }

    pub(crate) fn is_recovering(&self) -> bool {
        self.recovering.load(Ordering::SeqCst) > 0
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

    /// The bytes of a version's module, as they were uploaded.
    ///
    /// # Errors
    /// There is no such version, or its file can't be read.
    pub fn module_bytes(
        &self,
        vhost: &VhostName,
        name: &str,
        version: u32,
    ) -> Result<Vec<u8>, RouteError> {
        let (_, version) = self.find(vhost, name, Some(version))?;
        let bytes = self.files.get(&version.sha256);
        bytes.map_err(|reason| RouteError::Unavailable {
            name: name.to_owned(),
            version: version.route.version,
            reason,
        })
    }

    pub(crate) fn existing(&self, vhost: &VhostName, name: &str) -> Result<Arc<Route>, RouteError> {
        let route = self.routes.lock().get(&(vhost.clone(), Arc::from(name))).cloned();
        route
            .filter(|route| !route.deployed.lock().versions.is_empty())
            .ok_or_else(|| no_route(vhost, name))
    }

    pub(crate) fn route_ref(&self, vhost: &VhostName, name: &str, version: u32) -> RouteRef {
        RouteRef { vhost: vhost.clone(), name: name.into(), version }
    }

    /// The terms of an instance: it has what was granted and is declared by its module.
    pub(crate) fn terms(
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
}

pub(crate) fn no_route(vhost: &VhostName, name: &str) -> RouteError {
    RouteError::NoRoute { vhost: vhost.to_string(), name: name.to_owned() }
}
