//! Write routes for the Shunt message broker in Rust.
//!
//! A route is a WebAssembly guest that decides, message by message, to which of its exchange's
//! bindings a message goes. It sees the fields of the header that it declares, never the body.
//!
//! ```
//! use shunt_route::{Bindings, Destinations, Fields, Refusal, route};
//!
//! #[derive(Fields)]
//! struct Header<'m> {
//!     #[field("headers.region")]
//!     region: &'m str,
//! }
//!
//! /// Sends a message to the bindings whose key is its region.
//! #[route(name = "by-region", version = "1.0.0")]
//! fn by_region(
//!     header: Header<'_>,
//!     bindings: &Bindings<'_>,
//!     destinations: &mut Destinations,
//! ) -> Result<(), Refusal> {
//!     for binding in bindings.iter().filter(|binding| binding.key == header.region) {
//!         destinations.add(binding.index);
//!     }
//!     Ok(())
//! }
//!
//! // `by_region` is also the name of a type now; a test runs it without a broker.
//! use shunt_route::testing::{Declared, Header as Message};
//!
//! let mut exchange = Declared::<by_region>::new([]).expect("declared");
//! exchange.bind_queue("orders.eu", "eu", []).expect("bound");
//! let queues = exchange.route(&Message::new().header("region", "eu"));
//! assert_eq!(queues, Ok(vec!["orders.eu".into()]));
//! ```
//!
//! A route that takes settings from the exchange's arguments, or that prepares something from
//! the bindings, is a type that implements [`Route`], under the same attribute.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;
#[cfg(test)]
extern crate self as shunt_route;

mod binding;
#[cfg(any(test, target_family = "wasm"))]
mod compare;
mod cursor;
mod destinations;
mod exchange;
#[cfg(target_family = "wasm")]
mod exports;
mod field;
mod hash;
#[cfg(all(target_family = "wasm", feature = "no-std"))]
mod heap;
pub mod host;
mod instance;
mod kept;
mod refusal;
mod route;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod text;
mod value;
mod writer;

pub use binding::{Binding, BindingIndex, Bindings, DestinationKind};
pub use cursor::{Cursor, Malformed};
pub use destinations::Destinations;
pub use exchange::Exchange;
pub use field::{FieldReader, Fields, FromValue};
pub use hash::{stable_hash, stable_hash_with};
pub use refusal::Refusal;
pub use route::{Description, Route};
pub use shunt_route_macros::{Fields, route};
pub use value::{Array, Decimal, Table, Value};

/// For the code that the attribute generates, and for nothing else.
#[doc(hidden)]
pub mod generated {
    #[cfg(target_family = "wasm")]
    pub use crate::exports::{ABI_VERSION, Guest};
    pub use crate::kept::KeptBindings;
}
