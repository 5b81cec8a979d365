//! Publishing, one and many.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value as Json, json};
use shunt_http_api::HttpSettings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::Client;
use crate::harness::Server;

const DEFAULT: &str = "/v1/vhosts/%2F/exchanges/amq.default/messages";

async fn one(client: &Client, queue: &str) -> Json {
    let messages = client.get(&format!("/v1/vhosts/%2F/queues/{queue}/messages")).await.ok(200);
    messages[0].clone()
}

fn lines(client: &Client, query: &str, body: &str) -> Request<Full<Bytes>> {
    let request = client.request("POST", &format!("{DEFAULT}{query}"));
    let request = request.header("content-type", "application/x-ndjson; charset=utf-8");
    request.body(Full::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn a_message_arrives_with_its_properties() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    let query = "routing_key=q&delivery_mode=2&priority=3&correlation_id=c&reply_to=r\
                 &expiration=60000&message_id=m&timestamp=17&type=t&app_id=a&user_id=guest";
    let request = guest
        .request("POST", &format!("{DEFAULT}?{query}"))
        .header("content-type", "text/plain")
        .header("content-encoding", "identity")
        .header("x-header-Region", "eu")
        .body(Full::from("hallo"))
        .unwrap();
    assert_eq!(guest.send(request).await.ok(200), json!({"routed": true}));
    let expected = json!({
        "payload": "hallo",
        "payload_encoding": "string",
        "properties": {
            "content_type": "text/plain", "content_encoding": "identity", "delivery_mode": 2,
            "priority": 3, "correlation_id": "c", "reply_to": "r", "expiration": "60000",
            "message_id": "m", "timestamp": 17, "type": "t", "app_id": "a", "user_id": "guest",
        },
        "headers": {"region": "eu"},
        "exchange": "",
        "routing_key": "q",
        "redelivered": false,
    });
    assert_eq!(one(&guest, "q").await, expected);
}

#[tokio::test]
async fn what_reaches_no_queue_is_said() {
    let server = Server::start().await;
    let guest = server.guest();
    let nowhere = format!("{DEFAULT}?routing_key=nowhere");
    assert_eq!(guest.post(&nowhere, "x").await.ok(200), json!({"routed": false}));
    let mandatory = guest.post(&format!("{nowhere}&mandatory=true"), "x").await;
    assert!(mandatory.refused(422).contains("'nowhere'"));
    let missing = guest.post("/v1/vhosts/%2F/exchanges/x/messages", "x").await;
    assert_eq!(missing.refused(404), "no exchange 'x' in vhost '/'");
    let internal = guest.post("/v1/vhosts/%2F/exchanges/amq.rabbitmq.trace/messages", "x").await;
    assert!(internal.refused(403).contains("internal"));
    let counters = server.broker.counters();
    assert_eq!(counters.messages_unroutable_dropped.get(), 1);
    assert_eq!(counters.messages_unroutable_returned.get(), 1);
    assert_eq!(counters.messages_confirmed.get(), 1);
}

#[tokio::test]
async fn what_is_not_confirmed_is_said_with_the_reason() {
    let server = Server::start().await;
    let guest = server.guest();
    let full = r#"{"arguments":{"x-max-length":1,"x-overflow":"reject-publish"}}"#;
    guest.put("/api/queues/%2F/full", full).await.ok(201);
    guest.publish("full", "first").await;
    let refused = guest.post(&format!("{DEFAULT}?routing_key=full"), "second").await;
    assert!(refused.refused(503).contains("refused"));
    guest.put("/api/exchanges/%2F/broken", r#"{"type":"x-failing"}"#).await.ok(201);
    let failed = guest.post("/v1/vhosts/%2F/exchanges/broken/messages", "x").await;
    assert_eq!(failed.status, 503);
    let expected = json!({
        "error": "not_confirmed",
        "reason": "the route of exchange 'broken' failed: trap: unreachable executed",
        "cause": "trap",
        "detail": "unreachable executed",
    });
    assert_eq!(failed.json(), expected);
    assert_eq!(server.broker.counters().messages_route_failed.get(), 1);
}

#[tokio::test]
async fn wrong_properties_are_named() {
    let server = Server::start().await;
    let guest = server.guest();
    let refused =
        async |query: &str| guest.post(&format!("{DEFAULT}?{query}"), "x").await.refused(400);
    assert!(refused("expiration=soon").await.contains("'soon'"));
    assert!(refused("priority=256").await.contains("priority"));
    assert!(refused("colour=red").await.contains("colour"));
    assert!(refused("user_id=ann").await.contains("authenticated user was 'guest'"));
    assert!(refused(&format!("app_id={}", "a".repeat(256))).await.contains("app_id"));
    assert!(refused(&format!("routing_key={}", "a".repeat(256))).await.contains("routing key"));
    let twice = guest.request("POST", DEFAULT).header("x-header-a", "1").header("x-header-a", "2");
    let twice = guest.send(twice.body(Full::from("x")).unwrap()).await;
    assert!(twice.refused(400).contains("given twice"));
    let unnamed = guest.request("POST", DEFAULT).header("x-header-", "1");
    guest.send(unnamed.body(Full::from("x")).unwrap()).await.refused(400);
}

#[tokio::test]
async fn a_message_may_be_as_large_as_the_setting_says() {
    let settings = HttpSettings { message_size_max: 1000, ..HttpSettings::default() };
    let server = Server::with(settings).await;
    let guest = server.guest();
    guest.queue("q").await;
    guest.publish("q", &"x".repeat(1000)).await;
    let path = format!("{DEFAULT}?routing_key=q");
    assert!(guest.post(&path, &"x".repeat(1001)).await.refused(413).contains("1000 bytes"));
    assert_eq!(guest.counts("q").await, (1, 0));
}

#[tokio::test]
async fn many_messages_have_a_result_each() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    let full = r#"{"arguments":{"x-max-length":1,"x-overflow":"reject-publish"}}"#;
    guest.put("/api/queues/%2F/full", full).await.ok(201);
    let body = [
        r#"{"routing_key":"q","payload":"one","headers":{"n":1},"properties":{"type":"t"}}"#,
        r#"{"routing_key":"q","payload":"/w==","payload_encoding":"base64"}"#,
        "",
        r#"{"routing_key":"q","payload":}"#,
        r#"{"payload":"by the query"}"#,
        r#"{"routing_key":"nowhere","payload":"x"}"#,
        r#"{"routing_key":"full","payload":"x"}"#,
        r#"{"routing_key":"full","payload":"x"}"#,
        r#"{"routing_key":"q","payload":"x","colour":"red"}"#,
        r#"{"routing_key":"q","payload":"x","properties":{"priority":-1}}"#,
    ]
    .join("\n");
    let answer = guest.send(lines(&guest, "?routing_key=q&app_id=a", &body)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let results: Vec<Json> =
        answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let routed = json!({"routed": true});
    assert_eq!(results.len(), 9, "{results:#?}");
    assert_eq!(results[0], routed);
    assert_eq!(results[1], routed);
    assert_eq!(results[2]["line"], 3);
    assert_eq!(results[2]["reason"], "line 3: column 30: expected value");
    assert_eq!(results[3], routed);
    assert_eq!(results[4], json!({"routed": false}));
    assert_eq!(results[5], routed);
    assert_eq!(
        (&results[6]["error"], &results[6]["status"]),
        (&"not_confirmed".into(), &503.into())
    );
    assert!(results[7]["reason"].as_str().unwrap().contains("colour"));
    assert!(results[8]["reason"].as_str().unwrap().contains("priority"));
    let path = "/v1/vhosts/%2F/queues/q/messages?max=10";
    let messages = guest.get(path).await.ok(200);
    assert_eq!(messages.as_array().unwrap().len(), 3);
    assert_eq!(messages[0]["headers"], json!({"n": 1}));
    assert_eq!(messages[0]["properties"], json!({"type": "t", "app_id": "a"}));
    assert_eq!(messages[1]["payload_encoding"], "base64");
    assert_eq!(messages[2]["payload"], "by the query");
}

#[tokio::test]
async fn a_long_batch_keeps_its_order() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    let mut body = String::new();
    for n in 0..20_000 {
        let key = if n % 1000 == 7 { "nowhere" } else { "q" };
        body.push_str(&format!("{{\"routing_key\":\"{key}\",\"payload\":\"{n}\"}}\n"));
    }
    let answer = guest.send(lines(&guest, "?mandatory=true", &body)).await;
    let results: Vec<_> = answer.body.lines().collect();
    assert_eq!(results.len(), 20_000);
    for (n, result) in results.iter().enumerate() {
        let expected = if n % 1000 == 7 { "unroutable" } else { "{\"routed\":true}" };
        assert!(result.contains(expected), "{n}: {result}");
    }
    assert_eq!(guest.counts("q").await, (19_980, 0));
    let first = guest.get("/v1/vhosts/%2F/queues/q/messages?max=20").await.ok(200);
    let payloads: Vec<_> = first.as_array().unwrap().iter().map(|m| m["payload"].clone()).collect();
    assert_eq!(payloads[6..9], [json!("6"), json!("8"), json!("9")]);
}

#[tokio::test]
async fn a_batch_to_a_missing_exchange_is_refused_as_a_whole() {
    let server = Server::start().await;
    let guest = server.guest();
    let request = guest.request("POST", "/v1/vhosts/%2F/exchanges/x/messages");
    let request = request.header("content-type", "application/x-ndjson");
    guest.send(request.body(Full::from("{}")).unwrap()).await.refused(404);
}

/// A program may wait for a line's result before it sends the next.
#[tokio::test]
async fn results_come_while_lines_are_still_sent() {
    let server = Server::start().await;
    server.guest().queue("q").await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST {DEFAULT}?routing_key=q HTTP/1.1\r\nhost: x\r\nauthorization: Basic \
         Z3Vlc3Q6Z3Vlc3Q=\r\ncontent-type: application/x-ndjson\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut received = String::new();
    for n in 1..=20 {
        // Cut in two: a line need not come in one piece.
        let line = format!("{{\"payload\":\"{n}\"}}\n");
        let (a, b) = line.split_at(5);
        for piece in [a, b] {
            let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
            socket.write_all(chunk.as_bytes()).await.unwrap();
        }
        while received.matches("{\"routed\":true}").count() < n {
            let mut buffer = [0; 1024];
            let read = socket.read(&mut buffer);
            let length = timeout(Duration::from_secs(10), read).await.unwrap().unwrap();
            assert!(length > 0, "{received}");
            received.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
    }
    // A client that breaks off leaves what it published, and nothing half.
    drop(socket);
    server.guest().until_counts("q", (20, 0)).await;
}
