//! The two engines of a process, and the thread that ticks their epoch.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use shunt_routing::{Binding, Destination};
use shunt_types::QueueGauge;
use wasmtime::{Config, Engine, EngineWeak, Linker};

use crate::artifact::compatibility;
use crate::capability::{Capabilities, Capability, QueueLoads};
use crate::guest::Guest;
use crate::{component, imports, javascript, wasi};

/// Length of an epoch: how soon a runaway guest is looked at.
const TICK: Duration = Duration::from_millis(1);
/// Ticks without a call after which the ticker sleeps until the next one.
const IDLE_TICKS: u32 = 100;
/// Stack of a guest; the calling thread must have more.
const GUEST_STACK_BYTES: usize = 512 * 1024;

/// An engine with what its guests may import.
pub(crate) struct Sandbox {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Guest>,
    /// What components may import.
    pub(crate) components: component::Linker,
    /// What runs JavaScript.
    pub(crate) javascript: javascript::Shared,
    /// Tells artifacts of this engine's settings and version from others.
    pub(crate) compatibility: u64,
    /// Fuel counts in dry runs; else processor time, looked at when the epoch ticks.
    pub(crate) fuel: bool,
}

/// The engines. One for each process is enough; tests make their own.
pub(crate) struct Runtime {
    /// Calls for messages.
    pub(crate) calls: Sandbox,
    /// Dry runs.
    pub(crate) dry_runs: Sandbox,
    pub(crate) ticker: Arc<Ticker>,
    /// How full queues are, once there is a broker that has queues.
    pub(crate) loads: OnceLock<Arc<dyn QueueLoads>>,
}

impl Runtime {
    pub(crate) fn new() -> wasmtime::Result<Self> {
        let calls = Sandbox::new(false)?;
        let dry_runs = Sandbox::new(true)?;
        let ticker = Arc::new(Ticker::start(calls.engine.weak())?);
        Ok(Self { calls, dry_runs, ticker, loads: OnceLock::new() })
    }

    /// The gauges of the queues that bindings lead to, where a route may see them.
    pub(crate) fn gauges(
        &self,
        granted: Capabilities,
        bindings: &[Arc<Binding>],
    ) -> Vec<Option<Arc<QueueGauge>>> {
        let Some(loads) = self.loads.get().filter(|_| granted.contains(Capability::Load)) else {
            return Vec::new();
        };
        let gauge = |binding: &Arc<Binding>| match binding.destination {
            Destination::Queue(queue) => loads.gauge(queue),
            Destination::Exchange(_) => None,
        };
        bindings.iter().map(gauge).collect()
    }
}

impl Sandbox {
    fn new(fuel: bool) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config
            .epoch_interruption(!fuel)
            .consume_fuel(fuel)
            .max_wasm_stack(GUEST_STACK_BYTES)
            .wasm_backtrace_max_frames(NonZeroUsize::new(4))
            .wasm_memory64(false)
            // One memory: the limit of memory then is the limit of the instance.
            .wasm_multi_memory(false)
            // All of a memory's addresses are reserved ahead, and the host keeps the first one.
            .memory_may_move(false)
            // Asynchronous components aren't served, and each call is cheaper without them.
            .concurrency_support(false)
            // One upload must not take every core from the shards.
            .parallel_compilation(false);
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        imports::link(&mut linker)?;
        wasi::link(&mut linker)?;
        javascript::link(&mut linker)?;
        let components = component::linker(&engine)?;
        let compatibility = compatibility(&engine);
        let javascript = javascript::Shared::default();
        Ok(Self { engine, linker, components, javascript, compatibility, fuel })
    }
}

/// Ticks the epoch every millisecond while calls are made, and sleeps while none is.
pub(crate) struct Ticker {
    shared: Arc<TickerState>,
    thread: Thread,
    handle: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct TickerState {
    /// A call was made since the last tick.
    recent: AtomicBool,
    /// The thread sleeps, or is about to.
    parked: AtomicBool,
    /// Calls that saw a tick while they ran: as long as there are any, ticks must come.
    watched: AtomicUsize,
    stop: AtomicBool,
}

impl Ticker {
    fn start(engine: EngineWeak) -> std::io::Result<Self> {
        let shared = Arc::new(TickerState::default());
        let state = Arc::clone(&shared);
        let handle = std::thread::Builder::new()
            .name("route-ticker".to_owned())
            .spawn(move || state.run(&engine))?;
        Ok(Self { shared, thread: handle.thread().clone(), handle: Some(handle) })
    }

    /// Sees to it that at least one more tick comes. To be called after the deadline was set: a
    /// tick that comes before would not count.
    #[inline]
    pub(crate) fn touch(&self) {
        if !self.shared.recent.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Keeps the ticks coming until [`Ticker::unwatch`]: a call is taking long.
    pub(crate) fn watch(&self) {
        self.shared.watched.fetch_add(1, Ordering::SeqCst);
        self.wake();
    }

    /// The call that took long is over.
    pub(crate) fn unwatch(&self) {
        self.shared.watched.fetch_sub(1, Ordering::SeqCst);
    }

    #[cold]
    fn wake(&self) {
        self.shared.recent.store(true, Ordering::SeqCst);
        if self.shared.parked.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}

impl TickerState {
    fn run(&self, engine: &EngineWeak) {
        let mut idle_ticks = 0;
        while !self.stop.load(Ordering::SeqCst) {
            std::thread::park_timeout(TICK);
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
            drop(engine);
            let watched = self.watched.load(Ordering::SeqCst) > 0;
            if self.recent.swap(false, Ordering::SeqCst) || watched {
                idle_ticks = 0;
                continue;
            }
            idle_ticks += 1;
            if idle_ticks >= IDLE_TICKS {
                self.sleep();
                idle_ticks = 0;
            }
        }
    }

    /// Sleeps until a call is made. A caller sets `recent` before it reads `parked`, this thread
    /// the other way round: one of them sees the other.
    fn sleep(&self) {
        self.parked.store(true, Ordering::SeqCst);
        while !self.recent.load(Ordering::SeqCst) && !self.stop.load(Ordering::SeqCst) {
            std::thread::park();
        }
        self.parked.store(false, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.thread.unpark();
        if let Some(handle) = self.handle.take() {
            // It only counts; there is nothing to do about a panic in it.
            let _ = handle.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticker_sleeps_when_idle_and_wakes_for_a_call() {
        let runtime = Runtime::new().unwrap();
        let state = &runtime.ticker.shared;
        let wait_for = |parked| {
            for _ in 0..5_000 {
                if state.parked.load(Ordering::SeqCst) == parked {
                    return true;
                }
                std::thread::sleep(TICK);
            }
            false
        };
        assert!(wait_for(true));
        runtime.ticker.touch();
        assert!(wait_for(false));
        assert!(wait_for(true));
    }
}
