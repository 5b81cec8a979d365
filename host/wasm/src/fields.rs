//! The fields of a message that a module may declare to read, and their values.

use std::fmt;

use shunt_routing::Header;
use shunt_types::{TableRef, ValueRef};

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
    // The two that most routes read; a branch that is foreseen costs less than a jump by a table.
    if *field == Field::RoutingKey {
        return out.text(header.routing_key());
    }
    if let Field::Header(name) = field {
        return match header.properties.header(name) {
            Some(value) => put_value(out, value),
            None => out.nil(),
        };
    }
    put_other(out, field.value(header));
}

fn put_other(out: &mut Writer<'_>, value: FieldValue<'_>) {
    match value {
        FieldValue::Text(text) => out.text(text),
        FieldValue::Value(value) => put_value(out, value),
        FieldValue::Absent => out.nil(),
        FieldValue::Unsigned(number) => out.unsigned(number),
        FieldValue::Timestamp(seconds) => out.timestamp(seconds),
        FieldValue::Keys(keys) => put_keys(out, keys),
        FieldValue::Table(table) => put_table(out, table),
    }
}

/// Several routing keys as an array.
pub(crate) fn put_keys(out: &mut Writer<'_>, keys: &[&str]) {
    out.array(keys.len());
    keys.iter().for_each(|key| out.text(key));
}

/// The value of a field in one message, before it is encoded.
#[derive(Clone, Copy)]
pub(crate) enum FieldValue<'a> {
    Absent,
    Text(&'a str),
    Unsigned(u64),
    /// Seconds since 1970.
    Timestamp(u64),
    Keys(&'a [&'a str]),
    Table(TableRef<'a>),
    Value(ValueRef<'a>),
}

impl Field {
    /// The field's value.
    #[inline]
    pub(crate) fn value<'a>(&self, header: &Header<'a>) -> FieldValue<'a> {
        let properties = header.properties;
        match self {
            Self::RoutingKey => FieldValue::Text(header.routing_key()),
            Self::Header(name) => {
                properties.header(name).map_or(FieldValue::Absent, FieldValue::Value)
            }
            Self::Exchange => FieldValue::Text(header.exchange),
            Self::RoutingKeys => FieldValue::Keys(header.routing_keys),
            Self::BodySize => FieldValue::Unsigned(header.body_size),
            Self::User => FieldValue::Text(header.user),
            Self::Vhost => FieldValue::Text(header.vhost.as_str()),
            Self::Headers => {
                // No headers at all is nil, an empty table an empty map.
                if properties.as_bytes().first().is_some_and(|flags| flags & HEADERS_PRESENT != 0) {
                    FieldValue::Table(properties.headers())
                } else {
                    FieldValue::Absent
                }
            }
            Self::ContentType => text(properties.content_type()),
            Self::ContentEncoding => text(properties.content_encoding()),
            Self::DeliveryMode => number(properties.delivery_mode()),
            Self::Priority => number(properties.priority()),
            Self::CorrelationId => text(properties.correlation_id()),
            Self::ReplyTo => text(properties.reply_to()),
            Self::Expiration => text(properties.expiration()),
            Self::MessageId => text(properties.message_id()),
            Self::Timestamp => {
                properties.timestamp().map_or(FieldValue::Absent, FieldValue::Timestamp)
            }
            Self::Type => text(properties.kind()),
            Self::UserId => text(properties.user_id()),
            Self::AppId => text(properties.app_id()),
        }
    }
}

fn text(text: Option<&str>) -> FieldValue<'_> {
    text.map_or(FieldValue::Absent, FieldValue::Text)
}

fn number<'a>(number: Option<u8>) -> FieldValue<'a> {
    number.map_or(FieldValue::Absent, |number| FieldValue::Unsigned(number.into()))
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
            now_ms: 0,
            random: 0,
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
