//! Deploying a module: checked, compiled, kept on disk, then in force.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};

use shunt_types::VhostName;
use shunt_types::limits::SHORT_STRING_MAX;

use crate::activation::activate;
use crate::capability::{Capabilities, Capability};
use crate::counters::Counters;
use crate::error::DeployError;
use crate::files::sha256_hex;
use crate::guards::Guards;
use crate::limits::{LimitOverrides, RouteLimits};
use crate::log::RouteRef;
use crate::module::RouteModule;
use crate::registry::Routes;
use crate::store::Destinations;
use crate::version::{Version, key_fields};

/// A module to deploy.
#[derive(Clone, Copy, Debug)]
pub struct DeployRequest<'a> {
    /// The virtual host.
    pub vhost: &'a VhostName,
    /// The route's name.
    pub name: &'a str,
    /// A `.wasm` binary, `.wat` text or JavaScript.
    pub module: &'a [u8],
    /// The names of the capabilities granted.
    pub grants: &'a [&'a str],
    /// What it may answer with.
    pub destinations: Destinations,
    /// Its own limits.
    pub limits: LimitOverrides,
    /// What every answer of it has to keep.
    pub guards: &'a Guards,
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

impl Routes {
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
                && version.guards == *request.guards
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
                    guards: request.guards.clone(),
                    key_fields: key_fields(Some(&module), request.guards),
                    deployed_at_ms: request.now_ms,
                    module: Ok(module),
                    counters: Counters::default(),
                    shadow_counters: Counters::default(),
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

    /// The compiled module of that hash; compiles it unless it is in use or on disk.
    pub(crate) fn module(
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
}

fn parse_grants(names: &[&str]) -> Result<Capabilities, DeployError> {
    names
        .iter()
        .map(|&name| {
            Capability::parse(name).ok_or_else(|| DeployError::UnknownCapability(name.into()))
        })
        .collect()
}
