//! What of a route's life is more than deploying it.

use serde::Serialize;
use utoipa::ToSchema;

use super::{RoutePortError, RouteView};

/// The later life of deployed routes. Calls may block, as those of `RoutesPort` may.
pub trait RouteLifePort: Send + Sync {
    /// Puts the version in force again that was before.
    ///
    /// # Errors
    /// There is no such route, or no version was in force before.
    fn rollback(&self, vhost: &str, name: &str) -> Result<RouteView, RoutePortError>;

    /// Takes one version away.
    ///
    /// # Errors
    /// There is no such version, or it decides.
    fn remove_version(&self, vhost: &str, name: &str, version: u32) -> Result<(), RoutePortError>;

    /// The bytes of a version's module, as they were uploaded.
    ///
    /// # Errors
    /// There is no such version, or its file can't be read.
    fn module(&self, vhost: &str, name: &str, version: u32) -> Result<Vec<u8>, RoutePortError>;

    /// What a route logged after the line of that number, at most so many lines.
    ///
    /// # Errors
    /// There is no such route.
    fn logs(
        &self,
        vhost: &str,
        name: &str,
        after: u64,
        limit: usize,
    ) -> Result<RouteLogPage, RoutePortError>;
}

/// A part of what a route logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct RouteLogPage {
    /// Lines in their order.
    pub lines: Vec<RouteLogRecord>,
    /// The number to ask for what comes after.
    pub next: u64,
    /// Lines that were asked for and are no longer kept.
    pub missed: u64,
}

/// One line of a route's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RouteLogRecord {
    /// Its number, counted from 1 since the node started.
    pub number: u64,
    /// When it was logged, in Unix milliseconds.
    pub time_ms: u64,
    /// The version that logged it.
    pub version: u32,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// The text.
    pub text: String,
}
