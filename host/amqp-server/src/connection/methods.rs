//! The table of contents of a channel: which method is carried out where.

use shunt_amqp_codec::Method;
use shunt_amqp_codec::method::{
    AccessRequestOk, ChannelFlowOk, ChannelOpenOk, ConfirmSelectOk, ConnectionUpdateSecretOk,
};
use shunt_types::{AmqpError, ReplyCode};

use super::permissions::Access;
use super::{Connection, Refused};
use crate::admission::bound;
use crate::channel::{Channel, Mode};

impl Connection {
    /// Carries out one method. Publishes and settlements, the frequent ones, come first.
    pub(super) async fn act_on_method(
        &mut self,
        number: u16,
        method: Method<'_>,
    ) -> Result<(), Refused> {
        if number == 0 {
            return self.act_on_connection_method(method).await;
        }
        let Some(channel) = self.channels.get_mut(&number) else {
            return match method {
                Method::ChannelOpen(_) => self.channel_open(number),
                // The answer to a close that we sent; the channel may be gone by now.
                Method::ChannelCloseOk(_) => Ok(()),
                _ => Err(wrong_state("expected 'channel.open'")),
            };
        };
        if channel.is_closing {
            match method {
                Method::ChannelCloseOk(_) => self.forget_channel(number),
                Method::ChannelClose(_) => self.channel_close(number),
                _ => {}
            }
            return Ok(());
        }
        if channel.content.is_expected() {
            let text = format!(
                "expected content for 'basic.publish', got the method '{}' instead",
                method.name()
            );
            return Err(AmqpError::new(ReplyCode::UnexpectedFrame, text).into());
        }
        match method {
            Method::BasicPublish(publish) => self.basic_publish(number, &publish),
            Method::BasicAck(ack) => self.basic_ack(number, &ack),
            Method::BasicNack(nack) => self.basic_nack(number, &nack),
            Method::BasicReject(reject) => self.basic_reject(number, &reject),
            Method::BasicGet(get) => self.basic_get(number, &get).await,
            Method::BasicConsume(consume) => self.basic_consume(number, &consume).await,
            Method::BasicCancel(cancel) => self.basic_cancel(number, &cancel).await,
            // The client agrees that a consumer of its is gone.
            Method::BasicCancelOk(_) => Ok(()),
            Method::BasicQos(qos) => self.basic_qos(number, &qos),
            Method::BasicRecover(recover) => self.basic_recover(number, recover.requeue, true),
            Method::BasicRecoverAsync(recover) => {
                self.basic_recover(number, recover.requeue, false)
            }
            Method::QueueDeclare(declare) => self.queue_declare(number, &declare).await,
            Method::QueueBind(bind) => self.queue_bind(number, &bind).await,
            Method::QueueUnbind(unbind) => self.queue_unbind(number, &unbind).await,
            Method::QueuePurge(purge) => self.queue_purge(number, &purge).await,
            Method::QueueDelete(delete) => self.queue_delete(number, &delete).await,
            Method::ExchangeDeclare(declare) => self.exchange_declare(number, &declare).await,
            Method::ExchangeDelete(delete) => self.exchange_delete(number, &delete).await,
            Method::ExchangeBind(bind) => self.exchange_bind(number, &bind).await,
            Method::ExchangeUnbind(unbind) => self.exchange_unbind(number, &unbind).await,
            Method::ConfirmSelect(select) => self.confirm_select(number, select.no_wait),
            Method::TxSelect(_) => self.tx_select(number),
            Method::TxCommit(_) => self.tx_commit(number).await,
            Method::TxRollback(_) => self.tx_rollback(number),
            Method::ChannelClose(_) => {
                self.channel_close(number);
                Ok(())
            }
            Method::ChannelCloseOk(_) | Method::ChannelFlowOk(_) => Ok(()),
            Method::ChannelFlow(flow) if flow.active => {
                self.shared.send(number, ChannelFlowOk { active: true });
                Ok(())
            }
            Method::ChannelFlow(_) => {
                Err(AmqpError::new(ReplyCode::NotImplemented, "active=false").into())
            }
            Method::ChannelOpen(_) => Err(wrong_state("second 'channel.open' seen")),
            Method::AccessRequest(_) => {
                self.shared.send(number, AccessRequestOk { ticket: 1 });
                Ok(())
            }
            other => Err(invalid(&other)),
        }
    }

    async fn act_on_connection_method(&mut self, method: Method<'_>) -> Result<(), Refused> {
        match method {
            Method::ConnectionClose(_) => self.connection_close().await,
            // Nobody asked; the client is confused but harmless.
            Method::ConnectionCloseOk(_) => Ok(()),
            Method::ConnectionUpdateSecret(_) => self.update_secret().await,
            // Methods of other classes too, as RabbitMQ has it.
            other => {
                let text = format!("unexpected method '{}' in state running", other.name());
                Err(AmqpError::new(ReplyCode::ChannelError, text).into())
            }
        }
    }

    fn channel_open(&mut self, number: u16) -> Result<(), Refused> {
        if self.channels.len() >= usize::from(self.channel_max) {
            let text = format!(
                "number of channels opened ({}) has reached the negotiated channel_max ({})",
                self.channels.len(),
                self.channel_max
            );
            return Err(AmqpError::new(ReplyCode::NotAllowed, text).into());
        }
        let of_node = Some(self.context.settings.channel_max_per_node).filter(|max| *max > 0);
        let of_user = bound(self.context.access.user_limits(self.user.name()).max_channels);
        let permit = self.admitted.open_channel(&self.context.node_name, of_node, of_user)?;
        self.incarnation += 1;
        let channel = Channel::new(number, self.incarnation, permit);
        self.shared.channels.borrow_mut().insert(number, channel.shared.clone());
        self.channels.insert(number, channel);
        self.info.count_channels(1);
        self.context.broker.counters().channels_opened.add(1);
        self.shared.tell_channel("channel.created", number);
        self.shared.send(number, ChannelOpenOk {});
        Ok(())
    }

    /// The broker's own users take any secret: theirs doesn't expire. Whether the user may still
    /// open the virtual host and read the queues that it consumes is looked at again (RabbitMQ).
    async fn update_secret(&mut self) -> Result<(), Refused> {
        let (user, vhost) = (self.user.name(), self.vhost.name());
        if self.context.access.permissions(user, vhost.as_str()).is_none() {
            let text = format!("access to vhost '{vhost}' refused for user '{user}'");
            return Err(AmqpError::new(ReplyCode::NotAllowed, text).into());
        }
        self.target = None;
        let consuming: Vec<_> = self.shared.channels.borrow().values().cloned().collect();
        for channel in consuming {
            let consumers = channel.consumers.borrow().clone();
            for (tag, entry) in consumers {
                if self.check_queue(Access::Read, entry.queue.definition.name.as_str()).is_err() {
                    self.end_consumer(&channel, &tag).await?;
                    if self.shared.cancel_notify.get() {
                        self.shared.send_cancel(channel.number, &tag);
                    }
                }
            }
        }
        self.shared.send(0, ConnectionUpdateSecretOk {});
        Ok(())
    }

    fn confirm_select(&mut self, number: u16, no_wait: bool) -> Result<(), Refused> {
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        if matches!(channel.mode, Mode::Transaction(_)) {
            let text = "cannot switch from tx to confirm mode";
            return Err(AmqpError::precondition_failed(text).into());
        }
        channel.mode = Mode::Confirm;
        if !no_wait {
            self.shared.send(number, ConfirmSelectOk {});
        }
        Ok(())
    }
}

fn wrong_state(text: &str) -> Refused {
    AmqpError::new(ReplyCode::ChannelError, text).into()
}

/// A method that a client has no business to send.
fn invalid(method: &Method<'_>) -> Refused {
    let text = format!("the server does not take '{}'", method.name());
    AmqpError::new(ReplyCode::CommandInvalid, text).into()
}
