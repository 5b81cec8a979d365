//! What durable queues keep in the node's log, and how they come back from it.
//!
//! A persistent message in a durable queue is a record of the log ([`record`]); what leaves a
//! queue is a smaller one. A shard collects its records while it works ([`journal`]) and hands
//! them to the log once per batch, before it deals anything out; a confirm waits until the log
//! says that its batch is on disk. At start the log's records make the queues' contents again
//! ([`recovery`], [`contents`]); the messages themselves stay in the log until they are wanted
//! ([`pages`]). Space comes back from the oldest end of the log ([`reclaim`]).

mod contents;
mod journal;
mod node;
mod pages;
mod reclaim;
mod record;
mod recovery;

pub use contents::RecoveredQueue;
pub use record::{QueueUid, RecordError, Target};
pub use recovery::Recovery;

pub(crate) use contents::RecoveredEntry;
pub(crate) use journal::{Journal, Left, Written};
pub(crate) use node::MessageLog;
pub(crate) use pages::PageRequest;
pub(crate) use reclaim::{Evacuation, Usage, share};
