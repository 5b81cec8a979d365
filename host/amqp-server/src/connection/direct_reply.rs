//! Direct reply-to: the pseudo-queue `amq.rabbitmq.reply-to`, from which a requester consumes, and
//! the addresses that stand for it (RabbitMQ).

use std::rc::Rc;

use shunt_amqp_codec::method::{BasicConsume, BasicConsumeOk, QueueDeclare, QueueDeclareOk};
use shunt_amqp_codec::put_deliver;
use shunt_broker::{DIRECT_REPLY_TO, ReplySink, is_direct_reply_to};
use shunt_types::{AmqpError, Message, ReplyCode};

use super::queue::generated;
use super::{Connection, Refused};
use crate::channel::{ChannelShared, Requester};
use crate::shared::Shared;

impl Connection {
    /// Opens the channel's reply address.
    pub(super) fn consume_replies(
        &mut self,
        number: u16,
        consume: &BasicConsume<'_>,
        tag: Rc<str>,
    ) -> Result<(), Refused> {
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        if !consume.no_ack {
            let text = "reply consumer cannot acknowledge";
            return Err(AmqpError::precondition_failed(text).into());
        }
        if channel.requester.is_some() {
            let text = "reply consumer already set";
            return Err(AmqpError::precondition_failed(text).into());
        }
        let sink = Box::new(Replies {
            shared: self.shared.clone(),
            channel: channel.shared.clone(),
            tag: tag.clone(),
        });
        let address = self.shard.borrow_mut().open_replies(&generated("")?, sink);
        channel.requester = Some(Requester { tag: tag.clone(), address });
        if !consume.no_wait {
            self.shared.send(number, BasicConsumeOk { consumer_tag: &tag });
        }
        Ok(())
    }

    /// Whether `tag` is the channel's consumer of replies.
    pub(super) fn is_requester(&self, number: u16, tag: &str) -> bool {
        let requester = self.channels.get(&number).and_then(|channel| channel.requester.as_ref());
        requester.is_some_and(|requester| *requester.tag == *tag)
    }

    /// Closes the channel's reply address if `tag` is its consumer, or whatever it is called.
    pub(super) fn close_replies(&mut self, number: u16, tag: Option<&str>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let closes = |requester: &mut Requester| tag.is_none_or(|tag| *requester.tag == *tag);
        if let Some(requester) = channel.requester.take_if(closes) {
            self.shard.borrow_mut().close_replies(&requester.address);
        }
    }

    /// A declare of the pseudo-queue or of an address asks whether somebody is there.
    pub(super) fn declare_reply_address(
        &self,
        number: u16,
        declare: &QueueDeclare<'_>,
    ) -> Result<(), Refused> {
        let name = declare.queue;
        if name != DIRECT_REPLY_TO && !self.context.broker.has_requester(name) {
            let vhost = self.vhost.name();
            return Err(
                AmqpError::not_found(format!("no queue '{name}' in vhost '{vhost}'")).into()
            );
        }
        if !declare.no_wait {
            let (message_count, consumer_count) = (0, 1);
            let queue = name;
            self.shared.send(number, QueueDeclareOk { queue, message_count, consumer_count });
        }
        Ok(())
    }

    /// The request with the channel's own address for `reply_to`.
    pub(super) fn with_reply_address(
        &self,
        number: u16,
        message: &Message,
    ) -> Result<Message, AmqpError> {
        let requester = self.channels.get(&number).and_then(|channel| channel.requester.as_ref());
        let Some(requester) = requester else {
            return Err(AmqpError::precondition_failed("fast reply consumer does not exist"));
        };
        let mut properties = message.properties().to_owned();
        properties.reply_to = Some((*requester.address).into());
        message
            .with_properties(&properties)
            .map_err(|error| AmqpError::precondition_failed(error.to_string()))
    }
}

/// Refuses to fetch from what holds no messages.
pub(super) fn check_fetchable(name: &str) -> Result<(), AmqpError> {
    if is_direct_reply_to(name) {
        let text = format!("basic.get not supported by '{name}'");
        return Err(AmqpError::new(ReplyCode::NotImplemented, text));
    }
    Ok(())
}

/// Refuses to bind what exchanges can't reach.
pub(super) fn check_bindable(name: &str) -> Result<(), AmqpError> {
    if is_direct_reply_to(name) {
        return Err(AmqpError::access_refused(format!("operation not permitted on '{name}'")));
    }
    Ok(())
}

/// Writes replies into the output of the requester's connection.
struct Replies {
    shared: Rc<Shared>,
    channel: Rc<ChannelShared>,
    tag: Rc<str>,
}

impl ReplySink for Replies {
    fn reply(&mut self, message: &Message) {
        // Nothing holds a reply back: who doesn't read them loses them.
        if self.channel.closed.get() || self.shared.is_overfull() {
            return;
        }
        let tag = self.channel.deliveries.borrow_mut().next_tag();
        let mut out = self.shared.out.borrow_mut();
        out.prepare(&self.shared.pool);
        let frame_max = self.shared.frame_max.get();
        put_deliver(&mut *out, self.channel.number, frame_max, &self.tag, tag, false, message);
        drop(out);
        self.shared.flush();
    }
}
