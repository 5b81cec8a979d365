//! What the tests of this crate share: bindings, messages and a virtual host without names.

use std::sync::Arc;

use shunt_types::{
    ExchangeId, ExchangeName, FieldTable, Properties, PropertiesRef, QueueId, ShardId, Value,
    VhostName,
};

use crate::exchange_type::{
    Binding, Destination, ExchangeSpec, ExchangeType, Header, Matcher, Topology,
};

pub(crate) fn queue(n: u32) -> Destination {
    Destination::Queue(queue_id(n))
}

pub(crate) fn queue_id(n: u32) -> QueueId {
    QueueId::new(ShardId(0), n, 0)
}

pub(crate) fn table(fields: &[(&str, Value)]) -> FieldTable {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

pub(crate) fn binding(destination: Destination, key: &str) -> Arc<Binding> {
    binding_with(destination, key, &[])
}

pub(crate) fn binding_with(
    destination: Destination,
    key: &str,
    arguments: &[(&str, Value)],
) -> Arc<Binding> {
    let name = match destination {
        Destination::Queue(id) => format!("q{}", id.slot()),
        Destination::Exchange(id) => format!("x{}", id.0),
    };
    Arc::new(Binding {
        destination,
        destination_name: name.into(),
        key: key.into(),
        arguments: (&table(arguments)).into(),
        sequence: 0,
    })
}

pub(crate) fn create(
    kind: &dyn ExchangeType,
    arguments: &[(&str, Value)],
) -> Result<Box<dyn Matcher>, String> {
    kind.create(&ExchangeSpec {
        vhost: VhostName::new("/").unwrap(),
        name: ExchangeName::new("x").unwrap(),
        arguments: Arc::new(table(arguments)),
    })
}

pub(crate) fn bind_all(kind: &dyn ExchangeType, bindings: &[Arc<Binding>]) -> Box<dyn Matcher> {
    let mut matcher = create(kind, &[]).unwrap();
    for binding in bindings {
        matcher.validate_binding(binding).unwrap();
        matcher.bind(binding);
    }
    matcher
}

/// A message as a publisher sends it.
pub(crate) struct Publish<'a> {
    vhost: VhostName,
    keys: Vec<&'a str>,
    properties: Vec<u8>,
    pub(crate) now_ms: u64,
    pub(crate) random: u64,
}

impl<'a> Publish<'a> {
    pub(crate) fn to(keys: &[&'a str]) -> Self {
        Self::with(keys, &Properties::default())
    }

    pub(crate) fn headers(headers: FieldTable) -> Self {
        Self::with(&["k"], &Properties { headers: Some(headers), ..Properties::default() })
    }

    pub(crate) fn with(keys: &[&'a str], properties: &Properties) -> Self {
        let mut bytes = Vec::new();
        properties.encode(&mut bytes);
        let vhost = VhostName::new("/").unwrap();
        Self { vhost, keys: keys.to_vec(), properties: bytes, now_ms: 0, random: 0 }
    }

    pub(crate) fn header(&self) -> Header<'_> {
        Header {
            vhost: &self.vhost,
            exchange: "x",
            routing_keys: &self.keys,
            properties: PropertiesRef::decode(&self.properties).unwrap(),
            body_size: 0,
            user: "guest",
            now_ms: self.now_ms,
            random: self.random,
        }
    }
}

/// The slots of the queues that a message matches, each once, in order.
pub(crate) fn destinations(matcher: &dyn Matcher, publish: &Publish<'_>) -> Vec<u32> {
    let mut found: Vec<_> = raw_destinations(matcher, publish)
        .into_iter()
        .map(|destination| match destination {
            Destination::Queue(id) => id.slot(),
            Destination::Exchange(id) => panic!("exchange {id:?} was not bound"),
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

pub(crate) fn raw_destinations(matcher: &dyn Matcher, publish: &Publish<'_>) -> Vec<Destination> {
    let mut found = Vec::new();
    matcher.matches(&publish.header(), &Nowhere, &mut found).unwrap();
    found
}

/// A virtual host without queues and exchanges.
pub(crate) struct Nowhere;

impl Topology for Nowhere {
    fn queue(&self, _name: &str) -> Option<QueueId> {
        None
    }

    fn exchange(&self, _id: ExchangeId) -> Option<&crate::Exchange> {
        None
    }

    fn exchange_named(&self, _name: &str) -> Option<&crate::Exchange> {
        None
    }
}
