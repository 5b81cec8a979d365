//! Messages of a route that is traced, shadowed or has a canary. All others never come here.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use shunt_routing::{Destination, Failure, Header, Topology};

use crate::clock;
use crate::exchange::RouteMatcher;
use crate::local::Role;
use crate::replay::put_value;
use crate::rollout::{Canary, CanarySide, Difference, Rollout, Shadow, told};
use crate::trace::Source;

thread_local! {
    /// When this thread has time for a shadow again.
    static SHADOW_AT_NS: Cell<u64> = const { Cell::new(0) };
}

impl RouteMatcher {
    /// As `matches`, with whatever watches the route.
    #[cold]
    pub(crate) fn observed(
        &self,
        header: &Header<'_>,
        topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        let route = &self.exchange.route;
        if let Some(recorder) = &*route.recorder.load() {
            let source = Source {
                id: self.exchange.id,
                revision: self.revision,
                spec: &self.exchange.spec,
                bindings: &self.bindings,
            };
            recorder.record(&source, header);
        }
        match route.rollout.load().as_deref() {
            Some(Rollout::Canary(canary)) => self.divided(canary, header, topology, destinations),
            Some(Rollout::Shadow(shadow)) => self.shadowed(shadow, header, topology, destinations),
            None => self.decide(Role::Active, header, topology, destinations),
        }
    }

    /// One of the two decides. A message that the candidate fails to decide is the active
    /// version's: its failures are its own, not the publishers'.
    fn divided(
        &self,
        canary: &Canary,
        header: &Header<'_>,
        topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        let before = destinations.len();
        if canary.takes(header) {
            canary.fuel.keep(self, header);
            let side = &canary.candidate;
            if self.timed(side, Role::Candidate, header, topology, destinations).is_ok() {
                return Ok(());
            }
            destinations.truncate(before);
        }
        self.timed(&canary.active, Role::Active, header, topology, destinations)
    }

    fn timed(
        &self,
        side: &CanarySide,
        role: Role,
        header: &Header<'_>,
        topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        let before = destinations.len();
        let start_ns = clock::monotonic_ns();
        let decided = self.decide(role, header, topology, destinations);
        match &decided {
            Ok(()) => {
                side.times.add(clock::monotonic_ns().saturating_sub(start_ns));
                side.decided(destinations.len() == before);
            }
            Err(_) => side.failed(),
        }
        decided
    }

    /// The active version decides; then the candidate is asked, if there is time for it.
    fn shadowed(
        &self,
        shadow: &Shadow,
        header: &Header<'_>,
        topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        let before = destinations.len();
        let decided = self.decide(Role::Active, header, topology, destinations);
        let start_ns = clock::monotonic_ns();
        if start_ns < SHADOW_AT_NS.get() {
            shadow.skipped.fetch_add(1, Ordering::Relaxed);
            return decided;
        }
        let mut others = Vec::new();
        let candidate = self.decide(Role::Shadow, header, topology, &mut others);
        shadow.compared.fetch_add(1, Ordering::Relaxed);
        let is_same = match (&decided, &candidate) {
            (Ok(()), Ok(())) => is_same_set(&destinations[before..], &others),
            (Err(one), Err(other)) => one.cause == other.cause,
            _ => false,
        };
        if !is_same {
            shadow.keep(|| Difference {
                exchange: self.exchange.spec.name.as_str().to_owned(),
                fields: self.read_fields(header),
                active: told(self.names(&destinations[before..]), decided.as_ref().err()),
                candidate: told(self.names(&others), candidate.as_ref().err()),
            });
        }
        let end_ns = clock::monotonic_ns();
        let part = u64::from(shadow.settings.time_per_cent.clamp(1, 100));
        let rest_ns = end_ns.saturating_sub(start_ns) * (100 - part) / part;
        SHADOW_AT_NS.set(end_ns.saturating_add(rest_ns));
        decided
    }

    /// Names of destinations, in alphabetical order.
    fn names(&self, destinations: &[Destination]) -> Vec<String> {
        let name = |destination: &Destination| {
            let bound = self.bindings.iter().find(|b| b.destination == *destination);
            bound.map_or_else(|| "(not bound)".to_owned(), |b| b.destination_name.to_string())
        };
        let mut names: Vec<_> = destinations.iter().map(name).collect();
        names.sort();
        names.dedup();
        names
    }

    /// What either version reads of a message, as text.
    fn read_fields(&self, header: &Header<'_>) -> Vec<(String, String)> {
        let route = &self.exchange.route;
        let versions = [route.active.load_full(), route.candidate.load_full()];
        let mut fields = Vec::new();
        for version in versions.iter().flatten() {
            let Ok(module) = version.module() else { continue };
            for field in &module.description.reads {
                let name = field.to_string();
                if fields.iter().all(|(known, _)| *known != name) {
                    let mut value = String::new();
                    put_value(&mut value, field, header);
                    fields.push((name, value));
                }
            }
        }
        fields
    }
}

/// Whether both hold the same destinations, however often and in whatever order.
fn is_same_set(one: &[Destination], other: &[Destination]) -> bool {
    one == other || one.iter().all(|d| other.contains(d)) && other.iter().all(|d| one.contains(d))
}
