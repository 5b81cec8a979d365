//! Modules that mean harm: each is told by its named cause, the publisher hears of it, the node
//! gives nothing away and goes on as before.

use serde_json::Value as Json;
use shunt_tests::amqp_raw::Value;
use shunt_tests::{Client, Guest, Http, Node, Props, Response};

const SPINNING: &str = "(loop $l (br $l)) unreachable";
const HUNGRY: &str = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) \
                      unreachable";
/// Publishes to each hostile route.
const PUBLISHES: u64 = 20;
/// What a node may hold more of after all of it than before: what an allocator keeps, and code
/// that the operating system has loaded since.
const MARGIN_BYTES: u64 = 48 << 20;

/// A node whose topic exchange is the bystander: it has to work all the while.
struct Scene {
    node: Node,
    http: Http,
    client: Client,
    bystander: Client,
    bystander_acked: u64,
}

impl Scene {
    fn new() -> Self {
        let node = Node::builder().setting("routes.breaker_failures", 1_000_000).start().unwrap();
        let http = node.http();
        let mut client = Client::open(node.amqp()).unwrap();
        client.declare_queue("q").unwrap();
        client.confirm_select().unwrap();
        let mut bystander = Client::open(node.amqp()).unwrap();
        bystander.declare_queue("other").unwrap();
        bystander.bind("other", "amq.topic", "a.#", &[]).unwrap();
        bystander.confirm_select().unwrap();
        Self { node, http, client, bystander, bystander_acked: 0 }
    }

    fn deploy(&self, name: &str, module: impl Into<Vec<u8>>) -> Response {
        let request = self.http.request("PUT", &format!("/api/routes/%2F/{name}"));
        request.header("Content-Type", "application/wasm").body(module).send().unwrap()
    }

    fn declare(&mut self, name: &str) {
        let arguments = [("x-route".to_owned(), Value::Str(name.to_owned()))];
        self.client.declare_exchange(name, "x-wasm", "d", &arguments).unwrap();
        self.client.bind("q", name, "", &[]).unwrap();
    }

    /// The bystander's messages arrive.
    #[track_caller]
    fn check_bystander(&mut self) {
        self.bystander.publish("amq.topic", "a.b", &Props::new(), b"y").unwrap();
        self.bystander_acked += 1;
        assert_eq!(self.bystander.confirms().unwrap().acked, [self.bystander_acked].into());
        assert_eq!(self.bystander.drain("other").unwrap(), ["y"]);
    }

    fn failures(&self, name: &str) -> Json {
        let shown = self.http.get(&format!("/api/routes/%2F/{name}")).unwrap().expect(200);
        shown["versions"][0]["counters"]["failures"].clone()
    }

    /// Every message to the route fails by this cause, in the confirm, by HTTP and in the counts.
    #[track_caller]
    fn check_failing(&mut self, name: &str, guest: &Guest, cause: &str) {
        self.deploy(name, guest.wat()).expect(201);
        self.declare(name);
        for n in 0..PUBLISHES {
            let number = self.client.publish(name, &n.to_string(), &Props::new(), b"x").unwrap();
            assert_eq!(self.client.confirms().unwrap().nacked, [number].into(), "{name}");
        }
        let path = format!("/v1/vhosts/%2F/exchanges/{name}/messages?routing_key=q");
        let answer = self.http.request("POST", &path).body("x").send().unwrap();
        assert_eq!(answer.expect(503)["cause"], cause, "{name}");
        let failures = self.failures(name);
        assert_eq!(failures[cause], PUBLISHES + 1, "{name}: {failures}");
        assert_eq!(self.client.drain("q").unwrap(), [""; 0], "{name}");
        self.check_bystander();
    }

    /// The module isn't deployed, and the reason says this.
    #[track_caller]
    fn check_refused(&mut self, module: impl Into<Vec<u8>>, status: u16, part: &str) {
        self.deploy("refused", module).refused(status, part);
        assert_eq!(self.http.get("/api/routes/%2F/refused").unwrap().status, 404);
        self.check_bystander();
    }

    fn forget(&mut self, name: &str) {
        assert_eq!(self.http.delete(&format!("/api/exchanges/%2F/{name}")).unwrap().status, 204);
        assert_eq!(self.http.delete(&format!("/api/routes/%2F/{name}")).unwrap().status, 204);
    }
}

#[test]
fn what_a_module_may_try_while_it_decides() {
    let mut scene = Scene::new();
    let recursing = Guest::new("(call $f) i64.const 0").extra("(func $f (call $f) (call $f))");
    let million = Guest::answering(b"\xdd\x00\x0f\x42\x40\x00\x00");
    let index = Guest::answering(b"\x91\xcf\xff\xff\xff\xff\xff\xff\xff\xff");
    let cases = [
        ("recursion", recursing, "trap"),
        ("memory", Guest::new(HUNGRY), "memory"),
        ("outside", Guest::new("i64.const 0x7fffffff00000009"), "bad-answer"),
        ("length", Guest::new("i64.const 0x00000000ffffffff"), "bad-answer"),
        ("index", index, "bad-answer"),
        ("million", million, "bad-answer"),
        ("utf-8", Guest::answering(b"\x91\xa2\xff\xfe"), "bad-answer"),
        ("msgpack", Guest::answering(b"\x91\xc1"), "bad-answer"),
        ("spinning", Guest::new(SPINNING), "timeout"),
    ];
    // What the first route costs at all is no leak of these.
    scene.deploy("first", Guest::index(0).wat()).expect(201);
    scene.declare("first");
    let number = scene.client.publish("first", "k", &Props::new(), b"x").unwrap();
    assert_eq!(scene.client.confirms().unwrap().acked, [number].into());
    assert_eq!(scene.client.drain("q").unwrap(), ["x"]);
    let before = scene.node.resident_bytes().unwrap();
    for (name, guest, cause) in &cases {
        scene.check_failing(name, guest, cause);
    }
    for (name, _, _) in &cases {
        scene.forget(name);
    }
    // The thread that held their instances frees them with its next decision.
    for key in ["a", "b"] {
        scene.client.publish("first", key, &Props::new(), b"x").unwrap();
    }
    scene.client.confirms().unwrap();
    let after = scene.node.resident_bytes().unwrap();
    assert!(after < before + MARGIN_BYTES, "{before} bytes before, {after} after");
}

#[test]
fn a_module_that_traps_at_every_second_call() {
    let mut scene = Scene::new();
    // An instance that trapped is thrown away with its memory, so the next one begins anew.
    let second = Guest::new(
        "(global.set $n (i32.add (global.get $n) (i32.const 1)))
         (if (i32.eq (global.get $n) (i32.const 2)) (then unreachable))
         i64.const 0x80000000002",
    )
    .extra("(global $n (mut i32) (i32.const 0)) (data (i32.const 2048) \"\\91\\00\")")
    .reads(&["routing_key"]);
    scene.deploy("second", second.wat()).expect(201);
    scene.declare("second");
    for n in 1..=20 {
        scene.client.publish("second", &n.to_string(), &Props::new(), b"x").unwrap();
        let confirms = scene.client.confirms().unwrap();
        let told = if n % 2 == 1 { confirms.acked } else { confirms.nacked };
        assert_eq!(told, [n].into());
    }
    assert_eq!(scene.client.drain("q").unwrap().len(), 10);
    assert_eq!(scene.failures("second")["trap"], 10);
    scene.check_bystander();
}

#[test]
fn what_is_refused_before_it_can_do_harm() {
    let mut scene = Scene::new();
    let good = Guest::index(0);
    let starting = good.clone().extra("(func $s (loop $l (br $l))) (start $s)");
    scene.check_refused(starting.wat(), 400, "timeout");
    let everything: String = [("env", "open"), ("wasi_snapshot_preview1", "sock_connect")]
        .iter()
        .map(|(module, name)| format!("(import \"{module}\" \"{name}\" (func))"))
        .chain((0..500).map(|n| format!("(import \"all\" \"f{n}\" (func))")))
        .collect();
    scene.check_refused(good.import(&everything).wat(), 400, "'all.f499'");
    let large = Guest::index(0).extra("(memory 20000)");
    scene.check_refused(large.wat(), 400, "can't be compiled");
    let request = scene.http.request("PUT", "/api/routes/%2F/refused").body(vec![0; 100 << 20]);
    // A node that closes before it has read all of it may take its answer with it.
    assert!(request.send().map_or(true, |answer| answer.status == 413));
    assert_eq!(scene.http.get("/api/routes/%2F/refused").unwrap().status, 404);
    scene.check_bystander();
    let deep = format!("{}{}", "(component ".repeat(50_000), ")".repeat(50_000));
    scene.check_refused(deep, 400, "can't be compiled");
    scene.check_refused(nested(2_000), 400, "");
    // The node is what it was: a good module works.
    scene.deploy("good", Guest::index(0).wat()).expect(201);
    scene.declare("good");
    scene.client.publish("good", "k", &Props::new(), b"x").unwrap();
    assert_eq!(scene.client.confirms().unwrap().acked, [1].into());
}

/// A component in a component, and so on, as deep as this.
fn nested(depth: usize) -> Vec<u8> {
    const HEAD: &[u8] = b"\0asm\x0d\0\x01\0";
    const COMPONENT_SECTION: u8 = 4;
    (0..depth).fold(HEAD.to_vec(), |inner, _| {
        let mut outer = HEAD.to_vec();
        outer.push(COMPONENT_SECTION);
        let mut length = inner.len();
        while length >= 0x80 {
            outer.push(length as u8 | 0x80);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.extend(inner);
        outer
    })
}
