//! Writing MessagePack into a buffer that is there already.

/// Writes into a buffer and counts what doesn't fit: [`Writer::length`] then says how long the
/// buffer should have been.
pub(crate) struct Writer<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, length: 0 }
    }

    /// Bytes written, and those that found no room.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        let end = self.length + N;
        if let Some(room) = self.buffer.get_mut(self.length..end) {
            room.copy_from_slice(&bytes);
        }
        self.length = end;
    }

    #[inline]
    fn put_slice(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(room) = self.buffer.get_mut(self.length..end) {
            copy(bytes, room);
        }
        self.length = end;
    }

    #[inline]
    fn put_u16(&mut self, marker: u8, n: u16) {
        let [a, b] = n.to_be_bytes();
        self.put([marker, a, b]);
    }

    #[inline]
    fn put_u32(&mut self, marker: u8, n: u32) {
        let [a, b, c, d] = n.to_be_bytes();
        self.put([marker, a, b, c, d]);
    }

    fn put_u64(&mut self, marker: u8, n: u64) {
        self.put([marker]);
        self.put(n.to_be_bytes());
    }

    pub(crate) fn nil(&mut self) {
        self.put([0xc0]);
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.put([0xc2 + u8::from(value)]);
    }

    #[inline]
    pub(crate) fn unsigned(&mut self, n: u64) {
        match n {
            0..=0x7f => self.put([n as u8]),
            0x80..=0xff => self.put([0xcc, n as u8]),
            0x100..=0xffff => self.put_u16(0xcd, n as u16),
            0x1_0000..=0xffff_ffff => self.put_u32(0xce, n as u32),
            _ => self.put_u64(0xcf, n),
        }
    }

    pub(crate) fn integer(&mut self, n: i64) {
        match n {
            0.. => self.unsigned(n as u64),
            -32..=-1 => self.put([n as u8]),
            -0x80..=-33 => self.put([0xd0, n as u8]),
            -0x8000..=-0x81 => self.put_u16(0xd1, n as u16),
            -0x8000_0000..=-0x8001 => self.put_u32(0xd2, n as u32),
            _ => self.put_u64(0xd3, n as u64),
        }
    }

    pub(crate) fn float32(&mut self, value: f32) {
        self.put_u32(0xca, value.to_bits());
    }

    pub(crate) fn float64(&mut self, value: f64) {
        self.put_u64(0xcb, value.to_bits());
    }

    #[inline]
    pub(crate) fn text(&mut self, text: &str) {
        let length = text.len();
        match length {
            0..=31 => self.put([0xa0 | length as u8]),
            32..=0xff => self.put([0xd9, length as u8]),
            0x100..=0xffff => self.put_u16(0xda, length as u16),
            _ => self.put_u32(0xdb, length as u32),
        }
        self.put_slice(text.as_bytes());
    }

    pub(crate) fn binary(&mut self, bytes: &[u8]) {
        let length = bytes.len();
        match length {
            0..=0xff => self.put([0xc4, length as u8]),
            0x100..=0xffff => self.put_u16(0xc5, length as u16),
            _ => self.put_u32(0xc6, length as u32),
        }
        self.put_slice(bytes);
    }

    #[inline]
    pub(crate) fn array(&mut self, items: usize) {
        match items {
            0..=15 => self.put([0x90 | items as u8]),
            16..=0xffff => self.put_u16(0xdc, items as u16),
            _ => self.put_u32(0xdd, items as u32),
        }
    }

    pub(crate) fn map(&mut self, fields: usize) {
        match fields {
            0..=15 => self.put([0x80 | fields as u8]),
            16..=0xffff => self.put_u16(0xde, fields as u16),
            _ => self.put_u32(0xdf, fields as u32),
        }
    }

    /// The timestamp extension (type -1), in the shortest form that holds the seconds.
    pub(crate) fn timestamp(&mut self, seconds: u64) {
        match seconds {
            0..=0xffff_ffff => {
                self.put([0xd6, 0xff]);
                self.put((seconds as u32).to_be_bytes());
            }
            // 30 bits of nanoseconds, none, above 34 bits of seconds.
            0x1_0000_0000..=0x3_ffff_ffff => {
                self.put([0xd7, 0xff]);
                self.put(seconds.to_be_bytes());
            }
            _ => {
                self.put([0xc7, 12, 0xff, 0, 0, 0, 0]);
                self.put(seconds.to_be_bytes());
            }
        }
    }

    /// A decimal: extension 1, one byte scale, then the value.
    pub(crate) fn decimal(&mut self, scale: u8, value: i32) {
        self.put([0xc7, 5, 1, scale]);
        self.put(value.to_be_bytes());
    }
}

/// Copies into as many bytes. Names and keys are short: for these two words that may overlap cost
/// less than a call of `memcpy`.
#[inline]
fn copy(from: &[u8], to: &mut [u8]) {
    if let 8..=16 = from.len()
        && let (Some(first), Some(last)) = (from.first_chunk::<8>(), from.last_chunk::<8>())
        && let Some(room) = to.first_chunk_mut::<8>()
    {
        *room = *first;
        if let Some(room) = to.last_chunk_mut::<8>() {
            *room = *last;
        }
    } else {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::msgpack::{Reader, Token};

    #[track_caller]
    fn check(write: impl Fn(&mut Writer<'_>), expected: &[u8]) {
        let mut buffer = [0; 64];
        let mut writer = Writer::new(&mut buffer);
        write(&mut writer);
        let length = writer.length();
        assert_eq!(&buffer[..length], expected);
        // Without room nothing is written and the length is the same.
        let mut writer = Writer::new(&mut []);
        write(&mut writer);
        assert_eq!(writer.length(), expected.len());
    }

    #[test]
    fn the_shortest_form_of_each_type() {
        check(|w| w.nil(), &[0xc0]);
        check(|w| w.boolean(true), &[0xc3]);
        check(|w| w.unsigned(127), &[0x7f]);
        check(|w| w.unsigned(128), &[0xcc, 0x80]);
        check(|w| w.unsigned(256), &[0xcd, 1, 0]);
        check(|w| w.integer(-1), &[0xff]);
        check(|w| w.integer(-32), &[0xe0]);
        check(|w| w.integer(-33), &[0xd0, 0xdf]);
        check(|w| w.integer(-129), &[0xd1, 0xff, 0x7f]);
        check(|w| w.integer(i64::MIN), &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]);
        check(|w| w.text("eu"), &[0xa2, b'e', b'u']);
        check(|w| w.binary(&[1, 2]), &[0xc4, 2, 1, 2]);
        check(|w| w.array(2), &[0x92]);
        check(|w| w.map(16), &[0xde, 0, 16]);
        check(|w| w.float32(1.5), &[0xca, 0x3f, 0xc0, 0, 0]);
        check(|w| w.timestamp(1), &[0xd6, 0xff, 0, 0, 0, 1]);
        check(|w| w.timestamp(1 << 33), &[0xd7, 0xff, 0, 0, 0, 2, 0, 0, 0, 0]);
        check(|w| w.timestamp(1 << 40), &[0xc7, 12, 0xff, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
        check(|w| w.decimal(2, -1), &[0xc7, 5, 1, 2, 0xff, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn texts_of_every_length_are_copied_whole() {
        let long = "abcdefghijklmnopqrstuvwxyz";
        for length in 0..long.len() {
            let text = &long[..length];
            let expected = [&[0xa0 | length as u8], text.as_bytes()].concat();
            check(|w| w.text(text), &expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(n in any::<i64>(), u in any::<u64>(), text in ".{0,300}") {
            let mut buffer = vec![0; 2_000];
            let mut writer = Writer::new(&mut buffer);
            writer.array(4);
            writer.integer(n);
            writer.unsigned(u);
            writer.text(&text);
            writer.binary(text.as_bytes());
            let length = writer.length();
            let mut reader = Reader::new(&buffer[..length]);
            prop_assert_eq!(reader.next(), Ok(Token::Array(4)));
            let expected = u64::try_from(n).map_or(Token::Negative(n), Token::Unsigned);
            prop_assert_eq!(reader.next(), Ok(expected));
            prop_assert_eq!(reader.next(), Ok(Token::Unsigned(u)));
            prop_assert_eq!(reader.next(), Ok(Token::Text(&text)));
            prop_assert_eq!(reader.next(), Ok(Token::Other));
            prop_assert!(reader.is_empty());
        }
    }
}
