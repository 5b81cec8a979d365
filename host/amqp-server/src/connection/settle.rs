//! Settling: ack, nack, reject, recover.

use shunt_amqp_codec::method::{BasicAck, BasicNack, BasicRecoverOk, BasicReject};
use shunt_broker::queue::Settlement;
use shunt_types::{AmqpError, ReplyCode};

use super::{Connection, Refused};
use crate::channel::Mode;
use crate::channel::deliveries::Unacked;

impl Connection {
    pub(super) fn basic_ack(&mut self, number: u16, ack: &BasicAck) -> Result<(), Refused> {
        self.settle(number, ack.delivery_tag, ack.multiple, Settlement::Ack)
    }

    pub(super) fn basic_nack(&mut self, number: u16, nack: &BasicNack) -> Result<(), Refused> {
        self.settle(number, nack.delivery_tag, nack.multiple, returned(nack.requeue))
    }

    pub(super) fn basic_reject(
        &mut self,
        number: u16,
        reject: &BasicReject,
    ) -> Result<(), Refused> {
        self.settle(number, reject.delivery_tag, false, returned(reject.requeue))
    }

    fn settle(
        &mut self,
        number: u16,
        tag: u64,
        multiple: bool,
        settlement: Settlement,
    ) -> Result<(), Refused> {
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        let mut taken = std::mem::take(&mut self.taken);
        let found = channel.shared.deliveries.borrow_mut().take(tag, multiple, &mut taken);
        if found.is_ok() {
            if let Mode::Transaction(transaction) = &mut channel.mode {
                let waiting = taken.drain(..).map(|unacked| (unacked, settlement));
                transaction.settlements.extend(waiting);
            } else {
                let channel = channel.shared.clone();
                self.settle_all(taken.drain(..).map(|unacked| (unacked, settlement)));
                self.let_go_on(&channel);
            }
        }
        taken.clear();
        self.taken = taken;
        Ok(found?)
    }

    /// Tells the queues.
    pub(super) fn settle_all(&self, settlements: impl Iterator<Item = (Unacked, Settlement)>) {
        let mut shard = self.shard.borrow_mut();
        for (unacked, settlement) in settlements {
            shard.settle(unacked.queue, unacked.id, settlement);
        }
    }

    pub(super) fn basic_recover(
        &mut self,
        number: u16,
        requeue: bool,
        answer: bool,
    ) -> Result<(), Refused> {
        if !requeue {
            return Err(AmqpError::new(ReplyCode::NotImplemented, "requeue=false").into());
        }
        let Some(channel) = self.channels.get(&number) else { return Ok(()) };
        let channel = channel.shared.clone();
        let unacked = channel.deliveries.borrow_mut().take_all();
        self.settle_all(unacked.into_iter().map(|unacked| (unacked, Settlement::Requeue)));
        self.let_go_on(&channel);
        if answer {
            // The answer comes before the messages that are delivered again.
            self.shared.send(number, BasicRecoverOk {});
        }
        Ok(())
    }
}

fn returned(requeue: bool) -> Settlement {
    if requeue { Settlement::Requeue } else { Settlement::Reject }
}
