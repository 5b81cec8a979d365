//! Guards of a version, checked by the route's trace before the version decides.

use shunt_http_api::{RouteGuardCheck, RoutePortError};
use shunt_types::VhostName;

use super::{RegistryPort, refused};

impl RegistryPort {
    /// What the version's guards say of the recorded messages, where there are both.
    pub(super) fn checked(
        &self,
        vhost: &VhostName,
        name: &str,
        version: u32,
    ) -> Result<Option<RouteGuardCheck>, RoutePortError> {
        let check = self.routes.check_guards(vhost, name, version).map_err(refused)?;
        let check = check.map(|check| RouteGuardCheck {
            messages: check.messages,
            broken: check.broken,
            unchecked: check.unchecked,
        });
        if let Some(check) = check.as_ref().filter(|check| !check.broken.is_empty()) {
            let broken = counts(check);
            tracing::warn!(
                %vhost, route = name, version, broken, messages = check.messages,
                "recorded messages break guards of a route"
            );
        }
        Ok(check)
    }
}

/// Why a version isn't put in force.
pub(super) fn told(name: &str, version: u32, check: &RouteGuardCheck) -> String {
    format!(
        "version {version} of route '{name}' breaks its guards on {} recorded messages: {}",
        check.messages,
        counts(check)
    )
}

fn counts(check: &RouteGuardCheck) -> String {
    let counts = check.broken.iter().map(|(guard, count)| format!("'{guard}' {count} times"));
    counts.collect::<Vec<_>>().join(", ")
}
