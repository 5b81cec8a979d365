//! To the bindings of the message's key: the recipe's README says what for.
#![cfg_attr(target_family = "wasm", no_std)]

use shunt_route::{Bindings, Destinations, Fields, Refusal, route};

/// What a message is routed by.
#[derive(Fields)]
pub struct Header<'m> {
    routing_key: &'m str,
    #[field("headers.key")]
    key: Option<&'m str>,
}

/// To every binding whose key is the message's: its header `key`, or else its routing key.
#[route(name = "by-key", version = "1.0.0")]
pub fn by_key(
    header: Header<'_>,
    bindings: &Bindings<'_>,
    destinations: &mut Destinations,
) -> Result<(), Refusal> {
    let wanted = header.key.unwrap_or(header.routing_key);
    for binding in bindings.iter().filter(|binding| binding.key == wanted) {
        destinations.add(binding.index);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::by_key;

    #[test]
    fn cases() {
        check_cases::check_cases::<by_key>(include_str!("../cases.json"));
    }

    #[test]
    fn description() {
        check_cases::check_description::<by_key>(include_str!("../route.toml"));
    }
}
