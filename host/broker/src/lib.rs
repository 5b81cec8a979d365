//! The domain: virtual hosts, exchanges, queues, consumers and confirms, synchronous and
//! deterministic.
//!
//! May depend on `shunt-types`, `shunt-routing` and `shunt-storage`; must never know frames,
//! Wasm, Raft, tokio or the system clock. What it needs from outside stands in [`ports`].
//!
//! - [`Broker`] is shared by all threads: the metadata, and for each virtual host an immutable
//!   routing snapshot ([`Topology`]) that is swapped on change.
//! - [`Shard`] belongs to one thread: its queues, and the way of a message into them.
//! - [`queue`] is the queue itself, a pure machine.

pub mod durable;
pub mod metadata;
pub mod policy;
pub mod ports;
pub mod queue;

mod alarms;
mod broker;
mod connections;
mod counters;
mod events;
mod fifo;
mod gauges;
mod replies;
mod shard;
mod vhost;

pub use alarms::{Alarm, Alarms};
pub use broker::{Broker, BrokerOptions};
pub use connections::{ConnectionInfo, Connections};
pub use counters::Counters;
pub use events::{EVENT_EXCHANGE, EVENT_VHOST, insert_table};
pub use metadata::{Actor, ConnectionId, QueueEntry, Topology};
pub use replies::{DIRECT_REPLY_TO, ReplySink, is_direct_reply_to};
pub use shard::{
    Consumer, DeleteOptions, Inbox, Origin, PublishOptions, PublishOutcome, Publisher,
    RemotePublisher, Shard, Task, TracedDelivery, publish_traced,
};
pub use vhost::Vhost;
