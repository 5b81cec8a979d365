//! Long polls, leases and settling.

use std::time::Duration;

use http_body_util::Full;
use serde_json::{Value as Json, json};
use shunt_http_api::HttpSettings;
use tokio::time::{Instant, timeout};

use crate::client::Client;
use crate::harness::Server;

const MESSAGES: &str = "/v1/vhosts/%2F/queues/q/messages";
const SETTLE: &str = "/v1/vhosts/%2F/queues/q/settle";

fn payloads(messages: &Json) -> Vec<&str> {
    messages.as_array().unwrap().iter().map(|m| m["payload"].as_str().unwrap()).collect()
}

async fn lease(client: &Client, max: u32) -> (Json, Vec<String>) {
    let messages = client.get(&format!("{MESSAGES}?max={max}&ack=manual")).await.ok(200);
    let leases = messages.as_array().unwrap().iter();
    let leases = leases.map(|m| m["lease"].as_str().unwrap().to_owned()).collect();
    (messages, leases)
}

#[tokio::test]
async fn a_poll_takes_what_is_there() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    assert_eq!(guest.get(MESSAGES).await.ok(200), json!([]));
    for body in ["a", "b", "c"] {
        guest.publish("q", body).await;
    }
    let first = guest.get(&format!("{MESSAGES}?max=2&encoding=base64")).await.ok(200);
    assert_eq!(payloads(&first), ["YQ==", "Yg=="]);
    assert_eq!(first[0]["payload_encoding"], "base64");
    guest.until_counts("q", (1, 0)).await;
}

#[tokio::test]
async fn a_poll_waits_for_the_next_message() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    let started = Instant::now();
    let waiting = tokio::spawn({
        let guest = guest.clone();
        async move { guest.get(&format!("{MESSAGES}?wait=20&max=5")).await.ok(200) }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    guest.publish("q", "late").await;
    assert_eq!(payloads(&waiting.await.unwrap()), ["late"]);
    assert!(started.elapsed() < Duration::from_secs(10));
    guest.until_counts("q", (0, 0)).await;
    // Where nothing comes the time runs out, and no consumer is left behind.
    assert_eq!(guest.get(&format!("{MESSAGES}?wait=1")).await.ok(200), json!([]));
    assert_eq!(guest.get("/api/queues/%2F/q").await.ok(200)["consumers"], 0);
}

#[tokio::test]
async fn an_auto_delete_queue_outlives_a_poll() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.put("/api/queues/%2F/q", r#"{"auto_delete":true}"#).await.ok(201);
    assert_eq!(guest.get(&format!("{MESSAGES}?wait=1")).await.ok(200), json!([]));
    guest.publish("q", "x").await;
    assert_eq!(payloads(&guest.get(MESSAGES).await.ok(200)), ["x"]);
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_waits_takes_nothing_along() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    let request = guest.request("GET", &format!("{MESSAGES}?wait=20&max=5"));
    let request = request.body(Full::default()).unwrap();
    let gone = timeout(Duration::from_millis(200), guest.open(request)).await;
    assert!(gone.is_err());
    for _ in 0..200 {
        if guest.get("/api/queues/%2F/q").await.ok(200)["consumers"] == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    guest.publish("q", "kept").await;
    assert_eq!(payloads(&guest.get(MESSAGES).await.ok(200)), ["kept"]);
}

#[tokio::test]
async fn a_poll_ends_when_its_queue_is_deleted() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    let waiting = tokio::spawn({
        let guest = guest.clone();
        async move { guest.get(&format!("{MESSAGES}?wait=20")).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    guest.delete("/api/queues/%2F/q").await.ok(204);
    assert_eq!(waiting.await.unwrap().refused(404), "the queue was deleted");
}

#[tokio::test]
async fn leases_are_settled_once_and_by_their_holder() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    guest.queue("other").await;
    for body in ["a", "b", "c"] {
        guest.publish("q", body).await;
    }
    let (_, leases) = lease(&guest, 3).await;
    assert_eq!(guest.counts("q").await, (0, 3));
    let request = json!({"ack": [leases[0]]}).to_string();
    // Neither another user nor another queue.
    let app = server.user("app", "app").post(SETTLE, &request).await.ok(200);
    assert_eq!(app["unknown"], json!([leases[0]]));
    let other = guest.post("/v1/vhosts/%2F/queues/other/settle", &request).await.ok(200);
    assert_eq!(other["unknown"], json!([leases[0]]));
    let settle = json!({
        "ack": [leases[0], leases[0]], "requeue": [leases[1]], "reject": [leases[2], "nonsense"],
    });
    let outcome = guest.post(SETTLE, &settle.to_string()).await.ok(200);
    let expected = json!({
        "acked": 1, "requeued": 1, "rejected": 1, "unknown": [leases[0], "nonsense"],
    });
    assert_eq!(outcome, expected);
    let (messages, _) = lease(&guest, 3).await;
    assert_eq!(payloads(&messages), ["b"]);
    assert_eq!(messages[0]["redelivered"], true);
}

#[tokio::test]
async fn a_lease_runs_out() {
    let settings = HttpSettings { lease_timeout_s: 1, ..HttpSettings::default() };
    let server = Server::with(settings).await;
    let guest = server.guest();
    guest.queue("q").await;
    guest.publish("q", "x").await;
    let (_, leases) = lease(&guest, 1).await;
    assert_eq!(guest.counts("q").await, (0, 1));
    guest.until_counts("q", (1, 0)).await;
    let late = guest.post(SETTLE, &json!({"ack": leases}).to_string()).await.ok(200);
    assert_eq!(late["unknown"], json!(leases));
    assert_eq!(lease(&guest, 1).await.0[0]["redelivered"], true);
}

#[tokio::test]
async fn the_end_of_the_server_ends_polls_and_gives_leases_back() {
    let mut server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    guest.queue("empty").await;
    guest.publish("q", "x").await;
    lease(&guest, 1).await;
    let waiting = tokio::spawn({
        let guest = guest.clone();
        async move { guest.get("/v1/vhosts/%2F/queues/empty/messages?wait=60").await.ok(200) }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.shutdown.send(true).unwrap();
    assert_eq!(waiting.await.unwrap(), json!([]));
    let served = server.served.take().unwrap();
    timeout(Duration::from_secs(10), served).await.unwrap().unwrap().unwrap();
    let vhost = server.broker.vhost("/").unwrap();
    let queue = vhost.topology().find_queue("q").unwrap().id;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    server.broker.inbox(queue.shard()).post(shunt_broker::Task::Call(Box::new(move |shard| {
        let _ = sender.send(shard.queue_stats(queue).unwrap());
    })));
    assert_eq!(receiver.await.unwrap().ready, 1);
}

#[tokio::test]
async fn wrong_polls_are_named() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    let refused = async |query: &str| guest.get(&format!("{MESSAGES}?{query}")).await.refused(400);
    assert_eq!(refused("max=0").await, "max=0 must be from 1 to 1000");
    assert_eq!(refused("max=1001").await, "max=1001 must be from 1 to 1000");
    assert_eq!(refused("wait=301").await, "wait=301 must be from 0 to 300 seconds");
    assert!(refused("ack=never").await.contains("never"));
    assert!(refused("wiat=1").await.contains("wiat"));
    let missing = guest.get("/v1/vhosts/%2F/queues/none/messages").await;
    assert_eq!(missing.refused(404), "no queue 'none' in vhost '/'");
    guest.post(SETTLE, r#"{"acks":[]}"#).await.refused(400);
}
