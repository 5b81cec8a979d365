//! The error that a client is told: a reply code and its explanation.

use std::fmt;

use crate::ReplyCode;
use crate::limits::SHORT_STRING_MAX;

/// Class and method of AMQP 0-9-1, as `close` methods name the one that failed; 0 and 0 when no
/// method is to blame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MethodId {
    /// Class id.
    pub class: u16,
    /// Method id within the class.
    pub method: u16,
}

/// Why a client's request was refused, in the terms of AMQP: what both front doors answer from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmqpError {
    /// The reply code; [`ReplyCode::is_hard`] says what it closes.
    pub code: ReplyCode,
    /// What was wrong, and where; without the code's name.
    pub explanation: String,
}

impl From<Box<Self>> for AmqpError {
    fn from(error: Box<Self>) -> Self {
        *error
    }
}

impl AmqpError {
    /// An error with its explanation.
    pub fn new(code: ReplyCode, explanation: impl Into<String>) -> Self {
        Self { code, explanation: explanation.into() }
    }

    /// `PRECONDITION_FAILED` (406).
    pub fn precondition_failed(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::PreconditionFailed, explanation)
    }

    /// `NOT_FOUND` (404).
    pub fn not_found(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::NotFound, explanation)
    }

    /// `ACCESS_REFUSED` (403).
    pub fn access_refused(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::AccessRefused, explanation)
    }

    /// The reply text: `NAME - explanation`, cut to what a short string holds.
    pub fn reply_text(&self) -> String {
        let mut text = format!("{} - {}", self.code.name(), self.explanation);
        if text.len() > SHORT_STRING_MAX {
            let mut end = SHORT_STRING_MAX;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        text
    }
}

impl fmt::Display for AmqpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} - {}", self.code.name(), self.explanation)
    }
}

impl std::error::Error for AmqpError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_text_is_cut_at_a_character_within_a_short_string() {
        let error = AmqpError::not_found("é".repeat(300));
        let text = error.reply_text();
        assert!(text.len() <= SHORT_STRING_MAX);
        assert!(text.starts_with("NOT_FOUND - é"));
    }
}
