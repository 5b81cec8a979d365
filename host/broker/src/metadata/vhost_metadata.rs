//! What is said about a virtual host: description, tags, limits, protection.

use shunt_types::{AmqpError, VhostName};

use super::Actor;
use super::Command;
use super::state::VhostState;
use crate::broker::Broker;
use crate::ports::Position;

/// What is said about a virtual host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VhostMetadata {
    /// For people.
    pub description: String,
    /// For tools.
    pub tags: Vec<String>,
    /// Whether its deletion is refused.
    pub is_protected: bool,
    /// How much of what it may have.
    pub limits: VhostLimits,
}

/// A virtual host's limits (RabbitMQ's names). Below 0, or left out, there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VhostLimits {
    /// `max-connections`.
    pub max_connections: Option<i64>,
    /// `max-queues`.
    pub max_queues: Option<i64>,
}

impl VhostLimits {
    /// The names of the limits.
    pub const NAMES: [&str; 2] = ["max-connections", "max-queues"];

    /// The limit of that name, to be read or set.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Option<i64>> {
        match name {
            "max-connections" => Some(&mut self.max_connections),
            "max-queues" => Some(&mut self.max_queues),
            _ => None,
        }
    }

    /// Those that are set.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, i64)> {
        let values = [self.max_connections, self.max_queues];
        Self::NAMES.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?)))
    }
}

impl Broker {
    /// Changes what is said about a virtual host; up to where the metadata log must be on disk.
    /// Limits hold for what is opened and declared from then on.
    ///
    /// # Errors
    /// `NOT_ALLOWED` (530) where there is no such virtual host.
    pub fn change_vhost(
        &self,
        vhost: &VhostName,
        actor: Actor<'_>,
        change: impl FnOnce(&mut VhostMetadata),
    ) -> Result<Position, AmqpError> {
        let mut state = self.state().lock();
        let found = &state.vhost(vhost)?.vhost;
        let mut metadata = VhostMetadata::clone(&found.metadata());
        change(&mut metadata);
        if metadata == *found.metadata() {
            return Ok(Position::default());
        }
        if metadata.limits != found.metadata().limits {
            self.tell_limits(actor, vhost.as_str(), &metadata.limits);
        }
        found.set_metadata(metadata.clone());
        Ok(self.log(&Command::SetVhostMetadata { vhost: vhost.clone(), metadata }))
    }
}

impl VhostState {
    /// Refuses another queue where the virtual host has as many as it may (RabbitMQ).
    pub(super) fn check_queue_limit(&self, queue: &str) -> Result<(), AmqpError> {
        let Some(limit) = self.vhost.metadata().limits.max_queues.filter(|limit| *limit >= 0)
        else {
            return Ok(());
        };
        if (self.vhost.topology().queues.len() as u64) < limit as u64 {
            return Ok(());
        }
        Err(AmqpError::precondition_failed(format!(
            "cannot declare queue '{queue}': queue limit in vhost '{}' ({limit}) is reached",
            self.vhost.name()
        )))
    }
}
