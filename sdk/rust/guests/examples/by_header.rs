//! To each binding whose argument `value` equals the header `value`.
#![cfg_attr(target_family = "wasm", no_std)]

use shunt_route::{Bindings, Destinations, Fields, Refusal, Value, route};

/// What counts of a message.
#[derive(Fields)]
pub struct Header<'m> {
    #[field("headers.value")]
    value: Value<'m>,
}

/// Compares type and value.
#[route(name = "by-header", version = "1.0.0")]
pub fn by_header(
    header: Header<'_>,
    bindings: &Bindings<'_>,
    destinations: &mut Destinations,
) -> Result<(), Refusal> {
    for binding in bindings.iter().filter(|binding| binding.arguments.get("value") == header.value)
    {
        destinations.add(binding.index);
    }
    Ok(())
}
