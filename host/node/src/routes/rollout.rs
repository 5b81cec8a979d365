//! Traces, replays, shadows and canaries, as the HTTP API asks for them.

use std::sync::Arc;
use std::time::Duration;

use shunt_broker::ports::Clock;
use shunt_http_api::{
    RouteCanaryRequest, RouteCanarySettings, RouteCanarySide, RouteCanaryView, RouteDifference,
    RoutePortError, RouteReplayDestination, RouteReplayMove, RouteReplayRequest, RouteReplaySide,
    RouteReplayValue, RouteReplayView, RouteRolloutEnd, RouteRolloutPort, RouteShadowRequest,
    RouteShadowView, RouteTraceRequest, RouteTraceView, RouteView,
};
use shunt_routing::FailureCause;
use shunt_wasm::{
    CanaryBounds, CanarySettings, CanaryView, Metering, Replay, ReplayRequest, ReplaySide,
    RolloutChange, RolloutEnd, Routes, ShadowSettings, ShadowView, SideView, TraceSettings, replay,
};

use super::{RegistryPort, refused, vhost_name, view};

/// How often canaries are looked at.
const INTERVAL: Duration = Duration::from_millis(250);

impl RouteRolloutPort for RegistryPort {
    fn start_trace(
        &self,
        vhost: &str,
        name: &str,
        request: RouteTraceRequest,
    ) -> Result<(), RoutePortError> {
        let vhost = vhost_name(vhost)?;
        let RouteTraceRequest { fields, exchange, every, bytes, seconds } = request;
        let settings = TraceSettings { fields, exchange, every, bytes, seconds };
        self.routes.start_trace(&vhost, name, settings, self.clock.now_ms()).map_err(refused)?;
        tracing::info!(%vhost, route = name, "route is traced");
        Ok(())
    }

    fn trace(&self, vhost: &str, name: &str) -> Result<Option<RouteTraceView>, RoutePortError> {
        let status = self.routes.trace_status(&vhost_name(vhost)?, name).map_err(refused)?;
        Ok(status.map(|status| RouteTraceView {
            running: status.is_running,
            fields: status.fields,
            recorded: status.recorded,
            missed: status.missed,
            bytes: status.bytes,
            bytes_max: status.settings.bytes,
            every: status.settings.every,
            exchange: status.settings.exchange,
            seconds: status.settings.seconds,
            started_at_ms: status.started_at_ms,
            stopped: status.stopped,
        }))
    }

    fn stop_trace(&self, vhost: &str, name: &str, discard: bool) -> Result<(), RoutePortError> {
        let vhost = vhost_name(vhost)?;
        self.routes.stop_trace(&vhost, name, discard).map_err(refused)?;
        tracing::info!(%vhost, route = name, discard, "route is traced no longer");
        Ok(())
    }

    fn read_trace(&self, vhost: &str, name: &str) -> Result<Vec<u8>, RoutePortError> {
        self.routes.read_trace(&vhost_name(vhost)?, name).map_err(refused)
    }

    fn replay(
        &self,
        vhost: &str,
        name: &str,
        request: RouteReplayRequest,
    ) -> Result<RouteReplayView, RoutePortError> {
        let vhost = vhost_name(vhost)?;
        let trace = self.routes.read_trace(&vhost, name).map_err(refused)?;
        if trace.is_empty() {
            let reason = format!("there is no trace of route '{name}'; record one first");
            return Err(RoutePortError::NotFound(reason));
        }
        let route = |version| {
            self.routes.desk_route(&vhost, name, version, Metering::Fuel).map_err(refused)
        };
        let (candidate, against) = (route(Some(request.version))?, route(request.against)?);
        let request = ReplayRequest {
            trace: &trace,
            vhost: &vhost,
            candidate: &candidate,
            against: Some(&against),
            bindings: None,
        };
        let replayed = replay(&request);
        let replayed = replayed.map_err(|error| RoutePortError::Invalid(error.to_string()))?;
        Ok(replay_view(replayed))
    }

    fn start_shadow(
        &self,
        vhost: &str,
        name: &str,
        request: RouteShadowRequest,
    ) -> Result<RouteView, RoutePortError> {
        let vhost = vhost_name(vhost)?;
        let RouteShadowRequest { version, time_per_cent } = request;
        let settings = ShadowSettings { version, time_per_cent };
        self.routes.start_shadow(&vhost, name, settings).map_err(refused)?;
        tracing::info!(%vhost, route = name, version, "route has a shadow");
        self.routes.show(&vhost, name).map(view).map_err(refused)
    }

    fn start_canary(
        &self,
        vhost: &str,
        name: &str,
        request: RouteCanaryRequest,
    ) -> Result<RouteView, RoutePortError> {
        let vhost = vhost_name(vhost)?;
        let RouteCanaryRequest { version, settings } = request;
        let per_cent = settings.steps.first().copied();
        let settings = CanarySettings {
            version,
            field: settings.field,
            steps: settings.steps,
            interval_ms: settings.interval_ms,
            bounds: CanaryBounds {
                failed_per_cent: settings.max_failed_per_cent,
                unroutable_per_cent: settings.max_unroutable_per_cent,
                time_factor: settings.max_time_factor,
                fuel_factor: settings.max_fuel_factor,
                calls_min: settings.min_calls,
            },
        };
        self.routes.start_canary(&vhost, name, settings).map_err(refused)?;
        tracing::info!(%vhost, route = name, version, per_cent, "route has a canary");
        self.routes.show(&vhost, name).map(view).map_err(refused)
    }

    fn end_rollout(
        &self,
        vhost: &str,
        name: &str,
        reason: &str,
    ) -> Result<RouteView, RoutePortError> {
        let vhost = vhost_name(vhost)?;
        let now_ms = self.clock.now_ms();
        self.routes.end_rollout(&vhost, name, reason, now_ms).map_err(refused)?;
        tracing::info!(%vhost, route = name, reason, "shadow or canary ended");
        self.routes.show(&vhost, name).map(view).map_err(refused)
    }
}

/// Looks at the canaries again and again, until it is aborted.
pub(crate) async fn watch(routes: Arc<Routes>, clock: Arc<dyn Clock>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let (routes, now_ms) = (routes.clone(), clock.now_ms());
        // A step is stored on disk: not for a thread that serves.
        let looked = tokio::task::spawn_blocking(move || routes.advance_rollouts(now_ms)).await;
        for event in looked.unwrap_or_default() {
            let (vhost, route, version) = (event.vhost, event.name, event.version);
            match event.what {
                RolloutChange::Raised(per_cent) => {
                    tracing::info!(%vhost, %route, version, per_cent, "canary raised");
                }
                RolloutChange::Promoted => {
                    tracing::info!(%vhost, %route, version, "canary promoted");
                }
                RolloutChange::TakenBack(reason) => {
                    tracing::warn!(%vhost, %route, version, reason, "canary taken back");
                }
                RolloutChange::Failed(reason) => {
                    tracing::error!(%vhost, %route, version, reason, "canary can't be stored");
                }
            }
        }
    }
}

pub(super) fn shadow_view(shadow: ShadowView) -> RouteShadowView {
    let failures = FailureCause::ALL
        .into_iter()
        .map(|cause| (cause.name(), shadow.counters.failures_by(cause)))
        .collect();
    RouteShadowView {
        version: shadow.settings.version,
        time_per_cent: shadow.settings.time_per_cent,
        compared: shadow.compared,
        different: shadow.different,
        skipped: shadow.skipped,
        failures,
        guard_breaks: shadow.guards.into_iter().collect(),
        differences: shadow
            .differences
            .into_iter()
            .map(|difference| RouteDifference {
                exchange: difference.exchange,
                fields: difference.fields.into_iter().collect(),
                active: difference.active,
                candidate: difference.candidate,
            })
            .collect(),
    }
}

pub(super) fn canary_view(canary: CanaryView) -> RouteCanaryView {
    let CanarySettings { version, field, steps, interval_ms, bounds } = canary.settings;
    RouteCanaryView {
        version,
        settings: RouteCanarySettings {
            field,
            steps,
            interval_ms,
            max_failed_per_cent: bounds.failed_per_cent,
            max_unroutable_per_cent: bounds.unroutable_per_cent,
            max_time_factor: bounds.time_factor,
            max_fuel_factor: bounds.fuel_factor,
            min_calls: bounds.calls_min,
        },
        step: canary.step,
        per_cent: canary.per_cent,
        step_since_ms: canary.step_since_ms,
        candidate: side_view(canary.candidate),
        active: side_view(canary.active),
    }
}

fn side_view(side: SideView) -> RouteCanarySide {
    let SideView { calls, failed, unroutable, time_p50_ns, fuel_p50 } = side;
    RouteCanarySide { calls, failed, unroutable, time_p50_ns, fuel_p50 }
}

pub(super) fn end_view(end: RolloutEnd) -> RouteRolloutEnd {
    let RolloutEnd { version, outcome, reason, at_ms } = end;
    RouteRolloutEnd { version, outcome, reason, at_ms }
}

/// A replay as JSON shows it.
pub(crate) fn replay_view(replay: Replay) -> RouteReplayView {
    let side = |side: ReplaySide| {
        let ReplaySide { unroutable, failures, guards, fuel_p50, fuel_p99, fuel_max } = side;
        RouteReplaySide { unroutable, failures, guards, fuel_p50, fuel_p99, fuel_max }
    };
    RouteReplayView {
        messages: replay.messages,
        changed: replay.changed,
        candidate: side(replay.candidate),
        against: replay.against.map(side),
        moves: replay
            .moves
            .into_iter()
            .map(|m| RouteReplayMove {
                from: m.from,
                to: m.to,
                messages: m.messages,
                examples: m.examples,
            })
            .collect(),
        destinations: replay
            .destinations
            .into_iter()
            .map(|d| RouteReplayDestination {
                exchange: d.exchange,
                name: d.name,
                binding: d.binding,
                key: d.key,
                gained: d.gained,
                lost: d.lost,
            })
            .collect(),
        values: replay
            .values
            .into_iter()
            .map(|v| RouteReplayValue {
                field: v.field,
                value: v.value,
                messages: v.messages,
                changed: v.changed,
            })
            .collect(),
    }
}
