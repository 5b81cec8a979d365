//! The commands of the metadata log: everything that is declared and survives a restart.

use std::sync::Arc;

use super::VhostMetadata;
use crate::durable::QueueUid;
use crate::policy::{PolicyDefinition, PolicyKind};
use shunt_types::{ExchangeName, FieldTable, PackedTable, QueueName, VhostName};

/// An exchange as it was declared.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeDefinition {
    /// Its name.
    pub name: ExchangeName,
    /// Its type, such as `topic`.
    pub kind: Arc<str>,
    /// Whether it survives a restart.
    pub durable: bool,
    /// Whether it goes with the last binding of which it is the source.
    pub auto_delete: bool,
    /// Whether publishers may not name it.
    pub internal: bool,
    /// Its arguments.
    pub arguments: Arc<FieldTable>,
}

/// A queue as it was declared.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueDefinition {
    /// Its name.
    pub name: QueueName,
    /// Whether it survives a restart.
    pub durable: bool,
    /// Whether it goes with its last consumer.
    pub auto_delete: bool,
    /// Its arguments.
    pub arguments: Arc<FieldTable>,
}

/// What a binding leads to, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DestinationName {
    /// A queue.
    Queue(QueueName),
    /// An exchange.
    Exchange(ExchangeName),
}

impl DestinationName {
    /// The name, whatever it names.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Queue(name) => name.as_str(),
            Self::Exchange(name) => name.as_str(),
        }
    }

    /// `queue` or `exchange`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Queue(_) => "queue",
            Self::Exchange(_) => "exchange",
        }
    }
}

/// A binding by names.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingDefinition {
    /// The exchange that messages come from.
    pub source: ExchangeName,
    /// Where they go.
    pub destination: DestinationName,
    /// The binding key.
    pub key: Arc<str>,
    /// The binding's arguments.
    pub arguments: PackedTable,
}

/// One change of the metadata. Deleting a queue or an exchange takes its bindings along.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the change of its name, to the vhost that it names")]
pub enum Command {
    CreateVhost {
        vhost: VhostName,
    },
    DeleteVhost {
        vhost: VhostName,
    },
    SetVhostMetadata {
        vhost: VhostName,
        metadata: VhostMetadata,
    },
    /// With how the log of messages names the queue of what the exchange delays.
    DeclareExchange {
        vhost: VhostName,
        exchange: ExchangeDefinition,
        uid: Option<QueueUid>,
    },
    DeleteExchange {
        vhost: VhostName,
        exchange: ExchangeName,
    },
    DeclareQueue {
        vhost: VhostName,
        queue: QueueDefinition,
        uid: QueueUid,
    },
    DeleteQueue {
        vhost: VhostName,
        queue: QueueName,
    },
    Bind {
        vhost: VhostName,
        binding: BindingDefinition,
    },
    Unbind {
        vhost: VhostName,
        binding: BindingDefinition,
    },
    SetPolicy {
        vhost: VhostName,
        kind: PolicyKind,
        policy: PolicyDefinition,
    },
    ClearPolicy {
        vhost: VhostName,
        kind: PolicyKind,
        name: Arc<str>,
    },
}
