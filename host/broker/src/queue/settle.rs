//! A delivery is settled: acknowledged, returned or rejected.

use shunt_types::DeliveryId;

use super::{DeathReason, Queue};

/// What a consumer says to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Done with; the message is gone.
    Ack,
    /// Back to its place in the queue.
    Requeue,
    /// Not wanted; dead-lettered where the queue says so, else gone.
    Reject,
}

impl Queue {
    /// Settles a delivery; whether it was there to be settled.
    pub fn settle(&mut self, delivery: DeliveryId, settlement: Settlement) -> bool {
        let Some(mut unacked) = self.take_unacked(delivery) else { return false };
        match settlement {
            Settlement::Ack => {
                self.counts.acked += 1;
                self.forget(unacked.entry.sequence);
                self.note_left(unacked.entry.sequence, unacked.entry.stored);
            }
            Settlement::Requeue => {
                unacked.entry.redelivered = true;
                self.make_room(&mut unacked.entry);
                self.ready.put_back(unacked.entry);
            }
            Settlement::Reject => self.bury(unacked.entry, DeathReason::Rejected),
        }
        if let Some(consumer) = unacked.consumer {
            self.consumers.give_back(consumer);
        }
        true
    }
}
