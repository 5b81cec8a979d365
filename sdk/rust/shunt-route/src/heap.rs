//! The allocator and the panic handler of guests without `std`.
//!
//! Blocks have the sizes of powers of two. A freed block waits in the list of its size, and is
//! never joined with another: a route allocates while its bindings change and hardly after, so
//! short code is worth more than dense memory.

#![expect(unsafe_code, reason = "an allocator hands out raw memory")]

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32;
use core::cell::Cell;
use core::panic::PanicInfo;
use core::ptr;

#[global_allocator]
static HEAP: Heap =
    Heap { free: [const { Cell::new(ptr::null_mut()) }; SIZE_LOG_MAX + 1], top: Cell::new(0) };

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    wasm32::unreachable()
}

struct Heap {
    /// First free block of each size; its first word is the address of the next one.
    free: [Cell<*mut u8>; SIZE_LOG_MAX + 1],
    /// End of the blocks that have ever been handed out; 0 before the first.
    top: Cell<usize>,
}

/// Blocks lie one behind the other, so the smallest size is also the alignment of all.
const SIZE_LOG_MIN: u32 = 4;
const SIZE_LOG_MAX: usize = 30;
const ALIGN_MAX: usize = 1 << SIZE_LOG_MIN;
const PAGE_LENGTH: usize = 65536;

// SAFETY: the guest is built without threads, so there is only one that can see the value.
unsafe impl Sync for Heap {}

// SAFETY: a block is in a list or in use, never both; it is as long as its size class, which is
// computed from the layout in the same way when it is taken and when it is given back.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(size_log) = size_log(layout) else {
            return ptr::null_mut();
        };
        let first = &self.free[size_log];
        let block = first.get();
        if block.is_null() {
            return self.extend(1 << size_log);
        }
        // SAFETY: a block in the list is ours, aligned, and holds the address of the next.
        first.set(unsafe { block.cast::<*mut u8>().read() });
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(size_log) = size_log(layout) else {
            return;
        };
        let first = &self.free[size_log];
        // SAFETY: the block came from `alloc`, is no longer used, and is long enough.
        unsafe { block.cast::<*mut u8>().write(first.get()) };
        first.set(block);
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, length: usize) -> *mut u8 {
        // SAFETY: the caller promises that `length` is good for a layout of this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(length, layout.align()) };
        if size_log(wanted) == size_log(layout) {
            return block;
        }
        // SAFETY: both blocks are valid for the shorter of the two lengths, and distinct.
        unsafe {
            let moved = self.alloc(wanted);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(length));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

impl Heap {
    /// A block that was never handed out, from behind all others.
    fn extend(&self, size: usize) -> *mut u8 {
        unsafe extern "C" {
            /// The linker's name for the first byte behind the stack and the data.
            static __heap_base: u8;
        }
        let start = match self.top.get() {
            0 => (&raw const __heap_base as usize).next_multiple_of(ALIGN_MAX),
            top => top,
        };
        let Some(end) = start.checked_add(size) else {
            return ptr::null_mut();
        };
        let have = wasm32::memory_size(0) * PAGE_LENGTH;
        if end > have {
            let pages = (end - have).div_ceil(PAGE_LENGTH);
            if wasm32::memory_grow(0, pages) == usize::MAX {
                return ptr::null_mut();
            }
        }
        self.top.set(end);
        start as *mut u8
    }
}

/// The size class of a layout, `None` where there is none.
fn size_log(layout: Layout) -> Option<usize> {
    let size_log = layout.size().checked_next_power_of_two()?.ilog2();
    let size_log = size_log.max(SIZE_LOG_MIN) as usize;
    (size_log <= SIZE_LOG_MAX && layout.align() <= ALIGN_MAX).then_some(size_log)
}
