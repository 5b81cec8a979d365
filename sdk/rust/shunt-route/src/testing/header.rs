//! The header of a message that a test publishes.

use std::string::String;
use std::vec::Vec;

use super::data::Data;

/// The header of a message: its fields, and the headers table among them.
#[derive(Clone, Debug)]
pub struct Header {
    fields: Vec<(String, Data)>,
    headers: Vec<(String, Data)>,
}

impl Default for Header {
    fn default() -> Self {
        Self::new()
    }
}

impl Header {
    /// The header of an empty message with an empty routing key, and what else every message
    /// has: its exchange, its virtual host and its user.
    pub fn new() -> Self {
        let empty = Self { fields: Vec::new(), headers: Vec::new() };
        empty
            .field("exchange", "tested")
            .field("vhost", "/")
            .field("user", "guest")
            .field("body_size", 0)
            .routing_key("")
    }

    /// Sets the routing key.
    pub fn routing_key(self, key: &str) -> Self {
        self.field("routing_key", key)
    }

    /// Sets a field by its name in the contract: `exchange`, `user`, `message_id` and so on,
    /// but none of the headers.
    pub fn field(mut self, name: &str, value: impl Into<Data>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Adds a header to the headers table.
    pub fn header(mut self, name: &str, value: impl Into<Data>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The value of a field as the host finds it.
    pub(super) fn get(&self, field: &str) -> Data {
        let (pairs, name) = match field.strip_prefix("headers.") {
            Some(name) => (&self.headers, name),
            None if field == "headers" => {
                return match self.headers.is_empty() {
                    true => Data::Absent,
                    false => Data::Table(self.headers.clone()),
                };
            }
            None => (&self.fields, field),
        };
        let found = pairs.iter().rev().find(|(other, _)| other == name);
        found.map_or(Data::Absent, |(_, value)| value.clone())
    }
}
