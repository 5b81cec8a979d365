//! Each message to the less loaded of two queues: the recipe's README says how to use it.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::vec::Vec;

use shunt_route::host::{Load, queue_load};
use shunt_route::{
    Binding, BindingIndex, Bindings, DestinationKind, Destinations, Exchange, Fields, Refusal,
    Route, route, stable_hash,
};

/// What the two queues of a message are drawn by.
#[derive(Fields)]
pub struct Header<'m> {
    message_id: Option<&'m str>,
    routing_key: &'m str,
}

/// The queues to choose from.
pub struct LeastLoaded {
    queues: Vec<BindingIndex>,
}

#[route(name = "least-loaded", version = "1.0.0", wants = ["load"])]
impl Route for LeastLoaded {
    type Header<'m> = Header<'m>;

    fn configure(_: &Exchange<'_>) -> Result<Self, Refusal> {
        Ok(Self { queues: Vec::new() })
    }

    fn check_binding(&self, binding: &Binding<'_>) -> Result<(), Refusal> {
        match binding.kind {
            DestinationKind::Queue => Ok(()),
            DestinationKind::Exchange => Err("only a queue has a load".into()),
        }
    }

    fn bindings(&mut self, bindings: &Bindings<'_>) -> Result<(), Refusal> {
        self.queues = bindings.iter().map(|binding| binding.index).collect();
        Ok(())
    }

    fn route(&self, header: Header<'_>, destinations: &mut Destinations) -> Result<(), Refusal> {
        let draw = stable_hash(header.message_id.unwrap_or(header.routing_key).as_bytes());
        if let Some((one, other)) = two_of(&self.queues, draw) {
            destinations.add(if burden(other) < burden(one) { other } else { one });
        }
        Ok(())
    }
}

/// Two different ones of the queues, or twice the only one.
fn two_of(queues: &[BindingIndex], draw: u64) -> Option<(BindingIndex, BindingIndex)> {
    let count = queues.len() as u64;
    let one = draw.checked_rem(count)?;
    let other = match (draw >> 32).checked_rem(count - 1) {
        Some(place) => place + u64::from(place >= one),
        None => one,
    };
    Some((queues[one as usize], queues[other as usize]))
}

/// What makes a queue the worse of two: that nobody consumes from it, then its messages.
fn burden(queue: BindingIndex) -> (bool, u64) {
    let load = |what| queue_load(queue, what).unwrap_or(0);
    (load(Load::Consumers) == 0, load(Load::Ready) + load(Load::Unacked))
}

#[cfg(test)]
mod tests {
    use shunt_route::testing::{Declared, HostStub};

    use super::*;

    #[test]
    fn cases() {
        check_cases::check_cases::<LeastLoaded>(include_str!("../cases.json"));
    }

    #[test]
    fn description() {
        check_cases::check_description::<LeastLoaded>(include_str!("../route.toml"));
    }

    #[test]
    fn two_are_different_and_each_is_drawn() {
        let queues: Vec<_> = (0..5).map(BindingIndex).collect();
        let mut drawn = [0_u32; 5];
        for n in 0_u32..1_000 {
            let (one, other) = two_of(&queues, stable_hash(&n.to_le_bytes())).expect("two");
            assert_ne!(one, other);
            drawn[one.0 as usize] += 1;
            drawn[other.0 as usize] += 1;
        }
        assert!(drawn.iter().all(|count| (300..500).contains(count)), "{drawn:?}");
        assert_eq!(two_of(&queues[..1], 9), Some((BindingIndex(0), BindingIndex(0))));
        assert_eq!(two_of(&[], 9), None);
    }

    #[test]
    fn the_less_loaded_gets_it_unless_nobody_consumes_there() {
        let mut exchange = Declared::<LeastLoaded>::new([]).expect("declared");
        exchange.bind_queue("a", "", []).expect("bound");
        exchange.bind_queue("b", "", []).expect("bound");
        let message = shunt_route::testing::Header::new().routing_key("k");
        let mut check = |loads: [(u32, Load, u64); 3], queue: &str| {
            HostStub::with(|host| {
                host.load = loads
                    .into_iter()
                    .map(|(index, what, n)| ((BindingIndex(index), what), n))
                    .collect();
            });
            assert_eq!(exchange.route(&message), Ok(vec![queue.into()]), "{loads:?}");
        };
        let (ready, unacked, consumers) = (Load::Ready, Load::Unacked, Load::Consumers);
        check([(0, ready, 1), (1, ready, 0), (0, unacked, 0)], "b");
        check([(0, ready, 0), (1, ready, 1), (0, unacked, 2)], "b");
        check([(0, ready, 1), (0, unacked, 1), (1, unacked, 3)], "a");
        check([(0, ready, 9), (0, consumers, 1), (1, ready, 0)], "a");
    }
}
