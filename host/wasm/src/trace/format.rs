//! A trace's bytes, version 1.
//!
//! ```text
//! trace   = 1*segment                       what is downloaded is the segments, oldest first
//! segment = header *chunk
//! header  = "SHUNTTRC" version:u8
//! chunk   = length:u32 crc32c:u32 payload   the checksum is that of the payload
//! payload = *(about | exchange | message)   a chunk needs no other one
//! about    = 1 fields
//! exchange = 2 number:u16 name arguments count:u32 count*binding
//! message  = 3 number:u16 time_ms:u64 body_size:u64 user published count:u16 count*key properties
//! binding  = kind:u8 name key arguments     kind 0 is a queue, 1 an exchange
//! ```
//!
//! Integers are little-endian. `user`, `published` (the exchange that the message was published
//! to), names and keys are text after its length as u16; `fields` is text after its length as
//! u32, a name a line; `arguments` is a field table and
//! `properties` the property flags and properties of AMQP 0-9-1, each after its length as u32.
//! A property or header that isn't recorded is absent.

use shunt_routing::{Binding, Destination, Header};
use shunt_types::{FieldTable, Properties};

use crate::fields::Field;

pub(super) const MAGIC: &[u8; 8] = b"SHUNTTRC";
pub(super) const VERSION: u8 = 1;
pub(super) const HEADER_BYTES: usize = MAGIC.len() + 1;
pub(super) const CHUNK_HEAD_BYTES: usize = 8;

pub(super) const ABOUT: u8 = 1;
pub(super) const EXCHANGE: u8 = 2;
pub(super) const MESSAGE: u8 = 3;

/// The head of a segment.
pub(super) fn header() -> [u8; HEADER_BYTES] {
    let mut header = [VERSION; HEADER_BYTES];
    header[..MAGIC.len()].copy_from_slice(MAGIC);
    header
}

/// The head of a chunk.
pub(super) fn chunk_head(payload: &[u8]) -> [u8; CHUNK_HEAD_BYTES] {
    let mut head = [0; CHUNK_HEAD_BYTES];
    head[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    head[4..].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    head
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    // Names and keys have at most 255 bytes; what comes from elsewhere is cut, not refused.
    let mut end = text.len().min(u16::MAX.into());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out.extend_from_slice(&(end as u16).to_le_bytes());
    out.extend_from_slice(&text.as_bytes()[..end]);
}

fn put_long(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Which fields are recorded.
pub(super) fn put_about(out: &mut Vec<u8>, fields: &[Field]) {
    out.push(ABOUT);
    let names: Vec<_> = fields.iter().map(ToString::to_string).collect();
    put_long(out, |out| out.extend_from_slice(names.join("\n").as_bytes()));
}

/// An exchange as it is now, under a number of the chunk.
pub(super) fn put_exchange(
    out: &mut Vec<u8>,
    number: u16,
    name: &str,
    arguments: &FieldTable,
    bindings: &[std::sync::Arc<Binding>],
) {
    out.push(EXCHANGE);
    out.extend_from_slice(&number.to_le_bytes());
    put_text(out, name);
    put_long(out, |out| arguments.encode(out));
    out.extend_from_slice(&(bindings.len() as u32).to_le_bytes());
    for binding in bindings {
        out.push(matches!(binding.destination, Destination::Exchange(_)).into());
        put_text(out, &binding.destination_name);
        put_text(out, &binding.key);
        put_long(out, |out| binding.arguments.as_table().encode(out));
    }
}

/// The fields of one message that are recorded.
pub(super) fn put_message(
    out: &mut Vec<u8>,
    number: u16,
    time_ms: u64,
    fields: &[Field],
    header: &Header<'_>,
) {
    let has = |field: Field| fields.contains(&field);
    out.push(MESSAGE);
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&time_ms.to_le_bytes());
    let body_size = if has(Field::BodySize) { header.body_size } else { 0 };
    out.extend_from_slice(&body_size.to_le_bytes());
    put_text(out, if has(Field::User) { header.user } else { "" });
    put_text(out, header.exchange);
    let keys = match (has(Field::RoutingKeys), has(Field::RoutingKey)) {
        (true, _) => header.routing_keys,
        (false, true) => &header.routing_keys[..header.routing_keys.len().min(1)],
        (false, false) => &[],
    };
    out.extend_from_slice(&(keys.len().min(u16::MAX.into()) as u16).to_le_bytes());
    keys.iter().take(u16::MAX.into()).for_each(|key| put_text(out, key));
    put_long(out, |out| recorded(fields, header).encode(out));
}

/// The properties, without those that aren't recorded.
fn recorded(fields: &[Field], header: &Header<'_>) -> Properties {
    let from = header.properties;
    let mut to = Properties::default();
    let text = |value: Option<&str>| value.map(str::to_owned);
    let mut headers = None;
    for field in fields {
        match field {
            Field::Headers if !from.headers().is_empty() => {
                headers = Some(from.headers().to_owned());
            }
            Field::Header(name) => {
                if let Some(value) = from.header(name) {
                    let table = headers.get_or_insert_with(FieldTable::new);
                    table.insert(&**name, value.to_owned());
                }
            }
            Field::ContentType => to.content_type = text(from.content_type()),
            Field::ContentEncoding => to.content_encoding = text(from.content_encoding()),
            Field::DeliveryMode => to.delivery_mode = from.delivery_mode(),
            Field::Priority => to.priority = from.priority(),
            Field::CorrelationId => to.correlation_id = text(from.correlation_id()),
            Field::ReplyTo => to.reply_to = text(from.reply_to()),
            Field::Expiration => to.expiration = text(from.expiration()),
            Field::MessageId => to.message_id = text(from.message_id()),
            Field::Timestamp => to.timestamp = from.timestamp(),
            Field::Type => to.kind = text(from.kind()),
            Field::UserId => to.user_id = text(from.user_id()),
            Field::AppId => to.app_id = text(from.app_id()),
            Field::Headers
            | Field::Exchange
            | Field::RoutingKey
            | Field::RoutingKeys
            | Field::BodySize
            | Field::User
            | Field::Vhost => {}
        }
    }
    to.headers = headers;
    to
}
