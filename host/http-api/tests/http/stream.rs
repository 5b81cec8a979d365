//! Server-sent events.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::{Value as Json, json};
use tokio::time::timeout;

use crate::client::Client;
use crate::harness::Server;

/// A stream as a client reads it.
struct Events {
    body: Incoming,
    text: String,
}

impl Events {
    async fn open(client: &Client, query: &str) -> Self {
        let path = format!("/v1/vhosts/%2F/queues/q/stream?{query}");
        let request = client.request("GET", &path).body(Full::default()).unwrap();
        let response = client.open(request).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), text: String::new() }
    }

    /// The next event: its name, and its data.
    async fn next(&mut self) -> Option<(String, Json)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                let name = field("event: ").unwrap_or("message").to_owned();
                let data = field("data: ").map(|data| serde_json::from_str(data).unwrap());
                let rest = rest.to_owned();
                self.text = rest;
                if let Some(data) = data {
                    return Some((name, data));
                }
                continue;
            }
            let frame = timeout(Duration::from_secs(10), self.body.frame()).await.unwrap()?;
            let chunk = frame.unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn message(&mut self) -> Json {
        let (name, data) = self.next().await.unwrap();
        assert_eq!(name, "message");
        data
    }

    async fn is_silent(&mut self) -> bool {
        timeout(Duration::from_millis(200), self.next()).await.is_err()
    }
}

#[tokio::test]
async fn messages_come_as_they_are_published() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    guest.publish("q", "early").await;
    let mut events = Events::open(&guest, "").await;
    assert_eq!(events.message().await["payload"], "early");
    guest.publish("q", "two\nlines").await;
    let message = events.message().await;
    assert_eq!(message["payload"], "two\nlines");
    assert_eq!(message.get("lease"), None);
    guest.until_counts("q", (0, 0)).await;
}

#[tokio::test]
async fn a_client_holds_as_many_as_it_asked_for() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    for body in ["a", "b", "c"] {
        guest.publish("q", body).await;
    }
    let mut events = Events::open(&guest, "prefetch=2&ack=manual").await;
    let (a, b) = (events.message().await, events.message().await);
    assert_eq!((&a["payload"], &b["payload"]), (&json!("a"), &json!("b")));
    assert!(events.is_silent().await);
    assert_eq!(guest.counts("q").await, (1, 2));
    let settle = json!({"ack": [a["lease"]]}).to_string();
    guest.post("/v1/vhosts/%2F/queues/q/settle", &settle).await.ok(200);
    assert_eq!(events.message().await["payload"], "c");
    // What isn't settled when the client goes is there again.
    drop(events);
    guest.until_counts("q", (2, 0)).await;
    let again = guest.get("/v1/vhosts/%2F/queues/q/messages?max=5").await.ok(200);
    assert_eq!((&again[0]["payload"], &again[0]["redelivered"]), (&json!("b"), &json!(true)));
    assert_eq!(again[1]["payload"], "c");
}

#[tokio::test]
async fn a_stream_says_why_it_ends() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    let mut events = Events::open(&guest, "").await;
    guest.delete("/api/queues/%2F/q").await.ok(204);
    let end = ("end".to_owned(), json!({"reason": "the queue was deleted"}));
    assert_eq!(events.next().await, Some(end));
    assert_eq!(events.next().await, None);
    guest.queue("q").await;
    let mut events = Events::open(&guest, "").await;
    server.shutdown.send(true).unwrap();
    let end = ("end".to_owned(), json!({"reason": "the node is stopping"}));
    assert_eq!(events.next().await, Some(end));
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn an_auto_delete_queue_goes_with_its_last_stream() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.put("/api/queues/%2F/q", r#"{"auto_delete":true}"#).await.ok(201);
    drop(Events::open(&guest, "").await);
    for _ in 0..200 {
        if guest.get("/api/queues/%2F/q").await.status == 404 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the queue is still there");
}

#[tokio::test]
async fn wrong_streams_are_named() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    let path = "/v1/vhosts/%2F/queues/q/stream?prefetch=";
    assert!(guest.get(&format!("{path}0")).await.refused(400).contains("from 1 to 10000"));
    assert!(guest.get(&format!("{path}10001")).await.refused(400).contains("from 1 to 10000"));
    assert!(guest.get(&format!("{path}70000")).await.refused(400).contains("prefetch"));
    guest.get("/v1/vhosts/%2F/queues/none/stream").await.refused(404);
}
