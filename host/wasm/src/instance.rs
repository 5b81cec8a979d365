//! A live instance, and the calls of the contract into it.

use std::sync::Arc;

use shunt_routing::{Binding, ExchangeSpec, Failure, FailureCause, Header};
use wasmtime::{Memory, Store, Trap, TypedFunc, UpdateDeadline, WasmBacktrace};

use crate::abi;
use crate::answer::{self, Pick, bad};
use crate::capability::Capabilities;
use crate::engine::Ticker;
use crate::fields::{Field, put_fields};
use crate::guest::{Guest, Room};
use crate::limits::{DETAIL_BYTES_MAX, FUEL_PER_US, RouteLimits};
use crate::log::LogGate;
use crate::module::Prepared;
use crate::msgpack::Writer;
use crate::values::{put_binding, put_exchange};

/// What an instance may use.
pub(crate) struct Terms {
    pub(crate) limits: RouteLimits,
    pub(crate) granted: Capabilities,
    pub(crate) log: Arc<LogGate>,
}

/// Smallest buffer that a guest is asked for, in bytes.
const BUFFER_BYTES_MIN: usize = 256;

type WithInput = TypedFunc<(i32, i32), i64>;

/// A module's instance with its memory. After a failure for which [`is_fatal`] holds it must be
/// thrown away.
pub(crate) struct Instance {
    store: Store<Guest>,
    memory: Memory,
    functions: Functions,
    /// Where the guest lets inputs be written.
    buffer: Buffer,
    limits: RouteLimits,
    ticker: Arc<Ticker>,
    fuel: bool,
}

struct Functions {
    abi: TypedFunc<(), i32>,
    alloc: TypedFunc<i32, i32>,
    describe: TypedFunc<(), i64>,
    route: WithInput,
    configure: Option<WithInput>,
    check_binding: Option<WithInput>,
    bindings: Option<WithInput>,
}

#[derive(Clone, Copy, Default)]
struct Buffer {
    address: usize,
    capacity: usize,
}

/// Whether an instance is unfit for another call after a failure of this cause.
pub(crate) fn is_fatal(cause: FailureCause) -> bool {
    matches!(cause, FailureCause::Trap | FailureCause::Timeout | FailureCause::Memory)
}

impl Instance {
    /// Makes an instance and starts it.
    pub(crate) fn new(
        prepared: &Prepared,
        terms: &Terms,
        ticker: Arc<Ticker>,
    ) -> Result<Self, Failure> {
        let limits = terms.limits;
        let room = Room::new(limits.memory_bytes, limits.table_elements);
        let guest = Guest::new(room, Arc::clone(&terms.log), terms.granted);
        let mut store = Store::new(prepared.pre.module().engine(), guest);
        store.limiter(|guest| &mut guest.room);
        if !prepared.fuel {
            let ticker = Arc::clone(&ticker);
            store.epoch_deadline_callback(move |mut store| {
                let budget = &mut store.data_mut().budget;
                if !budget.is_watched() {
                    ticker.watch();
                }
                Ok(if budget.is_spent() {
                    UpdateDeadline::Interrupt
                } else {
                    UpdateDeadline::Continue(1)
                })
            });
        }
        begin(&mut store, &ticker, limits.setup_cpu_time_us, prepared.fuel);
        let instance = prepared.pre.instantiate(&mut store);
        end(&mut store, &ticker);
        let instance = instance.map_err(|error| failure(&store, &error))?;

        let missing = |name: &str| Failure::new(FailureCause::Unavailable, format!("no {name}"));
        let memory =
            instance.get_memory(&mut store, abi::MEMORY).ok_or_else(|| missing(abi::MEMORY))?;
        store.data_mut().memory = Some(memory);
        macro_rules! function {
            ($name:expr) => {
                instance.get_typed_func(&mut store, $name).map_err(|_| missing($name))?
            };
        }
        let functions = Functions {
            abi: function!(abi::ABI),
            alloc: function!(abi::ALLOC),
            describe: function!(abi::DESCRIBE),
            route: function!(abi::ROUTE),
            configure: instance.get_typed_func(&mut store, abi::CONFIGURE).ok(),
            check_binding: instance.get_typed_func(&mut store, abi::CHECK_BINDING).ok(),
            bindings: instance.get_typed_func(&mut store, abi::BINDINGS).ok(),
        };
        let initialize = instance.get_typed_func::<(), ()>(&mut store, abi::INITIALIZE).ok();
        let buffer = Buffer::default();
        let mut this =
            Self { store, memory, functions, buffer, limits, ticker, fuel: prepared.fuel };
        if let Some(initialize) = initialize {
            this.call(&initialize, (), limits.setup_cpu_time_us)?;
        }
        Ok(this)
    }

    /// The contract version that the module speaks.
    pub(crate) fn abi(&mut self) -> Result<i32, Failure> {
        self.call(&self.functions.abi.clone(), (), self.limits.setup_cpu_time_us)
    }

    /// The module's description, as bytes.
    pub(crate) fn describe(&mut self) -> Result<Vec<u8>, Failure> {
        let packed =
            self.call(&self.functions.describe.clone(), (), self.limits.setup_cpu_time_us)?;
        let memory = self.memory.data(&self.store);
        answer::bytes(memory, packed, self.limits.answer_bytes).map(<[u8]>::to_vec)
    }

    /// Tells the instance which exchange it is for.
    pub(crate) fn configure(&mut self, exchange: &ExchangeSpec) -> Result<(), Failure> {
        match self.functions.configure.clone() {
            Some(function) => self.tell(&function, |out| put_exchange(out, exchange)),
            None => Ok(()),
        }
    }

    /// Asks about a binding before it is stored.
    pub(crate) fn check_binding(&mut self, binding: &Binding) -> Result<(), Failure> {
        match self.functions.check_binding.clone() {
            Some(function) => self.tell(&function, |out| put_binding(out, binding)),
            None => Ok(()),
        }
    }

    /// Tells the instance all bindings of its exchange.
    pub(crate) fn bindings(&mut self, bindings: &[Arc<Binding>]) -> Result<(), Failure> {
        let Some(function) = self.functions.bindings.clone() else { return Ok(()) };
        self.tell(&function, |out| {
            out.array(bindings.len());
            bindings.iter().try_for_each(|binding| put_binding(out, binding))
        })
    }

    /// Routes one message; each destination of the answer goes to `take`.
    #[inline]
    pub(crate) fn route(
        &mut self,
        fields: &[Field],
        header: &Header<'_>,
        take: impl FnMut(Pick<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut length = self.write(|out| put_fields(out, fields, header));
        if length > self.buffer.capacity {
            self.grow_buffer(length, self.limits.call_cpu_time_us)?;
            length = self.write(|out| put_fields(out, fields, header));
        }
        let input = (self.buffer.address as i32, length as i32);
        let limit_us = self.limits.call_cpu_time_us;
        begin(&mut self.store, &self.ticker, limit_us, self.fuel);
        let answer = self.functions.route.call(&mut self.store, input);
        end(&mut self.store, &self.ticker);
        let packed = answer.map_err(|error| failure(&self.store, &error))?;
        answer::route(self.memory.data(&self.store), packed, &self.limits, take)
    }

    /// Fuel that the last call left.
    pub(crate) fn fuel_left(&self) -> u64 {
        self.store.get_fuel().unwrap_or(0)
    }

    /// Calls a function that takes an input and answers 0 or a reason.
    fn tell(
        &mut self,
        function: &WithInput,
        write: impl Fn(&mut Writer<'_>) -> Result<(), String>,
    ) -> Result<(), Failure> {
        let limit_us = self.limits.setup_cpu_time_us;
        let mut written = Ok(());
        let mut length = self.write(|out| written = write(out));
        written.map_err(|reason| Failure::new(FailureCause::Refused, reason))?;
        if length > self.buffer.capacity {
            self.grow_buffer(length, limit_us)?;
            // It was written before without an error, and nothing has changed.
            length = self.write(|out| drop(write(out)));
        }
        let input = (self.buffer.address as i32, length as i32);
        let packed = self.call(function, input, limit_us)?;
        if packed == 0 {
            return Ok(());
        }
        let memory = self.memory.data(&self.store);
        let reason = answer::reason(memory, packed, self.limits.answer_bytes)?;
        Err(Failure::new(FailureCause::Refused, reason))
    }

    /// Writes into the guest's buffer what fits of an input, and answers its whole length.
    #[inline]
    fn write(&mut self, write: impl FnOnce(&mut Writer<'_>)) -> usize {
        let Buffer { address, capacity } = self.buffer;
        let memory = self.memory.data_mut(&mut self.store);
        let mut out = Writer::new(memory.get_mut(address..address + capacity).unwrap_or_default());
        write(&mut out);
        out.length()
    }

    #[cold]
    fn grow_buffer(&mut self, length: usize, limit_us: u64) -> Result<(), Failure> {
        let capacity = length.next_power_of_two().max(BUFFER_BYTES_MIN);
        let none = || {
            let detail = format!("shunt_alloc has no {capacity} bytes for the input");
            Failure::new(FailureCause::Memory, detail)
        };
        let wanted = i32::try_from(capacity).map_err(|_| none())?;
        let address = self.call(&self.functions.alloc.clone(), wanted, limit_us)?;
        if address == 0 {
            return Err(none());
        }
        let address = address as u32 as usize;
        if self.memory.data(&self.store).get(address..address.saturating_add(capacity)).is_none() {
            // The guest's allocator is broken: the old buffer is no better than this one.
            self.buffer = Buffer::default();
            return Err(bad(format!("shunt_alloc answers the address {address}, out of bounds")));
        }
        self.buffer = Buffer { address, capacity };
        Ok(())
    }

    fn call<P, R>(
        &mut self,
        function: &TypedFunc<P, R>,
        params: P,
        limit_us: u64,
    ) -> Result<R, Failure>
    where
        P: wasmtime::WasmParams,
        R: wasmtime::WasmResults,
    {
        begin(&mut self.store, &self.ticker, limit_us, self.fuel);
        let result = function.call(&mut self.store, params);
        end(&mut self.store, &self.ticker);
        result.map_err(|error| failure(&self.store, &error))
    }
}

/// Gives a call its time. The deadline comes before the ticker is touched: see there.
#[inline]
fn begin(store: &mut Store<Guest>, ticker: &Ticker, limit_us: u64, fuel: bool) {
    store.data_mut().begin_call(limit_us.saturating_mul(1_000));
    if fuel {
        // It fails only on an engine without fuel.
        let _ = store.set_fuel(limit_us.saturating_mul(FUEL_PER_US));
    } else {
        store.set_epoch_deadline(1);
        ticker.touch();
    }
}

#[inline]
fn end(store: &mut Store<Guest>, ticker: &Ticker) {
    let guest = store.data_mut();
    if guest.budget.is_watched() {
        ticker.unwatch();
    }
    guest.end_call();
}

/// What a failed call was: a closed list of causes, and a text for people.
#[cold]
fn failure(store: &Store<Guest>, error: &wasmtime::Error) -> Failure {
    let guest = store.data();
    let trap = error.downcast_ref::<Trap>();
    let cause = match trap {
        Some(Trap::Interrupt | Trap::OutOfFuel) => {
            let limit_us = guest.budget.limit_ns / 1_000;
            let detail = format!("the call took more than {limit_us} us of processor time");
            return Failure::new(FailureCause::Timeout, detail);
        }
        _ if guest.room.refused => FailureCause::Memory,
        _ => FailureCause::Trap,
    };
    let mut detail = match trap {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    let frame = error.downcast_ref::<WasmBacktrace>().and_then(|trace| trace.frames().first());
    if let Some(name) = frame.and_then(|frame| frame.func_name()) {
        detail.push_str(" in ");
        detail.push_str(name);
    }
    if detail.len() > DETAIL_BYTES_MAX {
        let end = (0..=DETAIL_BYTES_MAX).rev().find(|&end| detail.is_char_boundary(end));
        detail.truncate(end.unwrap_or(0));
    }
    Failure::new(cause, detail)
}
