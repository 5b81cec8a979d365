//! Modules run at a developer's desk, by the code that runs them in a broker, without one.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use shunt_routing::{Binding, Destination, ExchangeSpec, Failure, FailureCause, Header};
use shunt_types::VhostName;

use crate::answer::Pick;
use crate::artifact::Artifacts;
use crate::clock;
use crate::dry_run::DryRunDestination;
use crate::engine::Runtime;
use crate::error::{DeployError, RouteError};
use crate::exchange::{bound, permitted};
use crate::files::sha256_hex;
use crate::guards::{GuardTable, Guards, different};
use crate::instance::{Instance, Terms};
use crate::limits::{FUEL_PER_US, RouteLimits};
use crate::log::{CollectedLog, LogGate, RouteLog, RouteRef};
use crate::module::RouteModule;
use crate::registry::Routes;
use crate::store::Destinations;
use crate::view::ModuleView;

/// What a desk's routes are measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metering {
    /// Fuel, the same on every machine: the module is compiled with counters in its code.
    Fuel,
    /// Time: the code that a broker runs.
    Time,
}

/// Where modules are run without a broker.
pub struct Desk {
    runtime: Arc<Runtime>,
    artifacts: Artifacts,
    limits: RouteLimits,
    log: Arc<dyn RouteLog>,
}

/// A module that is loaded at a desk, with all capabilities that it wants.
pub struct DeskRoute {
    runtime: Arc<Runtime>,
    module: Arc<RouteModule>,
    terms: Terms,
    metering: Metering,
    destinations: Destinations,
    guards: Guards,
}

/// A route with an exchange and its bindings, ready to decide.
pub struct DeskExchange<'a> {
    route: &'a DeskRoute,
    spec: ExchangeSpec,
    bindings: Vec<Arc<Binding>>,
    guards: Option<GuardTable>,
    /// The guard that the last decision broke.
    broken: Option<usize>,
    /// None after a failure that left it unfit, until the next call.
    instance: Option<Instance>,
    fuel: u64,
}

impl Desk {
    /// A desk that keeps compiled code in `cache`, where only its user may write: it is native
    /// code.
    ///
    /// # Errors
    /// The system refuses the engine its memory or its thread.
    pub fn open(cache: PathBuf, limits: RouteLimits, log: Arc<dyn RouteLog>) -> io::Result<Self> {
        let runtime = Runtime::new().map_err(|error| io::Error::other(format!("{error:#}")))?;
        Ok(Self { runtime: Arc::new(runtime), artifacts: Artifacts::new(cache), limits, log })
    }

    /// Checks and compiles a module as a deployment does. It may name any queue, so that a test
    /// sees what it names, where `destinations` allows it.
    ///
    /// # Errors
    /// What a deployment would refuse.
    pub fn load(
        &self,
        bytes: &[u8],
        metering: Metering,
        destinations: Destinations,
    ) -> Result<DeskRoute, DeployError> {
        let size = bytes.len() as u64;
        if size > self.limits.module_bytes {
            return Err(DeployError::TooLarge { size, maximum: self.limits.module_bytes });
        }
        let sha256 = sha256_hex(bytes);
        let vhost =
            VhostName::new("/").map_err(|error| DeployError::Description(error.to_string()))?;
        let route = RouteRef { vhost, name: "desk".into(), version: 1 };
        let gate = LogGate::new(Arc::clone(&self.log), route, self.limits.log_bytes_per_second);
        let mut terms = Terms {
            limits: self.limits,
            granted: crate::capability::Capabilities::NONE,
            log: Arc::new(gate),
        };
        let module = RouteModule::new(&self.runtime, &self.artifacts, &sha256, bytes, &terms)?;
        module.check_grants(module.description.wants)?;
        terms.granted = module.description.wants;
        if metering == Metering::Fuel {
            module
                .for_dry_run(&self.runtime, &self.artifacts, || Ok(bytes.to_vec()))
                .map_err(DeployError::Unreadable)?;
        }
        let runtime = Arc::clone(&self.runtime);
        let module = Arc::new(module);
        let guards = Guards::default();
        Ok(DeskRoute { runtime, module, terms, metering, destinations, guards })
    }
}

impl Routes {
    /// A deployed version as at a desk: what it decides there is neither delivered nor counted,
    /// and what it logs is dropped. Without a number it is the active version.
    ///
    /// # Errors
    /// There is no such version, or it can't run.
    pub fn desk_route(
        &self,
        vhost: &VhostName,
        name: &str,
        version: Option<u32>,
        metering: Metering,
    ) -> Result<DeskRoute, RouteError> {
        let (_, version) = self.find(vhost, name, version)?;
        let unavailable = |reason: String| RouteError::Unavailable {
            name: name.to_owned(),
            version: version.route.version,
            reason,
        };
        let module = version.module.as_ref().map_err(|reason| unavailable(reason.clone()))?;
        if metering == Metering::Fuel {
            let bytes = || self.files.get(&module.sha256);
            module.for_dry_run(&self.runtime, &self.artifacts, bytes).map_err(unavailable)?;
        }
        let limits = version.terms.limits;
        let sink = Arc::new(CollectedLog::default());
        let log = LogGate::new(sink, version.route.clone(), limits.log_bytes_per_second);
        Ok(DeskRoute {
            runtime: Arc::clone(&self.runtime),
            module: Arc::clone(module),
            terms: Terms { limits, granted: version.terms.granted, log: Arc::new(log) },
            metering,
            destinations: version.destinations,
            guards: version.guards.clone(),
        })
    }
}

impl DeskRoute {
    /// The route under these guards, in the place of any others.
    #[must_use]
    pub fn guarded(self, guards: Guards) -> Self {
        Self { guards, ..self }
    }

    pub(crate) fn guards(&self) -> &Guards {
        &self.guards
    }

    /// What the module says about itself.
    pub fn module(&self) -> ModuleView {
        let description = &self.module.description;
        ModuleView {
            name: description.name.clone(),
            version: description.version.clone(),
            reads: description.reads.iter().map(ToString::to_string).collect(),
            wants: description.wants,
        }
    }

    /// Declares an exchange of the route and binds to it, as clients would.
    ///
    /// # Errors
    /// The route refuses the exchange or a binding, or fails.
    pub fn declare(
        &self,
        spec: ExchangeSpec,
        bindings: Vec<Arc<Binding>>,
    ) -> Result<DeskExchange<'_>, Failure> {
        let guards = self.guards.table(&bindings);
        let mut exchange = DeskExchange {
            route: self,
            spec,
            bindings: Vec::new(),
            guards,
            broken: None,
            instance: None,
            fuel: 0,
        };
        exchange.ready()?;
        for binding in &bindings {
            exchange.check_binding(binding)?;
        }
        exchange.bindings = bindings;
        exchange.instance = None;
        exchange.ready()?;
        Ok(exchange)
    }

    fn instance(&self) -> Result<Instance, Failure> {
        let unavailable = |reason: String| Failure::new(FailureCause::Unavailable, reason);
        let ticker = Arc::clone(&self.runtime.ticker);
        match self.metering {
            Metering::Time => Instance::new(&self.module.prepared, &self.terms, ticker),
            Metering::Fuel => {
                // It was compiled when the route was loaded, so that nothing is read here.
                let none = Artifacts::new(PathBuf::new());
                let missing = || Err("the module isn't compiled with fuel".to_owned());
                let prepared = self.module.for_dry_run(&self.runtime, &none, missing);
                Instance::new(prepared.map_err(unavailable)?, &self.terms, ticker)
            }
        }
    }
}

impl DeskExchange<'_> {
    /// The bindings, in the order of their indexes.
    pub fn bindings(&self) -> &[Arc<Binding>] {
        &self.bindings
    }

    /// Asks about one more binding, which is not bound.
    ///
    /// # Errors
    /// The route refuses it, or fails.
    pub fn check_binding(&mut self, binding: &Binding) -> Result<(), Failure> {
        let checked = self.ready()?.check_binding(binding);
        self.after(checked)
    }

    /// Asks for one decision, whose destinations take the place of those in `destinations`.
    ///
    /// # Errors
    /// The route fails to decide; there are no destinations then.
    pub fn decide(
        &mut self,
        header: &Header<'_>,
        destinations: &mut Vec<DryRunDestination>,
    ) -> Result<(), Failure> {
        destinations.clear();
        self.fuel = 0;
        self.broken = None;
        self.ready()?;
        let Some(instance) = &mut self.instance else { return Ok(()) };
        let (bindings, route, guards) = (&self.bindings, self.route, self.guards.as_ref());
        let mut broken = 0;
        let decided = instance.route(&route.module.description.reads, header, |pick| {
            destinations.push(match pick {
                Pick::Binding(index) => {
                    broken |= guards.map_or(0, |guards| guards.of(index));
                    let binding = bound(bindings, index)?;
                    DryRunDestination {
                        is_queue: matches!(binding.destination, Destination::Queue(_)),
                        name: Arc::clone(&binding.destination_name),
                        binding: usize::try_from(index).ok(),
                    }
                }
                Pick::Queue(name) => {
                    permitted(route.destinations, name)?;
                    broken |= route.guards.broken_by_queue(name);
                    DryRunDestination { is_queue: true, name: name.into(), binding: None }
                }
            });
            Ok(())
        });
        if route.metering == Metering::Fuel {
            let given = route.terms.limits.call_cpu_time_us.saturating_mul(FUEL_PER_US);
            self.fuel = given.saturating_sub(instance.fuel_left());
        }
        let decided = decided.and_then(|()| {
            let count = || different(destinations.iter().map(|d| (d.is_queue, &d.name)));
            let checked = route.guards.check(broken, destinations.len(), count, header);
            checked.map_err(|broken| {
                self.broken = Some(broken.index);
                broken.failure
            })
        });
        if decided.is_err() {
            destinations.clear();
        }
        self.after(decided)
    }

    /// The name of the guard that the last decision broke.
    pub(crate) fn broken_guard(&self) -> Option<&str> {
        self.broken.map(|index| self.route.guards.name(index))
    }

    /// Fuel of the last decision; 0 where fuel isn't measured.
    pub fn fuel(&self) -> u64 {
        self.fuel
    }

    /// Bytes of linear memory of the instance that decides; 0 where a failure has ended it.
    pub fn memory_bytes(&mut self) -> u64 {
        self.instance.as_mut().map_or(0, |instance| instance.memory_bytes() as u64)
    }

    /// Nanoseconds of a clock that only goes forward, to measure decisions by.
    pub fn clock_ns() -> u64 {
        clock::monotonic_ns()
    }

    fn ready(&mut self) -> Result<&mut Instance, Failure> {
        let fresh = match self.instance.take() {
            Some(instance) => instance,
            None => {
                let mut instance = self.route.instance()?;
                instance.configure(&self.spec)?;
                instance.bindings(&self.bindings)?;
                instance
            }
        };
        Ok(self.instance.insert(fresh))
    }

    /// A reason is an answer like another; after anything else the instance may be unfit.
    fn after(&mut self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        if outcome.as_ref().is_err_and(|failure| failure.cause != FailureCause::Refused) {
            self.instance = None;
        }
        outcome
    }
}
