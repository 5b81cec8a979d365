//! Cases files: an exchange, its bindings, and what becomes of messages.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use shunt_http_api::{JsonMap, properties_from_json, table_from_json};
use shunt_routing::{Binding, Destination, ExchangeSpec, Header};
use shunt_types::{
    ExchangeId, ExchangeName, FieldTable, PropertiesRef, QueueId, ShardId, VhostName,
};

/// A cases file that was read.
pub(super) struct Cases {
    pub(super) arguments: FieldTable,
    pub(super) bindings: Vec<Arc<Binding>>,
    pub(super) cases: Vec<Case>,
    pub(super) refused_exchanges: Vec<Refused<FieldTable>>,
    pub(super) refused_bindings: Vec<Refused<Arc<Binding>>>,
}

/// A message and what becomes of it.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) message: CaseMessage,
    pub(super) expected: Expected,
}

/// What of a message's header a case says.
pub(super) struct CaseMessage {
    exchange: String,
    vhost: VhostName,
    routing_key: String,
    user: String,
    body_size: u64,
    properties: Vec<u8>,
}

pub(super) enum Expected {
    /// Names in alphabetical order.
    Queues(Vec<String>),
    /// A cause, and a part of the reason.
    Failure(String, String),
}

/// What a route refuses, with a part of its reason.
pub(super) struct Refused<T> {
    pub(super) name: String,
    pub(super) what: T,
    pub(super) reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    exchange: JsonMap,
    #[serde(default)]
    bindings: Vec<BindingFields>,
    cases: Vec<CaseFields>,
    #[serde(default)]
    refused_exchanges: Vec<RefusedExchange>,
    #[serde(default)]
    refused_bindings: Vec<RefusedBinding>,
}

/// Kind, name, key, arguments.
#[derive(Deserialize)]
struct BindingFields(String, String, String, JsonMap);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFields {
    name: String,
    #[serde(default)]
    header: HeaderFields,
    queues: Option<Vec<String>>,
    failure: Option<FailureFields>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderFields {
    exchange: Option<String>,
    vhost: Option<String>,
    user: Option<String>,
    #[serde(default)]
    routing_key: String,
    #[serde(default)]
    body_size: u64,
    #[serde(default)]
    properties: JsonMap,
    headers: Option<JsonMap>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FailureFields {
    cause: String,
    #[serde(default)]
    reason_contains: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusedExchange {
    name: String,
    arguments: JsonMap,
    #[serde(default)]
    reason_contains: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusedBinding {
    name: String,
    binding: BindingFields,
    #[serde(default)]
    reason_contains: String,
}

impl Cases {
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let bytes = super::read(file)?;
        Self::parse(&bytes).with_context(|| file.display().to_string())
    }

    fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let file: File = serde_json::from_slice(bytes)?;
        let bindings = (0..).zip(&file.bindings).map(|(index, fields)| binding(index, fields));
        let refused_exchanges = file.refused_exchanges.into_iter().map(|refused| {
            let what = table(&refused.arguments, "arguments")?;
            Ok(Refused { name: refused.name, what, reason: refused.reason_contains })
        });
        let refused_bindings = file.refused_bindings.into_iter().map(|refused| {
            let what = binding(u32::MAX, &refused.binding)?;
            Ok(Refused { name: refused.name, what, reason: refused.reason_contains })
        });
        Ok(Self {
            arguments: table(&file.exchange, "exchange")?,
            bindings: bindings.collect::<anyhow::Result<_>>()?,
            cases: file.cases.into_iter().map(Case::new).collect::<anyhow::Result<_>>()?,
            refused_exchanges: refused_exchanges.collect::<anyhow::Result<_>>()?,
            refused_bindings: refused_bindings.collect::<anyhow::Result<_>>()?,
        })
    }

    /// The exchange of the file with these arguments.
    pub(super) fn exchange(arguments: &FieldTable) -> anyhow::Result<ExchangeSpec> {
        Ok(ExchangeSpec {
            vhost: VhostName::new("/")?,
            name: ExchangeName::new("cases")?,
            arguments: Arc::new(arguments.clone()),
        })
    }
}

impl Case {
    fn new(fields: CaseFields) -> anyhow::Result<Self> {
        let name = fields.name;
        let expected = match (fields.queues, fields.failure) {
            (Some(mut queues), None) => {
                queues.sort();
                Expected::Queues(queues)
            }
            (None, Some(failure)) => Expected::Failure(failure.cause, failure.reason_contains),
            _ => bail!("case '{name}' needs either 'queues' or 'failure'"),
        };
        let header = fields.header;
        let properties = properties_from_json(&header.properties);
        let mut properties = properties.map_err(|error| anyhow!("case '{name}': {error}"))?;
        if let Some(headers) = &header.headers {
            properties.headers = Some(table(headers, "headers")?);
        }
        let mut encoded = Vec::new();
        properties.encode(&mut encoded);
        // Checked once, here.
        PropertiesRef::decode(&encoded).with_context(|| format!("case '{name}'"))?;
        let message = CaseMessage {
            exchange: header.exchange.unwrap_or_else(|| "cases".to_owned()),
            vhost: VhostName::new(header.vhost.as_deref().unwrap_or("/"))?,
            routing_key: header.routing_key,
            user: header.user.unwrap_or_else(|| "guest".to_owned()),
            body_size: header.body_size,
            properties: encoded,
        };
        Ok(Self { name, message, expected })
    }
}

impl CaseMessage {
    /// Lends the header to `call`.
    pub(super) fn with<R>(&self, call: impl FnOnce(&Header<'_>) -> R) -> R {
        call(&Header {
            vhost: &self.vhost,
            exchange: &self.exchange,
            routing_keys: &[&self.routing_key],
            properties: PropertiesRef::decode(&self.properties).unwrap_or(PropertiesRef::EMPTY),
            body_size: self.body_size,
            user: &self.user,
            now_ms: 0,
            random: 0,
        })
    }
}

fn table(object: &JsonMap, what: &str) -> anyhow::Result<FieldTable> {
    table_from_json(object, what).map_err(|error| anyhow!("{error}"))
}

fn binding(index: u32, fields: &BindingFields) -> anyhow::Result<Arc<Binding>> {
    let BindingFields(kind, name, key, arguments) = fields;
    let destination = match kind.as_str() {
        // Nothing is delivered: of an id only its kind counts.
        "queue" => Destination::Queue(QueueId::new(ShardId(0), index, 0)),
        "exchange" => Destination::Exchange(ExchangeId(index.into())),
        other => bail!("a binding is to a 'queue' or an 'exchange', not to '{other}'"),
    };
    Ok(Arc::new(Binding {
        destination,
        destination_name: name.as_str().into(),
        key: key.as_str().into(),
        arguments: (&table(arguments, "arguments")?).into(),
        sequence: 0,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_wrong_is_told_where() {
        let error = |text: &str| {
            let error = Cases::parse(text.as_bytes()).err().map(|error| format!("{error:#}"));
            error.unwrap_or_default()
        };
        assert!(error(r#"{"cases":[{"name":"a"}]}"#).contains("case 'a' needs either 'queues'"));
        assert!(error(r#"{"cases":[],"binding":[]}"#).contains("unknown field `binding`"));
        let bound = r#"{"bindings":[["queues","q","",{}]],"cases":[]}"#;
        assert!(error(bound).contains("not to 'queues'"));
        let property = r#"{"cases":[{"name":"a","queues":[],"header":{"properties":{"x":1}}}]}"#;
        assert!(error(property).contains("case 'a': unknown property 'x'"));
        assert_eq!(error(r#"{"cases":[{"name":"a","queues":["q"]}]}"#), "");
    }
}
