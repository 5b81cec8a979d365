//! What a connection has to send: small things in one buffer, long bodies by reference.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use shunt_amqp_codec::Output;

/// Buffers that connections of a shard take while they are busy, so that an idle one holds none.
#[derive(Default)]
pub(crate) struct BufferPool(RefCell<Vec<Vec<u8>>>);

/// Buffers that the pool keeps for the next user.
const POOLED_MAX: usize = 16;

/// Longest buffer that is worth keeping, in bytes.
const POOLED_SIZE_MAX: usize = 512 * 1024;

impl BufferPool {
    /// An empty buffer, with or without room.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps the buffer for the next user, unless there are enough or it has grown too large.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        let mut pooled = self.0.borrow_mut();
        if buffer.capacity() > 0
            && buffer.capacity() <= POOLED_SIZE_MAX
            && pooled.len() < POOLED_MAX
        {
            buffer.clear();
            pooled.push(buffer);
        }
    }
}

enum Piece {
    Own(Vec<u8>, usize),
    Shared(Bytes),
}

impl Piece {
    fn rest(&self) -> &[u8] {
        match self {
            Self::Own(bytes, written) => &bytes[*written..],
            Self::Shared(body) => body,
        }
    }
}

/// Frames in the order in which they go out.
#[derive(Default)]
pub(crate) struct OutputQueue {
    pieces: VecDeque<Piece>,
    pieces_size: usize,
    tail: Vec<u8>,
}

impl OutputQueue {
    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.pieces_size + self.tail.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives the queue a buffer to append to, where it has none.
    pub(crate) fn prepare(&mut self, pool: &BufferPool) {
        if self.tail.capacity() == 0 {
            self.tail = pool.take();
        }
    }

    /// Takes everything out, to be written while more is appended here.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// The first pieces, for one vectored write.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        let all = self.pieces.iter().map(Piece::rest).chain(tail);
        let mut count = 0;
        for (slot, bytes) in slices.iter_mut().zip(all) {
            *slot = IoSlice::new(bytes);
            count += 1;
        }
        count
    }

    /// Drops what was written.
    pub(crate) fn advance(&mut self, mut written: usize, pool: &BufferPool) {
        if self.pieces.is_empty() && written == self.tail.len() {
            pool.give_back(std::mem::take(&mut self.tail));
            return;
        }
        if !self.tail.is_empty() {
            self.seal();
        }
        self.pieces_size -= written;
        while let Some(piece) = self.pieces.front_mut() {
            let rest = piece.rest().len();
            if written < rest {
                match piece {
                    Piece::Own(_, done) => *done += written,
                    Piece::Shared(body) => body.advance(written),
                }
                return;
            }
            written -= rest;
            if let Some(Piece::Own(bytes, _)) = self.pieces.pop_front() {
                pool.give_back(bytes);
            }
        }
    }

    fn seal(&mut self) {
        self.pieces_size += self.tail.len();
        self.pieces.push_back(Piece::Own(std::mem::take(&mut self.tail), 0));
    }
}

impl Output for OutputQueue {
    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    fn shared(&mut self, body: Bytes) {
        if !self.tail.is_empty() {
            self.seal();
        }
        self.pieces_size += body.len();
        self.pieces.push_back(Piece::Shared(body));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(queue: &OutputQueue) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = queue.slices(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn a_short_write_leaves_the_rest_whatever_the_piece_it_ends_in() {
        for written in 0..=9 {
            let pool = BufferPool::default();
            let mut queue = OutputQueue::default();
            queue.bytes().extend_from_slice(b"abc");
            queue.shared(Bytes::from_static(b"def"));
            queue.bytes().extend_from_slice(b"ghi");
            assert_eq!(queue.len(), 9);
            queue.advance(written, &pool);
            assert_eq!(rest(&queue), b"abcdefghi"[written..]);
            assert_eq!(queue.len(), 9 - written);
        }
    }
}
