//! The arguments of a method, written and read field by field.

/// A value in a field table: the few types that tests need, by the letters that RabbitMQ uses.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `t`
    Bool(bool),
    /// `I`
    I32(i32),
    /// `l`
    I64(i64),
    /// `f`
    Float(f32),
    /// `d`
    Double(f64),
    /// `D`: how many digits are behind the point, and all digits
    Decimal(u8, i32),
    /// `T`, Unix time in seconds
    Timestamp(u64),
    /// `S`
    Str(String),
    /// `x`
    Bytes(Vec<u8>),
    /// `A`
    Array(Vec<Value>),
    /// `F`
    Table(Vec<(String, Value)>),
    /// `V`
    Void,
}

impl Value {
    fn push_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => out.extend_from_slice(&[b't', u8::from(*value)]),
            Self::I32(value) => {
                out.push(b'I');
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::I64(value) => {
                out.push(b'l');
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::Str(value) => {
                out.push(b'S');
                push_longstr(out, value.as_bytes());
            }
            Self::Bytes(value) => {
                out.push(b'x');
                push_longstr(out, value);
            }
            Self::Float(value) => {
                out.push(b'f');
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::Double(value) => {
                out.push(b'd');
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::Decimal(scale, digits) => {
                out.extend_from_slice(&[b'D', *scale]);
                out.extend_from_slice(&digits.to_be_bytes());
            }
            Self::Timestamp(value) => {
                out.push(b'T');
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::Array(values) => {
                let mut bytes = Vec::new();
                values.iter().for_each(|value| value.push_to(&mut bytes));
                out.push(b'A');
                push_longstr(out, &bytes);
            }
            Self::Table(entries) => {
                out.push(b'F');
                push_table(out, entries);
            }
            Self::Void => out.push(b'V'),
        }
    }
}

/// JSON as people mean it: a number with a point is a double, any other an integer.
impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Void,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(integer) => Self::I64(integer),
                None => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Str(text.clone()),
            Json::Array(values) => Self::Array(values.iter().map(Self::from).collect()),
            Json::Object(_) => Self::Table(entries(json)),
        }
    }
}

/// The entries of a JSON object, none of anything else.
pub fn entries(json: &serde_json::Value) -> Vec<(String, Value)> {
    let entries = json.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.clone(), value.into())).collect()
}

/// Arguments in the making: each call appends one field, in the order of the method's definition.
#[derive(Clone, Debug, Default)]
pub struct Args {
    bytes: Vec<u8>,
}

impl Args {
    /// No field yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The fields as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// One octet.
    pub fn octet(mut self, value: u8) -> Self {
        self.bytes.push(value);
        self
    }

    /// Two octets.
    pub fn short(mut self, value: u16) -> Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Four octets.
    pub fn long(mut self, value: u32) -> Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Eight octets.
    pub fn longlong(mut self, value: u64) -> Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A short string, at most 255 octets.
    pub fn shortstr(mut self, value: &str) -> Self {
        push_shortstr(&mut self.bytes, value);
        self
    }

    /// A long string.
    pub fn longstr(mut self, value: &[u8]) -> Self {
        push_longstr(&mut self.bytes, value);
        self
    }

    /// Up to eight consecutive bits: they share an octet, the first in its lowest bit.
    pub fn bits(self, values: &[bool]) -> Self {
        assert!(values.len() <= 8, "more than eight bits take a second octet");
        let octet = values.iter().rev().fold(0, |octet, &bit| octet << 1 | u8::from(bit));
        self.octet(octet)
    }

    /// A field table.
    pub fn table(mut self, entries: &[(String, Value)]) -> Self {
        push_table(&mut self.bytes, entries);
        self
    }

    /// Bytes as they are, for fields that no honest client would send.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }
}

fn push_shortstr(out: &mut Vec<u8>, value: &str) {
    out.push(u8::try_from(value.len()).expect("a short string has at most 255 octets"));
    out.extend_from_slice(value.as_bytes());
}

fn push_longstr(out: &mut Vec<u8>, value: &[u8]) {
    let length = u32::try_from(value.len()).expect("a long string is shorter than 4 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

fn push_table(out: &mut Vec<u8>, entries: &[(String, Value)]) {
    let mut bytes = Vec::new();
    for (name, value) in entries {
        push_shortstr(&mut bytes, name);
        value.push_to(&mut bytes);
    }
    push_longstr(out, &bytes);
}

/// Reads fields off the front of a payload; `None` where it ends too early.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }

    /// One octet.
    pub fn octet(&mut self) -> Option<u8> {
        self.take().map(|[octet]| octet)
    }

    /// Two octets.
    pub fn short(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    /// Four octets.
    pub fn long(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    /// Eight octets.
    pub fn longlong(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    /// A short string, as bytes.
    pub fn shortstr(&mut self) -> Option<&'a [u8]> {
        let length = self.octet()?;
        self.slice(length.into())
    }

    /// A long string, or a field table that nobody looks into.
    pub fn longstr(&mut self) -> Option<&'a [u8]> {
        let length = self.long()?;
        self.slice(length as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let args = Args::new()
            .octet(1)
            .short(2)
            .long(3)
            .longlong(4)
            .shortstr("five")
            .longstr(b"six")
            .bits(&[true, false, true]);
        let mut fields = Fields(args.as_bytes());
        assert_eq!(fields.octet(), Some(1));
        assert_eq!(fields.short(), Some(2));
        assert_eq!(fields.long(), Some(3));
        assert_eq!(fields.longlong(), Some(4));
        assert_eq!(fields.shortstr(), Some(&b"five"[..]));
        assert_eq!(fields.longstr(), Some(&b"six"[..]));
        assert_eq!(fields.octet(), Some(0b101));
        assert_eq!(fields.octet(), None);
    }

    #[test]
    fn a_table_nests() {
        let inner = Value::Table(vec![("b".into(), Value::Bool(true))]);
        let args = Args::new().table(&[("a".into(), inner)]);
        let expected = [0, 0, 0, 11, 1, b'a', b'F', 0, 0, 0, 4, 1, b'b', b't', 1];
        assert_eq!(args.as_bytes(), expected);
    }
}
