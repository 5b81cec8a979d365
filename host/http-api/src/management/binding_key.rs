//! The name of a binding between two places: its key, and a hash of its arguments.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use shunt_broker::metadata::BindingView;
use shunt_types::FieldTable;

/// Bytes of the hash that stand in the name.
const HASH_BYTES: usize = 16;

/// The `properties_key` of a binding: `~` without key and arguments, else the key, and after a
/// `~` the hash of the arguments where there are any (RabbitMQ). The key is quoted, so that the
/// name can stand in a path.
pub(super) fn properties_key(binding: &BindingView) -> String {
    if binding.key.is_empty() && binding.arguments.is_empty() {
        return "~".to_owned();
    }
    let mut name = quoted(&binding.key);
    if !binding.arguments.is_empty() {
        name.push('~');
        name.push_str(&hash(&binding.arguments.to_table()));
    }
    name
}

/// Equal for arguments that are the same, in whatever order they were given.
fn hash(arguments: &FieldTable) -> String {
    let mut fields: Vec<Vec<u8>> = arguments
        .iter()
        .map(|(name, value)| {
            let one = [(name.to_owned(), value.clone())].into_iter().collect::<FieldTable>();
            let mut bytes = Vec::new();
            one.encode(&mut bytes);
            bytes
        })
        .collect();
    fields.sort();
    let digest = Sha256::digest(fields.concat());
    URL_SAFE_NO_PAD.encode(&digest[..HASH_BYTES])
}

/// Everything but unreserved characters percent-encoded; `~` too, since it parts key and hash,
/// and a blank is `+`.
fn quoted(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                text.push(char::from(byte));
            }
            b' ' => text.push('+'),
            // Writing to a string can't fail.
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use shunt_broker::metadata::DestinationName;
    use shunt_types::{ExchangeName, QueueName, Value};

    use super::*;

    fn key(key: &str, arguments: &[(&str, i64)]) -> String {
        let arguments = arguments.iter().map(|(name, n)| ((*name).to_owned(), Value::I64(*n)));
        properties_key(&BindingView {
            source: ExchangeName::new("x").unwrap(),
            destination: DestinationName::Queue(QueueName::new("q").unwrap()),
            key: key.into(),
            arguments: (&arguments.collect::<FieldTable>()).into(),
        })
    }

    #[test]
    fn names_are_as_in_rabbitmq() {
        assert_eq!(key("", &[]), "~");
        assert_eq!(key("a.b", &[]), "a.b");
        assert_eq!(key("a b~#/é", &[]), "a+b%7E%23%2F%C3%A9");
        let hashed = key("k", &[("a", 1), ("b", 2)]);
        assert!(hashed.starts_with("k~") && hashed.len() == 24, "{hashed}");
        assert_eq!(hashed, key("k", &[("b", 2), ("a", 1)]));
        assert_ne!(hashed, key("k", &[("a", 1), ("b", 3)]));
        assert!(key("", &[("a", 1)]).starts_with('~'));
    }
}
