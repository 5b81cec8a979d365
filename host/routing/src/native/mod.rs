//! The native exchange types, one to a file.

mod direct;
mod fanout;
mod topic;

mod headers;

mod consistent_hash;

mod comparable;
mod targets;
mod tree;

pub(crate) use consistent_hash::ConsistentHash;
pub(crate) use direct::Direct;
pub(crate) use fanout::Fanout;
pub(crate) use headers::Headers;
pub(crate) use topic::Topic;
