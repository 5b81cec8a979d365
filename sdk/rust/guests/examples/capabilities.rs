//! Uses the capability that the routing key names.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::vec;
use core::str;

use shunt_route::host::{self, Level, Load};
use shunt_route::{BindingIndex, Bindings, Destinations, Fields, Refusal, route};

/// What counts of a message.
#[derive(Fields)]
pub struct Header<'m> {
    routing_key: &'m str,
}

/// Where it works as the contract says, to the first binding or to the one that it chose.
#[route(name = "capabilities", version = "1.0.0", wants = ["clock", "random", "load", "state"])]
pub fn capabilities(
    header: Header<'_>,
    bindings: &Bindings<'_>,
    destinations: &mut Destinations,
) -> Result<(), Refusal> {
    let index = match header.routing_key {
        "log" => {
            host::log(Level::Warn, "a line of the guest: größe");
            0
        }
        "clock" => {
            let now = host::now_ms();
            u32::from(now < 1_600_000_000_000 || now != host::now_ms())
        }
        "random" => u32::from(host::random() == host::random()),
        "load" => least_loaded(bindings).ok_or("no binding leads to a queue")?,
        "state" => count()? % bindings.len().max(1),
        "state-long" => long_value()?,
        "state-remove" => {
            host::state_remove(b"count");
            u32::from(host::state_get(b"count").is_some())
        }
        _ => return Err("no such capability".into()),
    };
    destinations.add(BindingIndex(index));
    Ok(())
}

/// The first of those with the fewest messages ready.
fn least_loaded(bindings: &Bindings<'_>) -> Option<u32> {
    let loads = bindings
        .iter()
        .filter_map(|binding| Some((host::queue_load(binding.index, Load::Ready)?, binding.index)));
    loads.min().map(|(_, index)| index.0)
}

/// How often it was asked before: text of decimal digits.
fn count() -> Result<u32, Refusal> {
    let kept = host::state_get(b"count").unwrap_or_else(|| vec![b'0']);
    let count: u32 = str::from_utf8(&kept)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or("the count is no number")?;
    let next = [b'0' + ((count + 1) % 10) as u8];
    host::state_put(b"count", &next).map_err(|_| "the state is full")?;
    Ok(count)
}

/// 0 where 1 000 bytes come back as they were put.
fn long_value() -> Result<u32, Refusal> {
    let value = vec![b'v'; 1_000];
    host::state_put(b"long", &value).map_err(|_| "the state is full")?;
    Ok(u32::from(host::state_get(b"long") != Some(value)))
}
