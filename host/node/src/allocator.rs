//! The allocator: mimalloc, asked without an alignment where none is needed.
//!
//! Nearly everything that Rust allocates wants at most the alignment that mimalloc's blocks have
//! anyway. To name it all the same (`mi_malloc_aligned`, as the crate `mimalloc` does) has sizes
//! of which no block was ever cut come from the next larger ones, by a way that takes five times
//! as long: every message of a queue, for some lengths of its names.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;

use libmimalloc_sys as mi;

/// The alignment of every block of mimalloc.
const ALIGNED_ANYWAY: usize = size_of::<usize>();

/// The process's allocator.
pub(crate) struct Allocator;

#[expect(unsafe_code, reason = "an allocator has no safe form")]
// SAFETY: the layouts are passed on as they are, but for an alignment that every block of mimalloc
// has. All blocks come from mimalloc, which takes back and resizes any of its blocks, whichever of
// its functions it came from.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size and any power of two will do.
        unsafe {
            if layout.align() <= ALIGNED_ANYWAY {
                mi::mi_malloc(layout.size()).cast()
            } else {
                mi::mi_malloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size and any power of two will do.
        unsafe {
            if layout.align() <= ALIGNED_ANYWAY {
                mi::mi_zalloc(layout.size()).cast()
            } else {
                mi::mi_zalloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: the caller says that the block came from here.
        unsafe { mi::mi_free(block.cast::<c_void>()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let block = block.cast::<c_void>();
        // SAFETY: the caller says that the block came from here.
        unsafe {
            if layout.align() <= ALIGNED_ANYWAY {
                mi::mi_realloc(block, size).cast()
            } else {
                mi::mi_realloc_aligned(block, size, layout.align()).cast()
            }
        }
    }
}

#[cfg(test)]
#[expect(unsafe_code, reason = "the allocator's own interface")]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_zeroed_and_keep_what_is_in_them() {
        for align in [1, 2, 8, 16, 64, 4096] {
            for size in [1, 7, 8, 24, 40, 105, 112, 1_000, 5_000, 100_000] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: each block is written and read within its size and given back once, with
                // the layout that it has then.
                unsafe {
                    let block = Allocator.alloc(layout);
                    assert_eq!(block.addr() % align, 0, "{layout:?}");
                    block.write_bytes(7, size);
                    let larger = Allocator.realloc(block, layout, 3 * size);
                    assert_eq!(larger.addr() % align, 0, "{layout:?}");
                    let kept = std::slice::from_raw_parts(larger, size);
                    assert!(kept.iter().all(|&byte| byte == 7), "{layout:?}");
                    Allocator.dealloc(larger, Layout::from_size_align(3 * size, align).unwrap());
                    let zeroed = Allocator.alloc_zeroed(layout);
                    assert_eq!(zeroed.addr() % align, 0, "{layout:?}");
                    let bytes = std::slice::from_raw_parts(zeroed, size);
                    assert!(bytes.iter().all(|&byte| byte == 0), "{layout:?}");
                    Allocator.dealloc(zeroed, layout);
                }
            }
        }
    }
}
