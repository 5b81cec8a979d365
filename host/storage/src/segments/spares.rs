//! Buffers that were written out and wait to be filled again: the kernel's zeroing of fresh
//! memory would cost more than all else that an append does.

use std::sync::{Mutex, PoisonError};

/// The least capacity of a buffer: small batches share one.
pub(super) const CHUNK_SIZE: usize = 64 * 1024;
/// A buffer that has grown larger than this is not kept.
const SPARE_SIZE_MAX: usize = 1024 * 1024;

/// Empty buffers.
#[derive(Debug)]
pub(super) struct Spares {
    buffers: Mutex<Kept>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Kept {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Spares {
    /// Keeps buffers of as many bytes together.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { buffers: Mutex::default(), bytes_max }
    }

    /// An empty buffer with room for as many bytes.
    pub(super) fn take(&self, size: usize) -> Vec<u8> {
        let mut kept = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.buffers.iter().rposition(|buffer| buffer.capacity() >= size);
        if let Some(at) = at {
            let buffer = kept.buffers.swap_remove(at);
            kept.bytes -= buffer.capacity();
            return buffer;
        }
        drop(kept);
        Vec::with_capacity(size.max(CHUNK_SIZE))
    }

    /// Takes buffers back.
    pub(super) fn put(&self, buffers: impl Iterator<Item = Vec<u8>>) {
        let mut kept = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        for mut buffer in buffers {
            let size = buffer.capacity();
            if (CHUNK_SIZE..=SPARE_SIZE_MAX).contains(&size) && kept.bytes + size <= self.bytes_max
            {
                buffer.clear();
                kept.bytes += size;
                kept.buffers.push(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_within_bounds() {
        let spares = Spares::new(3 * CHUNK_SIZE);
        let small = spares.take(1);
        assert_eq!(small.capacity(), CHUNK_SIZE);
        let large = spares.take(2 * CHUNK_SIZE);
        let too_many = spares.take(1);
        let huge = Vec::with_capacity(SPARE_SIZE_MAX + 1);
        spares.put([huge, vec![], small, large, too_many].into_iter());
        let kept = spares.buffers.lock().unwrap();
        assert_eq!((kept.buffers.len(), kept.bytes), (2, 3 * CHUNK_SIZE));
        drop(kept);
        assert_eq!(spares.take(CHUNK_SIZE + 1).capacity(), 2 * CHUNK_SIZE);
        assert_eq!(spares.take(CHUNK_SIZE + 1).capacity(), CHUNK_SIZE + 1);
        assert!(spares.take(1).is_empty());
    }
}
