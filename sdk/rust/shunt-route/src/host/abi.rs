//! The imports of a guest.

#![expect(unsafe_code, reason = "imports take addresses")]

pub(super) fn log(level: i32, text: &str) {
    // SAFETY: the host reads the bytes of a slice that lives until it returns.
    unsafe { host::log(level, text.as_ptr(), text.len()) }
}

pub(super) fn now_ms() -> i64 {
    host::now_ms()
}

pub(super) fn random() -> i64 {
    host::random()
}

pub(super) fn queue_load(index: i32, what: i32) -> i64 {
    host::queue_load(index, what)
}

pub(super) fn state_get(key: &[u8], value: &mut [u8]) -> i32 {
    // SAFETY: the host reads one slice and writes at most the length of the other; both live
    // until it returns.
    unsafe { host::state_get(key.as_ptr(), key.len(), value.as_mut_ptr(), value.len()) }
}

pub(super) fn state_put(key: &[u8], value: &[u8]) -> i32 {
    // SAFETY: the host reads the bytes of slices that live until it returns.
    unsafe { host::state_put(key.as_ptr(), key.len(), value.as_ptr(), value.len()) }
}

mod host {
    #[link(wasm_import_module = "shunt")]
    unsafe extern "C" {
        pub(super) fn log(level: i32, address: *const u8, length: usize);
        pub(super) safe fn now_ms() -> i64;
        pub(super) safe fn random() -> i64;
        pub(super) safe fn queue_load(index: i32, what: i32) -> i64;
        pub(super) fn state_get(
            key: *const u8,
            key_length: usize,
            out: *mut u8,
            out_capacity: usize,
        ) -> i32;
        pub(super) fn state_put(
            key: *const u8,
            key_length: usize,
            value: *const u8,
            value_length: usize,
        ) -> i32;
    }
}
