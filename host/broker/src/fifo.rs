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

/// The list. Every piece holds something, but for a list of one piece.
pub(crate) struct Fifo<T> {
    pieces: VecDeque<VecDeque<T>>,
    /// An emptied piece, for the next one that is needed.
    spare: Option<VecDeque<T>>,
    len: usize,
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self { pieces: VecDeque::new(), spare: None, len: 0 }
    }
}

impl<T: Sequenced> Fifo<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.pieces.front()?.front()
    }

    pub(crate) fn back(&self) -> Option<&T> {
        self.pieces.back()?.back()
    }

    /// Adds what comes after everything that is there.
    pub(crate) fn push_back(&mut self, element: T) {
        debug_assert!(self.back().is_none_or(|back| back.sequence() < element.sequence()));
        self.len += 1;
        match self.pieces.back_mut() {
            Some(piece) if piece.len() < PIECE => return piece.push_back(element),
            // The first piece grows as it is needed: most lists stay short.
            None => self.pieces.push_back(VecDeque::new()),
            Some(_) => {
                let piece = self.spare.take().unwrap_or_else(|| VecDeque::with_capacity(PIECE));
                self.pieces.push_back(piece);
            }
        }
        if let Some(piece) = self.pieces.back_mut() {
            piece.push_back(element);
        }
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let piece = self.pieces.front_mut()?;
        let element = piece.pop_front()?;
        self.len -= 1;
        if piece.is_empty() && self.pieces.len() > 1 {
            self.spare = self.pieces.pop_front();
            if self.pieces.len() == 1 && self.pieces.capacity() > 64 {
                self.pieces.shrink_to(4);
            }
        }
        Some(element)
    }

    /// The element of that sequence.
    pub(crate) fn get_mut(&mut self, sequence: u64) -> Option<&mut T> {
        let (piece, index) = self.find(sequence)?;
        self.pieces.get_mut(piece)?.get_mut(index)
    }

    /// Takes the element of that sequence out, wherever it stands.
    pub(crate) fn remove(&mut self, sequence: u64) -> Option<T> {
        let (piece, index) = self.find(sequence)?;
        let removed = self.pieces.get_mut(piece)?.remove(index)?;
        self.len -= 1;
        if self.pieces[piece].is_empty() && self.pieces.len() > 1 {
            self.pieces.remove(piece);
        }
        Some(removed)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }

    fn find(&self, sequence: u64) -> Option<(usize, usize)> {
        // What is looked for most came last.
        let last = self.pieces.len().checked_sub(1)?;
        let from_last = self.pieces[last].front().is_some_and(|e| e.sequence() <= sequence);
        let piece = if from_last {
            last
        } else {
            self.pieces.partition_point(|piece| {
                piece.back().is_some_and(|back| back.sequence() < sequence)
            })
        };
        let index = self.pieces.get(piece)?.binary_search_by_key(&sequence, T::sequence).ok()?;
        Some((piece, index))
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
        }
    }
}
