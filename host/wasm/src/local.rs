//! The instances of this thread: one for each exchange that it routes for.
//!
//! A shard finds its instance here without a lock. Instances of exchanges that are gone, and of
//! versions that decide no longer, are freed at the thread's next call after the change.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::{ArcSwapOption, Cache};
use shunt_routing::{Destination, Failure, FailureCause};

use crate::answers::Answers;
use crate::breaker::Breaker;
use crate::capability::Capabilities;
use crate::clock;
use crate::counters::{Counters, Counts};
use crate::exchange::RouteExchange;
use crate::guards::GuardTable;
use crate::limits::SETUP_RETRY_NS;
use crate::list::BindingList;
use crate::log::LogLevel;
use crate::version::{Live, Route, Version};

thread_local! {
    static INSTANCES: RefCell<Instances> = const { RefCell::new(Instances::new()) };
}

/// Counts changes after which some thread may hold instances for nothing.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// Says that an exchange is gone or another version decides.
pub(crate) fn changed() {
    CHANGES.fetch_add(1, Ordering::Release);
}

/// Frees this thread's instances that nothing needs any more. A thread that goes on routing does
/// so by itself; one that may fall idle calls this from time to time.
pub fn release_instances() {
    // A thread that is ending drops them all anyway.
    let _ = INSTANCES.try_with(|instances| {
        if let Ok(mut instances) = instances.try_borrow_mut() {
            instances.sweep();
        }
    });
}

/// As what a version is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It decides.
    Active,
    /// It decides about the part of the messages that its canary has.
    Candidate,
    /// Its answers are looked at, and go nowhere.
    Shadow,
    /// It decided before, and decides where the active one fails.
    Previous,
}

impl Role {
    const COUNT: u64 = 4;

    /// Where the version stands that has this role.
    fn version(self, route: &Route) -> &Arc<ArcSwapOption<Version>> {
        match self {
            Self::Active => &route.active,
            Self::Candidate | Self::Shadow => &route.candidate,
            Self::Previous => &route.previous,
        }
    }

    fn counters(self, version: &Version) -> &Counters {
        match self {
            Self::Active | Self::Candidate | Self::Previous => &version.counters,
            Self::Shadow => &version.shadow_counters,
        }
    }
}

struct Instances {
    seen: u64,
    entries: HashMap<u64, Local, BuildHasherDefault<IdHasher>>,
}

impl Instances {
    const fn new() -> Self {
        Self { seen: 0, entries: HashMap::with_hasher(BuildHasherDefault::new()) }
    }

    #[inline]
    fn sweep(&mut self) {
        let changes = CHANGES.load(Ordering::Acquire);
        if changes != self.seen {
            self.seen = changes;
            self.entries.retain(|_, local| local.is_needed());
        }
    }

    /// What there is for the exchange under the version that decides; none where none decides.
    #[inline]
    fn of(&mut self, exchange: &Arc<RouteExchange>, role: Role) -> Option<&mut Local> {
        match self.entries.entry(exchange.id * Role::COUNT + role as u64) {
            Slot::Occupied(slot) => {
                let local = slot.into_mut();
                if !local.is_current()? {
                    *local = Local::new(exchange, role)?;
                }
                Some(local)
            }
            Slot::Vacant(slot) => Local::new(exchange, role).map(|local| slot.insert(local)),
        }
    }
}

/// What this thread has for one exchange and one version.
pub(crate) struct Local {
    exchange: Weak<RouteExchange>,
    role: Role,
    /// Sees with one plain load whether another version decides.
    active: Cache<Arc<ArcSwapOption<Version>>, Option<Arc<Version>>>,
    pub(crate) version: Arc<Version>,
    pub(crate) counts: Arc<Counts>,
    breaker: Breaker,
    state: State,
}

enum State {
    Empty,
    Ready {
        live: Box<Live>,
        /// The bindings that the instance knows; 0 for none yet.
        revision: u64,
        /// Where these bindings lead, by their indexes: a message finds them in one step.
        destinations: Box<[Destination]>,
        /// What it answered under these bindings; none for a route that is no function of its
        /// fields.
        answers: Option<Box<Answers>>,
        /// What its guards say of these bindings; none where it has none.
        guards: Option<GuardTable>,
    },
    /// The instance couldn't be made. It isn't tried again for each message: a set-up that runs
    /// into its time limit would take the whole thread.
    Failed {
        failure: Failure,
        revision: u64,
        retry_at_ns: u64,
    },
}

/// Runs `call` with what this thread has for the exchange under the version that decides now.
///
/// A failure is boxed on its way: a result of its whole size, handed from function to function,
/// costs a message that doesn't fail more than all else that is done here.
#[inline]
pub(crate) fn with<R>(
    exchange: &Arc<RouteExchange>,
    role: Role,
    call: impl FnOnce(&mut Local) -> Result<R, Box<Failure>>,
) -> Result<R, Box<Failure>> {
    let run = |instances: &RefCell<Instances>| {
        let Ok(mut instances) = instances.try_borrow_mut() else {
            return Err(unavailable("a route is running on this thread"));
        };
        instances.sweep();
        match instances.of(exchange, role) {
            Some(local) => call(local),
            None => Err(inactive(exchange, role)),
        }
    };
    INSTANCES.try_with(run).unwrap_or_else(|_| Err(unavailable("this thread is ending")))
}

#[cold]
fn inactive(exchange: &RouteExchange, role: Role) -> Box<Failure> {
    match role {
        Role::Active => {}
        // The rollout has just ended.
        Role::Candidate | Role::Shadow => return unavailable("there is no candidate"),
        Role::Previous => return unavailable("no version decided before"),
    }
    exchange.route.unavailable.fetch_add(1, Ordering::Relaxed);
    unavailable(&format!("no version of route '{}' is active", exchange.route.name))
}

#[cold]
fn unavailable(why: &str) -> Box<Failure> {
    Box::new(Failure::new(FailureCause::Unavailable, why))
}

impl Local {
    /// For the version that decides now, if there is one.
    #[cold]
    fn new(exchange: &Arc<RouteExchange>, role: Role) -> Option<Self> {
        let mut active = Cache::new(Arc::clone(role.version(&exchange.route)));
        let version = Arc::clone(active.load().as_ref()?);
        let counts = role.counters(&version).open();
        let exchange = Arc::downgrade(exchange);
        let breaker = Breaker::new(&version.terms.limits);
        let state = State::Empty;
        Some(Self { exchange, role, active, version, counts, breaker, state })
    }

    /// Whether the version still decides; nothing where none does.
    #[inline]
    fn is_current(&mut self) -> Option<bool> {
        let active = self.active.load().as_ref()?;
        Some(Arc::ptr_eq(active, &self.version))
    }

    fn is_needed(&self) -> bool {
        let decides = |active: &Arc<Version>| Arc::ptr_eq(active, &self.version);
        self.exchange.strong_count() > 0
            && self.active.arc_swap().load().as_ref().is_some_and(decides)
    }

    /// The instance, configured and with the bindings of that revision, and its answers.
    #[inline]
    pub(crate) fn ready(
        &mut self,
        exchange: &RouteExchange,
        bindings: &BindingList,
        wanted: u64,
    ) -> Result<Ready<'_>, Failure> {
        if self.breaker.is_tripped() {
            self.check_breaker()?;
        }
        if !matches!(&self.state, State::Ready { revision, .. } if *revision == wanted) {
            self.prepare(exchange, bindings, wanted)?;
        }
        match &mut self.state {
            State::Ready { live, destinations, answers, guards, .. } => Ok(Ready {
                live,
                destinations,
                answers: answers.as_deref_mut(),
                guards: guards.as_ref(),
                version: &self.version,
                counts: &self.counts,
            }),
            _ => Err(Failure::new(FailureCause::Unavailable, "there is no instance")),
        }
    }

    #[cold]
    fn check_breaker(&mut self) -> Result<(), Failure> {
        if !self.breaker.is_open(clock::monotonic_ns(), self.counts.calls()) {
            return Ok(());
        }
        let detail = "the route failed too often and rests: 'breaker_failures'";
        Err(Failure::new(FailureCause::Unavailable, detail))
    }

    #[cold]
    fn prepare(
        &mut self,
        exchange: &RouteExchange,
        bindings: &BindingList,
        wanted: u64,
    ) -> Result<(), Failure> {
        if let State::Failed { failure, revision, retry_at_ns } = &self.state
            && *revision == wanted
            && clock::monotonic_ns() < *retry_at_ns
        {
            return Err(failure.clone());
        }
        let bindings: Vec<_> = bindings.iter().cloned().collect();
        let loads = exchange.runtime.gauges(self.version.terms.granted, &bindings);
        let prepared = self.configured(exchange).and_then(|live| {
            live.watch(loads);
            live.bindings(&bindings)
        });
        match prepared {
            Ok(()) => {
                let limits = &self.version.terms.limits;
                let is_function = self.version.terms.granted == Capabilities::NONE;
                if let State::Ready { revision, destinations, answers, guards, .. } =
                    &mut self.state
                {
                    *destinations = bindings.iter().map(|binding| binding.destination).collect();
                    *guards = self.version.guards.table(&bindings);
                    *revision = wanted;
                    let entries = if is_function { limits.cache_entries } else { 0 };
                    *answers = Answers::new(entries).map(Box::new);
                }
                Ok(())
            }
            Err(failure) => {
                let retry_at_ns = clock::monotonic_ns().saturating_add(SETUP_RETRY_NS);
                let kept = failure.clone();
                self.state = State::Failed { failure: kept, revision: wanted, retry_at_ns };
                Err(failure)
            }
        }
    }

    /// An instance that knows its exchange, whatever bindings it knows.
    pub(crate) fn configured(&mut self, exchange: &RouteExchange) -> Result<&mut Live, Failure> {
        if !matches!(self.state, State::Ready { .. }) {
            let mut live = Box::new(self.version.instance(&exchange.runtime.ticker)?);
            // What a shadow writes goes nowhere either.
            if self.role != Role::Shadow {
                live.share(&exchange.state);
            }
            live.configure(&exchange.spec)?;
            let destinations = Box::default();
            let (answers, guards) = (None, None);
            self.state = State::Ready { live, revision: 0, destinations, answers, guards };
        }
        match &mut self.state {
            State::Ready { live, .. } => Ok(live),
            _ => Err(Failure::new(FailureCause::Unavailable, "there is no instance")),
        }
    }

    /// Throws the instance away if the failure left it unfit, and lets a route rest that keeps
    /// failing so.
    #[cold]
    pub(crate) fn after(&mut self, failure: Failure) -> Box<Failure> {
        let is_costly = matches!(
            failure.cause,
            FailureCause::Trap | FailureCause::Timeout | FailureCause::Memory
        );
        if is_costly
            && let Some(pause_ms) =
                self.breaker.failed(clock::monotonic_ns(), self.counts.calls(), failure.cause)
        {
            let text = format!("it failed too often and rests for {pause_ms} ms; last: {failure}");
            self.version.terms.log.write(LogLevel::Error, text.as_bytes());
        }
        if let State::Ready { live, .. } = &self.state
            && live.is_unfit(failure.cause)
        {
            self.state = State::Empty;
        }
        Box::new(failure)
    }
}

/// What a thread decides with.
pub(crate) struct Ready<'a> {
    pub(crate) live: &'a mut Live,
    pub(crate) destinations: &'a [Destination],
    pub(crate) answers: Option<&'a mut Answers>,
    pub(crate) guards: Option<&'a GuardTable>,
    pub(crate) version: &'a Version,
    pub(crate) counts: &'a Counts,
}

impl Drop for Local {
    fn drop(&mut self) {
        self.role.counters(&self.version).close(&self.counts);
    }
}

/// Spreads ids that are counted up; nobody outside chooses them.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(self.0 ^ u64::from(byte)));
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Instances that this thread holds, ready or not.
#[cfg(test)]
pub(crate) fn held() -> usize {
    INSTANCES.with_borrow(|instances| instances.entries.len())
}
