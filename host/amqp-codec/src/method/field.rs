//! The types of a method's arguments: how each is read and written.

use shunt_types::{DecodeError, Reader, TableRef, put_long_string, put_short_string};

/// An argument of a method.
pub(super) trait Field<'a>: Sized {
    fn read(from: &mut FieldReader<'a>) -> Result<Self, DecodeError>;
    fn write(self, to: &mut FieldWriter<'_>);
}

/// Reads arguments one after the other.
///
/// Bits that follow each other share octets, lowest first, and an octet ends with the last of
/// such a run (section 4.2.5.2). With everything inlined, which bit comes next is known at
/// compile time.
pub(super) struct FieldReader<'a> {
    bytes: Reader<'a>,
    bits: u8,
    bits_left: u8,
}

impl<'a> FieldReader<'a> {
    #[inline(always)]
    pub(super) fn new(bytes: Reader<'a>) -> Self {
        Self { bytes, bits: 0, bits_left: 0 }
    }

    #[inline(always)]
    pub(super) fn read<F: Field<'a>>(&mut self) -> Result<F, DecodeError> {
        F::read(self)
    }

    #[inline(always)]
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        self.bytes.finish()
    }

    /// The bytes from the next octet on, for an argument that is no bit.
    #[inline(always)]
    fn octets(&mut self) -> &mut Reader<'a> {
        self.bits_left = 0;
        &mut self.bytes
    }
}

/// Writes arguments one after the other, the inverse of [`FieldReader`].
pub(super) struct FieldWriter<'o> {
    out: &'o mut Vec<u8>,
    bits_used: u8,
}

impl<'o> FieldWriter<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, bits_used: 0 }
    }

    #[inline(always)]
    pub(super) fn write<'a>(&mut self, field: impl Field<'a>) {
        field.write(self);
    }

    #[inline(always)]
    fn octets(&mut self) -> &mut Vec<u8> {
        self.bits_used = 0;
        self.out
    }
}

impl<'a> Field<'a> for bool {
    #[inline(always)]
    fn read(from: &mut FieldReader<'a>) -> Result<Self, DecodeError> {
        if from.bits_left == 0 {
            from.bits = from.bytes.u8()?;
            from.bits_left = 8;
        }
        let bit = from.bits & 1 != 0;
        from.bits >>= 1;
        from.bits_left -= 1;
        Ok(bit)
    }

    #[inline(always)]
    fn write(self, to: &mut FieldWriter<'_>) {
        if to.bits_used.is_multiple_of(8) {
            to.out.push(0);
            to.bits_used = 0;
        }
        if let Some(last) = to.out.last_mut() {
            *last |= u8::from(self) << to.bits_used;
        }
        to.bits_used += 1;
    }
}

macro_rules! number {
    ($($type:ident)*) => {
        $(impl<'a> Field<'a> for $type {
            #[inline(always)]
            fn read(from: &mut FieldReader<'a>) -> Result<Self, DecodeError> {
                from.octets().$type()
            }

            #[inline(always)]
            fn write(self, to: &mut FieldWriter<'_>) {
                to.octets().extend_from_slice(&self.to_be_bytes());
            }
        })*
    };
}

number!(u8 u16 u32 u64);

impl<'a> Field<'a> for &'a str {
    #[inline(always)]
    fn read(from: &mut FieldReader<'a>) -> Result<Self, DecodeError> {
        from.octets().short_string()
    }

    fn write(self, to: &mut FieldWriter<'_>) {
        put_short_string(to.octets(), self);
    }
}

impl<'a> Field<'a> for &'a [u8] {
    #[inline(always)]
    fn read(from: &mut FieldReader<'a>) -> Result<Self, DecodeError> {
        from.octets().long_string()
    }

    fn write(self, to: &mut FieldWriter<'_>) {
        put_long_string(to.octets(), self);
    }
}

impl<'a> Field<'a> for TableRef<'a> {
    fn read(from: &mut FieldReader<'a>) -> Result<Self, DecodeError> {
        TableRef::decode(from.octets())
    }

    fn write(self, to: &mut FieldWriter<'_>) {
        put_long_string(to.octets(), self.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_share_octets_until_another_argument_ends_the_run() {
        let mut bytes = Vec::new();
        let mut writer = FieldWriter::new(&mut bytes);
        for bit in [true, false, true, false, false, false, false, true, true] {
            writer.write(bit);
        }
        writer.write(7u8);
        writer.write(true);
        assert_eq!(bytes, [0b1000_0101, 1, 7, 1]);

        let mut reader = FieldReader::new(Reader::new(&bytes));
        for bit in [true, false, true, false, false, false, false, true, true] {
            assert_eq!(reader.read(), Ok(bit));
        }
        assert_eq!(reader.read(), Ok(7u8));
        assert_eq!(reader.read(), Ok(true));
        assert_eq!(reader.finish(), Ok(()));
    }
}
