//! One condition on one header.

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

use shunt_route::{Refusal, Value};

use crate::literal::Literal;

pub(crate) struct Condition {
    header: String,
    test: Test,
}

enum Test {
    Equal(Literal),
    NotEqual(Literal),
    Less(Literal),
    LessOrEqual(Literal),
    Greater(Literal),
    GreaterOrEqual(Literal),
    Exists(bool),
    In(Vec<Literal>),
}

/// Adds what the argument `header` asks for: a table has operators, all of which must hold, any
/// other value is to be equal.
pub(crate) fn parse(
    header: &str,
    value: Value<'_>,
    conditions: &mut Vec<Condition>,
) -> Result<(), Refusal> {
    let mut add = |test| {
        conditions.push(Condition { header: header.into(), test });
    };
    match value {
        Value::Table(operators) if operators.is_empty() => {
            return Err(Refusal::of(&[header, " has a table without operators"]));
        }
        Value::Table(operators) => {
            for (operator, operand) in operators.iter() {
                add(test(header, operator, operand)?);
            }
        }
        value => add(Test::Equal(literal(header, value)?)),
    }
    Ok(())
}

fn test(header: &str, operator: &str, operand: Value<'_>) -> Result<Test, Refusal> {
    let literal = |operand| literal(header, operand);
    Ok(match (operator, operand) {
        ("=", operand) => Test::Equal(literal(operand)?),
        ("!=", operand) => Test::NotEqual(literal(operand)?),
        ("<", operand) => Test::Less(literal(operand)?),
        ("<=", operand) => Test::LessOrEqual(literal(operand)?),
        (">", operand) => Test::Greater(literal(operand)?),
        (">=", operand) => Test::GreaterOrEqual(literal(operand)?),
        ("exists", Value::Boolean(exists)) => Test::Exists(exists),
        ("in", Value::Array(values)) => {
            Test::In(values.iter().map(literal).collect::<Result<_, _>>()?)
        }
        ("exists", _) => return Err(Refusal::of(&[header, ": exists needs a boolean"])),
        ("in", _) => return Err(Refusal::of(&[header, ": in needs an array"])),
        _ => return Err(Refusal::of(&[header, ": there is no operator ", operator])),
    })
}

fn literal(header: &str, value: Value<'_>) -> Result<Literal, Refusal> {
    Literal::new(value).ok_or_else(|| {
        Refusal::of(&[header, ": a string, a number, a boolean or a timestamp can be compared"])
    })
}

impl Condition {
    /// A header that is not there passes `!=` and `exists: false`, and nothing else.
    pub(crate) fn holds(&self, headers: &[(&str, Value<'_>)]) -> bool {
        let found = headers.iter().find(|(name, _)| *name == self.header);
        let value = found.map_or(Value::Absent, |(_, value)| *value);
        let order = |literal: &Literal| literal.compare_to(value);
        match &self.test {
            Test::Equal(literal) => order(literal) == Some(Ordering::Equal),
            Test::NotEqual(literal) => order(literal) != Some(Ordering::Equal),
            Test::Less(literal) => order(literal).is_some_and(Ordering::is_lt),
            Test::LessOrEqual(literal) => order(literal).is_some_and(Ordering::is_le),
            Test::Greater(literal) => order(literal).is_some_and(Ordering::is_gt),
            Test::GreaterOrEqual(literal) => order(literal).is_some_and(Ordering::is_ge),
            Test::Exists(exists) => value.is_absent() != *exists,
            Test::In(literals) => {
                literals.iter().any(|literal| order(literal) == Some(Ordering::Equal))
            }
        }
    }
}
