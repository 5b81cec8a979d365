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
    /// None of them is empty.
    chunks: Arc<Vec<Arc<Vec<Arc<Binding>>>>>,
}

impl BindingList {
    /// Appends a binding.
    pub(crate) fn push(&mut self, binding: &Arc<Binding>) {
        let chunks = Arc::make_mut(&mut self.chunks);
        match chunks.last_mut().filter(|last| last.len() < CHUNK) {
            Some(last) => Arc::make_mut(last).push(Arc::clone(binding)),
            None => chunks.push(Arc::new(vec![Arc::clone(binding)])),
        }
    }

    /// Takes a binding out; those after it move up. The look for it passes over the whole list,
    /// the change copies one chunk.
    pub(crate) fn remove(&mut self, binding: &Binding) {
        let found = self.chunks.iter().enumerate().find_map(|(at, chunk)| {
            Some((at, chunk.iter().position(|bound| **bound == *binding)?))
        });
        let Some((at, place)) = found else { return };
        let chunks = Arc::make_mut(&mut self.chunks);
        Arc::make_mut(&mut chunks[at]).remove(place);
        if chunks[at].is_empty() {
            chunks.remove(at);
        }
    }

    /// The bindings in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Binding>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shunt_routing::Destination;
    use shunt_types::{ExchangeId, PackedTable};

    use super::*;

    fn binding(n: usize) -> Arc<Binding> {
        Arc::new(Binding {
            destination: Destination::Exchange(ExchangeId(n as u64)),
            destination_name: "x".into(),
            key: n.to_string().into(),
            arguments: PackedTable::default(),
            sequence: 0,
        })
    }

    #[track_caller]
    fn check(list: &BindingList, expected: &[Arc<Binding>]) {
        assert!(list.iter().eq(expected));
        assert!(list.iter().zip(expected).all(|(one, other)| Arc::ptr_eq(one, other)));
        assert!(list.chunks.iter().all(|chunk| (1..=CHUNK).contains(&chunk.len())));
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
