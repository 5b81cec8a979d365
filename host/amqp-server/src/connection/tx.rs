//! Class tx: publishes and settlements wait for the commit.

use shunt_amqp_codec::method::{TxCommitOk, TxRollbackOk, TxSelectOk};
use shunt_broker::queue::Settlement;
use shunt_types::{AmqpError, Message};

use super::{Connection, Refused};
use crate::channel::deliveries::Unacked;
use crate::channel::{Mode, Transaction};

impl Connection {
    pub(super) fn tx_select(&mut self, number: u16) -> Result<(), Refused> {
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        match channel.mode {
            Mode::Confirm => {
                let text = "cannot switch from confirm to tx mode";
                return Err(AmqpError::precondition_failed(text).into());
            }
            Mode::Plain => channel.mode = Mode::Transaction(Transaction::default()),
            Mode::Transaction(_) => {}
        }
        self.shared.send(number, TxSelectOk {});
        Ok(())
    }

    pub(super) async fn tx_commit(&mut self, number: u16) -> Result<(), Refused> {
        let Transaction { publishes, settlements } = self.take_transaction(number)?;
        let is_kept =
            !settlements.is_empty() || publishes.iter().any(|(message, _)| message.is_persistent());
        let published = self.publish_all(number, publishes);
        if published.is_err() {
            self.put_back(number, settlements);
        } else {
            self.settle_all(settlements.into_iter());
        }
        if !published? {
            return Err(AmqpError::precondition_failed("partial tx completion").into());
        }
        if let Some(channel) = self.channels.get(&number) {
            let channel = channel.shared.clone();
            self.let_go_on(&channel);
        }
        if is_kept {
            self.messages_durable().await?;
        }
        self.shared.send(number, TxCommitOk {});
        Ok(())
    }

    /// Whether no queue of this shard refused one; those of others can't be waited for here.
    fn publish_all(
        &mut self,
        number: u16,
        publishes: Vec<(Message, bool)>,
    ) -> Result<bool, AmqpError> {
        let mut all_taken = true;
        for (message, mandatory) in publishes {
            self.find_target(message.exchange())?;
            all_taken &= self.publish_now(number, message, mandatory, false)?;
        }
        Ok(all_taken)
    }

    pub(super) fn tx_rollback(&mut self, number: u16) -> Result<(), Refused> {
        let transaction = self.take_transaction(number)?;
        self.put_back(number, transaction.settlements);
        self.shared.send(number, TxRollbackOk {});
        Ok(())
    }

    /// Forgets what waits for a commit that can't come any more.
    pub(super) fn rollback(&mut self, number: u16) {
        if let Ok(transaction) = self.take_transaction(number) {
            self.put_back(number, transaction.settlements);
        }
    }

    fn put_back(&mut self, number: u16, settlements: Vec<(Unacked, Settlement)>) {
        let Some(channel) = self.channels.get(&number) else { return };
        let mut deliveries = channel.shared.deliveries.borrow_mut();
        settlements.into_iter().for_each(|(unacked, _)| deliveries.put_back(unacked));
    }

    fn take_transaction(&mut self, number: u16) -> Result<Transaction, AmqpError> {
        match self.channels.get_mut(&number).map(|channel| &mut channel.mode) {
            Some(Mode::Transaction(transaction)) => Ok(std::mem::take(transaction)),
            _ => Err(AmqpError::precondition_failed("channel is not transactional")),
        }
    }
}
