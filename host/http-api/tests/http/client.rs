//! A client in a few lines.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value as Json;

#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    authorization: Option<String>,
    hyper: HyperClient<HttpConnector, Full<Bytes>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Expects a status, and gives the JSON.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Json {
        assert_eq!(self.status, status, "{self:?}");
        if self.body.is_empty() { Json::Null } else { self.json() }
    }

    /// Expects a refusal, and gives its reason.
    #[track_caller]
    pub(crate) fn refused(self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        let json = self.json();
        assert!(json["error"].is_string(), "{json}");
        json["reason"].as_str().unwrap().to_owned()
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr, user: Option<(&str, &str)>) -> Self {
        let encode = |(name, password)| STANDARD.encode(format!("{name}:{password}"));
        let authorization = user.map(|user| format!("Basic {}", encode(user)));
        let hyper = HyperClient::builder(TokioExecutor::new()).build_http();
        Self { address, authorization, hyper }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> hyper::http::request::Builder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request =
            Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        }
    }

    pub(crate) async fn open(&self, request: Request<Full<Bytes>>) -> hyper::Response<Incoming> {
        self.hyper.request(request).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let within = Duration::from_secs(20);
        let answer = tokio::time::timeout(within, async {
            let (parts, body) = self.open(request).await.into_parts();
            let body = body.collect().await.unwrap().to_bytes().to_vec();
            Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body: String::from_utf8(body).unwrap(),
            }
        });
        answer.await.expect("an answer")
    }

    async fn call(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Answer {
        let request = self.request(method, path).body(Full::new(body.into())).unwrap();
        self.send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "").await
    }

    pub(crate) async fn put(&self, path: &str, body: &str) -> Answer {
        self.call("PUT", path, body.to_owned()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.call("POST", path, body.to_owned()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, "").await
    }

    /// Makes a queue.
    pub(crate) async fn queue(&self, name: &str) {
        self.put(&format!("/api/queues/%2F/{name}"), r#"{"durable":false}"#).await.ok(201);
    }

    /// Publishes to a queue by its name.
    pub(crate) async fn publish(&self, queue: &str, body: &str) {
        let path = format!("/v1/vhosts/%2F/exchanges/amq.default/messages?routing_key={queue}");
        assert_eq!(self.post(&path, body).await.ok(200)["routed"], true);
    }

    /// Ready and unacknowledged messages of a queue.
    pub(crate) async fn counts(&self, queue: &str) -> (u64, u64) {
        let view = self.get(&format!("/api/queues/%2F/{queue}")).await.ok(200);
        let count = |name: &str| view[name].as_u64().unwrap();
        (count("messages_ready"), count("messages_unacknowledged"))
    }

    /// Waits until a queue has so many ready and unacknowledged messages.
    pub(crate) async fn until_counts(&self, queue: &str, expected: (u64, u64)) {
        for _ in 0..300 {
            if self.counts(queue).await == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.counts(queue).await, expected);
    }
}
