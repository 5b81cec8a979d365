//! AMQP 0-9-1 by hand: frames and methods as bytes over a blocking socket.
//!
//! Tests of bad input send what no client library would send, and look at the very bytes of the
//! answer. Nothing here shares code with the broker's own codec, so that a mistake there is not
//! repeated here.
//!
//! ```no_run
//! use shunt_tests::amqp_raw::{AmqpUri, Args, RawConnection, method};
//!
//! let uri: AmqpUri = "amqp://guest:guest@127.0.0.1:5672/".parse()?;
//! let mut connection = RawConnection::open(&uri)?;
//! connection.open_channel(1)?;
//! // queue.declare: reserved, queue, bits (passive, durable, ...), arguments
//! let declare = Args::new().short(0).shortstr("q").bits(&[false; 5]).table(&[]);
//! connection.call(1, method::QUEUE_DECLARE, &declare, method::QUEUE_DECLARE_OK)?;
//! # Ok::<(), anyhow::Error>(())
//! ```

mod args;
mod connection;
mod frame;
pub mod method;
mod uri;

pub use args::{Args, Fields, Value, entries};
pub use connection::{Filled, RawConnection, RawError};
pub use frame::{FRAME_OVERHEAD, Frame, FrameError, FrameKind, cut, push_content, push_frame};
pub use method::{MethodId, push_method};
pub use uri::{AmqpUri, UriError};
