//! The functions that a guest may import from `shunt`, and AssemblyScript's `env.abort`.

use smallvec::SmallVec;
use wasmtime::{Caller, Linker};

use crate::abi::HOST;
use crate::guest::{Guest, guest_bytes};
use crate::limits::DETAIL_BYTES_MAX;
use crate::log::LogLevel;

/// Links what this version serves. What needs a capability is linked for all: a module that may
/// not have it was refused at deploy.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(HOST, "log", log)?;
    linker.func_wrap(HOST, "now_ms", |mut caller: Caller<'_, Guest>| {
        caller.data_mut().now_ms() as i64
    })?;
    linker.func_wrap(HOST, "random", |mut caller: Caller<'_, Guest>| {
        caller.data_mut().next_random() as i64
    })?;
    linker.func_wrap(HOST, "queue_load", queue_load)?;
    linker.func_wrap(HOST, "state_get", state_get)?;
    linker.func_wrap(HOST, "state_put", state_put)?;
    linker.func_wrap("env", "abort", abort)?;
    Ok(())
}

fn log(
    mut caller: Caller<'_, Guest>,
    level: i32,
    address: i32,
    length: i32,
) -> wasmtime::Result<()> {
    let (bytes, guest) = guest_bytes(&mut caller, address, length)?;
    guest.log.write(LogLevel::of_guest(level), bytes);
    guest.has_logged = true;
    Ok(())
}

/// -1 where the index is no queue, or there is no such number.
fn queue_load(caller: Caller<'_, Guest>, index: i32, what: i32) -> i64 {
    let Some(load) = caller.data().load(index as u32) else { return -1 };
    match what {
        0 => load.ready as i64,
        1 => load.unacked as i64,
        2 => load.consumers.into(),
        _ => -1,
    }
}

/// The value's length, -1 if there is none; nothing is written if it doesn't fit.
fn state_get(
    mut caller: Caller<'_, Guest>,
    key: i32,
    key_length: i32,
    out: i32,
    capacity: i32,
) -> wasmtime::Result<i32> {
    let (key, guest) = guest_bytes(&mut caller, key, key_length)?;
    let Some(value) = guest.state.get(key) else { return Ok(-1) };
    // The limit of the whole map is far below what an i32 can say.
    let length = value.len() as i32;
    if value.len() <= capacity as u32 as usize {
        guest_bytes(&mut caller, out, length)?.0.copy_from_slice(&value);
    }
    Ok(length)
}

/// 0, or -1 over the limit.
fn state_put(
    mut caller: Caller<'_, Guest>,
    key: i32,
    key_length: i32,
    value: i32,
    value_length: i32,
) -> wasmtime::Result<i32> {
    // Both lie in the guest's memory, of which one view at a time can be had.
    let key: SmallVec<[u8; 64]> =
        SmallVec::from_slice(guest_bytes(&mut caller, key, key_length)?.0);
    let (value, guest) = guest_bytes(&mut caller, value, value_length)?;
    Ok(if guest.put_state(&key, value) { 0 } else { -1 })
}

/// AssemblyScript's `abort(message, file, line, column)`: strings are UTF-16, their length in
/// bytes stands in the four bytes before them.
fn abort(
    mut caller: Caller<'_, Guest>,
    message: i32,
    file: i32,
    line: i32,
    column: i32,
) -> wasmtime::Result<()> {
    let message = script_string(&mut caller, message);
    let file = script_string(&mut caller, file);
    let text = format!("abort: {message} at {file}:{line}:{column}");
    caller.data().log.write(LogLevel::Error, text.as_bytes());
    Err(wasmtime::Error::msg(text))
}

fn script_string(caller: &mut Caller<'_, Guest>, address: i32) -> String {
    // Null, or not even room for the length before it.
    if (0..4).contains(&address) {
        return String::new();
    }
    let Ok((length, _)) = guest_bytes(caller, address.wrapping_sub(4), 4) else {
        return String::new();
    };
    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
    let length = length.min(DETAIL_BYTES_MAX as u32) as i32;
    let Ok((bytes, _)) = guest_bytes(caller, address, length) else {
        return String::new();
    };
    let units: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}
