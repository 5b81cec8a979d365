//! The native exchange types, one to a file.

mod direct;
mod fanout;
mod topic;

mod headers;

mod consistent_hash;
mod local_random;
mod modulus_hash;
mod random;
mod reverse_topic;

mod last_value;
mod recent_history;

mod deduplication;
mod delayed_message;

mod arguments;
mod comparable;
mod ranked;
mod targets;
mod tree;

pub use deduplication::deduplication_value;
pub use delayed_message::delay_ms;

pub(crate) use consistent_hash::ConsistentHash;
pub(crate) use deduplication::MessageDeduplication;
pub(crate) use delayed_message::DelayedMessage;
pub(crate) use direct::Direct;
pub(crate) use fanout::Fanout;
pub(crate) use headers::Headers;
pub(crate) use last_value::LastValue;
pub(crate) use local_random::LocalRandom;
pub(crate) use modulus_hash::ModulusHash;
pub(crate) use random::Random;
pub(crate) use recent_history::RecentHistory;
pub(crate) use reverse_topic::ReverseTopic;
pub(crate) use topic::Topic;
pub(crate) use tree::scramble;
