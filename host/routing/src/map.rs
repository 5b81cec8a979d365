//! A persistent hash map: cloning is O(1), and a change copies the path to what it changes and
//! shares the rest.
//!
//! Routing snapshots are immutable and replaced on every bind. With a map that copies, a million
//! bindings made one at a time would cost a million copies of up to a million entries.
//!
//! The tree: 16-way branches chosen by four bits of the hash a level, and under them leaves of at
//! most [`LEAF_MAX`] entries in one allocation, so that a small map is one block and a large one
//! is a few dependent loads deep. A leaf is split when it overflows; where the hash has no bits
//! left it grows instead, which is how collisions are held.

use std::array;
use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::iter;
use std::slice;
use std::sync::{Arc, LazyLock};

use foldhash::fast::RandomState;
use smallvec::{SmallVec, smallvec};

/// Bits of the hash that one branch looks at.
const BRANCH_BITS: u32 = 4;
const BRANCH_SLOTS: usize = 1 << BRANCH_BITS;
/// Levels of branches before the hash is used up.
const DEPTH_MAX: u32 = u32::BITS / BRANCH_BITS;
/// Entries of a leaf before it is split; few, since a lookup goes through them in order and a
/// change copies them.
const LEAF_MAX: usize = 8;
/// Entries under a branch at which it becomes a leaf again. Lower than [`LEAF_MAX`], so that
/// insert and remove in turn don't build and tear down a branch each time.
const LEAF_MERGE: usize = LEAF_MAX / 2;

/// Keys come from clients: without a seed they could choose keys that collide. One for the
/// process, so that a word hashed once can be looked up in many maps.
static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// A key's hash in every [`Map`] of this process.
pub(crate) fn hash<Q: Hash + ?Sized>(key: &Q) -> u32 {
    SEED.hash_one(key) as u32
}

/// A hash map whose clones share their structure.
pub struct Map<K, V> {
    root: Slot<K, V>,
    len: usize,
}

/// Two words: with emptiness as a third kind beside a leaf and a branch it would be three.
enum Slot<K, V> {
    Leaf(Arc<[Entry<K, V>]>),
    /// Nothing, or a branch.
    Under(Option<Arc<[Self; BRANCH_SLOTS]>>),
}

#[derive(Clone)]
struct Entry<K, V> {
    hash: u32,
    key: K,
    value: V,
}

impl<K, V> Map<K, V> {
    /// A map without entries; allocates nothing.
    pub const fn new() -> Self {
        Self { root: Slot::EMPTY, len: 0 }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entries in no particular order.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter {
            pending: smallvec![slice::from_ref(&self.root).iter()],
            leaf: [].iter(),
            left: self.len,
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Map<K, V> {
    /// The value of a key.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.get_hashed(hash(key), key)
    }

    /// The value of a key whose hash is known.
    pub(crate) fn get_hashed<Q>(&self, hash: u32, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.entry(hash, key).map(|entry| &entry.value)
    }

    fn entry<Q>(&self, hash: u32, key: &Q) -> Option<&Entry<K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut slot = &self.root;
        let mut path = hash;
        loop {
            match slot {
                Slot::Under(None) => return None,
                Slot::Leaf(entries) => return entries.iter().find(|entry| entry.is(hash, key)),
                Slot::Under(Some(slots)) => {
                    slot = &slots[path as usize % BRANCH_SLOTS];
                    path >>= BRANCH_BITS;
                }
            }
        }
    }

    /// Whether the key has a value.
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.get(key).is_some()
    }

    /// The value of a key, to change; copies what is shared with clones.
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = hash(key);
        // A key that isn't there must not cost a copy.
        self.get_hashed(hash, key)?;
        let mut slot = &mut self.root;
        let mut path = hash;
        loop {
            match slot {
                Slot::Under(None) => return None,
                Slot::Leaf(entries) => {
                    let entries = Arc::make_mut(entries);
                    let entry = entries.iter_mut().find(|entry| entry.is(hash, key))?;
                    return Some(&mut entry.value);
                }
                Slot::Under(Some(slots)) => {
                    slot = &mut Arc::make_mut(slots)[path as usize % BRANCH_SLOTS];
                    path >>= BRANCH_BITS;
                }
            }
        }
    }

    /// Sets the value of a key and answers the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(old) = self.get_mut(&key) {
            return Some(std::mem::replace(old, value));
        }
        self.root.place(0, Entry { hash: hash(&key), key, value });
        self.len += 1;
        None
    }

    /// Changes the value of a key, or of `default` where it has none, and keeps it.
    pub fn update<Q>(&mut self, key: &Q, default: impl FnOnce() -> V, change: impl FnOnce(&mut V))
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        Q: Hash + Eq + ?Sized,
    {
        match self.get_mut(key) {
            Some(value) => change(value),
            None => {
                let mut value = default();
                change(&mut value);
                self.insert(K::from(key), value);
            }
        }
    }

    /// As [`Map::update`], keeping a clone of `key` itself, which may be shared.
    pub fn update_shared(
        &mut self,
        key: &K,
        default: impl FnOnce() -> V,
        change: impl FnOnce(&mut V),
    ) {
        match self.get_mut(key) {
            Some(value) => change(value),
            None => {
                let mut value = default();
                change(&mut value);
                self.insert(key.clone(), value);
            }
        }
    }

    /// The key as it is kept.
    pub fn kept_key<Q>(&self, key: &Q) -> Option<&K>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entry(hash(key), key).map(|entry| &entry.key)
    }

    /// Takes a key out and answers its value.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = hash(key);
        self.get_hashed(hash, key)?;
        let removed = self.root.take(0, hash, key)?;
        self.len -= 1;
        Some(removed)
    }
}

impl<K, V> Entry<K, V> {
    fn is<Q>(&self, hash: u32, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.hash == hash && self.key.borrow() == key
    }
}

impl<K, V> Slot<K, V> {
    const EMPTY: Self = Self::Under(None);

    fn fold<'a, B, F>(&'a self, initial: B, fold: &mut F) -> B
    where
        F: FnMut(B, (&'a K, &'a V)) -> B,
    {
        let mut folded = initial;
        if let Self::Under(Some(slots)) = self {
            for slot in slots.iter() {
                folded = slot.fold(folded, fold);
            }
        }
        for entry in self.entries() {
            folded = fold(folded, (&entry.key, &entry.value));
        }
        folded
    }

    /// The entries that stand in the slot itself.
    fn entries(&self) -> &[Entry<K, V>] {
        match self {
            Self::Leaf(entries) => entries,
            Self::Under(_) => &[],
        }
    }
}

impl<K: Eq + Clone, V: Clone> Slot<K, V> {
    /// Puts in an entry whose key is not there yet.
    fn place(&mut self, depth: u32, entry: Entry<K, V>) {
        match self {
            Self::Under(None) => *self = Self::Leaf(Arc::new([entry])),
            Self::Leaf(entries) if entries.len() < LEAF_MAX || depth == DEPTH_MAX => {
                *entries = entries.iter().cloned().chain(iter::once(entry)).collect();
            }
            Self::Leaf(entries) => {
                let mut branch = Self::Under(Some(Arc::new(array::from_fn(|_| Self::EMPTY))));
                for entry in entries.iter().cloned().chain(iter::once(entry)) {
                    branch.place(depth, entry);
                }
                *self = branch;
            }
            Self::Under(Some(slots)) => {
                let index = (entry.hash >> (depth * BRANCH_BITS)) as usize % BRANCH_SLOTS;
                Arc::make_mut(slots)[index].place(depth + 1, entry);
            }
        }
    }

    fn take<Q>(&mut self, depth: u32, hash: u32, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let removed;
        match self {
            Self::Under(None) => return None,
            Self::Leaf(entries) => {
                let index = entries.iter().position(|entry| entry.is(hash, key))?;
                removed = entries[index].value.clone();
                if entries.len() == 1 {
                    *self = Self::EMPTY;
                } else {
                    let (before, after) = (&entries[..index], &entries[index + 1..]);
                    *entries = before.iter().chain(after).cloned().collect();
                }
            }
            Self::Under(Some(slots)) => {
                let index = (hash >> (depth * BRANCH_BITS)) as usize % BRANCH_SLOTS;
                removed = Arc::make_mut(slots)[index].take(depth + 1, hash, key)?;
                self.merge();
            }
        }
        Some(removed)
    }

    /// Makes a branch that holds little a leaf.
    fn merge(&mut self) {
        let Self::Under(Some(slots)) = self else { return };
        let has_branch = slots.iter().any(|slot| matches!(slot, Self::Under(Some(_))));
        let len: usize = slots.iter().map(|slot| slot.entries().len()).sum();
        if !has_branch && len <= LEAF_MERGE {
            *self = match len {
                0 => Self::EMPTY,
                _ => Self::Leaf(slots.iter().flat_map(Self::entries).cloned().collect()),
            };
        }
    }
}

// By hand, because a derived one would ask that K and V be `Clone`, and sharing doesn't need it.
impl<K, V> Clone for Slot<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(entries) => Self::Leaf(Arc::clone(entries)),
            Self::Under(branch) => Self::Under(branch.clone()),
        }
    }
}

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), len: self.len }
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Hash + Eq + Clone, V: Clone> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a, K, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

/// The entries of a [`Map`].
pub struct Iter<'a, K, V> {
    /// Slots not visited yet, one row a level.
    pending: SmallVec<[slice::Iter<'a, Slot<K, V>>; 8]>,
    leaf: slice::Iter<'a, Entry<K, V>>,
    left: usize,
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.leaf.next() {
                self.left -= 1;
                return Some((&entry.key, &entry.value));
            }
            match self.pending.last_mut()?.next() {
                None => drop(self.pending.pop()),
                Some(Slot::Under(None)) => {}
                Some(Slot::Leaf(entries)) => self.leaf = entries.iter(),
                Some(Slot::Under(Some(slots))) => self.pending.push(slots.iter()),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }

    /// Faster than `next` by `next`, which asks at each entry where it stands.
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, initial: B, mut fold: F) -> B {
        let mut folded = initial;
        for entry in self.leaf {
            folded = fold(folded, (&entry.key, &entry.value));
        }
        for row in self.pending.into_iter().rev() {
            for slot in row {
                folded = slot.fold(folded, &mut fold);
            }
        }
        folded
    }
}

impl<K, V> ExactSizeIterator for Iter<'_, K, V> {}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
