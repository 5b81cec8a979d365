//! What a policy and an operator policy say together (RabbitMQ, `rabbit_policies`).

use std::sync::Arc;

use shunt_types::{FieldTable, Value};

/// Every key of either; a key that both have is merged.
pub(super) fn merged(user: Arc<FieldTable>, operator: &FieldTable) -> Arc<FieldTable> {
    let mut both = FieldTable::clone(&user);
    for (name, operators) in operator.iter() {
        let value = match user.get(name) {
            Some(users) => value(name, users, operators),
            None => operators.clone(),
        };
        both.insert(name, value);
    }
    Arc::new(both)
}

/// The stricter of two numbers, and of anything else the operator's.
fn value(name: &str, user: &Value, operator: &Value) -> Value {
    let (Some(a), Some(b)) = (user.as_integer(), operator.as_integer()) else {
        return operator.clone();
    };
    let users_is_stricter = match name {
        "queue-version" => false,
        "target-group-size" | "delayed-retry-min" => a > b,
        // Below 0 is no limit at all.
        "delivery-limit" if a < 0 || b < 0 => a > b,
        _ => a < b,
    };
    if users_is_stricter { user.clone() } else { operator.clone() }
}
