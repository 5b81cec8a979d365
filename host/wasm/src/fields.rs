//! The fields of a message that a module may declare to read, and their values.

use std::fmt;

use shunt_routing::Header;

use crate::msgpack::Writer;
use crate::values::{put_table, put_value};

/// Bit of the property flags that says that there are headers (AMQP 0-9-1, section 4.2.6.1).
const HEADERS_PRESENT: u8 = 1 << 5;

macro_rules! fields {
    ($($field:ident $name:literal,)*) => {
        /// A field of the header, by the name under which modules declare it.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(crate) enum Field {
            $($field,)*
            /// One header, `headers.NAME`.
            Header(Box<str>),
        }

        impl Field {
            /// The field of that name.
            pub(crate) fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$field),)*
                    other => match other.strip_prefix("headers.")? {
                        "" => None,
                        header => Some(Self::Header(header.into())),
                    },
                }
            }
        }

        impl fmt::Display for Field {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$field => f.write_str($name),)*
                    Self::Header(name) => write!(f, "headers.{name}"),
                }
            }
        }
    };
}

fields! {
    Exchange "exchange",
    RoutingKey "routing_key",
    RoutingKeys "routing_keys",
    BodySize "body_size",
    User "user",
    Vhost "vhost",
    Headers "headers",
    ContentType "content_type",
    ContentEncoding "content_encoding",
    DeliveryMode "delivery_mode",
    Priority "priority",
    CorrelationId "correlation_id",
    ReplyTo "reply_to",
    Expiration "expiration",
    MessageId "message_id",
    Timestamp "timestamp",
    Type "type",
    UserId "user_id",
    AppId "app_id",
}

/// Input of `shunt_route`: the values of `fields` in their order, nil where one is absent.
#[inline]
pub(crate) fn put_fields(out: &mut Writer<'_>, fields: &[Field], header: &Header<'_>) {
    out.array(fields.len());
    for field in fields {
        put_field(out, field, header);
    }
}

#[inline]
fn put_field(out: &mut Writer<'_>, field: &Field, header: &Header<'_>) {
    let properties = header.properties;
    match field {
        Field::RoutingKey => out.text(header.routing_key()),
        Field::Header(name) => match properties.header(name) {
            Some(value) => put_value(out, value),
            None => out.nil(),
        },
        Field::Exchange => out.text(header.exchange),
        Field::RoutingKeys => {
            out.array(header.routing_keys.len());
            header.routing_keys.iter().for_each(|key| out.text(key));
        }
        Field::BodySize => out.unsigned(header.body_size),
        Field::User => out.text(header.user),
        Field::Vhost => out.text(header.vhost.as_str()),
        Field::Headers => {
            // No headers at all is nil, an empty table an empty map.
            if properties.as_bytes().first().is_some_and(|flags| flags & HEADERS_PRESENT != 0) {
                put_table(out, properties.headers());
            } else {
                out.nil();
            }
        }
        Field::ContentType => put_text(out, properties.content_type()),
        Field::ContentEncoding => put_text(out, properties.content_encoding()),
        Field::DeliveryMode => put_number(out, properties.delivery_mode()),
        Field::Priority => put_number(out, properties.priority()),
        Field::CorrelationId => put_text(out, properties.correlation_id()),
        Field::ReplyTo => put_text(out, properties.reply_to()),
        Field::Expiration => put_text(out, properties.expiration()),
        Field::MessageId => put_text(out, properties.message_id()),
        Field::Timestamp => match properties.timestamp() {
            Some(seconds) => out.timestamp(seconds),
            None => out.nil(),
        },
        Field::Type => put_text(out, properties.kind()),
        Field::UserId => put_text(out, properties.user_id()),
        Field::AppId => put_text(out, properties.app_id()),
    }
}

fn put_text(out: &mut Writer<'_>, text: Option<&str>) {
    match text {
        Some(text) => out.text(text),
        None => out.nil(),
    }
}

fn put_number(out: &mut Writer<'_>, number: Option<u8>) {
    match number {
        Some(number) => out.unsigned(number.into()),
        None => out.nil(),
    }
}

#[cfg(test)]
mod tests {
    use shunt_types::{FieldTable, Properties, PropertiesRef, Value, VhostName};

    use super::*;

    #[track_caller]
    fn check(fields: &[&str], properties: &Properties, expected: &[u8]) {
        let fields: Vec<_> = fields.iter().map(|name| Field::parse(name).unwrap()).collect();
        let mut bytes = Vec::new();
        properties.encode(&mut bytes);
        let header = Header {
            vhost: &VhostName::new("/").unwrap(),
            exchange: "e",
            routing_keys: &["k", "cc"],
            properties: PropertiesRef::decode(&bytes).unwrap(),
            body_size: 200,
            user: "u",
        };
        let mut buffer = [0; 200];
        let mut writer = Writer::new(&mut buffer);
        put_fields(&mut writer, &fields, &header);
        let length = writer.length();
        assert_eq!(&buffer[..length], expected);
    }

    #[test]
    fn values_come_in_the_order_declared() {
        let none = Properties::default();
        check(&[], &none, &[0x90]);
        check(
            &["body_size", "routing_key", "routing_keys", "exchange", "user", "vhost"],
            &none,
            b"\x96\xcc\xc8\xa1k\x92\xa1k\xa2cc\xa1e\xa1u\xa1/",
        );
    }

    #[test]
    fn what_is_absent_is_nil() {
        let mut properties = Properties::default();
        check(
            &["headers", "headers.region", "type", "timestamp", "priority"],
            &properties,
            &[0x95, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0],
        );
        properties.headers = Some(FieldTable::new());
        properties.timestamp = Some(7);
        properties.priority = Some(9);
        check(
            &["headers", "headers.region", "type", "timestamp", "priority"],
            &properties,
            &[0x95, 0x80, 0xc0, 0xc0, 0xd6, 0xff, 0, 0, 0, 7, 9],
        );
    }

    #[test]
    fn headers_come_whole_or_one_by_one() {
        let mut headers = FieldTable::new();
        headers.insert("a", Value::I32(1));
        headers.insert("region", Value::from("eu"));
        let properties = Properties { headers: Some(headers), ..Properties::default() };
        check(&["headers.region"], &properties, b"\x91\xa2eu");
        check(&["headers"], &properties, b"\x91\x82\xa1a\x01\xa6region\xa2eu");
    }

    #[test]
    fn the_list_of_fields_is_closed() {
        for unknown in ["", "body", "headers.", "header.x", "cluster_id", "Exchange"] {
            assert_eq!(Field::parse(unknown), None, "{unknown}");
        }
        for known in ["headers", "headers.x.y", "type", "app_id"] {
            assert_eq!(Field::parse(known).unwrap().to_string(), known);
        }
    }
}
