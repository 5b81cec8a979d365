//! What an instance answers to a host that does not follow the contract.

use super::{Answer, Instance};
use crate::hash::stable_hash_with;
use crate::testing::Data;
use crate::{Bindings, Destinations, Fields, Refusal, Table, route};

#[derive(Fields)]
struct Header<'m> {
    routing_key: &'m str,
    headers: Option<Table<'m>>,
}

/// To every binding that has an argument of the name that some header has.
#[route]
fn curious(
    header: Header<'_>,
    bindings: &Bindings<'_>,
    destinations: &mut Destinations,
) -> Result<(), Refusal> {
    destinations.add_queue(header.routing_key);
    for binding in bindings.iter() {
        let mut names = header.headers.iter().flat_map(|headers| headers.iter());
        if names.any(|(name, _)| !binding.arguments.get(name).is_absent()) {
            destinations.add(binding.index);
        }
    }
    Ok(())
}

fn table(pairs: &[(&str, Data)]) -> Data {
    let pairs = pairs.iter();
    Data::Table(pairs.map(|(name, value)| (String::from(*name), value.clone())).collect())
}

fn array(values: &[Data]) -> Data {
    Data::Array(values.to_vec())
}

/// An input of each call: configure, check-binding, bindings, route.
fn inputs() -> [Vec<u8>; 4] {
    let some = table(&[("region", "eu".into()), ("n", array(&[1.into(), table(&[])]))]);
    let exchange =
        [("exchange", "orders".into()), ("vhost", "/".into()), ("arguments", some.clone())];
    let binding = array(&["queue".into(), "q".into(), "key".into(), some.clone()]);
    [
        table(&exchange).encode(),
        binding.encode(),
        array(&[binding.clone(), binding]).encode(),
        array(&["orders.new".into(), some]).encode(),
    ]
}

fn call<'a>(instance: &'a mut Instance<curious>, number: usize, input: &[u8]) -> Answer<'a> {
    match number {
        0 => instance.configure(input),
        1 => instance.check_binding(input),
        2 => instance.bindings(input),
        _ => instance.route(input),
    }
}

#[test]
fn the_inputs_are_good() {
    let mut instance = Instance::<curious>::new();
    let [configure, binding, bindings, route] = inputs();
    assert_eq!(instance.configure(&configure), Answer::Nothing);
    assert_eq!(instance.check_binding(&binding), Answer::Nothing);
    assert_eq!(instance.bindings(&bindings), Answer::Nothing);
    let answer = [b"\x93\xaaorders.new".as_slice(), &[0, 1]].concat();
    assert_eq!(instance.route(&route), Answer::Packed(&answer));
}

#[test]
fn an_instance_must_be_configured_first() {
    let inputs = inputs();
    for (number, input) in inputs.iter().enumerate().skip(1) {
        let mut instance = Instance::<curious>::new();
        let reason = "the host has not configured this instance";
        assert_eq!(call(&mut instance, number, input), Answer::Refused(reason));
    }
}

#[test]
fn every_part_of_an_input_is_refused() {
    let inputs = inputs();
    let mut instance = Instance::<curious>::new();
    for (number, input) in inputs.iter().enumerate() {
        for length in 0..input.len() {
            let answer = call(&mut instance, number, &input[..length]);
            assert!(matches!(answer, Answer::Refused(_)), "{number}: {length}");
        }
        assert!(!matches!(call(&mut instance, number, input), Answer::Refused(_)));
    }
}

#[test]
fn inputs_of_other_calls_are_refused() {
    let inputs = inputs();
    for (number, _) in inputs.iter().enumerate() {
        for (other, input) in inputs.iter().enumerate().filter(|(other, _)| *other != number) {
            let mut instance = Instance::<curious>::new();
            instance.configure(&inputs[0]);
            let answer = call(&mut instance, number, input);
            assert!(matches!(answer, Answer::Refused(_)), "{other} to {number}");
        }
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let inputs = inputs();
    let mut instance = Instance::<curious>::new();
    let mut seed = 0;
    let mut below = |limit: usize| {
        seed += 1;
        (stable_hash_with(seed, &[]) % limit as u64) as usize
    };
    for round in 0..100_000 {
        let number = round % 4;
        let mut input = inputs[number].clone();
        for _ in 0..below(4) {
            let at = below(input.len());
            input[at] = below(256) as u8;
        }
        call(&mut instance, number, &input);
    }
}
