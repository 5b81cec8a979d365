//! Bodies of messages in JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How bodies are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PayloadEncoding {
    /// As text where the body is UTF-8, else as base64.
    #[default]
    Auto,
    /// Always as base64.
    Base64,
}

/// A body as JSON shows it, and how: `string` or `base64`.
pub(crate) fn encode_payload(body: &[u8], encoding: PayloadEncoding) -> (String, &'static str) {
    match std::str::from_utf8(body) {
        Ok(text) if encoding == PayloadEncoding::Auto => (text.to_owned(), "string"),
        _ => (STANDARD.encode(body), "base64"),
    }
}

/// The body that a client wrote as `payload` with `payload_encoding`.
///
/// # Errors
/// The encoding is unknown, or the payload isn't in it.
pub(crate) fn decode_payload(payload: String, encoding: &str) -> Result<Vec<u8>, String> {
    match encoding {
        "string" => Ok(payload.into_bytes()),
        "base64" => STANDARD
            .decode(payload.as_bytes())
            .map_err(|error| format!("payload is no base64: {error}")),
        other => {
            Err(format!("unsupported payload_encoding '{other}', must be 'string' or 'base64'"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_survive_json() {
        for body in [&b""[..], "grüß".as_bytes(), &[0, 0xff, 1]] {
            for encoding in [PayloadEncoding::Auto, PayloadEncoding::Base64] {
                let (payload, name) = encode_payload(body, encoding);
                assert_eq!(decode_payload(payload, name).unwrap(), body);
            }
        }
        assert_eq!(encode_payload(b"x", PayloadEncoding::Auto).1, "string");
        assert_eq!(encode_payload(b"x", PayloadEncoding::Base64).1, "base64");
    }

    #[test]
    fn a_wrong_encoding_is_named() {
        let refused = |payload: &str, encoding| decode_payload(payload.into(), encoding);
        assert!(refused("x", "hex").unwrap_err().contains("'hex'"));
        assert!(refused("*", "base64").unwrap_err().starts_with("payload is no base64"));
    }
}
