//! From uploaded bytes to a module that may run: what is refused is refused here, by name.

use std::sync::{Arc, OnceLock};

use shunt_routing::Failure;
use wasmtime::{Engine, ExternType, InstancePre, Module};

use crate::abi;
use crate::artifact::Artifacts;
use crate::capability::{Capabilities, Capability};
use crate::describe::Description;
use crate::engine::{Runtime, Sandbox};
use crate::error::DeployError;
use crate::guest::Guest;
use crate::instance::{Instance, Terms};
use crate::wasi;

/// First bytes of every binary module and component.
const MAGIC: &[u8] = b"\0asm";
/// What follows them in a component.
const COMPONENT: &[u8] = &[0x0d, 0, 1, 0];

/// A checked and compiled module, shared by all versions that are made of the same bytes.
pub(crate) struct RouteModule {
    pub(crate) sha256: String,
    pub(crate) description: Description,
    pub(crate) prepared: Prepared,
    /// Compiled again, with fuel, at the first dry run.
    dry_run: OnceLock<Result<Prepared, String>>,
    /// The imports that need a capability, for deployments with other grants.
    needs: Vec<(String, Capability)>,
}

/// A module linked for one engine.
pub(crate) struct Prepared {
    pub(crate) pre: InstancePre<Guest>,
    pub(crate) fuel: bool,
}

impl RouteModule {
    /// Compiles and checks a module, and asks it for its description. Takes processor time, up
    /// to seconds for megabytes: not for a thread that serves connections.
    pub(crate) fn new(
        runtime: &Runtime,
        artifacts: &Artifacts,
        sha256: &str,
        bytes: &[u8],
        terms: &Terms,
    ) -> Result<Self, DeployError> {
        let known = artifacts.load(&runtime.calls, sha256);
        let is_known = known.is_some();
        let module = match known {
            Some(module) => module,
            None => compile(&runtime.calls, bytes)?,
        };
        check_exports(&module)?;
        let needs = check_imports(&module)?;
        let prepared = Prepared::new(&runtime.calls, &module).map_err(DeployError::Unreadable)?;
        let description = describe(runtime, &prepared, terms)?;
        if !is_known {
            // Only now: refused modules leave nothing behind.
            artifacts.save(&runtime.calls, sha256, &module);
        }
        Ok(Self {
            sha256: sha256.to_owned(),
            description,
            prepared,
            dry_run: OnceLock::new(),
            needs,
        })
    }

    /// Checks what the module wants and imports against what it is granted.
    pub(crate) fn check_grants(&self, granted: Capabilities) -> Result<(), DeployError> {
        let wants = self.description.wants;
        for (import, capability) in &self.needs {
            if !wants.contains(*capability) {
                let (import, capability) = (import.clone(), *capability);
                return Err(DeployError::Undeclared { import, capability });
            }
        }
        for capability in wants.iter().chain(granted.iter()) {
            if !capability.is_supported() {
                return Err(DeployError::Unsupported(capability));
            }
            if !granted.contains(capability) {
                return Err(DeployError::NotGranted(capability));
            }
        }
        Ok(())
    }

    /// The module for dry runs. `bytes` are read only the first time.
    pub(crate) fn for_dry_run(
        &self,
        runtime: &Runtime,
        artifacts: &Artifacts,
        bytes: impl FnOnce() -> Result<Vec<u8>, String>,
    ) -> Result<&Prepared, String> {
        let sandbox = &runtime.dry_runs;
        let prepare = || {
            let module = match artifacts.load(sandbox, &self.sha256) {
                Some(module) => module,
                None => {
                    let module = compile(sandbox, &bytes()?).map_err(|error| error.to_string())?;
                    artifacts.save(sandbox, &self.sha256, &module);
                    module
                }
            };
            Prepared::new(sandbox, &module)
        };
        self.dry_run.get_or_init(prepare).as_ref().map_err(Clone::clone)
    }
}

impl Prepared {
    fn new(sandbox: &Sandbox, module: &Module) -> Result<Self, String> {
        let pre = sandbox.linker.instantiate_pre(module).map_err(|error| format!("{error:#}"))?;
        Ok(Self { pre, fuel: sandbox.fuel })
    }
}

fn compile(sandbox: &Sandbox, bytes: &[u8]) -> Result<Module, DeployError> {
    if Engine::detect_precompiled(bytes).is_some() {
        return Err(DeployError::Precompiled);
    }
    if let Some(rest) = bytes.strip_prefix(MAGIC)
        && rest.starts_with(COMPONENT)
    {
        return Err(DeployError::Component);
    }
    if !bytes.starts_with(MAGIC) && std::str::from_utf8(bytes).is_err() {
        let reason = "it is neither a WebAssembly binary nor WebAssembly text";
        return Err(DeployError::Unreadable(reason.to_owned()));
    }
    Module::new(&sandbox.engine, bytes)
        .map_err(|error| DeployError::Unreadable(format!("{error:#}")))
}

fn check_exports(module: &Module) -> Result<(), DeployError> {
    let mut missing = Vec::new();
    match module.get_export(abi::MEMORY) {
        None => missing.push(abi::MEMORY.to_owned()),
        Some(ExternType::Memory(memory)) if !memory.is_64() && !memory.is_shared() => {}
        Some(other) => {
            let found = kind(&other);
            return Err(wrong_export(abi::MEMORY, "a memory of 32 bits", found));
        }
    }
    for export in &abi::EXPORTS {
        match module.get_export(export.name) {
            None if export.required => missing.push(export.name.to_owned()),
            None => {}
            Some(found) => {
                let found = kind(&found);
                if found != export.signature {
                    return Err(wrong_export(export.name, export.signature, found));
                }
            }
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(DeployError::MissingExports(missing)) }
}

fn wrong_export(name: &str, expected: &str, found: String) -> DeployError {
    DeployError::WrongExport { name: name.to_owned(), expected: expected.to_owned(), found }
}

/// A function's type, or what else it is.
fn kind(found: &ExternType) -> String {
    match found {
        ExternType::Func(function) => abi::signature(function),
        ExternType::Global(_) => "a global".to_owned(),
        ExternType::Table(_) => "a table".to_owned(),
        ExternType::Memory(_) => "another kind of memory".to_owned(),
        _ => "something else".to_owned(),
    }
}

/// Checks the imports against the closed lists; answers those that need a capability.
fn check_imports(module: &Module) -> Result<Vec<(String, Capability)>, DeployError> {
    let mut unknown = Vec::new();
    let mut needs = Vec::new();
    for import in module.imports() {
        let name = format!("{}.{}", import.module(), import.name());
        let found = kind(&import.ty());
        let expected = match import.module() {
            abi::HOST => match abi::IMPORTS.iter().find(|known| known.name == import.name()) {
                Some(known) => {
                    needs.extend(known.needs.map(|capability| (name.clone(), capability)));
                    Some(known.signature.to_owned())
                }
                None => None,
            },
            wasi::MODULE => wasi::signature(import.name()),
            "env" if import.name() == "abort" => Some("(i32, i32, i32, i32) -> ()".to_owned()),
            _ => None,
        };
        match expected {
            None => unknown.push(name),
            Some(expected) if expected != found => {
                return Err(DeployError::WrongImport { name, expected, found });
            }
            Some(_) => {}
        }
    }
    if unknown.is_empty() { Ok(needs) } else { Err(DeployError::UnknownImports(unknown)) }
}

/// Starts the module in an instance of its own and asks what it is.
fn describe(
    runtime: &Runtime,
    prepared: &Prepared,
    terms: &Terms,
) -> Result<Description, DeployError> {
    let failed = |failure: Failure| DeployError::Failed(failure);
    let mut instance =
        Instance::new(prepared, terms, Arc::clone(&runtime.ticker)).map_err(failed)?;
    let version = instance.abi().map_err(failed)?;
    if version != abi::VERSION {
        return Err(DeployError::Abi(version));
    }
    let answer = instance.describe().map_err(failed)?;
    Description::read(&answer)
}
