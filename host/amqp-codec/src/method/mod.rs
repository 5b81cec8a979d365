//! Methods: the payload of a method frame (AMQP 0-9-1, section 4.2.4).
//!
//! ```text
//!  0          2           4
//! +----------+-----------+-----------+
//! | class id | method id | arguments |
//! +----------+-----------+-----------+
//!  short      short
//! ```
//!
//! Each method is a struct of the specification's name with its arguments as fields, borrowed from
//! the frame; [`Method`] is the enum over them.

mod table;

mod field;
mod generate;

use shunt_types::{DecodeError, MethodId, Reader};

pub use self::table::*;

/// Why a payload is no method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MethodError {
    /// The payload ends before the ids of class and method.
    #[error("a method frame ends before its class and method")]
    Truncated,
    /// Nobody knows such a method.
    #[error("there is no method {} in class {}", .0.method, .0.class)]
    Unknown(MethodId),
    /// The arguments are not those of the method.
    #[error("the arguments of {} can't be read", method_name(*.method).unwrap_or("a method"))]
    Damaged {
        /// The method.
        method: MethodId,
        /// What is wrong with the arguments.
        #[source]
        error: DecodeError,
    },
}

impl<'a> Method<'a> {
    /// Reads a method frame's payload, which must be the method and nothing more.
    #[inline]
    pub fn decode(payload: &'a [u8]) -> Result<Self, MethodError> {
        let Some((&[c0, c1, m0, m1], arguments)) = payload.split_first_chunk::<4>() else {
            return Err(MethodError::Truncated);
        };
        let id =
            MethodId { class: u16::from_be_bytes([c0, c1]), method: u16::from_be_bytes([m0, m1]) };
        Self::decode_arguments(id, Reader::new(arguments))
    }

    /// Appends the payload. A short string of more than 255 bytes is cut at a character.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let id = self.id();
        out.extend_from_slice(&id.class.to_be_bytes());
        out.extend_from_slice(&id.method.to_be_bytes());
        self.encode_arguments(out);
    }
}

impl<'a> From<&Method<'a>> for Method<'a> {
    fn from(method: &Method<'a>) -> Self {
        *method
    }
}

#[cfg(test)]
pub(crate) mod tests;
