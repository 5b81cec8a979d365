//! Where a message goes.

use alloc::vec::Vec;

use crate::binding::BindingIndex;
use crate::writer;

/// The destinations of one message. Where a route adds none, the message is unroutable.
#[derive(Debug, Default)]
pub struct Destinations {
    count: u32,
    /// The answer, behind room for the longest head of an array: the count is known last.
    bytes: Vec<u8>,
}

const HEAD_LENGTH_MAX: usize = 5;

impl Destinations {
    pub(crate) const fn new() -> Self {
        Self { count: 0, bytes: Vec::new() }
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.count = 0;
        if self.bytes.len() < HEAD_LENGTH_MAX {
            self.bytes.resize(HEAD_LENGTH_MAX, 0);
        }
        self.bytes.truncate(HEAD_LENGTH_MAX);
    }

    /// Adds what a binding leads to.
    #[inline]
    pub fn add(&mut self, binding: BindingIndex) {
        self.count += 1;
        match binding.0 {
            short @ 0..=127 => self.bytes.push(short as u8),
            long => writer::write_unsigned(&mut self.bytes, long),
        }
    }

    /// Adds a queue by its name. The host refuses it unless the route was deployed with the
    /// right to reach any queue.
    pub fn add_queue(&mut self, name: &str) {
        self.count += 1;
        writer::write_text(&mut self.bytes, name);
    }

    /// How many have been added.
    #[inline]
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether none has been added.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The answer as MessagePack; empty where there is no destination.
    #[inline]
    pub(crate) fn finish(&mut self) -> &[u8] {
        match self.count {
            0 => &[],
            count @ 1..=15 => {
                let answer = self.bytes.get_mut(HEAD_LENGTH_MAX - 1..).unwrap_or_default();
                if let Some(head) = answer.first_mut() {
                    *head = 0x90 | count as u8;
                }
                answer
            }
            _ => self.finish_long(),
        }
    }

    #[cold]
    fn finish_long(&mut self) -> &[u8] {
        let mut head = [0; HEAD_LENGTH_MAX];
        let [high, middle_high, middle_low, low] = self.count.to_be_bytes();
        let start = match self.count {
            0..=0xffff => {
                head[2..].copy_from_slice(&[0xdc, middle_low, low]);
                2
            }
            _ => {
                head = [0xdd, high, middle_high, middle_low, low];
                0
            }
        };
        self.bytes[..HEAD_LENGTH_MAX].copy_from_slice(&head);
        &self.bytes[start..]
    }
}
