//! Class tx: publishes and settlements wait for the commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use shunt_amqp_codec::method::{TxCommitOk, TxRollbackOk, TxSelectOk};
use shunt_broker::ports::{ConfirmSink, Confirmation};
use shunt_broker::queue::Settlement;
use shunt_types::{AmqpError, Message};
use tokio::sync::Notify;

use super::{Connection, Refused};
use crate::channel::deliveries::Unacked;
use crate::channel::{Mode, Transaction};

/// What queues say to the publishes of one commit: durable ones once they are on disk.
#[derive(Default)]
struct CommitAnswers {
    answered: AtomicU32,
    refused: AtomicBool,
    arrived: Notify,
}

impl CommitAnswers {
    async fn all(&self, pending: u32) {
        while self.answered.load(Ordering::Acquire) < pending {
            self.arrived.notified().await;
        }
    }

    fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }
}

impl ConfirmSink for CommitAnswers {
    fn confirm(&self, confirmations: &[Confirmation]) {
        if confirmations.iter().any(|confirmation| !confirmation.accepted) {
            self.refused.store(true, Ordering::Relaxed);
        }
        self.answered.fetch_add(confirmations.len() as u32, Ordering::Release);
        self.arrived.notify_one();
    }
}

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
        let has_settlements = !settlements.is_empty();
        let answers = Arc::new(CommitAnswers::default());
        let published = self.publish_all(number, publishes, &answers);
        if published.is_err() {
            self.put_back(number, settlements);
        } else {
            self.settle_all(settlements.into_iter());
        }
        let (pending, refused) = published?;
        if pending > 0 {
            self.end_batch();
            answers.all(pending).await;
            self.begin_batch();
        }
        if refused || answers.is_refused() {
            return Err(AmqpError::precondition_failed("partial tx completion").into());
        }
        if let Some(channel) = self.channels.get(&number) {
            let channel = channel.shared.clone();
            self.let_go_on(&channel);
        }
        if has_settlements {
            self.messages_durable().await?;
        }
        self.shared.send(number, TxCommitOk {});
        Ok(())
    }

    /// How many answers of queues are to come, and whether something was refused at once.
    fn publish_all(
        &mut self,
        number: u16,
        publishes: Vec<(Message, bool)>,
        answers: &Arc<CommitAnswers>,
    ) -> Result<(u32, bool), AmqpError> {
        let sink: Arc<dyn ConfirmSink> = answers.clone();
        let (mut pending, mut refused) = (0, false);
        for (message, mandatory) in publishes {
            self.find_target(message.exchange())?;
            let put = self.put_into_queues(number, message, mandatory, Some(0), Some(&sink))?;
            pending += put.0;
            refused |= put.1;
        }
        Ok((pending, refused))
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
