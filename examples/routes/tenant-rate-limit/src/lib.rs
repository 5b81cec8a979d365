//! Each tenant at its rate, what is above it to a slow lane: the recipe's README says how to use
//! it.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod bucket;

use alloc::string::String;
use alloc::vec::Vec;

use bucket::{Bucket, Rate};
use shunt_route::host::{Level, log, now_ms, state_get, state_put};
use shunt_route::{
    Binding, BindingIndex, Bindings, Destinations, Exchange, Fields, Refusal, Route, Table, Value,
    route,
};

/// Whose message it is.
#[derive(Fields)]
pub struct Header<'m> {
    #[field("headers.tenant")]
    tenant: &'m str,
}

/// The rates, and the lanes.
pub struct TenantRateLimit {
    usual: Rate,
    /// Tenants with a rate of their own.
    own: Vec<(String, Rate)>,
    fast: Vec<BindingIndex>,
    slow: Vec<BindingIndex>,
}

#[route(name = "tenant-rate-limit", version = "1.0.0", wants = ["clock", "state"])]
impl Route for TenantRateLimit {
    type Header<'m> = Header<'m>;

    fn configure(exchange: &Exchange<'_>) -> Result<Self, Refusal> {
        let arguments = exchange.arguments;
        let rate: Option<u64> = arguments.read("x-rate")?;
        let rate = rate.ok_or("x-rate is missing: messages a second")?;
        let burst: Option<u64> = arguments.read("x-burst")?;
        let usual = Rate::new(rate, burst.unwrap_or(rate))?;
        let tenants: Option<Table<'_>> = arguments.read("x-tenants")?;
        let own = tenants.map_or(Ok(Vec::new()), rates)?;
        Ok(Self { usual, own, fast: Vec::new(), slow: Vec::new() })
    }

    fn check_binding(&self, binding: &Binding<'_>) -> Result<(), Refusal> {
        match binding.key {
            "fast" | "slow" => Ok(()),
            _ => Err("a key is fast or slow".into()),
        }
    }

    fn bindings(&mut self, bindings: &Bindings<'_>) -> Result<(), Refusal> {
        let of = |key| bindings.iter().filter(move |b| b.key == key).map(|b| b.index).collect();
        (self.fast, self.slow) = (of("fast"), of("slow"));
        Ok(())
    }

    fn route(&self, header: Header<'_>, destinations: &mut Destinations) -> Result<(), Refusal> {
        let own = self.own.iter().find(|(tenant, _)| tenant == header.tenant);
        let rate = own.map_or(self.usual, |(_, rate)| *rate);
        let lane = if takes(header.tenant, rate) { &self.fast } else { &self.slow };
        lane.iter().for_each(|binding| destinations.add(*binding));
        Ok(())
    }
}

/// Whether the tenant's bucket has one more; takes it then.
fn takes(tenant: &str, rate: Rate) -> bool {
    let kept = state_get(tenant.as_bytes());
    let now_ms = now_ms();
    let bucket = kept.as_deref().and_then(Bucket::read).unwrap_or_else(|| rate.full(now_ms));
    let (bucket, is_taken) = rate.take(bucket, now_ms);
    if state_put(tenant.as_bytes(), &bucket.bytes()).is_err() {
        // Who can't be counted is slow: else a flood of names would be fast.
        log(Level::Warn, "there is no room for one more tenant: see state_bytes");
        return false;
    }
    is_taken
}

fn rates(tenants: Table<'_>) -> Result<Vec<(String, Rate)>, Refusal> {
    let rate = |(tenant, rate): (&str, Value<'_>)| match rate {
        Value::Integer(rate) if rate >= 0 => {
            Ok((tenant.into(), Rate::new(rate as u64, rate as u64)?))
        }
        _ => Err(Refusal::of(&["x-tenants: ", tenant, " needs a number of messages a second"])),
    };
    tenants.iter().map(rate).collect()
}

#[cfg(test)]
mod tests {
    use shunt_route::testing::{Data, Declared, HostStub};

    use super::*;

    #[test]
    fn cases() {
        check_cases::check_cases::<TenantRateLimit>(include_str!("../cases.json"));
    }

    #[test]
    fn description() {
        check_cases::check_description::<TenantRateLimit>(include_str!("../route.toml"));
    }

    #[test]
    fn a_tenant_is_slow_above_its_rate_and_fast_again_after_a_while() {
        let arguments = [("x-rate", Data::Integer(2)), ("x-burst", Data::Integer(3))];
        let mut exchange = Declared::<TenantRateLimit>::new(arguments).expect("declared");
        exchange.bind_queue("f", "fast", []).expect("bound");
        exchange.bind_queue("s", "slow", []).expect("bound");
        let mut lanes = |tenant: &str, count: usize| -> String {
            let message = shunt_route::testing::Header::new().header("tenant", tenant);
            let lane = |_| match &exchange.route(&message).expect("an answer")[..] {
                [shunt_route::testing::Destination::Queue(name)] => name.clone(),
                other => panic!("{other:?}"),
            };
            (0..count).map(lane).collect()
        };
        HostStub::with(|host| host.now_ms = 10_000);
        assert_eq!(lanes("a", 5), "fffss");
        assert_eq!(lanes("b", 1), "f");
        HostStub::with(|host| host.now_ms += 500);
        assert_eq!(lanes("a", 2), "fs");
        HostStub::with(|host| host.now_ms += 60_000);
        assert_eq!(lanes("a", 4), "fffs");
        HostStub::with(|host| host.state_length_max = Some(0));
        assert_eq!(lanes("c", 1), "s");
    }
}
