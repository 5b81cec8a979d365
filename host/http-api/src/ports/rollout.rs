//! Traces, replays, shadows and canaries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{RoutePortError, RouteView};

/// What a route did before, would do, and does with a part of the messages. Calls may block, as
/// those of `RoutesPort` may.
pub trait RouteRolloutPort: Send + Sync {
    /// Begins to record.
    ///
    /// # Errors
    /// There is no such route, a setting is wrong, or one is being recorded.
    fn start_trace(
        &self,
        vhost: &str,
        name: &str,
        request: RouteTraceRequest,
    ) -> Result<(), RoutePortError>;

    /// The trace of a route, if there was one since the node started.
    ///
    /// # Errors
    /// There is no such route.
    fn trace(&self, vhost: &str, name: &str) -> Result<Option<RouteTraceView>, RoutePortError>;

    /// Ends the recording, and removes what was recorded if that is wanted.
    ///
    /// # Errors
    /// There is no such route.
    fn stop_trace(&self, vhost: &str, name: &str, discard: bool) -> Result<(), RoutePortError>;

    /// The bytes of a trace; empty where there is none.
    ///
    /// # Errors
    /// There is no such route.
    fn read_trace(&self, vhost: &str, name: &str) -> Result<Vec<u8>, RoutePortError>;

    /// Decides the recorded messages once more.
    ///
    /// # Errors
    /// There is no such version, no trace, or one without a field that a version reads.
    fn replay(
        &self,
        vhost: &str,
        name: &str,
        request: RouteReplayRequest,
    ) -> Result<RouteReplayView, RoutePortError>;

    /// Begins a shadow.
    ///
    /// # Errors
    /// There is no such version, it can't be a shadow, or there is a candidate already.
    fn start_shadow(
        &self,
        vhost: &str,
        name: &str,
        request: RouteShadowRequest,
    ) -> Result<RouteView, RoutePortError>;

    /// Begins a canary.
    ///
    /// # Errors
    /// As [`RouteRolloutPort::start_shadow`], or a setting makes no sense.
    fn start_canary(
        &self,
        vhost: &str,
        name: &str,
        request: RouteCanaryRequest,
    ) -> Result<RouteView, RoutePortError>;

    /// Ends the shadow or takes the canary back.
    ///
    /// # Errors
    /// There is no such route, or it has neither.
    fn end_rollout(
        &self,
        vhost: &str,
        name: &str,
        reason: &str,
    ) -> Result<RouteView, RoutePortError>;
}

/// What shall be recorded.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteTraceRequest {
    /// Fields beside those that the route's versions read.
    pub fields: Vec<String>,
    /// Only messages of this exchange.
    pub exchange: Option<String>,
    /// One message of this many.
    pub every: u64,
    /// Bytes on disk, from 64 KiB to 4 GiB; the oldest messages make room for new ones.
    pub bytes: u64,
    /// Seconds after which it stops by itself, up to a week.
    pub seconds: u64,
}

impl Default for RouteTraceRequest {
    fn default() -> Self {
        let bytes = 64 * 1024 * 1024;
        Self { fields: Vec::new(), exchange: None, every: 1, bytes, seconds: 3_600 }
    }
}

/// How a trace is doing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RouteTraceView {
    /// Whether it records.
    pub running: bool,
    /// The fields that are recorded.
    pub fields: Vec<String>,
    /// Messages that were recorded; the oldest may have made room since.
    pub recorded: u64,
    /// Messages that went by unrecorded: the buffer was full or busy.
    pub missed: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes that it may have.
    pub bytes_max: u64,
    /// One message of this many.
    pub every: u64,
    /// The only exchange, if there is one.
    pub exchange: Option<String>,
    /// Seconds after which it stops by itself.
    pub seconds: u64,
    /// When it began, in Unix milliseconds.
    pub started_at_ms: u64,
    /// Why it stopped by itself.
    pub stopped: Option<String>,
}

/// Which versions decide the recorded messages.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteReplayRequest {
    /// The candidate.
    pub version: u32,
    /// What it is compared with; the active version where it isn't given.
    pub against: Option<u32>,
}

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RouteReplayView {
    /// Messages of the trace.
    pub messages: u64,
    /// Messages that would go elsewhere, or fail where they didn't, or the other way round.
    pub changed: u64,
    /// What the candidate did.
    pub candidate: RouteReplaySide,
    /// What the other version did.
    pub against: Option<RouteReplaySide>,
    /// The kinds of changes, the most frequent first; at most 20.
    pub moves: Vec<RouteReplayMove>,
    /// Destinations that would gain or lose messages.
    pub destinations: Vec<RouteReplayDestination>,
    /// Values of the fields that are read, with messages that changed; at most 20 of a field.
    pub values: Vec<RouteReplayValue>,
}

/// Decisions of a version.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RouteReplaySide {
    /// Messages without a destination.
    pub unroutable: u64,
    /// Failures by cause.
    pub failures: BTreeMap<&'static str, u64>,
    /// Answers that broke a guard, by its name; they are failures of the cause `refused`.
    pub guards: BTreeMap<String, u64>,
    /// Median fuel of a decision.
    pub fuel_p50: u64,
    /// The 99th percentile.
    pub fuel_p99: u64,
    /// The most.
    pub fuel_max: u64,
}

/// Messages that would go from some destinations to others; `(trap)` stands for a failure.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RouteReplayMove {
    /// Names in alphabetical order.
    pub from: Vec<String>,
    /// Names in alphabetical order.
    pub to: Vec<String>,
    /// How many messages.
    pub messages: u64,
    /// The fields of some of them, as text.
    pub examples: Vec<BTreeMap<String, String>>,
}

/// A destination, by the binding that leads there.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RouteReplayDestination {
    /// The exchange.
    pub exchange: String,
    /// The destination's name.
    pub name: String,
    /// The binding's index; null where the queue was named.
    pub binding: Option<usize>,
    /// The binding's key.
    pub key: String,
    /// Messages that only the candidate sends there.
    pub gained: u64,
    /// Messages that only the other version sends there.
    pub lost: u64,
}

/// A field's value.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RouteReplayValue {
    /// The field.
    pub field: String,
    /// Its value as text.
    pub value: String,
    /// Messages that have it.
    pub messages: u64,
    /// Of them, those that changed.
    pub changed: u64,
}

/// How a shadow shall run.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteShadowRequest {
    /// The candidate.
    pub version: u32,
    /// Of a thread's time, the most that goes into the candidate, in per cent.
    #[serde(default = "time_per_cent")]
    #[schema(default = 10)]
    pub time_per_cent: u32,
}

fn time_per_cent() -> u32 {
    10
}

/// A shadow.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RouteShadowView {
    /// The candidate.
    pub version: u32,
    /// See the request.
    pub time_per_cent: u32,
    /// Messages that both decided about.
    pub compared: u64,
    /// Of them, those that would go elsewhere.
    pub different: u64,
    /// Messages that it was not asked about: its time was used up.
    pub skipped: u64,
    /// Its failures by cause; none of them was a publisher's.
    pub failures: BTreeMap<&'static str, u64>,
    /// Answers of it that broke a guard, by its name.
    pub guard_breaks: BTreeMap<String, u64>,
    /// Some of the differences, the newest last.
    pub differences: Vec<RouteDifference>,
}

/// A message that a candidate decides in another way.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RouteDifference {
    /// The exchange.
    pub exchange: String,
    /// The fields that either version reads, as text.
    pub fields: BTreeMap<String, String>,
    /// The active version's destinations; `(trap)` stands for a failure.
    pub active: Vec<String>,
    /// The candidate's.
    pub candidate: Vec<String>,
}

/// How a canary shall run.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteCanaryRequest {
    /// The candidate.
    pub version: u32,
    /// The settings, each with its default.
    #[serde(flatten)]
    pub settings: RouteCanarySettings,
}

/// The settings of a canary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RouteCanarySettings {
    /// The field by whose value messages are drawn; each by itself where there is none.
    pub field: Option<String>,
    /// The shares, in per cent, that the candidate gets one after another; it is promoted after a
    /// last one of 100.
    pub steps: Vec<u32>,
    /// How long a step lasts, in milliseconds.
    pub interval_ms: u64,
    /// The candidate's failures in a step, in per cent of its messages, above which it is taken
    /// back.
    pub max_failed_per_cent: f64,
    /// Its unroutable messages, in per cent above the active version's.
    pub max_unroutable_per_cent: f64,
    /// The median time of its decisions, as a multiple of the active version's; 0 is no bound.
    pub max_time_factor: f64,
    /// The median fuel of its decisions, as a multiple of the active version's; 0 is no bound.
    pub max_fuel_factor: f64,
    /// Messages that it has to have decided before a step ends.
    pub min_calls: u64,
}

impl Default for RouteCanarySettings {
    fn default() -> Self {
        Self {
            field: None,
            steps: vec![1, 5, 25, 50, 100],
            interval_ms: 300_000,
            max_failed_per_cent: 1.0,
            max_unroutable_per_cent: 1.0,
            max_time_factor: 5.0,
            max_fuel_factor: 5.0,
            min_calls: 100,
        }
    }
}

/// A canary.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RouteCanaryView {
    /// The candidate.
    pub version: u32,
    /// Its settings.
    #[serde(flatten)]
    pub settings: RouteCanarySettings,
    /// The step that it has reached, from 0.
    pub step: u32,
    /// Its share of the messages, in per cent.
    pub per_cent: u32,
    /// When the step began, in Unix milliseconds; 0 in the first second, until the node has seen it.
    pub step_since_ms: u64,
    /// What the candidate did in this step.
    pub candidate: RouteCanarySide,
    /// What the active version did in this step.
    pub active: RouteCanarySide,
}

/// What one of two versions did in a step of a canary.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RouteCanarySide {
    /// Messages that it was asked about.
    pub calls: u64,
    /// Of them, those that it failed to decide about; the candidate's were decided by the active
    /// version then.
    pub failed: u64,
    /// Of them, those without a destination.
    pub unroutable: u64,
    /// The median time of a decision, in nanoseconds.
    pub time_p50_ns: Option<u64>,
    /// The median fuel of decisions about some of the step's messages, once there are enough.
    pub fuel_p50: Option<u64>,
}

/// How a shadow or a canary ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RouteRolloutEnd {
    /// The candidate.
    pub version: u32,
    /// `promoted`, `taken-back` or, of a shadow, `ended`.
    pub outcome: &'static str,
    /// Why.
    pub reason: String,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
}
