//! Run a route natively, without a broker: declare its exchange, bind, and ask where messages
//! go. What goes in and out passes through the same bytes as between host and guest.
//!
//! Only outside of WebAssembly; a guest's own tests are the place for it.

mod data;
mod declared;
mod header;

pub use crate::host::import::HostStub;
pub use data::Data;
pub use declared::{Declared, Destination};
pub use header::Header;
