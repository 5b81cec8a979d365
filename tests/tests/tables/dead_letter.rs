//! Dead lettering (section 2.4 of the list of RabbitMQ's behaviours): how a message dies, and what
//! its letter says.

use std::time::Duration;

use serde_json::{Value as Json, json};
use shunt_tests::poll;

use super::*;

/// One death of one message.
struct Death {
    what: &'static str,
    /// Arguments of the queue `work`, beside its dead-letter exchange.
    arguments: &'static [(&'static str, i32)],
    overflow: Option<&'static str>,
    /// What the message `m` says.
    props: fn() -> Props,
    /// What happens to it in `work`.
    end: fn(&mut Client),
    /// Why it is dead; without a reason it gets no letter.
    reason: Option<&'static str>,
    /// What else stands in its death.
    also: fn() -> Json,
}

const DEATH: Death = Death {
    what: "",
    arguments: &[],
    overflow: None,
    props: Props::new,
    end: |_| {},
    reason: None,
    also: || json!({}),
};

fn reject(client: &mut Client) {
    let got = client.get_as("work", false).unwrap().unwrap();
    client.reject(got.delivery_tag, false).unwrap();
}

fn nack(client: &mut Client) {
    let got = client.get_as("work", false).unwrap().unwrap();
    client.nack(got.delivery_tag, false, false).unwrap();
}

fn another(client: &mut Client) {
    client.publish("", "work", &Props::new(), b"another").unwrap();
}

/// Deaths over one dead-letter exchange `dlx`, a fanout with the queue `dead`.
fn deaths(rows: Vec<Death>) {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_exchange("dlx", "fanout", "", &[]).unwrap();
    for Death { what, arguments, overflow, props, end, reason, also } in rows {
        client.declare_queue("dead").unwrap();
        client.bind("dead", "dlx", "", &[]).unwrap();
        let mut all = table(&[("x-dead-letter-exchange", text("dlx"))]);
        let own = arguments.iter().map(|(name, n)| ((*name).to_owned(), Value::I32(*n)));
        all.extend(own.chain(overflow.map(|how| ("x-overflow".to_owned(), text(how)))));
        client.declare_queue_as("work", "d", &all).unwrap();
        client.publish("", "work", &props(), b"m").unwrap();
        client.sync().unwrap();
        end(&mut client);
        client.sync().unwrap();
        match reason {
            None => {
                // A message behind it that dies for sure comes alone.
                client.declare_queue_as("after", "d", &dead_letters_to("dlx")).unwrap();
                client.publish("", "after", &Props::new(), b"after").unwrap();
                let got = client.get_as("after", false).unwrap().unwrap();
                client.reject(got.delivery_tag, false).unwrap();
                let letters = letters(&node, "dead", 1);
                assert_eq!(letters[0]["payload"], "after", "{what}: {letters:#?}");
                client.delete_queue("after").unwrap();
            }
            Some(reason) => {
                let letter = &letters(&node, "dead", 1)[0];
                let headers = &letter["properties"]["headers"];
                assert_eq!(letter["payload"], "m", "{what}");
                assert_eq!(letter["properties"]["expiration"], Json::Null, "{what}");
                for when in ["first", "last"] {
                    let of = |what: &str| &headers[format!("x-{when}-death-{what}")];
                    let told = [of("queue"), of("reason"), of("exchange")];
                    assert_eq!(told, [&json!("work"), &json!(reason), &json!("")], "{what}");
                }
                let death = &headers["x-death"][0];
                let mut expected = json!({
                    "count": 1, "queue": "work", "reason": reason, "exchange": "",
                    "routing-keys": ["work"],
                });
                expected.as_object_mut().unwrap().extend(also().as_object().unwrap().clone());
                let mut found = death.as_object().unwrap().clone();
                assert!(found.remove("time").is_some(), "{what}: {death}");
                assert_eq!(Json::Object(found), expected, "{what}");
            }
        }
        client.delete_queue("work").unwrap();
        client.delete_queue("dead").unwrap();
    }
}

fn dead_letters_to(exchange: &str) -> Vec<(String, Value)> {
    table(&[("x-dead-letter-exchange", text(exchange))])
}

/// Waits for that many messages, and takes them out.
fn letters(node: &Node, queue: &str, count: usize) -> Vec<Json> {
    let take = json!({"count": 10, "ackmode": "ack_requeue_false", "encoding": "auto"});
    let mut all = Vec::new();
    poll("the letters", || {
        let path = format!("/api/queues/%2F/{queue}/get");
        let taken = node.http().post(&path, &take).unwrap().expect(200);
        all.extend(taken.as_array().unwrap().clone());
        (all.len() >= count).then_some(())
    })
    .unwrap();
    assert_eq!(all.len(), count, "{all:#?}");
    all
}

#[test]
fn how_a_message_dies() {
    let expiring = || Props::new().text("expiration", "1");
    deaths(vec![
        Death { what: "rejected", end: reject, reason: Some("rejected"), ..DEATH },
        Death { what: "refused by nack", end: nack, reason: Some("rejected"), ..DEATH },
        Death {
            what: "too old for the queue",
            arguments: &[("x-message-ttl", 1)],
            reason: Some("expired"),
            ..DEATH
        },
        Death {
            what: "too old by its own word, which its death keeps",
            props: expiring,
            reason: Some("expired"),
            also: || json!({"original-expiration": "1"}),
            ..DEATH
        },
        Death {
            what: "one too many",
            arguments: &[("x-max-length", 1)],
            end: another,
            reason: Some("maxlen"),
            ..DEATH
        },
        Death {
            what: "too many bytes",
            arguments: &[("x-max-length-bytes", 7)],
            end: another,
            reason: Some("maxlen"),
            ..DEATH
        },
        Death {
            what: "refused by a full queue that sends letters",
            arguments: &[("x-max-length", 0)],
            overflow: Some("reject-publish-dlx"),
            reason: Some("maxlen"),
            ..DEATH
        },
        Death {
            what: "refused by a full queue that doesn't",
            arguments: &[("x-max-length", 0)],
            overflow: Some("reject-publish"),
            ..DEATH
        },
        Death {
            what: "acknowledged",
            end: |client| {
                let got = client.get_as("work", false).unwrap().unwrap();
                client.ack(got.delivery_tag, false).unwrap();
            },
            ..DEATH
        },
        Death { what: "purged", end: |client| client.purge("work").unwrap(), ..DEATH },
        Death {
            what: "deleted with its queue",
            end: |client| client.delete_queue("work").unwrap(),
            ..DEATH
        },
        Death {
            what: "gone with a queue that expired",
            arguments: &[("x-expires", 100)],
            end: |client| {
                poll("the queue is gone", || {
                    // Looking at it is a use of it.
                    assert_eq!(client.receive_within(Duration::from_millis(300)).unwrap(), None);
                    let gone = client.declare_queue_as("work", "p", &[]).is_err();
                    gone.then(|| client.reopen().unwrap())
                })
                .unwrap();
            },
            ..DEATH
        },
        Death {
            what: "returned",
            end: |client| {
                let got = client.get_as("work", false).unwrap().unwrap();
                client.nack(got.delivery_tag, false, true).unwrap();
            },
            ..DEATH
        },
    ]);
}

/// By which keys a letter is routed: where the message of the key `k`, the `CC` header `[c]` and the
/// `BCC` header `[b]` comes to, and what its death says. Nobody sees the blind key, not even where
/// the letter came by it; a restart forgets none.
#[test]
fn the_keys_of_a_letter() {
    let mut node = Node::start().unwrap();
    for (what, key, reached, is_killed) in [
        ("those that it came by", None, &["k", "c", "b"][..], false),
        ("the queue's own alone", Some("own"), &["own"], false),
        ("those that it came by, after a kill", None, &["k", "c", "b"], true),
    ] {
        let mut client = Client::open(node.amqp()).unwrap();
        client.declare_exchange("in", "fanout", "d", &[]).unwrap();
        client.declare_exchange("dlx", "direct", "d", &[]).unwrap();
        for key in ["k", "c", "b", "own"] {
            client.declare_queue_as(key, "d", &[]).unwrap();
            client.bind(key, "dlx", key, &[]).unwrap();
        }
        let mut arguments = dead_letters_to("dlx");
        arguments.extend(key.map(|key| ("x-dead-letter-routing-key".to_owned(), text(key))));
        client.declare_queue_as("work", "d", &arguments).unwrap();
        client.bind("work", "in", "", &[]).unwrap();
        let copies = Props::persistent()
            .header("CC", Value::Array(vec![text("c")]))
            .header("BCC", Value::Array(vec![text("b"), Value::I32(1)]));
        client.confirm_select().unwrap();
        client.publish("in", "k", &copies, b"m").unwrap();
        client.wait_confirms(0).unwrap();
        if is_killed {
            node.kill().unwrap();
            node.start_again().unwrap();
            client = Client::open(node.amqp()).unwrap();
        }
        reject(&mut client);
        client.sync().unwrap();
        for queue in reached {
            let letter = &letters(&node, queue, 1)[0];
            let headers = &letter["properties"]["headers"];
            assert_eq!(letter["routing_key"], key.unwrap_or("k"), "{what}");
            assert_eq!(headers["CC"], json!(["c"]), "{what}: the header stays");
            assert_eq!(headers["BCC"], Json::Null, "{what}");
            assert_eq!(headers["x-death"][0]["routing-keys"], json!(["k", "c"]), "{what}");
            assert_eq!(headers["x-death"][0]["exchange"], "in", "{what}");
        }
        for queue in ["k", "c", "b", "own"] {
            assert_eq!(client.get(queue).unwrap(), None, "{what}: {queue}");
        }
        client.delete_queue("work").unwrap();
    }
}

/// The keys of a letter that dies again: those of the letter, and not those of the message that it
/// was. What its first death says stays as it was.
#[test]
fn the_keys_of_a_letter_that_dies_again() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_exchange("again", "direct", "", &[]).unwrap();
    for key in ["c", "b", "second", "work"] {
        let queue = format!("at-{key}");
        client.declare_queue(&queue).unwrap();
        client.bind(&queue, "again", key, &[]).unwrap();
    }
    client.declare_queue_as("work", "d", &to_queue("second", None)).unwrap();
    client.declare_queue_as("second", "d", &dead_letters_to("again")).unwrap();
    let copies = Props::new()
        .header("CC", Value::Array(vec![text("c")]))
        .header("BCC", Value::Array(vec![text("b")]));
    client.publish("", "work", &copies, b"m").unwrap();
    client.sync().unwrap();
    reject(&mut client);
    client.sync().unwrap();
    let got = client.get_as("second", false).unwrap().unwrap();
    client.reject(got.delivery_tag, false).unwrap();
    client.sync().unwrap();
    let letter = &letters(&node, "at-second", 1)[0];
    let deaths = letter["properties"]["headers"]["x-death"].as_array().unwrap();
    let keys: Vec<_> = deaths.iter().map(|death| &death["routing-keys"]).collect();
    assert_eq!(keys, [&json!(["second"]), &json!(["work", "c"])]);
    for queue in ["at-c", "at-b", "at-work"] {
        assert_eq!(client.get(queue).unwrap(), None, "{queue}");
    }
}

/// A letter that comes again: one death for each queue and reason, with a count, the newest first.
#[test]
fn deaths_are_counted() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    // From `work` to `later` by rejection, and back from there by time.
    client.declare_queue_as("work", "d", &to_queue("later", None)).unwrap();
    client.declare_queue_as("later", "d", &to_queue("work", Some(1))).unwrap();
    client.publish("", "work", &Props::new().text("expiration", "60000"), b"m").unwrap();
    for _ in 0..2 {
        poll("it comes back", || {
            let got = client.get_as("work", false).unwrap()?;
            client.reject(got.delivery_tag, false).unwrap();
            Some(())
        })
        .unwrap();
    }
    let letter = &letters(&node, "work", 1)[0];
    let headers = &letter["properties"]["headers"];
    let deaths = headers["x-death"].as_array().unwrap();
    let told: Vec<_> =
        deaths.iter().map(|death| (&death["queue"], &death["reason"], &death["count"])).collect();
    let (two, expired, rejected) = (json!(2), json!("expired"), json!("rejected"));
    let (work, later) = (json!("work"), json!("later"));
    assert_eq!(told, [(&later, &expired, &two), (&work, &rejected, &two)]);
    assert_eq!(headers["x-first-death-queue"], work);
    assert_eq!(headers["x-first-death-reason"], rejected);
    assert_eq!(headers["x-last-death-queue"], later);
    assert_eq!(headers["x-last-death-reason"], expired);
    assert_eq!(letter["properties"]["expiration"], Json::Null);
}

/// Arguments for dead letters to one queue.
fn to_queue(queue: &str, ttl_ms: Option<i32>) -> Vec<(String, Value)> {
    let mut arguments =
        table(&[("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text(queue))]);
    arguments.extend(ttl_ms.map(|ms| ("x-message-ttl".to_owned(), Value::I32(ms))));
    arguments
}

/// Where a letter does not come.
#[test]
fn letters_that_are_dropped() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    // Round by itself: nobody rejected it, so it ends where it was before.
    client.declare_queue_as("a", "d", &to_queue("b", Some(1))).unwrap();
    client.declare_queue_as("b", "d", &to_queue("a", Some(1))).unwrap();
    client.publish("", "a", &Props::new(), b"round").unwrap();
    poll("the circle ends", || {
        let counts = ["a", "b"].map(|queue| client.declare_queue_as(queue, "p", &[]).unwrap().1);
        (counts == [0, 0]).then_some(())
    })
    .unwrap();
    // Round by its consumer: that may go on.
    client.declare_queue_as("self", "d", &to_queue("self", None)).unwrap();
    client.publish("", "self", &Props::new(), b"again").unwrap();
    for _ in 0..3 {
        poll("it comes back", || {
            let got = client.get_as("self", false).unwrap()?;
            client.reject(got.delivery_tag, false).unwrap();
            Some(())
        })
        .unwrap();
    }
    assert_eq!(letters(&node, "self", 1)[0]["properties"]["headers"]["x-death"][0]["count"], 3);
    // To an exchange that is not there, or leads nowhere.
    for exchange in ["none", "amq.direct"] {
        client.declare_queue_as("lost", "d", &dead_letters_to(exchange)).unwrap();
        client.publish("", "lost", &Props::new(), b"m").unwrap();
        let got = client.get_as("lost", false).unwrap().unwrap();
        client.reject(got.delivery_tag, false).unwrap();
        client.sync().unwrap();
        assert_eq!(client.get("lost").unwrap(), None);
        client.delete_queue("lost").unwrap();
    }
}

/// A client's own `x-death` tells no history, be it rubbish or that of a letter which the client
/// got and sent again: its count begins anew.
#[test]
fn a_history_that_a_client_made_up() {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_exchange("dlx", "fanout", "", &[]).unwrap();
    client.declare_queue("dead").unwrap();
    client.bind("dead", "dlx", "", &[]).unwrap();
    client.declare_queue_as("work", "d", &dead_letters_to("dlx")).unwrap();
    let death = table(&[
        ("queue", text("work")),
        ("reason", text("rejected")),
        ("count", Value::I32(7)),
        ("routing-keys", Value::Array(vec![text("old")])),
    ]);
    for history in [
        text("a text"),
        Value::Array(vec![text("no table")]),
        Value::Void,
        Value::Array(vec![Value::Table(death)]),
    ] {
        let told = Props::new()
            .header("x-death", history)
            .text_header("x-first-death-queue", "elsewhere")
            .text_header("x-last-death-queue", "elsewhere");
        client.publish("", "work", &told, b"m").unwrap();
        client.sync().unwrap();
        reject(&mut client);
        client.sync().unwrap();
        let letter = &letters(&node, "dead", 1)[0];
        let headers = &letter["properties"]["headers"];
        let deaths = headers["x-death"].as_array().unwrap();
        assert_eq!(deaths.len(), 1, "{letter}");
        let death = &deaths[0];
        assert_eq!((&death["queue"], &death["count"]), (&json!("work"), &json!(1)), "{letter}");
        assert_eq!(death["routing-keys"], json!(["work"]), "{letter}");
        assert_eq!(headers["x-first-death-queue"], "work", "{letter}");
        assert_eq!(headers["x-last-death-queue"], "work", "{letter}");
    }
}
