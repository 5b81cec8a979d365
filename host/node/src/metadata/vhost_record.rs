//! What is said about virtual hosts, as records.

use serde::{Deserialize, Serialize};
use shunt_broker::metadata::{Command, VhostLimits, VhostMetadata};
use shunt_types::VhostName;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct VhostFields {
    vhost: String,
    description: String,
    tags: Vec<String>,
    is_protected: bool,
    /// By RabbitMQ's names.
    limits: Vec<(String, i64)>,
}

impl VhostFields {
    pub(super) fn new(vhost: &VhostName, metadata: &VhostMetadata) -> Self {
        Self {
            vhost: vhost.to_string(),
            description: metadata.description.clone(),
            tags: metadata.tags.clone(),
            is_protected: metadata.is_protected,
            limits: named(metadata.limits.iter()),
        }
    }

    pub(super) fn into_command(self) -> anyhow::Result<Command> {
        let mut limits = VhostLimits::default();
        for (name, value) in self.limits {
            set(limits.get_mut(&name), &name, value)?;
        }
        Ok(Command::SetVhostMetadata {
            vhost: VhostName::new(&self.vhost)?,
            metadata: VhostMetadata {
                description: self.description,
                tags: self.tags,
                is_protected: self.is_protected,
                limits,
            },
        })
    }
}

/// Limits as records keep them.
pub(super) fn named(limits: impl Iterator<Item = (&'static str, i64)>) -> Vec<(String, i64)> {
    limits.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Sets a limit that a record names.
pub(super) fn set(limit: Option<&mut Option<i64>>, name: &str, value: i64) -> anyhow::Result<()> {
    match limit {
        Some(limit) => *limit = Some(value),
        None => anyhow::bail!("unknown limit '{name}'; is this a newer log?"),
    }
    Ok(())
}
