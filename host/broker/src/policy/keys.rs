//! What policies may set: RabbitMQ's keys, the values that each takes, and who may set it.

use shunt_types::{FieldTable, Value};

use super::PolicyKind;

/// A key, what RabbitMQ calls a wrong value of it, and what it takes.
struct Key {
    name: &'static str,
    title: &'static str,
    takes: Takes,
    /// Whether operator policies may set it too.
    operator: bool,
}

enum Takes {
    Text,
    /// At least this.
    Integer(i64),
    OneOf(&'static [&'static str]),
    Anything,
}

use Takes::{Anything, Integer, OneOf, Text};

const fn key(name: &'static str, title: &'static str, takes: Takes) -> Key {
    Key { name, title, takes, operator: false }
}

/// A key of operator policies as well.
const fn limit(name: &'static str, title: &'static str, takes: Takes) -> Key {
    Key { name, title, takes, operator: true }
}

const PROMOTE: Takes = OneOf(&["always", "when-synced"]);

/// Those of RabbitMQ 4.3, then those of 3.x that old definitions hold.
const KEYS: [Key; 39] = [
    key("alternate-exchange", "alternate exchange name", Text),
    key("dead-letter-exchange", "dead letter exchange name", Text),
    key("dead-letter-routing-key", "dead letter routing key", Text),
    limit("message-ttl", "message TTL", Integer(0)),
    limit("expires", "queue expiry", Integer(1)),
    limit("max-length", "maximum length", Integer(0)),
    limit("max-length-bytes", "maximum length in bytes", Integer(0)),
    limit(
        "overflow",
        "overflow value",
        OneOf(&["drop-head", "reject-publish", "reject-publish-dlx"]),
    ),
    key("queue-mode", "queue-mode value", OneOf(&["default", "lazy"])),
    limit("queue-version", "queue version", Integer(1)),
    limit("delivery-limit", "delivery limit", Integer(i64::MIN)),
    limit("max-in-memory-length", "maximum memory in bytes", Integer(0)),
    limit("max-in-memory-bytes", "maximum memory in bytes", Integer(0)),
    limit("target-group-size", "target group size", Integer(0)),
    limit(
        "delayed-retry-type",
        "delayed retry type",
        OneOf(&["disabled", "all", "failed", "returned"]),
    ),
    limit("delayed-retry-min", "minimum delay", Integer(0)),
    limit("delayed-retry-max", "maximum delay", Integer(0)),
    key("dead-letter-strategy", "dead letter strategy", OneOf(&["at-most-once", "at-least-once"])),
    key("consumer-timeout", "consumer timeout", Integer(0)),
    key("consumer-disconnected-timeout", "consumer timeout", Integer(0)),
    key("max-age", "max age", Text),
    key("stream-max-segment-size-bytes", "segment size", Integer(0)),
    key("stream-filter-size-bytes", "filter size", Integer(16)),
    key(
        "queue-leader-locator",
        "queue leader locator value",
        OneOf(&["client-local", "balanced", "random", "least-leaders", "min-masters"]),
    ),
    key("initial-cluster-size", "cluster size", Integer(0)),
    key("federation-upstream", "upstream name", Text),
    key("federation-upstream-set", "upstream set name", Text),
    key("federation-upstream-pattern", "upstream pattern", Text),
    key("shards-per-node", "number of shards", Integer(0)),
    key("routing-key", "routing key", Text),
    key("max-segment-size", "segment size", Integer(0)),
    key("queue-master-locator", "queue master locator", Text),
    limit("ha-mode", "ha-mode value", OneOf(&["all", "exactly", "nodes"])),
    limit("ha-params", "ha-params value", Anything),
    limit("ha-sync-mode", "ha-sync-mode value", OneOf(&["automatic", "manual"])),
    limit("ha-sync-batch-size", "batch size", Integer(1)),
    limit("ha-max-batch-size", "batch size", Integer(1)),
    limit("ha-promote-on-shutdown", "ha-promote-on-shutdown value", PROMOTE),
    limit("ha-promote-on-failure", "ha-promote-on-failure value", PROMOTE),
];

/// What changes how an exchange or a classic queue behaves, or changes nothing in RabbitMQ 4.3
/// either.
const WITH_EFFECT: [&str; 11] = [
    "alternate-exchange",
    "dead-letter-exchange",
    "dead-letter-routing-key",
    "message-ttl",
    "expires",
    "max-length",
    "max-length-bytes",
    "overflow",
    "queue-mode",
    "queue-version",
    "consumer-timeout",
];

/// Keys of quorum queues and streams. A policy that has one doesn't apply to classic queues at
/// all (RabbitMQ, `rabbit_classic_queue:capabilities`).
const NOT_FOR_CLASSIC_QUEUES: [&str; 13] = [
    "max-age",
    "stream-max-segment-size-bytes",
    "stream-filter-size-bytes",
    "initial-cluster-size",
    "delivery-limit",
    "dead-letter-strategy",
    "max-in-memory-length",
    "max-in-memory-bytes",
    "target-group-size",
    "consumer-disconnected-timeout",
    "delayed-retry-type",
    "delayed-retry-min",
    "delayed-retry-max",
];

/// Checks what a policy sets.
///
/// # Errors
/// What is wrong, in RabbitMQ's words.
pub(super) fn check(kind: PolicyKind, settings: &FieldTable) -> Result<(), String> {
    if settings.is_empty() {
        return Err("no policy provided".to_owned());
    }
    let known = |name: &str| {
        let mut keys = KEYS.iter();
        keys.find(|key| key.name == name && (key.operator || kind == PolicyKind::User))
    };
    let unknown: Vec<_> =
        settings.iter().map(|(name, _)| name).filter(|name| known(name).is_none()).collect();
    if !unknown.is_empty() {
        return Err(format!("[{}] are not recognised policy settings", unknown.join(", ")));
    }
    for (name, value) in settings.iter() {
        let Some(key) = known(name) else { continue };
        let is_right = match key.takes {
            Text => value.as_text().is_some_and(|text| text.len() <= 255),
            Integer(min) => value.as_integer().is_some_and(|n| n >= min),
            OneOf(values) => value.as_text().is_some_and(|text| values.contains(&text)),
            Anything => true,
        };
        if !is_right {
            return Err(format!("{} is not a valid {}", shown(value), key.title));
        }
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    match (value.as_integer(), value.as_text(), value.as_boolean()) {
        (Some(n), _, _) => n.to_string(),
        (_, Some(text), _) => format!("'{text}'"),
        (_, _, Some(flag)) => flag.to_string(),
        _ => format!("a value of type {}", value.type_name()),
    }
}

pub(super) fn has_effect(name: &str) -> bool {
    WITH_EFFECT.contains(&name)
}

pub(super) fn suits_classic_queues(settings: &FieldTable) -> bool {
    !settings.iter().any(|(name, _)| NOT_FOR_CLASSIC_QUEUES.contains(&name))
}
