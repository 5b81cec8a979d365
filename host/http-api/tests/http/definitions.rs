//! Definitions out of one node and into another.

use serde_json::{Value as Json, json};

use crate::harness::Server;

const PATH: &str = "/api/definitions";
const OLD: &str = include_str!("files/rabbitmq-3.10.json");
const NEW: &str = include_str!("files/rabbitmq-4.3.json");

/// What was left out, a line each.
fn left_out(report: &Json) -> Vec<String> {
    let items = report["not_honoured"].as_array().unwrap();
    let text = |item: &Json, field: &str| item[field].as_str().unwrap_or("-").to_owned();
    let line = |item: &Json| {
        let [kind, name, vhost, reason] =
            ["kind", "name", "vhost", "reason"].map(|field| text(item, field));
        format!("{kind} {name} in {vhost}: {reason}")
    };
    items.iter().map(line).collect()
}

fn names(list: &Json) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_was_exported_comes_back_equal() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.put("/api/vhosts/a%2Fb", "").await.ok(201);
    for (path, body) in [
        ("/api/users/bob", json!({"password": "bob", "tags": ["monitoring", "x"]})),
        (
            "/api/topic-permissions/a%2Fb/bob",
            json!({"exchange": "amq.topic", "write": "^{username}", "read": ""}),
        ),
        ("/api/permissions/a%2Fb/bob", json!({"configure": "", "write": "^b", "read": ".*"})),
        ("/api/exchanges/%2F/inner", json!({"type": "fanout", "internal": true})),
        (
            "/api/exchanges/a%2Fb/x",
            json!({"type": "topic", "durable": false, "arguments": {"alternate-exchange": "y"}}),
        ),
        ("/api/queues/%2F/q", json!({"arguments": {"x-message-ttl": 5, "mine": {"a": [1.5]}}})),
        ("/api/queues/a%2Fb/q", json!({"durable": false, "auto_delete": true})),
        ("/api/policies/a%2Fb/short", json!({"pattern": "^q", "definition": {"max-length": 5}})),
        (
            "/api/operator-policies/a%2Fb/cap",
            json!({"pattern": "", "definition": {"expires": 60000}, "apply-to": "queues"}),
        ),
    ] {
        guest.put(path, &body.to_string()).await.ok(201);
    }
    for (path, value) in
        [("/api/user-limits/bob/max-channels", 5), ("/api/vhost-limits/a%2Fb/max-queues", -1)]
    {
        guest.put(path, &json!({ "value": value }).to_string()).await.ok(204);
    }
    let said = json!({"description": "ours", "tags": ["t"], "protected_from_deletion": true});
    guest.put("/api/vhosts/a%2Fb", &said.to_string()).await.ok(204);
    for (path, body) in [
        ("/api/bindings/%2F/e/amq.topic/q/q", json!({"routing_key": "b.#"})),
        ("/api/bindings/%2F/e/amq.topic/q/q", json!({"routing_key": "a", "arguments": {"n": 1}})),
        ("/api/bindings/%2F/e/inner/e/amq.fanout", json!({})),
        ("/api/bindings/a%2Fb/e/x/q/q", json!({"routing_key": "k"})),
    ] {
        guest.post(path, &body.to_string()).await.ok(201);
    }
    let exported = guest.get(PATH).await.ok(200);
    assert_eq!(names(&exported["exchanges"]), ["inner", "x"]);
    assert_eq!(exported["bindings"].as_array().unwrap().len(), 4);
    assert_eq!(exported["vhosts"][1]["name"], "a/b");
    assert_eq!(names(&exported["policies"]), ["short"]);
    let parameters = exported["parameters"].as_array().unwrap();
    let components: Vec<_> = parameters.iter().map(|one| &one["component"]).collect();
    assert_eq!(components, ["operator_policy", "vhost-limits"]);
    assert_eq!(exported["vhosts"][1]["description"], "ours");

    let other = Server::start().await;
    let report = other.guest().post(PATH, &exported.to_string()).await.ok(200);
    let counts = json!({
        "users": 7, "vhosts": 2, "permissions": 6, "topic_permissions": 1, "policies": 2,
        "exchanges": 2, "queues": 2, "bindings": 4,
    });
    assert_eq!(report, json!({"imported": counts, "not_honoured": []}));
    assert_eq!(other.guest().get(PATH).await.ok(200), exported);
    // Once more changes nothing.
    assert_eq!(other.guest().post(PATH, &exported.to_string()).await.ok(200), report);
    assert_eq!(other.guest().get(PATH).await.ok(200), exported);
    // The vhost's own file has no names of vhosts in it, and goes into any.
    let one = guest.get("/api/definitions/a%2Fb").await.ok(200);
    assert_eq!(one["original_vhost_name"], "a/b");
    assert_eq!(one.get("users"), None);
    assert_eq!(one["queues"][0].get("vhost"), None);
    guest.put("/api/vhosts/copy", "").await.ok(201);
    let report = guest.post("/api/definitions/copy", &one.to_string()).await.ok(200);
    assert_eq!(report["not_honoured"], json!([]));
    let mut copy = guest.get("/api/definitions/copy").await.ok(200);
    for field in ["original_vhost_name", "explanation"] {
        copy[field] = one[field].clone();
    }
    assert_eq!(copy, one);
}

#[tokio::test]
async fn built_in_and_exclusive_things_are_not_exported() {
    use shunt_broker::Actor;
    use shunt_broker::metadata::{QueueDeclaration, QueueDefinition};
    use shunt_types::{QueueName, VhostName};

    let server = Server::start().await;
    let guest = server.guest();
    let vhost = VhostName::new("/").unwrap();
    let owner = Some(server.broker.next_connection_id());
    for (name, exclusive_owner) in [("mine", owner), ("amq.gen-x", None)] {
        let definition = QueueDefinition {
            name: QueueName::new(name).unwrap(),
            durable: false,
            auto_delete: false,
            arguments: Default::default(),
        };
        let declaration =
            QueueDeclaration { definition, exclusive_owner, server_named: true, near: None };
        let actor = Actor { connection: owner, ..Actor::NODE };
        assert!(server.broker.declare_queue(&vhost, actor, declaration).is_ok());
    }
    guest.post("/api/bindings/%2F/e/amq.topic/q/amq.gen-x", "{}").await.ok(201);
    let exported = guest.get(PATH).await.ok(200);
    for section in ["exchanges", "queues", "bindings"] {
        assert_eq!(exported[section], json!([]), "{section}");
    }
}

#[tokio::test]
async fn a_file_of_rabbitmq_3_10_is_imported_but_for_what_is_listed() {
    let server = Server::start().await;
    let guest = server.guest();
    let report = guest.post(PATH, OLD).await.ok(200);
    let counts = json!({
        "users": 2, "vhosts": 2, "permissions": 1, "topic_permissions": 1, "policies": 3,
        "exchanges": 2, "queues": 2, "bindings": 3,
    });
    assert_eq!(report["imported"], counts);
    let expected = [
        "global_parameter cluster_name in -: global parameters are not supported",
        "global_parameter internal_cluster_id in -: global parameters are not supported",
        "vhost shop in -: its default queue type stays classic: queues of type quorum are not \
         supported",
        "permissions old in shop: 'configure': '^(?!amq\\.).*' is not a regular expression: error: \
         look-around, including look-ahead and look-behind, is not supported; the user has no \
         access",
        "policy ha-all in shop: without effect here: ha-mode",
        "policy no-amq in shop: pattern should be regular expression but is invalid: look-around, \
         including look-ahead and look-behind, is not supported",
        "parameter shovel/to-eu in shop: runtime parameters of this component are not supported",
        "exchange delayed in shop: unknown exchange type 'x-delayed-test'",
        "queue ledger in shop: queues of type quorum are not supported",
        "queue events in shop: queues of type stream are not supported",
        "binding orders -> ledger in shop: key '#': queue 'ledger' is left out",
        "binding orders -> amq.gen-JzTY20BRgKO-HjmUJj0wLg in shop: key 'x': there is no queue \
         'amq.gen-JzTY20BRgKO-HjmUJj0wLg', nor in the file",
        "binding delayed -> orders.eu in shop: key 'later': exchange 'delayed' is left out",
    ];
    assert_eq!(left_out(&report), expected);
    // The user logs in with the password of RabbitMQ's documentation, and may do what it might.
    let shop = server.user("shop", "test12");
    let publish = "/v1/vhosts/shop/exchanges/orders/messages?routing_key=eu.1";
    assert_eq!(shop.post(publish, "x").await.ok(200)["routed"], true);
    let publish = "/v1/vhosts/shop/exchanges/amq.headers/messages?routing_key=";
    let request = shop.request("POST", publish).header("x-header-region", "us");
    let request = request.header("x-header-n", "1").body(Default::default()).unwrap();
    shop.send(request).await.ok(200);
    // An old hash is good for a login.
    server.user("old", "test12").get("/api/whoami").await.ok(200);
    assert_eq!(guest.get("/api/users/old").await.ok(200)["limits"]["max-connections"], 5);
    let topics = guest.get("/api/topic-permissions").await.ok(200);
    assert_eq!(topics[0]["exchange"], "amq.topic");
    assert_eq!(guest.get("/api/vhosts/shop").await.ok(200)["description"], "Shop");
    let limits = guest.get("/api/vhost-limits/shop").await.ok(200);
    assert_eq!(limits[0]["value"], json!({"max-connections": -1, "max-queues": 100}));
    assert_eq!(guest.get("/api/queues/shop/orders.eu").await.ok(200)["policy"], "orders");
    let caps = guest.get("/api/operator-policies/shop/cap").await.ok(200);
    assert_eq!(caps["definition"], json!({"max-length": 5}));
    assert_eq!(guest.get("/api/queues/shop").await.ok(200).as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_file_of_rabbitmq_4_3_is_imported() {
    let server = Server::start().await;
    let report = server.guest().post(PATH, NEW).await.ok(200);
    let expected = ["global_parameter cluster_tags in -: global parameters are not supported"];
    assert_eq!(left_out(&report), expected);
    // The file's user is the node's now.
    server.guest().get(PATH).await.refused(401);
    let exported = server.user("guest", "test12").get(PATH).await.ok(200);
    let imported: Json = serde_json::from_str(NEW).unwrap();
    // Alphabetical here, in no order there.
    assert_eq!(names(&exported["queues"]), ["dead", "tasks"]);
    assert_eq!(exported["bindings"], imported["bindings"]);
}

#[tokio::test]
async fn who_can_log_in_keeps_the_password_that_a_file_cannot_replace() {
    let server = Server::start().await;
    let user = json!({
        "name": "guest", "password_hash": "AAAA", "tags": "administrator",
        "hashing_algorithm": "my_hashing",
    });
    let report = server.guest().post(PATH, &json!({"users": [user]}).to_string()).await.ok(200);
    assert!(left_out(&report)[0].ends_with("the user keeps the password that it has here"));
    server.guest().get(PATH).await.ok(200);
}

#[tokio::test]
async fn what_is_there_in_another_way_stays_and_is_listed() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("q").await;
    guest.put("/api/exchanges/%2F/x", r#"{"type":"fanout"}"#).await.ok(201);
    let file = json!({
        "exchanges": [{"name": "x", "vhost": "/", "type": "topic"}],
        "queues": [{"name": "q", "vhost": "/", "durable": true}],
        "bindings": [{"source": "x", "vhost": "/", "destination": "q", "destination_type": "queue"}],
    });
    let report = guest.post(PATH, &file.to_string()).await.ok(200);
    let left_out = left_out(&report);
    assert!(left_out[0].starts_with("exchange x in /: it stays as it is: inequivalent arg 'type'"));
    assert!(left_out[1].starts_with("queue q in /: it stays as it is: inequivalent arg 'durable'"));
    assert_eq!(report["imported"]["bindings"], 1);
}

#[tokio::test]
async fn a_wrong_file_changes_nothing_and_every_problem_is_named() {
    let server = Server::start().await;
    let guest = server.guest();
    let before = guest.get(PATH).await.ok(200);
    let long = "q".repeat(256);
    let file = json!({
        "users": [{"name": "new", "password": "x", "tags": ""}, {"name": "u", "tags": 1},
            {"name": "v"}, {"name": "new", "tags": ""}],
        "vhosts": [{"name": "v"}],
        "permissions": [{"user": "none", "vhost": "v", "configure": "", "write": "", "read": ""}],
        "exchanges": [{"name": "x", "vhost": "v", "type": "topic"}, {"name": "y", "type": "topic"},
            {"name": "x", "vhost": "v", "type": "fanout"}],
        "queues": [{"name": "q", "vhost": "nowhere"}, ["r"], {"name": long, "vhost": "v"}, {"name": 1},
            {"name": "a", "vhost": "v", "arguments": {"n": u64::MAX}}],
        "bindings": {},
    });
    let reason = guest.post(PATH, &file.to_string()).await.refused(400);
    let (start, problems) = reason.split_once(": ").unwrap();
    assert_eq!(start, "nothing was imported");
    let problems: Vec<_> = problems.split("; ").collect();
    let expected = [
        "users[1]: 'tags' must be a list of text, or text with commas",
        "queues[1]: must be an object",
        "queues[3]: invalid type: integer `1`, expected a string",
        "'bindings' must be a list",
        "user 'v': the field 'tags' is missing (for a user without tags, give [])",
        "user 'new' stands twice",
        "permissions of user 'none' in vhost 'v': there is no such user, nor in the file",
        "exchange 'y': the field 'vhost' is missing",
        "exchange 'x' in vhost 'v' stands twice",
        "queue 'q': there is no vhost 'nowhere', nor in the file",
        "queue 'qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq…': a name has 256 bytes, at most 255 are allowed",
        "queue 'a' in vhost 'v': arguments.n: 18446744073709551615 is larger than a signed 64-bit \
         integer",
    ];
    assert_eq!(problems, expected);
    assert_eq!(guest.get(PATH).await.ok(200), before);
    let broken = guest.post(PATH, "{\"users\":[\n}").await.refused(400);
    assert!(broken.contains("line 2 column 1"), "{broken}");
    let none = vec![json!({"name": "x", "type": "topic"}); 30];
    let many = guest.post(PATH, &json!({"exchanges": none}).to_string()).await.refused(400);
    assert!(many.ends_with("'vhost' is missing; and 10 more"), "{many}");
}

#[tokio::test]
async fn an_import_that_fails_on_the_way_names_what_was_done() {
    let server = Server::start().await;
    let guest = server.guest();
    let file = json!({
        "users": [{"name": "new", "password": "x", "tags": ""}],
        "vhosts": [{"name": "v"}],
        "permissions": [{"user": "new", "vhost": "v", "configure": "", "write": "", "read": ""}],
        "exchanges": [{"name": "a", "vhost": "v", "type": "topic"},
            {"name": "fickle", "vhost": "v", "type": "x-failing"}],
        "queues": [{"name": "q", "vhost": "v"}],
    });
    let answer = guest.post(PATH, &file.to_string()).await;
    let applied = answer.json()["applied"].clone();
    let reason = answer.refused(503);
    assert!(reason.starts_with(
        "the import ended before its end, at exchange 'fickle' in vhost 'v': not again"
    ));
    let expected = json!([
        "user 'new'",
        "vhost 'v'",
        "permissions of user 'new' in vhost 'v'",
        "exchange 'a' in vhost 'v'",
    ]);
    assert_eq!(applied, expected);
    guest.get("/api/queues/v/q").await.refused(404);
}

#[tokio::test]
async fn the_file_of_a_whole_node_goes_into_one_vhost_without_its_users() {
    let server = Server::start().await;
    let guest = server.guest();
    let report = guest.post("/api/definitions/%2F", NEW).await.ok(200);
    let expected = [
        "section users in -: not a part of one virtual host; import it with the whole node's \
         definitions",
        "section vhosts in -: not a part of one virtual host; import it with the whole node's \
         definitions",
        "section permissions in -: not a part of one virtual host; import it with the whole \
         node's definitions",
        "section global_parameters in -: not a part of one virtual host; import it with the \
         whole node's definitions",
    ];
    assert_eq!(left_out(&report), expected);
    guest.get("/api/queues/%2F/tasks").await.ok(200);
    guest.post("/api/definitions/none", NEW).await.refused(404);
    let odd = r#"{"limits":{"max-queues":100,"max-cows":1},"cues":[]}"#;
    let odd = guest.post("/api/definitions/%2F", odd).await;
    let expected = [
        "section cues in -: a section that is not known",
        "vhost_limits / in -: unrecognised limit 'max-cows'; there are max-connections and \
         max-queues",
    ];
    assert_eq!(left_out(&odd.ok(200)), expected);
    let limits = r#"{"parameters":[{"component":"vhost-limits","name":"limits","value":{"max-queues":100}}]}"#;
    guest.post("/api/definitions/%2F", limits).await.ok(200);
    let limits = guest.get("/api/vhost-limits/%2F").await.ok(200);
    assert_eq!(limits[0]["value"], json!({"max-queues": 100}));
}

#[tokio::test]
async fn definitions_take_an_administrator() {
    let server = Server::start().await;
    for name in ["ann", "pol", "mon"] {
        let client = server.user(name, name);
        for path in [PATH, "/api/definitions/%2F"] {
            assert!(client.get(path).await.refused(401).contains("administrator"));
            assert!(client.post(path, "{}").await.refused(401).contains("administrator"));
        }
    }
}
