//! An instance of a core module, and the calls of the contract into it.

use std::sync::Arc;

use shunt_routing::{Binding, ExchangeSpec, Failure, FailureCause, Header};
use wasmtime::{InstancePre, Store, TypedFunc};

use crate::abi::{self, unpack};
use crate::answer::{self, Pick, bad};
use crate::call::{begin, end, failure, store};
use crate::capability::Capabilities;
use crate::describe::Description;
use crate::engine::Ticker;
use crate::error::DeployError;
use crate::fields::{Field, put_fields};
use crate::guest::{Guest, Room};
use crate::instance::Terms;
use crate::javascript;
use crate::limits::RouteLimits;
use crate::msgpack::Writer;
use crate::values::{put_binding, put_exchange};
use crate::window::Window;

/// Smallest buffer that a guest is asked for, in bytes.
const BUFFER_BYTES_MIN: usize = 256;

type WithInput = TypedFunc<(i32, i32), i64>;

/// A core module's instance with its memory.
pub(crate) struct CoreInstance {
    store: Store<Guest>,
    memory: Window,
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

impl CoreInstance {
    /// Makes an instance and starts it.
    pub(crate) fn new(
        pre: &InstancePre<Guest>,
        fuel: bool,
        script: Option<&[u8]>,
        terms: &Terms,
        ticker: Arc<Ticker>,
    ) -> Result<Self, Failure> {
        let limits = terms.limits;
        let room = Room::of_core_module(&limits);
        let mut store = store(pre.module().engine(), fuel, terms, room, &ticker);
        begin(&mut store, &ticker, limits.setup_cpu_time_us, fuel);
        let instance = pre.instantiate(&mut store);
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
        let memory = Window::new(memory, &mut store);
        let mut this = Self { store, memory, functions, buffer, limits, ticker, fuel };
        if let Some(initialize) = initialize {
            this.call(&initialize, (), limits.setup_cpu_time_us)?;
        }
        if let Some(source) = script {
            this.take_script(&instance, source, terms.granted)?;
        }
        Ok(this)
    }

    /// Hands the library and a route's source to the engine of JavaScript.
    fn take_script(
        &mut self,
        instance: &wasmtime::Instance,
        source: &[u8],
        granted: Capabilities,
    ) -> Result<(), Failure> {
        let missing = |_| Failure::new(FailureCause::Unavailable, "the engine is another one");
        let limit_us = self.limits.setup_cpu_time_us;
        let input = self.put(javascript::LIBRARY.as_bytes())?;
        let take = instance.get_typed_func(&mut self.store, javascript::TAKE_LIBRARY);
        let packed = self.call(&take.map_err(missing)?, input, limit_us)?;
        self.taken(packed)?;
        let (address, length) = self.put(source)?;
        let input = (address, length, javascript::bits(granted));
        let take = instance.get_typed_func(&mut self.store, javascript::TAKE_SCRIPT);
        let packed = self.call(&take.map_err(missing)?, input, limit_us)?;
        self.taken(packed)
    }

    /// Puts bytes into the guest's buffer.
    fn put(&mut self, bytes: &[u8]) -> Result<(i32, i32), Failure> {
        self.grow_buffer(bytes.len(), self.limits.setup_cpu_time_us)?;
        let (address, end) = (self.buffer.address, self.buffer.address + bytes.len());
        if let Some(room) = self.memory.write(&mut self.store, end).get_mut(address..end) {
            room.copy_from_slice(bytes);
        }
        Ok((address as i32, bytes.len() as i32))
    }

    /// A script that the engine can't take is told with where it is wrong.
    fn taken(&mut self, packed: i64) -> Result<(), Failure> {
        if packed == 0 {
            return Ok(());
        }
        let limit = self.limits.answer_bytes;
        let reason = answer::reason(self.seen(packed), packed, limit)?;
        Err(Failure::new(FailureCause::Unavailable, reason))
    }

    /// Asks the module what it is, and whether it speaks this version of the contract.
    pub(crate) fn describe(&mut self) -> Result<Description, DeployError> {
        let limit_us = self.limits.setup_cpu_time_us;
        let failed = DeployError::Failed;
        let version = self.call(&self.functions.abi.clone(), (), limit_us).map_err(failed)?;
        if version != abi::VERSION {
            return Err(DeployError::Abi(version));
        }
        let packed = self.call(&self.functions.describe.clone(), (), limit_us).map_err(failed)?;
        let limit = self.limits.answer_bytes;
        let answer = answer::bytes(self.seen(packed), packed, limit).map_err(failed)?;
        Description::read(answer)
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
            Some(function) => self.tell(&function, |out| {
                put_binding(out, binding);
                Ok(())
            }),
            None => Ok(()),
        }
    }

    /// Tells the instance all bindings of its exchange.
    pub(crate) fn bindings(&mut self, bindings: &[Arc<Binding>]) -> Result<(), Failure> {
        let Some(function) = self.functions.bindings.clone() else { return Ok(()) };
        self.tell(&function, |out| {
            out.array(bindings.len());
            bindings.iter().for_each(|binding| put_binding(out, binding));
            Ok(())
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
        let limits = self.limits;
        answer::route(self.seen(packed), packed, &limits, take)
    }

    /// The memory with all there is of a packed answer.
    #[inline]
    fn seen(&mut self, packed: i64) -> &[u8] {
        let (address, length) = unpack(packed & i64::MAX);
        self.memory.read(&self.store, address as usize + length as usize)
    }

    /// What the host keeps for the instance.
    pub(crate) fn guest_mut(&mut self) -> &mut Guest {
        self.store.data_mut()
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
        let limit = self.limits.answer_bytes;
        let reason = answer::reason(self.seen(packed), packed, limit)?;
        Err(Failure::new(FailureCause::Refused, reason))
    }

    /// Writes into the guest's buffer what fits of an input, and answers its whole length.
    #[inline]
    fn write(&mut self, write: impl FnOnce(&mut Writer<'_>)) -> usize {
        let Buffer { address, capacity } = self.buffer;
        let end = address + capacity;
        let memory = self.memory.write(&mut self.store, end);
        let mut out = Writer::new(memory.get_mut(address..end).unwrap_or_default());
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
        let end = address.saturating_add(capacity);
        if self.memory.read(&self.store, end).get(address..end).is_none() {
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
