//! The map behind the capability `state`.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::limits::STATE_ENTRY_BYTES;

/// A small map that the broker keeps for an exchange of a route: all instances on all threads
/// share it, and it stays when an instance is replaced or another version decides. It is gone
/// with the exchange, and with the process.
#[derive(Default)]
pub(crate) struct StateMap(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    /// Guests choose the keys: a hash with a secret keeps them from choosing collisions.
    values: HashMap<Box<[u8]>, Arc<[u8]>>,
    bytes: usize,
}

impl StateMap {
    /// The value of a key. The lock is held for the look-up alone, not while it is copied.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        self.0.lock().values.get(key).cloned()
    }

    /// Sets a key; an empty value removes it. Answers `false`, and changes nothing, where the map
    /// would have more than `limit` bytes.
    pub(crate) fn put(&self, key: &[u8], value: &[u8], limit: usize) -> bool {
        let mut entries = self.0.lock();
        let before = entries.values.get(key).map_or(0, |old| cost(key, old));
        if value.is_empty() {
            entries.values.remove(key);
            entries.bytes -= before;
            return true;
        }
        let bytes = (entries.bytes - before).saturating_add(cost(key, value));
        if bytes > limit {
            return false;
        }
        entries.bytes = bytes;
        entries.values.insert(key.into(), value.into());
        true
    }
}

/// What an entry counts: small ones cost the host more than their bytes.
fn cost(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + STATE_ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_counts_what_is_there() {
        let state = StateMap::default();
        let limit = 2 * (STATE_ENTRY_BYTES + 4);
        assert!(state.put(b"a", b"123", limit));
        assert!(state.put(b"b", b"123", limit));
        assert!(!state.put(b"c", b"1", limit));
        assert!(!state.put(b"a", b"1234", limit));
        assert_eq!(state.get(b"a").as_deref(), Some(&b"123"[..]));
        assert!(state.put(b"a", b"9", limit));
        assert!(state.put(b"a", b"", limit));
        assert!(state.put(b"nobody", b"", limit));
        assert_eq!(state.get(b"a"), None);
        assert!(state.put(b"c", b"123", limit));
        assert!(state.put(b"b", b"", limit) && state.put(b"c", b"", limit));
        assert_eq!(state.0.lock().bytes, 0);
    }
}
