//! Traces, shadows and canaries of deployed routes: begun, watched, ended.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use shunt_types::VhostName;

use crate::activation::activate;
use crate::error::RouteError;
use crate::fields::Field;
use crate::files::sha256_hex;
use crate::local;
use crate::registry::Routes;
use crate::rollout::{Canary, CanarySettings, Rollout, Shadow, ShadowSettings, Verdict};
use crate::store::StoredCanary;
use crate::trace::{self, Recorder, TraceSettings, TraceStatus};
use crate::version::{Route, Version};
use crate::view::RolloutEnd;

/// Bytes that a trace may take on disk.
const TRACE_BYTES: std::ops::RangeInclusive<u64> = 64 * 1024..=4 * 1024 * 1024 * 1024;
/// Longest time that a trace may run, in seconds.
const TRACE_SECONDS_MAX: u64 = 7 * 24 * 3_600;

/// What became of a canary by itself, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutEvent {
    /// The virtual host.
    pub vhost: VhostName,
    /// The route.
    pub name: Arc<str>,
    /// The candidate.
    pub version: u32,
    /// What happened.
    pub what: RolloutChange,
}

/// A step of a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloutChange {
    /// It has a larger share now, in per cent.
    Raised(u32),
    /// It is the active version now.
    Promoted,
    /// It passed a bound, and has no share any more.
    TakenBack(String),
    /// The change can't be stored, and is tried again.
    Failed(String),
}

impl Routes {
    /// Lets a version run beside the active one, which alone delivers.
    ///
    /// # Errors
    /// There is no such version, it can't run, it is the active one, it keeps state (which the
    /// active version would see), or another candidate is there already.
    pub fn start_shadow(
        &self,
        vhost: &VhostName,
        name: &str,
        settings: ShadowSettings,
    ) -> Result<(), RouteError> {
        if !(1..=100).contains(&settings.time_per_cent) {
            let reason = "the time of a shadow is a per cent from 1 to 100".to_owned();
            return Err(RouteError::Invalid(reason));
        }
        let _change = self.changes.lock();
        let (route, version) = self.candidate(vhost, name, settings.version)?;
        if version.terms.granted.contains(crate::capability::Capability::State) {
            return Err(RouteError::Invalid(format!(
                "version {} of route '{name}' keeps state, which the active version would see: it \
                 can't be a shadow",
                settings.version
            )));
        }
        route.begin_rollout(Rollout::Shadow(Shadow::new(settings)), version);
        Ok(())
    }

    /// Gives a version a part of the messages, and more of them step by step. It outlives a
    /// restart, at the step that it had reached.
    ///
    /// # Errors
    /// The settings make no sense; or as [`Routes::start_shadow`], without the part about state.
    pub fn start_canary(
        &self,
        vhost: &VhostName,
        name: &str,
        settings: CanarySettings,
    ) -> Result<(), RouteError> {
        settings.check().map_err(RouteError::Invalid)?;
        let _change = self.changes.lock();
        let (route, version) = self.candidate(vhost, name, settings.version)?;
        let stored = StoredCanary { settings: settings.clone(), step: 0 };
        self.change(&route, |deployed, _| deployed.canary = Some(stored))?;
        route.begin_rollout(Rollout::Canary(Box::new(Canary::new(settings, 0))), version);
        Ok(())
    }

    /// Ends a shadow, or takes a canary back: the active version decides about every message.
    ///
    /// # Errors
    /// There is no such route, or it has neither.
    pub fn end_rollout(
        &self,
        vhost: &VhostName,
        name: &str,
        reason: &str,
        now_ms: u64,
    ) -> Result<(), RouteError> {
        let _change = self.changes.lock();
        let route = self.existing(vhost, name)?;
        let Some(rollout) = route.rollout.load_full() else {
            return Err(RouteError::NoRollout { name: name.to_owned() });
        };
        self.take_back(&route, &rollout, reason, now_ms)?;
        Ok(())
    }

    /// Ends, raises or promotes the canaries for which it is time. To be called a few times a
    /// second.
    pub fn advance_rollouts(&self, now_ms: u64) -> Vec<RolloutEvent> {
        let routes: Vec<_> = self.routes.lock().values().cloned().collect();
        let mut events = Vec::new();
        for route in routes {
            let Some(rollout) = route.rollout.load_full() else {
                self.forget_ended_trace(&route);
                continue;
            };
            let Rollout::Canary(canary) = &*rollout else { continue };
            // The clock of the first step starts at the first look.
            let unset = canary.step_since_ms.compare_exchange(
                0,
                now_ms.max(1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            if unset.is_ok() && canary.settings.interval_ms > 0 {
                continue;
            }
            if canary.settings.bounds.fuel_factor > 0.0 {
                self.measure_fuel(&route, &canary.fuel);
            }
            let verdict = canary.judge(now_ms);
            if verdict == Verdict::Wait {
                continue;
            }
            let _change = self.changes.lock();
            // It may have been ended by hand meanwhile.
            let is_there = route.rollout.load_full().is_some_and(|now| Arc::ptr_eq(&now, &rollout));
            if !is_there {
                continue;
            }
            let what = self.carry_out(&route, &rollout, canary, verdict, now_ms);
            events.push(RolloutEvent {
                vhost: route.vhost.clone(),
                name: Arc::clone(&route.name),
                version: canary.settings.version,
                what: what.unwrap_or_else(|error| RolloutChange::Failed(error.to_string())),
            });
        }
        events
    }

    /// A trace that has stopped by itself costs its messages nothing more.
    fn forget_ended_trace(&self, route: &Route) {
        let has_ended = route.recorder.load().as_ref().is_some_and(|r| !r.is_running());
        if has_ended && route.is_observed.load(Ordering::Relaxed) {
            let _change = self.changes.lock();
            route.look();
        }
    }

    fn carry_out(
        &self,
        route: &Arc<Route>,
        rollout: &Rollout,
        canary: &Canary,
        verdict: Verdict,
        now_ms: u64,
    ) -> io::Result<RolloutChange> {
        match verdict {
            Verdict::TakeBack(reason) => {
                self.take_back(route, rollout, &reason, now_ms)?;
                Ok(RolloutChange::TakenBack(reason))
            }
            Verdict::Promote => {
                let Some(version) = route.candidate.load_full() else {
                    return Err(io::Error::other("the candidate is gone"));
                };
                self.change(route, |deployed, active| activate(deployed, active, &version))?;
                route.ended(RolloutEnd {
                    version: canary.settings.version,
                    outcome: "promoted",
                    reason: "every step was passed".to_owned(),
                    at_ms: now_ms,
                });
                Ok(RolloutChange::Promoted)
            }
            Verdict::Raise | Verdict::Wait => {
                let step = canary.step.load(Ordering::Relaxed) + 1;
                self.change(route, |deployed, _| {
                    if let Some(stored) = &mut deployed.canary {
                        stored.step = step;
                    }
                })?;
                canary.begin_step(step, now_ms);
                Ok(RolloutChange::Raised(canary.per_cent()))
            }
        }
    }

    fn take_back(
        &self,
        route: &Arc<Route>,
        rollout: &Rollout,
        reason: &str,
        now_ms: u64,
    ) -> io::Result<()> {
        // Before the disk is asked: a bad candidate decides nothing more from now on.
        let (version, outcome) = match rollout {
            Rollout::Canary(canary) => {
                canary.is_over.store(true, Ordering::Relaxed);
                (canary.settings.version, "taken-back")
            }
            Rollout::Shadow(shadow) => (shadow.settings.version, "ended"),
        };
        self.change(route, |deployed, _| deployed.canary = None)?;
        route.end_rollout();
        route.ended(RolloutEnd { version, outcome, reason: reason.to_owned(), at_ms: now_ms });
        Ok(())
    }

    /// A version that may become the candidate.
    fn candidate(
        &self,
        vhost: &VhostName,
        name: &str,
        number: u32,
    ) -> Result<(Arc<Route>, Arc<Version>), RouteError> {
        let (route, version) = self.find(vhost, name, Some(number))?;
        if let Err(reason) = &version.module {
            let (name, reason) = (name.to_owned(), reason.clone());
            return Err(RouteError::Unavailable { name, version: number, reason });
        }
        match &*route.active.load() {
            None => {
                let reason = format!("route '{name}' has no active version to compare with");
                return Err(RouteError::Invalid(reason));
            }
            Some(active) if Arc::ptr_eq(active, &version) => {
                return Err(RouteError::Active { name: name.to_owned(), version: number });
            }
            Some(_) => {}
        }
        if let Some(candidate) = &*route.candidate.load() {
            let version = candidate.route.version;
            return Err(RouteError::Candidate { name: name.to_owned(), version });
        }
        Ok((route, version))
    }

    /// Records the headers of a route's messages, after an older trace is removed.
    ///
    /// # Errors
    /// There is no such route, a setting is wrong, one is being recorded, or the disk fails.
    pub fn start_trace(
        &self,
        vhost: &VhostName,
        name: &str,
        settings: TraceSettings,
        now_ms: u64,
    ) -> Result<(), RouteError> {
        let invalid = |reason: String| Err(RouteError::Invalid(reason));
        if !TRACE_BYTES.contains(&settings.bytes) {
            let (low, high) = (TRACE_BYTES.start(), TRACE_BYTES.end());
            return invalid(format!("a trace has from {low} to {high} bytes"));
        }
        if settings.every == 0 || !(1..=TRACE_SECONDS_MAX).contains(&settings.seconds) {
            return invalid(format!(
                "a trace records one message of 1 or more, for 1 to {TRACE_SECONDS_MAX} seconds"
            ));
        }
        let _change = self.changes.lock();
        let route = self.existing(vhost, name)?;
        if route.recorder.load().as_ref().is_some_and(|recorder| recorder.is_running()) {
            return Err(RouteError::Tracing { name: name.to_owned() });
        }
        let fields = traced_fields(&route, &settings.fields)?;
        route.set_recorder(None);
        let directory = self.trace_directory(&route);
        let recorder = Recorder::start(&directory, settings, fields, now_ms)?;
        route.set_recorder(Some(Arc::new(recorder)));
        Ok(())
    }

    /// Ends the recording; what was recorded stays until the next one, or is removed.
    ///
    /// # Errors
    /// There is no such route, or the files can't be removed.
    pub fn stop_trace(
        &self,
        vhost: &VhostName,
        name: &str,
        is_discarded: bool,
    ) -> Result<(), RouteError> {
        let _change = self.changes.lock();
        let route = self.existing(vhost, name)?;
        if let Some(recorder) = &*route.recorder.load() {
            recorder.stop();
        }
        route.look();
        if is_discarded {
            route.set_recorder(None);
            trace::remove(&self.trace_directory(&route))?;
        }
        Ok(())
    }

    /// How the trace of a route is doing; nothing where none was begun since the start.
    ///
    /// # Errors
    /// There is no such route.
    pub fn trace_status(
        &self,
        vhost: &VhostName,
        name: &str,
    ) -> Result<Option<TraceStatus>, RouteError> {
        let route = self.existing(vhost, name)?;
        Ok(route.recorder.load().as_ref().map(|recorder| recorder.status()))
    }

    /// The bytes of a route's trace so far; empty where there is none.
    ///
    /// # Errors
    /// There is no such route, or its files can't be read.
    pub fn read_trace(&self, vhost: &VhostName, name: &str) -> Result<Vec<u8>, RouteError> {
        let route = self.existing(vhost, name)?;
        Ok(trace::read(&self.trace_directory(&route))?)
    }

    pub(crate) fn trace_directory(&self, route: &Route) -> PathBuf {
        let address = sha256_hex(format!("{}\0{}", route.vhost, route.name).as_bytes());
        self.directory.join("traces").join(&address[..32])
    }
}

/// What every version of the route reads and its guards compare, and what was asked for.
fn traced_fields(route: &Route, wanted: &[String]) -> Result<Vec<Field>, RouteError> {
    let mut fields: Vec<Field> = Vec::new();
    let mut add = |field: Field| {
        if !fields.contains(&field) {
            fields.push(field);
        }
    };
    for version in &route.deployed.lock().versions {
        if let Ok(module) = &version.module {
            module.description.reads.iter().cloned().for_each(&mut add);
        }
        version.guards.fields().iter().cloned().for_each(&mut add);
    }
    for name in wanted {
        let field = Field::parse(name);
        add(field.ok_or_else(|| RouteError::Invalid(format!("there is no field '{name}'")))?);
    }
    Ok(fields)
}

impl Canary {
    /// The next step, with counts of its own.
    fn begin_step(&self, step: u32, now_ms: u64) {
        for side in [&self.candidate, &self.active] {
            side.calls.store(0, Ordering::Relaxed);
            side.failed.store(0, Ordering::Relaxed);
            side.unroutable.store(0, Ordering::Relaxed);
            side.times.clear();
        }
        self.fuel.clear();
        self.step_since_ms.store(now_ms.max(1), Ordering::Relaxed);
        self.step.store(step, Ordering::Relaxed);
    }
}

impl Route {
    /// Puts a candidate beside the active version.
    pub(crate) fn begin_rollout(&self, rollout: Rollout, candidate: Arc<Version>) {
        self.candidate.store(Some(candidate));
        self.rollout.store(Some(Arc::new(rollout)));
        self.look();
    }

    /// Takes the candidate away.
    pub(crate) fn end_rollout(&self) {
        self.rollout.store(None);
        self.look();
        self.candidate.store(None);
        local::changed();
    }

    pub(crate) fn set_recorder(&self, recorder: Option<Arc<Recorder>>) {
        let before = self.recorder.swap(recorder);
        self.look();
        if let Some(before) = before {
            before.stop();
        }
    }

    /// Whether messages have anything to pass by before they are decided.
    pub(crate) fn look(&self) {
        let is_traced = self.recorder.load().as_ref().is_some_and(|r| r.is_running());
        let is_observed = is_traced || self.rollout.load().is_some();
        self.is_observed.store(is_observed, Ordering::Relaxed);
    }

    fn ended(&self, end: RolloutEnd) {
        *self.last_rollout.lock() = Some(end);
    }
}
