//! Deployed routes as they are kept, and back after a start.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::counters::Counters;
use crate::guards::Guards;
use crate::log::RouteRef;
use crate::registry::Routes;
use crate::rollout::{Canary, Rollout};
use crate::store::{StoredRoute, StoredVersion};
use crate::version::{Deployed, Route, Version, key_fields};

impl Routes {
    /// Takes a stored route in as well as it can be.
    pub(crate) fn restore(&self, stored: StoredRoute) {
        let route = self.route(&stored.vhost, &stored.name);
        let versions = stored.versions.into_iter().map(|kept| {
            let route = self.route_ref(&stored.vhost, &stored.name, kept.version);
            self.restore_version(route, kept)
        });
        let versions: Vec<_> = versions.collect();
        let active = versions.iter().find(|version| Some(version.route.version) == stored.active);
        route.active.store(active.cloned());
        // A canary goes on at its step; without the candidate it is over.
        let canary = stored.canary.filter(|canary| canary.settings.check().is_ok());
        let candidate = canary.as_ref().and_then(|canary| {
            let number = canary.settings.version;
            versions.iter().find(|v| v.route.version == number && v.module.is_ok()).cloned()
        });
        let canary = canary.filter(|_| candidate.is_some() && active.is_some());
        if let (Some(canary), Some(candidate)) = (&canary, candidate) {
            let canary = Canary::new(canary.settings.clone(), canary.step as usize);
            route.begin_rollout(Rollout::Canary(Box::new(canary)), candidate);
        }
        let (previous, last_version) = (stored.previous, stored.last_version);
        let deployed = Deployed { versions, previous, canary, last_version };
        route.previous.store(deployed.previous());
        *route.deployed.lock() = deployed;
    }

    fn restore_version(&self, route: RouteRef, kept: StoredVersion) -> Arc<Version> {
        let (limits, refused) = match self.limits.overridden(&kept.limits) {
            Ok(limits) => (limits, None),
            Err(error) => (self.limits, Some(error.to_string())),
        };
        // Without its guards a version decides nothing.
        let (guards, refused) = match Guards::parse(&kept.guards) {
            Ok(guards) => (guards, refused),
            Err(error) => (Guards::default(), Some(error.to_string())),
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
            key_fields: key_fields(module.as_deref().ok(), &guards),
            guards,
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
            shadow_counters: Counters::default(),
            live: AtomicUsize::new(0),
        })
    }
}

pub(crate) fn stored(route: &Route, deployed: &Deployed, active: Option<&Version>) -> StoredRoute {
    let version = |version: &Arc<Version>| StoredVersion {
        version: version.route.version,
        sha256: version.sha256.clone(),
        size_bytes: version.size,
        grants: version.grants,
        destinations: version.destinations,
        limits: version.overrides,
        guards: version.guards.iter().map(|(n, rule)| (n.to_owned(), rule.to_owned())).collect(),
        deployed_at_ms: version.deployed_at_ms,
    };
    StoredRoute {
        vhost: route.vhost.clone(),
        name: route.name.to_string(),
        active: active.map(|version| version.route.version),
        previous: deployed.previous,
        canary: deployed.canary.clone(),
        last_version: deployed.last_version,
        versions: deployed.versions.iter().map(version).collect(),
    }
}
