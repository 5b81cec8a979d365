//! One request's way into the broker: publish, then wait for what the queues say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use shunt_broker::ports::{ConfirmSink, Confirmation};
use shunt_broker::{
    Origin, PublishOptions, PublishOutcome, Publisher as _, RemotePublisher, Topology,
    publish_traced,
};
use shunt_types::{Message, MessageBody, Properties};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::auth::Access;
use crate::error::ApiError;
use crate::limits::CONFIRM_TIMEOUT_S;
use crate::server::Api;

/// What became of a message, once every queue has answered.
pub(crate) type Outcome = Result<bool, ApiError>;

/// A publisher to one exchange. Messages are numbered by the caller, upwards, and their outcomes are
/// asked for by those numbers.
pub(crate) struct Publishing {
    api: Arc<Api>,
    access: Access,
    exchange: String,
    publisher: RemotePublisher,
    sink: Arc<dyn ConfirmSink>,
    answers: mpsc::UnboundedReceiver<Vec<Confirmation>>,
    /// By number: messages that some queue hasn't answered for.
    pending: BTreeMap<u64, Pending>,
}

struct Pending {
    answers_missing: u32,
    refused: bool,
    published_at: Instant,
}

/// What is known of a message right after it was published.
pub(crate) enum Attempt {
    Done(Outcome),
    /// [`Publishing::answered`] will tell.
    Pending,
}

impl Publishing {
    /// A publisher for a caller who entered the virtual host.
    ///
    /// # Errors
    /// 403 where the caller may not write or the exchange is internal, 404 where there is none.
    pub(crate) fn begin(api: Arc<Api>, access: Access, exchange: &str) -> Result<Self, ApiError> {
        access.write("exchange", exchange)?;
        let topology = access.vhost.topology();
        checked_exchange(&topology, exchange)?;
        let (sender, answers) = mpsc::unbounded_channel();
        Ok(Self {
            publisher: RemotePublisher::new(api.broker.clone()),
            exchange: exchange.to_owned(),
            sink: Arc::new(Answers(sender)),
            pending: BTreeMap::new(),
            answers,
            access,
            api,
        })
    }

    /// Publishes one message; [`Publishing::flush`] sends it off.
    pub(crate) fn publish(
        &mut self,
        number: u64,
        routing_key: &str,
        properties: &Properties,
        body: Bytes,
        mandatory: bool,
    ) -> Attempt {
        let counters = self.api.broker.counters();
        counters.messages_received.add(1);
        counters.messages_received_confirm.add(1);
        match self.try_publish(number, routing_key, properties, body) {
            Err(error) => Attempt::Done(Err(error)),
            Ok(PublishOutcome::Failed(failure)) => {
                self.api.broker.counters().messages_route_failed.add(1);
                Attempt::Done(Err(ApiError::route_failed(*failure)))
            }
            Ok(PublishOutcome::Unroutable) if mandatory => {
                self.api.broker.counters().messages_unroutable_returned.add(1);
                Attempt::Done(Err(ApiError::unroutable(&self.exchange, routing_key)))
            }
            Ok(PublishOutcome::Unroutable) => {
                self.api.broker.counters().messages_unroutable_dropped.add(1);
                Attempt::Done(self.confirmed(false))
            }
            Ok(PublishOutcome::Routed { pending: 0, rejected }) => {
                self.api.broker.counters().messages_routed.add(1);
                Attempt::Done(self.outcome(rejected))
            }
            Ok(PublishOutcome::Routed { pending, rejected }) => {
                self.api.broker.counters().messages_routed.add(1);
                let published_at = Instant::now();
                let pending = Pending { answers_missing: pending, refused: rejected, published_at };
                self.pending.insert(number, pending);
                Attempt::Pending
            }
        }
    }

    fn try_publish(
        &mut self,
        number: u64,
        routing_key: &str,
        properties: &Properties,
        body: Bytes,
    ) -> Result<PublishOutcome, ApiError> {
        let body_size_max = self.api.settings.message_size_max;
        if body.len() as u64 > body_size_max {
            return Err(ApiError::too_large("the message", body_size_max));
        }
        if let Some(reason) = self.api.broker.alarms().reason() {
            return Err(ApiError::not_confirmed(format!("publishing is blocked: {reason}")));
        }
        self.check_user_id(properties)?;
        let mut header = Vec::new();
        properties.encode(&mut header);
        let message =
            Message::new(&self.exchange, routing_key, &header, MessageBody::Shared(body))?;
        // Looked up for each message: the exchange may go while a batch is under way.
        let topology = self.access.vhost.topology();
        let exchange = checked_exchange(&topology, &self.exchange)?;
        self.access.publish_topics(exchange, &message)?;
        let options = PublishOptions {
            topology: &topology,
            exchange,
            user: self.access.user.name(),
            confirm: Some((number, &self.sink)),
        };
        if topology.is_traced() {
            let user = self.access.user.name().to_owned();
            let origin = Origin { user, ..Origin::default() };
            return Ok(publish_traced(&mut self.publisher, &options, &origin, message)?);
        }
        Ok(self.publisher.publish(&options, message).map_err(|error| *error)?)
    }

    /// A publisher may not write another one's name into its messages (RabbitMQ).
    fn check_user_id(&self, properties: &Properties) -> Result<(), ApiError> {
        let user = &self.access.user;
        match &properties.user_id {
            Some(id) if id != user.name() && !user.has_tag("impersonator") => {
                Err(ApiError::bad_request(format!(
                    "user_id property set to '{id}' but authenticated user was '{}'",
                    user.name()
                )))
            }
            _ => Ok(()),
        }
    }

    /// Sends off what was published.
    pub(crate) fn flush(&mut self) {
        self.publisher.flush();
    }

    /// Waits for answers of queues; the outcomes of messages that all their queues answered for.
    /// Doesn't return while no message is pending. Nothing is lost if the wait is given up.
    pub(crate) async fn answered(&mut self) -> Vec<(u64, Outcome)> {
        // Numbers grow, so the first is the oldest.
        let oldest = self.pending.first_key_value().map(|(_, pending)| pending.published_at);
        let Some(oldest) = oldest else { return std::future::pending().await };
        let deadline = oldest + Duration::from_secs(CONFIRM_TIMEOUT_S);
        match tokio::time::timeout_at(deadline, self.answers.recv()).await {
            Ok(Some(first)) => {
                let mut done = Vec::new();
                self.take_answers(&first, &mut done);
                while let Ok(more) = self.answers.try_recv() {
                    self.take_answers(&more, &mut done);
                }
                done
            }
            // This holds a sender, so the channel is never closed.
            Ok(None) | Err(_) => self.give_up(deadline),
        }
    }

    /// The outcome of the only message that is pending.
    pub(crate) async fn only_answer(&mut self) -> Outcome {
        loop {
            if let Some((_, outcome)) = self.answered().await.pop() {
                return outcome;
            }
        }
    }

    fn take_answers(&mut self, answers: &[Confirmation], done: &mut Vec<(u64, Outcome)>) {
        for answer in answers {
            let Some(pending) = self.pending.get_mut(&answer.token) else { continue };
            pending.refused |= !answer.accepted;
            pending.answers_missing -= 1;
            if pending.answers_missing == 0 {
                let refused = pending.refused;
                self.pending.remove(&answer.token);
                done.push((answer.token, self.outcome(refused)));
            }
        }
    }

    fn give_up(&mut self, deadline: Instant) -> Vec<(u64, Outcome)> {
        let published_by = deadline - Duration::from_secs(CONFIRM_TIMEOUT_S);
        let late = self.pending.extract_if(.., |_, pending| pending.published_at <= published_by);
        let reason = format!("not every queue answered within {CONFIRM_TIMEOUT_S} seconds");
        late.map(|(number, _)| (number, Err(ApiError::not_confirmed(reason.clone())))).collect()
    }

    fn outcome(&self, refused: bool) -> Outcome {
        if refused {
            return Err(ApiError::not_confirmed("a queue refused the message: it is full"));
        }
        self.confirmed(true)
    }

    fn confirmed(&self, routed: bool) -> Outcome {
        self.api.broker.counters().messages_confirmed.add(1);
        Ok(routed)
    }
}

fn checked_exchange<'a>(
    topology: &'a Topology,
    name: &str,
) -> Result<&'a shunt_routing::Exchange, ApiError> {
    let exchange = topology.find_exchange(name)?;
    if exchange.internal {
        return Err(ApiError::forbidden(format!(
            "cannot publish to internal exchange '{name}' in vhost '{}'",
            topology.vhost
        )));
    }
    Ok(exchange)
}

/// Brings the queues' answers from their shards.
struct Answers(mpsc::UnboundedSender<Vec<Confirmation>>);

impl ConfirmSink for Answers {
    fn confirm(&self, confirmations: &[Confirmation]) {
        // A request that is gone wants no answers.
        drop(self.0.send(confirmations.to_vec()));
    }
}
