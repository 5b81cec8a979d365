//! To the first `x-first` bindings, and to the queue `x-queue`.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;

use shunt_route::{BindingIndex, Bindings, Destinations, Exchange, Fields, Refusal, Route, route};

/// Nothing of the message counts.
#[derive(Fields)]
pub struct Header {}

/// The answer to every message.
pub struct Fixed {
    first: u32,
    queue: Option<String>,
}

#[route(name = "fixed", version = "1.0.0")]
impl Route for Fixed {
    type Header<'m> = Header;

    fn configure(exchange: &Exchange<'_>) -> Result<Self, Refusal> {
        let first: Option<i64> = exchange.arguments.read("x-first")?;
        let queue: Option<&str> = exchange.arguments.read("x-queue")?;
        let first = u32::try_from(first.unwrap_or(1)).unwrap_or_default();
        Ok(Self { first, queue: queue.map(Into::into) })
    }

    fn bindings(&mut self, _bindings: &Bindings<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    fn route(&self, _header: Header, destinations: &mut Destinations) -> Result<(), Refusal> {
        for index in 0..self.first {
            destinations.add(BindingIndex(index));
        }
        if let Some(queue) = &self.queue {
            destinations.add_queue(queue);
        }
        Ok(())
    }
}
