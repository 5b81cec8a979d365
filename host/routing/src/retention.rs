//! What an exchange keeps of messages that passed, for destinations that are bound later.

use shunt_types::Message;

use crate::exchange_type::Binding;

/// The memory of one exchange: shared by its snapshots, written by publishers on any thread, so
/// an implementation holds its lock for a moment only. It lives in memory alone and ends with the
/// exchange or the process.
pub trait Retention: Send + Sync {
    /// A message passed that was routed by these keys.
    fn retain(&self, message: &Message, routing_keys: &[&str]);

    /// What a new binding gets, in the order in which it passed.
    fn recall(&self, binding: &Binding) -> Vec<Message>;
}
