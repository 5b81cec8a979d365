//! The exchange type `x-wasm`: a route decides.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shunt_routing::{
    Binding, Destination, ExchangeSpec, ExchangeType, Failure, FailureCause, Header, Matcher,
    OnFailure, Topology,
};
use shunt_types::Value;

use crate::answer::{Pick, bad};
use crate::answers::Found;
use crate::clock;
use crate::counters::Counts;
use crate::engine::Runtime;
use crate::guards::different;
use crate::list::BindingList;
use crate::local::{self, Local, Ready, Role};
use crate::log::LogLevel;
use crate::registry::Routes;
use crate::state::StateMap;
use crate::store::Destinations;
use crate::version::{Route, Version};

/// The argument that names the route.
const ROUTE: &str = "x-route";
/// The argument that names the failure policy.
const ON_FAILURE: &str = "x-on-failure";

/// The exchange type `x-wasm`.
pub struct XWasm {
    routes: Arc<Routes>,
}

impl XWasm {
    /// The exchange type over a registry of routes.
    pub fn new(routes: Arc<Routes>) -> Self {
        Self { routes }
    }
}

impl ExchangeType for XWasm {
    fn name(&self) -> &'static str {
        "x-wasm"
    }

    fn fixed_arguments(&self) -> &'static [&'static str] {
        // The route is part of what the exchange is.
        &["x-route"]
    }

    fn create(&self, spec: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        let name = text(spec, ROUTE)?.ok_or_else(|| {
            format!("an exchange of type 'x-wasm' needs the argument '{ROUTE}', a route's name")
        })?;
        let policy = text(spec, ON_FAILURE)?.map(OnFailure::parse).transpose()?;
        let exchange = RouteExchange::new(&self.routes, spec, name, policy.unwrap_or_default());
        let exchange = Arc::new(exchange);
        if !self.routes.is_recovering()
            && let Err(reason) = exchange.check()
        {
            // The name may be nobody's.
            drop(exchange);
            self.routes.prune();
            return Err(reason);
        }
        let bindings = BindingList::default();
        Ok(Box::new(RouteMatcher { exchange, bindings, revision: next_revision() }))
    }
}

fn text<'a>(spec: &'a ExchangeSpec, argument: &str) -> Result<Option<&'a str>, String> {
    let Some(value) = spec.arguments.get(argument) else { return Ok(None) };
    let wrong = |found: &Value| {
        format!("invalid arg '{argument}': a string is expected, found {}", found.type_name())
    };
    value.as_text().map(Some).ok_or_else(|| wrong(value))
}

/// Ids of exchanges in the tables of the threads; unlike an `ExchangeId`, unique over the virtual
/// hosts and known before the exchange is stored.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// No two sets of bindings share a revision, not even those of two clones of one matcher.
fn next_revision() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What all matchers of one exchange share.
pub(crate) struct RouteExchange {
    pub(crate) id: u64,
    on_failure: OnFailure,
    /// The map of routes with the capability `state`.
    pub(crate) state: Arc<StateMap>,
    pub(crate) route: Arc<Route>,
    pub(crate) spec: ExchangeSpec,
    pub(crate) runtime: Arc<Runtime>,
}

impl RouteExchange {
    fn new(routes: &Routes, spec: &ExchangeSpec, route: &str, on_failure: OnFailure) -> Self {
        let route = routes.route(&spec.vhost, route);
        route.exchanges.fetch_add(1, Ordering::Relaxed);
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            on_failure,
            state: Arc::default(),
            route,
            spec: spec.clone(),
            runtime: Arc::clone(&routes.runtime),
        }
    }

    /// Whether the route takes the exchange; its reason is the client's.
    fn check(self: &Arc<Self>) -> Result<(), String> {
        let route = &self.route;
        let active = route.active.load_full().ok_or_else(|| {
            format!("no active route '{}' in vhost '{}'", route.name, route.vhost)
        })?;
        let configured = active.instance(&self.runtime.ticker).and_then(|mut live| {
            live.share(&self.state);
            live.configure(&self.spec)
        });
        configured.map_err(|failure| reason(&route.name, &failure))
    }
}

impl Drop for RouteExchange {
    fn drop(&mut self) {
        self.route.exchanges.fetch_sub(1, Ordering::Relaxed);
        local::changed();
    }
}

/// A route's own reason is the text; any other failure is told as what it is.
fn reason(route: &str, failure: &Failure) -> String {
    match failure.cause {
        FailureCause::Refused => format!("route '{route}' refuses: {}", failure.detail),
        _ => format!("route '{route}' failed: {failure}"),
    }
}

/// The bindings of one `x-wasm` exchange.
pub(crate) struct RouteMatcher {
    pub(crate) exchange: Arc<RouteExchange>,
    /// In the order in which they were bound; a binding's place is its index for the route.
    pub(crate) bindings: BindingList,
    pub(crate) revision: u64,
}

impl Matcher for RouteMatcher {
    fn validate_binding(&self, binding: &Binding) -> Result<(), String> {
        let exchange = &self.exchange;
        let checked = local::with(exchange, Role::Active, |local| {
            let checked = local.configured(exchange).and_then(|live| live.check_binding(binding));
            checked.map_err(|failure| local.after(failure))
        });
        checked.map_err(|failure| reason(&exchange.route.name, &failure))
    }

    fn bind(&mut self, binding: &Arc<Binding>) {
        self.bindings.push(binding);
        self.revision = next_revision();
    }

    fn unbind(&mut self, binding: &Binding) {
        self.bindings.remove(binding);
        self.revision = next_revision();
    }

    fn matches(
        &self,
        header: &Header<'_>,
        topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        let before = destinations.len();
        let decided = if self.exchange.route.is_observed.load(Ordering::Relaxed) {
            self.observed(header, topology, destinations)
        } else {
            self.decide(Role::Active, header, topology, destinations)
        };
        if decided.is_err() && self.exchange.on_failure == OnFailure::Previous {
            destinations.truncate(before);
            if self.decide(Role::Previous, header, topology, destinations).is_ok() {
                return Ok(());
            }
        }
        decided
    }

    fn boxed_clone(&self) -> Box<dyn Matcher> {
        Box::new(Self {
            exchange: Arc::clone(&self.exchange),
            bindings: self.bindings.clone(),
            revision: self.revision,
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl RouteMatcher {
    /// Asks the version that has the role now.
    #[inline]
    pub(crate) fn decide(
        &self,
        role: Role,
        header: &Header<'_>,
        topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        let routed = local::with(&self.exchange, role, |local| {
            let is_measured = local.counts.call();
            let start = is_measured.then(|| (clock::thread_cpu_ns(), clock::monotonic_ns()));
            let routed = self.route(local, header, topology, destinations).map_err(|failure| {
                local.counts.failure(failure.cause);
                local.after(failure)
            });
            if let Some((cpu_ns, wall_ns)) = start {
                let wall_ns = clock::monotonic_ns().saturating_sub(wall_ns);
                let cpu_ns = clock::thread_cpu_ns().saturating_sub(cpu_ns);
                local.counts.measured(cpu_ns, wall_ns);
            }
            routed
        });
        routed.map_err(|failure| *failure)
    }

    #[inline]
    fn route(
        &self,
        local: &mut Local,
        header: &Header<'_>,
        topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        let Ready { live, destinations: bound, answers, guards, version, counts } =
            local.ready(&self.exchange, &self.bindings, self.revision)?;
        let fields = &version.module()?.description.reads;
        let mut missing = None;
        let mut answers = answers;
        if let Some(answers) = answers.as_deref_mut() {
            match answers.find(&version.key_fields, header) {
                Found::Answer(answer) => {
                    counts.cache_hit();
                    destinations.extend_from_slice(answer);
                    return Ok(());
                }
                Found::Missing(place) => missing = Some(place),
                Found::Nothing => {}
            }
        }
        let before = destinations.len();
        let mut names_queues = false;
        let mut broken = 0;
        live.route(fields, header, |pick| {
            destinations.push(match pick {
                Pick::Binding(index) => {
                    broken |= guards.map_or(0, |guards| guards.of(index));
                    lead(bound, index)?
                }
                Pick::Queue(name) => {
                    names_queues = true;
                    permitted(version.destinations, name)?;
                    broken |= version.guards.broken_by_queue(name);
                    let queue = topology.queue(name).ok_or_else(|| unknown_queue(name))?;
                    Destination::Queue(queue)
                }
            });
            Ok(())
        })?;
        if guards.is_some() {
            check_guards(version, counts, broken, &destinations[before..], header)?;
        }
        if let (Some(place), Some(answers)) = (missing, answers) {
            counts.cache_miss();
            // What a name stands for changes without the bindings.
            if !names_queues && !live.has_logged() {
                answers.keep(&place, &destinations[before..]);
            }
        }
        Ok(())
    }
}

/// Where the binding at an index leads.
#[inline]
fn lead(bound: &[Destination], index: u64) -> Result<Destination, Failure> {
    let destination = usize::try_from(index).ok().and_then(|index| bound.get(index));
    destination.copied().ok_or_else(|| no_binding(index, bound.len()))
}

/// An answer that is kept has passed here: its key has the fields that guards compare.
fn check_guards(
    version: &Version,
    counts: &Counts,
    broken: u32,
    picked: &[Destination],
    header: &Header<'_>,
) -> Result<(), Failure> {
    let count = || different(picked.iter());
    version.guards.check(broken, picked.len(), count, header).map_err(|broken| {
        if let Some(times) = counts.guard(broken.index, clock::monotonic_ns()) {
            let text = format!("{} ({times} since the last such line)", broken.failure.detail);
            version.terms.log.write(LogLevel::Warn, text.as_bytes());
        }
        broken.failure
    })
}

#[cold]
fn no_binding(index: u64, bindings: usize) -> Failure {
    bad(format!("index {index}, and the exchange has {bindings} bindings"))
}

/// The binding at an index that a guest gave.
pub(crate) fn bound(bindings: &[Arc<Binding>], index: u64) -> Result<&Arc<Binding>, Failure> {
    let binding = usize::try_from(index).ok().and_then(|index| bindings.get(index));
    binding.ok_or_else(|| no_binding(index, bindings.len()))
}

/// Whether a route with this setting may name a queue.
pub(crate) fn permitted(destinations: Destinations, name: &str) -> Result<(), Failure> {
    match destinations {
        Destinations::Any => Ok(()),
        Destinations::Bound => {
            let detail = format!("names the queue '{}', and may answer by index only", cut(name));
            Err(Failure::new(FailureCause::NotPermitted, detail))
        }
    }
}

pub(crate) fn unknown_queue(name: &str) -> Failure {
    Failure::new(FailureCause::UnknownQueue, format!("no queue '{}'", cut(name)))
}

/// A name that a guest gave, no longer than a name can be.
fn cut(name: &str) -> &str {
    let end = (0..=name.len().min(255)).rev().find(|&end| name.is_char_boundary(end));
    &name[..end.unwrap_or(0)]
}
