//! The values that conditions compare with.

use alloc::string::String;
use core::cmp::Ordering;

use shunt_route::Value;

pub(crate) enum Literal {
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Text(String),
    Timestamp(i64),
}

impl Literal {
    /// `None` where values of this type have no order.
    pub(crate) fn new(value: Value<'_>) -> Option<Self> {
        Some(match value {
            Value::Boolean(value) => Literal::Boolean(value),
            Value::Integer(value) => Literal::Integer(value),
            Value::Double(value) => Literal::Double(value),
            Value::Text(text) => Literal::Text(text.into()),
            Value::Timestamp(seconds) => Literal::Timestamp(seconds),
            _ => return None,
        })
    }

    /// How `value` stands to this one; `None` where the two cannot be compared. Numbers of all
    /// types compare with one another.
    pub(crate) fn compare_to(&self, value: Value<'_>) -> Option<Ordering> {
        match (value, self) {
            (Value::Boolean(value), Literal::Boolean(literal)) => Some(value.cmp(literal)),
            (Value::Integer(value), Literal::Integer(literal)) => Some(value.cmp(literal)),
            (Value::Integer(value), Literal::Double(literal)) => {
                (value as f64).partial_cmp(literal)
            }
            (Value::Double(value), Literal::Integer(literal)) => {
                value.partial_cmp(&(*literal as f64))
            }
            (Value::Double(value), Literal::Double(literal)) => value.partial_cmp(literal),
            (Value::Text(value), Literal::Text(literal)) => Some(value.cmp(literal)),
            (Value::Timestamp(value), Literal::Timestamp(literal)) => Some(value.cmp(literal)),
            _ => None,
        }
    }
}
