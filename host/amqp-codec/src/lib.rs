//! AMQP 0-9-1 on the wire: bytes to frames, methods and content headers, and back.
//!
//! May depend on `shunt-types` only, and must never know sockets, clocks or virtual hosts: every
//! function here is pure, borrows from the bytes that it is given, and answers to whatever bytes
//! come from outside. Field tables and properties are read in `shunt-types`, where routing needs
//! them too.
//!
//! Reading goes from the outside in. [`ProtocolHeader::parse`] judges the first eight bytes of a
//! connection; from then on [`Frame::parse`] cuts frames off what the socket has brought, and says
//! `None` while the next one is incomplete. A frame's payload becomes a [`Method`] or a
//! [`ContentHeader`]; a publish that stands there whole is one [`WholePublish`]. Writing is one function for each thing that is sent, each appending whole
//! frames to an [`Output`]: a `Vec<u8>`, or a connection's own queue of pieces, in which long
//! bodies stand by reference.
//!
//! ```
//! use shunt_amqp_codec::method::{BasicDeliver, BasicPublish};
//! use shunt_amqp_codec::{ContentHeader, Frame, FrameKind, Method, put_deliver};
//! use shunt_types::{Message, MessageBody, limits::FRAME_MAX};
//!
//! // What a client sends to publish `{}` without properties.
//! let bytes = b"\x01\0\x01\0\0\0\x11\0\x3c\0\x28\0\0\x06orders\x02eu\0\xce\
//!               \x02\0\x01\0\0\0\x0e\0\x3c\0\0\0\0\0\0\0\0\0\x02\0\0\xce\
//!               \x03\0\x01\0\0\0\x02{}\xce";
//! let mut rest = &bytes[..];
//! let mut frames = Vec::new();
//! while let Some((frame, size)) = Frame::parse(rest, FRAME_MAX).unwrap() {
//!     frames.push(frame);
//!     rest = &rest[size..];
//! }
//!
//! let Ok(Method::BasicPublish(publish)) = Method::decode(frames[0].payload) else { panic!() };
//! let header = ContentHeader::decode(frames[1].payload).unwrap();
//! let message = Message::new(
//!     publish.exchange,
//!     publish.routing_key,
//!     header.properties,
//!     MessageBody::Borrowed(frames[2].payload),
//! )
//! .unwrap();
//!
//! // The same message on its way to a consumer.
//! let mut out = Vec::new();
//! put_deliver(&mut out, 1, FRAME_MAX, "consumer-1", 1, false, &message);
//! let (frame, _) = Frame::parse(&out, FRAME_MAX).unwrap().unwrap();
//! let Ok(Method::BasicDeliver(deliver)) = Method::decode(frame.payload) else { panic!() };
//! assert_eq!(deliver.routing_key, "eu");
//! ```

pub mod method;

mod protocol_header;

mod frame;

mod content;

mod encode;

mod publish;

pub use content::{CLASS_BASIC, ContentHeader};
pub use encode::{
    Output, put_content, put_deliver, put_get_ok, put_heartbeat, put_method, put_return,
};
pub use frame::{FRAME_END, Frame, FrameError, FrameKind};
pub use method::{Method, MethodError};
pub use protocol_header::{PROTOCOL_HEADER, ProtocolHeader};
pub use publish::{PublishHead, PublishSizes, WholePublish};
