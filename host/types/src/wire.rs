//! Reading and writing the primitive types of AMQP 0-9-1 (section 4.2.5). Numbers are
//! big-endian.

use crate::limits::SHORT_STRING_MAX;

/// Why bytes are not what they should be; a `FRAME_ERROR` to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum DecodeError {
    #[error("the bytes end in the middle of a field")]
    Truncated,
    #[error("a short string is not UTF-8")]
    NotUtf8,
    #[error("a field has the unknown type 0x{0:02x}")]
    UnknownFieldType(u8),
    #[error("tables and arrays are nested too deep")]
    TooDeep,
    #[error("bytes are left over after the last field")]
    TrailingBytes,
}

/// A cursor over bytes from outside: every read is checked, none allocates.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $type:ty) => {
        $(#[$doc])*
        #[inline]
        pub fn $name(&mut self) -> Result<$type, DecodeError> {
            let (head, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
            self.rest = rest;
            Ok(<$type>::from_be_bytes(*head))
        }
    };
}

impl<'a> Reader<'a> {
    /// Starts at the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Refuses bytes after the last field.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes) }
    }

    /// The next `length` bytes.
    #[inline]
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    number!(
        /// An octet.
        u8, u8);
    number!(
        /// A signed octet.
        i8, i8);
    number!(
        /// A short.
        u16, u16);
    number!(
        /// A signed short.
        i16, i16);
    number!(
        /// A long (32 bits).
        u32, u32);
    number!(
        /// A signed long (32 bits).
        i32, i32);
    number!(
        /// A long-long (64 bits).
        u64, u64);
    number!(
        /// A signed long-long (64 bits).
        i64, i64);
    number!(
        /// A single-precision float.
        f32, f32);
    number!(
        /// A double-precision float.
        f64, f64);

    /// A short string: one length octet, then UTF-8.
    #[inline]
    pub fn short_string(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.short_bytes()?).map_err(|_| DecodeError::NotUtf8)
    }

    /// The bytes of a short string, without a look at whether they are text.
    #[inline]
    pub(crate) fn short_bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u8()?;
        self.bytes(length.into())
    }

    /// A long string: four length octets, then bytes of any kind.
    #[inline]
    pub fn long_string(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u32()?;
        self.bytes(length as usize)
    }
}

/// Appends a short string; what doesn't fit is cut at a character, since the callers that take
/// names from outside have checked them before.
pub fn put_short_string(out: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(SHORT_STRING_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out.push(end as u8);
    out.extend_from_slice(&text.as_bytes()[..end]);
}

/// Appends a long string.
pub fn put_long_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}
