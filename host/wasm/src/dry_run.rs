//! A dry run: one decision of a route, with nothing delivered and nothing counted.

use std::sync::Arc;
use std::time::Duration;

use shunt_routing::{Binding, Destination, ExchangeSpec, Failure, Header};
use shunt_types::QueueGauge;

use crate::answer::Pick;
use crate::capability::Capabilities;
use crate::clock;
use crate::error::RouteError;
use crate::exchange::{bound, permitted, unknown_queue};
use crate::guards::different;
use crate::instance::{Instance, Terms};
use crate::limits::FUEL_PER_US;
use crate::log::{CollectedLog, LogGate, LogLine};
use crate::module::{Prepared, RouteModule};
use crate::registry::Routes;
use crate::version::Version;

/// What a dry run decides about.
#[derive(Clone, Copy)]
pub struct DryRunRequest<'a> {
    /// The route's name.
    pub name: &'a str,
    /// The version; `None` is the one that decides, or the newest where none does.
    pub version: Option<u32>,
    /// The exchange, with its virtual host and arguments. It need not exist.
    pub exchange: &'a ExchangeSpec,
    /// Its bindings. Of a destination's id only the kind counts, so it need not exist either.
    pub bindings: &'a [Arc<Binding>],
    /// The message's header.
    pub header: Header<'a>,
    /// Whether the virtual host has a queue of that name.
    pub queue_exists: &'a dyn Fn(&str) -> bool,
}

/// What a dry run found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRun {
    /// The version that decided.
    pub version: u32,
    /// Where the message would go; empty is unroutable.
    pub destinations: Vec<DryRunDestination>,
    /// Why there was no decision. The exchange's failure policy would decide then.
    pub failure: Option<Failure>,
    /// Fuel of the decision: the same for the same input, on any machine.
    pub fuel: u64,
    /// Processor time of the decision with fuel counted, in nanoseconds.
    pub cpu_time_ns: u64,
    /// What the instance logged, from its start on.
    pub log: Vec<LogLine>,
}

/// A destination by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRunDestination {
    /// Whether it is a queue; else an exchange.
    pub is_queue: bool,
    /// Its name.
    pub name: Arc<str>,
    /// The binding that the route picked; `None` where it named the queue.
    pub binding: Option<usize>,
}

/// What is measured of the decision.
#[derive(Default)]
struct Measured {
    destinations: Vec<DryRunDestination>,
    fuel: u64,
    cpu_time_ns: u64,
}

impl Routes {
    /// Asks a route for one decision, in an instance of its own that counts fuel.
    ///
    /// # Errors
    /// There is no such route or version, or it can't run on this node. A route that fails to
    /// decide is no error: that is what dry runs are for.
    pub fn dry_run(&self, request: &DryRunRequest<'_>) -> Result<DryRun, RouteError> {
        let (_, version) = self.find(&request.exchange.vhost, request.name, request.version)?;
        let number = version.route.version;
        let unavailable = |reason: &str| RouteError::Unavailable {
            name: request.name.to_owned(),
            version: number,
            reason: reason.to_owned(),
        };
        let module = version.module.as_ref().map_err(|reason| unavailable(reason))?;
        let prepared = module
            .for_dry_run(&self.runtime, &self.artifacts, || self.files.get(&module.sha256))
            .map_err(|reason| unavailable(&reason))?;
        let collected = Arc::new(CollectedLog::default());
        let limits = version.terms.limits;
        let sink = Arc::clone(&collected);
        let log = LogGate::new(sink, version.route.clone(), limits.log_bytes_per_second);
        let terms = Terms { limits, granted: version.terms.granted, log: Arc::new(log) };

        let mut measured = Measured::default();
        let decided = self.decide(request, &version, module, prepared, &terms, &mut measured);
        let failure = decided.err();
        if failure.is_some() {
            measured.destinations.clear();
        }
        let Measured { destinations, fuel, cpu_time_ns } = measured;
        let log = collected.take();
        Ok(DryRun { version: number, destinations, failure, fuel, cpu_time_ns, log })
    }

    fn decide(
        &self,
        request: &DryRunRequest<'_>,
        version: &Version,
        module: &RouteModule,
        prepared: &Prepared,
        terms: &Terms,
        measured: &mut Measured,
    ) -> Result<(), Failure> {
        let mut instance = Instance::new(prepared, terms, Arc::clone(&self.runtime.ticker))?;
        instance.watch(self.current_gauges(terms.granted, request.bindings));
        instance.configure(request.exchange)?;
        for binding in request.bindings {
            instance.check_binding(binding)?;
        }
        instance.bindings(request.bindings)?;
        let destinations = &mut measured.destinations;
        let start_ns = clock::thread_cpu_ns();
        let guards = &version.guards;
        let table = guards.table(request.bindings);
        let mut broken = 0;
        let decided = instance.route(&module.description.reads, &request.header, |pick| {
            destinations.push(match pick {
                Pick::Binding(index) => {
                    broken |= table.as_ref().map_or(0, |table| table.of(index));
                    picked(request.bindings, index)?
                }
                Pick::Queue(name) => {
                    permitted(version.destinations, name)?;
                    broken |= guards.broken_by_queue(name);
                    if !(request.queue_exists)(name) {
                        return Err(unknown_queue(name));
                    }
                    DryRunDestination { is_queue: true, name: name.into(), binding: None }
                }
            });
            Ok(())
        });
        measured.cpu_time_ns = clock::thread_cpu_ns().saturating_sub(start_ns);
        let fuel = terms.limits.call_cpu_time_us.saturating_mul(FUEL_PER_US);
        measured.fuel = fuel.saturating_sub(instance.fuel_left());
        decided?;
        let count = || different(destinations.iter().map(|d| (d.is_queue, &d.name)));
        let checked = guards.check(broken, destinations.len(), count, &request.header);
        checked.map_err(|broken| broken.failure)
    }
}

/// How long a dry run waits for the loads of queues that nobody looked at before, in tries of a
/// millisecond.
const LOADS_TRIES: u32 = 100;

impl Routes {
    /// The gauges of the bound queues, once their shards have set them.
    fn current_gauges(
        &self,
        granted: Capabilities,
        bindings: &[Arc<Binding>],
    ) -> Vec<Option<Arc<QueueGauge>>> {
        let gauges = self.runtime.gauges(granted, bindings);
        for _ in 0..LOADS_TRIES {
            if gauges.iter().flatten().all(|gauge| gauge.is_set()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        gauges
    }
}

fn picked(bindings: &[Arc<Binding>], index: u64) -> Result<DryRunDestination, Failure> {
    let binding = bound(bindings, index)?;
    Ok(DryRunDestination {
        is_queue: matches!(binding.destination, Destination::Queue(_)),
        name: Arc::clone(&binding.destination_name),
        binding: usize::try_from(index).ok(),
    })
}
