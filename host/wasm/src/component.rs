//! Routes that are components: the second encoding of the contract (ROUTE-ABI section 3).
//!
//! The types and functions are generated from `sdk/wit/shunt-route.wit`, the same file that
//! routes are written against (`contract`). Everything that comes out of a call was checked by
//! wasmtime for its encoding and is bounded by `Store::set_hostcall_fuel`; what it means is
//! checked here as it is for core modules.

mod check;
mod contract;
mod direct;
mod imports;
mod instance;
mod values;
mod wasi;

use wasmtime::Engine;
use wasmtime::component::Component;

pub(crate) use check::check;
pub(crate) use contract::RoutePre;
pub(crate) use direct::{DirectCode, part_name};
pub(crate) use instance::ComponentInstance;

use crate::engine::Sandbox;
use crate::error::DeployError;
use crate::guest::Guest;

/// What components may import.
pub(crate) type Linker = wasmtime::component::Linker<Guest>;

/// The linker of all components.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker> {
    let mut linker = Linker::new(engine);
    imports::link(&mut linker)?;
    Ok(linker)
}

/// Links a component whose imports were checked.
pub(crate) fn link(
    sandbox: &Sandbox,
    component: &Component,
) -> Result<RoutePre<Guest>, DeployError> {
    let refused = |error: wasmtime::Error| DeployError::Component(format!("{error:#}"));
    let mut linker = sandbox.components.clone();
    wasi::link(&mut linker, &sandbox.engine, component).map_err(refused)?;
    let linked = linker.instantiate_pre(component).map_err(refused)?;
    RoutePre::new(linked).map_err(refused)
}
