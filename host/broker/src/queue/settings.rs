//! The arguments of `queue.declare`, read once (RabbitMQ's names and ranges).

use std::sync::Arc;

use shunt_types::limits::SHORT_STRING_MAX;
use shunt_types::{ExchangeId, ExchangeName, FieldTable, Value};

use super::InvalidArgument;

/// What a full queue does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Drops the oldest message.
    #[default]
    DropHead,
    /// Refuses publishers.
    RejectPublish,
    /// Refuses publishers and dead-letters what they sent.
    RejectPublishDeadLetter,
}

impl Overflow {
    /// What has that name in RabbitMQ.
    fn parse(name: &str) -> Option<Self> {
        match name {
            "drop-head" => Some(Self::DropHead),
            "reject-publish" => Some(Self::RejectPublish),
            "reject-publish-dlx" => Some(Self::RejectPublishDeadLetter),
            _ => None,
        }
    }
}

/// Where dead messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterTarget {
    /// The exchange, `x-dead-letter-exchange`.
    pub exchange: ExchangeName,
    /// The routing key, where it isn't the message's own.
    pub routing_key: Option<Arc<str>>,
}

/// How a queue behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueSettings {
    /// `x-max-priority`.
    pub max_priority: Option<u8>,
    /// `x-message-ttl`, milliseconds.
    pub message_ttl_ms: Option<u64>,
    /// `x-expires`, milliseconds.
    pub expires_ms: Option<u64>,
    /// `x-max-length`, ready messages.
    pub max_length: Option<u64>,
    /// `x-max-length-bytes`, bytes of the ready messages' bodies.
    pub max_length_bytes: Option<u64>,
    /// `x-overflow`.
    pub overflow: Overflow,
    /// `x-dead-letter-exchange` and `x-dead-letter-routing-key`.
    pub dead_letter: Option<DeadLetterTarget>,
    /// `x-single-active-consumer`.
    pub single_active_consumer: bool,
    /// `x-message-deduplication`.
    pub deduplication: bool,
    /// The exchange whose delayed messages wait here, which routes them when they are due.
    pub delayed_for: Option<ExchangeId>,
}

/// RabbitMQ's longest time, ten years, in milliseconds.
const TIME_MAX_MS: i64 = 315_360_000_000;

/// Arguments that belong to other queue types, which RabbitMQ refuses on a classic queue.
const FOREIGN: [&str; 13] = [
    "x-delivery-limit",
    "x-dead-letter-strategy",
    "x-quorum-initial-group-size",
    "x-consumer-disconnected-timeout",
    "x-delayed-retry-type",
    "x-delayed-retry-min",
    "x-delayed-retry-max",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-stream-filter-size-bytes",
    "x-initial-cluster-size",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
];

/// Ways to place a queue; RabbitMQ reads all but the first as `balanced`.
const LOCATORS: [&str; 5] = ["client-local", "balanced", "random", "least-leaders", "min-masters"];

impl QueueSettings {
    /// Reads the arguments of a classic queue. Arguments that nobody knows are let through, as
    /// RabbitMQ does.
    ///
    /// # Errors
    /// What is wrong with which argument, for `PRECONDITION_FAILED` (406).
    pub fn from_arguments(arguments: &FieldTable) -> Result<Self, InvalidArgument> {
        match arguments.get("x-queue-type") {
            None => {}
            Some(value) if matches!(value.as_text(), Some("classic" | "default")) => {}
            Some(value) => return Err(one_of("x-queue-type", value, "'classic'")),
        }
        if let Some(name) = FOREIGN.into_iter().find(|name| arguments.get(name).is_some()) {
            return Err(InvalidArgument::foreign(name));
        }
        let text = |name: &'static str| match arguments.get(name) {
            None => Ok(None),
            Some(value) => match value.as_text() {
                Some(text) => Ok(Some(text)),
                None if name == "x-dead-letter-exchange" => {
                    Err(InvalidArgument::no_name(name, value))
                }
                None => Err(InvalidArgument::wrong_type(name, value, "longstr")),
            },
        };
        let exchange = text("x-dead-letter-exchange")?
            .map(|name| {
                ExchangeName::new(name).map_err(|error| {
                    InvalidArgument::value("x-dead-letter-exchange", error.to_string())
                })
            })
            .transpose()?;
        let routing_key = text("x-dead-letter-routing-key")?;
        if let Some(key) = routing_key.filter(|key| key.len() > SHORT_STRING_MAX) {
            let shown = Value::from(key).shown();
            return Err(InvalidArgument::value(
                "x-dead-letter-routing-key",
                format!("{shown}… is too long, must be at most {SHORT_STRING_MAX} bytes"),
            ));
        }
        let dead_letter = match (exchange, routing_key) {
            (Some(exchange), key) => {
                Some(DeadLetterTarget { exchange, routing_key: key.map(Arc::from) })
            }
            (None, None) => None,
            (None, Some(key)) => {
                let shown = Value::from(key).shown();
                return Err(InvalidArgument::value(
                    "x-dead-letter-routing-key",
                    format!(
                        "routing_key_but_no_dlx_defined {shown}, must come with \
                         x-dead-letter-exchange"
                    ),
                ));
            }
        };
        let overflow = text("x-overflow")?.map(|text| {
            Overflow::parse(text).ok_or_else(|| {
                InvalidArgument::value(
                    "x-overflow",
                    format!(
                        "invalid_overflow '{text}', must be 'drop-head', 'reject-publish' or \
                         'reject-publish-dlx'"
                    ),
                )
            })
        });
        let overflow = overflow.transpose()?;
        // Where a cluster would put the queue.
        for name in ["x-queue-leader-locator", "x-queue-master-locator"] {
            match arguments.get(name) {
                None => {}
                Some(value) if value.as_text().is_some_and(|text| LOCATORS.contains(&text)) => {}
                Some(value) => return Err(one_of(name, value, "'client-local' or 'balanced'")),
            }
        }
        // How RabbitMQ once kept queues; they say nothing here, but have to be right.
        match arguments.get("x-queue-mode") {
            None => {}
            Some(value) if matches!(value.as_text(), Some("default" | "lazy")) => {}
            Some(value) => return Err(one_of("x-queue-mode", value, "'default' or 'lazy'")),
        }
        match arguments.get("x-queue-version") {
            None => {}
            Some(value) if matches!(value.as_integer(), Some(1 | 2)) => {}
            Some(value) => return Err(one_of("x-queue-version", value, "1 or 2")),
        }
        let flag = |name: &'static str| match arguments.get(name) {
            None => Ok(false),
            Some(value) => {
                value.as_boolean().ok_or_else(|| InvalidArgument::wrong_type(name, value, "bool"))
            }
        };
        let integer = |name, min, max| integer(arguments, name, min, max);
        // The channel looks after it.
        integer("x-consumer-timeout", 1, TIME_MAX_MS)?;
        Ok(Self {
            max_priority: integer("x-max-priority", 0, 255)?.map(|n| n as u8),
            message_ttl_ms: integer("x-message-ttl", 0, TIME_MAX_MS)?,
            expires_ms: integer("x-expires", 1, TIME_MAX_MS)?,
            max_length: integer("x-max-length", 0, i64::MAX)?,
            max_length_bytes: integer("x-max-length-bytes", 0, i64::MAX)?,
            overflow: overflow.unwrap_or_default(),
            dead_letter,
            single_active_consumer: flag("x-single-active-consumer")?,
            deduplication: flag("x-message-deduplication")?,
            delayed_for: None,
        })
    }
}

impl QueueSettings {
    /// These settings, which `arguments` made, under what the queue's policies say: of numbers
    /// the smaller holds, of anything else the argument (RabbitMQ, `rabbit_amqqueue_process`).
    pub(crate) fn under(mut self, arguments: &FieldTable, policy: &FieldTable) -> Self {
        if policy.is_empty() {
            return self;
        }
        let number = |name: &str| u64::try_from(policy.get(name)?.as_integer()?).ok();
        let smaller = |own: Option<u64>, name: &str| own.into_iter().chain(number(name)).min();
        let text = |name: &str| policy.get(name)?.as_text();
        self.message_ttl_ms = smaller(self.message_ttl_ms, "message-ttl");
        self.expires_ms = smaller(self.expires_ms, "expires");
        self.max_length = smaller(self.max_length, "max-length");
        self.max_length_bytes = smaller(self.max_length_bytes, "max-length-bytes");
        if arguments.get("x-overflow").is_none()
            && let Some(overflow) = text("overflow").and_then(Overflow::parse)
        {
            self.overflow = overflow;
        }
        if self.dead_letter.is_none() {
            let exchange = text("dead-letter-exchange").and_then(|x| ExchangeName::new(x).ok());
            self.dead_letter =
                exchange.map(|exchange| DeadLetterTarget { exchange, routing_key: None });
        }
        if let Some(target) = &mut self.dead_letter
            && target.routing_key.is_none()
        {
            target.routing_key = text("dead-letter-routing-key").map(Arc::from);
        }
        self
    }
}

fn integer(
    arguments: &FieldTable,
    name: &'static str,
    min: i64,
    max: i64,
) -> Result<Option<u64>, InvalidArgument> {
    let Some(value) = arguments.get(name) else { return Ok(None) };
    match value.as_integer() {
        Some(n) if (min..=max).contains(&n) => Ok(Some(n as u64)),
        Some(n) => Err(InvalidArgument::out_of_range(name, n, min, max)),
        None => Err(InvalidArgument::not_integer(name, value, min, max)),
    }
}

/// A value that is none of those in `allowed`; RabbitMQ calls it by what the argument is about.
fn one_of(name: &'static str, value: &Value, allowed: &str) -> InvalidArgument {
    let subject = name.trim_start_matches("x-").replace('-', " ");
    let shown = match (value.as_text(), value.as_integer()) {
        (Some(text), _) => text.to_owned(),
        (None, Some(n)) => n.to_string(),
        (None, None) => return InvalidArgument::wrong_type(name, value, allowed),
    };
    InvalidArgument::value(name, format!("\"unsupported {subject} '{shown}'\", must be {allowed}"))
}
