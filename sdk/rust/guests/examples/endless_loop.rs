//! Never ends where the routing key is `loop`.
#![cfg_attr(target_family = "wasm", no_std)]

use shunt_route::{BindingIndex, Bindings, Destinations, Fields, Refusal, route};

/// What counts of a message.
#[derive(Fields)]
pub struct Header<'m> {
    routing_key: &'m str,
}

/// Any other message goes to the first binding.
#[route(name = "endless-loop", version = "1.0.0")]
pub fn endless_loop(
    header: Header<'_>,
    _bindings: &Bindings<'_>,
    destinations: &mut Destinations,
) -> Result<(), Refusal> {
    if header.routing_key == "loop" {
        loop {
            core::hint::spin_loop();
        }
    }
    destinations.add(BindingIndex(0));
    Ok(())
}
