//! The SASL mechanisms: from a response's bytes to a name and a password.
//!
//! ```text
//! PLAIN     NUL name NUL password          (RFC 4616 with an empty authorization identity)
//! AMQPLAIN  a field table without its length: LOGIN and PASSWORD, long strings
//! ANONYMOUS anything (RFC 4505): the node has a name and a password for who gives none
//! ```

use shunt_types::{FieldTable, Reader, Value, put_long_string};

use crate::AuthError;

pub(crate) const PLAIN: &str = "PLAIN";
pub(crate) const AMQPLAIN: &str = "AMQPLAIN";
pub(crate) const ANONYMOUS: &str = "ANONYMOUS";

/// As whom clients log in that give no name.
#[derive(Clone, Debug)]
pub struct AnonymousLogin {
    /// The user.
    pub user: String,
    /// The password that is tried: no more than that user's own opens the door.
    pub password: String,
}

/// What a response says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) mechanism: &'static str,
    pub(crate) name: Vec<u8>,
    pub(crate) password: Vec<u8>,
}

/// Reads the response of the mechanism that the client chose.
pub(crate) fn credentials(
    mechanism: &str,
    response: &[u8],
    anonymous: Option<&AnonymousLogin>,
) -> Result<Credentials, AuthError> {
    match mechanism {
        ANONYMOUS if let Some(login) = anonymous => Ok(Credentials {
            mechanism: ANONYMOUS,
            name: login.user.clone().into_bytes(),
            password: login.password.clone().into_bytes(),
        }),
        PLAIN => plain(response),
        AMQPLAIN => amqplain(response),
        other => Err(AuthError::UnknownMechanism { mechanism: other.to_owned() }),
    }
}

fn plain(response: &[u8]) -> Result<Credentials, AuthError> {
    let mut parts = response.split(|byte| *byte == 0);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some([]), Some(name), Some(password), None) => {
            Ok(Credentials { mechanism: PLAIN, name: name.to_vec(), password: password.to_vec() })
        }
        _ => {
            let reason = "the response is not NUL, name, NUL, password";
            Err(AuthError::Malformed { mechanism: PLAIN, reason })
        }
    }
}

fn amqplain(response: &[u8]) -> Result<Credentials, AuthError> {
    let malformed = |reason| AuthError::Malformed { mechanism: AMQPLAIN, reason };
    // The reader of tables wants the length that the response leaves out.
    let mut bytes = Vec::with_capacity(response.len() + 4);
    put_long_string(&mut bytes, response);
    let table = FieldTable::decode(&mut Reader::new(&bytes))
        .map_err(|_| malformed("the response is not a field table"))?;
    let text = |name| match table.get(name) {
        Some(Value::LongString(bytes)) => Some(bytes.clone()),
        _ => None,
    };
    match (text("LOGIN"), text("PASSWORD")) {
        (Some(name), Some(password)) => Ok(Credentials { mechanism: AMQPLAIN, name, password }),
        _ => Err(malformed("the response lacks the field LOGIN or PASSWORD")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amqplain_response(fields: &[(&str, Value)]) -> Vec<u8> {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let mut bytes = Vec::new();
        fields.collect::<FieldTable>().encode(&mut bytes);
        bytes.split_off(4)
    }

    #[test]
    fn both_mechanisms_give_name_and_password() {
        let response = amqplain_response(&[("LOGIN", "u".into()), ("PASSWORD", "p".into())]);
        for (mechanism, response) in [("PLAIN", b"\0u\0p".to_vec()), ("AMQPLAIN", response)] {
            let read = credentials(mechanism, &response, None).unwrap();
            assert_eq!((read.name, read.password), (b"u".to_vec(), b"p".to_vec()));
        }
    }

    #[test]
    fn what_is_no_response_is_malformed() {
        for response in [&b""[..], b"u\0p", b"\0u", b"x\0u\0p", b"\0u\0p\0"] {
            let error = credentials("PLAIN", response, None).unwrap_err();
            assert!(matches!(error, AuthError::Malformed { mechanism: "PLAIN", .. }));
        }
        let half = amqplain_response(&[("LOGIN", "u".into())]);
        let wrong_type = amqplain_response(&[("LOGIN", "u".into()), ("PASSWORD", Value::I32(1))]);
        for response in [&b"\xff"[..], &half, &wrong_type] {
            let error = credentials("AMQPLAIN", response, None).unwrap_err();
            assert!(matches!(error, AuthError::Malformed { mechanism: "AMQPLAIN", .. }));
        }
        for mechanism in ["EXTERNAL", "ANONYMOUS"] {
            let error = credentials(mechanism, b"", None).unwrap_err();
            assert!(matches!(error, AuthError::UnknownMechanism { .. }));
        }
    }
}
