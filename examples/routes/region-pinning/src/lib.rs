//! Keeps every message in the queues of its region: the recipe's README says how to use it.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod topic;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use shunt_route::{
    Binding, BindingIndex, Bindings, Destinations, Exchange, Fields, FromValue, Refusal, Route,
    Value, route,
};
use topic::Pattern;

/// What a message is routed by.
#[derive(Fields)]
pub struct Header<'m> {
    routing_key: &'m str,
    #[field("headers.region")]
    region: Option<&'m str>,
}

/// The regions of the exchange, and who may get the messages of which.
pub struct RegionPinning {
    /// Empty where every region is allowed.
    regions: Vec<String>,
    default_region: Option<String>,
    pins: Vec<Pin>,
}

struct Pin {
    regions: Vec<String>,
    pattern: Pattern,
    index: BindingIndex,
}

#[route(name = "region-pinning", version = "1.0.0")]
impl Route for RegionPinning {
    type Header<'m> = Header<'m>;

    fn configure(exchange: &Exchange<'_>) -> Result<Self, Refusal> {
        let arguments = exchange.arguments;
        let regions: Option<Vec<&str>> = arguments.read("x-regions")?;
        let default_region: Option<&str> = arguments.read("x-default-region")?;
        let route = Self {
            regions: owned(regions.unwrap_or_default()),
            default_region: default_region.map(String::from),
            pins: Vec::new(),
        };
        match default_region {
            Some(region) => route.known(region).map(|()| route),
            None => Ok(route),
        }
    }

    fn check_binding(&self, binding: &Binding<'_>) -> Result<(), Refusal> {
        let regions = regions(binding)?;
        regions.into_iter().try_for_each(|region| self.known(region))
    }

    fn bindings(&mut self, bindings: &Bindings<'_>) -> Result<(), Refusal> {
        self.pins.clear();
        for binding in bindings.iter() {
            self.pins.push(Pin {
                regions: owned(regions(&binding)?),
                pattern: Pattern::new(binding.key),
                index: binding.index,
            });
        }
        Ok(())
    }

    fn route(&self, header: Header<'_>, destinations: &mut Destinations) -> Result<(), Refusal> {
        let Some(region) = header.region.or(self.default_region.as_deref()) else {
            return Err("the message has no header region".into());
        };
        self.known(region)?;
        for pin in &self.pins {
            if pin.regions.iter().any(|name| name == region)
                && pin.pattern.matches(header.routing_key)
            {
                destinations.add(pin.index);
            }
        }
        Ok(())
    }
}

impl RegionPinning {
    fn known(&self, region: &str) -> Result<(), Refusal> {
        if self.regions.is_empty() || self.regions.iter().any(|known| known == region) {
            return Ok(());
        }
        Err(Refusal::of(&["region ", region, " is not in x-regions"]))
    }
}

/// The regions of a binding: there is none for all, so nothing leaves a region by mistake.
fn regions<'a>(binding: &Binding<'a>) -> Result<Vec<&'a str>, Refusal> {
    let value = binding.arguments.get("region");
    let regions = match value {
        Value::Text(region) => Some(Vec::from([region])),
        value => FromValue::from_value(value),
    };
    match regions {
        Some(regions) if !regions.is_empty() => Ok(regions),
        _ => Err("a binding needs the argument region: a string, or an array of them".into()),
    }
}

fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::RegionPinning;

    #[test]
    fn cases() {
        check_cases::check_cases::<RegionPinning>(include_str!("../cases.json"));
    }

    #[test]
    fn description() {
        check_cases::check_description::<RegionPinning>(include_str!("../route.toml"));
    }
}
