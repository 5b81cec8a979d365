//! An empty WASI preview 1, for languages whose runtime imports it whether it is used or not.
//!
//! No arguments, no environment, no files. Output goes to the route's log; clock and random
//! numbers are real where granted, else a fixed clock and a seeded generator; everything else
//! answers its error code.

use wasmtime::{Caller, FuncType, Linker, Val, ValType};

use crate::capability::Capability;
use crate::clock;
use crate::guest::{Guest, guest_bytes};
use crate::log::LogLevel;

pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

const SUCCESS: i32 = 0;
const BAD_DESCRIPTOR: i32 = 8;
const FAULT: i32 = 21;
const INVALID: i32 = 28;
const NOT_SUPPORTED: i32 = 52;

/// The clock of a route that may not have one, in nanoseconds; zero would stop Go's runtime.
pub(crate) const FIXED_CLOCK_NS: u64 = 1_700_000_000_000_000_000;
/// Pieces that one write may consist of.
const PIECES_MAX: i32 = 1_024;
/// Random bytes that one call may ask for.
pub(crate) const RANDOM_BYTES_MAX: i32 = 64 * 1024;

/// The functions that only answer an error: name, parameters (`i` is i32, `I` i64), error.
const REFUSED: [(&str, &str, i32); 37] = [
    ("fd_advise", "iIIi", BAD_DESCRIPTOR),
    ("fd_allocate", "iII", BAD_DESCRIPTOR),
    ("fd_close", "i", BAD_DESCRIPTOR),
    ("fd_datasync", "i", BAD_DESCRIPTOR),
    ("fd_fdstat_get", "ii", BAD_DESCRIPTOR),
    ("fd_fdstat_set_flags", "ii", BAD_DESCRIPTOR),
    ("fd_fdstat_set_rights", "iII", BAD_DESCRIPTOR),
    ("fd_filestat_get", "ii", BAD_DESCRIPTOR),
    ("fd_filestat_set_size", "iI", BAD_DESCRIPTOR),
    ("fd_filestat_set_times", "iIIi", BAD_DESCRIPTOR),
    ("fd_pread", "iiiIi", BAD_DESCRIPTOR),
    ("fd_prestat_get", "ii", BAD_DESCRIPTOR),
    ("fd_prestat_dir_name", "iii", BAD_DESCRIPTOR),
    ("fd_pwrite", "iiiIi", BAD_DESCRIPTOR),
    ("fd_read", "iiii", BAD_DESCRIPTOR),
    ("fd_readdir", "iiiIi", BAD_DESCRIPTOR),
    ("fd_renumber", "ii", BAD_DESCRIPTOR),
    ("fd_seek", "iIii", BAD_DESCRIPTOR),
    ("fd_sync", "i", BAD_DESCRIPTOR),
    ("fd_tell", "ii", BAD_DESCRIPTOR),
    ("path_create_directory", "iii", BAD_DESCRIPTOR),
    ("path_filestat_get", "iiiii", BAD_DESCRIPTOR),
    ("path_filestat_set_times", "iiiiIIi", BAD_DESCRIPTOR),
    ("path_link", "iiiiiii", BAD_DESCRIPTOR),
    ("path_open", "iiiiiIIii", BAD_DESCRIPTOR),
    ("path_readlink", "iiiiii", BAD_DESCRIPTOR),
    ("path_remove_directory", "iii", BAD_DESCRIPTOR),
    ("path_rename", "iiiiii", BAD_DESCRIPTOR),
    ("path_symlink", "iiiii", BAD_DESCRIPTOR),
    ("path_unlink_file", "iii", BAD_DESCRIPTOR),
    ("poll_oneoff", "iiii", NOT_SUPPORTED),
    ("proc_raise", "i", NOT_SUPPORTED),
    ("sock_accept", "iii", BAD_DESCRIPTOR),
    ("sock_recv", "iiiiii", BAD_DESCRIPTOR),
    ("sock_send", "iiiii", BAD_DESCRIPTOR),
    ("sock_shutdown", "ii", BAD_DESCRIPTOR),
    // Nothing to read: the sizes are zero, so nobody asks for the strings.
    ("sched_yield", "", SUCCESS),
];

/// The functions that do something: name and parameters.
const SERVED: [(&str, &str); 9] = [
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("random_get", "ii"),
    ("fd_write", "iiii"),
    ("proc_exit", "i"),
];

type Result<T> = wasmtime::Result<T>;

/// The type of a function of preview 1, spelled as in `abi`; `None` if there is no such function.
pub(crate) fn signature(name: &str) -> Option<String> {
    let refused = REFUSED.iter().map(|(name, params, _)| (*name, *params));
    let (_, params) = refused.chain(SERVED).find(|(known, _)| *known == name)?;
    let params: Vec<_> = params.chars().map(|c| if c == 'I' { "i64" } else { "i32" }).collect();
    let result = if name == "proc_exit" { "()" } else { "i32" };
    Some(format!("({}) -> {result}", params.join(", ")))
}

pub(crate) fn link(linker: &mut Linker<Guest>) -> Result<()> {
    for (name, params, errno) in REFUSED {
        let engine = linker.engine().clone();
        let params = params.chars().map(|c| if c == 'I' { ValType::I64 } else { ValType::I32 });
        let function = FuncType::new(&engine, params, [ValType::I32]);
        linker.func_new(MODULE, name, function, move |_caller, _params, results| {
            if let Some(result) = results.first_mut() {
                *result = Val::I32(errno);
            }
            Ok(())
        })?;
    }
    for name in ["args_sizes_get", "environ_sizes_get"] {
        linker.func_wrap(MODULE, name, sizes_get)?;
    }
    for name in ["args_get", "environ_get"] {
        linker.func_wrap(MODULE, name, |_: i32, _: i32| SUCCESS)?;
    }
    linker.func_wrap(MODULE, "clock_res_get", |caller: Caller<'_, Guest>, _: i32, out: i32| {
        put_u64(caller, out, 1_000_000)
    })?;
    linker.func_wrap(MODULE, "clock_time_get", clock_time_get)?;
    linker.func_wrap(MODULE, "random_get", random_get)?;
    linker.func_wrap(MODULE, "fd_write", fd_write)?;
    linker.func_wrap(MODULE, "proc_exit", |code: i32| -> Result<()> {
        Err(wasmtime::format_err!("the guest exited with code {code}"))
    })?;
    Ok(())
}

fn sizes_get(mut caller: Caller<'_, Guest>, count: i32, size: i32) -> i32 {
    for out in [count, size] {
        match guest_bytes(&mut caller, out, 4) {
            Ok((bytes, _)) => bytes.fill(0),
            Err(_) => return FAULT,
        }
    }
    SUCCESS
}

fn put_u64(mut caller: Caller<'_, Guest>, out: i32, value: u64) -> i32 {
    match guest_bytes(&mut caller, out, 8) {
        Ok((bytes, _)) => {
            bytes.copy_from_slice(&value.to_le_bytes());
            SUCCESS
        }
        Err(_) => FAULT,
    }
}

fn clock_time_get(mut caller: Caller<'_, Guest>, id: i32, _precision: i64, out: i32) -> i32 {
    let guest = caller.data_mut();
    let now = match id {
        0..=3 if !guest.granted.contains(Capability::Clock) => FIXED_CLOCK_NS,
        // The wall clock stands still within a call, as `now_ms` does.
        0 => guest.now_ms().saturating_mul(1_000_000),
        1 => clock::monotonic_ns(),
        2 | 3 => clock::thread_cpu_ns(),
        _ => return INVALID,
    };
    put_u64(caller, out, now)
}

fn random_get(mut caller: Caller<'_, Guest>, address: i32, length: i32) -> i32 {
    if !(0..=RANDOM_BYTES_MAX).contains(&length) {
        return INVALID;
    }
    match guest_bytes(&mut caller, address, length) {
        Ok((bytes, guest)) => {
            for chunk in bytes.chunks_mut(8) {
                let random = guest.next_random().to_le_bytes();
                chunk.copy_from_slice(&random[..chunk.len()]);
            }
            SUCCESS
        }
        Err(_) => FAULT,
    }
}

fn fd_write(
    mut caller: Caller<'_, Guest>,
    descriptor: i32,
    pieces: i32,
    count: i32,
    written: i32,
) -> i32 {
    let level = match descriptor {
        1 => LogLevel::Info,
        2 => LogLevel::Warn,
        _ => return BAD_DESCRIPTOR,
    };
    if !(0..=PIECES_MAX).contains(&count) {
        return INVALID;
    }
    let mut total = 0_u32;
    let mut line = Vec::new();
    for index in 0..count {
        let Ok((piece, _)) = guest_bytes(&mut caller, pieces.wrapping_add(index * 8), 8) else {
            return FAULT;
        };
        let number = |at: usize| {
            i32::from_le_bytes([piece[at], piece[at + 1], piece[at + 2], piece[at + 3]])
        };
        let (address, length) = (number(0), number(4));
        let Ok((bytes, _)) = guest_bytes(&mut caller, address, length) else {
            return FAULT;
        };
        total = total.wrapping_add(length as u32);
        // Pieces may name the same bytes again and again: what is copied here stays bounded.
        let room = (OUTPUT_BYTES_MAX - line.len()).min(bytes.len());
        line.extend_from_slice(&bytes[..room]);
    }
    caller.data_mut().write_output(level, &line);
    match guest_bytes(&mut caller, written, 4) {
        Ok((bytes, _)) => {
            bytes.copy_from_slice(&total.to_le_bytes());
            SUCCESS
        }
        Err(_) => FAULT,
    }
}

/// Bytes of one write that are looked at; the rest counts as written.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
