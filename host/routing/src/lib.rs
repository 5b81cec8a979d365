//! Exchange types and the walk over exchanges: which queues a message goes to.
//!
//! May depend on `shunt-types` alone; must never know queues' contents, wasmtime or tokio.
//!
//! A type of exchange implements [`ExchangeType`] and [`Matcher`]; the native ones stand one to
//! a file under `native/`, and a new one is registered by one line in [`ExchangeTypes::native`].
//! A route exchange implements the same two traits in `shunt-wasm`. [`Walk::resolve`] goes from
//! the exchange of a publish to the queues.
//!
//! Bindings are prepared when they are bound: what doesn't match a message costs it nothing.

mod exchange_type;

mod exchange;
mod failure;
mod map;
mod native;
mod registry;
mod resolve;
mod retention;

#[cfg(test)]
mod fixture;

pub use exchange::Exchange;
pub use exchange_type::{
    Binding, Destination, ExchangeSpec, ExchangeType, Header, Matcher, Topology,
};
pub use failure::{Failure, FailureCause, OnFailure};
pub use map::Map;
pub use native::{deduplication_value, delay_ms};
pub use registry::ExchangeTypes;
pub use resolve::{RouteFailure, Walk};
pub use retention::Retention;
