//! The basic properties of a message, as the bytes behind a content header's body size.

use crate::amqp_raw::{Args, Value, entries};

/// The properties' names in the order of the wire; the first is the highest bit of the flags.
const NAMES: [&str; 13] = [
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
];

/// Properties in the making.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Props {
    fields: [Option<Args>; NAMES.len()],
    headers: Vec<(String, Value)>,
}

impl Props {
    /// None at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Delivery mode 2.
    pub fn persistent() -> Self {
        Self::new().octet("delivery_mode", 2)
    }

    fn put(mut self, name: &str, value: Args) -> Self {
        let place = NAMES.iter().position(|other| *other == name);
        let place = place.unwrap_or_else(|| panic!("there is no property {name}"));
        self.fields[place] = Some(value);
        self
    }

    /// A property that is a short string.
    pub fn text(self, name: &str, value: &str) -> Self {
        self.put(name, Args::new().shortstr(value))
    }

    /// `delivery_mode` or `priority`.
    pub fn octet(self, name: &str, value: u8) -> Self {
        self.put(name, Args::new().octet(value))
    }

    /// An application header.
    pub fn header(mut self, name: &str, value: Value) -> Self {
        self.headers.push((name.to_owned(), value));
        self
    }

    /// An application header that is a string.
    pub fn text_header(self, name: &str, value: &str) -> Self {
        self.header(name, Value::Str(value.to_owned()))
    }

    /// Properties and headers as JSON has them.
    pub fn from_json(properties: &serde_json::Value, headers: &serde_json::Value) -> Self {
        let mut props = Self::new();
        for (name, value) in properties.as_object().into_iter().flatten() {
            props = match (name.as_str(), value.as_u64()) {
                ("timestamp", Some(seconds)) => props.put(name, Args::new().longlong(seconds)),
                (_, Some(number)) => props.octet(name, u8::try_from(number).unwrap_or(u8::MAX)),
                (_, None) => props.text(name, value.as_str().unwrap_or_default()),
            };
        }
        // An empty table is something else than none.
        if headers.is_object() {
            props.headers = entries(headers);
            props = props.put("headers", Args::new().table(&[]));
        }
        props
    }

    /// Flags and values.
    pub fn encode(&self) -> Vec<u8> {
        let headers = Some(Args::new().table(&self.headers)).filter(|_| !self.headers.is_empty());
        let field = |place: usize| match NAMES[place] {
            "headers" => headers.as_ref().or(self.fields[place].as_ref()),
            _ => self.fields[place].as_ref(),
        };
        let mut flags = 0_u16;
        let mut values = Vec::new();
        for place in 0..NAMES.len() {
            if let Some(value) = field(place) {
                flags |= 1 << (15 - place);
                values.extend_from_slice(value.as_bytes());
            }
        }
        [&flags.to_be_bytes()[..], &values].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_in_the_order_of_the_flags() {
        let props = Props::new().text("message_id", "m").octet("priority", 3);
        assert_eq!(props.encode(), [0b0000_1000, 0b1000_0000, 3, 1, b'm']);
        let props = Props::new().text_header("h", "v");
        let table = [0, 0, 0, 8, 1, b'h', b'S', 0, 0, 0, 1, b'v'];
        assert_eq!(props.encode(), [&[0b0010_0000, 0][..], &table].concat());
    }
}
