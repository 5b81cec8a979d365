//! The contract as Rust, generated from the file that it is written in.

wasmtime::component::bindgen!({
    path: "../../sdk/wit/shunt-route.wit",
    world: "route",
    ownership: Borrowing { duplicate_if_necessary: false },
});
