//! Who asks for a change.

use super::ConnectionId;

/// Who asks for a change: for what only an exclusive queue's connection may do, and for the event
/// exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor<'a> {
    /// The user.
    pub user: &'a str,
    /// The user's connection; over HTTP there is none.
    pub connection: Option<ConnectionId>,
}

impl Actor<'static> {
    /// The node itself, by RabbitMQ's name for it.
    pub const NODE: Self = Self::user("rmq-internal");
}

impl<'a> Actor<'a> {
    /// A user without a connection.
    pub const fn user(user: &'a str) -> Self {
        Self { user, connection: None }
    }
}
