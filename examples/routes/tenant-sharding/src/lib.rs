//! Gives every tenant one queue: the recipe's README says how to use it.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod rendezvous;

use alloc::string::String;
use alloc::vec::Vec;

use rendezvous::Shard;
use shunt_route::{
    Binding, BindingIndex, Bindings, Destinations, Exchange, Fields, Refusal, Route, Table, Value,
    route,
};

/// What a message is routed by.
#[derive(Fields)]
pub struct Header<'m> {
    #[field("headers.tenant")]
    tenant: Option<&'m str>,
    routing_key: &'m str,
}

/// The shards, and the tenants that have a queue of their own.
pub struct TenantSharding {
    /// Whether the routing key stands for the tenant where the header is missing.
    key_is_tenant: bool,
    pins: Vec<Pin>,
    shards: Vec<Shard>,
}

struct Pin {
    tenant: String,
    queue: String,
    /// `None` as long as the queue is not bound.
    binding: Option<BindingIndex>,
}

/// With more, comparing two weighted distances could overflow.
const WEIGHT_MAX: u32 = 1_000_000;

#[route(name = "tenant-sharding", version = "1.0.0")]
impl Route for TenantSharding {
    type Header<'m> = Header<'m>;

    fn configure(exchange: &Exchange<'_>) -> Result<Self, Refusal> {
        let arguments = exchange.arguments;
        let key_is_tenant = match arguments.read("x-missing-tenant")? {
            None | Some("refuse") => false,
            Some("routing-key") => true,
            Some(_) => return Err("x-missing-tenant is refuse or routing-key".into()),
        };
        let pinned: Option<Table<'_>> = arguments.read("x-pinned")?;
        Ok(Self { key_is_tenant, pins: pinned.map_or(Ok(Vec::new()), pins)?, shards: Vec::new() })
    }

    fn check_binding(&self, binding: &Binding<'_>) -> Result<(), Refusal> {
        weight(binding).map(drop)
    }

    fn bindings(&mut self, bindings: &Bindings<'_>) -> Result<(), Refusal> {
        self.shards.clear();
        for binding in bindings.iter() {
            self.shards.extend(Shard::new(&binding, weight(&binding)?));
        }
        for pin in &mut self.pins {
            let bound = bindings.iter().find(|binding| binding.name == pin.queue);
            pin.binding = bound.map(|binding| binding.index);
        }
        Ok(())
    }

    fn route(&self, header: Header<'_>, destinations: &mut Destinations) -> Result<(), Refusal> {
        let tenant = match header.tenant {
            Some(tenant) => tenant,
            None if self.key_is_tenant => header.routing_key,
            None => return Err("the message has no header tenant".into()),
        };
        let shard = match self.pins.iter().find(|pin| pin.tenant == tenant) {
            Some(pin) => Some(pin.binding.ok_or_else(|| {
                Refusal::of(&[tenant, " is pinned to ", &pin.queue, ", which is not bound"])
            })?),
            None => rendezvous::nearest(&self.shards, tenant),
        };
        if let Some(binding) = shard {
            destinations.add(binding);
        }
        Ok(())
    }
}

fn pins(pinned: Table<'_>) -> Result<Vec<Pin>, Refusal> {
    let pin = |(tenant, queue): (&str, Value<'_>)| match queue {
        Value::Text(queue) => Ok(Pin { tenant: tenant.into(), queue: queue.into(), binding: None }),
        _ => Err(Refusal::of(&["x-pinned: ", tenant, " needs the name of a queue"])),
    };
    pinned.iter().map(pin).collect()
}

/// The argument `weight`, else the binding key, else 1.
fn weight(binding: &Binding<'_>) -> Result<u32, Refusal> {
    let weight = match binding.arguments.read("weight")? {
        Some(weight) => Some(weight),
        None if binding.key.is_empty() => Some(1),
        None => binding.key.parse().ok(),
    };
    match weight {
        Some(weight) if weight <= WEIGHT_MAX => Ok(weight),
        _ => Err("the weight, or the binding key without one, is a number up to 1000000".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::TenantSharding;

    #[test]
    fn cases() {
        check_cases::check_cases::<TenantSharding>(include_str!("../cases.json"));
    }

    #[test]
    fn description() {
        check_cases::check_description::<TenantSharding>(include_str!("../route.toml"));
    }
}
