//! The example routes: what `cases.json` says of each holds for its committed module, by AMQP
//! as by a dry run. The format stands in `examples/routes/README.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use shunt_tests::amqp_raw::{RawError, Value, entries};
use shunt_tests::{CALL_LIMIT, Client, Http, Node, Props};

use super::deploy_with;

pub(super) fn folder(recipe: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/routes").join(recipe)
}

fn list(json: &Json) -> impl Iterator<Item = &Json> {
    json.as_array().into_iter().flatten()
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

/// Parameters of the recipe's deployment, the capabilities that it wants among them.
fn parameters(name: &str) -> String {
    let manifest = fs::read_to_string(folder(name).join("route.toml")).unwrap();
    let wants = manifest.lines().find_map(|line| line.strip_prefix("wants = ")).unwrap();
    // An array of strings is written in TOML as in JSON.
    let wants: Vec<String> = serde_json::from_str(wants).unwrap();
    let grants: Vec<String> = wants.iter().map(|name| format!("grant={name}")).collect();
    format!("?{CALL_LIMIT}&{}", grants.join("&"))
}

/// A recipe that is deployed, with the exchange `e` and its bindings.
pub(super) struct Recipe {
    cases: Json,
    pub(super) node: Node,
    http: Http,
    pub(super) client: Client,
    queues: BTreeSet<String>,
}

impl Recipe {
    pub(super) fn start(name: &str, module: &str) -> Self {
        let cases = fs::read(folder(name).join("cases.json")).unwrap();
        let cases: Json = serde_json::from_slice(&cases).unwrap();
        let node = Node::start().unwrap();
        let http = node.http();
        let module = fs::read(folder(name).join(module)).unwrap();
        let query = parameters(name);
        let deployed = deploy_with(&http, "recipe", &query, module).unwrap().expect(201);
        assert_eq!(deployed["active"], true);
        let mut client = Client::open(node.amqp()).unwrap();
        let mut queues = BTreeSet::new();
        let bound = list(&cases["bindings"])
            .chain(list(&cases["refused_bindings"]).map(|refused| &refused["binding"]));
        for binding in bound {
            assert_eq!(binding[0], "queue", "no recipe has needed anything else yet");
            client.declare_queue(text(&binding[1])).unwrap();
            queues.insert(text(&binding[1]).to_owned());
        }
        let mut recipe = Self { cases, node, http, client, queues };
        recipe.declare("e", &recipe.cases["exchange"].clone()).unwrap();
        for binding in list(&recipe.cases["bindings"].clone()) {
            recipe.bind(binding).unwrap();
        }
        recipe.client.confirm_select().unwrap();
        recipe
    }

    fn declare(&mut self, exchange: &str, arguments: &Json) -> Result<(), RawError> {
        let mut arguments = entries(arguments);
        arguments.push(("x-route".into(), Value::Str("recipe".into())));
        self.client.declare_exchange(exchange, "x-wasm", "d", &arguments)
    }

    fn bind(&mut self, binding: &Json) -> Result<(), RawError> {
        let (queue, key) = (text(&binding[1]), text(&binding[2]));
        self.client.bind(queue, "e", key, &entries(&binding[3]))
    }

    /// Publishes a case's header and looks where it went.
    fn check_published(&mut self, case: &Json) {
        let (name, header) = (&case["name"], &case["header"]);
        let props = Props::from_json(&header["properties"], &header["headers"]);
        let key = text(&header["routing_key"]);
        let sent = self.client.publish("e", key, &props, b"body").unwrap();
        let confirms = self.client.confirms().unwrap();
        let mut reached = BTreeSet::new();
        for queue in &self.queues {
            let messages = self.client.drain(queue).unwrap();
            assert!(messages.len() < 2, "{name}: {queue} got it twice");
            reached.extend(messages.first().map(|_| queue.clone()));
        }
        let expected: BTreeSet<String> =
            list(&case["queues"]).map(|queue| text(queue).to_owned()).collect();
        assert_eq!(reached, expected, "case {name}");
        let failed = case["failure"].is_object();
        assert_eq!(confirms.nacked.contains(&sent), failed, "case {name}: {confirms:?}");
    }

    /// The same by a dry run, once with the exchange and once with all in the call.
    fn check_dry_run(&self, case: &Json) {
        let (name, header) = (&case["name"], &case["header"]);
        let mut request = json!({
            "exchange": "e",
            "routing_key": text(&header["routing_key"]),
            "properties": header.get("properties").cloned().unwrap_or(json!({})),
        });
        if let Some(headers) = header.get("headers") {
            request["headers"] = headers.clone();
        }
        let mut alone = request.clone();
        alone["arguments"] = self.cases["exchange"].clone();
        let bindings = list(&self.cases["bindings"]).map(|binding| {
            json!({
                "destination_type": binding[0], "destination": binding[1],
                "routing_key": binding[2], "arguments": binding[3],
            })
        });
        alone["bindings"] = bindings.collect();
        for request in [request, alone] {
            let answer = self.http.post("/api/routes/%2F/recipe/dry-run", &request).unwrap();
            let answer = answer.expect(200);
            let reached: BTreeSet<&str> =
                list(&answer["destinations"]).map(|to| text(&to["name"])).collect();
            let expected: BTreeSet<&str> = list(&case["queues"]).map(text).collect();
            assert_eq!(reached, expected, "case {name}: {answer}");
            let (failure, found) = (&case["failure"], &answer["failure"]);
            assert_eq!(failure["cause"], found["cause"], "case {name}: {answer}");
            let reason = text(&failure["reason_contains"]);
            assert!(text(&found["detail"]).contains(reason), "case {name}: {answer}");
            assert!(answer["fuel"].as_u64().unwrap() > 0, "{answer}");
        }
    }

    fn check_refused(&mut self) {
        for refused in list(&self.cases["refused_exchanges"].clone()) {
            let declared = self.declare("refused", &refused["arguments"]);
            self.refused(refused, declared);
        }
        for refused in list(&self.cases["refused_bindings"].clone()) {
            let bound = self.bind(&refused["binding"]);
            self.refused(refused, bound);
        }
    }

    fn refused(&mut self, case: &Json, outcome: Result<(), RawError>) {
        let name = &case["name"];
        let Err(RawError::Closed { channel: 1, code: 406, text: found, .. }) = outcome else {
            panic!("case {name}: {outcome:?}");
        };
        assert!(found.contains(text(&case["reason_contains"])), "case {name}: {found}");
        self.client.reopen().unwrap();
    }
}

#[track_caller]
fn check(name: &str, module: &str, with_dry_runs: bool) {
    let mut recipe = Recipe::start(name, module);
    let cases: Vec<Json> = list(&recipe.cases["cases"]).cloned().collect();
    assert!(cases.len() >= 5);
    for case in cases.iter().filter(|_| with_dry_runs) {
        recipe.check_dry_run(case);
    }
    // A dry run delivers nothing and counts nothing.
    let shown = |recipe: &Recipe| {
        let answer = recipe.http.get("/api/routes/%2F/recipe").unwrap();
        answer.expect(200)["versions"][0]["counters"].clone()
    };
    assert_eq!(shown(&recipe)["calls"], 0);
    for case in &cases {
        recipe.check_published(case);
    }
    let counters = shown(&recipe);
    assert_eq!(counters["calls"], cases.len());
    let failed = cases.iter().filter(|case| case["failure"].is_object()).count();
    assert_eq!(counters["failures"]["refused"], failed);
    recipe.check_refused();
    assert!(!recipe.node.log().contains("panic"));
}

#[test]
fn what_the_cases_say_is_so() {
    let mut checked = 0;
    for entry in fs::read_dir(folder("")).unwrap() {
        let recipe = entry.unwrap().file_name().into_string().unwrap();
        for module in ["wasm", "wat", "js"].map(|ending| format!("{recipe}.{ending}")) {
            if folder(&recipe).join(&module).exists() {
                // Shown where a case fails.
                println!("{module}");
                check(&recipe, &module, true);
                checked += 1;
            }
        }
    }
    assert!(checked >= 22, "{checked} modules were found");
}

/// The modules of Python aren't committed: they have 18 MB, and take half a minute to compile. For
/// dry runs each would be compiled once more.
#[test]
fn what_the_cases_say_is_so_in_python() {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/recipes");
    for recipe in ["dead-letter-triage", "language-match"] {
        let module = built.join(format!("{recipe}.wasm"));
        if module.exists() {
            check(recipe, module.to_str().unwrap(), false);
        } else {
            let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!is_ci, "scripts/build-guests.sh python has not been run");
            eprintln!("skipped: scripts/build-guests.sh python builds {recipe}");
        }
    }
}
