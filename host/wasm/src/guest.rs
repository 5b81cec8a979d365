//! What the host keeps for one instance, inside its store.

use std::sync::Arc;

use shunt_types::{QueueGauge, QueueLoad};
use wasmtime::{Caller, Extern, Memory, ResourceLimiter};

use crate::capability::{Capabilities, Capability};
use crate::clock;
use crate::instance::Terms;
use crate::limits::{COMPONENT_PARTS_MAX, LOG_LINE_BYTES_MAX, RouteLimits};
use crate::log::{LogGate, LogLevel};
use crate::state::StateMap;

/// The host's side of an instance.
pub(crate) struct Guest {
    pub(crate) room: Room,
    pub(crate) log: Arc<LogGate>,
    pub(crate) granted: Capabilities,
    /// The exported memory, once the instance is there; a start function runs before.
    pub(crate) memory: Option<Memory>,
    pub(crate) budget: Budget,
    /// Unix milliseconds as this call sees them; 0 until it asks.
    pub(crate) now_ms: u64,
    /// This call wrote to the log: another one with the same fields shall write again.
    pub(crate) has_logged: bool,
    /// The gauges of the bound queues, by the bindings' indexes; empty without the capability.
    pub(crate) loads: Vec<Option<Arc<QueueGauge>>>,
    /// The map of the exchange that the instance decides for; until it has one, and in a dry run,
    /// a map of its own.
    pub(crate) state: Arc<StateMap>,
    state_bytes: usize,
    /// How many handles of WASI's resources a component holds.
    pub(crate) wasi_handles: u32,
    random: SplitMix,
    /// What was written to standard output and error since the last line end.
    output: Vec<u8>,
    output_level: LogLevel,
}

/// Processor time of the call that runs.
#[derive(Default)]
pub(crate) struct Budget {
    pub(crate) limit_ns: u64,
    /// Processor time of the thread at the first tick within the call; 0 until then. Asking the
    /// clock at the start would cost every message a system call.
    since_ns: u64,
}

impl Budget {
    /// Whether the epoch ticked within the call.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.since_ns != 0
    }

    /// Called when the epoch ticked within a call: whether its time is used up.
    pub(crate) fn is_spent(&mut self) -> bool {
        let now = clock::thread_cpu_ns();
        if self.since_ns == 0 {
            self.since_ns = now.max(1);
        }
        now.saturating_sub(self.since_ns) >= self.limit_ns
    }
}

impl Guest {
    pub(crate) fn new(room: Room, terms: &Terms) -> Self {
        let granted = terms.granted;
        let random = if granted.contains(Capability::Random) {
            SplitMix::seeded_by_system()
        } else {
            SplitMix(0)
        };
        Self {
            room,
            log: Arc::clone(&terms.log),
            granted,
            memory: None,
            budget: Budget::default(),
            now_ms: 0,
            has_logged: false,
            loads: Vec::new(),
            state: Arc::default(),
            state_bytes: usize::try_from(terms.limits.state_bytes).unwrap_or(usize::MAX),
            wasi_handles: 0,
            random,
            output: Vec::new(),
            output_level: LogLevel::Info,
        }
    }

    /// Forgets what belonged to the call before.
    #[inline]
    pub(crate) fn begin_call(&mut self, limit_ns: u64) {
        self.budget = Budget { limit_ns, since_ns: 0 };
        self.room.refused = false;
        self.has_logged = false;
        self.now_ms = 0;
    }

    /// Logs what was written without a line end.
    #[inline]
    pub(crate) fn end_call(&mut self) {
        if !self.output.is_empty() {
            self.flush();
        }
    }

    pub(crate) fn next_random(&mut self) -> u64 {
        self.random.next()
    }

    /// Unix milliseconds, the same within one call.
    pub(crate) fn now_ms(&mut self) -> u64 {
        if self.now_ms == 0 {
            self.now_ms = clock::unix_ns() / 1_000_000;
        }
        self.now_ms
    }

    /// The load of the queue that a binding leads to.
    pub(crate) fn load(&self, binding: u32) -> Option<QueueLoad> {
        let gauge = self.loads.get(usize::try_from(binding).ok()?)?.as_ref()?;
        Some(gauge.get())
    }

    /// Sets a key of the state; whether there was room.
    pub(crate) fn put_state(&self, key: &[u8], value: &[u8]) -> bool {
        self.state.put(key, value, self.state_bytes)
    }

    /// Takes what the guest writes to its standard output or error; a line goes to the log.
    pub(crate) fn write_output(&mut self, level: LogLevel, bytes: &[u8]) {
        self.output_level = level;
        self.has_logged = true;
        for &byte in bytes {
            if byte == b'\n' || self.output.len() == LOG_LINE_BYTES_MAX {
                self.flush();
            }
            if byte != b'\n' {
                self.output.push(byte);
            }
        }
    }

    fn flush(&mut self) {
        self.log.write(self.output_level, &self.output);
        self.output.clear();
    }
}

/// Room of an instance: memory and tables, and whether more was asked for than there is.
pub(crate) struct Room {
    memory_bytes: usize,
    table_elements: usize,
    memory_used: usize,
    tables_used: usize,
    /// How many of each kind there may be: core instances, tables, memories.
    instances: usize,
    tables: usize,
    memories: usize,
    /// A growth was refused in this call. Languages answer that with a trap of their own, which
    /// then means memory.
    pub(crate) refused: bool,
}

impl Room {
    /// Bytes of linear memory that the instance has.
    pub(crate) fn memory_used(&self) -> usize {
        self.memory_used
    }

    pub(crate) fn of_core_module(limits: &RouteLimits) -> Self {
        Self::new(limits.memory_bytes, limits.table_elements, 1, 16, 1)
    }

    /// A component is made of many core instances, which share the room.
    pub(crate) fn of_component(limits: &RouteLimits) -> Self {
        let parts = COMPONENT_PARTS_MAX;
        Self::new(limits.component_memory_bytes, limits.table_elements, parts, parts, parts)
    }

    fn new(
        memory_bytes: u64,
        table_elements: u64,
        instances: usize,
        tables: usize,
        memories: usize,
    ) -> Self {
        Self {
            memory_bytes: usize::try_from(memory_bytes).unwrap_or(usize::MAX),
            table_elements: usize::try_from(table_elements).unwrap_or(usize::MAX),
            memory_used: 0,
            tables_used: 0,
            instances,
            tables,
            memories,
            refused: false,
        }
    }
}

/// Takes a growth into account if there is room for it. The sum counts, not the largest one.
fn grow(used: &mut usize, limit: usize, current: usize, desired: usize) -> bool {
    let wanted = used.saturating_add(desired.saturating_sub(current));
    let granted = wanted <= limit;
    if granted {
        *used = wanted;
    }
    granted
}

impl ResourceLimiter for Room {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = grow(&mut self.memory_used, self.memory_bytes, current, desired);
        self.refused |= !granted;
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = grow(&mut self.tables_used, self.table_elements, current, desired);
        self.refused |= !granted;
        Ok(granted)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}

/// Bytes of a guest's memory that an import was given, checked against its bounds.
pub(crate) fn guest_bytes<'a>(
    caller: &'a mut Caller<'_, Guest>,
    address: i32,
    length: i32,
) -> wasmtime::Result<(&'a mut [u8], &'a mut Guest)> {
    let memory = match caller.data().memory {
        Some(memory) => memory,
        None => match caller.get_export(crate::abi::MEMORY) {
            Some(Extern::Memory(memory)) => memory,
            _ => wasmtime::bail!("the module exports no memory"),
        },
    };
    let (bytes, guest) = memory.data_and_store_mut(caller);
    let start = address as u32 as usize;
    let bytes = start
        .checked_add(length as u32 as usize)
        .and_then(|end| bytes.get_mut(start..end))
        .ok_or_else(|| wasmtime::format_err!("address out of bounds in an imported function"))?;
    Ok((bytes, guest))
}

/// A small generator: good for spreading and sampling, not for secrets.
struct SplitMix(u64);

impl SplitMix {
    /// The standard library's hash keys are the system's randomness, without a dependency.
    fn seeded_by_system() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self(RandomState::new().hash_one(0_u8))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
