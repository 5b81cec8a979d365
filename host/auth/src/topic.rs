//! What a user may do with which routing keys of an exchange (RabbitMQ's topic permissions).

use std::collections::BTreeMap;
use std::sync::Arc;

use shunt_types::{Message, ValueRef};

use crate::PatternError;
use crate::permissions::Pattern;

/// Patterns over the routing keys of one topic exchange. In them `{username}` and `{vhost}` stand
/// for the user's name and the virtual host's, taken literally.
#[derive(Debug)]
pub struct TopicPermission {
    write: Pattern,
    read: Pattern,
}

impl TopicPermission {
    pub(crate) fn new(user: &str, vhost: &str, write: &str, read: &str) -> Self {
        let pattern = |text: &str| Pattern::expanded(text, &expanded(text, user, vhost));
        Self { write: pattern(write), read: pattern(read) }
    }

    /// Whether the text may be such a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_pattern(text: &str) -> Result<(), PatternError> {
        crate::Permissions::check_pattern(&expanded(text, "user", "vhost"))
    }

    /// May publish with the routing key.
    pub fn may_write(&self, routing_key: &str) -> bool {
        self.write.matches(routing_key)
    }

    /// The first routing key of a message, those of its headers `CC` and `BCC` included, that it
    /// may not be published with.
    pub fn refused_key<'a>(&self, message: &'a Message) -> Option<&'a str> {
        if !self.may_write(message.routing_key()) {
            return Some(message.routing_key());
        }
        ["CC", "BCC"].into_iter().find_map(|name| {
            let Some(ValueRef::Array(keys)) = message.properties().header(name) else {
                return None;
            };
            keys.iter().filter_map(|key| key.as_text()).find(|key| !self.may_write(key))
        })
    }

    /// May bind from the exchange with the key.
    pub fn may_read(&self, routing_key: &str) -> bool {
        self.read.matches(routing_key)
    }

    /// The pattern for write, as it was given.
    pub fn write(&self) -> &str {
        self.write.text()
    }

    /// The pattern for read, as it was given.
    pub fn read(&self) -> &str {
        self.read.text()
    }
}

fn expanded(text: &str, user: &str, vhost: &str) -> String {
    text.replace("{username}", &regex::escape(user))
        .replace("{vhost}", &regex::escape(vhost))
        // Clients of AMQP have none; RabbitMQ leaves the text as it is.
        .replace("{client_id}", "\\{client_id\\}")
}

/// A user's topic permissions in one virtual host, by exchange. An exchange that has none is not
/// restricted.
#[derive(Clone, Debug, Default)]
pub struct TopicPermissions(pub(crate) BTreeMap<String, Arc<TopicPermission>>);

impl TopicPermissions {
    /// What holds for an exchange of the type `topic`.
    pub fn of_exchange(&self, exchange: &str) -> Option<&Arc<TopicPermission>> {
        self.0.get(exchange)
    }
}

/// A line of [`AccessControl::list_topic_permissions`](crate::AccessControl).
#[derive(Clone, Debug)]
pub struct TopicPermissionEntry {
    /// The user's name.
    pub user: String,
    /// The virtual host.
    pub vhost: String,
    /// The exchange.
    pub exchange: String,
    /// The patterns.
    pub permission: Arc<TopicPermission>,
}

#[cfg(test)]
mod tests {
    use shunt_types::{Properties, Value};

    use super::*;

    #[test]
    fn every_routing_key_of_a_message_counts() {
        let permission = TopicPermission::new("u", "/", "^a", "");
        let refused = |key: &str, copies: &[&str]| {
            let copies = Value::Array(copies.iter().map(|key| Value::from(*key)).collect());
            let headers = Some([("BCC".to_owned(), copies)].into_iter().collect());
            let properties = Properties { headers, ..Properties::default() };
            let message = Message::build("x", key, &properties, b"").unwrap();
            permission.refused_key(&message).map(str::to_owned)
        };
        assert_eq!(refused("a", &["a.b"]), None);
        assert_eq!(refused("b", &["a.b"]).as_deref(), Some("b"));
        assert_eq!(refused("a", &["a.b", "c"]).as_deref(), Some("c"));
    }

    #[test]
    fn names_in_a_pattern_are_the_users_and_taken_literally() {
        let permission =
            TopicPermission::new("a.b", "/v", "^{username}\\.", "^{vhost}-{client_id}$");
        assert!(permission.may_write("a.b.c") && !permission.may_write("axb.c"));
        assert!(permission.may_read("/v-{client_id}") && !permission.may_read("/v-"));
        assert_eq!(permission.write(), "^{username}\\.");
        assert!(TopicPermission::check_pattern("^{username}$").is_ok());
        assert!(TopicPermission::check_pattern("(").is_err());
    }
}
