//! Replies on their way to a requester: at once where its connection is of this shard, else with
//! the batch for its shard.

use std::sync::Arc;

use shunt_types::Message;

use super::Shard;
use crate::replies::{ReplySink, Requester};

impl Shard {
    /// Opens a reply address for a connection of this shard. `random` becomes its last part.
    pub fn open_replies(&mut self, random: &str, sink: Box<dyn ReplySink>) -> Arc<str> {
        let (address, requester) = self.broker.replies().add(self.id, random);
        self.requesters.insert(requester.serial, sink);
        address
    }

    /// Closes an address of this shard. What is still under way to it is dropped.
    pub fn close_replies(&mut self, address: &str) {
        if let Some(requester) = self.broker.replies().remove(address) {
            self.requesters.remove(&requester.serial);
        }
    }

    pub(super) fn dispatch_reply(&mut self, to: Requester, message: Message) {
        if to.shard == self.id {
            self.take_reply(to.serial, &message);
        } else {
            self.outboxes[usize::from(to.shard.0)].replies.push((to.serial, message));
        }
    }

    pub(super) fn take_reply(&mut self, serial: u64, message: &Message) {
        if let Some(sink) = self.requesters.get_mut(&serial) {
            sink.reply(message);
        }
    }
}
