//! Which version decides, and what is there to decide: every change is on disk before it is in
//! force.

use std::io;
use std::sync::Arc;

use shunt_types::VhostName;

use crate::error::RouteError;
use crate::local;
use crate::registry::Routes;
use crate::restore::stored;
use crate::trace;
use crate::version::{Deployed, Route, Version};

impl Routes {
    /// Makes a version decide, by one exchange of a pointer: each message is decided by the old
    /// one or by the new one. Whether every exchange suits the new version shows when the first
    /// message reaches its new instance: a refusal there is a failure of that message.
    ///
    /// # Errors
    /// There is no such version, or it can't run.
    pub fn activate(&self, vhost: &VhostName, name: &str, version: u32) -> Result<(), RouteError> {
        let _change = self.changes.lock();
        self.put_in_force(vhost, name, version)
    }

    /// Called under the lock of changes.
    fn put_in_force(&self, vhost: &VhostName, name: &str, version: u32) -> Result<(), RouteError> {
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

    /// Makes the version decide that decided before, as [`Routes::activate`] does; once more, and
    /// it is undone. Answers the version that decides now.
    ///
    /// # Errors
    /// There is no such route, no version decided before, or it can't run.
    pub fn rollback(&self, vhost: &VhostName, name: &str) -> Result<u32, RouteError> {
        let _change = self.changes.lock();
        let route = self.existing(vhost, name)?;
        let previous = route.deployed.lock().previous;
        let previous = previous.ok_or_else(|| RouteError::NoPrevious { name: name.to_owned() })?;
        self.put_in_force(vhost, name, previous)?;
        Ok(previous)
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
        route.end_rollout();
        route.set_recorder(None);
        // Files that stay behind are removed by the next trace of that name.
        let _ = trace::remove(&self.trace_directory(&route));
        route.previous.store(None);
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
        if route.candidate.load().as_ref().is_some_and(|other| Arc::ptr_eq(other, &version)) {
            return Err(RouteError::Candidate { name: name.to_owned(), version: number });
        }
        self.change(&route, |deployed, _| {
            deployed.versions.retain(|kept| kept.route.version != number);
            deployed.previous = deployed.previous.filter(|&previous| previous != number);
        })?;
        self.forget_module(&version.sha256);
        Ok(())
    }

    /// Changes a route: on disk first, then in memory.
    pub(crate) fn change(
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
                canary: current.canary.clone(),
                last_version: current.last_version,
            }
        };
        edit(&mut deployed, &mut active);
        self.store.put(&stored(route, &deployed, active.as_deref()))?;
        let previous = deployed.previous();
        *route.deployed.lock() = deployed;
        // Before the active one: the version that goes is there to fall back to at once.
        route.previous.store(previous);
        if active.as_ref().map(Arc::as_ptr) != before.as_ref().map(Arc::as_ptr) {
            route.active.store(active);
            // Another version decides, by hand or by promotion: there is nothing to compare with.
            route.end_rollout();
        }
        local::changed();
        Ok(())
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
}

pub(crate) fn activate(
    deployed: &mut Deployed,
    active: &mut Option<Arc<Version>>,
    version: &Arc<Version>,
) {
    let before = active.replace(Arc::clone(version)).map(|version| version.route.version);
    if before != Some(version.route.version) {
        deployed.canary = None;
        deployed.previous = before;
    }
}
