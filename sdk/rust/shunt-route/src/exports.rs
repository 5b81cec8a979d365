//! What stands behind a guest's exported functions. The attribute `route` generates the
//! functions; nobody else calls this.

use alloc::vec::Vec;
use core::cell::RefCell;
use core::mem;

use crate::instance::{Answer, Instance, describe};
use crate::route::Description;

/// The contract's version that these exports keep.
pub const ABI_VERSION: i32 = 1;

/// All that lives in the guest's memory between two calls.
pub struct Guest<R>(RefCell<State<R>>);

struct State<R> {
    instance: Instance<R>,
    input: Input,
    description: Vec<u8>,
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
        let input = Input { newest: Vec::new(), older: Vec::new() };
        let instance = Instance::new();
        Self(RefCell::new(State { instance, input, description: Vec::new() }))
    }

    /// `shunt_alloc`
    pub fn alloc(&self, length: i32) -> i32 {
        self.0.borrow_mut().input.reserve(length.cast_unsigned() as usize)
    }

    /// `shunt_describe`
    pub fn describe(&self) -> i64 {
        let mut state = self.0.borrow_mut();
        state.description = describe::<R>();
        pack(&state.description)
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
    #[inline]
    pub fn route(&self, address: i32, length: i32) -> i64 {
        self.call(address, length, |instance, input| marked(instance.route(input)))
    }

    #[inline]
    fn call(
        &self,
        address: i32,
        length: i32,
        answer: impl FnOnce(&mut Instance<R>, &[u8]) -> i64,
    ) -> i64 {
        let State { instance, input, .. } = &mut *self.0.borrow_mut();
        let input = input.slice(address.cast_unsigned() as usize, length.cast_unsigned() as usize);
        answer(instance, input)
    }
}

/// The memory that the host fills. A block is never given back: the contract lets the host
/// fill it again without asking. Each is at least twice the one before, so all the older ones
/// together are smaller than the newest.
struct Input {
    newest: Vec<u8>,
    older: Vec<Vec<u8>>,
}

/// Enough for the fields of nearly every message, so that a second block is rare.
const BLOCK_LENGTH_MIN: usize = 1024;

impl Input {
    /// Address of at least `length` bytes, 0 where there are none.
    fn reserve(&mut self, length: usize) -> i32 {
        if self.newest.is_empty() || self.newest.len() < length {
            let Some(length) = length.max(BLOCK_LENGTH_MIN).checked_next_power_of_two() else {
                return 0;
            };
            let mut block = Vec::new();
            if block.try_reserve_exact(length).is_err() {
                return 0;
            }
            block.resize(length, 0);
            let older = mem::replace(&mut self.newest, block);
            self.older.push(older);
        }
        address(&self.newest)
    }

    /// What the host wrote. Bytes that it never got from `shunt_alloc` are not read: without
    /// them the input is empty, which every call refuses.
    #[inline]
    fn slice(&self, start: usize, length: usize) -> &[u8] {
        match part(&self.newest, start, length) {
            Some(input) => input,
            None => self.older_slice(start, length),
        }
    }

    #[cold]
    fn older_slice(&self, start: usize, length: usize) -> &[u8] {
        let mut older = self.older.iter();
        older.find_map(|block| part(block, start, length)).unwrap_or(&[])
    }
}

/// The part of a block at an address.
#[inline]
fn part(block: &[u8], start: usize, length: usize) -> Option<&[u8]> {
    let offset = start.checked_sub(block.as_ptr() as usize)?;
    block.get(offset..offset.checked_add(length)?)
}

/// The answer of every call but `shunt_route`: 0 is ok, all else a reason.
#[inline]
fn plain(answer: Answer<'_>) -> i64 {
    match answer {
        Answer::Nothing => 0,
        Answer::Packed(bytes) => pack(bytes),
        Answer::Refused(reason) => pack(reason.as_bytes()),
    }
}

/// The answer of `shunt_route`: a reason has the highest bit set.
#[inline]
fn marked(answer: Answer<'_>) -> i64 {
    match answer {
        Answer::Refused(_) => plain(answer) | i64::MIN,
        _ => plain(answer),
    }
}

#[inline]
fn pack(bytes: &[u8]) -> i64 {
    i64::from(address(bytes)) << 32 | bytes.len() as i64
}

/// Addresses are below two gigabytes: the host limits memory to far less.
#[inline]
fn address(bytes: &[u8]) -> i32 {
    bytes.as_ptr() as i32
}
