//! What this front door needs from the node: deployed routes, and the log of users and
//! permissions.

mod guards;
mod life;
mod rollout;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shunt_auth::AccessChange;
use shunt_broker::ports::OnDurable;
use shunt_types::{FieldTable, Properties};
use utoipa::ToSchema;

pub use guards::{RouteActivated, RouteGuardCheck};
pub use life::{RouteLifePort, RouteLogPage, RouteLogRecord};
pub use rollout::{
    RouteCanaryRequest, RouteCanarySettings, RouteCanarySide, RouteCanaryView, RouteDifference,
    RouteReplayDestination, RouteReplayMove, RouteReplayRequest, RouteReplaySide, RouteReplayValue,
    RouteReplayView, RouteRolloutEnd, RouteRolloutPort, RouteShadowRequest, RouteShadowView,
    RouteTraceRequest, RouteTraceView,
};

/// Changes of users and permissions.
pub trait AccessPort: Send + Sync {
    /// Applies the change, writes it to the node's log, and calls `then` once it is on disk.
    fn change(&self, change: AccessChange, then: OnDurable);
}

/// The deployed routes. Every call may block for as long as a module compiles, so this front
/// door calls from threads that may.
pub trait RoutesPort: RouteLifePort + RouteRolloutPort {
    /// Checks, compiles and keeps a module; it is durable when this returns.
    ///
    /// # Errors
    /// Why the module was refused.
    fn deploy(&self, deploy: RouteDeploy) -> Result<RouteDeployed, RoutePortError>;

    /// The routes of one virtual host, or of all, by name.
    fn list(&self, vhost: Option<&str>) -> Vec<RouteView>;

    /// One route.
    ///
    /// # Errors
    /// [`RoutePortError::NotFound`].
    fn show(&self, vhost: &str, name: &str) -> Result<RouteView, RoutePortError>;

    /// Puts a version in force, unless its guards are broken by what was recorded of the route's
    /// messages and that isn't to be put up with (`force`).
    ///
    /// # Errors
    /// There is no such route or version, it can't run, or guards are broken.
    fn activate(
        &self,
        vhost: &str,
        name: &str,
        version: u32,
        force: bool,
    ) -> Result<RouteActivated, RoutePortError>;

    /// Takes a route away with all its versions.
    ///
    /// # Errors
    /// There is no such route, or an exchange uses it.
    fn remove(&self, vhost: &str, name: &str) -> Result<(), RoutePortError>;

    /// Takes away the routes of a virtual host that was deleted.
    fn forget_vhost(&self, vhost: &str);

    /// Decides about one message without delivering or counting it.
    ///
    /// # Errors
    /// There is no such route or version; that the route fails is no error.
    fn dry_run(&self, dry_run: RouteDryRun) -> Result<RouteDryRunOutcome, RoutePortError>;
}

/// Why a call about routes was refused; each with its reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoutePortError {
    /// No such route or version (404).
    #[error("{0}")]
    NotFound(String),
    /// The module or a parameter is wrong (400).
    #[error("{0}")]
    Invalid(String),
    /// Not possible as things stand (409).
    #[error("{0}")]
    Conflict(String),
    /// The module is too large (413).
    #[error("{0}")]
    TooLarge(String),
    /// The user may not do this (403).
    #[error("{0}")]
    NotPermitted(String),
    /// The node failed (500).
    #[error("{0}")]
    Internal(String),
}

/// What a route may answer with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RouteDestinations {
    /// Indexes of bindings.
    #[default]
    Bound,
    /// Names of any queue of the virtual host too; takes an administrator.
    Any,
}

/// A module to be deployed.
#[derive(Clone, Debug)]
pub struct RouteDeploy {
    /// The virtual host, which exists.
    pub vhost: String,
    /// The route's name.
    pub name: String,
    /// A `.wasm` binary, `.wat` text or JavaScript.
    pub module: bytes::Bytes,
    /// Whether it shall decide from now on.
    pub activate: bool,
    /// Whether it shall decide even if recorded messages break its guards.
    pub force: bool,
    /// What it may answer with.
    pub destinations: RouteDestinations,
    /// Names of the capabilities granted.
    pub grants: Vec<String>,
    /// The route's own limits, by name.
    pub limits: BTreeMap<String, u64>,
    /// The rules of its guards, by name.
    pub guards: BTreeMap<String, String>,
    /// Who deploys.
    pub user: String,
}

/// A module that is deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RouteDeployed {
    /// The version's number.
    pub version: u32,
    /// Whether it is new; the same module with the same settings is the version that is there.
    pub created: bool,
    /// Whether it decides.
    pub active: bool,
    /// SHA-256 of the module, in hexadecimal.
    pub sha256: String,
    /// What its guards say of the messages that were recorded; absent where it has none, where
    /// nothing was recorded, or where it was not to be activated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard_check: Option<RouteGuardCheck>,
}

/// A route with its versions.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RouteView {
    /// The virtual host.
    pub vhost: String,
    /// The route's name.
    pub name: String,
    /// The version that decides.
    pub active: Option<u32>,
    /// The version that decided before.
    pub previous: Option<u32>,
    /// Exchanges that name the route.
    pub exchanges: u64,
    /// Messages that found no active version.
    pub unavailable: u64,
    /// The candidate that runs beside the active version.
    pub shadow: Option<RouteShadowView>,
    /// The candidate that has a part of the messages.
    pub canary: Option<RouteCanaryView>,
    /// What became of the last shadow or canary since the node started.
    pub last_rollout: Option<RouteRolloutEnd>,
    /// The versions in the order of their numbers.
    pub versions: Vec<RouteVersionView>,
}

/// A version of a route.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RouteVersionView {
    /// Its number.
    pub version: u32,
    /// Whether it decides.
    pub active: bool,
    /// SHA-256 of the module, in hexadecimal.
    pub sha256: String,
    /// Length of the module, in bytes.
    pub size_bytes: u64,
    /// The module's own name.
    pub module_name: Option<String>,
    /// The module's own version.
    pub module_version: Option<String>,
    /// The fields that it reads.
    pub reads: Vec<String>,
    /// The capabilities that it wants.
    pub wants: Vec<String>,
    /// The capabilities granted.
    pub grants: Vec<String>,
    /// What it may answer with.
    pub destinations: RouteDestinations,
    /// The limits in force, by name.
    pub limits: BTreeMap<String, u64>,
    /// The rules that every answer has to keep, by the guard's name.
    pub guards: BTreeMap<String, String>,
    /// Why it can't run on this node.
    pub unavailable: Option<String>,
    /// When it was deployed, in Unix milliseconds.
    pub deployed_at_ms: u64,
    /// Live instances.
    pub instances: u64,
    /// What it did since the node started.
    pub counters: RouteCountersView,
}

/// What a version did.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct RouteCountersView {
    /// Messages that it was asked about.
    pub calls: u64,
    /// Failures by cause; every cause of the contract stands here.
    pub failures: BTreeMap<&'static str, u64>,
    /// Answers that broke a guard, by its name; they are failures of the cause `refused`.
    pub guard_breaks: BTreeMap<String, u64>,
    /// Messages of them that an answer given before decided.
    pub cache_hits: u64,
    /// Messages of them for which such an answer was looked for in vain.
    pub cache_misses: u64,
    /// Processor time of its calls, in nanoseconds.
    pub cpu_time_ns: u64,
}

/// A binding in a dry run; its place in the list is the index that the route knows it by.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteDryRunBinding {
    /// Whether it leads to a queue; else to an exchange.
    pub is_queue: bool,
    /// The destination's name.
    pub destination: String,
    /// The binding key.
    pub key: String,
    /// The binding's arguments.
    pub arguments: FieldTable,
}

/// What a dry run decides about.
#[derive(Clone, Debug)]
pub struct RouteDryRun {
    /// The virtual host, which exists.
    pub vhost: String,
    /// The route's name.
    pub name: String,
    /// The version; `None` is the active one, or the newest where none is.
    pub version: Option<u32>,
    /// The exchange's name; it need not exist.
    pub exchange: String,
    /// The exchange's arguments.
    pub arguments: FieldTable,
    /// Its bindings.
    pub bindings: Vec<RouteDryRunBinding>,
    /// The message's routing key.
    pub routing_key: String,
    /// The message's properties, headers among them.
    pub properties: Properties,
    /// Length of the message's body, in bytes.
    pub body_size: u64,
    /// The user who would publish.
    pub user: String,
}

/// What a dry run found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RouteDryRunOutcome {
    /// The version that decided.
    pub version: u32,
    /// Where the message would go; empty is unroutable.
    pub destinations: Vec<RouteDryRunDestination>,
    /// Why there was no decision.
    pub failure: Option<RouteDryRunFailure>,
    /// Fuel of the decision.
    pub fuel: u64,
    /// Processor time of the decision, in nanoseconds.
    pub cpu_time_ns: u64,
    /// What the module logged.
    pub log: Vec<RouteLogLine>,
}

/// A destination by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RouteDryRunDestination {
    /// `queue` or `exchange`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The index of the binding that the route picked; absent where it named the queue.
    pub binding: Option<usize>,
}

/// The failure of a dry run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RouteDryRunFailure {
    /// One of the closed list of causes.
    pub cause: &'static str,
    /// What the route or the host said.
    pub detail: String,
}

/// A line that the module logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RouteLogLine {
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// The text.
    pub text: String,
}
