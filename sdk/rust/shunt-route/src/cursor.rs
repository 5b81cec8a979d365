//! Bytes of MessagePack to [`Value`]s, without copying and without recursion.
//!
//! ```text
//! 00-7f positive fixint   80-8f fixmap   90-9f fixarray   a0-bf fixstr   c0 nil   c2 c3 bool
//! c4 c5 c6 bin 8 16 32    c7 c8 c9 ext 8 16 32   ca cb float 32 64
//! cc cd ce cf uint        d0 d1 d2 d3 int        d4 d5 d6 d7 d8 fixext 1 2 4 8 16
//! d9 da db str 8 16 32    dc dd array 16 32      de df map 16 32   e0-ff negative fixint
//! ```

use crate::text::text;
use crate::value::{Array, Decimal, Table, Value};

/// The bytes are not the MessagePack that the contract allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A place in MessagePack bytes, moved forward value by value.
///
/// What it hands out borrows from the bytes. A container is checked to its last byte when it
/// is read, so that walking it afterwards cannot fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

/// What the first bytes of a value say about the others.
enum Head<'a> {
    /// The value is complete.
    Scalar(Value<'a>),
    /// This many values follow.
    Array(u32),
    /// This many pairs of a name and a value follow.
    Table(u32),
}

const NIL: u8 = 0xc0;
const EXTENSION_TIMESTAMP: u8 = 0xff;
const EXTENSION_DECIMAL: u8 = 1;

impl<'a> Cursor<'a> {
    /// A cursor before the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether all bytes have been read.
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads the next value.
    pub fn read(&mut self) -> Result<Value<'a>, Malformed> {
        match self.head()? {
            Head::Scalar(value) => Ok(value),
            Head::Array(count) => {
                let items = self.items(u64::from(count))?;
                Ok(Value::Array(Array::new(count, items)))
            }
            Head::Table(count) => {
                let items = self.items(2 * u64::from(count))?;
                Ok(Value::Table(Table::new(count, items)))
            }
        }
    }

    /// Reads the next value if it is nil, and says whether it was.
    #[inline(always)]
    pub(crate) fn read_nil(&mut self) -> bool {
        match self.rest {
            [NIL, rest @ ..] => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Reads the next value if it is a string of at most 255 bytes; else it stays the next.
    #[inline(always)]
    pub(crate) fn read_short_text(&mut self) -> Option<&'a str> {
        let (length, rest) = match self.rest {
            [tag @ 0xa0..=0xbf, rest @ ..] => (tag & 0x1f, rest),
            [0xd9, length, rest @ ..] => (*length, rest),
            _ => return None,
        };
        let (bytes, rest) = rest.split_at_checked(usize::from(length))?;
        let text = text(bytes).ok()?;
        self.rest = rest;
        Some(text)
    }

    /// Reads the next value if it is an integer from 0 to 127; else it stays the next.
    #[inline(always)]
    pub(crate) fn read_small(&mut self) -> Option<u8> {
        match self.rest {
            [small @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Some(*small)
            }
            _ => None,
        }
    }

    /// Reads the next value, which must be an array.
    pub fn read_array(&mut self) -> Result<Array<'a>, Malformed> {
        match self.read()? {
            Value::Array(array) => Ok(array),
            _ => Err(Malformed),
        }
    }

    /// Reads the next value, which must be a table.
    pub fn read_table(&mut self) -> Result<Table<'a>, Malformed> {
        match self.read()? {
            Value::Table(table) => Ok(table),
            _ => Err(Malformed),
        }
    }

    /// Reads the start of an array, and answers how many values follow.
    #[inline]
    pub fn enter_array(&mut self) -> Result<u32, Malformed> {
        if let [tag @ 0x90..=0x9f, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u32::from(tag & 0x0f));
        }
        match self.head()? {
            Head::Array(count) => Ok(count),
            _ => Err(Malformed),
        }
    }

    /// Moves over `count` values and all that is nested in them, and answers their bytes.
    ///
    /// Every value that is still open needs one byte at least: so hostile counts and hostile
    /// depth end with the bytes, and no stack is needed.
    fn items(&mut self, count: u64) -> Result<&'a [u8], Malformed> {
        let start = self.rest;
        let mut open = count;
        while open > 0 {
            if open > self.rest.len() as u64 {
                return Err(Malformed);
            }
            open -= 1;
            match self.head()? {
                Head::Scalar(_) => {}
                Head::Array(count) => open += u64::from(count),
                Head::Table(count) => open += 2 * u64::from(count),
            }
        }
        start.get(..start.len() - self.rest.len()).ok_or(Malformed)
    }

    fn head(&mut self) -> Result<Head<'a>, Malformed> {
        let [tag] = self.fixed()?;
        let value = match tag {
            0x00..=0x7f => Value::Integer(i64::from(tag)),
            0xe0..=0xff => Value::Integer(i64::from(tag.cast_signed())),
            0xa0..=0xbf => self.text(usize::from(tag & 0x1f))?,
            0x90..=0x9f => return Ok(Head::Array(u32::from(tag & 0x0f))),
            0x80..=0x8f => return Ok(Head::Table(u32::from(tag & 0x0f))),
            NIL => Value::Absent,
            0xc1 => return Err(Malformed),
            0xc2 => Value::Boolean(false),
            0xc3 => Value::Boolean(true),
            0xc4..=0xc6 => {
                let length = self.length(tag - 0xc4)?;
                Value::Bytes(self.take(length)?)
            }
            0xc7..=0xc9 => {
                let length = self.length(tag - 0xc7)?;
                self.extension(length)?
            }
            0xca => Value::Double(f64::from(f32::from_be_bytes(self.fixed()?))),
            0xcb => Value::Double(f64::from_be_bytes(self.fixed()?)),
            0xcc => Value::Integer(i64::from(u8::from_be_bytes(self.fixed()?))),
            0xcd => Value::Integer(i64::from(u16::from_be_bytes(self.fixed()?))),
            0xce => Value::Integer(i64::from(u32::from_be_bytes(self.fixed()?))),
            0xcf => {
                let integer = u64::from_be_bytes(self.fixed()?);
                i64::try_from(integer).map_or(Value::Unsigned(integer), Value::Integer)
            }
            0xd0 => Value::Integer(i64::from(i8::from_be_bytes(self.fixed()?))),
            0xd1 => Value::Integer(i64::from(i16::from_be_bytes(self.fixed()?))),
            0xd2 => Value::Integer(i64::from(i32::from_be_bytes(self.fixed()?))),
            0xd3 => Value::Integer(i64::from_be_bytes(self.fixed()?)),
            0xd4..=0xd8 => self.extension(1 << (tag - 0xd4))?,
            0xd9..=0xdb => {
                let length = self.length(tag - 0xd9)?;
                self.text(length)?
            }
            0xdc | 0xdd => return Ok(Head::Array(self.count(tag - 0xdc)?)),
            0xde | 0xdf => return Ok(Head::Table(self.count(tag - 0xde)?)),
        };
        Ok(Head::Scalar(value))
    }

    fn text(&mut self, length: usize) -> Result<Value<'a>, Malformed> {
        text(self.take(length)?).map(Value::Text)
    }

    fn extension(&mut self, length: usize) -> Result<Value<'a>, Malformed> {
        let [kind] = self.fixed()?;
        let mut body = Cursor::new(self.take(length)?);
        match (kind, length) {
            (EXTENSION_TIMESTAMP, 4) => {
                let seconds = u32::from_be_bytes(body.fixed()?);
                Ok(Value::Timestamp(i64::from(seconds)))
            }
            // Nanoseconds are the upper 30 bits; AMQP counts whole seconds.
            (EXTENSION_TIMESTAMP, 8) => {
                let seconds = u64::from_be_bytes(body.fixed()?) & 0x3_ffff_ffff;
                Ok(Value::Timestamp(seconds.cast_signed()))
            }
            (EXTENSION_TIMESTAMP, 12) => {
                let _nanoseconds: [u8; 4] = body.fixed()?;
                Ok(Value::Timestamp(i64::from_be_bytes(body.fixed()?)))
            }
            (EXTENSION_DECIMAL, 5) => {
                let [scale] = body.fixed()?;
                let digits = i32::from_be_bytes(body.fixed()?);
                Ok(Value::Decimal(Decimal { scale, digits }))
            }
            _ => Err(Malformed),
        }
    }

    /// A length of 1, 2 or 4 bytes.
    fn length(&mut self, size: u8) -> Result<usize, Malformed> {
        Ok(match size {
            0 => usize::from(u8::from_be_bytes(self.fixed()?)),
            1 => usize::from(u16::from_be_bytes(self.fixed()?)),
            _ => {
                let length = u32::from_be_bytes(self.fixed()?);
                usize::try_from(length).map_err(|_| Malformed)?
            }
        })
    }

    /// A count of 2 or 4 bytes.
    fn count(&mut self, size: u8) -> Result<u32, Malformed> {
        Ok(match size {
            0 => u32::from(u16::from_be_bytes(self.fixed()?)),
            _ => u32::from_be_bytes(self.fixed()?),
        })
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }
}
