//! Basic properties and JSON, by RabbitMQ's names.

use serde_json::Value as Json;
use shunt_types::limits::SHORT_STRING_MAX;
use shunt_types::{Properties, PropertiesRef};

use super::values::{JsonMap, table_from_json, table_to_json};

/// Reads an object of properties. `headers` may stand among them.
///
/// # Errors
/// The property that doesn't exist, or whose value is wrong.
pub fn properties_from_json(object: &JsonMap) -> Result<Properties, String> {
    let mut properties = Properties::default();
    for (name, value) in object {
        if value.is_null() {
            continue;
        }
        let text = || {
            let text = value.as_str().map(|text| Some(text.to_owned()));
            text.ok_or_else(|| format!("property '{name}' must be text, not {value}"))
        };
        let number = |max: u64| {
            let number = value.as_u64().filter(|number| *number <= max);
            number.ok_or_else(|| {
                format!("property '{name}' must be an integer from 0 to {max}, not {value}")
            })
        };
        let octet = || number(u8::MAX.into()).map(|number| Some(number as u8));
        match name.as_str() {
            "content_type" => properties.content_type = text()?,
            "content_encoding" => properties.content_encoding = text()?,
            "headers" => {
                let headers = value.as_object();
                let headers = headers
                    .ok_or_else(|| format!("property 'headers' must be an object, not {value}"))?;
                properties.headers = Some(table_from_json(headers, "headers")?);
            }
            "delivery_mode" => properties.delivery_mode = octet()?,
            "priority" => properties.priority = octet()?,
            "correlation_id" => properties.correlation_id = text()?,
            "reply_to" => properties.reply_to = text()?,
            // Written as a number by people who take it for one.
            "expiration" if value.is_u64() => properties.expiration = Some(value.to_string()),
            "expiration" => properties.expiration = text()?,
            "message_id" => properties.message_id = text()?,
            "timestamp" => properties.timestamp = Some(number(u64::MAX)?),
            "type" => properties.kind = text()?,
            "user_id" => properties.user_id = text()?,
            "app_id" => properties.app_id = text()?,
            "cluster_id" => properties.cluster_id = text()?,
            _ => return Err(format!("unknown property '{name}'")),
        }
    }
    check_properties(&properties)?;
    Ok(properties)
}

/// Refuses text that a short string can't carry.
pub(crate) fn check_properties(properties: &Properties) -> Result<(), String> {
    let texts = [
        ("content_type", &properties.content_type),
        ("content_encoding", &properties.content_encoding),
        ("correlation_id", &properties.correlation_id),
        ("reply_to", &properties.reply_to),
        ("expiration", &properties.expiration),
        ("message_id", &properties.message_id),
        ("type", &properties.kind),
        ("user_id", &properties.user_id),
        ("app_id", &properties.app_id),
        ("cluster_id", &properties.cluster_id),
    ];
    let is_long = |text: &Option<String>| text.as_ref().is_some_and(|t| t.len() > SHORT_STRING_MAX);
    match texts.into_iter().find(|(_, text)| is_long(text)) {
        Some((name, _)) => {
            Err(format!("property '{name}' is longer than {SHORT_STRING_MAX} bytes"))
        }
        None => Ok(()),
    }
}

/// The properties that are present, without the headers.
pub(crate) fn properties_to_json(properties: PropertiesRef<'_>) -> JsonMap {
    let mut object = JsonMap::new();
    let mut put = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            object.insert(name.to_owned(), value);
        }
    };
    put("content_type", properties.content_type().map(Json::from));
    put("content_encoding", properties.content_encoding().map(Json::from));
    put("delivery_mode", properties.delivery_mode().map(Json::from));
    put("priority", properties.priority().map(Json::from));
    put("correlation_id", properties.correlation_id().map(Json::from));
    put("reply_to", properties.reply_to().map(Json::from));
    put("expiration", properties.expiration().map(Json::from));
    put("message_id", properties.message_id().map(Json::from));
    put("timestamp", properties.timestamp().map(Json::from));
    put("type", properties.kind().map(Json::from));
    put("user_id", properties.user_id().map(Json::from));
    put("app_id", properties.app_id().map(Json::from));
    put("cluster_id", properties.cluster_id().map(Json::from));
    object
}

/// The headers of a message; `None` where it has none.
pub(crate) fn headers_to_json(properties: PropertiesRef<'_>) -> Option<JsonMap> {
    properties.to_owned().headers.as_ref().map(table_to_json)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: Json) -> Result<Properties, String> {
        properties_from_json(json.as_object().unwrap())
    }

    #[test]
    fn properties_survive_json() {
        let all = json!({
            "content_type": "a/b", "content_encoding": "gzip", "delivery_mode": 2, "priority": 9,
            "correlation_id": "c", "reply_to": "r", "expiration": "10", "message_id": "m",
            "timestamp": 1_700_000_000u64, "type": "t", "user_id": "u", "app_id": "a",
            "cluster_id": "k",
        });
        let mut bytes = Vec::new();
        read(all.clone()).unwrap().encode(&mut bytes);
        let view = PropertiesRef::decode(&bytes).unwrap();
        assert_eq!(Json::Object(properties_to_json(view)), all);
        assert_eq!(headers_to_json(view), None);
    }

    #[test]
    fn a_wrong_property_is_named() {
        let refused = |json| read(json).unwrap_err();
        assert_eq!(refused(json!({"colour": 1})), "unknown property 'colour'");
        assert!(refused(json!({"priority": 256})).starts_with("property 'priority' must be"));
        assert!(refused(json!({"type": 1})).starts_with("property 'type' must be text"));
        assert!(refused(json!({"headers": []})).starts_with("property 'headers' must be"));
        assert!(refused(json!({"app_id": "x".repeat(256)})).contains("longer than 255"));
        assert_eq!(read(json!({"expiration": 5})).unwrap().expiration.as_deref(), Some("5"));
    }
}
