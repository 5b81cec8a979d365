//! The server over real sockets, in front of a real broker with shards on threads of their own.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bindings;
mod client;
mod consume;
mod definitions;
mod door;
mod exchanges;
mod harness;
mod limits;
mod listing;
mod openapi;
mod overview;
mod policies;
mod publish;
mod queues;
mod routes;
mod stream;
mod users;
mod vhosts;
