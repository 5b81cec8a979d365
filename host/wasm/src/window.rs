//! A guest's memory as the host sees it between two calls.

use std::ptr::NonNull;
use std::slice;

use wasmtime::{Memory, Store};

/// The bytes of one memory. Its address is asked for once instead of twice a message, which is a
/// chain of six loads each time: the engine is set up so that no memory ever moves
/// (`Config::memory_may_move`), and none ever shrinks.
pub(crate) struct Window {
    memory: Memory,
    base: NonNull<u8>,
    /// Bytes that the memory has at least.
    length: usize,
}

impl Window {
    /// Over a memory of the store. The other calls must be given the same one.
    pub(crate) fn new<T: 'static>(memory: Memory, store: &mut Store<T>) -> Self {
        let bytes = memory.data_mut(store);
        Self { memory, length: bytes.len(), base: NonNull::from(bytes).cast() }
    }

    /// The memory, or as much of its beginning as is sure to have all bytes before `end` that
    /// there are.
    #[inline]
    pub(crate) fn read<'a, T: 'static>(&'a mut self, store: &'a Store<T>, end: usize) -> &'a [u8] {
        if end > self.length {
            self.grown(store);
        }
        // SAFETY: that many bytes are there, at this address for as long as the store lives; the
        // borrow of the store keeps everything else away from them meanwhile.
        #[expect(unsafe_code, reason = "the address is known")]
        unsafe {
            slice::from_raw_parts(self.base.as_ptr(), self.length)
        }
    }

    /// As [`Window::read`], to be written.
    #[inline]
    pub(crate) fn write<'a, T: 'static>(
        &'a mut self,
        store: &'a mut Store<T>,
        end: usize,
    ) -> &'a mut [u8] {
        if end > self.length {
            self.grown(store);
        }
        // SAFETY: as above; the store is borrowed for this alone.
        #[expect(unsafe_code, reason = "the address is known")]
        unsafe {
            slice::from_raw_parts_mut(self.base.as_ptr(), self.length)
        }
    }

    #[cold]
    fn grown<T: 'static>(&mut self, store: &Store<T>) {
        let bytes = self.memory.data(store);
        self.length = bytes.len();
        self.base = NonNull::from(bytes).cast();
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::{Instance, Module};

    use super::*;
    use crate::engine::Runtime;

    #[test]
    fn memory_that_grew_is_seen_and_lies_where_it_lay() {
        let runtime = Runtime::new().unwrap();
        for sandbox in [&runtime.calls, &runtime.dry_runs] {
            let mut store = Store::new(&sandbox.engine, ());
            let text = r#"(module (memory (export "memory") 1)
              (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
              (func (export "put") (param i32) (i32.store8 (local.get 0) (i32.const 7))))"#;
            let module = Module::new(&sandbox.engine, text).unwrap();
            if sandbox.fuel {
                store.set_fuel(1_000_000).unwrap();
            } else {
                store.set_epoch_deadline(u64::MAX / 2);
            }
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let memory = instance.get_memory(&mut store, "memory").unwrap();
            let grow = instance.get_typed_func::<i32, i32>(&mut store, "grow").unwrap();
            let put = instance.get_typed_func::<i32, ()>(&mut store, "put").unwrap();
            let mut window = Window::new(memory, &mut store);
            window.write(&mut store, 9)[8] = 3;
            assert_eq!(window.read(&store, 9)[8], 3);
            let base = window.base;
            for pages in [1, 2_000, 30_000] {
                let last = memory.data_size(&store) + pages * 65_536 - 1;
                assert!(window.read(&store, last + 1).get(last).is_none());
                assert!(grow.call(&mut store, pages as i32).unwrap() > 0);
                put.call(&mut store, last as i32).unwrap();
                assert_eq!(window.read(&store, last + 1)[last], 7);
                assert_eq!(memory.data_ptr(&store), base.as_ptr());
            }
            assert_eq!(window.read(&store, 9)[8], 3);
        }
    }
}
