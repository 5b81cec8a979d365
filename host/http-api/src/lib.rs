//! Front door: the publish and consume API, the management API and metrics over HTTP.
//!
//! May depend on `shunt-types`, `shunt-auth`, `shunt-routing` and `shunt-broker`; must never know
//! frames, storage or wasmtime. JSON lives here and nowhere else.
//!
//! - `v1/`: publish and consume for programs, with answers after the confirm, long polls, leases
//!   and server-sent events.
//! - `management/`: the calls of RabbitMQ's management API that tools need first.
//! - `routes`: deployed routes, through [`RoutesPort`], which the node implements.
//! - `metrics`, `health`: for those who watch the node.
//!
//! It runs on a runtime of its own, on which no shard lives: queues are reached by their shards'
//! inboxes (`shards`), publishes go by `RemotePublisher`, and consumers' deliveries come over a
//! channel (`v1/subscribe`). A message that was handed out is always held by something whose drop
//! gives it back: a client that goes away at any moment loses nothing.
//!
//! Every endpoint is registered by the declaration that documents it, so that the OpenAPI
//! document ([`openapi_json`]) can't differ from what is served.

mod ports;
mod server;

mod auth;
mod error;
mod extract;
mod limits;
mod shards;

mod health;
mod json;
mod management;
mod metrics;
mod routes;
mod v1;

pub use json::{JsonMap, properties_from_json, table_from_json};
pub use ports::{
    AccessPort, RouteActivated, RouteCanaryRequest, RouteCanarySettings, RouteCanarySide,
    RouteCanaryView, RouteCountersView, RouteDeploy, RouteDeployed, RouteDestinations,
    RouteDifference, RouteDryRun, RouteDryRunBinding, RouteDryRunDestination, RouteDryRunFailure,
    RouteDryRunOutcome, RouteGuardCheck, RouteLifePort, RouteLogLine, RouteLogPage, RouteLogRecord,
    RoutePortError, RouteReplayDestination, RouteReplayMove, RouteReplayRequest, RouteReplaySide,
    RouteReplayValue, RouteReplayView, RouteRolloutEnd, RouteRolloutPort, RouteShadowRequest,
    RouteShadowView, RouteTraceRequest, RouteTraceView, RouteVersionView, RouteView, RoutesPort,
};
pub use server::{HttpApi, HttpOptions, HttpSettings, openapi_json};
