//! What the user may do, looked up once and kept while nothing changes.

use std::sync::Arc;

use hashbrown::HashMap;
use shunt_auth::{AccessControl, TopicPermission};
use shunt_routing::Exchange;
use shunt_types::AmqpError;

use super::Connection;

/// Resources whose permission is remembered; a client that names more begins anew.
const REMEMBERED_MAX: usize = 64;

/// What a permission is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Access {
    Configure,
    Write,
    Read,
}

impl Access {
    fn name(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        }
    }
}

/// One connection's cache of permissions.
pub(super) struct Permissions {
    access: Arc<AccessControl>,
    revision: u64,
    remembered: HashMap<(Access, String), bool>,
}

impl Permissions {
    pub(super) fn new(access: Arc<AccessControl>) -> Self {
        let revision = access.revision();
        Self { access, revision, remembered: HashMap::new() }
    }

    /// Grows whenever a user or a permission changes.
    pub(super) fn revision(&self) -> u64 {
        self.access.revision()
    }

    /// What restricts the user's routing keys with a topic exchange; nobody asks it again for
    /// the exchange of the last publish.
    pub(super) fn topic(
        &self,
        user: &str,
        vhost: &str,
        exchange: &Exchange,
    ) -> Option<Arc<TopicPermission>> {
        let permissions = self.access.topic_permissions(user, vhost)?;
        let permission = permissions.of_exchange(exchange.name.as_str())?;
        exchange.matcher.matches_by_topic().then(|| permission.clone())
    }

    fn allows(&mut self, user: &str, vhost: &str, access: Access, resource: &str) -> bool {
        let revision = self.access.revision();
        if revision != self.revision || self.remembered.len() >= REMEMBERED_MAX {
            self.remembered.clear();
            self.revision = revision;
        }
        let key = (access, resource.to_owned());
        if let Some(&allowed) = self.remembered.get(&key) {
            return allowed;
        }
        let allowed =
            self.access.permissions(user, vhost).is_some_and(|permissions| match access {
                Access::Configure => permissions.may_configure(resource),
                Access::Write => permissions.may_write(resource),
                Access::Read => permissions.may_read(resource),
            });
        self.remembered.insert(key, allowed);
        allowed
    }
}

impl Connection {
    /// Checks a permission on an exchange; the default exchange is asked for as `amq.default`.
    pub(super) fn check_exchange(&mut self, access: Access, name: &str) -> Result<(), AmqpError> {
        let resource = if name.is_empty() { "amq.default" } else { name };
        self.check(access, "exchange", resource)
    }

    /// Checks a permission on a queue.
    pub(super) fn check_queue(&mut self, access: Access, name: &str) -> Result<(), AmqpError> {
        self.check(access, "queue", name)
    }

    /// Checks that any permission on the resource is there, as a passive declare asks.
    pub(super) fn check_any(&mut self, kind: &str, name: &str) -> Result<(), AmqpError> {
        [Access::Configure, Access::Write, Access::Read]
            .into_iter()
            .find_map(|access| self.check(access, kind, name).ok())
            .map_or_else(|| self.check(Access::Configure, kind, name), Ok)
    }

    /// Checks that the user may bind from a topic exchange with the key.
    pub(super) fn check_binding_key(&self, source: &str, key: &str) -> Result<(), AmqpError> {
        // An exchange that isn't there is refused for that.
        let Ok(exchange) = self.topology.find_exchange(source) else { return Ok(()) };
        let vhost = self.vhost.name().as_str();
        match self.permissions.topic(self.user.name(), vhost, exchange) {
            Some(permission) if !permission.may_read(key) => Err(self.topic_refused(exchange, key)),
            _ => Ok(()),
        }
    }

    /// The refusal of a routing key, in RabbitMQ's words.
    pub(super) fn topic_refused(&self, exchange: &Exchange, key: &str) -> AmqpError {
        AmqpError::access_refused(format!(
            "access to topic '{key}' in exchange '{}' in vhost '{}' refused for user '{}'",
            exchange.name,
            self.vhost.name(),
            self.user.name()
        ))
    }

    fn check(&mut self, access: Access, kind: &str, name: &str) -> Result<(), AmqpError> {
        let (user, vhost) = (self.user.name(), self.vhost.name());
        if self.permissions.allows(user, vhost.as_str(), access, name) {
            return Ok(());
        }
        Err(AmqpError::access_refused(format!(
            "{} access to {kind} '{name}' in vhost '{vhost}' refused for user '{user}'",
            access.name()
        )))
    }
}
