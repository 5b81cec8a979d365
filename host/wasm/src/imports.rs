//! The functions that a guest may import from `shunt`, and AssemblyScript's `env.abort`.

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
    Ok(())
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
