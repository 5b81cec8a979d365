//! What a guest may ask of the host. A route has only the imports that it uses. All but
//! [`log`](log()) need a capability: declared by the route, granted where it is deployed.
//!
//! Outside of WebAssembly the functions answer what a test told them to:
//! see `shunt_route::testing`.

#[cfg(target_family = "wasm")]
#[path = "abi.rs"]
mod import;
#[cfg(not(target_family = "wasm"))]
#[path = "stub.rs"]
pub(crate) mod import;

use alloc::vec::Vec;

use crate::binding::BindingIndex;

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Only of interest when one message is followed.
    Trace = 0,
    /// Of interest to the author of the route.
    Debug = 1,
    /// Of interest to the operator.
    Info = 2,
    /// Something is not as it should be.
    Warn = 3,
    /// The route cannot do its work.
    Error = 4,
}

/// What can be asked about a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Load {
    /// Messages that wait for a consumer.
    Ready = 0,
    /// Messages that a consumer has got and not settled.
    Unacked = 1,
    /// Consumers.
    Consumers = 2,
}

/// The broker keeps no more state for this route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateFull;

/// Writes a line to the broker's log. The host drops lines above the route's limit.
pub fn log(level: Level, text: &str) {
    import::log(level as i32, text);
}

/// Unix time in milliseconds, the same within one call. Needs `clock`.
pub fn now_ms() -> i64 {
    import::now_ms()
}

/// 64 random bits. Needs `random`.
pub fn random() -> u64 {
    import::random().cast_unsigned()
}

/// The load of the queue that a binding leads to; `None` where it leads to an exchange.
/// Needs `load`.
pub fn queue_load(binding: BindingIndex, what: Load) -> Option<u64> {
    let load = import::queue_load(binding.0.cast_signed(), what as i32);
    u64::try_from(load).ok()
}

/// What the broker keeps for this route under `key`. Needs `state`.
pub fn state_get(key: &[u8]) -> Option<Vec<u8>> {
    let mut value = alloc::vec![0; VALUE_LENGTH_USUAL];
    loop {
        let length = usize::try_from(import::state_get(key, &mut value)).ok()?;
        let fits = length <= value.len();
        value.resize(length, 0);
        if fits {
            return Some(value);
        }
        // It was too long for the buffer, and may have changed when it is read again.
    }
}

/// Has the broker keep `value` under `key` for this route. Needs `state`.
pub fn state_put(key: &[u8], value: &[u8]) -> Result<(), StateFull> {
    match import::state_put(key, value) {
        0 => Ok(()),
        _ => Err(StateFull),
    }
}

/// Has the broker forget what it keeps under `key` for this route. Needs `state`.
pub fn state_remove(key: &[u8]) {
    // Removing cannot pass a limit.
    let _ = import::state_put(key, &[]);
}

/// Most values are a number or a short text; a longer one costs a second call.
const VALUE_LENGTH_USUAL: usize = 64;
