//! JSON and the types of AMQP, both ways. Nothing else in Shunt knows JSON.

mod payload;
mod properties;
mod values;

pub(crate) use payload::{PayloadEncoding, decode_payload, encode_payload};
pub use properties::properties_from_json;
pub(crate) use properties::{check_properties, headers_to_json, properties_to_json};
pub(crate) use values::table_to_json;
pub use values::{JsonMap, table_from_json};

use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// Reads an object of JSON.
///
/// # Errors
/// 400 with the line and the column.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // Serde would take a list for a struct, its items for the fields in their order.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::bad_request("the JSON can't be used: a list, expected an object"));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::bad_request(format!("the JSON can't be used: {error}")))
}
