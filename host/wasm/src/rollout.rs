//! A candidate beside the version that decides: shadowed, or given a part of the messages.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use shunt_routing::{Failure, FailureCause, Header};

use crate::canary_fuel::CanaryFuel;
use crate::fields::{Field, put_fields};
use crate::msgpack::Writer;
use crate::times::Times;

/// Differences that are kept to be looked at.
const DIFFERENCES_KEPT: usize = 50;
/// Bytes of a field that the share of a canary is drawn from.
const HASHED_BYTES_MAX: usize = 512;
/// Steps of a canary.
const STEPS_MAX: usize = 100;

/// What runs beside the version that decides.
pub(crate) enum Rollout {
    Shadow(Shadow),
    Canary(Box<Canary>),
}

/// How a shadow runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowSettings {
    /// The candidate.
    pub version: u32,
    /// Of the time of a thread that routes, the most that goes into the candidate, in per cent.
    pub time_per_cent: u32,
}

/// The candidate runs beside the active version, which alone delivers.
pub(crate) struct Shadow {
    pub(crate) settings: ShadowSettings,
    pub(crate) compared: AtomicU64,
    pub(crate) different: AtomicU64,
    /// Messages that it was not asked about: its time was used up.
    pub(crate) skipped: AtomicU64,
    pub(crate) differences: Mutex<VecDeque<Difference>>,
}

/// A message that a candidate decides in another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The exchange.
    pub exchange: String,
    /// The fields that either version reads, as text.
    pub fields: Vec<(String, String)>,
    /// The active version's destinations, or its failure.
    pub active: Vec<String>,
    /// The candidate's.
    pub candidate: Vec<String>,
}

impl Shadow {
    pub(crate) fn new(settings: ShadowSettings) -> Self {
        Self {
            settings,
            compared: AtomicU64::new(0),
            different: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            differences: Mutex::default(),
        }
    }

    /// Keeps a difference in the place of an old one, unless somebody is at them.
    pub(crate) fn keep(&self, difference: impl FnOnce() -> Difference) {
        // One in as many as there are places stays representative, and most cost nothing.
        let count = self.different.fetch_add(1, Ordering::Relaxed);
        if count >= DIFFERENCES_KEPT as u64 && !count.is_multiple_of(DIFFERENCES_KEPT as u64) {
            return;
        }
        if let Some(mut kept) = self.differences.try_lock() {
            if kept.len() == DIFFERENCES_KEPT {
                kept.pop_front();
            }
            kept.push_back(difference());
        }
    }
}

/// How a canary runs.
#[derive(Clone, Debug, PartialEq)]
pub struct CanarySettings {
    /// The candidate.
    pub version: u32,
    /// The field by whose value messages are drawn; each message by itself where there is none.
    pub field: Option<String>,
    /// The shares that it is given one after another, in per cent, the last of them 100 where it
    /// shall be promoted.
    pub steps: Vec<u32>,
    /// How long each step lasts, in milliseconds.
    pub interval_ms: u64,
    /// When it is taken back.
    pub bounds: CanaryBounds,
}

/// What a candidate may not pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CanaryBounds {
    /// Its failures in a step, in per cent of its messages.
    pub failed_per_cent: f64,
    /// Its unroutable messages in a step, in per cent, above the active version's.
    pub unroutable_per_cent: f64,
    /// The median time of its decisions, as a multiple of the active version's; 0 is no bound.
    pub time_factor: f64,
    /// The median fuel of its decisions, as a multiple of the active version's; 0 is no bound.
    pub fuel_factor: f64,
    /// Messages that it has to have decided before a step can end. Shares are counted as if there
    /// were at least so many.
    pub calls_min: u64,
}

impl Default for CanaryBounds {
    fn default() -> Self {
        Self {
            failed_per_cent: 1.0,
            unroutable_per_cent: 1.0,
            time_factor: 5.0,
            fuel_factor: 5.0,
            calls_min: 100,
        }
    }
}

impl CanarySettings {
    /// Checks what doesn't depend on the route.
    ///
    /// # Errors
    /// What is wrong, by name.
    pub fn check(&self) -> Result<(), String> {
        if self.steps.is_empty() || self.steps.len() > STEPS_MAX {
            return Err(format!("a canary has 1 to {STEPS_MAX} steps"));
        }
        let rises = self.steps.windows(2).all(|pair| pair[0] < pair[1]);
        if !rises || self.steps.iter().any(|step| !(1..=100).contains(step)) {
            return Err("the steps of a canary are per cents from 1 to 100 that rise".to_owned());
        }
        if let Some(field) = &self.field
            && Field::parse(field).is_none()
        {
            return Err(format!("there is no field '{field}'"));
        }
        let bounds = &self.bounds;
        let shares = [bounds.failed_per_cent, bounds.unroutable_per_cent];
        let mut all = shares.into_iter().chain([bounds.time_factor, bounds.fuel_factor]);
        if all.any(|bound| !bound.is_finite() || bound < 0.0) {
            return Err("the bounds of a canary are numbers from 0".to_owned());
        }
        Ok(())
    }
}

/// A part of the messages is decided by the candidate.
pub(crate) struct Canary {
    pub(crate) settings: CanarySettings,
    field: Option<Field>,
    pub(crate) step: AtomicU32,
    /// Set at the first look at it.
    pub(crate) step_since_ms: AtomicU64,
    /// It is over: no message goes to the candidate any more.
    pub(crate) is_over: AtomicBool,
    drawn: AtomicU64,
    pub(crate) candidate: CanarySide,
    pub(crate) active: CanarySide,
    pub(crate) fuel: CanaryFuel,
}

/// What one of the two did in the step.
#[derive(Default)]
pub(crate) struct CanarySide {
    pub(crate) calls: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) unroutable: AtomicU64,
    pub(crate) times: Times,
}

/// What is to be done about a canary.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    Wait,
    Raise,
    Promote,
    TakeBack(String),
}

impl Canary {
    /// At a step; the settings were checked.
    pub(crate) fn new(settings: CanarySettings, step: usize) -> Self {
        Self {
            field: settings.field.as_deref().and_then(Field::parse),
            settings,
            step: AtomicU32::new(step as u32),
            step_since_ms: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            drawn: AtomicU64::new(0),
            candidate: CanarySide::default(),
            active: CanarySide::default(),
            fuel: CanaryFuel::default(),
        }
    }

    /// The candidate's share now, in per cent.
    pub(crate) fn per_cent(&self) -> u32 {
        let step = self.step.load(Ordering::Relaxed) as usize;
        self.settings.steps.get(step).copied().unwrap_or(0)
    }

    /// Whether the candidate decides about this message. A value of the field that it has had, it
    /// keeps at higher shares.
    pub(crate) fn takes(&self, header: &Header<'_>) -> bool {
        if self.is_over.load(Ordering::Relaxed) {
            return false;
        }
        let hash = match &self.field {
            Some(field) => {
                let mut bytes = [0; HASHED_BYTES_MAX];
                let mut out = Writer::new(&mut bytes);
                put_fields(&mut out, std::slice::from_ref(field), header);
                let length = out.length().min(HASHED_BYTES_MAX);
                hash(&bytes[..length])
            }
            None => mixed(self.drawn.fetch_add(1, Ordering::Relaxed)),
        };
        // Another candidate tries its luck with other values.
        mixed(hash ^ u64::from(self.settings.version)) % 10_000 < u64::from(self.per_cent()) * 100
    }

    /// Looks at what happened in the step.
    pub(crate) fn judge(&self, now_ms: u64) -> Verdict {
        let bounds = &self.settings.bounds;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let calls = count(&self.candidate.calls);
        let share = |side: &CanarySide, part: &AtomicU64| {
            let calls = count(&side.calls).max(bounds.calls_min).max(1);
            count(part) as f64 * 100.0 / calls as f64
        };
        let failed = share(&self.candidate, &self.candidate.failed);
        if failed > bounds.failed_per_cent {
            return Verdict::TakeBack(format!(
                "{failed:.2} % of its messages failed, {} % is the bound",
                bounds.failed_per_cent
            ));
        }
        let unroutable = share(&self.candidate, &self.candidate.unroutable);
        let usual = share(&self.active, &self.active.unroutable);
        if unroutable - usual > bounds.unroutable_per_cent {
            return Verdict::TakeBack(format!(
                "{unroutable:.2} % of its messages are unroutable, {usual:.2} % of the active \
                 version's, {} % more is the bound",
                bounds.unroutable_per_cent
            ));
        }
        if let Some((mine, usual)) = self.fuel.medians()
            && bounds.fuel_factor > 0.0
            && mine as f64 > usual as f64 * bounds.fuel_factor
        {
            return Verdict::TakeBack(format!(
                "the median fuel of its decisions is {mine}, that of the active version {usual}, \
                 {} times that is the bound",
                bounds.fuel_factor
            ));
        }
        if calls < bounds.calls_min {
            return Verdict::Wait;
        }
        let (mine, usual) = (self.candidate.times.median_ns(), self.active.times.median_ns());
        if let (Some(mine), Some(usual)) = (mine, usual)
            && bounds.time_factor > 0.0
            && mine as f64 > usual as f64 * bounds.time_factor
        {
            return Verdict::TakeBack(format!(
                "the median of its decisions is {mine} ns, that of the active version {usual} \
                 ns, {} times that is the bound",
                bounds.time_factor
            ));
        }
        let since_ms = count(&self.step_since_ms);
        if since_ms == 0 || now_ms.saturating_sub(since_ms) < self.settings.interval_ms {
            return Verdict::Wait;
        }
        let is_last = self.step.load(Ordering::Relaxed) as usize + 1 >= self.settings.steps.len();
        match (is_last, self.per_cent()) {
            (true, 100) => Verdict::Promote,
            (true, _) => Verdict::Wait,
            (false, _) => Verdict::Raise,
        }
    }
}

impl CanarySide {
    pub(crate) fn decided(&self, is_unroutable: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if is_unroutable {
            self.unroutable.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn failed(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// FNV-1a over 64 bits: the same in every version and on every machine.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finalizer of SplitMix64: neighbours come out far apart.
fn mixed(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A decision in words.
pub(crate) fn told(names: Vec<String>, failure: Option<&Failure>) -> Vec<String> {
    match failure {
        Some(Failure { cause, .. }) => vec![format!("({})", FailureCause::name(*cause))],
        None => names,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shunt_types::{PropertiesRef, VhostName};

    fn canary(field: Option<&str>, per_cent: u32) -> Canary {
        let settings = CanarySettings {
            version: 2,
            field: field.map(str::to_owned),
            steps: vec![per_cent, 100],
            interval_ms: 1_000,
            bounds: CanaryBounds::default(),
        };
        settings.check().unwrap();
        Canary::new(settings, 0)
    }

    fn takes(canary: &Canary, key: &str) -> bool {
        canary.takes(&Header {
            vhost: &VhostName::new("/").unwrap(),
            exchange: "e",
            routing_keys: &[key],
            properties: PropertiesRef::EMPTY,
            body_size: 0,
            user: "u",
            now_ms: 0,
            random: 0,
        })
    }

    #[test]
    fn a_value_keeps_its_side_and_the_share_is_about_right() {
        let (low, high) = (canary(Some("routing_key"), 10), canary(Some("routing_key"), 60));
        let keys: Vec<_> = (0..10_000).map(|n| format!("key-{n}")).collect();
        let taken: Vec<_> = keys.iter().filter(|key| takes(&low, key)).collect();
        assert!((900..1_100).contains(&taken.len()), "{}", taken.len());
        assert!(taken.iter().all(|key| takes(&low, key) && takes(&high, key)));
        let each = canary(None, 25);
        let count = (0..10_000).filter(|_| takes(&each, "same")).count();
        assert!((2_300..2_700).contains(&count), "{count}");
    }

    #[test]
    fn a_step_ends_after_its_time_and_enough_messages() {
        let canary = canary(None, 10);
        canary.step_since_ms.store(5_000, Ordering::Relaxed);
        assert_eq!(canary.judge(9_000), Verdict::Wait);
        (0..100).for_each(|_| canary.candidate.decided(false));
        assert_eq!(canary.judge(5_999), Verdict::Wait);
        assert_eq!(canary.judge(6_000), Verdict::Raise);
        canary.step.store(1, Ordering::Relaxed);
        assert_eq!(canary.judge(6_000), Verdict::Promote);
    }

    #[track_caller]
    fn check_taken_back(canary: &Canary, part: &str) {
        match canary.judge(0) {
            Verdict::TakeBack(reason) => assert!(reason.contains(part), "{reason}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bound_that_is_passed_takes_it_back_at_once() {
        let failing = canary(None, 10);
        failing.candidate.failed();
        assert_eq!(failing.judge(0), Verdict::Wait);
        failing.candidate.failed();
        check_taken_back(&failing, "2.00 % of its messages failed");

        let unroutable = canary(None, 10);
        (0..200).for_each(|n| unroutable.candidate.decided(n % 10 == 0));
        check_taken_back(&unroutable, "10.00 % of its messages are unroutable");
        (0..1_000).for_each(|n| unroutable.active.decided(n % 10 == 0));
        assert_eq!(unroutable.judge(0), Verdict::Wait);

        let slow = canary(None, 10);
        for _ in 0..200 {
            slow.candidate.decided(false);
            slow.candidate.times.add(10_000);
            slow.active.times.add(1_000);
        }
        check_taken_back(&slow, "5 times that is the bound");
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        let with = |change: fn(&mut CanarySettings)| {
            let mut settings = canary(None, 10).settings;
            change(&mut settings);
            settings.check().unwrap_err()
        };
        assert!(with(|s| s.steps = vec![5, 5]).contains("that rise"));
        assert!(with(|s| s.steps = vec![0]).contains("from 1 to 100"));
        assert!(with(|s| s.field = Some("body".into())).contains("'body'"));
        assert!(with(|s| s.bounds.failed_per_cent = f64::NAN).contains("numbers"));
    }
}
