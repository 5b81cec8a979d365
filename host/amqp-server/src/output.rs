//! What a connection has to send: small things in one buffer, long bodies by reference.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use shunt_amqp_codec::Output;
use shunt_types::limits::CONNECTION_OUTPUT_HIGH;

/// Buffers that connections of a shard take while they are busy, so that an idle one holds none.
#[derive(Default)]
pub(crate) struct BufferPool(RefCell<Buffers>);

#[derive(Default)]
struct Buffers {
    usual: Vec<Vec<u8>>,
    /// For output alone: who reads is better off with parts that fit into a cache.
    large: Vec<Vec<u8>>,
}

/// Buffers that the pool keeps for the next user.
const POOLED_MAX: usize = 16;

/// Longest buffer that is one of the usual, in bytes.
const POOLED_SIZE_MAX: usize = 512 * 1024;

/// Large buffers that the pool keeps: one is filled while another one is written.
const LARGE_POOLED_MAX: usize = 2;

/// Longest buffer that is worth keeping, in bytes: what a connection collects before consumers are
/// paused, and one batch more.
const LARGE_SIZE_MAX: usize = 4 * CONNECTION_OUTPUT_HIGH;

impl BufferPool {
    /// An empty buffer, with or without room.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.borrow_mut().usual.pop().unwrap_or_default()
    }

    /// An empty buffer for output.
    fn take_for_output(&self) -> Vec<u8> {
        let mut pooled = self.0.borrow_mut();
        let large = pooled.large.pop();
        large.or_else(|| pooled.usual.pop()).unwrap_or_default()
    }

    /// Keeps the buffer for the next user, unless there are enough or it has grown too large.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        let mut pooled = self.0.borrow_mut();
        let (kept, max) = match buffer.capacity() {
            0 => return,
            1..=POOLED_SIZE_MAX => (&mut pooled.usual, POOLED_MAX),
            size if size <= LARGE_SIZE_MAX => (&mut pooled.large, LARGE_POOLED_MAX),
            _ => return,
        };
        if kept.len() < max {
            buffer.clear();
            kept.push(buffer);
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
            self.tail = pool.take_for_output();
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

    /// Puts what came later behind this.
    pub(crate) fn append(&mut self, later: Self) {
        if !self.tail.is_empty() {
            self.seal();
        }
        self.pieces_size += later.pieces_size;
        self.pieces.extend(later.pieces);
        self.tail = later.tail;
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

    #[test]
    fn large_buffers_are_kept_for_output_alone_and_few_of_them() {
        let pool = BufferPool::default();
        for size in [100, LARGE_SIZE_MAX, LARGE_SIZE_MAX, LARGE_SIZE_MAX, LARGE_SIZE_MAX + 1] {
            pool.give_back(Vec::with_capacity(size));
        }
        let reading = pool.take();
        assert!((100..=POOLED_SIZE_MAX).contains(&reading.capacity()));
        let output = || pool.take_for_output().capacity();
        assert_eq!([output(), output(), output()], [LARGE_SIZE_MAX, LARGE_SIZE_MAX, 0]);
    }

    fn rest(queue: &OutputQueue) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = queue.slices(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn what_came_later_is_put_behind_what_is_left() {
        let of = |begin: &[u8], body: &'static [u8], end: &[u8]| {
            let mut queue = OutputQueue::default();
            queue.bytes().extend_from_slice(begin);
            queue.shared(Bytes::from_static(body));
            queue.bytes().extend_from_slice(end);
            queue
        };
        for end in [&b"ghi"[..], b""] {
            let mut queue = of(b"abc", b"def", end);
            queue.advance(4, &BufferPool::default());
            queue.append(of(b"1", b"2", b"3"));
            queue.append(OutputQueue::default());
            assert_eq!(rest(&queue), [b"ef", end, b"123"].concat());
            assert_eq!(queue.len(), 5 + end.len());
        }
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
