//! The client of a node's HTTP API, for the commands that talk to a running node: one request,
//! one answer, on a runtime of its own.

use std::error::Error as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::cli::NodeArgs;
use crate::password_input;

/// Most bytes of an answer that are read.
const ANSWER_SIZE_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of a file that is downloaded: a trace has no more.
const DOWNLOAD_SIZE_MAX: usize = 5 << 30;
/// Time for request and answer; compiling a large module is part of it.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A node, and who asks it.
pub(crate) struct HttpClient {
    /// Scheme, host and port, without a slash at the end.
    url: String,
    authorization: String,
}

/// What is sent with a request.
pub(crate) enum RequestBody {
    Empty,
    Json(Value),
    /// JSON as it came from a file, so that the node's errors name the file's lines.
    JsonText(Vec<u8>),
    Module(Vec<u8>),
}

impl HttpClient {
    /// The node that the command line names; nothing is sent yet.
    pub(crate) fn of(node: &NodeArgs) -> anyhow::Result<Self> {
        let password = password_input::resolve(&node.password, "the password of --user")?;
        Self::new(&node.url, &node.user, &password)
    }

    /// The node at the URL; nothing is sent yet.
    pub(crate) fn new(url: &str, user: &str, password: &str) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().map_err(|error| anyhow!("'{url}' is not a URL: {error}"))?;
        if uri.scheme_str() != Some("http") || uri.authority().is_none() {
            bail!("'{url}' is not a URL of the form http://HOST:PORT");
        }
        let authorization = format!("Basic {}", BASE64.encode(format!("{user}:{password}")));
        Ok(Self { url: url.trim_end_matches('/').to_owned(), authorization })
    }

    /// Sends a request and answers the JSON of a good answer, null where there is none.
    pub(crate) fn send(
        &self,
        method: Method,
        path: &str,
        body: RequestBody,
    ) -> anyhow::Result<Value> {
        let (content_type, body) = match body {
            RequestBody::Empty => (None, Bytes::new()),
            RequestBody::Json(value) => (Some("application/json"), value.to_string().into()),
            RequestBody::JsonText(bytes) => (Some("application/json"), bytes.into()),
            RequestBody::Module(bytes) => (Some("application/wasm"), bytes.into()),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::ACCEPT, "application/json");
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let request = request.body(Full::new(body)).context("the request can't be made")?;
        let (status, body) = self.answer(request, ANSWER_SIZE_MAX)?;
        read_answer(status, &body)
    }

    /// The bytes of what isn't JSON.
    pub(crate) fn download(&self, path: &str) -> anyhow::Result<Bytes> {
        let request = Request::builder()
            .uri(format!("{}{path}", self.url))
            .header(header::AUTHORIZATION, &self.authorization)
            .body(Full::new(Bytes::new()))
            .context("the request can't be made")?;
        let (status, body) = self.answer(request, DOWNLOAD_SIZE_MAX)?;
        match status.is_success() {
            true => Ok(body),
            false => Err(read_answer(status, &body).err().context("no reason was given")?),
        }
    }

    fn answer(
        &self,
        request: Request<Full<Bytes>>,
        size_max: usize,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for the request")?;
        let answer =
            async { tokio::time::timeout(TIMEOUT, self.exchange(request, size_max)).await };
        runtime
            .block_on(answer)
            .map_err(|_| anyhow!("{} did not answer in {} s", self.url, TIMEOUT.as_secs()))?
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        size_max: usize,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let answer = client.request(request).await.map_err(|error| {
            let said = if error.is_connect() { "no node answers at" } else { "no answer from" };
            anyhow!("{said} {}: {}", self.url, root_cause(&error))
        })?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), size_max).collect().await;
        let body =
            body.map_err(|error| anyhow!("the answer of {} broke off: {error}", self.url))?;
        Ok((status, body.to_bytes()))
    }
}

/// The innermost error says what happened; those around it only who noticed.
fn root_cause(error: &hyper_util::client::legacy::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    let mut source = error.source();
    while let Some(inner) = source {
        cause = inner;
        source = inner.source();
    }
    cause.to_string()
}

fn read_answer(status: StatusCode, body: &[u8]) -> anyhow::Result<Value> {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    if status.is_success() {
        return match value {
            Some(value) => Ok(value),
            None if body.is_empty() => Ok(Value::Null),
            None => bail!("the answer is not JSON: is this a node of shunt?"),
        };
    }
    let text = |name: &str| value.as_ref().and_then(|value| value[name].as_str());
    match (text("error"), text("reason")) {
        (Some(error), Some(reason)) => bail!("{error}: {reason}{}", applied(value.as_ref())),
        (Some(text), None) | (None, Some(text)) => bail!("{text}"),
        (None, None) => bail!("the node answered {status}"),
    }
}

/// What an import had done before it failed.
fn applied(answer: Option<&Value>) -> String {
    let names = answer.and_then(|answer| answer["applied"].as_array());
    let names = names.map(|names| names.iter().filter_map(Value::as_str).collect::<Vec<_>>());
    names.map_or_else(String::new, |names| match names.is_empty() {
        true => "; nothing was applied".to_owned(),
        false => format!("; applied: {}", names.join(", ")),
    })
}

/// One segment of a path: all but letters, digits and `-._~` escaped.
pub(crate) fn encode_segment(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_escaped() {
        assert_eq!(encode_segment("/"), "%2F");
        assert_eq!(encode_segment("a b-ü"), "a%20b-%C3%BC");
    }

    #[test]
    fn an_answer_that_is_an_error_becomes_one_line() {
        let body = br#"{"error":"bad_request","reason":"no export 'shunt_route'"}"#;
        let error = read_answer(StatusCode::BAD_REQUEST, body).unwrap_err();
        assert_eq!(error.to_string(), "bad_request: no export 'shunt_route'");
        let body = br#"{"error":"unavailable","reason":"full","applied":["user 'a'","vhost 'v'"]}"#;
        let error = read_answer(StatusCode::SERVICE_UNAVAILABLE, body).unwrap_err();
        assert_eq!(error.to_string(), "unavailable: full; applied: user 'a', vhost 'v'");
        let error = read_answer(StatusCode::BAD_GATEWAY, b"<html>").unwrap_err();
        assert_eq!(error.to_string(), "the node answered 502 Bad Gateway");
        assert_eq!(read_answer(StatusCode::NO_CONTENT, b"").unwrap(), Value::Null);
    }

    #[test]
    fn a_url_is_checked_before_anything_is_sent() {
        for url in ["localhost:15672", "https://localhost", "http://", "not a url"] {
            assert!(HttpClient::new(url, "u", "p").is_err(), "{url}");
        }
        assert!(HttpClient::new("http://localhost:15672/", "u", "p").is_ok());
    }
}
