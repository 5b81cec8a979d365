//! Compiled modules on disk: a module compiles once, and a restart loads it in microseconds.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use wasmtime::Engine;

use crate::code::Code;
use crate::component::part_name;
use crate::engine::Sandbox;
use crate::files::{sha256_hex, write_atomically};

/// Compiled artifacts, each beside its checksum. It is a cache: what can't be read is compiled
/// again, what can't be written is compiled again next time.
pub(crate) struct Artifacts {
    directory: PathBuf,
}

/// What an engine's artifacts have in common: version, settings, processor.
pub(crate) fn compatibility(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

impl Artifacts {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn path(&self, sandbox: &Sandbox, sha256: &str) -> PathBuf {
        self.directory.join(format!("{sha256}-{:016x}.cwasm", sandbox.compatibility))
    }

    /// The module of that address, if it was compiled before and is undamaged.
    pub(crate) fn load(&self, sandbox: &Sandbox, sha256: &str) -> Option<Code> {
        let path = self.path(sandbox, sha256);
        let expected = fs::read_to_string(path.with_extension("sha256")).ok()?;
        if sha256_hex(&fs::read(&path).ok()?) != expected {
            return None;
        }
        // SAFETY: `deserialize_file` trusts the file to be what `Code::serialize` wrote, and
        // maps it. Only `save` writes here, by renaming whole files, never in place; its checksum
        // was just compared, so that a damaged disk is found; and wasmtime itself refuses an
        // artifact of another version or other settings. Whoever can forge both files in the
        // broker's own data directory is the broker's user already.
        #[expect(unsafe_code, reason = "mapping compiled code has no safe form")]
        let code = unsafe { Code::deserialize_file(&sandbox.engine, &path) };
        code
    }

    /// Keeps a compiled module for the next start.
    pub(crate) fn save(&self, sandbox: &Sandbox, sha256: &str, code: &Code) {
        let Ok(artifact) = code.serialize() else { return };
        let path = self.path(sandbox, sha256);
        let checksum = sha256_hex(&artifact);
        // The checksum of an older artifact must never stand beside a newer one that was cut
        // short; each is replaced whole, and a pair that doesn't match is compiled again.
        if write_atomically(&path, &artifact).is_ok() {
            let _ = write_atomically(&path.with_extension("sha256"), checksum.as_bytes());
        }
    }

    /// Forgets what was compiled from a module that is deployed no longer.
    pub(crate) fn remove(&self, sandbox: &Sandbox, sha256: &str) {
        self.remove_one(sandbox, sha256);
        // A component's modules.
        let parts = (0..).map(|n| part_name(sha256, n));
        let are_there = |name: &String| self.path(sandbox, name).exists();
        parts.take_while(are_there).for_each(|name| self.remove_one(sandbox, &name));
    }

    fn remove_one(&self, sandbox: &Sandbox, name: &str) {
        let path = self.path(sandbox, name);
        let _ = fs::remove_file(path.with_extension("sha256"));
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Runtime;

    #[test]
    fn an_artifact_comes_back_and_a_flipped_byte_is_found() {
        let runtime = Runtime::new().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::new(directory.path().join("compiled"));
        let sandbox = &runtime.calls;
        let sha256 = sha256_hex(b"source");
        assert!(artifacts.load(sandbox, &sha256).is_none());

        let module = Code::compile(&sandbox.engine, b"(module (func (export \"f\")))").unwrap();
        artifacts.save(sandbox, &sha256, &module);
        let Some(Code::Core(loaded)) = artifacts.load(sandbox, &sha256) else {
            panic!("no module")
        };
        assert!(loaded.get_export("f").is_some());
        let component = Code::compile(&sandbox.engine, b"(component)").unwrap();
        artifacts.save(sandbox, "component", &component);
        assert!(matches!(artifacts.load(sandbox, "component"), Some(Code::Component(_))));
        // The engine with fuel has other code, and so another file.
        assert!(artifacts.load(&runtime.dry_runs, &sha256).is_none());

        let path = artifacts.path(sandbox, &sha256);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(artifacts.load(sandbox, &sha256).is_none());

        artifacts.save(sandbox, &sha256, &module);
        assert!(artifacts.load(sandbox, &sha256).is_some());
        artifacts.remove(sandbox, &sha256);
        assert!(artifacts.load(sandbox, &sha256).is_none());
    }
}
