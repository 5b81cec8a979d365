//! Whether two declares of the same name say the same, and how a difference is told (RabbitMQ).

use shunt_types::{AmqpError, FieldTable, Value};

/// Compares one argument; the widths of integers don't matter.
///
/// # Errors
/// `PRECONDITION_FAILED` (406) with both values; `what` is such as `queue 'q' in vhost '/'`.
pub(super) fn check_argument(
    what: &str,
    name: &str,
    received: &FieldTable,
    current: &FieldTable,
) -> Result<(), AmqpError> {
    let (received, current) = (stated(name, received), stated(name, current));
    if comparable(received) == comparable(current) {
        return Ok(());
    }
    let plain = |value: Option<&Value>| value.map(|value| format!("'{}'", text(value)));
    match (plain(received), plain(current)) {
        (Some(received), Some(current)) if received != current => {
            Err(differs(what, name, &received, &current))
        }
        _ => Err(differs(what, name, &shown(received), &shown(current))),
    }
}

/// Compares one flag or name.
///
/// # Errors
/// `PRECONDITION_FAILED` (406) with both values.
pub(super) fn check_property(
    what: &str,
    name: &str,
    received: impl ToString,
    current: impl ToString,
) -> Result<(), AmqpError> {
    let (received, current) = (received.to_string(), current.to_string());
    if received == current {
        return Ok(());
    }
    Err(differs(what, name, &format!("'{received}'"), &format!("'{current}'")))
}

fn differs(what: &str, name: &str, received: &str, current: &str) -> AmqpError {
    AmqpError::precondition_failed(format!(
        "inequivalent arg '{name}' for {what}: received {received} but current is {current}"
    ))
}

/// The argument's value, unless it says what is the default anyway.
fn stated<'a>(name: &str, arguments: &'a FieldTable) -> Option<&'a Value> {
    let value = arguments.get(name)?;
    let is_default =
        name == "x-queue-type" && matches!(value.as_text(), Some("classic" | "default"));
    (!is_default).then_some(value)
}

fn comparable(value: Option<&Value>) -> Option<Value> {
    value.map(|value| value.as_integer().map_or_else(|| value.clone(), Value::I64))
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "none".to_owned() };
    format!("the value '{}' of type '{}'", text(value), value.type_name())
}

fn text(value: &Value) -> String {
    match (value.as_integer(), value) {
        (Some(n), _) => n.to_string(),
        (None, Value::Boolean(flag)) => flag.to_string(),
        (None, other) => other.as_text().unwrap_or("…").to_owned(),
    }
}
