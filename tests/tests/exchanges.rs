//! Every exchange type, by clients in three languages. What they do is data, a scenario, so that
//! each of them does the same: declare, publish with confirms, consume.

mod lapin;

use serde_json::{Map, Value as Json, json};
use shunt_tests::{Node, clients};

/// What all clients are refused at the end of each scenario, and the reply codes.
const REFUSED: [(&str, u16); 4] = [
    ("missing queue", 404),
    ("missing exchange", 404),
    ("reserved name", 403),
    ("other durability", 406),
];

/// A scenario in the making.
struct Scenario {
    exchanges: Vec<Json>,
    bindings: Vec<Json>,
    messages: Vec<Json>,
    /// The bodies that each queue gets, in their order.
    queues: Map<String, Json>,
    returned: Vec<Json>,
}

impl Scenario {
    fn new(queues: &[&str]) -> Self {
        Self {
            exchanges: Vec::new(),
            bindings: Vec::new(),
            messages: Vec::new(),
            queues: queues.iter().map(|&queue| (queue.to_owned(), json!([]))).collect(),
            returned: Vec::new(),
        }
    }

    fn exchange(mut self, name: &str, kind: &str, arguments: Json) -> Self {
        self.exchanges.push(json!([name, kind, arguments]));
        self
    }

    fn bind(mut self, queue: &str, exchange: &str, key: &str, arguments: Json) -> Self {
        self.bindings.push(json!(["queue", queue, exchange, key, arguments]));
        self
    }

    fn bind_exchange(mut self, destination: &str, source: &str, key: &str) -> Self {
        self.bindings.push(json!(["exchange", destination, source, key, {}]));
        self
    }

    /// Publishes a message, which goes to these queues; to none means that it comes back.
    fn message(self, exchange: &str, key: &str, queues: &[&str]) -> Self {
        self.message_with(exchange, key, json!({}), queues)
    }

    fn message_with(mut self, exchange: &str, key: &str, headers: Json, queues: &[&str]) -> Self {
        let body = Json::from(format!("m{}", self.messages.len()));
        for &queue in queues {
            self.queues[queue].as_array_mut().unwrap().push(body.clone());
        }
        if queues.is_empty() {
            self.returned.push(body.clone());
        }
        self.messages.push(json!([exchange, key, headers, body]));
        self
    }

    fn json(&self) -> Json {
        json!({
            "exchanges": self.exchanges,
            "queues": self.queues.keys().collect::<Vec<_>>(),
            "bindings": self.bindings,
            "messages": self.messages,
            "refused": REFUSED.map(|(step, _)| step),
        })
    }

    /// Plays it with each client, each against a node of its own.
    fn play(&self) -> Vec<(&'static str, Json)> {
        let scenario = self.json();
        let arguments = |node: &Node| json!({"url": node.amqp_url(), "scenario": scenario});
        let mut answers = Vec::new();
        let node = Node::start().unwrap();
        answers.push(("lapin", lapin::play(&node, &scenario)));
        let node = Node::start().unwrap();
        let answer = clients::pika("scenario.py", &arguments(&node)).unwrap();
        answers.extend(answer.map(|answer| ("pika", answer)));
        let node = Node::start().unwrap();
        let answer = clients::amqplib("scenario.js", &arguments(&node)).unwrap();
        answers.extend(answer.map(|answer| ("amqplib", answer)));
        answers
    }

    #[track_caller]
    fn check(&self) {
        for (client, answer) in self.play() {
            assert_eq!(answer["queues"], Json::from(self.queues.clone()), "{client}");
            assert_eq!(answer["returned"], Json::from(self.returned.clone()), "{client}");
            assert_eq!(answer["refused"], json!(REFUSED.map(|(_, code)| code)), "{client}");
        }
    }
}

#[test]
fn the_default_exchange_knows_every_queue_by_its_name() {
    Scenario::new(&["a", "b"])
        .message("", "a", &["a"])
        .message("", "b", &["b"])
        .message("", "none", &[])
        .message("", "a", &["a"])
        .check();
}

#[test]
fn direct() {
    Scenario::new(&["a", "b", "both"])
        .exchange("d", "direct", json!({}))
        .bind("a", "d", "one", json!({}))
        .bind("b", "d", "two", json!({}))
        .bind("both", "d", "one", json!({}))
        .bind("both", "d", "two", json!({}))
        .message("d", "one", &["a", "both"])
        .message("d", "two", &["b", "both"])
        .message("d", "on", &[])
        .message("d", "", &[])
        .message("amq.direct", "one", &[])
        .check();
}

#[test]
fn fanout() {
    Scenario::new(&["a", "b", "c"])
        .exchange("f", "fanout", json!({}))
        .bind("a", "f", "any", json!({}))
        .bind("a", "f", "another", json!({}))
        .bind("b", "f", "", json!({}))
        .message("f", "", &["a", "b"])
        .message("f", "whatever", &["a", "b"])
        .check();
}

#[test]
fn topic() {
    Scenario::new(&["stock", "nyse", "usd", "all", "exact", "inner"])
        .exchange("t", "topic", json!({}))
        .bind("stock", "t", "stock.#", json!({}))
        .bind("nyse", "t", "*.nyse", json!({}))
        .bind("usd", "t", "stock.*.usd", json!({}))
        .bind("all", "t", "#", json!({}))
        .bind("exact", "t", "stock.nyse", json!({}))
        .bind("inner", "t", "#.x.#", json!({}))
        .message("t", "stock.nyse", &["stock", "nyse", "all", "exact"])
        .message("t", "stock", &["stock", "all"])
        .message("t", "stock.x.usd", &["stock", "usd", "all", "inner"])
        .message("t", "", &["all"])
        .message("t", "bond.nyse", &["nyse", "all"])
        .message("t", "nyse", &["all"])
        .message("t", "a.x", &["all", "inner"])
        .message("t", "x", &["all", "inner"])
        .message("t", "stock..usd", &["stock", "usd", "all"])
        .check();
}

#[test]
fn headers() {
    Scenario::new(&["all", "any", "all-x", "any-x", "plain", "without-x"])
        .exchange("h", "headers", json!({}))
        .bind("all", "h", "", json!({"x-match": "all", "a": 1, "b": "x"}))
        .bind("any", "h", "", json!({"x-match": "any", "a": 1, "b": "x"}))
        .bind("all-x", "h", "", json!({"x-match": "all-with-x", "x-a": 1, "b": "x"}))
        .bind("any-x", "h", "", json!({"x-match": "any-with-x", "x-a": 1, "c": true}))
        .bind("plain", "h", "", json!({"a": 1}))
        .bind("without-x", "h", "", json!({"x-match": "all", "a": 1, "x-a": 9}))
        .message_with("h", "", json!({"a": 1, "b": "x"}), &["all", "any", "plain", "without-x"])
        .message_with("h", "", json!({"a": 1}), &["any", "plain", "without-x"])
        .message_with("h", "", json!({"b": "x", "x-a": 1}), &["any", "all-x", "any-x"])
        .message_with("h", "", json!({"c": true}), &["any-x"])
        .message_with("h", "", json!({"a": 2, "b": "y"}), &[])
        .message_with("h", "", json!({}), &[])
        .message_with("h", "", json!({"a": "1", "x-a": 9}), &[])
        .check();
}

#[test]
fn exchanges_bound_to_exchanges() {
    Scenario::new(&["a", "b"])
        .exchange("top", "topic", json!({}))
        .exchange("mid", "fanout", json!({}))
        .exchange("low", "direct", json!({}))
        .bind_exchange("mid", "top", "a.#")
        .bind_exchange("low", "top", "a.b")
        .bind("a", "mid", "", json!({}))
        .bind("b", "low", "a.b", json!({}))
        // A second way to the same queue, and a way back to where it came from.
        .bind("a", "top", "a.b", json!({}))
        .bind_exchange("top", "mid", "")
        .message("top", "a.b", &["a", "b"])
        .message("top", "a.c", &["a"])
        .message("top", "b", &[])
        .message("mid", "a.b", &["a", "b"])
        .check();
}

#[test]
fn an_alternate_exchange_gets_what_nobody_wanted() {
    Scenario::new(&["bound", "rest"])
        .exchange("spare", "fanout", json!({}))
        .exchange("first", "direct", json!({"alternate-exchange": "second"}))
        .exchange("second", "direct", json!({"alternate-exchange": "spare"}))
        .bind("bound", "first", "k", json!({}))
        .bind("bound", "second", "l", json!({}))
        .bind("rest", "spare", "", json!({}))
        .message("first", "k", &["bound"])
        .message("first", "l", &["bound"])
        .message("first", "m", &["rest"])
        .check();
}

#[test]
fn consistent_hash() {
    let mut scenario = Scenario::new(&["half", "quarter", "other-quarter", "bystander"])
        .exchange("ring", "x-consistent-hash", json!({}))
        .exchange("by-header", "x-consistent-hash", json!({"hash-header": "user"}))
        .bind("half", "ring", "20", json!({}))
        .bind("quarter", "ring", "10", json!({}))
        .bind("other-quarter", "ring", "10", json!({}))
        .bind("bystander", "by-header", "1", json!({}));
    for number in 0..400 {
        let key = format!("key-{number}");
        scenario.messages.push(json!(["ring", key, {}, key]));
    }
    // Only the header counts there.
    for (number, user) in ["a", "b", "a"].into_iter().enumerate() {
        let key = format!("h{number}");
        scenario.messages.push(json!(["by-header", key, {"user": user}, key]));
    }
    let answers = scenario.play();
    for (client, answer) in &answers {
        assert_eq!(answer["returned"], json!([]), "{client}");
        let share = |queue: &str| answer["queues"][queue].as_array().unwrap().len();
        let shares = [share("half"), share("quarter"), share("other-quarter")];
        assert_eq!(shares.iter().sum::<usize>(), 400, "{client}: once each");
        assert!((140..260).contains(&shares[0]), "{client}: {shares:?}");
        assert!(shares[1..].iter().all(|share| (50..150).contains(share)), "{client}: {shares:?}");
        assert_eq!(answer["queues"]["bystander"], json!(["h0", "h1", "h2"]), "{client}");
        // The same key has the same queue on any node, whoever publishes.
        assert_eq!(answer["queues"], answers[0].1["queues"], "{client}");
    }
}
