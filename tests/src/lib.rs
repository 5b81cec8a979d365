//! The harness of the black-box tests: the real `shunt` as a process, and clients to drive it
//! with. Nothing here shares code with the broker.
//!
//! ```no_run
//! use shunt_tests::{Client, Node, Props};
//!
//! let node = Node::start()?;
//! let mut client = Client::open(node.amqp())?;
//! client.declare_queue("q")?;
//! client.publish("", "q", &Props::new(), b"hello")?;
//! assert_eq!(client.get("q")?.map(|message| message.body), Some(b"hello".to_vec()));
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod amqp_raw;
mod binary;
mod client;
pub mod clients;
mod faults;
mod http;
mod node;
mod props;
mod small_disk;
mod wait;
mod wat;

pub use binary::{binary, command};
pub use client::{Client, Confirms, Consume, Incoming, Message};
pub use faults::Faults;
pub use http::{EventStream, Http, Request, Response};
pub use node::{Node, NodeBuilder};
pub use props::Props;
pub use small_disk::SmallDisk;
pub use wait::{CALL_LIMIT, Deadline, poll};
pub use wat::Guest;
