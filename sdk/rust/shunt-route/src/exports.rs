//! What stands behind a guest's exported functions. The attribute `route` generates the
//! functions; nobody else calls this.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::instance::{Answer, Instance, describe};
use crate::route::Description;

/// The contract's version that these exports keep.
pub const ABI_VERSION: i32 = 1;

/// All that lives in the guest's memory between two calls.
pub struct Guest<R> {
    instance: RefCell<Instance<R>>,
    input: RefCell<Input>,
    description: RefCell<Vec<u8>>,
}

// SAFETY: the guest is built without threads, so there is only one that can see the value.
#[expect(unsafe_code, reason = "exported functions can reach nothing but a static")]
unsafe impl<R> Sync for Guest<R> {}

impl<R: Description> Guest<R> {
    /// A guest that has not been called.
    #[expect(
        clippy::new_without_default,
        reason = "a static needs a constant, which Default is not"
    )]
    pub const fn new() -> Self {
        Self {
            instance: RefCell::new(Instance::new()),
            input: RefCell::new(Input { blocks: Vec::new() }),
            description: RefCell::new(Vec::new()),
        }
    }

    /// `shunt_alloc`
    pub fn alloc(&self, length: i32) -> i32 {
        self.input.borrow_mut().reserve(length.cast_unsigned() as usize)
    }

    /// `shunt_describe`
    pub fn describe(&self) -> i64 {
        let mut description = self.description.borrow_mut();
        *description = describe::<R>();
        pack(&description)
    }

    /// `shunt_configure`
    pub fn configure(&self, address: i32, length: i32) -> i64 {
        self.call(address, length, |instance, input| plain(instance.configure(input)))
    }

    /// `shunt_check_binding`
    pub fn check_binding(&self, address: i32, length: i32) -> i64 {
        self.call(address, length, |instance, input| plain(instance.check_binding(input)))
    }

    /// `shunt_bindings`
    pub fn bindings(&self, address: i32, length: i32) -> i64 {
        self.call(address, length, |instance, input| plain(instance.bindings(input)))
    }

    /// `shunt_route`
    pub fn route(&self, address: i32, length: i32) -> i64 {
        self.call(address, length, |instance, input| marked(instance.route(input)))
    }

    fn call(
        &self,
        address: i32,
        length: i32,
        answer: impl FnOnce(&mut Instance<R>, &[u8]) -> i64,
    ) -> i64 {
        let input = self.input.borrow();
        let input = input.slice(address.cast_unsigned() as usize, length.cast_unsigned() as usize);
        answer(&mut self.instance.borrow_mut(), input)
    }
}

/// The memory that the host fills. A block is never given back: the contract lets the host
/// fill it again without asking. Each is at least twice the one before, so all the older ones
/// together are smaller than the newest.
struct Input {
    blocks: Vec<Box<[u8]>>,
}

/// Enough for the fields of nearly every message, so that a second block is rare.
const BLOCK_LENGTH_MIN: usize = 1024;

impl Input {
    /// Address of at least `length` bytes, 0 where there are none.
    fn reserve(&mut self, length: usize) -> i32 {
        if let Some(newest) = self.blocks.last()
            && newest.len() >= length
        {
            return address(newest);
        }
        let Some(length) = length.max(BLOCK_LENGTH_MIN).checked_next_power_of_two() else {
            return 0;
        };
        let mut block = Vec::new();
        if block.try_reserve_exact(length).is_err() {
            return 0;
        }
        block.resize(length, 0);
        let block = block.into_boxed_slice();
        let start = address(&block);
        self.blocks.push(block);
        start
    }

    /// What the host wrote. Bytes that it never got from `shunt_alloc` are not read: without
    /// them the input is empty, which every call refuses.
    fn slice(&self, start: usize, length: usize) -> &[u8] {
        self.blocks
            .iter()
            .rev()
            .find_map(|block| {
                let offset = start.checked_sub(block.as_ptr() as usize)?;
                block.get(offset..offset.checked_add(length)?)
            })
            .unwrap_or(&[])
    }
}

/// The answer of every call but `shunt_route`: 0 is ok, all else a reason.
fn plain(answer: Answer<'_>) -> i64 {
    match answer {
        Answer::Nothing => 0,
        Answer::Packed(bytes) => pack(bytes),
        Answer::Refused(reason) => pack(reason.as_bytes()),
    }
}

/// The answer of `shunt_route`: a reason has the highest bit set.
fn marked(answer: Answer<'_>) -> i64 {
    match answer {
        Answer::Refused(_) => plain(answer) | i64::MIN,
        _ => plain(answer),
    }
}

fn pack(bytes: &[u8]) -> i64 {
    i64::from(address(bytes)) << 32 | bytes.len() as i64
}

/// Addresses are below two gigabytes: the host limits memory to far less.
fn address(bytes: &[u8]) -> i32 {
    bytes.as_ptr() as i32
}
