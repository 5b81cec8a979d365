//! The basic properties of a message: owned, and as a view of the content header's bytes.

use crate::table::{FieldTable, TableRef};
use crate::value::ValueRef;
use crate::wire::{DecodeError, Reader, put_short_string};

// Property flags of class basic (AMQP 0-9-1, section 4.2.6.1), highest bit first.
const CONTENT_TYPE: u16 = 1 << 15;
const CONTENT_ENCODING: u16 = 1 << 14;
const HEADERS: u16 = 1 << 13;
const DELIVERY_MODE: u16 = 1 << 12;
const PRIORITY: u16 = 1 << 11;
const CORRELATION_ID: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;
const EXPIRATION: u16 = 1 << 8;
const MESSAGE_ID: u16 = 1 << 7;
const TIMESTAMP: u16 = 1 << 6;
const TYPE: u16 = 1 << 5;
const USER_ID: u16 = 1 << 4;
const APP_ID: u16 = 1 << 3;
const CLUSTER_ID: u16 = 1 << 2;

/// The basic properties of a message, owned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    /// MIME content type.
    pub content_type: Option<String>,
    /// MIME content encoding.
    pub content_encoding: Option<String>,
    /// Application headers.
    pub headers: Option<FieldTable>,
    /// 2 is persistent, anything else transient.
    pub delivery_mode: Option<u8>,
    /// Priority, higher is sooner in a queue with `x-max-priority`.
    pub priority: Option<u8>,
    /// Application correlation id.
    pub correlation_id: Option<String>,
    /// Queue to reply to.
    pub reply_to: Option<String>,
    /// Time to live in milliseconds, as decimal text.
    pub expiration: Option<String>,
    /// Application message id.
    pub message_id: Option<String>,
    /// Unix time in seconds.
    pub timestamp: Option<u64>,
    /// Application message type (`type` on the wire).
    pub kind: Option<String>,
    /// Name of the user who publishes; checked against the login.
    pub user_id: Option<String>,
    /// Application id.
    pub app_id: Option<String>,
    /// Deprecated by the specification; kept because clients send it.
    pub cluster_id: Option<String>,
}

impl Properties {
    /// Appends the property flags and the properties that are present, as in a content header
    /// after its body size.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 2]);
        let mut flags = 0;
        let mut text = |out: &mut Vec<u8>, flag: u16, value: &Option<String>| {
            if let Some(value) = value {
                flags |= flag;
                put_short_string(out, value);
            }
        };
        text(out, CONTENT_TYPE, &self.content_type);
        text(out, CONTENT_ENCODING, &self.content_encoding);
        if let Some(headers) = &self.headers {
            headers.encode(out);
        }
        out.extend(self.delivery_mode);
        out.extend(self.priority);
        text(out, CORRELATION_ID, &self.correlation_id);
        text(out, REPLY_TO, &self.reply_to);
        text(out, EXPIRATION, &self.expiration);
        text(out, MESSAGE_ID, &self.message_id);
        if let Some(timestamp) = self.timestamp {
            out.extend_from_slice(&timestamp.to_be_bytes());
        }
        text(out, TYPE, &self.kind);
        text(out, USER_ID, &self.user_id);
        text(out, APP_ID, &self.app_id);
        text(out, CLUSTER_ID, &self.cluster_id);
        let mut set = |flag, present: bool| flags |= if present { flag } else { 0 };
        set(HEADERS, self.headers.is_some());
        set(DELIVERY_MODE, self.delivery_mode.is_some());
        set(PRIORITY, self.priority.is_some());
        set(TIMESTAMP, self.timestamp.is_some());
        out[start..start + 2].copy_from_slice(&flags.to_be_bytes());
    }
}

/// The basic properties of a message in the bytes that they came in: flags, then the fields.
/// Looking one up walks the ones before it and allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PropertiesRef<'a> {
    bytes: &'a [u8],
}

/// Where the fields of a content header begin, found in one walk.
#[derive(Clone, Copy, Default)]
struct Fields<'a> {
    content_type: Option<&'a str>,
    content_encoding: Option<&'a str>,
    headers: Option<&'a [u8]>,
    delivery_mode: Option<u8>,
    priority: Option<u8>,
    correlation_id: Option<&'a str>,
    reply_to: Option<&'a str>,
    expiration: Option<&'a str>,
    message_id: Option<&'a str>,
    timestamp: Option<u64>,
    kind: Option<&'a str>,
    user_id: Option<&'a str>,
    app_id: Option<&'a str>,
    cluster_id: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.u16()?;
        let mut fields = Self::default();
        if flags & !0b11 == 0 {
            reader.finish()?;
            return Ok(fields);
        }
        let text = |reader: &mut Reader<'a>, flag: u16| {
            if flags & flag == 0 { Ok(None) } else { reader.short_string().map(Some) }
        };
        fields.content_type = text(&mut reader, CONTENT_TYPE)?;
        fields.content_encoding = text(&mut reader, CONTENT_ENCODING)?;
        if flags & HEADERS != 0 {
            fields.headers = Some(reader.long_string()?);
        }
        if flags & DELIVERY_MODE != 0 {
            fields.delivery_mode = Some(reader.u8()?);
        }
        if flags & PRIORITY != 0 {
            fields.priority = Some(reader.u8()?);
        }
        fields.correlation_id = text(&mut reader, CORRELATION_ID)?;
        fields.reply_to = text(&mut reader, REPLY_TO)?;
        fields.expiration = text(&mut reader, EXPIRATION)?;
        fields.message_id = text(&mut reader, MESSAGE_ID)?;
        if flags & TIMESTAMP != 0 {
            fields.timestamp = Some(reader.u64()?);
        }
        fields.kind = text(&mut reader, TYPE)?;
        fields.user_id = text(&mut reader, USER_ID)?;
        fields.app_id = text(&mut reader, APP_ID)?;
        fields.cluster_id = text(&mut reader, CLUSTER_ID)?;
        reader.finish()?;
        Ok(fields)
    }
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $flag:ident;)*) => {
        $($(#[$doc])*
        #[inline]
        pub fn $name(self) -> Option<$type> {
            if self.flags() & $flag == 0 { None } else { self.fields().$name }
        })*
    };
}

impl<'a> PropertiesRef<'a> {
    /// No property at all.
    pub const EMPTY: PropertiesRef<'static> = PropertiesRef { bytes: &[0, 0] };

    /// Takes the bytes of a content header after its body size, and validates every field to the
    /// bottom of its tables.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        match bytes {
            // The common ones on a busy connection: no property, or the delivery mode alone.
            [0, 0] | [0x10, 0, _] => Ok(Self { bytes }),
            _ => Self::decode_fields(bytes),
        }
    }

    fn decode_fields(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if let Some(headers) = Fields::read(bytes)?.headers {
            let mut prefixed = Reader::new(bytes);
            // The table's length stands in the four octets before its fields.
            let start = headers.as_ptr() as usize - bytes.as_ptr() as usize - 4;
            prefixed.bytes(start)?;
            TableRef::decode(&mut prefixed)?;
        }
        Ok(Self { bytes })
    }

    /// The properties of a message, validated when it came in.
    #[inline]
    pub(crate) fn trusted(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    #[inline]
    fn flags(self) -> u16 {
        self.bytes.first_chunk().map_or(0, |flags| u16::from_be_bytes(*flags))
    }

    fn fields(self) -> Fields<'a> {
        Fields::read(self.bytes).unwrap_or_default()
    }

    /// Flags and fields as they go into a content header.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether no property is present.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.bytes.len() <= 2
    }

    getters! {
        /// MIME content type.
        content_type: &'a str = CONTENT_TYPE;
        /// MIME content encoding.
        content_encoding: &'a str = CONTENT_ENCODING;
        /// 2 is persistent.
        delivery_mode: u8 = DELIVERY_MODE;
        /// Priority.
        priority: u8 = PRIORITY;
        /// Application correlation id.
        correlation_id: &'a str = CORRELATION_ID;
        /// Queue to reply to.
        reply_to: &'a str = REPLY_TO;
        /// Time to live in milliseconds, as text.
        expiration: &'a str = EXPIRATION;
        /// Application message id.
        message_id: &'a str = MESSAGE_ID;
        /// Unix time in seconds.
        timestamp: u64 = TIMESTAMP;
        /// Application message type.
        kind: &'a str = TYPE;
        /// User who published.
        user_id: &'a str = USER_ID;
        /// Application id.
        app_id: &'a str = APP_ID;
        /// Deprecated cluster id.
        cluster_id: &'a str = CLUSTER_ID;
    }

    /// The application headers; an empty table when there are none.
    pub fn headers(self) -> TableRef<'a> {
        if self.flags() & HEADERS == 0 {
            return TableRef::EMPTY;
        }
        self.fields().headers.map_or(TableRef::EMPTY, TableRef::trusted)
    }

    /// One application header.
    pub fn header(self, name: &str) -> Option<ValueRef<'a>> {
        self.headers().get(name)
    }

    /// What the broker itself needs of a message, in one walk: delivery mode, priority,
    /// expiration.
    #[inline]
    pub(crate) fn summary(self) -> (Option<u8>, Option<u8>, Option<&'a str>) {
        match *self.bytes {
            [0, 0] => return (None, None, None),
            [0x10, 0, delivery_mode] => return (Some(delivery_mode), None, None),
            _ => {}
        }
        let fields = self.fields();
        (fields.delivery_mode, fields.priority, fields.expiration)
    }

    /// An owned copy.
    pub fn to_owned(self) -> Properties {
        let fields = self.fields();
        let text = |value: Option<&str>| value.map(str::to_owned);
        Properties {
            content_type: text(fields.content_type),
            content_encoding: text(fields.content_encoding),
            headers: fields.headers.map(|bytes| TableRef::trusted(bytes).to_owned()),
            delivery_mode: fields.delivery_mode,
            priority: fields.priority,
            correlation_id: text(fields.correlation_id),
            reply_to: text(fields.reply_to),
            expiration: text(fields.expiration),
            message_id: text(fields.message_id),
            timestamp: fields.timestamp,
            kind: text(fields.kind),
            user_id: text(fields.user_id),
            app_id: text(fields.app_id),
            cluster_id: text(fields.cluster_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Value;

    fn text() -> impl Strategy<Value = Option<String>> {
        prop::option::of(".{0,20}")
    }

    prop_compose! {
        fn any_properties()(
            texts in prop::collection::vec(text(), 10),
            numbers in (any::<Option<u8>>(), any::<Option<u8>>(), any::<Option<u64>>()),
            headers in prop::option::of(prop::collection::vec((".{0,9}", any::<i64>()), 0..5)),
        ) -> Properties {
            Properties {
                content_type: texts[0].clone(),
                content_encoding: texts[1].clone(),
                headers: headers.map(|fields| {
                    fields.into_iter().map(|(name, n)| (name, Value::I64(n))).collect()
                }),
                delivery_mode: numbers.0,
                priority: numbers.1,
                correlation_id: texts[2].clone(),
                reply_to: texts[3].clone(),
                expiration: texts[4].clone(),
                message_id: texts[5].clone(),
                timestamp: numbers.2,
                kind: texts[6].clone(),
                user_id: texts[7].clone(),
                app_id: texts[8].clone(),
                cluster_id: texts[9].clone(),
            }
        }
    }

    proptest! {
        #[test]
        fn properties_survive_the_wire(properties in any_properties()) {
            let mut bytes = Vec::new();
            properties.encode(&mut bytes);
            prop_assert_eq!(PropertiesRef::decode(&bytes).unwrap().to_owned(), properties);
        }

        #[test]
        fn hostile_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            if let Ok(properties) = PropertiesRef::decode(&bytes) {
                let _ = properties.to_owned();
            }
        }
    }
}
