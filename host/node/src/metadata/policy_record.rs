//! Policies as records.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shunt_broker::metadata::Command;
use shunt_broker::policy::{ApplyTo, PolicyDefinition, PolicyKind};
use shunt_types::VhostName;

use super::values::{Fields, fields, table};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PolicyFields {
    vhost: String,
    operator: bool,
    name: String,
    pattern: String,
    apply_to: String,
    priority: i64,
    settings: Fields,
}

impl PolicyFields {
    pub(super) fn new(vhost: &VhostName, kind: PolicyKind, policy: &PolicyDefinition) -> Self {
        Self {
            vhost: vhost.to_string(),
            operator: kind == PolicyKind::Operator,
            name: policy.name.to_string(),
            pattern: policy.pattern.to_string(),
            apply_to: policy.apply_to.name().to_owned(),
            priority: policy.priority,
            settings: fields(&policy.settings),
        }
    }

    pub(super) fn into_command(self) -> anyhow::Result<Command> {
        Ok(Command::SetPolicy {
            vhost: VhostName::new(&self.vhost)?,
            kind: kind(self.operator),
            policy: PolicyDefinition {
                name: self.name.into(),
                pattern: self.pattern.into(),
                apply_to: ApplyTo::parse(&self.apply_to).map_err(anyhow::Error::msg)?,
                priority: self.priority,
                settings: Arc::new(table(self.settings)),
            },
        })
    }
}

/// A record says whether it is about an operator policy.
pub(super) fn kind(operator: bool) -> PolicyKind {
    if operator { PolicyKind::Operator } else { PolicyKind::User }
}
