//! How a plain function becomes a [`Route`](crate::Route).

use alloc::vec::Vec;

use crate::binding::Bindings;

/// The bindings as the host passed them, kept for a function that gets them with each message.
#[derive(Debug, Default)]
pub struct KeptBindings {
    /// Empty, or an array that has been checked.
    input: Vec<u8>,
}

impl KeptBindings {
    /// Keeps these instead.
    pub fn replace(&mut self, bindings: &Bindings<'_>) {
        self.input.clear();
        self.input.extend_from_slice(bindings.input());
    }

    /// The bindings.
    pub fn get(&self) -> Bindings<'_> {
        Bindings::checked(&self.input)
    }
}
