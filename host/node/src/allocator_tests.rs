//! The allocator's own interface.

#![expect(unsafe_code, reason = "an allocator has no safe form")]

use std::alloc::{GlobalAlloc, Layout};

use crate::allocator::Allocator;

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
