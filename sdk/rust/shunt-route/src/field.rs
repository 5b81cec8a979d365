//! From values to the types that a route works with.

use alloc::vec::Vec;

use crate::cursor::Cursor;
use crate::refusal::Refusal;
use crate::value::{Array, Table, Value};

/// The fields of the header that a route reads. Derive it:
///
/// ```
/// use shunt_route::Fields;
///
/// #[derive(Fields)]
/// struct Header<'m> {
///     routing_key: &'m str,
///     #[field("headers.region")]
///     region: Option<&'m str>,
/// }
/// assert_eq!(Header::READS, ["routing_key", "headers.region"]);
/// ```
///
/// The host encodes these fields only, so a route pays for what it reads and for nothing else.
/// A field whose type is not an `Option` must be there; where it is not, or is of another type,
/// the message is refused with a reason that names it.
pub trait Fields<'m>: Sized {
    /// Names of the fields, in the order in which they are read.
    const READS: &'static [&'static str];

    /// Reads the fields.
    fn read(reader: &mut FieldReader<'m>) -> Result<Self, Refusal>;
}

/// The values of a message's fields, in the order of [`Fields::READS`].
pub struct FieldReader<'m> {
    cursor: Cursor<'m>,
}

impl<'m> FieldReader<'m> {
    #[inline]
    pub(crate) fn new(input: &'m [u8], reads: &[&str]) -> Result<Self, Refusal> {
        let mut cursor = Cursor::new(input);
        if cursor.enter_array()? as usize != reads.len() {
            return Err(Refusal::new("the host passed another number of fields"));
        }
        Ok(Self { cursor })
    }

    /// Reads the next value; `name` is for the reason where its type is wrong.
    #[inline(always)]
    pub fn next<T: FromValue<'m>>(&mut self, name: &str) -> Result<T, Refusal> {
        match T::read_short(&mut self.cursor) {
            Some(value) => Ok(value),
            None => self.next_of_any_form(name),
        }
    }

    #[inline(never)]
    fn next_of_any_form<T: FromValue<'m>>(&mut self, name: &str) -> Result<T, Refusal> {
        convert(name, self.cursor.read()?)
    }
}

impl<'a> Table<'a> {
    /// The value of `name` as a `T`: `Option<&str>`, `i64`, `bool` and so on. Refuses a value
    /// of another type, and with a `T` that is not an `Option` also a missing one.
    pub fn read<T: FromValue<'a>>(&self, name: &str) -> Result<T, Refusal> {
        convert(name, self.get(name))
    }
}

fn convert<'a, T: FromValue<'a>>(name: &str, value: Value<'a>) -> Result<T, Refusal> {
    T::from_value(value).ok_or_else(|| {
        if value.is_absent() {
            Refusal::of(&[name, " is missing"])
        } else {
            Refusal::of(&[name, " is not ", T::EXPECTED])
        }
    })
}

/// A type that a [`Value`] can be read as.
pub trait FromValue<'a>: Sized {
    /// What the value has to be, with its article: "a string".
    const EXPECTED: &'static str;

    /// The value as this type, `None` where it is another.
    fn from_value(value: Value<'a>) -> Option<Self>;

    /// Reads the next value if it is of this type and in the form that most have, a short
    /// string or a small integer. `None` has moved nothing, and the value is read as any other:
    /// an implementation may leave this out.
    #[inline(always)]
    fn read_short(_cursor: &mut Cursor<'a>) -> Option<Self> {
        None
    }
}

impl<'a> FromValue<'a> for Value<'a> {
    const EXPECTED: &'static str = "a value";

    fn from_value(value: Value<'a>) -> Option<Self> {
        Some(value)
    }
}

impl<'a, T: FromValue<'a>> FromValue<'a> for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_value(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Absent => Some(None),
            value => T::from_value(value).map(Some),
        }
    }

    #[inline(always)]
    fn read_short(cursor: &mut Cursor<'a>) -> Option<Self> {
        if cursor.read_nil() { Some(None) } else { T::read_short(cursor).map(Some) }
    }
}

/// One line for each type that is a variant of [`Value`] as it is.
macro_rules! from_variant {
    ($($kind:ty, $variant:ident, $expected:literal $(, $read_short:path)?;)*) => {$(
        impl<'a> FromValue<'a> for $kind {
            const EXPECTED: &'static str = $expected;

            fn from_value(value: Value<'a>) -> Option<Self> {
                match value {
                    Value::$variant(value) => Some(value),
                    _ => None,
                }
            }

            $(
                #[inline(always)]
                fn read_short(cursor: &mut Cursor<'a>) -> Option<Self> {
                    $read_short(cursor).map(Into::into)
                }
            )?
        }
    )*};
}

from_variant! {
    bool, Boolean, "a boolean";
    i64, Integer, "an integer", Cursor::read_small;
    &'a str, Text, "a string", Cursor::read_short_text;
    &'a [u8], Bytes, "a byte array";
    Array<'a>, Array, "an array";
    Table<'a>, Table, "a table";
}

impl<'a> FromValue<'a> for Vec<&'a str> {
    const EXPECTED: &'static str = "an array of strings";

    fn from_value(value: Value<'a>) -> Option<Self> {
        let texts = Array::from_value(value)?;
        texts.iter().map(FromValue::from_value).collect()
    }
}

/// Narrower integers, refused where the value does not fit.
macro_rules! from_integer {
    ($($kind:ty, $expected:literal;)*) => {$(
        impl FromValue<'_> for $kind {
            const EXPECTED: &'static str = $expected;

            fn from_value(value: Value<'_>) -> Option<Self> {
                match value {
                    Value::Integer(value) => value.try_into().ok(),
                    Value::Unsigned(value) => value.try_into().ok(),
                    _ => None,
                }
            }

            #[inline(always)]
            fn read_short(cursor: &mut Cursor<'_>) -> Option<Self> {
                cursor.read_small().map(Into::into)
            }
        }
    )*};
}

from_integer! {
    u8, "an integer from 0 to 255";
    u32, "an integer from 0 to 4294967295";
    u64, "an integer that is not negative";
}

impl FromValue<'_> for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Double(value) => Some(value),
            Value::Integer(value) => Some(value as f64),
            Value::Unsigned(value) => Some(value as f64),
            _ => None,
        }
    }
}
