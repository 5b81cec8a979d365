//! Who asks: basic authentication against the users of AMQP, and what they may do.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::{HeaderMap, header, request::Parts};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shunt_auth::{Permissions, TopicPermission, TopicPermissions, User};
use shunt_broker::Actor;
use shunt_routing::Exchange;
use shunt_types::Message;

use crate::error::ApiError;
use crate::server::Api;

/// The name by which paths and permissions know the default exchange.
pub(crate) const DEFAULT_EXCHANGE: &str = "amq.default";

/// The exchange's own name for the name in a path.
pub(crate) fn exchange_name(in_path: &str) -> &str {
    if in_path == DEFAULT_EXCHANGE { "" } else { in_path }
}

/// The name by which permissions know the exchange.
pub(crate) fn exchange_resource(name: &str) -> &str {
    if name.is_empty() { DEFAULT_EXCHANGE } else { name }
}

/// The user who sent the request.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) user: Arc<User>,
    api: Arc<Api>,
}

impl Caller {
    pub(crate) fn name(&self) -> &str {
        self.user.name()
    }

    /// Who asks, for the broker.
    pub(crate) fn actor(&self) -> Actor<'_> {
        Actor::user(self.name())
    }

    /// What the caller may do in the virtual host.
    ///
    /// # Errors
    /// 404 where there is no such virtual host, 403 where the caller may not open it.
    pub(crate) fn enter(&self, vhost: &str) -> Result<Access, ApiError> {
        let found = self.api.broker.vhost(vhost);
        let permissions = self.api.access.permissions(self.name(), vhost);
        match (permissions, found) {
            (Some(permissions), Some(found)) => {
                let topics = self.api.access.topic_permissions(self.name(), vhost);
                Ok(Access { permissions, topics, vhost: found, user: self.user.clone() })
            }
            (None, Some(_)) => Err(ApiError::forbidden(format!(
                "access to vhost '{vhost}' refused for user '{}'",
                self.name()
            ))),
            (_, None) => Err(ApiError::not_found(format!("no vhost '{vhost}'"))),
        }
    }

    fn has_any_tag(&self, tags: &[&str]) -> bool {
        tags.iter().any(|tag| self.user.has_tag(tag))
    }
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let (name, password) = credentials(&parts.headers)?;
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let is_loopback =
            peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
        match api.access.authenticate_password(&name, &password, is_loopback) {
            Ok(user) => Ok(Self { user, api: api.clone() }),
            Err(error) => {
                tracing::warn!(%error, "HTTP login refused");
                Err(ApiError::not_authorised("Login failed"))
            }
        }
    }
}

fn credentials(headers: &HeaderMap) -> Result<(String, String), ApiError> {
    let value = headers
        .get(header::AUTHORIZATION)
        .ok_or_else(|| ApiError::not_authorised("this needs a user and a password (basic)"))?;
    let malformed = || ApiError::not_authorised("the header 'Authorization' can't be read");
    let text = value.to_str().map_err(|_| malformed())?;
    let (scheme, encoded) = text.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(ApiError::not_authorised("only basic authentication is supported"));
    }
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| malformed())?;
    let decoded = String::from_utf8(decoded).map_err(|_| malformed())?;
    let (name, password) = decoded.split_once(':').ok_or_else(malformed)?;
    Ok((name.to_owned(), password.to_owned()))
}

/// A caller inside a virtual host.
pub(crate) struct Access {
    pub(crate) vhost: Arc<shunt_broker::Vhost>,
    pub(crate) user: Arc<User>,
    permissions: Arc<Permissions>,
    topics: Option<Arc<TopicPermissions>>,
}

impl Access {
    /// Who asks, for the broker.
    pub(crate) fn actor(&self) -> Actor<'_> {
        Actor::user(self.user.name())
    }

    /// What restricts the caller's routing keys with a topic exchange.
    fn topic(&self, exchange: &Exchange) -> Option<&TopicPermission> {
        let permission = self.topics.as_ref()?.of_exchange(exchange.name.as_str())?;
        exchange.matcher.matches_by_topic().then_some(permission)
    }

    /// Checks every routing key of a message.
    pub(crate) fn publish_topics(
        &self,
        exchange: &Exchange,
        message: &Message,
    ) -> Result<(), ApiError> {
        let refused = self.topic(exchange).and_then(|topic| topic.refused_key(message));
        refused.map_or(Ok(()), |key| Err(self.topic_refused(exchange, key)))
    }

    /// Checks the key of a binding from an exchange; one that isn't there is refused for that.
    pub(crate) fn bind_topic(&self, source: &str, key: &str) -> Result<(), ApiError> {
        let topology = self.vhost.topology();
        let Ok(exchange) = topology.find_exchange(source) else { return Ok(()) };
        match self.topic(exchange) {
            Some(topic) if !topic.may_read(key) => Err(self.topic_refused(exchange, key)),
            _ => Ok(()),
        }
    }

    fn topic_refused(&self, exchange: &Exchange, key: &str) -> ApiError {
        ApiError::forbidden(format!(
            "access to topic '{key}' in exchange '{}' in vhost '{}' refused for user '{}'",
            exchange.name,
            self.vhost.name(),
            self.user.name()
        ))
    }

    pub(crate) fn configure(&self, kind: &str, name: &str) -> Result<(), ApiError> {
        self.check("configure", kind, name, Permissions::may_configure)
    }

    pub(crate) fn write(&self, kind: &str, name: &str) -> Result<(), ApiError> {
        self.check("write", kind, name, Permissions::may_write)
    }

    pub(crate) fn read(&self, kind: &str, name: &str) -> Result<(), ApiError> {
        self.check("read", kind, name, Permissions::may_read)
    }

    fn check(
        &self,
        permission: &str,
        kind: &str,
        name: &str,
        may: impl Fn(&Permissions, &str) -> bool,
    ) -> Result<(), ApiError> {
        let resource = exchange_resource(name);
        if may(&self.permissions, resource) {
            return Ok(());
        }
        Err(ApiError::forbidden(format!(
            "{permission} access to {kind} '{name}' in vhost '{}' refused for user '{}'",
            self.vhost.name(),
            self.user.name()
        )))
    }
}

/// A caller with one of the tags that open the management API.
pub(crate) struct Manager(Caller);

impl Deref for Manager {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl Manager {
    /// The virtual host, for reading what is declared there.
    ///
    /// # Errors
    /// 404, or 401 where the caller may not see it.
    pub(crate) fn look_into(&self, vhost: &str) -> Result<Arc<shunt_broker::Vhost>, ApiError> {
        if self.has_any_tag(&["administrator", "monitoring"]) {
            let found = self.0.api.broker.vhost(vhost);
            return found.ok_or_else(|| ApiError::not_found(format!("no vhost '{vhost}'")));
        }
        Ok(self.enter(vhost)?.into_inner().vhost)
    }

    /// As [`Caller::enter`], with RabbitMQ's status for a refusal.
    pub(crate) fn enter(&self, vhost: &str) -> Result<ManagerAccess, ApiError> {
        self.0.enter(vhost).map(ManagerAccess).map_err(as_management)
    }

    /// The virtual hosts that the caller sees.
    pub(crate) fn visible_vhosts(&self) -> Vec<Arc<shunt_broker::Vhost>> {
        let sees_all = self.has_any_tag(&["administrator", "monitoring"]);
        let access = &self.0.api.access;
        let mut vhosts = self.0.api.broker.vhosts();
        vhosts.retain(|vhost| {
            sees_all || access.permissions(self.name(), vhost.name().as_str()).is_some()
        });
        vhosts
    }

    /// Refuses who doesn't administer.
    pub(crate) fn administer(&self) -> Result<(), ApiError> {
        self.require(Administrator::TAGS)
    }

    /// Refuses who may not set policies.
    pub(crate) fn make_policies(&self) -> Result<(), ApiError> {
        self.require(PolicyMaker::TAGS)
    }

    /// Refuses who may not see the whole node.
    pub(crate) fn monitor(&self) -> Result<(), ApiError> {
        self.require(Monitor::TAGS)
    }

    fn require(&self, tags: &[&str]) -> Result<(), ApiError> {
        if self.has_any_tag(tags) {
            return Ok(());
        }
        Err(ApiError::not_authorised(format!(
            "user '{}' needs the tag {}",
            self.name(),
            tags.join(" or ")
        )))
    }
}

impl FromRequestParts<Arc<Api>> for Manager {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let manager = Self(Caller::from_request_parts(parts, api).await?);
        manager.require(&["management", "policymaker", "monitoring", "administrator"])?;
        Ok(manager)
    }
}

/// What some calls take beside the tag that opens the management API.
pub(crate) trait Role: Send + Sync {
    /// The tags of which one is enough.
    const TAGS: &'static [&'static str];
}

/// Who administers the node.
pub(crate) struct Administrator;

/// Who may set policies, and deploy, activate and remove routes.
pub(crate) struct PolicyMaker;

/// Who may see the whole node.
pub(crate) struct Monitor;

impl Role for Administrator {
    const TAGS: &'static [&'static str] = &["administrator"];
}

impl Role for PolicyMaker {
    const TAGS: &'static [&'static str] = &["policymaker", "administrator"];
}

impl Role for Monitor {
    const TAGS: &'static [&'static str] = &["monitoring", "administrator"];
}

/// A manager with a role; anybody else is refused before the rest of the request is looked at.
pub(crate) struct As<R>(Manager, PhantomData<R>);

impl<R> Deref for As<R> {
    type Target = Manager;

    fn deref(&self) -> &Manager {
        &self.0
    }
}

impl<R: Role> FromRequestParts<Arc<Api>> for As<R> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let manager = Manager::from_request_parts(parts, api).await?;
        manager.require(R::TAGS)?;
        Ok(Self(manager, PhantomData))
    }
}

/// As [`Access`], with RabbitMQ's status for a refusal.
pub(crate) struct ManagerAccess(Access);

impl Deref for ManagerAccess {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.0
    }
}

impl ManagerAccess {
    pub(crate) fn into_inner(self) -> Access {
        self.0
    }

    pub(crate) fn configure(&self, kind: &str, name: &str) -> Result<(), ApiError> {
        self.0.configure(kind, name).map_err(as_management)
    }

    pub(crate) fn write(&self, kind: &str, name: &str) -> Result<(), ApiError> {
        self.0.write(kind, name).map_err(as_management)
    }

    pub(crate) fn read(&self, kind: &str, name: &str) -> Result<(), ApiError> {
        self.0.read(kind, name).map_err(as_management)
    }

    pub(crate) fn bind_topic(&self, source: &str, key: &str) -> Result<(), ApiError> {
        self.0.bind_topic(source, key).map_err(as_management)
    }
}

/// RabbitMQ's management answers 401 where AMQP answers 403.
pub(crate) fn as_management(error: ApiError) -> ApiError {
    if error.status == axum::http::StatusCode::FORBIDDEN {
        return ApiError::not_authorised(error.body.reason);
    }
    error
}
