//! Front door: the AMQP 0-9-1 listener, handshake, connections and channels.
//!
//! May depend on `shunt-types`, `shunt-amqp-codec`, `shunt-auth` and `shunt-broker`; must never
//! know JSON, storage, Raft or Wasm.
//!
//! Everything here runs on shard threads: a [`ShardThread`] owns a `Shard` of the broker and the
//! connections that were handed to it, on one single-threaded runtime, so that a publish to a
//! queue of the same shard is a function call and nothing is locked. [`listen`] accepts sockets
//! and hands them out.
//!
//! A connection is two tasks: the reader cuts frames out of one large read and acts on them, the
//! writer sends what has collected meanwhile in one vectored write. Both share one output queue
//! ([`output`]); consumers' sinks write deliveries straight into it.

mod shard_thread;

mod admission;
mod affinity;
mod channel;
mod connection;
mod events;
mod listener;
mod mail;
mod mailbox;
mod neighbours;
mod output;
mod settings;
mod shared;
mod sink;
mod socket;
mod writer;

pub use admission::Admission;
pub use listener::listen;
pub use neighbours::Neighbours;
pub use settings::{AmqpSettings, Moves};
pub use shard_thread::{ShardContext, ShardHandle, ShardThread, ShardWake};
