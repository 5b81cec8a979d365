//! Why a route says no.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use crate::cursor::Malformed;

/// The reason of a route for refusing a message, a binding or an exchange.
///
/// The reason of a refused exchange or binding reaches the client with the reply code 406; that
/// of a refused message stands in the broker's log and in the header `x-route-error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(Cow<'static, str>);

impl Refusal {
    /// A refusal with a fixed reason.
    pub const fn new(reason: &'static str) -> Self {
        Self(Cow::Borrowed(reason))
    }

    /// A refusal whose reason is put together from `parts`. Unlike `format!`, it adds nothing
    /// to the size of a route.
    pub fn of(parts: &[&str]) -> Self {
        Self(Cow::Owned(parts.concat()))
    }

    /// The reason.
    pub fn reason(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for Refusal {
    fn from(reason: &'static str) -> Self {
        Self::new(reason)
    }
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self(Cow::Owned(reason))
    }
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::new("the host's input is not what the contract says")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl core::error::Error for Refusal {}
