//! Routes in plain JavaScript: one module of QuickJS runs them all.
//!
//! The module is built by `scripts/build-javascript.sh` and compiled once for a node. Its
//! instances are those of a core module, but that the library and the route's source are handed
//! to them before anything else is asked. Its imports are of the whole contract: what a route was
//! not granted is refused inside, by the bits that come with its source.

use parking_lot::Mutex;
use shunt_routing::Failure;
use wasmtime::{Caller, Linker, Module};

use crate::artifact::Artifacts;
use crate::capability::{Capabilities, Capability};
use crate::code::{Code, is_text};
use crate::engine::Sandbox;
use crate::error::DeployError;
use crate::files::sha256_hex;
use crate::guest::{Guest, guest_bytes};
use crate::limits::DETAIL_BYTES_MAX;

/// QuickJS with the exports of the contract.
const ENGINE: &[u8] = include_bytes!("../javascript/engine.wasm");
/// What routes import as `shunt-route`.
pub(crate) const LIBRARY: &str = include_str!("../../../sdk/javascript/shunt-route.js");

/// `(address, length) -> packed`: takes the library; 0, or a text of what is wrong.
pub(crate) const TAKE_LIBRARY: &str = "shunt_library";
/// `(address, length, capabilities) -> packed`: takes the route.
pub(crate) const TAKE_SCRIPT: &str = "shunt_script";

/// The module of the one import that no uploaded module has.
const PRIVATE: &str = "shunt_javascript";

/// The engine, compiled for a sandbox at its first script.
#[derive(Default)]
pub(crate) struct Shared(Mutex<Option<Module>>);

/// Whether an upload is JavaScript: text that isn't WebAssembly's, which begins with a
/// parenthesis.
pub(crate) fn is_script(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0) && !is_text(bytes)
}

impl Shared {
    /// The engine's code. The first time takes seconds of processor time, unless it was compiled
    /// before and is on disk.
    pub(crate) fn code(
        &self,
        sandbox: &Sandbox,
        artifacts: &Artifacts,
    ) -> Result<Code, DeployError> {
        let mut shared = self.0.lock();
        if let Some(module) = &*shared {
            return Ok(Code::Core(module.clone()));
        }
        let sha256 = sha256_hex(ENGINE);
        let code = match artifacts.load(sandbox, &sha256) {
            Some(code) => code,
            None => {
                let code = Code::compile(&sandbox.engine, ENGINE)?;
                artifacts.save(sandbox, &sha256, &code);
                code
            }
        };
        if let Code::Core(module) = &code {
            *shared = Some(module.clone());
        }
        Ok(code)
    }
}

/// Why a script isn't deployed. What was uploaded by mistake is told what it was taken for.
pub(crate) fn refused(source: &[u8], failure: Failure) -> DeployError {
    let mut detail = failure.detail;
    if !String::from_utf8_lossy(source).contains("shunt-route") {
        detail.push_str(" (text that is no WebAssembly is taken for JavaScript)");
    }
    DeployError::Script(detail)
}

/// The capabilities as the engine takes them.
pub(crate) fn bits(granted: Capabilities) -> i32 {
    let bit = |capability| match capability {
        Capability::Clock => 1,
        Capability::Random => 2,
        Capability::Load => 4,
        Capability::State => 8,
    };
    granted.iter().map(bit).sum()
}

/// Links what the engine imports beside the contract.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(PRIVATE, "fail", fail)?;
    Ok(())
}

/// Ends the call with a text: an exception that the route let go.
fn fail(mut caller: Caller<'_, Guest>, address: i32, length: i32) -> wasmtime::Result<()> {
    let length = (length as u32).min(DETAIL_BYTES_MAX as u32) as i32;
    let (text, _) = guest_bytes(&mut caller, address, length)?;
    Err(wasmtime::Error::msg(String::from_utf8_lossy(text).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javascript_is_text_that_does_not_begin_with_a_parenthesis() {
        for script in ["import { route } from 'shunt-route';", "// (module)\n", "/* */ export {}"] {
            assert!(is_script(script.as_bytes()), "{script}");
        }
        let others = [&b"(module)"[..], b";; text\n (module)", b"(; ;)(component)", b"", b" \n"];
        for other in others.into_iter().chain([&b"\0asm\x01\0\0\0"[..], b"\xff", b"a\0"]) {
            assert!(!is_script(other), "{other:?}");
        }
    }
}
