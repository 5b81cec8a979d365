//! Traps where the routing key is `trap`.
#![cfg_attr(target_family = "wasm", no_std)]

use shunt_route::{BindingIndex, Bindings, Destinations, Fields, Refusal, route};

/// What counts of a message.
#[derive(Fields)]
pub struct Header<'m> {
    routing_key: &'m str,
}

/// Any other message goes to the first binding.
#[route(name = "trap", version = "1.0.0")]
pub fn trap(
    header: Header<'_>,
    _bindings: &Bindings<'_>,
    destinations: &mut Destinations,
) -> Result<(), Refusal> {
    if header.routing_key == "trap" {
        panic!("the routing key is trap");
    }
    destinations.add(BindingIndex(0));
    Ok(())
}
