//! Reply codes of AMQP 0-9-1.

/// A reply code (AMQP 0-9-1, section 1.1, with RabbitMQ's use of each).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum ReplyCode {
    Success,
    ContentTooLarge,
    NoRoute,
    NoConsumers,
    ConnectionForced,
    InvalidPath,
    AccessRefused,
    NotFound,
    ResourceLocked,
    PreconditionFailed,
    FrameError,
    SyntaxError,
    CommandInvalid,
    ChannelError,
    UnexpectedFrame,
    ResourceError,
    NotAllowed,
    NotImplemented,
    InternalError,
}

impl ReplyCode {
    /// The number on the wire.
    pub fn code(self) -> u16 {
        self.row().0
    }

    /// The constant's name as RabbitMQ puts it before the explanation.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Whether this code closes the connection; the others close the channel.
    pub fn is_hard(self) -> bool {
        self.row().2
    }

    fn row(self) -> (u16, &'static str, bool) {
        match self {
            Self::Success => (200, "SUCCESS", false),
            Self::ContentTooLarge => (311, "CONTENT_TOO_LARGE", false),
            Self::NoRoute => (312, "NO_ROUTE", false),
            Self::NoConsumers => (313, "NO_CONSUMERS", false),
            Self::ConnectionForced => (320, "CONNECTION_FORCED", true),
            Self::InvalidPath => (402, "INVALID_PATH", true),
            Self::AccessRefused => (403, "ACCESS_REFUSED", false),
            Self::NotFound => (404, "NOT_FOUND", false),
            Self::ResourceLocked => (405, "RESOURCE_LOCKED", false),
            Self::PreconditionFailed => (406, "PRECONDITION_FAILED", false),
            Self::FrameError => (501, "FRAME_ERROR", true),
            Self::SyntaxError => (502, "SYNTAX_ERROR", true),
            Self::CommandInvalid => (503, "COMMAND_INVALID", true),
            Self::ChannelError => (504, "CHANNEL_ERROR", true),
            Self::UnexpectedFrame => (505, "UNEXPECTED_FRAME", true),
            Self::ResourceError => (506, "RESOURCE_ERROR", true),
            Self::NotAllowed => (530, "NOT_ALLOWED", true),
            Self::NotImplemented => (540, "NOT_IMPLEMENTED", true),
            Self::InternalError => (541, "INTERNAL_ERROR", true),
        }
    }
}
