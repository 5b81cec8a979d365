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

    pub(crate) fn clear(&mut self) {
        self.count = 0;
        self.bytes.clear();
        self.bytes.extend_from_slice(&[0; HEAD_LENGTH_MAX]);
    }

    /// Adds what a binding leads to.
    pub fn add(&mut self, binding: BindingIndex) {
        self.count += 1;
        writer::write_unsigned(&mut self.bytes, binding.0);
    }

    /// Adds a queue by its name. The host refuses it unless the route was deployed with the
    /// right to reach any queue.
    pub fn add_queue(&mut self, name: &str) {
        self.count += 1;
        writer::write_text(&mut self.bytes, name);
    }

    /// How many have been added.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether none has been added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The answer as MessagePack; empty where there is no destination.
    pub(crate) fn finish(&mut self) -> &[u8] {
        if self.count == 0 {
            return &[];
        }
        let mut head = [0; HEAD_LENGTH_MAX];
        let [high, middle_high, middle_low, low] = self.count.to_be_bytes();
        let start = match self.count {
            0..=15 => {
                head[4] = 0x90 | low;
                4
            }
            16..=0xffff => {
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
