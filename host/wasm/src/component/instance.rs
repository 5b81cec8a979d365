//! An instance of a component, and the calls of the contract into it.

use std::sync::Arc;

use shunt_routing::{Binding, ExchangeSpec, Failure, FailureCause, Header};
use smallvec::SmallVec;
use wasmtime::{Store, Trap, WasmBacktrace};

use super::contract::shunt::route::types::{self, Destination, Value};
use super::contract::{Route, RoutePre};
use super::direct::{Direct, DirectCode, Lying, Read};
use super::values::{self, Arguments, Nested};
use crate::answer::{Pick, bad};
use crate::call::{self, begin, cut, end, store};
use crate::describe::Description;
use crate::engine::Ticker;
use crate::error::DeployError;
use crate::fields::{Field, FieldValue};
use crate::guest::{Guest, Room};
use crate::instance::Terms;
use crate::limits::RouteLimits;

/// Fields that a call takes without an allocation.
const FIELDS_INLINE: usize = 8;

/// A component's instance with its memories.
pub(crate) struct ComponentInstance {
    store: Store<Guest>,
    exports: Exports,
    /// Nested values of the message, kept from call to call for their room.
    nested: Nested,
    limits: RouteLimits,
    ticker: Arc<Ticker>,
    fuel: bool,
    /// A call ended without an answer: wasmtime lets nobody in again.
    broken: bool,
}

/// The functions of an instance.
#[expect(clippy::large_enum_variant, reason = "there are few, and a box would cost each call")]
enum Exports {
    /// By wasmtime's component model.
    Typed(Route),
    /// By its core functions.
    Direct(Direct),
}

/// Hands a call to the functions of whichever kind.
macro_rules! each {
    ($this:expr, $exports:ident, $store:ident => $typed:expr, $direct:expr) => {
        $this.call(|exports, $store| match exports {
            Exports::Typed($exports) => $typed,
            Exports::Direct($exports) => $direct,
        })
    };
}

impl ComponentInstance {
    /// Makes an instance and starts it; by its core modules where they are known.
    pub(crate) fn new(
        pre: &RoutePre<Guest>,
        direct: Option<&DirectCode>,
        fuel: bool,
        terms: &Terms,
        ticker: Arc<Ticker>,
    ) -> Result<Self, Failure> {
        let limits = terms.limits;
        let room = Room::of_component(&limits);
        let mut store = store(pre.engine(), fuel, terms, room, &ticker);
        store.set_hostcall_fuel(copied_bytes_max(&limits));
        begin(&mut store, &ticker, limits.setup_cpu_time_us, fuel);
        let made = match direct {
            Some(code) => Direct::new(code, &mut store).map(Err),
            None => pre.instance_pre().instantiate(&mut store).map(Ok),
        };
        end(&mut store, &ticker);
        let exports = match made.map_err(|error| call::failure(&store, &error))? {
            Ok(instance) => Exports::Typed(Route::new(&mut store, &instance).map_err(|error| {
                Failure::new(FailureCause::Unavailable, format!("{:#}", error))
            })?),
            Err(direct) => Exports::Direct(direct),
        };
        let nested = Nested::default();
        Ok(Self { store, exports, nested, limits, ticker, fuel, broken: false })
    }

    /// Whether the instance may not be called again.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Asks the component what it is.
    pub(crate) fn describe(&mut self) -> Result<Description, DeployError> {
        let said =
            each!(self, exports, store => exports.call_describe(store), exports.describe(store));
        let said = said.map_err(DeployError::Failed)?;
        let reads: Vec<_> = said.reads.iter().map(String::as_str).collect();
        let wants: Vec<_> = said.wants.iter().map(String::as_str).collect();
        Description::new(&said.name, &said.version, &reads, &wants)
    }

    /// Tells the instance which exchange it is for.
    pub(crate) fn configure(&mut self, exchange: &ExchangeSpec) -> Result<(), Failure> {
        let arguments = Arguments::new(&exchange.arguments).map_err(refused)?;
        let arguments = arguments.list().map_err(refused)?;
        let exchange = values::exchange(exchange, &arguments);
        let told = each!(self, exports, store => exports.call_configure(store, exchange), exports.configure(store, exchange))?;
        self.told(told)
    }

    /// Asks about a binding before it is stored.
    pub(crate) fn check_binding(&mut self, binding: &Binding) -> Result<(), Failure> {
        let arguments = Arguments::of(binding.arguments.as_table()).map_err(refused)?;
        let arguments = arguments.list().map_err(refused)?;
        let binding = values::binding(binding, &arguments);
        let told = each!(self, exports, store => exports.call_check_binding(store, binding), exports.check_binding(store, binding))?;
        self.told(told)
    }

    /// Tells the instance all bindings of its exchange.
    pub(crate) fn bindings(&mut self, bindings: &[Arc<Binding>]) -> Result<(), Failure> {
        let arguments: Result<Vec<_>, _> =
            bindings.iter().map(|binding| Arguments::of(binding.arguments.as_table())).collect();
        let arguments = arguments.map_err(refused)?;
        let lists: Result<Vec<_>, _> = arguments.iter().map(Arguments::list).collect();
        let lists = lists.map_err(refused)?;
        let bindings: Vec<types::Binding<'_>> = bindings
            .iter()
            .zip(&lists)
            .map(|(binding, arguments)| values::binding(binding, arguments))
            .collect();
        let told = each!(self, exports, store => exports.call_bindings(store, &bindings), exports.bindings(store, &bindings))?;
        self.told(told)
    }

    /// Routes one message; each destination of the answer goes to `take`.
    #[inline]
    pub(crate) fn route(
        &mut self,
        fields: &[Field],
        header: &Header<'_>,
        mut take: impl FnMut(Pick<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let found: SmallVec<[FieldValue<'_>; FIELDS_INLINE]> =
            fields.iter().map(|field| field.value(header)).collect();
        self.nested.clear();
        found.iter().for_each(|value| self.nested.push_field(*value));
        let mut nested = self.nested.in_order();
        let values: SmallVec<[Value<'_>; FIELDS_INLINE]> =
            found.iter().map(|value| nested.field(*value)).collect();

        let limits = self.limits;
        begin(&mut self.store, &self.ticker, limits.call_cpu_time_us, self.fuel);
        let answer = match &mut self.exports {
            Exports::Typed(exports) => exports.call_route(&mut self.store, &values),
            Exports::Direct(exports) => {
                let routed = exports.route(&mut self.store, &values, |read, at| {
                    take_lying(read, at, &limits, &mut take)
                });
                end(&mut self.store, &self.ticker);
                drop(values);
                return routed.map_err(|error| self.failed(&error))?;
            }
        };
        end(&mut self.store, &self.ticker);
        drop(values);
        let answer = answer.map_err(|error| self.failed(&error))?;
        let destinations = match answer {
            Ok(destinations) => destinations,
            Err(reason) => return Err(reason_against(reason, &limits)),
        };
        check_size(&destinations, &limits)?;
        destinations.iter().try_for_each(|destination| {
            take(match destination {
                Destination::Binding(index) => Pick::Binding((*index).into()),
                Destination::Queue(name) => Pick::Queue(name),
            })
        })
    }

    /// What the host keeps for the instance.
    pub(crate) fn guest_mut(&mut self) -> &mut Guest {
        self.store.data_mut()
    }

    /// Fuel that the last call left.
    pub(crate) fn fuel_left(&self) -> u64 {
        self.store.get_fuel().unwrap_or(0)
    }

    /// A call that isn't for a message.
    fn call<R>(
        &mut self,
        call: impl FnOnce(&mut Exports, &mut Store<Guest>) -> wasmtime::Result<R>,
    ) -> Result<R, Failure> {
        begin(&mut self.store, &self.ticker, self.limits.setup_cpu_time_us, self.fuel);
        let result = call(&mut self.exports, &mut self.store);
        end(&mut self.store, &self.ticker);
        result.map_err(|error| self.failed(&error))
    }

    /// An answer that may be a reason against.
    fn told(&self, answer: Result<(), String>) -> Result<(), Failure> {
        answer.map_err(|reason| reason_against(reason, &self.limits))
    }

    /// A call that ended without an answer: what went wrong inside is the guest's failure, what
    /// went wrong between its end and the host is an answer that can't be read.
    #[cold]
    fn failed(&mut self, error: &wasmtime::Error) -> Failure {
        self.broken = true;
        let is_inside = error.downcast_ref::<Trap>().is_some()
            || error.downcast_ref::<WasmBacktrace>().is_some();
        if is_inside || self.store.data().room.refused {
            return call::failure(&self.store, error);
        }
        let mut detail = error.root_cause().to_string();
        cut(&mut detail);
        bad(detail)
    }
}

/// Bytes that one call may make the host copy, its answer and what it hands to imports: a list
/// whose strings all lie at the same place is small in the guest and large in the host.
fn copied_bytes_max(limits: &RouteLimits) -> usize {
    let destinations = limits.destinations.saturating_mul(size_of::<Destination>() as u64);
    let bytes = limits.answer_bytes.saturating_add(destinations);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Reads an answer where it lies. The outer result is of what can't be read: such an instance is
/// called no more.
#[inline]
fn take_lying(
    read: Read<'_>,
    at: usize,
    limits: &RouteLimits,
    take: &mut impl FnMut(Pick<'_>) -> Result<(), Failure>,
) -> wasmtime::Result<Result<(), Failure>> {
    let items = match read.routed(at)? {
        Ok(items) => items,
        Err(reason) => {
            let kept = usize::try_from(limits.answer_bytes).unwrap_or(usize::MAX);
            return Ok(Err(match reason.len() > kept {
                true => too_long(reason.len(), limits),
                false => reason_against(reason.to_owned(), limits),
            }));
        }
    };
    let destinations = read.destinations(items);
    if let Err(failure) = check_count(destinations.len(), limits) {
        return Ok(Err(failure));
    }
    // All of them before the first is taken: what is allowed is the whole answer or none of it.
    let length = read.names_length(items);
    if length as u64 > limits.answer_bytes {
        return Ok(Err(too_long(length, limits)));
    }
    for destination in destinations {
        let taken = match destination? {
            Lying::Binding(index) => take(Pick::Binding(index.into())),
            Lying::Queue(name) => take(Pick::Queue(name)),
        };
        if taken.is_err() {
            return Ok(taken);
        }
    }
    Ok(Ok(()))
}

fn check_size(destinations: &[Destination], limits: &RouteLimits) -> Result<(), Failure> {
    check_count(destinations.len(), limits)?;
    let names = destinations.iter().map(|destination| match destination {
        Destination::Binding(_) => 0,
        Destination::Queue(name) => name.len(),
    });
    let length = names.sum::<usize>();
    if length as u64 > limits.answer_bytes { Err(too_long(length, limits)) } else { Ok(()) }
}

fn check_count(count: usize, limits: &RouteLimits) -> Result<(), Failure> {
    let most = limits.destinations;
    if count as u64 > most {
        return Err(bad(format!(
            "the answer has {count} destinations, at most {most} are allowed"
        )));
    }
    Ok(())
}

#[cold]
fn too_long(length: usize, limits: &RouteLimits) -> Failure {
    let most = limits.answer_bytes;
    bad(format!("the answer has {length} bytes, at most {most} are allowed"))
}

/// A route's reason against something, cut to what is kept of it.
#[cold]
fn reason_against(mut reason: String, limits: &RouteLimits) -> Failure {
    if reason.len() as u64 > limits.answer_bytes {
        return too_long(reason.len(), limits);
    }
    cut(&mut reason);
    refused(reason)
}

fn refused(reason: String) -> Failure {
    Failure::new(FailureCause::Refused, reason)
}
