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
