//! How a plain function becomes a [`Route`](crate::Route).

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::binding::{Bindings, KeptBinding};

/// The bindings, kept for a function that gets them with each message.
#[derive(Debug, Default)]
pub struct KeptBindings {
    kept: Arc<Vec<KeptBinding>>,
}

impl KeptBindings {
    /// Keeps these instead.
    pub fn replace(&mut self, bindings: &Bindings<'_>) {
        self.kept = Arc::clone(bindings.kept());
    }

    /// The bindings.
    #[inline]
    pub fn get(&self) -> Bindings<'_> {
        Bindings::new(&self.kept)
    }
}
