//! A message on its way in: method, content header, bodies.

use bytes::Bytes;
use shunt_amqp_codec::method::BasicPublish;
use shunt_amqp_codec::{CLASS_BASIC, ContentHeader};
use shunt_types::limits::MESSAGE_SIZE_HARD_MAX;
use shunt_types::{AmqpError, Message, MessageBody, MessageError, ReplyCode};

/// What a publish needs to say, kept until its bodies are there. The buffers serve the next one.
#[derive(Default)]
pub(crate) struct Content {
    stage: Stage,
    exchange: String,
    routing_key: String,
    properties: Vec<u8>,
    body: Vec<u8>,
    body_size: u64,
    pub(crate) mandatory: bool,
}

#[derive(Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    Header,
    Body,
}

/// What a client is told whose bytes are no message.
pub(crate) fn refusal(error: MessageError) -> AmqpError {
    let code = match error {
        MessageError::Expiration(_) => ReplyCode::PreconditionFailed,
        MessageError::Properties(_) | MessageError::NameTooLong(_) => ReplyCode::FrameError,
    };
    AmqpError::new(code, error.to_string())
}

/// Room for a body before any of it has come: what a header announces is not to be believed.
const BODY_RESERVE_MAX: usize = 1024 * 1024;

impl Content {
    /// Whether a content is expected rather than a method.
    pub(crate) fn is_expected(&self) -> bool {
        self.stage != Stage::Idle
    }

    /// Begins with the method.
    pub(crate) fn begin(&mut self, publish: &BasicPublish<'_>) {
        self.stage = Stage::Header;
        self.exchange.clear();
        self.exchange.push_str(publish.exchange);
        self.routing_key.clear();
        self.routing_key.push_str(publish.routing_key);
        self.mandatory = publish.mandatory;
    }

    /// Takes the content header; answers the message if it has no body.
    pub(crate) fn header(&mut self, payload: &[u8]) -> Result<Option<Message>, AmqpError> {
        if self.stage != Stage::Header {
            return Err(self.out_of_turn("a content header"));
        }
        let header = ContentHeader::decode(payload)
            .map_err(|error| AmqpError::new(ReplyCode::FrameError, error.to_string()))?;
        if header.class != CLASS_BASIC {
            return Err(AmqpError::new(
                ReplyCode::UnexpectedFrame,
                format!(
                    "expected content header for class {CLASS_BASIC}, got one for class {} instead",
                    header.class
                ),
            ));
        }
        if header.body_size > MESSAGE_SIZE_HARD_MAX {
            return Err(AmqpError::new(
                ReplyCode::FrameError,
                format!("a body of {} bytes is announced", header.body_size),
            ));
        }
        self.properties.clear();
        self.properties.extend_from_slice(header.properties);
        self.body_size = header.body_size;
        self.stage = Stage::Body;
        if header.body_size == 0 { self.finish(&[]).map(Some) } else { Ok(None) }
    }

    /// Takes a body frame; answers the message if it was the last.
    pub(crate) fn body(&mut self, payload: &[u8]) -> Result<Option<Message>, AmqpError> {
        if self.stage != Stage::Body {
            return Err(self.out_of_turn("a content body"));
        }
        let so_far = (self.body.len() + payload.len()) as u64;
        if so_far > self.body_size {
            return Err(AmqpError::new(
                ReplyCode::FrameError,
                format!("a body of {} bytes was announced, {so_far} came", self.body_size),
            ));
        }
        if payload.len() as u64 == self.body_size {
            return self.finish(payload).map(Some);
        }
        if self.body.is_empty() {
            self.body.reserve_exact((self.body_size as usize).min(BODY_RESERVE_MAX));
        }
        self.body.extend_from_slice(payload);
        if so_far < self.body_size {
            return Ok(None);
        }
        let body = Bytes::from(std::mem::take(&mut self.body));
        self.message(MessageBody::Shared(body)).map(Some)
    }

    /// 505: `got` is not what comes next.
    fn out_of_turn(&self, got: &str) -> AmqpError {
        let expected = match self.stage {
            Stage::Idle => "a method frame",
            Stage::Header => "a content header",
            Stage::Body => "a content body",
        };
        AmqpError::new(ReplyCode::UnexpectedFrame, format!("expected {expected}, got {got}"))
    }

    fn finish(&mut self, body: &[u8]) -> Result<Message, AmqpError> {
        self.message(MessageBody::Borrowed(body))
    }

    fn message(&mut self, body: MessageBody<'_>) -> Result<Message, AmqpError> {
        self.stage = Stage::Idle;
        Message::new(&self.exchange, &self.routing_key, &self.properties, body).map_err(refusal)
    }

    /// What the content would be refused for by its size.
    pub(crate) fn announced_size(&self) -> u64 {
        self.body_size
    }

    /// Forgets a content that was cut off by an error.
    pub(crate) fn abandon(&mut self) {
        self.stage = Stage::Idle;
        self.body = Vec::new();
    }
}
