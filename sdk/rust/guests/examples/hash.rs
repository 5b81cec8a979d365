//! To one binding, by FNV-1a of the routing key.
#![cfg_attr(target_family = "wasm", no_std)]

use shunt_route::{BindingIndex, Bindings, Destinations, Fields, Refusal, route};

/// What counts of a message.
#[derive(Fields)]
pub struct Header<'m> {
    routing_key: &'m str,
}

/// The remainder of the hash by the number of bindings.
#[route(name = "hash", version = "1.0.0")]
pub fn hash(
    header: Header<'_>,
    bindings: &Bindings<'_>,
    destinations: &mut Destinations,
) -> Result<(), Refusal> {
    if !bindings.is_empty() {
        let index = fnv_1a(header.routing_key.as_bytes()) % u64::from(bindings.len());
        destinations.add(BindingIndex(index as u32));
    }
    Ok(())
}

fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
