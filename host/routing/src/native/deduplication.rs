//! `x-message-deduplication`: to every destination, as `fanout`, but for a message whose header
//! `x-deduplication-header` has the value of an earlier one.
//!
//! The values seen are kept in memory, up to `x-cache-size` of them and each for its time to live.
//! A value counts as seen when its message is matched, so that of two publishers that send it at
//! the same time only one gets through.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use shunt_types::limits::DEDUPLICATION_BYTES_MAX;
use shunt_types::{PropertiesRef, ValueRef};
use smallvec::SmallVec;

use super::arguments;
use super::comparable::comparable;
use super::targets::Targets;
use crate::exchange_type::{
    Binding, Destination, ExchangeSpec, ExchangeType, Header, Matcher, Topology,
};
use crate::failure::Failure;

/// The exchange type `x-message-deduplication`.
pub(crate) struct MessageDeduplication;

impl ExchangeType for MessageDeduplication {
    fn name(&self) -> &'static str {
        "x-message-deduplication"
    }

    fn create(&self, exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        let size = arguments::number(exchange, "x-cache-size", 1..=i64::MAX)?
            .ok_or("missing arg 'x-cache-size', must be an integer from 1 on")?;
        let ttl_ms = arguments::number(exchange, "x-cache-ttl", 1..=i64::MAX)?;
        match arguments::text(exchange, "x-cache-persistence")? {
            None | Some("memory" | "disk") => {}
            Some(other) => {
                return Err(format!(
                    "invalid arg 'x-cache-persistence': '{other}', must be 'memory' or 'disk'"
                ));
            }
        }
        let cache = Cache { size: size.try_into().unwrap_or(usize::MAX), ..Cache::default() };
        Ok(Box::new(DeduplicationMatcher {
            targets: Targets::default(),
            ttl_ms,
            cache: Arc::new(Mutex::new(cache)),
        }))
    }

    fn fixed_arguments(&self) -> &'static [&'static str] {
        &["x-cache-size", "x-cache-ttl", "x-cache-persistence"]
    }
}

#[derive(Clone)]
struct DeduplicationMatcher {
    targets: Targets,
    ttl_ms: Option<u64>,
    cache: Arc<Mutex<Cache>>,
}

impl Matcher for DeduplicationMatcher {
    fn bind(&mut self, binding: &Arc<Binding>) {
        self.targets.add(binding.destination);
    }

    fn unbind(&mut self, binding: &Binding) {
        self.targets.remove(binding.destination);
    }

    fn matches(
        &self,
        header: &Header<'_>,
        _topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        if let Some(value) = deduplication_value(header.properties) {
            let own_ttl = header.properties.header("x-cache-ttl").and_then(milliseconds);
            let ttl = own_ttl.or(self.ttl_ms);
            let expires_at = ttl.map_or(u64::MAX, |ttl| header.now_ms.saturating_add(ttl));
            if !self.cache.lock().insert(&value, header.now_ms, expires_at) {
                return Ok(());
            }
        }
        self.targets.append_to(destinations);
        Ok(())
    }

    fn boxed_clone(&self) -> Box<dyn Matcher> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The value of a message's header `x-deduplication-header`, in a form in which equal values are
/// equal bytes.
pub fn deduplication_value(properties: PropertiesRef<'_>) -> Option<SmallVec<[u8; 64]>> {
    if properties.is_empty() {
        return None;
    }
    properties.header("x-deduplication-header").map(comparable)
}

/// The header `x-cache-ttl`: a number, or a text of one; anything else is as if it were not
/// there, and a time before now is over at once.
fn milliseconds(value: ValueRef<'_>) -> Option<u64> {
    let number = value.as_integer().or_else(|| value.as_text()?.parse().ok())?;
    Some(number.max(0) as u64)
}

/// The values seen.
#[derive(Default)]
struct Cache {
    size: usize,
    entries: HashMap<Arc<[u8]>, Seen>,
    /// By when they came: who goes first when there are too many.
    order: BTreeMap<u64, Arc<[u8]>>,
    bytes: usize,
    inserted: u64,
}

#[derive(Clone, Copy)]
struct Seen {
    number: u64,
    /// Unix milliseconds; `u64::MAX` for never.
    expires_at_ms: u64,
}

impl Cache {
    /// Notes a value; whether it was not there, or its time was over.
    fn insert(&mut self, value: &[u8], now_ms: u64, expires_at_ms: u64) -> bool {
        match self.entries.get(value) {
            Some(seen) if seen.expires_at_ms > now_ms => return false,
            Some(&seen) => self.remove(seen.number),
            None => {}
        }
        // Usually all have the same time to live, and the oldest expires first.
        while self.is_full(value) || self.oldest_is_over(now_ms) {
            let Some((&number, _)) = self.order.first_key_value() else { break };
            self.remove(number);
        }
        let key: Arc<[u8]> = value.into();
        self.inserted += 1;
        self.bytes += cost(&key);
        self.order.insert(self.inserted, key.clone());
        self.entries.insert(key, Seen { number: self.inserted, expires_at_ms });
        true
    }

    fn is_full(&self, value: &[u8]) -> bool {
        self.entries.len() >= self.size || self.bytes + cost(value) > DEDUPLICATION_BYTES_MAX
    }

    fn oldest_is_over(&self, now_ms: u64) -> bool {
        let oldest = self.order.values().next().and_then(|key| self.entries.get(key));
        oldest.is_some_and(|seen| seen.expires_at_ms <= now_ms)
    }

    fn remove(&mut self, number: u64) {
        if let Some(key) = self.order.remove(&number) {
            self.bytes -= cost(&key);
            self.entries.remove(&key);
        }
    }
}

/// Bytes of memory that a value takes, about.
fn cost(value: &[u8]) -> usize {
    const ENTRY: usize = 128;
    ENTRY + value.len()
}

#[cfg(test)]
#[path = "deduplication_tests.rs"]
mod tests;
