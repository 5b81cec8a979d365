//! Values and bytes that nobody chose, the same in every run.

use shunt_route::testing::Data;
use shunt_route::{Decimal, stable_hash_with};

pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 += 1;
        stable_hash_with(self.0, &[])
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A value, with others inside at most `depth` times.
    pub(crate) fn data(&mut self, depth: u64) -> Data {
        let kinds = if depth == 0 { 9 } else { 11 };
        match self.below(kinds) {
            0 => Data::Absent,
            1 => Data::Boolean(self.below(2) == 0),
            2 => Data::Integer(self.next().cast_signed() >> self.below(64)),
            3 => Data::Double(self.next() as f64),
            4 => Data::Text("é".repeat(self.below(40) as usize)),
            5 => Data::Bytes(vec![0xff; self.below(300) as usize]),
            6 => Data::Timestamp(self.next().cast_signed() >> self.below(64)),
            7 => Data::Decimal(Decimal { scale: 2, digits: self.next() as i32 }),
            8 => Data::Unsigned(self.next() | 1 << 63),
            9 => {
                let count = self.below(20);
                Data::Array((0..count).map(|_| self.data(depth - 1)).collect())
            }
            _ => {
                let count = self.below(20);
                let pair = |index| (format!("name-{index}"), self.data(depth - 1));
                Data::Table((0..count).map(pair).collect())
            }
        }
    }

    /// Noise, or an encoded value with some bytes changed and perhaps its end missing.
    pub(crate) fn hostile(&mut self) -> Vec<u8> {
        if self.below(2) == 0 {
            return (0..self.below(40)).map(|_| self.next() as u8).collect();
        }
        let mut bytes = self.data(2).encode();
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len() as u64) as usize;
            bytes[at] = self.next() as u8;
        }
        bytes.truncate(self.below(2 * bytes.len() as u64) as usize);
        bytes
    }
}
