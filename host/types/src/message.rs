//! The message: what a publisher sent, shared by every queue that holds it.

use std::fmt;
use std::mem::MaybeUninit;

use bytes::Bytes;
use smallvec::SmallVec;
use triomphe::{Arc, HeaderWithLength, ThinArc, UniqueArc};

use crate::hidden::Hidden;
use crate::limits::{BODY_INLINE_MAX, SHORT_STRING_MAX};
use crate::names::Names;
use crate::properties::{Properties, PropertiesRef};
use crate::wire::DecodeError;

/// A message that was published: exchange, routing key, properties, body. Cloning shares it.
///
/// It is one allocation: exchange and routing key as the two short strings in which they came and
/// in which `basic.deliver` needs them again, the properties as the bytes of the content header,
/// and a body of at most [`BODY_INLINE_MAX`] bytes. A longer body is shared by reference.
#[derive(Clone)]
pub struct Message(ThinArc<Head, u8>);

/// What stands before the names, the properties and the body.
struct Head {
    /// [`NEVER`] without the property.
    expiration_ms: u64,
    beside: Option<Box<Beside>>,
    properties_length: u32,
    names_length: u16,
    persistent: bool,
    priority: u8,
}

/// What few messages have, outside of their block.
struct Beside {
    long_body: Option<Bytes>,
    hidden: Option<Box<Hidden>>,
}

/// More than [`EXPIRATION_MAX_MS`].
const NEVER: u64 = u64::MAX;

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Exchange or routing key is longer than a short string.
    #[error("{0} is longer than 255 bytes")]
    NameTooLong(&'static str),
    /// The properties are damaged.
    #[error("the properties can't be read: {0}")]
    Properties(#[from] DecodeError),
    /// The expiration is not a number of milliseconds within ten years (RabbitMQ).
    #[error("invalid expiration '{0}': must be an integer string from 0 to 315360000000")]
    Expiration(String),
}

/// Longest time to live, in milliseconds: RabbitMQ's ten years.
const EXPIRATION_MAX_MS: u64 = 315_360_000_000;

impl Message {
    /// Makes a message of what came over the wire. `properties` are the bytes of a content
    /// header after its body size; they are validated to the bottom.
    pub fn new(
        exchange: &str,
        routing_key: &str,
        properties: &[u8],
        body: MessageBody<'_>,
    ) -> Result<Self, MessageError> {
        let mut names: SmallVec<[u8; Names::LENGTH_MAX]> = SmallVec::new();
        put_name(&mut names, exchange, "the exchange's name")?;
        put_name(&mut names, routing_key, "the routing key")?;
        Self::of_names(Names::trusted(&names), properties, body)
    }

    /// As [`new`](Self::new), of names that stand together already.
    #[inline]
    pub fn of_names(
        names: Names<'_>,
        properties: &[u8],
        body: MessageBody<'_>,
    ) -> Result<Self, MessageError> {
        Self::with_hidden(names, properties, body, None)
    }

    /// As [`of_names`](Self::of_names), with what no consumer sees.
    #[inline]
    pub fn with_hidden(
        names: Names<'_>,
        properties: &[u8],
        body: MessageBody<'_>,
        hidden: Option<Box<Hidden>>,
    ) -> Result<Self, MessageError> {
        let properties = PropertiesRef::decode(properties)?;
        let (delivery_mode, priority, expiration) = properties.summary();
        let expiration_ms = expiration.map(parse_expiration).transpose()?;

        let (names, properties) = (names.as_bytes(), properties.as_bytes());
        let head = Head {
            expiration_ms: expiration_ms.unwrap_or(NEVER),
            beside: body.beside(hidden),
            properties_length: properties.len() as u32,
            names_length: names.len() as u16,
            persistent: delivery_mode == Some(2),
            priority: priority.unwrap_or(0),
        };
        Ok(Self(allocate(head, [names, properties, body.inline()])))
    }

    /// Makes a message of owned properties.
    pub fn build(
        exchange: &str,
        routing_key: &str,
        properties: &Properties,
        body: &[u8],
    ) -> Result<Self, MessageError> {
        let mut bytes = Vec::new();
        properties.encode(&mut bytes);
        Self::new(exchange, routing_key, &bytes, MessageBody::Borrowed(body))
    }

    /// The same message with other properties: what the failure policy `alternate` delivers.
    pub fn with_properties(&self, properties: &Properties) -> Result<Self, MessageError> {
        let hidden = self.hidden().cloned();
        self.republished(self.exchange(), self.routing_key(), properties, hidden)
    }

    /// The same body under another exchange and routing key, with other properties and other
    /// things that no consumer sees.
    pub fn republished(
        &self,
        exchange: &str,
        routing_key: &str,
        properties: &Properties,
        hidden: Option<Hidden>,
    ) -> Result<Self, MessageError> {
        let mut names: SmallVec<[u8; Names::LENGTH_MAX]> = SmallVec::new();
        put_name(&mut names, exchange, "the exchange's name")?;
        put_name(&mut names, routing_key, "the routing key")?;
        let mut bytes = Vec::new();
        properties.encode(&mut bytes);
        let body = match self.long_body() {
            None => MessageBody::Borrowed(self.body()),
            Some(body) => MessageBody::Shared(body.clone()),
        };
        Self::with_hidden(Names::trusted(&names), &bytes, body, hidden.map(Box::new))
    }

    /// The exchange that it was published to; empty for the default exchange.
    #[inline]
    pub fn exchange(&self) -> &str {
        self.names().exchange()
    }

    /// The routing key that it was published with.
    #[inline]
    pub fn routing_key(&self) -> &str {
        self.names().routing_key()
    }

    #[inline]
    fn head(&self) -> &Head {
        &self.0.header.header
    }

    /// Where the properties begin and where they end.
    #[inline]
    fn properties_range(&self) -> (usize, usize) {
        let start = usize::from(self.head().names_length);
        (start, start + self.head().properties_length as usize)
    }

    /// Exchange and routing key as two short strings, the end of a `basic.deliver` method.
    #[inline]
    pub fn names(&self) -> Names<'_> {
        Names::trusted(&self.0.slice[..self.head().names_length.into()])
    }

    /// The basic properties.
    #[inline]
    pub fn properties(&self) -> PropertiesRef<'_> {
        let (start, end) = self.properties_range();
        PropertiesRef::trusted(&self.0.slice[start..end])
    }

    /// The body.
    #[inline]
    pub fn body(&self) -> &[u8] {
        match self.long_body() {
            None => &self.0.slice[self.properties_range().1..],
            Some(body) => body,
        }
    }

    /// How many bytes the body has.
    #[inline]
    pub fn body_size(&self) -> usize {
        match self.long_body() {
            None => self.0.slice.len() - self.properties_range().1,
            Some(body) => body.len(),
        }
    }

    /// The body where it is long enough to be shared by reference instead of copied.
    #[inline]
    pub fn long_body(&self) -> Option<&Bytes> {
        self.head().beside.as_ref()?.long_body.as_ref()
    }

    /// What no consumer sees.
    #[inline]
    pub fn hidden(&self) -> Option<&Hidden> {
        self.head().beside.as_ref()?.hidden.as_deref()
    }

    /// Whether both are one message, shared.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.ptr() == other.0.ptr()
    }

    /// Whether the delivery mode is 2.
    #[inline]
    pub fn is_persistent(&self) -> bool {
        self.head().persistent
    }

    /// The priority; 0 when the property is absent.
    #[inline]
    pub fn priority(&self) -> u8 {
        self.head().priority
    }

    /// The message's own time to live, in milliseconds.
    #[inline]
    pub fn expiration_ms(&self) -> Option<u64> {
        let expiration_ms = self.head().expiration_ms;
        (expiration_ms != NEVER).then_some(expiration_ms)
    }

    /// Bytes of memory that the message takes, shared by every queue that holds it.
    pub fn memory(&self) -> usize {
        let beside = self.head().beside.as_ref().map_or(0, |beside| {
            size_of::<Beside>()
                + beside.long_body.as_ref().map_or(0, Bytes::len)
                + beside.hidden.as_ref().map_or(0, |hidden| hidden.memory())
        });
        // Its count and the block's length stand before it.
        2 * size_of::<usize>() + size_of::<Head>() + self.0.slice.len() + beside
    }
}

/// A body on its way into a [`Message`].
#[derive(Clone, Debug)]
pub enum MessageBody<'a> {
    /// Copied.
    Borrowed(&'a [u8]),
    /// Kept by reference where it is long.
    Shared(Bytes),
}

impl MessageBody<'_> {
    /// What goes into the message's block.
    #[inline]
    fn inline(&self) -> &[u8] {
        let body: &[u8] = match self {
            Self::Borrowed(body) => body,
            Self::Shared(body) => body,
        };
        if body.len() <= BODY_INLINE_MAX { body } else { &[] }
    }

    /// What stands outside of the message's block.
    #[inline]
    fn beside(&self, hidden: Option<Box<Hidden>>) -> Option<Box<Beside>> {
        let long_body = match self {
            Self::Borrowed(body) if body.len() > BODY_INLINE_MAX => {
                Some(Bytes::copy_from_slice(body))
            }
            Self::Shared(body) if body.len() > BODY_INLINE_MAX => Some(body.clone()),
            _ => None,
        };
        (long_body.is_some() || hidden.is_some()).then(|| Box::new(Beside { long_body, hidden }))
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("exchange", &self.exchange())
            .field("routing_key", &self.routing_key())
            .field("body_length", &self.body().len())
            .finish()
    }
}

fn put_name(
    names: &mut SmallVec<[u8; Names::LENGTH_MAX]>,
    name: &str,
    what: &'static str,
) -> Result<(), MessageError> {
    if name.len() > SHORT_STRING_MAX {
        return Err(MessageError::NameTooLong(what));
    }
    names.push(name.len() as u8);
    names.extend_from_slice(name.as_bytes());
    Ok(())
}

/// Puts a message's parts where they stay: every byte is written once.
#[inline]
#[expect(unsafe_code, reason = "a buffer to copy from would cost a second copy of each message")]
fn allocate(head: Head, [names, properties, body]: [&[u8]; 3]) -> ThinArc<Head, u8> {
    let size = names.len() + properties.len() + body.len();
    let head = HeaderWithLength::new(head, size);
    let mut parts = UniqueArc::from_header_and_uninit_slice(head, size);
    let (first, rest) = parts.slice.split_at_mut(names.len());
    let (second, third) = rest.split_at_mut(properties.len());
    first.write_copy_of_slice(names);
    second.write_copy_of_slice(properties);
    third.write_copy_of_slice(body);
    // The two lowest flags mean nothing to us, but "another flags word follows" to a client that
    // reads the specification to the letter.
    if let ([_, low, ..], [_, flags, ..]) = (second, properties) {
        *low = MaybeUninit::new(flags & !0b11);
    }
    // SAFETY: the head is written when it is allocated, and the slice is made of `first`, `second`
    // and `third`, each of which was written from its first byte to its last
    // (`write_copy_of_slice` panics where the lengths differ).
    let parts = unsafe { parts.assume_init_slice_with_header() };
    Arc::into_thin(parts.shareable())
}

fn parse_expiration(text: &str) -> Result<u64, MessageError> {
    match text.parse() {
        Ok(ms) if ms <= EXPIRATION_MAX_MS => Ok(ms),
        _ => Err(MessageError::Expiration(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(properties: &Properties, body: &[u8]) -> Result<Message, MessageError> {
        Message::build("orders", "eu.created", properties, body)
    }

    #[test]
    fn parts_come_back_whatever_the_length_of_the_body() {
        for length in [0, 1, BODY_INLINE_MAX, BODY_INLINE_MAX + 1] {
            let body = vec![7; length];
            let properties = Properties { delivery_mode: Some(2), ..Properties::default() };
            let message = message(&properties, &body).unwrap();
            assert_eq!(message.exchange(), "orders");
            assert_eq!(message.routing_key(), "eu.created");
            assert_eq!(message.names().as_bytes(), b"\x06orders\x0aeu.created");
            assert_eq!(message.body_size(), length);
            assert_eq!(message.properties().to_owned(), properties);
            assert_eq!(message.body(), body);
            assert!(message.is_persistent());
            assert_eq!(message.long_body().is_some(), length > BODY_INLINE_MAX);
        }
    }

    #[test]
    fn names_as_they_came_make_the_same_message() {
        let names = Names::new(b"\x06orders\x0aeu.created").unwrap();
        let message = Message::of_names(names, &[0, 0], MessageBody::Borrowed(b"body")).unwrap();
        assert_eq!((message.exchange(), message.routing_key()), ("orders", "eu.created"));
        assert_eq!(message.body(), b"body");
    }

    #[test]
    fn property_flags_that_mean_nothing_are_not_passed_on() {
        let message = Message::new("", "q", &[0, 0b11], MessageBody::Borrowed(b"")).unwrap();
        assert_eq!(message.properties().as_bytes(), [0, 0]);
    }

    #[test]
    fn expiration_is_an_integer_of_at_most_ten_years() {
        let expiring = |text: &str| {
            let properties = Properties { expiration: Some(text.into()), ..Properties::default() };
            message(&properties, b"").map(|message| message.expiration_ms())
        };
        assert_eq!(expiring("0"), Ok(Some(0)));
        assert_eq!(expiring("+5"), Ok(Some(5)), "as Erlang reads numbers");
        assert_eq!(expiring("315360000000"), Ok(Some(315_360_000_000)));
        for bad in ["315360000001", "-1", " 1", "1.5", "soon", ""] {
            assert_eq!(expiring(bad), Err(MessageError::Expiration(bad.into())));
        }
    }
}
