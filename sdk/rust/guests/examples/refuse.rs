//! Refuses every message, and exchanges and bindings that ask for it.
#![cfg_attr(target_family = "wasm", no_std)]

use shunt_route::{Binding, Bindings, Destinations, Exchange, Fields, Refusal, Route, route};

/// What counts of a message.
#[derive(Fields)]
pub struct Header<'m> {
    #[field("headers.reason")]
    reason: Option<&'m str>,
}

/// It has nothing to keep.
pub struct Refuse;

#[route(name = "refuse", version = "1.0.0")]
impl Route for Refuse {
    type Header<'m> = Header<'m>;

    fn configure(exchange: &Exchange<'_>) -> Result<Self, Refusal> {
        match exchange.arguments.read::<Option<&str>>("x-refuse")? {
            Some(reason) => Err(Refusal::of(&[reason])),
            None => Ok(Self),
        }
    }

    fn check_binding(&self, binding: &Binding<'_>) -> Result<(), Refusal> {
        if binding.key == "refuse" {
            return Err("the key is refuse".into());
        }
        match binding.arguments.read::<Option<&str>>("refuse")? {
            Some(reason) => Err(Refusal::of(&[reason])),
            None => Ok(()),
        }
    }

    fn bindings(&mut self, _bindings: &Bindings<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    fn route(&self, header: Header<'_>, _destinations: &mut Destinations) -> Result<(), Refusal> {
        Err(Refusal::of(&[header.reason.unwrap_or("refused by the guest")]))
    }
}
