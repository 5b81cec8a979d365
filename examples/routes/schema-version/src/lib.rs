//! Sends each version of a schema to its consumers: the recipe's README says how to use it.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod versions;

use alloc::string::String;
use alloc::vec::Vec;

use shunt_route::{
    Binding, BindingIndex, Bindings, Destinations, Exchange, Fields, Refusal, Route, Value, route,
};
use versions::Versions;

/// What a message is routed by.
#[derive(Fields)]
pub struct Header<'m> {
    #[field("headers.schema")]
    schema: Option<&'m str>,
    #[field("headers.schema-version")]
    version: Value<'m>,
    /// Names the schema where the header does not.
    r#type: Option<&'m str>,
}

/// Which binding takes which versions, and which takes the rest.
pub struct SchemaVersion {
    /// For messages that say none.
    default_version: Option<u32>,
    consumers: Vec<Consumer>,
    quarantine: Vec<BindingIndex>,
}

struct Consumer {
    /// Empty for every schema.
    schema: String,
    versions: Versions,
    index: BindingIndex,
}

#[route(name = "schema-version", version = "1.0.0")]
impl Route for SchemaVersion {
    type Header<'m> = Header<'m>;

    fn configure(exchange: &Exchange<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            default_version: exchange.arguments.read("x-default-version")?,
            consumers: Vec::new(),
            quarantine: Vec::new(),
        })
    }

    fn check_binding(&self, binding: &Binding<'_>) -> Result<(), Refusal> {
        consumer(binding).map(drop)
    }

    fn bindings(&mut self, bindings: &Bindings<'_>) -> Result<(), Refusal> {
        self.consumers.clear();
        self.quarantine.clear();
        for binding in bindings.iter() {
            match consumer(&binding)? {
                Some(consumer) => self.consumers.push(consumer),
                None => self.quarantine.push(binding.index),
            }
        }
        Ok(())
    }

    fn route(&self, header: Header<'_>, destinations: &mut Destinations) -> Result<(), Refusal> {
        let schema = header.schema.or(header.r#type).unwrap_or_default();
        if let Some(version) = self.version(header.version) {
            for consumer in &self.consumers {
                if consumer.takes(schema, version) {
                    destinations.add(consumer.index);
                }
            }
        }
        if destinations.is_empty() {
            self.quarantine.iter().for_each(|index| destinations.add(*index));
        }
        if destinations.is_empty() {
            let reason = "no binding takes this version, and there is no quarantine: schema ";
            return Err(Refusal::of(&[reason, schema]));
        }
        Ok(())
    }
}

impl SchemaVersion {
    /// A version is a number, or a string of digits. What is neither is no known version.
    fn version(&self, version: Value<'_>) -> Option<u32> {
        match version {
            Value::Absent => self.default_version,
            Value::Integer(version) => version.try_into().ok(),
            Value::Text(version) => version.parse().ok(),
            _ => None,
        }
    }
}

impl Consumer {
    fn takes(&self, schema: &str, version: u32) -> bool {
        (self.schema.is_empty() || self.schema == schema) && self.versions.contains(version)
    }
}

/// What a binding takes, `None` for a quarantine.
fn consumer(binding: &Binding<'_>) -> Result<Option<Consumer>, Refusal> {
    let quarantine: Option<bool> = binding.arguments.read("quarantine")?;
    let versions = binding.arguments.get("versions");
    match (quarantine == Some(true), versions.is_absent()) {
        (true, true) => Ok(None),
        (true, false) => Err("a quarantine takes no versions of its own".into()),
        (false, true) => Err("a binding needs the argument versions, or quarantine".into()),
        (false, false) => Ok(Some(Consumer {
            schema: binding.key.into(),
            versions: Versions::parse(versions)?,
            index: binding.index,
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::SchemaVersion;
    use shunt_route::testing::{Declared, Header};

    #[test]
    fn cases() {
        check_cases::check_cases::<SchemaVersion>(include_str!("../cases.json"));
    }

    #[test]
    fn description() {
        check_cases::check_description::<SchemaVersion>(include_str!("../route.toml"));
    }

    #[test]
    fn without_quarantine_an_unknown_version_is_refused() {
        let mut exchange = Declared::<SchemaVersion>::new([]).expect("declared");
        let versions = [("versions", 1.into())];
        exchange.bind_queue("v1", "order", versions).expect("bound");
        let header = Header::new().header("schema", "order").header("schema-version", 2);
        let reason = exchange.route(&header).expect_err("refused");
        assert!(reason.contains("no quarantine: schema order"), "{reason}");
    }
}
