//! A small HTTP/1.1 client: a connection for each request, the answer read as it comes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

/// How long an answer may be on its way.
const TIMEOUT: Duration = Duration::from_secs(180);

/// The longest line of an answer's head, or of an event.
const LINE_MAX: u64 = 32 << 20;

/// Where a node's HTTP is, and who asks.
#[derive(Clone, Debug)]
pub struct Http {
    address: SocketAddr,
    authorization: Option<String>,
}

/// A request in the making.
#[derive(Clone, Debug)]
#[must_use]
pub struct Request<'a> {
    http: &'a Http,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Http {
    /// Nobody in particular.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, authorization: None }
    }

    /// A user.
    #[must_use]
    pub fn user(mut self, user: &str, password: &str) -> Self {
        self.authorization = Some(BASE64.encode(format!("{user}:{password}")));
        self
    }

    /// A request to be sent.
    pub fn request(&self, method: &str, path: &str) -> Request<'_> {
        Request {
            http: self,
            method: method.into(),
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> anyhow::Result<Response> {
        self.request("GET", path).send()
    }

    /// `PUT` of JSON.
    pub fn put(&self, path: &str, body: &Value) -> anyhow::Result<Response> {
        self.request("PUT", path).json(body).send()
    }

    /// `POST` of JSON.
    pub fn post(&self, path: &str, body: &Value) -> anyhow::Result<Response> {
        self.request("POST", path).json(body).send()
    }

    /// `DELETE`.
    pub fn delete(&self, path: &str) -> anyhow::Result<Response> {
        self.request("DELETE", path).send()
    }

    /// Server-sent events; an answer other than 200 is an error.
    pub fn events(&self, path: &str) -> anyhow::Result<EventStream> {
        let mut answer = self.request("GET", path).begin()?;
        if answer.status != 200 {
            let body = answer.read_body()?;
            bail!("{path}: {} {}", answer.status, String::from_utf8_lossy(&body));
        }
        ensure!(answer.header("content-type") == Some("text/event-stream"), "no events");
        Ok(EventStream { answer, text: Vec::new() })
    }
}

impl Request<'_> {
    /// One more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A body of any kind.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A body of JSON.
    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").body(body.to_string())
    }

    /// Sends it and reads the whole answer.
    pub fn send(self) -> anyhow::Result<Response> {
        let what = format!("{} {}", self.method, self.path);
        let read = || {
            let mut answer = self.begin()?;
            let body = answer.read_body()?;
            Ok(Response { status: answer.status, headers: answer.headers, body })
        };
        read().map_err(|error: anyhow::Error| error.context(what))
    }

    fn begin(&self) -> anyhow::Result<Answer> {
        let mut stream = TcpStream::connect(self.http.address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        head.push_str(&format!("Host: {}\r\nConnection: close\r\n", self.http.address));
        if let Some(authorization) = &self.http.authorization {
            head.push_str(&format!("Authorization: Basic {authorization}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        stream.write_all(head.as_bytes())?;
        // A server may refuse a body before it has read it, and close.
        let _ = stream.write_all(&self.body);
        Answer::begin(stream)
    }
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The JSON of an answer that has this status; any other is a panic that shows the answer.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }

    /// The reason of a refusal with this status, which must say this.
    #[track_caller]
    pub fn refused(&self, status: u16, part: &str) {
        let reason = self.expect(status)["reason"].as_str().unwrap_or_default().to_owned();
        assert!(reason.contains(part), "{part:?} is not in {reason:?}");
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

/// An answer whose head was read.
#[derive(Debug)]
struct Answer {
    stream: BufReader<TcpStream>,
    status: u16,
    headers: Vec<(String, String)>,
}

impl Answer {
    fn begin(stream: TcpStream) -> anyhow::Result<Self> {
        let mut answer = Self { stream: BufReader::new(stream), status: 0, headers: Vec::new() };
        let line = answer.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        answer.status = status.with_context(|| format!("no status line: {line:?}"))?;
        loop {
            let line = answer.line()?;
            if line.is_empty() {
                return Ok(answer);
            }
            let (name, value) = line.split_once(':').context("no header line")?;
            answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        (&mut self.stream).take(LINE_MAX).read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "the answer broke off at {line:?}");
        Ok(line.trim_end().to_owned())
    }

    /// The next piece of a chunked body; `None` at its end.
    fn chunk(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let line = self.line()?;
        let length = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16)?;
        let mut chunk = vec![0; length];
        self.stream.read_exact(&mut chunk)?;
        self.line()?;
        Ok((length > 0).then_some(chunk))
    }

    fn read_body(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        if self.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk()? {
                body.extend(chunk);
            }
        } else if let Some(length) = self.header("content-length") {
            body.resize(length.parse()?, 0);
            self.stream.read_exact(&mut body)?;
        } else if self.status != 204 {
            self.stream.read_to_end(&mut body)?;
        }
        Ok(body)
    }
}

/// Server-sent events as they come.
#[derive(Debug)]
pub struct EventStream {
    answer: Answer,
    /// What came and is no whole event yet.
    text: Vec<u8>,
}

impl EventStream {
    /// The next event: its name, empty for a plain one, and its data; `None` at the end.
    pub fn next_event(&mut self) -> anyhow::Result<Option<(String, Value)>> {
        loop {
            let end = self.text.windows(2).position(|pair| pair == b"\n\n");
            let Some(end) = end else {
                let Some(chunk) = self.answer.chunk()? else { return Ok(None) };
                self.text.extend(chunk);
                continue;
            };
            let event: Vec<u8> = self.text.drain(..end + 2).collect();
            let event = String::from_utf8(event)?;
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            // A comment keeps the connection open.
            let Some(data) = field("data:") else { continue };
            let name = field("event:").unwrap_or_default().trim().to_owned();
            return Ok(Some((name, serde_json::from_str(data)?)));
        }
    }
}
