//! Why a client was not let in, in the words of RabbitMQ's log.
//!
//! These texts are for the node's log. What a client is told says less, so that nobody can find
//! out by trying which users exist; [`AuthError::client_text`] is that.

/// A login that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The client chose a mechanism that was not offered.
    #[error("unknown authentication mechanism '{mechanism}'")]
    UnknownMechanism {
        /// The name that the client sent.
        mechanism: String,
    },
    /// The response can't be read as the mechanism has it.
    #[error("{mechanism} authentication failed: {reason}")]
    Malformed {
        /// The mechanism.
        mechanism: &'static str,
        /// What was wrong with the response; never the response itself, which may hold a password.
        reason: &'static str,
    },
    /// The response was read, and the user is not let in.
    #[error("{mechanism} login refused: user '{user}'{refusal}")]
    Refused {
        /// The mechanism; `HTTP` for a name and password that came with a request.
        mechanism: &'static str,
        /// The name that the client gave, whether or not such a user exists.
        user: String,
        /// Why.
        refusal: LoginRefusal,
    },
}

/// Why a user is not let in. Displays as the end of RabbitMQ's sentence about the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefusal {
    /// No such user, or another password, or a user without one: on purpose the same.
    #[error(" - invalid credentials")]
    InvalidCredentials,
    /// An empty password is refused before anything is compared.
    #[error(" attempted to log in with a blank password")]
    BlankPassword,
    /// The credentials were right, but the user may log in from this machine only.
    #[error(" can only connect via localhost")]
    LoopbackOnly,
}

impl AuthError {
    /// The name that the client gave; empty where none could be read.
    pub fn user(&self) -> &str {
        match self {
            Self::Refused { user, .. } => user,
            Self::UnknownMechanism { .. } | Self::Malformed { .. } => "",
        }
    }

    /// What the client may be told: the mechanism, and nothing about the user.
    pub fn client_text(&self) -> String {
        match self {
            Self::UnknownMechanism { .. } => self.to_string(),
            Self::Malformed { mechanism, .. } | Self::Refused { mechanism, .. } => format!(
                "Login was refused using authentication mechanism {mechanism}. \
                 For details see the broker logfile."
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_the_user_and_the_client_is_told_less() {
        let error = |refusal| AuthError::Refused { mechanism: "PLAIN", user: "x".into(), refusal };
        assert_eq!(
            error(LoginRefusal::InvalidCredentials).to_string(),
            "PLAIN login refused: user 'x' - invalid credentials"
        );
        assert_eq!(
            error(LoginRefusal::LoopbackOnly).to_string(),
            "PLAIN login refused: user 'x' can only connect via localhost"
        );
        assert!(!error(LoginRefusal::LoopbackOnly).client_text().contains("'x'"));
    }
}
