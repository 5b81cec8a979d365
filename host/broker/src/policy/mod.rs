//! Policies: settings for queues and exchanges by name, which an operator changes at any time
//! (RabbitMQ, `rabbit_policy`).
//!
//! At most one policy and one operator policy are in force for an object: those of the highest
//! priority whose pattern is found in its name. What both say is merged (`merge`), and what a
//! queue's own arguments say stands beside that ([`QueueSettings`](crate::queue::QueueSettings)).

mod keys;
mod merge;
mod set;

use std::fmt;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use shunt_types::FieldTable;
use shunt_types::limits::SHORT_STRING_MAX;

pub use set::{InForce, Policies};

/// Most bytes that one compiled pattern may take.
const PATTERN_SIZE_MAX: usize = 1024 * 1024;

/// Whose policy it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// Of those who use the virtual host.
    User,
    /// Of those who run the node: it sets limits that a user's policy can't exceed.
    Operator,
}

/// What a policy is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApplyTo {
    /// Queues and exchanges.
    #[default]
    All,
    /// Exchanges.
    Exchanges,
    /// Queues of every type.
    Queues,
    /// Classic queues.
    ClassicQueues,
    /// Quorum queues.
    QuorumQueues,
    /// Streams.
    Streams,
}

impl ApplyTo {
    const ALL: [Self; 6] = [
        Self::All,
        Self::Exchanges,
        Self::Queues,
        Self::ClassicQueues,
        Self::QuorumQueues,
        Self::Streams,
    ];

    /// RabbitMQ's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exchanges => "exchanges",
            Self::Queues => "queues",
            Self::ClassicQueues => "classic_queues",
            Self::QuorumQueues => "quorum_queues",
            Self::Streams => "streams",
        }
    }

    /// What has that name.
    ///
    /// # Errors
    /// The names that there are.
    pub fn parse(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|apply_to| apply_to.name() == name).ok_or_else(|| {
            format!(
                "apply-to '{name}' unrecognised; should be one of: 'queues', 'classic_queues', \
                 'quorum_queues', 'streams', 'exchanges', or 'all'"
            )
        })
    }
}

/// A policy as it is given.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyDefinition {
    /// Its name, unique among those of its kind in the virtual host.
    pub name: Arc<str>,
    /// A regular expression, found anywhere in an object's name unless it is anchored.
    pub pattern: Arc<str>,
    /// What it is about.
    pub apply_to: ApplyTo,
    /// Of several that match, the one with the highest is in force.
    pub priority: i64,
    /// What it sets, by RabbitMQ's keys.
    pub settings: Arc<FieldTable>,
}

/// A policy that was checked.
#[derive(Clone)]
pub struct Policy {
    definition: PolicyDefinition,
    pattern: Regex,
}

impl Policy {
    /// Checks a policy.
    ///
    /// # Errors
    /// What is wrong with which part, in RabbitMQ's words.
    pub fn new(kind: PolicyKind, definition: PolicyDefinition) -> Result<Self, String> {
        if definition.name.is_empty() || definition.name.len() > SHORT_STRING_MAX {
            return Err(format!("a policy's name has 1 to {SHORT_STRING_MAX} bytes"));
        }
        let pattern = RegexBuilder::new(&definition.pattern).size_limit(PATTERN_SIZE_MAX).build();
        let pattern = pattern.map_err(|error| {
            // The crate draws the place over several lines; the last one says what is wrong.
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            format!("pattern should be regular expression but is invalid: {reason}")
        })?;
        keys::check(kind, &definition.settings)?;
        Ok(Self { definition, pattern })
    }

    /// As it was given.
    pub fn definition(&self) -> &PolicyDefinition {
        &self.definition
    }

    /// What of it has no effect on this broker, though RabbitMQ has it.
    pub fn without_effect(&self) -> impl Iterator<Item = &str> {
        let names = self.definition.settings.iter().map(|(name, _)| name);
        names.filter(|name| !keys::has_effect(name))
    }

    /// Whether an exchange or a classic queue may be meant, by its name alone.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.pattern.is_match(name)
    }

    fn is_for_queue(&self, name: &str) -> bool {
        matches!(self.definition.apply_to, ApplyTo::All | ApplyTo::Queues | ApplyTo::ClassicQueues)
            && keys::suits_classic_queues(&self.definition.settings)
            && self.names(name)
    }

    fn is_for_exchange(&self, name: &str) -> bool {
        matches!(self.definition.apply_to, ApplyTo::All | ApplyTo::Exchanges) && self.names(name)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.definition.fmt(f)
    }
}

#[cfg(test)]
mod tests;
