//! A route that keeps state.

use shunt_route::testing::{Data, Declared, Header as Message};
use shunt_route::{Binding, Bindings, Destinations, Exchange, Fields, Refusal, Route, route};

#[derive(Fields)]
struct Nothing {}

/// Refuses more bindings than `x-max`, keys that are empty, and messages while none is bound.
struct Counting {
    max: u32,
    count: u32,
}

#[route]
impl Route for Counting {
    type Header<'m> = Nothing;

    fn configure(exchange: &Exchange<'_>) -> Result<Self, Refusal> {
        assert_eq!((exchange.name, exchange.vhost), ("tested", "/"));
        let max = exchange.arguments.read("x-max")?;
        Ok(Self { max, count: 0 })
    }

    fn check_binding(&self, binding: &Binding<'_>) -> Result<(), Refusal> {
        match binding.key {
            "" => Err(Refusal::of(&["no key for ", binding.name])),
            _ => Ok(()),
        }
    }

    fn bindings(&mut self, bindings: &Bindings<'_>) -> Result<(), Refusal> {
        self.count = bindings.len();
        if self.count > self.max {
            return Err("too many bindings".into());
        }
        Ok(())
    }

    fn route(&self, _: Nothing, destinations: &mut Destinations) -> Result<(), Refusal> {
        if self.count == 0 {
            return Err(format!("none of {}", self.max).into());
        }
        destinations.add_queue("some");
        Ok(())
    }
}

#[test]
fn configuration_is_checked() {
    let reason = |arguments: Vec<(&'static str, Data)>| {
        Declared::<Counting>::new(arguments).expect_err("refused")
    };
    assert_eq!(reason(vec![]), "x-max is missing");
    assert_eq!(reason(vec![("x-max", "1".into())]), "x-max is not an integer from 0 to 4294967295");
}

#[test]
fn a_refused_binding_is_not_stored() {
    let mut exchange = Declared::<Counting>::new([("x-max", 1.into())]).expect("declared");
    assert_eq!(exchange.bind_queue("q", "", []), Err("no key for q".into()));
    assert_eq!(exchange.route(&Message::new()), Err("none of 1".into()));
}

#[test]
fn nothing_is_routed_by_half_of_the_bindings() {
    let mut exchange = Declared::<Counting>::new([("x-max", 1.into())]).expect("declared");
    exchange.bind_queue("q", "1", []).expect("bound");
    assert_eq!(exchange.route(&Message::new()), Ok(vec!["some".into()]));
    assert_eq!(exchange.bind_queue("q", "2", []), Err("too many bindings".into()));
    assert_eq!(exchange.route(&Message::new()), Err("too many bindings".into()));
}

#[test]
fn name_and_version_are_the_package_s() {
    let exchange = Declared::<Counting>::new([("x-max", 1.into())]).expect("declared");
    let Data::Table(description) = exchange.describe() else {
        panic!("a table");
    };
    assert_eq!(description[0].1, "shunt-route".into());
    assert_eq!(description[1].1, env!("CARGO_PKG_VERSION").into());
}
