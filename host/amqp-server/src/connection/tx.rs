//! Class tx: publishes and settlements wait for the commit.

use shunt_amqp_codec::method::{TxCommitOk, TxRollbackOk, TxSelectOk};
use shunt_types::AmqpError;

use super::{Connection, Refused};
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

    pub(super) fn tx_commit(&mut self, number: u16) -> Result<(), Refused> {
        let transaction = self.take_transaction(number)?;
        for (message, mandatory) in transaction.publishes {
            self.find_target(message.exchange())?;
            self.publish_now(number, message, mandatory, false)?;
        }
        self.settle_all(transaction.settlements.into_iter());
        if let Some(channel) = self.channels.get(&number) {
            let channel = channel.shared.clone();
            self.let_go_on(&channel);
        }
        self.shared.send(number, TxCommitOk {});
        Ok(())
    }

    pub(super) fn tx_rollback(&mut self, number: u16) -> Result<(), Refused> {
        let transaction = self.take_transaction(number)?;
        if let Some(channel) = self.channels.get(&number) {
            let mut deliveries = channel.shared.deliveries.borrow_mut();
            for (unacked, _) in transaction.settlements {
                deliveries.put_back(unacked);
            }
        }
        self.shared.send(number, TxRollbackOk {});
        Ok(())
    }

    fn take_transaction(&mut self, number: u16) -> Result<Transaction, AmqpError> {
        match self.channels.get_mut(&number).map(|channel| &mut channel.mode) {
            Some(Mode::Transaction(transaction)) => Ok(std::mem::take(transaction)),
            _ => Err(AmqpError::precondition_failed("channel is not transactional")),
        }
    }
}
