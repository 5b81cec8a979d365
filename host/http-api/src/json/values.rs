//! Field tables and JSON, as RabbitMQ's management maps them.
//!
//! Into AMQP: an integer becomes a 64-bit one, another number a double, text a long string.
//! Out of AMQP: every integer is a number, a timestamp is its seconds, a decimal is a number,
//! and bytes that are no UTF-8 are base64 text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use shunt_types::limits::{SHORT_STRING_MAX, TABLE_DEPTH_MAX};
use shunt_types::{FieldTable, Value};

/// A JSON object.
pub type JsonMap = serde_json::Map<String, Json>;

/// The table of an object; `what` names it in a refusal.
///
/// # Errors
/// What can't be in a field table, and where.
pub fn table_from_json(object: &JsonMap, what: &str) -> Result<FieldTable, String> {
    table(object, what, TABLE_DEPTH_MAX)
}

fn table(object: &JsonMap, what: &str, depth: usize) -> Result<FieldTable, String> {
    let mut fields = FieldTable::new();
    for (name, value) in object {
        if name.len() > SHORT_STRING_MAX {
            return Err(format!("a name in {what} is longer than {SHORT_STRING_MAX} bytes"));
        }
        fields.insert(name.clone(), value_from_json(value, &format!("{what}.{name}"), depth)?);
    }
    Ok(fields)
}

fn value_from_json(json: &Json, what: &str, depth: usize) -> Result<Value, String> {
    let deeper = || {
        depth
            .checked_sub(1)
            .ok_or_else(|| format!("{what} is nested deeper than {TABLE_DEPTH_MAX}"))
    };
    Ok(match json {
        Json::Null => Value::Void,
        Json::Bool(flag) => Value::Boolean(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::I64(integer),
            (None, _) if number.is_u64() => {
                return Err(format!("{what}: {number} is larger than a signed 64-bit integer"));
            }
            (None, Some(double)) => Value::F64(double),
            (None, None) => return Err(format!("{what}: {number} is no number that AMQP has")),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => {
            let depth = deeper()?;
            let items = items.iter().enumerate();
            let items =
                items.map(|(i, item)| value_from_json(item, &format!("{what}[{i}]"), depth));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Json::Object(object) => Value::Table(table(object, what, deeper()?)?),
    })
}

/// The object of a table.
pub(crate) fn table_to_json(table: &FieldTable) -> JsonMap {
    table.iter().map(|(name, value)| (name.to_owned(), value_to_json(value))).collect()
}

fn value_to_json(value: &Value) -> Json {
    if let Some(integer) = value.as_integer() {
        return integer.into();
    }
    match value {
        Value::Boolean(flag) => (*flag).into(),
        Value::F32(number) => f64::from(*number).into(),
        Value::F64(number) => (*number).into(),
        Value::Decimal { scale, value } => {
            (f64::from(*value) / 10f64.powi(i32::from(*scale))).into()
        }
        Value::LongString(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => STANDARD.encode(bytes).into(),
        },
        Value::ByteArray(bytes) => STANDARD.encode(bytes).into(),
        Value::Timestamp(seconds) => (*seconds).into(),
        Value::Array(items) => items.iter().map(value_to_json).collect(),
        Value::Table(table) => table_to_json(table).into(),
        _ => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(json: Json) -> JsonMap {
        match json {
            Json::Object(object) => object,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn what_json_can_say_comes_back() {
        let all = object(json!({
            "text": "é", "integer": -5, "double": 1.5, "flag": true, "nothing": null,
            "array": [1, "two", {"three": 3}], "table": {"x": {"y": "z"}},
        }));
        let table = table_from_json(&all, "headers").unwrap();
        assert_eq!(table.get("integer"), Some(&Value::I64(-5)));
        assert_eq!(table.get("nothing"), Some(&Value::Void));
        assert_eq!(table_to_json(&table), all);
    }

    #[test]
    fn what_json_cannot_say_is_shown_sensibly() {
        let mut table = FieldTable::new();
        table.insert("timestamp", Value::Timestamp(7));
        table.insert("decimal", Value::Decimal { scale: 2, value: 150 });
        table.insert("bytes", Value::ByteArray(vec![0xff]));
        table.insert("no-utf8", Value::LongString(vec![0xff]));
        table.insert("not-a-number", Value::F64(f64::NAN));
        let expected = json!({
            "timestamp": 7, "decimal": 1.5, "bytes": "/w==", "no-utf8": "/w==",
            "not-a-number": null,
        });
        assert_eq!(Json::Object(table_to_json(&table)), expected);
    }

    #[test]
    fn what_amqp_cannot_carry_is_named() {
        let refused = |json: Json| table_from_json(&object(json), "headers").unwrap_err();
        assert_eq!(
            refused(json!({"a": {"b": [u64::MAX]}})),
            "headers.a.b[0]: 18446744073709551615 is larger than a signed 64-bit integer"
        );
        assert!(refused(json!({"n".repeat(256): 1})).contains("longer than 255"));
        let nested = (0..TABLE_DEPTH_MAX + 1).fold(json!({}), |inner, _| json!({"t": inner}));
        assert!(refused(nested).ends_with("is nested deeper than 64"));
    }
}
