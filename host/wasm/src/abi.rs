//! The names and types of the contract's core encoding (ROUTE-ABI section 2).

use wasmtime::FuncType;

use crate::capability::Capability;

/// The version of the contract that `shunt_abi` must answer.
pub(crate) const VERSION: i32 = 1;

pub(crate) const MEMORY: &str = "memory";
pub(crate) const ABI: &str = "shunt_abi";
pub(crate) const ALLOC: &str = "shunt_alloc";
pub(crate) const DESCRIBE: &str = "shunt_describe";
pub(crate) const CONFIGURE: &str = "shunt_configure";
pub(crate) const CHECK_BINDING: &str = "shunt_check_binding";
pub(crate) const BINDINGS: &str = "shunt_bindings";
pub(crate) const ROUTE: &str = "shunt_route";
pub(crate) const INITIALIZE: &str = "_initialize";

/// A function that a module exports.
pub(crate) struct Export {
    pub(crate) name: &'static str,
    pub(crate) signature: &'static str,
    pub(crate) required: bool,
}

const fn export(name: &'static str, signature: &'static str, required: bool) -> Export {
    Export { name, signature, required }
}

/// The functions of the contract; the memory stands beside them.
pub(crate) const EXPORTS: [Export; 8] = [
    export(ABI, "() -> i32", true),
    export(ALLOC, "(i32) -> i32", true),
    export(DESCRIBE, "() -> i64", true),
    export(ROUTE, "(i32, i32) -> i64", true),
    export(CONFIGURE, "(i32, i32) -> i64", false),
    export(CHECK_BINDING, "(i32, i32) -> i64", false),
    export(BINDINGS, "(i32, i32) -> i64", false),
    export(INITIALIZE, "() -> ()", false),
];

/// The module that the imports of the contract come from.
pub(crate) const HOST: &str = "shunt";

/// A function that a module may import from [`HOST`], and the capability that it needs.
pub(crate) struct Import {
    pub(crate) name: &'static str,
    pub(crate) signature: &'static str,
    pub(crate) needs: Option<Capability>,
}

const fn import(name: &'static str, signature: &'static str, needs: Option<Capability>) -> Import {
    Import { name, signature, needs }
}

/// The closed list of imports from [`HOST`].
pub(crate) const IMPORTS: [Import; 6] = [
    import("log", "(i32, i32, i32) -> ()", None),
    import("now_ms", "() -> i64", Some(Capability::Clock)),
    import("random", "() -> i64", Some(Capability::Random)),
    import("queue_load", "(i32, i32) -> i64", Some(Capability::Load)),
    import("state_get", "(i32, i32, i32, i32) -> i32", Some(Capability::State)),
    import("state_put", "(i32, i32, i32, i32) -> i32", Some(Capability::State)),
];

/// A function's type as this file spells it.
pub(crate) fn signature(function: &FuncType) -> String {
    let params: Vec<_> = function.params().map(|value| value.to_string()).collect();
    let results: Vec<_> = function.results().map(|value| value.to_string()).collect();
    let result = match results.as_slice() {
        [one] => one.clone(),
        several => format!("({})", several.join(", ")),
    };
    format!("({}) -> {result}", params.join(", "))
}

/// Takes a packed i64 apart: address, then length.
pub(crate) fn unpack(packed: i64) -> (u32, u32) {
    ((packed as u64 >> 32) as u32, packed as u32)
}
