//! A user: a name, a password's hash, tags.

use crate::PasswordHash;

/// The tag of those who may do everything in the management API and deploy any route.
pub const ADMINISTRATOR: &str = "administrator";

/// One who may log in. Never changes: a change makes another one under the same name, and
/// connections that hold this one go on with it, as in RabbitMQ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: String,
    /// None for a user who can't log in by password.
    password: Option<PasswordHash>,
    tags: Vec<String>,
}

impl User {
    pub(crate) fn new(name: &str, password: Option<PasswordHash>, tags: &[String]) -> Self {
        Self { name: name.to_owned(), password, tags: tags.to_vec() }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hash, for exports.
    pub fn password(&self) -> Option<&PasswordHash> {
        self.password.as_ref()
    }

    /// What the user may do in the management API, in the order given.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// Whether the user carries the tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }

    /// Whether the user is an administrator.
    pub fn is_administrator(&self) -> bool {
        self.has_tag(ADMINISTRATOR)
    }
}
