//! Every SDK's guests do what `sdk/conformance` says, on a real node. The guests are built by
//! `scripts/build-guests.sh`; a language whose guests aren't there is skipped, though not in CI.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value as Json;
use shunt_tests::amqp_raw::{RawError, Value};
use shunt_tests::{CALL_LIMIT, Client, Deadline, Http, Message, Node, Props};

/// How long a load may take to be seen by routes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where messages of failed decisions, and of none, end up.
const FAILED: &str = "failed";

#[test]
fn rust() {
    check("rust", &[]);
}

#[test]
fn go() {
    check("go", &[]);
}

#[test]
fn c() {
    check("c", &[]);
}

#[test]
fn assemblyscript() {
    check("assemblyscript", &[]);
}

#[test]
fn javascript() {
    check("javascript", &[]);
}

#[test]
fn zig() {
    check("zig", &[]);
}

#[test]
fn python() {
    let Some(log) = check("python", &[]) else { return };
    // Its runtime prints by WASI.
    assert!(log.contains("RuntimeError: the routing key is trap"), "{log}");
}

/// As a component; plain JavaScript is the usual way.
#[test]
fn javascript_component() {
    check("javascript-component", &[]);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs all cases with the guests of a language. `query` is added to each deployment, for
/// languages that need more than the usual. Answers the node's log; `None` if it was skipped.
#[track_caller]
fn check(language: &str, query: &[&str]) -> Option<String> {
    let folder = root().join("target/guests").join(language);
    if !folder.is_dir() {
        let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!is_ci, "scripts/build-guests.sh {language} has not been run");
        eprintln!("skipped: scripts/build-guests.sh {language} builds what this test is about");
        return None;
    }
    let node = Node::start().unwrap();
    let mut checked = 0;
    for entry in fs::read_dir(root().join("sdk/conformance")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let file: Json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            // Shown where a case fails.
            eprintln!("{language} {}", text(&file["guest"]));
            if let Some(mut guest) = Guest::deploy(&node, &folder, query, file) {
                guest.check();
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 8, "guests of {language}");
    // What a guest's own runtime says of itself stands in the log too.
    let log = node.log();
    let mut own = log.lines().filter(|line| !line.contains("shunt::routes::logs"));
    assert!(!own.any(|line| line.contains("panicked at")), "the broker panicked");
    Some(log)
}

/// A guest that is deployed, and what is said of it.
struct Guest<'a> {
    node: &'a Node,
    http: Http,
    client: Client,
    file: Json,
    /// Arguments of all its exchanges.
    arguments: Vec<(String, Value)>,
    /// How many exchanges were declared.
    exchanges: usize,
}

impl<'a> Guest<'a> {
    /// A language either has a module for each guest, or one for all, whose exchanges say which
    /// guest they mean. `None` where the broker doesn't serve the guest's capabilities yet.
    fn deploy(node: &'a Node, folder: &Path, query: &[&str], file: Json) -> Option<Self> {
        let name = text(&file["guest"]);
        let own = ["wasm", "js"].map(|ending| folder.join(format!("{name}.{ending}")));
        let own = own.into_iter().find(|path| path.exists());
        let module = fs::read(own.clone().unwrap_or_else(|| folder.join("all.wasm")))
            .unwrap_or_else(|error| panic!("{name} in {}: {error}", folder.display()));
        let http = node.http();
        let mut query: Vec<String> = query.iter().map(|part| (*part).to_owned()).collect();
        let wants = match own {
            Some(_) => file["describe"]["wants"].clone(),
            None => serde_json::json!(["clock", "random", "load", "state"]),
        };
        query.extend(list(&wants).map(|want| format!("grant={}", text(want))));
        // What is said later counts.
        query.push(CALL_LIMIT.to_owned());
        for (name, limit) in file["limits"].as_object().into_iter().flatten() {
            query.push(format!("limit.{name}={limit}"));
        }
        let mut deploy = |route: &str, part: &[&str]| {
            query.extend(part.iter().map(|part| (*part).to_owned()));
            let path = format!("/api/routes/%2F/{route}?{}", query.join("&"));
            let request = http.request("PUT", &path).body(module.clone());
            let answer = request.send().unwrap();
            let is_served = !answer.text().contains("is not supported by this version");
            is_served.then(|| answer.expect(201))
        };
        deploy(name, &[])?;
        if list(&file["exchanges"]).any(|exchange| exchange["destinations"] == "any") {
            deploy(&format!("{name}-any"), &["destinations=any"]);
        }
        if own.is_some() {
            let shown = http.get(&format!("/api/routes/%2F/{name}")).unwrap().expect(200);
            let shown = &shown["versions"][0];
            for (said, found) in [
                ("name", "module_name"),
                ("version", "module_version"),
                ("reads", "reads"),
                ("wants", "wants"),
            ] {
                assert_eq!(shown[found], file["describe"][said], "{said} of {name}");
            }
        }
        let mut client = Client::open(node.amqp()).unwrap();
        client.confirm_select().unwrap();
        client.declare_exchange(FAILED, "fanout", "", &[]).unwrap();
        client.declare_queue(FAILED).unwrap();
        client.bind(FAILED, FAILED, "", &[]).unwrap();
        let all = || vec![("x-guest".to_owned(), Value::Str(name.to_owned()))];
        let arguments = own.map_or_else(all, |_| Vec::new());
        Some(Self { node, http, client, file, arguments, exchanges: 0 })
    }

    fn name(&self) -> &str {
        text(&self.file["guest"])
    }

    fn check(&mut self) {
        for exchange in list(&self.file["exchanges"].clone()) {
            self.check_exchange(exchange);
        }
        for refused in list(&self.file["refused_exchanges"].clone()) {
            let declared = self.declare(refused).map(drop);
            self.check_refused(refused, declared);
        }
        let shown = self.http.get(&format!("/api/routes/%2F/{}", self.name())).unwrap();
        shown.expect(200);
    }

    fn declare(&mut self, exchange: &Json) -> Result<String, RawError> {
        self.exchanges += 1;
        let name = format!("{}.{}", self.name(), self.exchanges);
        let any = if exchange["destinations"] == "any" { "-any" } else { "" };
        let mut arguments = table(&exchange["arguments"]);
        arguments.extend(self.arguments.clone());
        let mut add = |key: &str, value: &str| {
            arguments.push((key.to_owned(), Value::Str(value.to_owned())));
        };
        add("x-route", &format!("{}{any}", self.name()));
        add("x-on-failure", "alternate");
        add("alternate-exchange", FAILED);
        self.client.declare_exchange(&name, "x-wasm", "", &arguments)?;
        Ok(name)
    }

    /// Binds, after it has made sure that there is what is bound.
    fn bind(&mut self, exchange: &str, binding: &Json) -> Result<(), RawError> {
        let (name, key) = (text(&binding[1]), text(&binding[2]));
        self.client.declare_queue(name)?;
        if binding[0] == "queue" {
            return self.client.bind(name, exchange, key, &table(&binding[3]));
        }
        self.client.declare_exchange(name, "fanout", "", &[])?;
        self.client.bind(name, name, "", &[])?;
        self.client.bind_exchange(name, exchange, key)
    }

    fn check_exchange(&mut self, file: &Json) {
        let exchange = self.declare(file).unwrap();
        let mut queues = BTreeSet::new();
        for queue in list(&file["queues"]).map(text) {
            self.client.declare_queue(queue).unwrap();
            queues.insert(queue.to_owned());
        }
        let mut bind = |this: &mut Self, bindings: &Json| {
            for binding in list(bindings) {
                this.bind(&exchange, binding).unwrap();
                queues.insert(text(&binding[1]).to_owned());
            }
            queues.clone()
        };
        let mut bound = bind(self, &file["bindings"]);
        for case in list(&file["cases"]) {
            if case["bind"].is_array() {
                bound = bind(self, &case["bind"]);
                continue;
            }
            // What a queue holds is known to routes a moment later only.
            let deadline = Deadline::after(PATIENCE);
            let found = deadline.poll("the queues of a case", || {
                let reached = self.publish(&exchange, &bound, case);
                let expected: BTreeSet<String> =
                    list(&case["queues"]).map(|queue| text(queue).to_owned()).collect();
                let is_expected = reached == expected;
                assert!(
                    is_expected || case["ready"].is_object(),
                    "{}: {}: {}: reached {reached:?}, not {expected:?}\n{}",
                    self.name(),
                    file["name"],
                    case["name"],
                    self.node.log(),
                );
                is_expected.then_some(Ok::<_, RawError>(()))
            });
            found.unwrap_or_else(|error| panic!("{}: {error}", case["name"])).unwrap();
        }
        for refused in list(&file["refused_bindings"]) {
            let bound = self.bind(&exchange, &refused["binding"]);
            self.check_refused(refused, bound);
        }
    }

    /// Publishes a case's message and says which queues it reached.
    fn publish(
        &mut self,
        exchange: &str,
        queues: &BTreeSet<String>,
        case: &Json,
    ) -> BTreeSet<String> {
        let header = &case["header"];
        let mut props = Props::new();
        for (name, value) in table(&header["headers"]) {
            props = props.header(&name, value);
        }
        let mut filled = Vec::new();
        for (queue, count) in case["ready"].as_object().into_iter().flatten() {
            filled.push(queue);
            for _ in 0..count.as_u64().unwrap() {
                self.client.publish("", queue, &Props::new(), b"ready").unwrap();
            }
        }
        self.client.confirms().unwrap();
        self.client.publish(exchange, text(&header["routing_key"]), &props, b"case").unwrap();
        self.client.confirms().unwrap();
        let mut reached = BTreeSet::new();
        for queue in queues {
            let bodies = self.client.drain(queue).unwrap();
            let copies = bodies.iter().filter(|body| *body == "case").count();
            assert!(copies < 2, "{}: {queue} got it twice", case["name"]);
            reached.extend((copies == 1).then(|| queue.clone()));
        }
        let failed = self.client.get(FAILED).unwrap();
        self.client.purge(FAILED).unwrap();
        self.check_failure(case, failed.as_ref());
        if let Some(said) = case["log"].as_object() {
            let level = text(&said["level"]).to_uppercase();
            let log = self.node.log();
            let mut lines = log.lines();
            let is_line = |line: &str| line.contains(&level) && line.contains(text(&said["text"]));
            assert!(lines.any(is_line), "{level} is not in the log:\n{log}");
        }
        reached
    }

    fn check_failure(&self, case: &Json, message: Option<&Message>) {
        let name = format!("{}: {}", self.name(), case["name"]);
        let cause = message.and_then(|message| header(&message.properties, "x-route-error"));
        let detail =
            message.and_then(|message| header(&message.properties, "x-route-error-detail"));
        let detail = detail.unwrap_or_default();
        let expected = case["failure"]["cause"].as_str();
        assert_eq!(cause.as_deref(), expected, "{name}: {detail}\n{}", self.node.log());
        let part = text(&case["failure"]["reason_contains"]);
        assert!(detail.contains(part), "{name}: {part:?} is not in {detail:?}");
    }

    fn check_refused(&mut self, case: &Json, outcome: Result<(), RawError>) {
        let name = format!("{}: {}", self.name(), case["name"]);
        let Err(RawError::Closed { channel: 1, code: 406, text: found, .. }) = outcome else {
            panic!("{name}: {outcome:?}");
        };
        assert!(found.contains(text(&case["reason_contains"])), "{name}: {found}");
        self.client.reopen().unwrap();
        self.client.confirm_select().unwrap();
    }
}

/// A header that is a string, found by its bytes.
fn header(properties: &[u8], name: &str) -> Option<String> {
    let mut wanted = vec![u8::try_from(name.len()).ok()?];
    wanted.extend_from_slice(name.as_bytes());
    wanted.push(b'S');
    let place = properties.windows(wanted.len()).position(|part| part == wanted)?;
    let (length, rest) = properties[place + wanted.len()..].split_first_chunk()?;
    let bytes = rest.get(..u32::from_be_bytes(*length) as usize)?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

fn list(json: &Json) -> impl Iterator<Item = &Json> {
    json.as_array().into_iter().flatten()
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

fn table(json: &Json) -> Vec<(String, Value)> {
    let entries = json.as_object().into_iter().flatten();
    entries.map(|(name, json)| (name.clone(), value(json))).collect()
}

/// JSON as AMQP's values; an object whose name begins with a dollar stands for what JSON hasn't.
fn value(json: &Json) -> Value {
    let Some(object) = json.as_object() else {
        return match json.as_array() {
            Some(items) => Value::Array(items.iter().map(value).collect()),
            None => json.into(),
        };
    };
    let times = json["times"].as_u64().unwrap_or(1) as usize;
    match object.iter().find(|(name, _)| name.starts_with('$')) {
        None => Value::Table(table(json)),
        Some((name, part)) => match name.as_str() {
            "$float" => Value::Float(part.as_f64().unwrap() as f32),
            "$timestamp" => Value::Timestamp(part.as_u64().unwrap()),
            "$decimal" => Value::Decimal(
                part[0].as_u64().unwrap().try_into().unwrap(),
                part[1].as_i64().unwrap().try_into().unwrap(),
            ),
            "$bytes" => Value::Bytes(bytes(text(part)).repeat(times)),
            "$repeat" => Value::Str(text(part).repeat(times)),
            "$items" => Value::Array(vec![value(part); times]),
            other => panic!("{other} is nothing that sdk/conformance/README.md knows"),
        },
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}
