//! The exchange types that a node knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::exchange_type::{ExchangeSpec, ExchangeType, Matcher};
use crate::native;

/// Exchange types by name.
#[derive(Clone)]
pub struct ExchangeTypes(BTreeMap<&'static str, Arc<dyn ExchangeType>>);

impl ExchangeTypes {
    /// The native types.
    pub fn native() -> Self {
        let mut types = Self(BTreeMap::new());
        types.register(Arc::new(native::Direct));
        types.register(Arc::new(native::Fanout));
        types.register(Arc::new(native::Topic));
        types.register(Arc::new(native::Headers));
        types.register(Arc::new(native::ConsistentHash));
        types.register(Arc::new(native::ModulusHash));
        types.register(Arc::new(native::Random));
        types.register(Arc::new(native::LocalRandom));
        types.register(Arc::new(native::ReverseTopic));
        types.register(Arc::new(native::RecentHistory));
        types.register(Arc::new(native::LastValue));
        types.register(Arc::new(native::MessageDeduplication));
        types.register(Arc::new(native::DelayedMessage));
        types
    }

    /// Adds a type, or replaces the one of its name.
    pub fn register(&mut self, kind: Arc<dyn ExchangeType>) {
        self.0.insert(kind.name(), kind);
    }

    /// The type of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn ExchangeType>> {
        self.0.get(name)
    }

    /// Checks an exchange of that type, and makes the matcher of its bindings.
    ///
    /// # Errors
    /// The reason, for `PRECONDITION_FAILED` (406).
    pub fn create(&self, kind: &str, exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        let kind = self.get(kind).ok_or_else(|| format!("unknown exchange type '{kind}'"))?;
        kind.create_among(exchange, self)
    }

    /// The names in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}
