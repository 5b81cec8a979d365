//! The end of channels and connections, from either side.

use std::time::Duration;

use shunt_amqp_codec::method::{ChannelClose, ChannelCloseOk, ConnectionClose, ConnectionCloseOk};
use shunt_amqp_codec::{Frame, FrameKind, Method};
use shunt_broker::queue::Settlement;
use shunt_broker::{DeleteOptions, Shard};
use shunt_types::{AmqpError, MethodId, ReplyCode, ShardId};

use super::{Connection, Refused, Stop};
use crate::channel::Channel;
use crate::shared::Shared;

/// How long the last frames may take to be written.
pub(super) const LINGER: Duration = Duration::from_secs(3);

/// How long the client may take to answer `connection.close`.
const CLOSE_OK_TIMEOUT: Duration = Duration::from_secs(3);

/// Writes `connection.close` for an error.
pub(super) fn send_connection_close(shared: &Shared, error: &AmqpError, method: MethodId) {
    let close = ConnectionClose {
        reply_code: error.code.code(),
        reply_text: &error.reply_text(),
        class_id: method.class,
        method_id: method.method,
    };
    shared.send(0, close);
    shared.flush();
}

/// While a `connection.close` of ours is not answered, only its answer counts.
pub(super) fn answer_while_closing(shared: &Shared, frame: Frame<'_>) -> Result<(), Stop> {
    if frame.kind != FrameKind::Method || frame.channel != 0 {
        return Ok(());
    }
    match Method::decode(frame.payload) {
        Ok(Method::ConnectionCloseOk(_)) => Err(Stop::Closed),
        Ok(Method::ConnectionClose(_)) => {
            shared.send(0, ConnectionCloseOk {});
            Err(Stop::Closed)
        }
        _ => Ok(()),
    }
}

impl Connection {
    /// Tells the client what it did wrong, and closes the channel or the connection for it.
    pub(super) fn fail(&mut self, number: u16, error: AmqpError, method: MethodId) {
        tracing::warn!(
            user = self.user.name(), vhost = %self.vhost.name(), channel = number, %error,
            "closing for an error"
        );
        if number == 0 || error.code.is_hard() || !self.channels.contains_key(&number) {
            self.close(&error, method);
            return;
        }
        let close = ChannelClose {
            reply_code: error.code.code(),
            reply_text: &error.reply_text(),
            class_id: method.class,
            method_id: method.method,
        };
        self.release_channel(number);
        self.shared.send(number, close);
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.is_closing = true;
            channel.content.abandon();
        }
    }

    /// Closes the connection because the broker wants to.
    pub(super) fn force_close(&mut self, text: &str) {
        let error = AmqpError::new(ReplyCode::ConnectionForced, text);
        self.close(&error, MethodId::default());
        self.end_batch();
    }

    fn close(&mut self, error: &AmqpError, method: MethodId) {
        let numbers: Vec<u16> = self.channels.keys().copied().collect();
        for number in numbers {
            self.release_channel(number);
        }
        send_connection_close(&self.shared, error, method);
        self.is_closing = true;
        self.close_deadline = tokio::time::Instant::now() + CLOSE_OK_TIMEOUT;
    }

    /// The client closes the connection.
    pub(super) async fn connection_close(&mut self) -> Result<(), Refused> {
        self.clean_up().await;
        self.shared.send(0, ConnectionCloseOk {});
        Err(Refused::Stop(Stop::Closed))
    }

    /// The client closes a channel.
    pub(super) fn channel_close(&mut self, number: u16) {
        self.release_channel(number);
        // What was published before is answered before the channel is gone.
        self.forget_channel(number);
        self.shared.send(number, ChannelCloseOk {});
    }

    /// A channel is closed, and both sides said so.
    pub(super) fn forget_channel(&mut self, number: u16) {
        self.channels.remove(&number);
        self.shared.channels.borrow_mut().remove(&number);
        self.info.count_channels(-1);
        self.context.broker.counters().channels_closed.add(1);
        self.shared.tell_channel("channel.closed", number);
    }

    /// Ends everything that a channel holds: its consumers go, what it has not settled returns.
    fn release_channel(&mut self, number: u16) {
        self.rollback(number);
        self.close_replies(number, None);
        let Some(Channel { shared: channel, .. }) = self.channels.get(&number) else { return };
        let channel = channel.clone();
        // Confirms that are due belong before the close.
        self.shared.write_confirms();
        channel.closed.set(true);
        let consumers = std::mem::take(&mut *channel.consumers.borrow_mut());
        for (tag, entry) in consumers {
            self.shared.tell_consumer_gone(number, &tag, &entry);
            self.shared.remote_consumers.borrow_mut().remove(&entry.serial);
            if let Some(consumer) = entry.consumer {
                self.shard.borrow_mut().cancel(consumer);
            }
        }
        let unacked = channel.deliveries.borrow_mut().take_all();
        self.settle_all(unacked.into_iter().map(|unacked| (unacked, Settlement::Requeue)));
        // Queues may have gone with their last consumer.
        self.refresh_topology();
    }

    /// Ends every channel and deletes the exclusive queues; before close-ok, as in RabbitMQ.
    pub(super) async fn clean_up(&mut self) {
        let numbers: Vec<u16> = self.channels.keys().copied().collect();
        let open = numbers.len() as u64;
        for number in numbers {
            self.release_channel(number);
            self.shared.tell_channel("channel.closed", number);
        }
        self.channels.clear();
        self.context.broker.counters().channels_closed.add(open);
        for queue in std::mem::take(&mut self.exclusive_queues) {
            let id = queue.id;
            let delete = move |shard: &mut Shard| shard.delete_queue(id, DeleteOptions::default());
            let deleted = self.on_shard(id.shard(), delete).await;
            if let Err(error) = deleted {
                tracing::warn!(%error, "an exclusive queue could not be deleted");
            }
        }
        self.collect_mail().await;
        self.end_batch();
    }
    /// Sends back what other shards delivered before they heard of the end.
    async fn collect_mail(&mut self) {
        let consumed_from = std::mem::take(&mut self.consumed_from);
        for shard in (0..u64::BITS as u16).filter(|shard| consumed_from & (1 << shard) != 0) {
            // Its answer comes after everything that it posted before.
            if let Err(error) = self.on_shard(ShardId(shard), |_| ()).await {
                tracing::warn!(%error, "deliveries may be lost with their shard");
            }
        }
        self.shared.open_mail();
    }
}
