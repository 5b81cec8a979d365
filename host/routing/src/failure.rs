//! How a route can fail, and what the exchange does then.

use std::fmt;

/// Why a route gave no answer: a closed list, each with a counter (ROUTE-ABI section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureCause {
    /// The route gave a reason not to decide.
    Refused,
    /// The module trapped.
    Trap,
    /// The call passed its processor time.
    Timeout,
    /// The module passed its memory.
    Memory,
    /// The answer can't be read, or an index or address in it is out of bounds.
    BadAnswer,
    /// The answer names a queue that isn't there.
    UnknownQueue,
    /// The answer names a queue, and the route may only answer by index.
    NotPermitted,
    /// No version of the route is active, or it can't be compiled.
    Unavailable,
}

impl FailureCause {
    /// Every cause, in the order of the contract.
    pub const ALL: [Self; 8] = [
        Self::Refused,
        Self::Trap,
        Self::Timeout,
        Self::Memory,
        Self::BadAnswer,
        Self::UnknownQueue,
        Self::NotPermitted,
        Self::Unavailable,
    ];

    /// The cause's name in errors, metrics and the header `x-route-error`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::BadAnswer => "bad-answer",
            Self::UnknownQueue => "unknown-queue",
            Self::NotPermitted => "not-permitted",
            Self::Unavailable => "unavailable",
        }
    }

    /// The cause's place in [`FailureCause::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// A route's failure to decide about one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub cause: FailureCause,
    /// The route's reason, the trap's text, the name of the queue: what a person needs to know.
    pub detail: String,
}

impl Failure {
    /// A failure with its detail.
    pub fn new(cause: FailureCause, detail: impl Into<String>) -> Self {
        Self { cause, detail: detail.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause.name(), self.detail)
    }
}

impl std::error::Error for Failure {}

/// The failure policy of a route exchange, argument `x-on-failure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The confirm is a nack. Without confirms the message goes to the alternate exchange if
    /// there is one, else back if mandatory, else it is counted as failed.
    #[default]
    Nack,
    /// To the alternate exchange, with headers that say why.
    Alternate,
    /// The version of the route that decided before decides; if that one fails too, as
    /// [`OnFailure::Nack`]. It is the exchange type that asks the version: the walk sees the
    /// failure of both.
    Previous,
}

impl OnFailure {
    /// Reads the argument's value.
    ///
    /// # Errors
    /// The reason, naming the value and what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "nack" => Ok(Self::Nack),
            "alternate" => Ok(Self::Alternate),
            "previous" => Ok(Self::Previous),
            other => Err(format!(
                "invalid arg 'x-on-failure': '{other}', must be 'nack', 'alternate' or 'previous'"
            )),
        }
    }
}
