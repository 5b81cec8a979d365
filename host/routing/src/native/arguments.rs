//! The arguments of `exchange.declare` that a type reads.

use std::ops::RangeInclusive;

use shunt_types::Value;

use crate::exchange_type::ExchangeSpec;

/// An argument that is a text.
///
/// # Errors
/// The reason, with the argument's name and what was allowed.
pub(super) fn text<'a>(exchange: &'a ExchangeSpec, name: &str) -> Result<Option<&'a str>, String> {
    let Some(value) = exchange.arguments.get(name) else { return Ok(None) };
    match value.as_text() {
        Some(text) => Ok(Some(text)),
        None => {
            let found = match value {
                Value::LongString(_) => "not UTF-8".to_owned(),
                other => other.shown(),
            };
            Err(format!("invalid arg '{name}': {found}, must be longstr"))
        }
    }
}

/// An argument that is a whole number, of whatever width.
///
/// # Errors
/// The reason, with the argument's name, its value and what was allowed.
pub(super) fn integer(
    exchange: &ExchangeSpec,
    name: &str,
    allowed: RangeInclusive<i64>,
) -> Result<Option<u64>, String> {
    let Some(value) = exchange.arguments.get(name) else { return Ok(None) };
    match value.as_integer() {
        Some(n) if allowed.contains(&n) => Ok(Some(n as u64)),
        Some(n) => Err(out_of_range(name, n, &allowed)),
        None => Err(out_of_range(name, value.shown(), &allowed)),
    }
}

/// As [`integer`]; a text of decimal digits does too.
///
/// # Errors
/// The reason, with the argument's name, its value and what was allowed.
pub(super) fn number(
    exchange: &ExchangeSpec,
    name: &str,
    allowed: RangeInclusive<i64>,
) -> Result<Option<u64>, String> {
    let Some(text) = exchange.arguments.get(name).and_then(Value::as_text) else {
        return integer(exchange, name, allowed);
    };
    match text.parse::<i64>() {
        Ok(n) if allowed.contains(&n) => Ok(Some(n as u64)),
        _ => Err(out_of_range(name, format_args!("'{text}'"), &allowed)),
    }
}

fn out_of_range(
    name: &str,
    value: impl std::fmt::Display,
    allowed: &RangeInclusive<i64>,
) -> String {
    let first = allowed.start();
    match *allowed.end() {
        i64::MAX => format!("invalid arg '{name}': {value}, must be an integer from {first} on"),
        last => format!("invalid arg '{name}': {value}, must be an integer from {first} to {last}"),
    }
}
