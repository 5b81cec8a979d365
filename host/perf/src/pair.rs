//! `NAME=VALUE` on the command line, and what it becomes: an argument, a property or a header.

use std::str::FromStr;

use shunt_types::limits::SHORT_STRING_MAX;
use shunt_types::{FieldTable, Properties, Value};

/// `NAME=VALUE`. A value is a truth value or an integer if it looks like one, else text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pair {
    name: String,
    text: String,
}

impl Pair {
    fn value(&self) -> Value {
        match (self.text.as_str(), self.text.parse::<i64>()) {
            ("true", _) => Value::Boolean(true),
            ("false", _) => Value::Boolean(false),
            (_, Ok(number)) => Value::I64(number),
            (text, Err(_)) => Value::from(text),
        }
    }

    /// The entries of a field table.
    pub(crate) fn table(pairs: &[Self]) -> FieldTable {
        pairs.iter().map(|pair| (pair.name.clone(), pair.value())).collect()
    }

    /// Message properties; a name that none has becomes a header.
    pub(crate) fn properties(pairs: &[Self]) -> Result<Properties, String> {
        let mut properties = Properties::default();
        let mut headers = FieldTable::new();
        for pair in pairs {
            let text = || Some(pair.text.clone());
            let octet = || {
                let octet = pair.text.parse().map(Some);
                octet.map_err(|_| format!("{} is a number from 0 to 255", pair.name))
            };
            match pair.name.replace('_', "-").as_str() {
                "content-type" => properties.content_type = text(),
                "content-encoding" => properties.content_encoding = text(),
                "delivery-mode" => properties.delivery_mode = octet()?,
                "priority" => properties.priority = octet()?,
                "correlation-id" => properties.correlation_id = text(),
                "reply-to" => properties.reply_to = text(),
                "expiration" => properties.expiration = text(),
                "message-id" => properties.message_id = text(),
                "timestamp" => {
                    let seconds = pair.text.parse().map(Some);
                    properties.timestamp =
                        seconds.map_err(|_| "timestamp is a number of seconds".to_owned())?;
                }
                "type" => properties.kind = text(),
                "user-id" => properties.user_id = text(),
                "app-id" => properties.app_id = text(),
                _ => headers.insert(pair.name.clone(), pair.value()),
            }
        }
        properties.headers = (!headers.is_empty()).then_some(headers);
        Ok(properties)
    }
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("no `=` in it")?;
        if name.is_empty() || name.len() > SHORT_STRING_MAX {
            return Err(format!("a name has 1 to {SHORT_STRING_MAX} octets"));
        }
        Ok(Self { name: name.to_owned(), text: value.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(line: &str) -> Vec<Pair> {
        line.split_whitespace().map(|word| word.parse().unwrap()).collect()
    }

    #[test]
    fn a_value_is_what_it_looks_like() {
        let table = Pair::table(&pairs("a=true b=-3 c=quorum d= e=1=2"));
        let check = |name, expected: Value| assert_eq!(table.get(name), Some(&expected));
        check("a", Value::Boolean(true));
        check("b", Value::I64(-3));
        check("c", Value::from("quorum"));
        check("d", Value::from(""));
        check("e", Value::from("1=2"));
        assert!("x".parse::<Pair>().is_err());
        assert!("=x".parse::<Pair>().is_err());
    }

    #[test]
    fn what_no_property_is_called_is_a_header() {
        let properties = Pair::properties(&pairs("priority=5 contentType=x app_id=me")).unwrap();
        assert_eq!(properties.priority, Some(5));
        assert_eq!(properties.app_id.as_deref(), Some("me"));
        let headers = properties.headers.unwrap();
        assert_eq!(headers.get("contentType"), Some(&Value::from("x")));
        assert!(Pair::properties(&pairs("priority=256")).is_err());
    }
}
