//! An argument of `queue.declare` that can't be used, told as RabbitMQ tells it, with what would
//! have been allowed.

use std::fmt;

use shunt_types::{QueueName, Value, VhostName};

/// What is wrong with which argument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidArgument {
    name: &'static str,
    fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    /// RabbitMQ's word for it, and what it takes instead.
    Value(String),
    /// A name that is no text, for which RabbitMQ has other words.
    NoName { kind: &'static str, shown: String },
    /// It belongs to another queue type.
    Foreign,
}

impl InvalidArgument {
    pub(super) fn value(name: &'static str, what: impl Into<String>) -> Self {
        Self { name, fault: Fault::Value(what.into()) }
    }

    pub(super) fn foreign(name: &'static str) -> Self {
        Self { name, fault: Fault::Foreign }
    }

    /// For the name of an exchange.
    pub(super) fn no_name(name: &'static str, value: &Value) -> Self {
        Self { name, fault: Fault::NoName { kind: value.type_name(), shown: value.shown() } }
    }

    pub(super) fn not_integer(name: &'static str, value: &Value, min: i64, max: i64) -> Self {
        let (kind, shown) = (value.type_name(), value.shown());
        Self::value(
            name,
            format!("\"expected integer, got {kind}\" {shown}, must be {min} to {max}"),
        )
    }

    /// An integer that is too small or too large.
    pub(super) fn out_of_range(name: &'static str, n: i64, min: i64, max: i64) -> Self {
        let fault = match n {
            ..0 => "value_negative",
            _ if n < min => "value_zero",
            _ if name == "x-max-priority" => "max_value_exceeded",
            _ => "value_too_large",
        };
        Self::value(name, format!("{{{fault},{n}}}, must be {min} to {max}"))
    }

    pub(super) fn wrong_type(name: &'static str, value: &Value, allowed: &str) -> Self {
        let (kind, shown) = (value.type_name(), value.shown());
        Self::value(name, format!("{{unacceptable_type,{kind}}} {shown}, must be {allowed}"))
    }

    /// The text for a client that declared this queue.
    pub fn of_queue(&self, queue: &QueueName, vhost: &VhostName) -> String {
        self.told(&format!(" queue '{queue}' in vhost '{vhost}'"))
    }

    fn told(&self, queue: &str) -> String {
        let name = self.name;
        match &self.fault {
            Fault::Value(what) => format!("invalid arg '{name}' for{queue}: {what}"),
            Fault::NoName { kind, shown } => {
                format!(
                    "invalid type '{kind}' for arg '{name}' in{queue}: {shown}, must be longstr"
                )
            }
            Fault::Foreign => {
                format!("invalid arg '{name}' for{queue} of queue type rabbit_classic_queue")
            }
        }
    }
}

impl fmt::Display for InvalidArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(" the queue"))
    }
}
