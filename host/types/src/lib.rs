//! The shared vocabulary of Shunt: names, ids, the message with its properties and field
//! tables, reply codes, limits.
//!
//! May depend on nothing of ours, and must never know I/O, serde or tokio.
//!
//! A message keeps its content header as the bytes that came in, so the reader of those bytes
//! ([`PropertiesRef`], [`TableRef`]) lives here, beside the message, where routing, storage and
//! both front doors reach it; frames and methods are the business of `shunt-amqp-codec`.
//!
//! ```
//! use shunt_types::{FieldTable, Message, Properties, Value};
//!
//! let mut headers = FieldTable::new();
//! headers.insert("region", Value::from("eu"));
//! let properties = Properties { headers: Some(headers), ..Properties::default() };
//! let message = Message::build("orders", "orders.eu.created", &properties, b"{}").unwrap();
//! assert_eq!(message.routing_key(), "orders.eu.created");
//! assert_eq!(message.properties().header("region").unwrap().as_text(), Some("eu"));
//! ```

pub mod limits;

mod error;
mod gauge;
mod hidden;
mod id;
mod message;
mod name;
mod names;
mod packed;
mod properties;
mod reply;
mod table;
mod value;
mod wire;

pub use error::{AmqpError, MethodId};
pub use gauge::{QueueGauge, QueueLoad};
pub use hidden::Hidden;
pub use id::{DeliveryId, ExchangeId, QueueId, ShardId};
pub use message::{Message, MessageBody, MessageError};
pub use name::{ExchangeName, NameError, QueueName, VhostName};
pub use names::Names;
pub use packed::PackedTable;
pub use properties::{Properties, PropertiesRef};
pub use reply::ReplyCode;
pub use table::{ArrayRef, FieldTable, TableRef};
pub use value::{Value, ValueRef};
pub use wire::{DecodeError, Reader, put_long_string, put_short_string};
