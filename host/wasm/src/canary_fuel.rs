//! What a canary's decisions cost in fuel. Live calls don't count it, so some messages of each
//! step are decided once more by both versions, with fuel, beside the path of messages.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use shunt_routing::{ExchangeSpec, Header};
use shunt_types::PropertiesRef;

use crate::desk::{DeskExchange, DeskRoute, Metering};
use crate::exchange::RouteMatcher;
use crate::limits::{CANARY_SAMPLE_BYTES_MAX, CANARY_SAMPLES, CANARY_SAMPLES_WAITING};
use crate::list::BindingList;
use crate::registry::Routes;
use crate::version::{Route, Version};

/// Decisions of each version below which a median says nothing.
const DECISIONS_MIN: usize = 10;

/// The messages of a step that are decided with fuel, and what their decisions took.
#[derive(Default)]
pub(crate) struct CanaryFuel {
    /// No more messages are wanted for now: all that most of them look at.
    is_full: AtomicBool,
    waiting: Mutex<Vec<Sample>>,
    measured: Mutex<Measured>,
}

#[derive(Default)]
struct Measured {
    candidate: Vec<u64>,
    active: Vec<u64>,
}

/// A message's header, kept.
struct Sample {
    exchange: u64,
    revision: u64,
    spec: ExchangeSpec,
    bindings: BindingList,
    published_to: String,
    routing_keys: Vec<String>,
    properties: Vec<u8>,
    body_size: u64,
    user: String,
    now_ms: u64,
    random: u64,
}

impl CanaryFuel {
    /// Keeps a message, if there is use for it and nobody else is at it.
    pub(crate) fn keep(&self, matcher: &RouteMatcher, header: &Header<'_>) {
        if self.is_full.load(Ordering::Relaxed)
            || header.properties.as_bytes().len() > CANARY_SAMPLE_BYTES_MAX
        {
            return;
        }
        let Some(mut waiting) = self.waiting.try_lock() else { return };
        waiting.push(Sample::new(matcher, header));
        if waiting.len() >= CANARY_SAMPLES_WAITING {
            self.is_full.store(true, Ordering::Relaxed);
        }
    }

    /// Begins anew.
    pub(crate) fn clear(&self) {
        *self.measured.lock() = Measured::default();
        self.waiting.lock().clear();
        self.is_full.store(false, Ordering::Relaxed);
    }

    /// The medians of the candidate and of the active version, where there is enough to tell.
    pub(crate) fn medians(&self) -> Option<(u64, u64)> {
        let measured = self.measured.lock();
        Some((median(&measured.candidate)?, median(&measured.active)?))
    }

    fn add(&self, fuel: impl Iterator<Item = (u64, u64)>) {
        let mut measured = self.measured.lock();
        for (candidate, active) in fuel {
            measured.candidate.push(candidate);
            measured.active.push(active);
        }
        self.is_full.store(measured.candidate.len() >= CANARY_SAMPLES, Ordering::Relaxed);
    }
}

fn median(fuel: &[u64]) -> Option<u64> {
    if fuel.len() < DECISIONS_MIN {
        return None;
    }
    let mut sorted = fuel.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

impl Sample {
    fn new(matcher: &RouteMatcher, header: &Header<'_>) -> Self {
        Self {
            exchange: matcher.exchange.id,
            revision: matcher.revision,
            spec: matcher.exchange.spec.clone(),
            bindings: matcher.bindings.clone(),
            published_to: header.exchange.to_owned(),
            routing_keys: header.routing_keys.iter().map(|&key| key.to_owned()).collect(),
            properties: header.properties.as_bytes().to_vec(),
            body_size: header.body_size,
            user: header.user.to_owned(),
            now_ms: header.now_ms,
            random: header.random,
        }
    }

    /// Fuel of the decision, whatever came of it; nothing where the exchange is refused.
    fn fuel<'a>(&self, route: &'a DeskRoute, known: &mut Known<'a>) -> Option<u64> {
        let key = (self.exchange, self.revision);
        if !matches!(known, Some((of, _)) if *of == key) {
            let bindings = self.bindings.iter().cloned().collect();
            *known = Some((key, route.declare(self.spec.clone(), bindings).ok()));
        }
        let exchange = known.as_mut()?.1.as_mut()?;
        let keys: Vec<&str> = self.routing_keys.iter().map(String::as_str).collect();
        let header = Header {
            vhost: &self.spec.vhost,
            exchange: &self.published_to,
            routing_keys: &keys,
            properties: PropertiesRef::decode(&self.properties).ok()?,
            body_size: self.body_size,
            user: &self.user,
            now_ms: self.now_ms,
            random: self.random,
        };
        // A failure has its fuel too.
        let _ = exchange.decide(&header, &mut Vec::new());
        Some(exchange.fuel())
    }
}

/// The exchange that the last sample was of, with the instance for it.
type Known<'a> = Option<((u64, u64), Option<DeskExchange<'a>>)>;

impl Routes {
    /// Decides about the messages that were kept, with both versions.
    pub(crate) fn measure_fuel(&self, route: &Route, fuel: &CanaryFuel) {
        let waiting = std::mem::take(&mut *fuel.waiting.lock());
        let (candidate, active) = (route.candidate.load_full(), route.active.load_full());
        let (Some(candidate), Some(active), false) = (candidate, active, waiting.is_empty()) else {
            return;
        };
        let desk = |version: &Version| {
            let number = Some(version.route.version);
            self.desk_route(&route.vhost, &route.name, number, Metering::Fuel).ok()
        };
        let (Some(candidate), Some(active)) = (desk(&candidate), desk(&active)) else { return };
        let (mut by_candidate, mut by_active) = (None, None);
        let both = waiting.iter().filter_map(|sample| {
            let fuel = sample.fuel(&candidate, &mut by_candidate)?;
            Some((fuel, sample.fuel(&active, &mut by_active)?))
        });
        fuel.add(both);
    }
}
