//! A queue that holds a value of the header `x-deduplication-header` once
//! (`x-message-deduplication`): a message is dropped while another one with its value is here,
//! ready or unacknowledged.
//!
//! The values are in memory alone. Messages that come back after a restart are not among them, as
//! in the plugin.

use std::sync::Arc;

use hashbrown::HashMap;
use shunt_routing::deduplication_value;
use shunt_types::Message;

use super::Queue;

/// The values that are in a queue, each with the sequence of its message.
#[derive(Default)]
pub(super) struct Deduplication {
    sequences: HashMap<Arc<[u8]>, u64>,
    values: HashMap<u64, Arc<[u8]>>,
}

impl Deduplication {
    fn remember(&mut self, sequence: u64, message: &Message) {
        if let Some(value) = deduplication_value(message.properties()) {
            let value: Arc<[u8]> = value[..].into();
            self.sequences.insert(value.clone(), sequence);
            self.values.insert(sequence, value);
        }
    }

    fn forget(&mut self, sequence: u64) {
        if let Some(value) = self.values.remove(&sequence)
            && self.sequences.get(&value) == Some(&sequence)
        {
            self.sequences.remove(&value);
        }
    }
}

impl Queue {
    /// Whether a message with the same value is here.
    #[inline]
    pub(super) fn is_duplicate(&self, message: &Message) -> bool {
        let Some(known) = &self.deduplication else { return false };
        let value = deduplication_value(message.properties());
        value.is_some_and(|value| known.sequences.contains_key(&value[..]))
    }

    /// A message is here, or here again.
    #[inline]
    pub(super) fn remember(&mut self, sequence: u64, message: &Message) {
        if let Some(known) = &mut self.deduplication {
            known.remember(sequence, message);
        }
    }

    /// A message left.
    #[inline]
    pub(super) fn forget(&mut self, sequence: u64) {
        if let Some(known) = &mut self.deduplication {
            known.forget(sequence);
        }
    }
    /// All ready messages left.
    pub(super) fn forget_ready(&mut self) {
        let Some(known) = &mut self.deduplication else { return };
        let mut kept = Deduplication::default();
        for (_, unacked) in &self.unacked {
            let sequence = unacked.entry.sequence;
            if let Some(value) = known.values.remove(&sequence) {
                kept.sequences.insert(value.clone(), sequence);
                kept.values.insert(sequence, value);
            }
        }
        *known = kept;
    }
}
