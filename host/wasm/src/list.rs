//! The bindings of an exchange in their order: a list whose clones share their structure.

use std::sync::Arc;

use shunt_routing::Binding;

/// Bindings of one chunk. A change copies one chunk and the list of chunks: with this many, about
/// as much of each for a hundred thousand bindings.
const CHUNK: usize = 256;

/// Bindings in the order in which they were bound. A clone shares everything; a bind copies one
/// chunk and the list of chunks, not the whole.
#[derive(Clone, Default)]
pub(crate) struct BindingList {
    chunks: Arc<Vec<Chunk>>,
    len: usize,
}

#[derive(Clone)]
struct Chunk {
    /// Place of its first binding in the list.
    start: usize,
    /// Never empty.
    bindings: Arc<Vec<Arc<Binding>>>,
}

impl BindingList {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The binding at a place.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&Arc<Binding>> {
        if index >= self.len {
            return None;
        }
        let holds = |chunk: &&Chunk| {
            index.checked_sub(chunk.start).is_some_and(|at| at < chunk.bindings.len())
        };
        // Until something was unbound every chunk but the last is full.
        let chunk = match self.chunks.get(index / CHUNK).filter(holds) {
            Some(chunk) => chunk,
            None => {
                let after = self.chunks.partition_point(|chunk| chunk.start <= index);
                self.chunks.get(after.checked_sub(1)?)?
            }
        };
        chunk.bindings.get(index - chunk.start)
    }

    /// Appends a binding.
    pub(crate) fn push(&mut self, binding: &Arc<Binding>) {
        let start = self.len;
        let chunks = Arc::make_mut(&mut self.chunks);
        match chunks.last_mut().filter(|last| last.bindings.len() < CHUNK) {
            Some(last) => Arc::make_mut(&mut last.bindings).push(Arc::clone(binding)),
            None => {
                let bindings = Arc::new(vec![Arc::clone(binding)]);
                chunks.push(Chunk { start, bindings });
            }
        }
        self.len += 1;
    }

    /// Takes a binding out; those after it move up. The look for it passes over the whole list,
    /// the change copies one chunk.
    pub(crate) fn remove(&mut self, binding: &Binding) {
        let found = self.chunks.iter().enumerate().find_map(|(at, chunk)| {
            let place = chunk.bindings.iter().position(|bound| **bound == *binding)?;
            Some((at, place))
        });
        let Some((at, place)) = found else { return };
        let chunks = Arc::make_mut(&mut self.chunks);
        Arc::make_mut(&mut chunks[at].bindings).remove(place);
        for chunk in &mut chunks[at + 1..] {
            chunk.start -= 1;
        }
        if chunks[at].bindings.is_empty() {
            chunks.remove(at);
        }
        self.len -= 1;
    }

    /// The bindings in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Binding>> {
        self.chunks.iter().flat_map(|chunk| chunk.bindings.iter())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shunt_routing::Destination;
    use shunt_types::ExchangeId;

    use super::*;

    fn binding(n: usize) -> Arc<Binding> {
        Arc::new(Binding {
            destination: Destination::Exchange(ExchangeId(n as u64)),
            destination_name: "x".into(),
            key: n.to_string().into(),
            arguments: Arc::default(),
        })
    }

    #[track_caller]
    fn check(list: &BindingList, expected: &[Arc<Binding>]) {
        assert_eq!(list.len(), expected.len());
        assert!(list.iter().eq(expected));
        for (index, binding) in expected.iter().enumerate() {
            assert!(Arc::ptr_eq(list.get(index).unwrap(), binding), "{index}");
        }
        assert!(list.get(expected.len()).is_none());
        assert!(list.get(usize::MAX).is_none());
    }

    proptest! {
        #[test]
        fn it_is_a_list(removals in prop::collection::vec(0_usize..2_000, 0..200)) {
            let mut expected: Vec<_> = (0..700).map(binding).collect();
            let mut list = BindingList::default();
            expected.iter().for_each(|binding| list.push(binding));
            let full = list.clone();
            let all = expected.clone();
            for n in removals {
                match expected.iter().position(|bound| **bound == *binding(n)) {
                    Some(place) => {
                        list.remove(&expected.remove(place));
                    }
                    None => {
                        expected.push(binding(n));
                        list.push(&expected[expected.len() - 1]);
                    }
                }
            }
            check(&list, &expected);
            // What was cloned before stays what it was.
            check(&full, &all);
        }
    }

    #[test]
    fn whole_chunks_may_go() {
        let all: Vec<_> = (0..3 * CHUNK).map(binding).collect();
        let mut list = BindingList::default();
        all.iter().for_each(|binding| list.push(binding));
        all[..2 * CHUNK].iter().for_each(|binding| list.remove(binding));
        check(&list, &all[2 * CHUNK..]);
        all.iter().for_each(|binding| list.remove(binding));
        check(&list, &[]);
    }
}
