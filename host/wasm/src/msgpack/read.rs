//! Reading MessagePack that a guest wrote: nothing in it is believed.

/// Why bytes are no MessagePack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the MessagePack ends in the middle of a value")]
    Truncated,
    #[error("0xc1 is no MessagePack")]
    Reserved,
    #[error("a string in the MessagePack isn't UTF-8")]
    NotUtf8,
}

/// What stands at the cursor. Of what no answer may hold, only that it was passed over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Token<'a> {
    /// An integer from 0 up, however it was written.
    Unsigned(u64),
    Negative(i64),
    Text(&'a str),
    /// An array follows with that many values.
    Array(u32),
    /// A map follows with that many keys and values.
    Map(u32),
    /// Nil, a boolean, a float, binary or an extension.
    Other,
}

/// A cursor over MessagePack. Reads are checked and allocate nothing.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], ReadError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(ReadError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(ReadError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    fn u8(&mut self) -> Result<u8, ReadError> {
        self.chunk::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, ReadError> {
        self.chunk().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, ReadError> {
        self.chunk().map(u32::from_be_bytes)
    }

    #[inline]
    fn text(&mut self, length: usize) -> Result<Token<'a>, ReadError> {
        let bytes = self.bytes(length)?;
        std::str::from_utf8(bytes).map(Token::Text).map_err(|_| ReadError::NotUtf8)
    }

    fn other(&mut self, length: usize) -> Result<Token<'a>, ReadError> {
        self.bytes(length).map(|_| Token::Other)
    }

    /// The next value, or the head of an array or a map.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Token<'a>, ReadError> {
        let marker = self.u8()?;
        match marker {
            0x00..=0x7f => Ok(Token::Unsigned(marker.into())),
            0x80..=0x8f => Ok(Token::Map((marker & 0x0f).into())),
            0x90..=0x9f => Ok(Token::Array((marker & 0x0f).into())),
            0xa0..=0xbf => self.text((marker & 0x1f).into()),
            0xe0..=0xff => Ok(Token::Negative((marker as i8).into())),
            _ => self.long(marker),
        }
    }

    fn long(&mut self, marker: u8) -> Result<Token<'a>, ReadError> {
        Ok(match marker {
            0xc4 => {
                let length = self.u8()?;
                self.other(length.into())?
            }
            0xc5 => {
                let length = self.u16()?;
                self.other(length.into())?
            }
            0xc6 => {
                let length = self.u32()?;
                self.other(length as usize)?
            }
            // Extensions carry their type in a byte of its own.
            0xc7 => {
                let length = self.u8()?;
                self.other(usize::from(length) + 1)?
            }
            0xc8 => {
                let length = self.u16()?;
                self.other(usize::from(length) + 1)?
            }
            0xc9 => {
                let length = self.u32()?;
                self.other(length as usize + 1)?
            }
            0xca => self.other(4)?,
            0xcb => self.other(8)?,
            0xcc => Token::Unsigned(self.u8()?.into()),
            0xcd => Token::Unsigned(self.u16()?.into()),
            0xce => Token::Unsigned(self.u32()?.into()),
            0xcf => Token::Unsigned(self.chunk().map(u64::from_be_bytes)?),
            0xd0 => integer((self.u8()? as i8).into()),
            0xd1 => integer((self.u16()? as i16).into()),
            0xd2 => integer((self.u32()? as i32).into()),
            0xd3 => integer(self.chunk().map(i64::from_be_bytes)?),
            0xd4..=0xd8 => self.other((1 << (marker - 0xd4)) + 1)?,
            0xd9 => {
                let length = self.u8()?;
                self.text(length.into())?
            }
            0xda => {
                let length = self.u16()?;
                self.text(length.into())?
            }
            0xdb => {
                let length = self.u32()?;
                self.text(length as usize)?
            }
            0xdc => Token::Array(self.u16()?.into()),
            0xdd => Token::Array(self.u32()?),
            0xde => Token::Map(self.u16()?.into()),
            0xdf => Token::Map(self.u32()?),
            0xc1 => return Err(ReadError::Reserved),
            _ => Token::Other,
        })
    }

    /// Passes over one value with all that is in it, without recursion.
    pub(crate) fn skip(&mut self) -> Result<(), ReadError> {
        let mut pending = 1_u64;
        while pending > 0 {
            pending -= 1;
            match self.next()? {
                Token::Array(items) => pending += u64::from(items),
                Token::Map(fields) => pending += 2 * u64::from(fields),
                _ => {}
            }
        }
        Ok(())
    }
}

fn integer(n: i64) -> Token<'static> {
    u64::try_from(n).map_or(Token::Negative(n), Token::Unsigned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn hostile_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            while !reader.is_empty() && reader.next().is_ok() {}
            let _ = Reader::new(&bytes).skip();
        }
    }

    #[test]
    fn lengths_beyond_the_end_are_refused() {
        for bytes in [
            &[0xdb, 0xff, 0xff, 0xff, 0xff, 1][..],
            &[0xc6, 0xff, 0xff, 0xff, 0xff],
            &[0xc9, 0xff, 0xff, 0xff, 0xff, 0],
            &[0xcf, 1],
            &[],
        ] {
            assert_eq!(Reader::new(bytes).next(), Err(ReadError::Truncated));
        }
        assert_eq!(Reader::new(&[0xc1]).next(), Err(ReadError::Reserved));
        assert_eq!(Reader::new(&[0xa1, 0xff]).next(), Err(ReadError::NotUtf8));
    }

    #[test]
    fn skip_passes_over_deep_nesting_and_counts_that_lie() {
        let mut deep = vec![0x91; 100_000];
        deep.push(0xc0);
        let mut reader = Reader::new(&deep);
        assert_eq!(reader.skip(), Ok(()));
        assert!(reader.is_empty());
        let lie = [0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0];
        assert_eq!(Reader::new(&lie).skip(), Err(ReadError::Truncated));
    }
}
