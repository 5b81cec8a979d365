//! The imports and exports of a component against the closed list of the contract.

use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::capability::Capability;
use crate::engine::Sandbox;
use crate::error::DeployError;

/// The functions that a route exports.
const EXPORTS: [&str; 5] = ["describe", "configure", "check-binding", "bindings", "route"];
/// The package of the contract.
const PACKAGE: &str = "shunt:route/";

/// Checks what a component imports and exports by name; answers the imports that need a
/// capability. Whether the types fit shows when it is linked and started.
pub(crate) fn check(
    sandbox: &Sandbox,
    component: &Component,
) -> Result<Vec<(String, Capability)>, DeployError> {
    let ty = component.component_type();
    let missing: Vec<_> = EXPORTS
        .into_iter()
        .filter(|name| component.get_export_index(None, *name).is_none())
        .map(str::to_owned)
        .collect();
    if !missing.is_empty() {
        return Err(DeployError::MissingExports(missing));
    }
    let mut unknown = Vec::new();
    let mut needs = Vec::new();
    for (name, import) in ty.imports(&sandbox.engine) {
        match interface(name) {
            Some(Interface::Free) => {}
            Some(Interface::Needs(capability)) => {
                // An interface may be imported for its types alone.
                if has_function(sandbox, &import.ty) {
                    needs.push((name.to_owned(), capability));
                }
            }
            None => unknown.push(name.to_owned()),
        }
    }
    if unknown.is_empty() { Ok(needs) } else { Err(DeployError::UnknownImports(unknown)) }
}

enum Interface {
    Free,
    Needs(Capability),
}

/// What an interface of that name, `namespace:package/interface@version`, takes.
fn interface(name: &str) -> Option<Interface> {
    if name.starts_with("wasi:") {
        return Some(Interface::Free);
    }
    let (interface, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    if !version.starts_with("1.") {
        return None;
    }
    match interface {
        "types" | "host" => Some(Interface::Free),
        other => Capability::parse(other).map(Interface::Needs),
    }
}

fn has_function(sandbox: &Sandbox, item: &ComponentItem) -> bool {
    match item {
        ComponentItem::ComponentInstance(instance) => instance
            .exports(&sandbox.engine)
            .any(|(_, export)| matches!(export.ty, ComponentItem::ComponentFunc(_))),
        _ => true,
    }
}
