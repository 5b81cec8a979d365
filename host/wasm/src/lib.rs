//! Routes: compile, cache, limit and call the WebAssembly modules that users deploy.
//!
//! May depend on `shunt-types` and `shunt-routing`; must never know the broker, storage or
//! sockets. It contains no `async`, and it alone imports wasmtime.
//!
//! [`Routes`] is the registry: it deploys modules under names, activates versions, runs them dry
//! and shows what they did. [`XWasm`] is the exchange type whose exchanges name a route. What a
//! module must export and gets is the route contract; its core encoding is served here.
//!
//! A module that is uploaded is checked and compiled once for its SHA-256 (`module`, `artifact`).
//! Each thread that routes keeps an instance for each exchange (`local`, `instance`): a message
//! costs one load of the active version, the declared fields written into the guest's memory, and
//! one call, with no lock, no allocation and no system call. A call is stopped after its
//! processor time by the epoch (`engine`), and after any trap its instance is thrown away.
//! Whatever a guest answers or asks is checked before it is believed (`answer`, `imports`,
//! `wasi`), and every failure has one of the causes of `shunt_routing::FailureCause`.

mod abi;
mod activation;
mod answer;
mod answers;
mod artifact;
mod breaker;
mod call;
mod canary_fuel;
mod capability;
mod clock;
mod code;
mod component;
mod core_checks;
mod core_instance;
mod counters;
mod deploy;
mod describe;
mod desk;
mod dry_run;
mod engine;
mod error;
mod exchange;
mod fields;
mod files;
mod guard_check;
mod guards;
mod guest;
mod imports;
mod instance;
mod javascript;
mod limits;
mod list;
mod local;
mod log;
mod module;
mod msgpack;
mod observe;
mod registry;
mod replay;
mod restore;
mod rollout;
mod rollouts;
mod state;
mod store;
mod times;
mod trace;
mod values;
mod version;
mod view;
mod wasi;
mod window;

#[cfg(test)]
mod tests;

pub use capability::{Capabilities, Capability, QueueLoads};
pub use counters::RouteCounters;
pub use deploy::{DeployRequest, Deployment};
pub use desk::{Desk, DeskExchange, DeskRoute, Metering};
pub use dry_run::{DryRun, DryRunDestination, DryRunRequest};
pub use error::{DeployError, ErrorKind, RouteError};
pub use exchange::XWasm;
pub use guard_check::GuardCheck;
pub use guards::{GuardError, Guards};
pub use limits::{LimitError, LimitOverrides, RouteLimits};
pub use local::release_instances;
pub use log::{LogLevel, LogLine, RouteLog, RouteRef};
pub use registry::{Recovery, Routes, RoutesConfig};
pub use replay::{
    Replay, ReplayDestination, ReplayError, ReplayMove, ReplayRequest, ReplaySide, ReplayValue,
    replay,
};
pub use rollout::{CanaryBounds, CanarySettings, Difference, ShadowSettings};
pub use rollouts::{RolloutChange, RolloutEvent};
pub use store::{Destinations, RouteStore, StoredCanary, StoredRoute, StoredVersion};
pub use trace::{
    TraceError, TraceReader, TraceSettings, TraceStatus, TracedExchange, TracedMessage,
};
pub use view::{CanaryView, ModuleView, RolloutEnd, RouteView, ShadowView, SideView, VersionView};
