//! MessagePack, as far as the contract of routes needs it: a writer into memory that is there
//! already, and a reader that scans.

mod read;
mod write;

pub(crate) use read::{ReadError, Reader, Token};
pub(crate) use write::Writer;
