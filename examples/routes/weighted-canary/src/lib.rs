//! Splits messages between queues by weights: the recipe's README says how to use it.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use shunt_route::{
    Binding, BindingIndex, Bindings, Destinations, Exchange, Fields, Refusal, Route, route,
    stable_hash, stable_hash_with,
};

/// What a message is routed by.
#[derive(Fields)]
pub struct Header<'m> {
    message_id: Option<&'m str>,
    correlation_id: Option<&'m str>,
    user_id: Option<&'m str>,
    routing_key: &'m str,
    #[field("headers.split-key")]
    split_key: Option<&'m str>,
}

/// The ranges of the hash that go to each binding.
pub struct WeightedCanary {
    split_by: SplitBy,
    /// Whether what cannot be split goes to the heaviest binding, instead of being refused.
    missing_to_heaviest: bool,
    /// So that two experiments do not choose the same messages.
    salt: u64,
    slices: Vec<Slice>,
}

#[derive(Clone, Copy)]
enum SplitBy {
    MessageId,
    CorrelationId,
    UserId,
    RoutingKey,
    Header,
}

struct Slice {
    name: String,
    weight: u64,
    index: BindingIndex,
}

#[route(name = "weighted-canary", version = "1.0.0")]
impl Route for WeightedCanary {
    type Header<'m> = Header<'m>;

    fn configure(exchange: &Exchange<'_>) -> Result<Self, Refusal> {
        let arguments = exchange.arguments;
        let salt: Option<&str> = arguments.read("x-salt")?;
        Ok(Self {
            split_by: split_by(arguments.read("x-split-by")?)?,
            missing_to_heaviest: match arguments.read("x-missing")? {
                None | Some("refuse") => false,
                Some("heaviest") => true,
                Some(_) => return Err("x-missing is refuse or heaviest".into()),
            },
            salt: stable_hash(salt.unwrap_or_default().as_bytes()),
            slices: Vec::new(),
        })
    }

    fn check_binding(&self, binding: &Binding<'_>) -> Result<(), Refusal> {
        weight(binding).map(drop)
    }

    fn bindings(&mut self, bindings: &Bindings<'_>) -> Result<(), Refusal> {
        self.slices.clear();
        for binding in bindings.iter() {
            // By name: a message must not change sides because something was bound again.
            let before = |slice: &Slice| slice.name.as_str() <= binding.name;
            let place = self.slices.partition_point(before);
            let slice = Slice {
                name: binding.name.into(),
                weight: weight(&binding)?,
                index: binding.index,
            };
            self.slices.insert(place, slice);
        }
        Ok(())
    }

    fn route(&self, header: Header<'_>, destinations: &mut Destinations) -> Result<(), Refusal> {
        let slice = match self.key(&header) {
            Some(key) => self.slice(key),
            None if self.missing_to_heaviest => self.slices.iter().max_by_key(|slice| slice.weight),
            None => return Err("the message has nothing to split it by: see x-split-by".into()),
        };
        if let Some(slice) = slice {
            destinations.add(slice.index);
        }
        Ok(())
    }
}

impl WeightedCanary {
    fn key<'m>(&self, header: &Header<'m>) -> Option<&'m str> {
        match self.split_by {
            SplitBy::MessageId => header.message_id,
            SplitBy::CorrelationId => header.correlation_id,
            SplitBy::UserId => header.user_id,
            SplitBy::RoutingKey => Some(header.routing_key),
            SplitBy::Header => header.split_key,
        }
    }

    /// The slice in which the hash of `key` falls; `None` where no binding has a weight.
    fn slice(&self, key: &str) -> Option<&Slice> {
        let total: u64 = self.slices.iter().map(|slice| slice.weight).sum();
        let hash = stable_hash_with(self.salt, key.as_bytes());
        // The hash as a fraction of 2^64, times the total: an even spread without a remainder.
        let mut point = ((u128::from(hash) * u128::from(total)) >> 64) as u64;
        for slice in &self.slices {
            if point < slice.weight {
                return Some(slice);
            }
            point -= slice.weight;
        }
        None
    }
}

fn split_by(argument: Option<&str>) -> Result<SplitBy, Refusal> {
    Ok(match argument {
        None | Some("message_id") => SplitBy::MessageId,
        Some("correlation_id") => SplitBy::CorrelationId,
        Some("user_id") => SplitBy::UserId,
        Some("routing_key") => SplitBy::RoutingKey,
        Some("headers.split-key") => SplitBy::Header,
        Some(_) => {
            return Err("x-split-by is message_id, correlation_id, user_id, routing_key \
                 or headers.split-key"
                .into());
        }
    })
}

/// The argument `weight`, else the binding key.
fn weight(binding: &Binding<'_>) -> Result<u64, Refusal> {
    let weight: Option<u32> = binding.arguments.read("weight")?;
    match weight.or_else(|| binding.key.parse().ok()) {
        Some(weight) => Ok(weight.into()),
        None => Err("a binding needs a weight: a number as its key or as the argument".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::WeightedCanary;
    use shunt_route::testing::{Declared, Header};

    #[test]
    fn cases() {
        check_cases::check_cases::<WeightedCanary>(include_str!("../cases.json"));
    }

    #[test]
    fn description() {
        check_cases::check_description::<WeightedCanary>(include_str!("../route.toml"));
    }

    fn canaries(percent: u32, salt: &str) -> Vec<usize> {
        let mut exchange =
            Declared::<WeightedCanary>::new([("x-salt", salt.into())]).expect("declared");
        for (queue, weight) in [("old", 100 - percent), ("new", percent)] {
            exchange.bind_queue(queue, &weight.to_string(), []).expect("bound");
        }
        let chosen = |id: &usize| {
            let header = Header::new().field("message_id", format!("id-{id}").as_str());
            exchange.route(&header) == Ok(vec!["new".into()])
        };
        (0..20_000).filter(chosen).collect()
    }

    #[test]
    fn percentages_are_kept() {
        for percent in [1, 5, 50] {
            let got = canaries(percent, "").len() as f64 / 200.0;
            assert!((got - f64::from(percent)).abs() < 1.0, "{percent}: {got}");
        }
    }

    #[test]
    fn raising_a_percentage_keeps_those_that_were_chosen() {
        let (few, many) = (canaries(5, ""), canaries(10, ""));
        assert!(few.iter().all(|id| many.contains(id)));
    }

    #[test]
    fn a_salt_chooses_others() {
        let (one, other) = (canaries(5, "checkout"), canaries(5, "search"));
        let both = one.iter().filter(|id| other.contains(id)).count();
        assert!(both < one.len() / 10, "{both} of {}", one.len());
    }
}
