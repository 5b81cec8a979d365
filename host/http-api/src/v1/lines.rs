//! Publishing many messages, a line each (`application/x-ndjson`).

use std::collections::VecDeque;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use shunt_types::Properties;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::publish::PublishQuery;
use super::publishing::{Attempt, Outcome, Publishing};
use crate::error::{ApiError, ErrorBody};
use crate::extract::next_chunk;
use crate::json::{self, JsonMap};
use crate::limits::{LINE_OVERHEAD_MAX, LINES_IN_FLIGHT_MAX, RESULTS_WAITING_MAX};

/// One line: a message.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LineMessage {
    /// The routing key; that of the query where there is none.
    routing_key: Option<String>,
    /// The body.
    payload: String,
    /// How the body is written: `string` or `base64`.
    #[serde(default = "string")]
    #[schema(default = "string")]
    payload_encoding: String,
    /// The basic properties.
    #[serde(default)]
    #[schema(value_type = Object)]
    properties: JsonMap,
    /// The application headers.
    #[schema(value_type = Option<Object>)]
    headers: Option<JsonMap>,
}

fn string() -> String {
    "string".to_owned()
}

/// The result of one line.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum LineResult {
    /// It was confirmed.
    Confirmed {
        /// Whether it reached a queue.
        routed: bool,
    },
    /// It was not.
    Refused {
        /// The line's number, from 1.
        line: u64,
        /// The status that the message would have got alone.
        status: u16,
        /// What was wrong.
        #[serde(flatten)]
        error: ErrorBody,
    },
}

/// Answers with the results while the lines still come in.
pub(super) fn publish(
    publishing: Publishing,
    query: PublishQuery,
    request: Request,
    body_size_max: u64,
) -> Response {
    let (sender, receiver) = mpsc::channel(RESULT_CHUNKS);
    // Base64 takes four bytes for three.
    let line_length_max = body_size_max.saturating_mul(2).saturating_add(LINE_OVERHEAD_MAX);
    let batch = Batch {
        publishing,
        query,
        lines: Splitter::new(usize::try_from(line_length_max).unwrap_or(usize::MAX)),
        lines_begun: 0,
        results: VecDeque::new(),
        first_result: 1,
        text: Vec::new(),
        sender,
    };
    tokio::spawn(batch.run(request.into_body()));
    let chunks = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let chunk: Bytes = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), receiver))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(chunks)).into_response()
}

/// Chunks of results that wait for the client; what doesn't fit is collected into one.
const RESULT_CHUNKS: usize = 4;

/// A batch under way. It ends when its lines do, or when nobody reads its results any more.
struct Batch {
    publishing: Publishing,
    query: PublishQuery,
    lines: Splitter,
    lines_begun: u64,
    /// Of lines in order; `None` where queues haven't answered yet.
    results: VecDeque<Option<LineResult>>,
    /// The number of the line whose result is the first.
    first_result: u64,
    /// Results that are written and not handed over.
    text: Vec<u8>,
    sender: mpsc::Sender<Bytes>,
}

/// The client reads no results any more.
struct Gone;

/// What happened next while lines come in.
enum Step {
    Chunk(Result<Option<Bytes>, ApiError>),
    Answers(Vec<(u64, Outcome)>),
    HandedOver,
}

impl Batch {
    async fn run(mut self, mut body: Body) {
        // Whoever is gone has no use for results; what was published stays published.
        let _: Result<(), Gone> = self.run_to_the_end(&mut body).await;
    }

    async fn run_to_the_end(&mut self, body: &mut Body) -> Result<(), Gone> {
        loop {
            let has_room = self.results.len() < LINES_IN_FLIGHT_MAX;
            let step = tokio::select! {
                chunk = next_chunk(body), if has_room => Step::Chunk(chunk),
                answers = self.publishing.answered() => Step::Answers(answers),
                // The client has read on, and what is waiting has room.
                permit = self.sender.reserve(), if !self.text.is_empty() => {
                    permit.map_err(|_| Gone)?.send(std::mem::take(&mut self.text).into());
                    Step::HandedOver
                }
            };
            match step {
                Step::Chunk(Ok(Some(chunk))) => self.take_chunk(&chunk),
                Step::Chunk(Ok(None)) => break,
                Step::Chunk(Err(error)) => {
                    // The client hardly reads this, but whoever does learns where it broke.
                    self.lines_begun += 1;
                    self.refuse(error);
                    break;
                }
                Step::Answers(answers) => self.take_answers(answers),
                Step::HandedOver => {}
            }
            self.hand_over().await?;
        }
        if let Some(line) = self.lines.finish() {
            self.take_line(line);
            self.publishing.flush();
        }
        loop {
            self.hand_over().await?;
            if self.results.is_empty() {
                break;
            }
            let answers = self.publishing.answered().await;
            self.take_answers(answers);
        }
        if self.text.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(&mut self.text);
        self.sender.send(text.into()).await.map_err(|_| Gone)
    }

    fn take_chunk(&mut self, chunk: &[u8]) {
        self.lines.push(chunk);
        while let Some(line) = self.lines.next() {
            self.take_line(line);
        }
        self.publishing.flush();
    }

    /// One line; an empty one is none, so that numbers are those of the results.
    fn take_line(&mut self, line: Line) {
        self.lines_begun += 1;
        let number = self.lines_begun;
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong => {
                let max = self.lines.length_max as u64;
                return self.refuse(ApiError::too_large("the line", max));
            }
        };
        if line.trim_ascii().is_empty() {
            self.lines_begun -= 1;
            return;
        }
        let (routing_key, properties, body) = match self.read_line(&line) {
            Ok(message) => message,
            Err(reason) => {
                return self.refuse(ApiError::bad_request(format!("line {number}: {reason}")));
            }
        };
        let routing_key = routing_key.as_deref().unwrap_or(self.query.routing_key());
        let mandatory = self.query.mandatory();
        match self.publishing.publish(number, routing_key, &properties, body, mandatory) {
            Attempt::Done(outcome) => {
                self.results.push_back(Some(LineResult::new(number, outcome)))
            }
            Attempt::Pending => self.results.push_back(None),
        }
    }

    fn read_line(&self, line: &[u8]) -> Result<(Option<String>, Properties, Bytes), String> {
        // Serde would take a list for a message, its items for the fields in their order.
        if line.trim_ascii_start().starts_with(b"[") {
            return Err("column 1: a list, expected an object".to_owned());
        }
        let message: LineMessage = serde_json::from_slice(line).map_err(|error| {
            let text = error.to_string();
            // The line that serde counts is always the first.
            let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
            format!("column {}: {what}", error.column())
        })?;
        let mut properties = json::properties_from_json(&message.properties)?;
        if let Some(headers) = &message.headers {
            properties.headers = Some(json::table_from_json(headers, "headers")?);
        }
        let properties = properties_or(properties, &self.query);
        json::check_properties(&properties)?;
        let body = json::decode_payload(message.payload, &message.payload_encoding)?;
        Ok((message.routing_key, properties, body.into()))
    }

    fn refuse(&mut self, error: ApiError) {
        self.results.push_back(Some(LineResult::new(self.lines_begun, Err(error))));
    }

    fn take_answers(&mut self, answers: Vec<(u64, Outcome)>) {
        for (number, outcome) in answers {
            let index = number.checked_sub(self.first_result);
            let index = index.and_then(|index| usize::try_from(index).ok());
            if let Some(result) = index.and_then(|index| self.results.get_mut(index)) {
                *result = Some(LineResult::new(number, outcome));
            }
        }
    }

    /// Hands over the results of the first lines, as far as they are known. Waits only where too
    /// much is waiting for the client already.
    async fn hand_over(&mut self) -> Result<(), Gone> {
        while let Some(Some(_)) = self.results.front() {
            if let Some(Some(result)) = self.results.pop_front() {
                self.first_result += 1;
                self.text.extend(serde_json::to_vec(&result).unwrap_or_default());
                self.text.push(b'\n');
            }
        }
        if self.text.is_empty() {
            return Ok(());
        }
        let permit = if self.text.len() < RESULTS_WAITING_MAX {
            match self.sender.try_reserve() {
                Ok(permit) => permit,
                Err(mpsc::error::TrySendError::Full(())) => return Ok(()),
                Err(mpsc::error::TrySendError::Closed(())) => return Err(Gone),
            }
        } else {
            self.sender.reserve().await.map_err(|_| Gone)?
        };
        permit.send(std::mem::take(&mut self.text).into());
        Ok(())
    }
}

/// A line's own properties, and the query's where it has none.
fn properties_or(own: Properties, query: &PublishQuery) -> Properties {
    let common = query.common_properties();
    Properties {
        content_type: own.content_type,
        content_encoding: own.content_encoding.or(common.content_encoding),
        headers: own.headers,
        delivery_mode: own.delivery_mode.or(common.delivery_mode),
        priority: own.priority.or(common.priority),
        correlation_id: own.correlation_id.or(common.correlation_id),
        reply_to: own.reply_to.or(common.reply_to),
        expiration: own.expiration.or(common.expiration),
        message_id: own.message_id.or(common.message_id),
        timestamp: own.timestamp.or(common.timestamp),
        kind: own.kind.or(common.kind),
        user_id: own.user_id.or(common.user_id),
        app_id: own.app_id.or(common.app_id),
        cluster_id: own.cluster_id,
    }
}

impl LineResult {
    fn new(line: u64, outcome: Outcome) -> Self {
        match outcome {
            Ok(routed) => Self::Confirmed { routed },
            Err(error) => Self::Refused { line, status: error.status.as_u16(), error: error.body },
        }
    }
}

/// Cuts what comes in at line ends.
struct Splitter {
    buffer: BytesMut,
    length_max: usize,
    /// Where the search for a line end goes on.
    searched: usize,
    /// The line under way is too long: it is dropped up to its end.
    is_dropping: bool,
}

#[derive(Debug, PartialEq)]
enum Line {
    Whole(Bytes),
    TooLong,
}

impl Splitter {
    fn new(length_max: usize) -> Self {
        Self { buffer: BytesMut::new(), length_max, searched: 0, is_dropping: false }
    }

    fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    fn next(&mut self) -> Option<Line> {
        let end = self.buffer[self.searched..].iter().position(|&byte| byte == b'\n');
        let Some(end) = end else {
            self.searched = self.buffer.len();
            if self.buffer.len() > self.length_max {
                self.is_dropping = true;
                self.buffer.clear();
                self.searched = 0;
            }
            return None;
        };
        let line = self.buffer.split_to(self.searched + end + 1).freeze();
        self.searched = 0;
        let line = line.slice(..line.len() - 1);
        if std::mem::take(&mut self.is_dropping) || line.len() > self.length_max {
            return Some(Line::TooLong);
        }
        Some(Line::Whole(line))
    }

    /// What stands after the last line end.
    fn finish(&mut self) -> Option<Line> {
        let line = self.buffer.split().freeze();
        if std::mem::take(&mut self.is_dropping) {
            return Some(Line::TooLong);
        }
        (!line.is_empty()).then_some(Line::Whole(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(length_max: usize, chunks: &[&str]) -> Vec<Line> {
        let mut splitter = Splitter::new(length_max);
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.push(chunk.as_bytes());
            lines.extend(std::iter::from_fn(|| splitter.next()));
        }
        lines.extend(splitter.finish());
        lines
    }

    fn whole(text: &'static str) -> Line {
        Line::Whole(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        for chunks in [&["ab\ncd\n\nef"][..], &["a", "b", "\nc", "d\n", "\n", "e", "f"]] {
            assert_eq!(split(9, chunks), [whole("ab"), whole("cd"), whole(""), whole("ef")]);
        }
        assert_eq!(split(9, &["ab\n"]), [whole("ab")]);
        assert_eq!(split(9, &[]), []);
    }

    #[test]
    fn a_line_that_is_too_long_does_not_harm_the_next() {
        for chunks in [&["12345\nab\n"][..], &["123", "45", "67\nab\n"], &["1234", "5678", "\nab"]]
        {
            assert_eq!(split(3, chunks), [Line::TooLong, whole("ab")]);
        }
        assert_eq!(split(3, &["1234", "5"]), [Line::TooLong]);
    }
}
