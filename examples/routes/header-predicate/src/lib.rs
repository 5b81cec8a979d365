//! Routes by conditions on headers: the recipe's README says how to use it.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod condition;
mod literal;

use alloc::vec::Vec;

use condition::Condition;
use shunt_route::{
    Binding, BindingIndex, Bindings, Destinations, Exchange, Fields, Refusal, Route, Table, Value,
    route,
};

/// What a message is routed by.
#[derive(Fields)]
pub struct Header<'m> {
    headers: Option<Table<'m>>,
}

/// The rules, and the bindings for messages to which none applies.
pub struct HeaderPredicate {
    rules: Vec<Rule>,
    defaults: Vec<BindingIndex>,
}

struct Rule {
    index: BindingIndex,
    /// Whether one condition is enough.
    any: bool,
    conditions: Vec<Condition>,
}

#[route(name = "header-predicate", version = "1.0.0")]
impl Route for HeaderPredicate {
    type Header<'m> = Header<'m>;

    fn configure(_: &Exchange<'_>) -> Result<Self, Refusal> {
        Ok(Self { rules: Vec::new(), defaults: Vec::new() })
    }

    fn check_binding(&self, binding: &Binding<'_>) -> Result<(), Refusal> {
        branch(binding).map(drop)
    }

    fn bindings(&mut self, bindings: &Bindings<'_>) -> Result<(), Refusal> {
        self.rules.clear();
        self.defaults.clear();
        for binding in bindings.iter() {
            match branch(&binding)? {
                Some(rule) => self.rules.push(rule),
                None => self.defaults.push(binding.index),
            }
        }
        Ok(())
    }

    fn route(&self, header: Header<'_>, destinations: &mut Destinations) -> Result<(), Refusal> {
        // Every condition looks for a header, so the table is decoded once.
        let mut headers = Vec::new();
        if let Some(table) = header.headers {
            headers.reserve_exact(table.len() as usize);
            headers.extend(table.iter());
        }
        for rule in &self.rules {
            if rule.applies(&headers) {
                destinations.add(rule.index);
            }
        }
        if destinations.is_empty() {
            self.defaults.iter().for_each(|index| destinations.add(*index));
        }
        Ok(())
    }
}

impl Rule {
    fn applies(&self, headers: &[(&str, Value<'_>)]) -> bool {
        let mut conditions = self.conditions.iter();
        if self.any {
            conditions.any(|condition| condition.holds(headers))
        } else {
            conditions.all(|condition| condition.holds(headers))
        }
    }
}

/// The rule that a binding's arguments say, `None` for a default branch.
fn branch(binding: &Binding<'_>) -> Result<Option<Rule>, Refusal> {
    let arguments = binding.arguments;
    let any = match arguments.read("x-match")? {
        None | Some("all") => false,
        Some("any") => true,
        Some(_) => return Err("x-match is all or any".into()),
    };
    let default: Option<bool> = arguments.read("x-default")?;
    let mut conditions = Vec::new();
    for (name, value) in arguments.iter().filter(|(name, _)| !name.starts_with("x-")) {
        condition::parse(name, value, &mut conditions)?;
    }
    match (default == Some(true), conditions.is_empty()) {
        (true, true) => Ok(None),
        (true, false) => Err("a binding with x-default has no conditions".into()),
        (false, true) => Err("a binding needs a condition, or x-default".into()),
        (false, false) => Ok(Some(Rule { index: binding.index, any, conditions })),
    }
}

#[cfg(test)]
mod tests {
    use super::HeaderPredicate;

    #[test]
    fn cases() {
        check_cases::check_cases::<HeaderPredicate>(include_str!("../cases.json"));
    }

    #[test]
    fn description() {
        check_cases::check_description::<HeaderPredicate>(include_str!("../route.toml"));
    }
}
