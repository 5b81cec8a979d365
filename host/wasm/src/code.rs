//! Compiled code of either encoding.

use std::path::Path;

use wasmtime::component::Component;
use wasmtime::{Engine, Module, Precompiled};

use crate::error::DeployError;

/// First bytes of every binary module and component.
const MAGIC: &[u8] = b"\0asm";
/// What follows them in a component.
const COMPONENT: &[u8] = &[0x0d, 0, 1, 0];

/// What was compiled for one engine.
pub(crate) enum Code {
    Core(Module),
    Component(Component),
}

impl Code {
    /// Compiles an upload, binary or text.
    pub(crate) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Self, DeployError> {
        if Engine::detect_precompiled(bytes).is_some() {
            return Err(DeployError::Precompiled);
        }
        if !bytes.starts_with(MAGIC) && std::str::from_utf8(bytes).is_err() {
            let reason = "it is neither a WebAssembly binary nor WebAssembly text";
            return Err(DeployError::Unreadable(reason.to_owned()));
        }
        let compiled = if is_component(bytes) {
            Component::new(engine, bytes).map(Self::Component)
        } else {
            Module::new(engine, bytes).map(Self::Core)
        };
        compiled.map_err(|error| DeployError::Unreadable(format!("{error:#}")))
    }

    /// The bytes of an artifact.
    pub(crate) fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        match self {
            Self::Core(module) => module.serialize(),
            Self::Component(component) => component.serialize(),
        }
    }

    /// Maps an artifact.
    ///
    /// # Safety
    /// The file is what [`Code::serialize`] made, and nobody changes it in place.
    #[expect(unsafe_code, reason = "mapping compiled code has no safe form")]
    pub(crate) unsafe fn deserialize_file(engine: &Engine, path: &Path) -> Option<Self> {
        // SAFETY: as the caller promises.
        match Engine::detect_precompiled_file(path).ok()?? {
            Precompiled::Module => {
                unsafe { Module::deserialize_file(engine, path) }.map(Self::Core).ok()
            }
            Precompiled::Component => {
                unsafe { Component::deserialize_file(engine, path) }.map(Self::Component).ok()
            }
        }
    }
}

/// Whether an upload is a component: bytes 4 to 8 say so, or the first word of a text.
/// Whether an upload that is text can only be WebAssembly's.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    let start = text_start(bytes);
    start.is_empty() || start.starts_with(b"(")
}

fn is_component(bytes: &[u8]) -> bool {
    match bytes.strip_prefix(MAGIC) {
        Some(rest) => rest.starts_with(COMPONENT),
        None => text_start(bytes).starts_with(b"(component"),
    }
}

/// WebAssembly text from its first token on.
fn text_start(mut text: &[u8]) -> &[u8] {
    loop {
        text = text.trim_ascii_start();
        text = if text.starts_with(b";;") {
            let end = text.iter().position(|&byte| byte == b'\n');
            &text[end.unwrap_or(text.len())..]
        } else if text.starts_with(b"(;") {
            // Nested comments are rare enough: what follows is then no component.
            let end = text.windows(2).position(|pair| pair == b";)");
            &text[end.map_or(text.len(), |end| end + 2)..]
        } else {
            return text;
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_told_by_the_file() {
        for component in [
            &b"\0asm\x0d\0\x01\0"[..],
            b"(component)",
            b" ;; a comment\n(; and (another ;)\n(component $c)",
        ] {
            assert!(is_component(component), "{component:?}");
        }
        for other in [&b"\0asm\x01\0\0\0"[..], b"(module)", b"", b"\0asm", b";; (component", b"(;"]
        {
            assert!(!is_component(other), "{other:?}");
        }
    }
}
