//! The guards of a version against a recorded trace, before the version decides.

use std::collections::BTreeMap;

use shunt_types::VhostName;

use crate::desk::Metering;
use crate::error::RouteError;
use crate::registry::Routes;
use crate::replay::{ReplayRequest, replay};

/// What the guards of a version say of the messages that were recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardCheck {
    /// Messages of the trace that the version decided about.
    pub messages: u64,
    /// Answers that broke a guard, by its name.
    pub broken: BTreeMap<String, u64>,
    /// Why the trace says nothing about the version.
    pub unchecked: Option<String>,
}

impl Routes {
    /// Lets a version with guards decide about the messages of the route's trace; nothing is
    /// delivered or counted. Without guards, or without a trace, there is nothing to check.
    ///
    /// # Errors
    /// There is no such version, it can't run, or the trace can't be read.
    pub fn check_guards(
        &self,
        vhost: &VhostName,
        name: &str,
        version: u32,
    ) -> Result<Option<GuardCheck>, RouteError> {
        let (_, version) = self.find(vhost, name, Some(version))?;
        if version.guards.is_empty() {
            return Ok(None);
        }
        let trace = self.read_trace(vhost, name)?;
        if trace.is_empty() {
            return Ok(None);
        }
        // By the clock, which is what decides on this node too.
        let candidate =
            self.desk_route(vhost, name, Some(version.route.version), Metering::Time)?;
        let request = ReplayRequest {
            trace: &trace,
            vhost,
            candidate: &candidate,
            against: None,
            bindings: None,
        };
        Ok(Some(match replay(&request) {
            Ok(replayed) => GuardCheck {
                messages: replayed.messages,
                broken: replayed.candidate.guards,
                unchecked: None,
            },
            Err(error) => GuardCheck { unchecked: Some(error.to_string()), ..Default::default() },
        }))
    }
}
