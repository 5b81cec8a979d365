//! A long list in the order of its sequences, in pieces: growing it never copies what is there,
//! and what was taken off its front gives its memory back.

use std::collections::VecDeque;

/// Elements in a piece.
const PIECE: usize = 1_024;

/// Something with a place in an order.
pub(crate) trait Sequenced {
    /// Its place.
    fn sequence(&self) -> u64;
}

/// The list. Short ones, which most are, have nothing but a head.
pub(crate) struct Fifo<T> {
    /// What comes first; empty only if there is nothing at all.
    head: VecDeque<T>,
    /// What comes after it, no piece of it empty.
    rest: VecDeque<VecDeque<T>>,
    /// An emptied piece, for the next one that is needed.
    spare: Option<VecDeque<T>>,
    len: usize,
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self { head: VecDeque::new(), rest: VecDeque::new(), spare: None, len: 0 }
    }
}

impl<T: Sequenced> Fifo<T> {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn front(&self) -> Option<&T> {
        self.head.front()
    }

    pub(crate) fn back(&self) -> Option<&T> {
        self.rest.back().unwrap_or(&self.head).back()
    }

    /// Adds what comes after everything that is there.
    #[inline]
    pub(crate) fn push_back(&mut self, element: T) {
        debug_assert!(self.back().is_none_or(|back| back.sequence() < element.sequence()));
        self.len += 1;
        if self.rest.back().unwrap_or(&self.head).len() == PIECE {
            self.add_piece();
        }
        // A piece grows as it is needed: most lists stay short.
        self.rest.back_mut().unwrap_or(&mut self.head).push_back(element);
    }

    #[cold]
    fn add_piece(&mut self) {
        let piece = self.spare.take().unwrap_or_else(|| VecDeque::with_capacity(PIECE));
        self.rest.push_back(piece);
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        self.pop_front_with(|element| element)
    }

    /// Makes something of the first element where it stands: a large one is not moved for it.
    #[inline(always)]
    pub(crate) fn pop_front_with<R>(&mut self, make: impl FnOnce(T) -> R) -> Option<R> {
        let made = self.head.pop_front().map(make)?;
        self.len -= 1;
        if self.head.is_empty() && !self.rest.is_empty() {
            self.next_piece();
        }
        Some(made)
    }

    /// The head is used up.
    #[cold]
    fn next_piece(&mut self) {
        let Some(piece) = self.rest.pop_front() else { return };
        self.spare = Some(std::mem::replace(&mut self.head, piece));
        if self.rest.is_empty() && self.rest.capacity() > 64 {
            self.rest.shrink_to(4);
        }
    }

    /// The element of that sequence.
    pub(crate) fn get_mut(&mut self, sequence: u64) -> Option<&mut T> {
        let (piece, index) = self.find(sequence)?;
        self.piece_mut(piece)?.get_mut(index)
    }

    /// Takes the element of that sequence out, wherever it stands.
    pub(crate) fn remove(&mut self, sequence: u64) -> Option<T> {
        let (piece, index) = self.find(sequence)?;
        let found = self.piece_mut(piece)?;
        let removed = found.remove(index)?;
        let is_empty = found.is_empty();
        self.len -= 1;
        match piece.checked_sub(1) {
            Some(piece) if is_empty => drop(self.rest.remove(piece)),
            None if is_empty => self.next_piece(),
            _ => {}
        }
        Some(removed)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.head.iter().chain(self.rest.iter().flatten())
    }

    /// Those of that sequence and later.
    pub(crate) fn iter_from(&self, sequence: u64) -> impl Iterator<Item = &T> {
        let is_before =
            |piece: &VecDeque<T>| piece.back().is_none_or(|last| last.sequence() < sequence);
        let head = (!is_before(&self.head)).then_some(&self.head);
        let pieces = self.rest.range(self.rest.partition_point(is_before)..);
        // Only the first of them holds earlier ones.
        let all = head.into_iter().chain(pieces).flatten();
        all.skip_while(move |element| element.sequence() < sequence)
    }

    /// The piece of that number; the head is 0.
    fn piece_mut(&mut self, piece: usize) -> Option<&mut VecDeque<T>> {
        match piece.checked_sub(1) {
            None => Some(&mut self.head),
            Some(piece) => self.rest.get_mut(piece),
        }
    }

    /// In which piece it is, and where there.
    fn find(&self, sequence: u64) -> Option<(usize, usize)> {
        let last = |piece: &VecDeque<T>| piece.back().map(T::sequence);
        // What is looked for most came last.
        let (number, piece) = match self.rest.back() {
            Some(back) if back.front().is_some_and(|e| e.sequence() <= sequence) => {
                (self.rest.len(), back)
            }
            Some(_) if last(&self.head) < Some(sequence) => {
                let before = self.rest.partition_point(|piece| last(piece) < Some(sequence));
                (before + 1, self.rest.get(before)?)
            }
            _ => (0, &self.head),
        };
        let index = piece.binary_search_by_key(&sequence, T::sequence).ok()?;
        Some((number, index))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl Sequenced for u64 {
        fn sequence(&self) -> u64 {
            *self
        }
    }

    proptest! {
        /// Against a map that is ordered by nature.
        #[test]
        fn it_is_a_queue_with_a_look_inside(
            steps in prop::collection::vec((0..5u8, 0..3_000u64), 1..200),
        ) {
            let mut fifo = Fifo::default();
            let mut model = BTreeMap::new();
            let mut next = 0;
            for (step, number) in steps {
                match step {
                    0 | 1 => for _ in 0..number {
                        fifo.push_back(next);
                        model.insert(next, ());
                        next += 1 + number % 3;
                    },
                    2 => for _ in 0..number {
                        prop_assert_eq!(fifo.pop_front(), model.pop_first().map(|(n, ())| n));
                    },
                    3 => {
                        let removed = model.remove(&number).map(|()| number);
                        prop_assert_eq!(fifo.remove(number), removed);
                    }
                    _ => {
                        let found = model.contains_key(&number).then_some(number);
                        prop_assert_eq!(fifo.get_mut(number).copied(), found);
                    }
                }
                prop_assert_eq!(fifo.len(), model.len());
                prop_assert_eq!(fifo.front(), model.keys().next());
                prop_assert_eq!(fifo.back(), model.keys().next_back());
            }
            prop_assert!(fifo.iter().eq(model.keys()));
            for from in [0, 1, next / 3, next / 2, next.saturating_sub(1), next] {
                prop_assert!(fifo.iter_from(from).eq(model.range(from..).map(|(n, ())| n)));
            }
        }
    }
}
