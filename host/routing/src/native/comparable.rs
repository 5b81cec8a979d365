//! Field values in a form in which equal values are equal bytes, whatever their types.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

use shunt_types::ValueRef;
use smallvec::SmallVec;
use triomphe::ThinArc;

/// The form of one value; numbers and short texts need no allocation.
pub(super) type Comparable = SmallVec<[u8; 64]>;

/// A form that is kept for long. Numbers and most texts stand in the value itself; what is longer
/// is shared.
#[derive(Clone)]
pub(super) enum Kept {
    Short { length: u8, bytes: [u8; SHORT_MAX] },
    Long(ThinArc<(), u8>),
}

/// Bytes of a short form, for which a long one's tag and pointer have room: those of most numbers,
/// and of a text of 13 bytes.
const SHORT_MAX: usize = 14;

impl Kept {
    /// The [`concise`] form of a value, to keep.
    pub(super) fn of(value: ValueRef<'_>) -> Self {
        let form = concise(value);
        let mut bytes = [0; SHORT_MAX];
        match bytes.get_mut(..form.len()) {
            Some(start) => {
                start.copy_from_slice(&form);
                Self::Short { length: form.len() as u8, bytes }
            }
            None => Self::Long(ThinArc::from_header_and_slice((), &form)),
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => &bytes[..usize::from(*length)],
            Self::Long(form) => &form.slice,
        }
    }
}

// As the slice, which maps look forms up by.
impl Hash for Kept {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Kept {}

impl Borrow<[u8]> for Kept {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

const VOID: u8 = 0;
const BOOLEAN: u8 = 1;
const INTEGER: u8 = 2;
const FLOAT: u8 = 3;
const DECIMAL: u8 = 4;
const BYTES: u8 = 5;
const ARRAY: u8 = 6;
const TABLE: u8 = 7;

/// The form of a value. What is written here must never change: `x-consistent-hash` hashes it.
pub(super) fn comparable(value: ValueRef<'_>) -> Comparable {
    let mut out = Comparable::new();
    write(value, &mut out);
    out
}

/// A shorter form, in which too equal values are equal bytes: texts without their length, numbers
/// of 64 bits in as many.
pub(super) fn concise(value: ValueRef<'_>) -> Comparable {
    let mut out = Comparable::new();
    if let Some(integer) = value.as_integer() {
        write_concise(integer, &mut out);
        return out;
    }
    match value {
        ValueRef::LongString(bytes) | ValueRef::ByteArray(bytes) => {
            out.push(BYTES);
            out.extend_from_slice(bytes);
        }
        value => {
            write(value, &mut out);
            if let [INTEGER, wide @ ..] = out.as_slice()
                && let Ok(wide) = wide.try_into().map(i128::from_be_bytes)
                && let Ok(integer) = i64::try_from(wide)
            {
                out.clear();
                write_concise(integer, &mut out);
            }
        }
    }
    out
}

/// Shorter than what a wide integer comes to, so that no two are the same bytes.
fn write_concise(integer: i64, out: &mut Comparable) {
    out.push(INTEGER);
    out.extend_from_slice(&integer.to_be_bytes());
}

/// Nesting is bounded by the validation of the table that the value is of.
fn write(value: ValueRef<'_>, out: &mut Comparable) {
    if let Some(integer) = value.as_integer() {
        return write_integer(integer.into(), out);
    }
    match value {
        ValueRef::Boolean(value) => out.extend_from_slice(&[BOOLEAN, value.into()]),
        ValueRef::Timestamp(seconds) => write_integer(seconds.into(), out),
        ValueRef::F32(value) => write_float(value.into(), out),
        ValueRef::F64(value) => write_float(value, out),
        ValueRef::Decimal { scale, value } => {
            out.extend_from_slice(&[DECIMAL, scale]);
            out.extend_from_slice(&value.to_be_bytes());
        }
        ValueRef::LongString(bytes) | ValueRef::ByteArray(bytes) => write_bytes(bytes, out),
        ValueRef::Array(items) => {
            out.push(ARRAY);
            with_length(out, |out| items.iter().for_each(|item| write(item, out)));
        }
        ValueRef::Table(fields) => {
            out.push(TABLE);
            with_length(out, |out| {
                for (name, value) in fields.iter() {
                    write_bytes(name.as_bytes(), out);
                    write(value, out);
                }
            });
        }
        // The integers were written above.
        _ => out.push(VOID),
    }
}

fn write_integer(value: i128, out: &mut Comparable) {
    out.push(INTEGER);
    out.extend_from_slice(&value.to_be_bytes());
}

/// A float without a fraction equals the integer (Erlang's `==`, in which RabbitMQ compares).
fn write_float(value: f64, out: &mut Comparable) {
    // Every float of that size without a fraction is an i128.
    if value.fract() == 0.0 && value.abs() < 1e38 {
        return write_integer(value as i128, out);
    }
    out.push(FLOAT);
    out.extend_from_slice(&value.to_bits().to_be_bytes());
}

fn write_bytes(bytes: &[u8], out: &mut Comparable) {
    out.push(BYTES);
    with_length(out, |out| out.extend_from_slice(bytes));
}

/// Writes what `fill` appends, with its length before it: without, ["ab", "c"] and ["a", "bc"]
/// could come out the same.
fn with_length(out: &mut Comparable, fill: impl FnOnce(&mut Comparable)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use shunt_types::{FieldTable, Reader, TableRef, Value};

    use super::*;
    use crate::fixture::table;

    /// Both forms of a value.
    fn form(value: &Value) -> (Comparable, Comparable) {
        let fields = table(&[("v", value.clone())]);
        let mut bytes = Vec::new();
        fields.encode(&mut bytes);
        let fields = TableRef::decode(&mut Reader::new(&bytes)).unwrap();
        let value = fields.get("v").unwrap();
        (comparable(value), concise(value))
    }

    #[track_caller]
    fn check(values: &[Value], equal: bool) {
        for (index, a) in values.iter().enumerate() {
            for b in &values[index + 1..] {
                let (a_form, b_form) = (form(a), form(b));
                assert_eq!(a_form.0 == b_form.0, equal, "{a:?} and {b:?}");
                assert_eq!(a_form.1 == b_form.1, equal, "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn numbers_are_equal_whatever_their_width() {
        use Value::*;
        check(&[I8(5), U8(5), I16(5), U16(5), I32(5), U32(5), I64(5), Timestamp(5)], true);
        check(&[I64(5), F32(5.0), F64(5.0)], true);
        check(&[F32(0.5), F64(0.5)], true);
        check(&[F64(0.0), F64(-0.0), I8(0)], true);
        check(&[I64(-1), Timestamp(u64::MAX), F64(1e300), F64(-1e300)], false);
        check(&[Timestamp(1 << 63), F64(9_223_372_036_854_775_808.0)], true);
        check(&[Timestamp(1 << 63), I64(i64::MIN), I64(i64::MAX), F64(2e19), F64(-2e19)], false);
    }

    #[test]
    fn a_form_is_kept_as_it_is_short_or_long() {
        for length in [0, 12, 13, 14, 100] {
            let text = vec![b'x'; length];
            let value = ValueRef::LongString(&text);
            let kept = Kept::of(value);
            assert_eq!(kept.as_slice(), concise(value).as_slice());
            assert_eq!(matches!(kept, Kept::Short { .. }), length <= 13);
            assert!(kept.clone() == kept && kept != Kept::of(ValueRef::Void));
        }
        assert_eq!(size_of::<Kept>(), 16);
        let whole = Kept::of(ValueRef::I64(i64::MIN));
        assert!(matches!(whole, Kept::Short { .. }));
    }

    #[test]
    fn texts_are_equal_to_the_same_bytes() {
        check(&[Value::from("5"), Value::ByteArray(b"5".to_vec())], true);
    }

    #[test]
    fn kinds_do_not_mix() {
        let empty = Value::Table(FieldTable::new());
        check(
            &[
                Value::Void,
                Value::Boolean(true),
                Value::Boolean(false),
                Value::I64(1),
                Value::from("1"),
                Value::from("true"),
                Value::from(""),
                Value::F64(1.5),
                Value::Decimal { scale: 1, value: 15 },
                Value::Array(Vec::new()),
                empty,
            ],
            false,
        );
    }

    #[test]
    fn nested_values_are_compared_to_the_bottom() {
        let list = |items: &[&str]| Value::Array(items.iter().map(|&item| item.into()).collect());
        check(&[list(&["ab", "c"]), list(&["a", "bc"]), list(&["abc"]), list(&[])], false);
        let nested = |value| Value::Table(table(&[("n", Value::Array(vec![value]))]));
        check(&[nested(Value::I8(1)), nested(Value::I64(1))], true);
    }
}
