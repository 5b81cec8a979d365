//! Publishing: the fast path of a connection.

use std::rc::Rc;
use std::sync::Arc;

use shunt_amqp_codec::method::BasicPublish;
use shunt_amqp_codec::{Frame, FrameKind, PublishHead, put_return};
use shunt_auth::TopicPermission;
use shunt_broker::ports::ConfirmSink;
use shunt_broker::{
    Counters, DIRECT_REPLY_TO, PublishOptions, PublishOutcome, Publisher, publish_traced,
};
use shunt_routing::Exchange;
use shunt_types::{AmqpError, Message, MessageBody, MethodId, ReplyCode};

use super::permissions::Access;
use super::{Connection, Refused};
use crate::channel::content::refusal;
use crate::channel::{ChannelShared, Mode};

/// The method that a bad content is blamed on.
pub(super) const METHOD: MethodId = BasicPublish::ID;

/// The exchange of the last publish, checked, for the next one to the same: it stays good while
/// the routing snapshot and the permissions do.
pub(super) struct Target {
    exchange: Arc<Exchange>,
    /// What restricts the routing keys of this user there; nothing for nearly everybody.
    topic: Option<Arc<TopicPermission>>,
    revision: u64,
}

/// What a batch of publishes adds to the node's counters.
#[derive(Default)]
pub(super) struct Counts {
    received: u64,
    /// Messages since the connection began; never reset.
    total: u64,
    received_confirm: u64,
    routed: u64,
    dropped: u64,
    returned: u64,
    failed: u64,
    /// Messages were published that the log has to keep.
    pub(super) has_persistent: bool,
}

impl Counts {
    /// Messages since the connection began.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Whether there are any since they were added to the node's.
    pub(super) fn has_any(&self) -> bool {
        self.received > 0
    }

    pub(super) fn add_to(&mut self, counters: &Counters) {
        if self.received == 0 {
            return;
        }
        counters.messages_received.add(self.received);
        counters.messages_received_confirm.add(self.received_confirm);
        counters.messages_routed.add(self.routed);
        counters.messages_unroutable_dropped.add(self.dropped);
        counters.messages_unroutable_returned.add(self.returned);
        counters.messages_route_failed.add(self.failed);
        let Self { total, has_persistent, .. } = *self;
        *self = Self { total, has_persistent, ..Self::default() };
    }
}

impl Connection {
    /// The method of a publish; the rest follows in frames of its own.
    pub(super) fn basic_publish(
        &mut self,
        number: u16,
        publish: &BasicPublish<'_>,
    ) -> Result<(), Refused> {
        if publish.immediate {
            let text = "immediate=true";
            return Err(AmqpError::new(ReplyCode::NotImplemented, text).into());
        }
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.content.begin(publish);
        }
        Ok(())
    }

    /// A content header or a body.
    pub(super) fn act_on_content(&mut self, frame: Frame<'_>) -> Result<(), AmqpError> {
        let Some(channel) = self.channels.get_mut(&frame.channel) else {
            let text = if frame.channel == 0 {
                return Err(AmqpError::new(
                    ReplyCode::UnexpectedFrame,
                    "expected a method frame on channel 0",
                ));
            } else {
                "expected 'channel.open'"
            };
            return Err(AmqpError::new(ReplyCode::ChannelError, text));
        };
        if channel.is_closing {
            return Ok(());
        }
        let message = if frame.kind == FrameKind::Header {
            let message = channel.content.header(frame.payload)?;
            let (size, max) =
                (channel.content.announced_size(), self.context.settings.message_size_max);
            if size > max {
                return Err(AmqpError::precondition_failed(format!(
                    "message size {size} is larger than configured max size {max}"
                )));
            }
            message
        } else {
            channel.content.body(frame.payload)?
        };
        match message {
            Some(message) => self.publish(frame.channel, message),
            None => Ok(()),
        }
    }

    /// Whether a publish in one piece is taken so: on which channel, and whether it is to be
    /// confirmed. `None` where it has to be read frame by frame: the channel is not open for it,
    /// or keeps what is published.
    #[inline]
    pub(super) fn takes_whole(
        &self,
        head: &PublishHead<'_>,
        body_size: usize,
    ) -> Option<(Rc<ChannelShared>, bool)> {
        let channel = self.channels.get(&head.channel)?;
        let confirming = match channel.mode {
            Mode::Plain => false,
            Mode::Confirm => true,
            Mode::Transaction(_) => return None,
        };
        let too_large = body_size as u64 > self.context.settings.message_size_max;
        if self.is_closing || channel.is_closing || channel.content.is_expected() || too_large {
            return None;
        }
        Some((channel.shared.clone(), confirming))
    }

    /// Publishes what came in one piece.
    #[inline]
    pub(super) fn publish_whole(
        &mut self,
        head: &PublishHead<'_>,
        body: MessageBody<'_>,
        (channel, confirming): (Rc<ChannelShared>, bool),
    ) {
        let message = Message::of_names(head.names, head.properties, body);
        let published = message.map_err(refusal).and_then(|message| {
            self.find_target(head.names.exchange())?;
            self.check_routing_keys(&message)?;
            let message = self.check_claims(head.channel, message)?;
            self.publish_on(&channel, message, head.mandatory, confirming)
        });
        if let Err(error) = published {
            self.fail(head.channel, error, METHOD);
        }
    }

    /// A message is complete.
    fn publish(&mut self, number: u16, message: Message) -> Result<(), AmqpError> {
        self.find_target(message.exchange())?;
        self.check_routing_keys(&message)?;
        let message = self.check_claims(number, message)?;
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        let mandatory = channel.content.mandatory;
        match &mut channel.mode {
            Mode::Transaction(transaction) => {
                transaction.publishes.push((message, mandatory));
                Ok(())
            }
            Mode::Plain => self.publish_now(number, message, mandatory, false),
            Mode::Confirm => self.publish_now(number, message, mandatory, true),
        }
    }

    /// What a message says of its sender and of where replies go. A request for direct replies
    /// gets the address of its channel.
    #[inline]
    fn check_claims(&self, number: u16, message: Message) -> Result<Message, AmqpError> {
        if message.properties().is_empty() {
            return Ok(message);
        }
        if let Some(claimed) = message.properties().user_id()
            && claimed != self.user.name()
            && !self.user.has_tag("impersonator")
        {
            return Err(AmqpError::precondition_failed(format!(
                "user_id property set to '{claimed}' but authenticated user was '{}'",
                self.user.name()
            )));
        }
        if message.properties().reply_to() == Some(DIRECT_REPLY_TO) {
            return self.with_reply_address(number, &message);
        }
        Ok(message)
    }

    /// Checks every routing key of a message, where the user's are restricted.
    #[inline]
    fn check_routing_keys(&self, message: &Message) -> Result<(), AmqpError> {
        let Some(Target { exchange, topic: Some(topic), .. }) = &self.target else { return Ok(()) };
        if let Some(key) = topic.refused_key(message) {
            return Err(self.topic_refused(exchange, key));
        }
        Ok(())
    }

    /// Publishes at once, and notes on the channel what is to be confirmed.
    fn publish_now(
        &mut self,
        number: u16,
        message: Message,
        mandatory: bool,
        confirming: bool,
    ) -> Result<(), AmqpError> {
        let Some(channel) = self.channels.get(&number) else { return Ok(()) };
        let channel = channel.shared.clone();
        self.publish_on(&channel, message, mandatory, confirming)
    }

    #[inline]
    fn publish_on(
        &mut self,
        channel: &Rc<ChannelShared>,
        message: Message,
        mandatory: bool,
        confirming: bool,
    ) -> Result<(), AmqpError> {
        let number = channel.number;
        let token = confirming.then(|| channel.confirms.borrow_mut().next_token());
        let (pending, refused) = self.put_into_queues(number, message, mandatory, token, None)?;
        if confirming {
            channel.confirms.borrow_mut().published(pending, refused);
            self.shared.note_confirms(channel);
        }
        Ok(())
    }

    /// Puts a message into its queues, or returns it: how many answers to `token` are to come at
    /// `sink`, which is the connection where none is named, and whether it was refused already.
    #[inline]
    pub(super) fn put_into_queues(
        &mut self,
        number: u16,
        message: Message,
        mandatory: bool,
        token: Option<u64>,
        sink: Option<&Arc<dyn ConfirmSink>>,
    ) -> Result<(u32, bool), AmqpError> {
        let Some(target) = &self.target else { return Ok((0, false)) };
        let confirms = token.is_some() && sink.is_none();
        let sink = sink.unwrap_or(&self.confirm_sink);
        let options = PublishOptions {
            topology: &self.topology,
            exchange: &target.exchange,
            user: self.user.name(),
            confirm: token.map(|token| (token, sink)),
        };
        let returnable = mandatory.then(|| message.clone());
        self.counts.has_persistent |= message.is_persistent();
        let mut shard = self.shard.borrow_mut();
        let outcome = if self.topology.is_traced() {
            publish_traced(&mut *shard, &options, &self.shared.origin(number), message)?
        } else {
            shard.publish(&options, message)?
        };
        drop(shard);
        self.counts.received += 1;
        self.counts.total += 1;
        self.counts.received_confirm += u64::from(confirms);
        match outcome {
            PublishOutcome::Routed { pending, rejected } => {
                self.counts.routed += 1;
                Ok((pending, rejected))
            }
            PublishOutcome::Unroutable => {
                self.unroutable(number, returnable);
                Ok((0, false))
            }
            PublishOutcome::Failed(failure) => {
                tracing::debug!(exchange = %failure.exchange, failure = %failure.failure,
                    "a route failed");
                self.counts.failed += 1;
                if token.is_none()
                    && let Some(message) = returnable
                {
                    self.send_back(number, &message);
                }
                Ok((0, true))
            }
        }
    }

    fn unroutable(&mut self, number: u16, returnable: Option<Message>) {
        match returnable {
            Some(message) => {
                self.counts.returned += 1;
                self.send_back(number, &message);
            }
            None => self.counts.dropped += 1,
        }
    }

    fn send_back(&self, number: u16, message: &Message) {
        let mut out = self.shared.out.borrow_mut();
        out.prepare(&self.shared.pool);
        let code = ReplyCode::NoRoute;
        let frame_max = self.shared.frame_max.get();
        put_return(&mut *out, number, frame_max, code.code(), code.name(), message);
    }

    /// Makes [`Connection::target`] the exchange of that name, with write permission.
    pub(super) fn find_target(&mut self, name: &str) -> Result<(), AmqpError> {
        let revision = self.permissions.revision();
        if let Some(target) = &self.target
            && target.revision == revision
            && target.exchange.name.as_str() == name
        {
            return Ok(());
        }
        self.check_exchange(Access::Write, name)?;
        let exchange = self.topology.find_exchange(name)?.clone();
        if exchange.internal {
            return Err(AmqpError::access_refused(format!(
                "cannot publish to internal exchange '{name}' in vhost '{}'",
                self.vhost.name()
            )));
        }
        let vhost = self.vhost.name().as_str();
        let topic = self.permissions.topic(self.user.name(), vhost, &exchange);
        self.target = Some(Target { exchange, topic, revision });
        Ok(())
    }
}
