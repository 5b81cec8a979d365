//! The second half of an import: what was checked is done.

use shunt_auth::AccessChange;
use shunt_broker::Actor;
use shunt_broker::metadata::{
    BindingDefinition, ExchangeDefinition, QueueDeclaration, QueueDefinition, VhostLimits,
    VhostMetadata,
};
use shunt_broker::policy::{Policy, PolicyKind};
use shunt_broker::ports::Position;
use shunt_types::VhostName;
use tokio::sync::oneshot;

use super::report::Report;
use crate::error::ApiError;
use crate::management::{begin_change, events};
use crate::server::Api;

/// What is to be done, in this order.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) users: Vec<AccessChange>,
    pub(super) user_limits: Vec<AccessChange>,
    pub(super) vhosts: Vec<(VhostName, VhostChange)>,
    pub(super) vhost_limits: Vec<(VhostName, VhostLimits)>,
    pub(super) permissions: Vec<AccessChange>,
    pub(super) topic_permissions: Vec<AccessChange>,
    pub(super) policies: Vec<(VhostName, PolicyKind, Policy)>,
    pub(super) exchanges: Vec<(VhostName, ExchangeDefinition)>,
    pub(super) queues: Vec<(VhostName, QueueDefinition)>,
    pub(super) bindings: Vec<(VhostName, BindingDefinition)>,
    /// With what is left out; the counts come while applying.
    pub(super) report: Report,
}

/// What a file says about a virtual host.
pub(super) type VhostChange = Box<dyn FnOnce(&mut VhostMetadata)>;

/// What was done.
pub(super) struct Outcome {
    /// Each by name.
    pub(super) applied: Vec<String>,
    pub(super) report: Report,
    /// Up to where the broker's log has to be on disk.
    pub(super) position: Position,
    /// Changes of users and permissions that are on their way to the disk.
    pub(super) changes: Vec<oneshot::Receiver<Result<(), String>>>,
    /// Why it ended before its end.
    pub(super) failure: Option<ApiError>,
}

impl Plan {
    /// Does it all for `user`, or what can be done before the first failure: the node may have changed
    /// since the check, or a route may have changed its mind.
    pub(super) fn apply(self, api: &Api, user: &str) -> Outcome {
        let mut outcome = Outcome {
            applied: Vec::new(),
            report: Report { imported: Default::default(), not_honoured: self.report.not_honoured },
            position: Position::default(),
            changes: Vec::new(),
            failure: None,
        };
        for change in self.users {
            outcome.change(api, user, change);
            outcome.report.imported.users += 1;
        }
        for change in self.user_limits {
            outcome.change(api, user, change);
        }
        let vhosts = outcome.make_vhosts(api, user, self.vhosts, self.vhost_limits);
        for change in self.permissions {
            outcome.change(api, user, change);
            outcome.report.imported.permissions += 1;
        }
        for change in self.topic_permissions {
            outcome.change(api, user, change);
            outcome.report.imported.topic_permissions += 1;
        }
        let declared = vhosts
            .and_then(|()| outcome.set_policies(api, user, self.policies))
            .and_then(|()| outcome.declare(api, user, self.exchanges, self.queues, self.bindings));
        outcome.failure = declared.err();
        outcome
    }
}

impl Outcome {
    fn done(&mut self, what: String, position: Position) {
        self.applied.push(what);
        self.position = self.position.max(position);
    }

    fn change(&mut self, api: &Api, user: &str, change: AccessChange) {
        let what = match &change {
            AccessChange::PutUser { name, .. } => format!("user '{name}'"),
            AccessChange::SetPermissions { user, vhost, .. } => {
                format!("permissions of user '{user}' in vhost '{vhost}'")
            }
            AccessChange::SetTopicPermission { user, vhost, exchange, .. } => {
                format!("topic permission of user '{user}' for '{exchange}' in vhost '{vhost}'")
            }
            AccessChange::SetUserLimits { user, .. } => format!("limits of user '{user}'"),
            // The plan has no others.
            other => format!("{other:?}"),
        };
        self.changes.push(begin_change(api, user, change));
        self.applied.push(what);
    }

    fn make_vhosts(
        &mut self,
        api: &Api,
        user: &str,
        vhosts: Vec<(VhostName, VhostChange)>,
        limits: Vec<(VhostName, VhostLimits)>,
    ) -> Result<(), ApiError> {
        for (vhost, change) in vhosts {
            let what = format!("vhost '{vhost}'");
            let (created, made) = api.broker.create_vhost(&vhost, Actor::user(user));
            let changed = api.broker.change_vhost(&vhost, Actor::user(user), change);
            let changed = changed.map_err(|error| failed(&what, error))?;
            if created {
                events::tell_vhost_created(api, user, &vhost);
            }
            self.done(what, made.max(changed));
            self.report.imported.vhosts += 1;
        }
        for (vhost, limits) in limits {
            let what = format!("limits of vhost '{vhost}'");
            let limit = |said: &mut VhostMetadata| said.limits = limits;
            let changed = api.broker.change_vhost(&vhost, Actor::user(user), limit);
            let position = changed.map_err(|error| failed(&what, error))?;
            self.done(what, position);
        }
        Ok(())
    }

    fn set_policies(
        &mut self,
        api: &Api,
        user: &str,
        policies: Vec<(VhostName, PolicyKind, Policy)>,
    ) -> Result<(), ApiError> {
        for (vhost, kind, policy) in policies {
            let what = match kind {
                PolicyKind::User => "policy",
                PolicyKind::Operator => "operator policy",
            };
            let what = format!("{what} '{}' in vhost '{vhost}'", policy.definition().name);
            let set = api.broker.set_policy(&vhost, Actor::user(user), kind, policy);
            let (_, position) = set.map_err(|error| failed(&what, error))?;
            self.done(what, position);
            self.report.imported.policies += 1;
        }
        Ok(())
    }

    fn declare(
        &mut self,
        api: &Api,
        user: &str,
        exchanges: Vec<(VhostName, ExchangeDefinition)>,
        queues: Vec<(VhostName, QueueDefinition)>,
        bindings: Vec<(VhostName, BindingDefinition)>,
    ) -> Result<(), ApiError> {
        for (vhost, definition) in exchanges {
            let what = format!("exchange '{}' in vhost '{vhost}'", definition.name);
            let declared = api.broker.declare_exchange(&vhost, Actor::user(user), definition);
            let position = declared.map_err(|error| failed(&what, error))?;
            self.done(what, position);
            self.report.imported.exchanges += 1;
        }
        for (vhost, definition) in queues {
            let what = format!("queue '{}' in vhost '{vhost}'", definition.name);
            let declared =
                api.broker.declare_queue(&vhost, Actor::user(user), declaration(definition));
            let declared = declared.map_err(|error| failed(&what, error))?;
            self.done(what, declared.position);
            self.report.imported.queues += 1;
        }
        for (vhost, definition) in bindings {
            let what = binding_name(&vhost, &definition);
            let bound = api.broker.bind(&vhost, Actor::user(user), definition);
            let position = bound.map_err(|error| failed(&what, error))?;
            self.done(what, position);
            self.report.imported.bindings += 1;
        }
        Ok(())
    }
}

/// A declaration by nobody's connection.
pub(super) fn declaration(definition: QueueDefinition) -> QueueDeclaration {
    QueueDeclaration { definition, exclusive_owner: None, server_named: false, near: None }
}

fn binding_name(vhost: &VhostName, binding: &BindingDefinition) -> String {
    format!(
        "binding '{}' from exchange '{}' to '{}' in vhost '{vhost}'",
        binding.key,
        binding.source,
        binding.destination.as_str()
    )
}

fn failed(what: &str, error: shunt_types::AmqpError) -> ApiError {
    ApiError::unavailable(format!(
        "the import ended before its end, at {what}: {}; 'applied' names what was done",
        error.explanation
    ))
}
