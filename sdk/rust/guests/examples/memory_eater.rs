//! Takes memory until there is none where the routing key is `eat`.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;

use shunt_route::{BindingIndex, Bindings, Destinations, Fields, Refusal, route};

/// What counts of a message.
#[derive(Fields)]
pub struct Header<'m> {
    routing_key: &'m str,
}

/// Any other message goes to the first binding.
#[route(name = "memory-eater", version = "1.0.0")]
pub fn memory_eater(
    header: Header<'_>,
    _bindings: &Bindings<'_>,
    destinations: &mut Destinations,
) -> Result<(), Refusal> {
    if header.routing_key == "eat" {
        let mut eaten = Vec::new();
        loop {
            eaten.push(vec![1_u8; 1 << 20]);
            black_box(&eaten);
        }
    }
    destinations.add(BindingIndex(0));
    Ok(())
}
