//! The exports and imports of a core module against the closed lists of the contract.

use wasmtime::{ExternType, Module};

use crate::capability::Capability;
use crate::error::DeployError;
use crate::{abi, wasi};

/// Checks that the functions of the contract are there, with their types.
pub(crate) fn check_exports(module: &Module) -> Result<(), DeployError> {
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
pub(crate) fn check_imports(module: &Module) -> Result<Vec<(String, Capability)>, DeployError> {
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
