//! Connections from the operator's side: listed, closed, and held back.

use shunt_tests::amqp_raw::{Args, RawError, method};
use shunt_tests::{Client, Consume, Http, Node, Props, clients, poll};

fn names(http: &Http) -> Vec<String> {
    let list = http.get("/api/connections").unwrap().json();
    let list = list.as_array().unwrap();
    list.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

fn encoded(name: &str) -> String {
    name.replace(' ', "%20").replace('>', "%3E").replace(':', "%3A")
}

#[test]
fn connections_are_listed_until_they_are_gone() {
    let node = Node::start().unwrap();
    let http = node.http();
    let first = Client::open(node.amqp()).unwrap();
    let _second = Client::open(node.amqp()).unwrap();
    let both = names(&http);
    assert_eq!(both.len(), 2);
    let one = http.get(&format!("/api/connections/{}", encoded(&both[0]))).unwrap().json();
    assert_eq!(one["user"], "guest");
    assert_eq!(one["vhost"], "/");
    assert_eq!(one["auth_mechanism"], "PLAIN");
    assert_eq!(one["channels"], 1);
    assert_eq!(one["client_properties"]["product"], "shunt-tests amqp_raw");
    assert_eq!(http.get("/api/vhosts/%2F/connections").unwrap().json()[1]["name"], both[1]);
    first.close().unwrap();
    poll("the first is gone", || (names(&http) == both[1..]).then_some(())).unwrap();
    assert_eq!(http.get("/api/connections/none").unwrap().status, 404);
}

#[test]
fn an_operator_closes_a_connection_and_the_client_hears_why() {
    let node = Node::start().unwrap();
    let http = node.http();
    let mut client = Client::open(node.amqp()).unwrap();
    let path = format!("/api/connections/{}", encoded(&names(&http)[0]));
    let close = http.request("DELETE", &path).header("X-Reason", "lunch");
    assert_eq!(close.send().unwrap().status, 204);
    let closed = client.receive();
    let Err(RawError::Closed { channel: 0, code: 320, text, .. }) = &closed else {
        panic!("{closed:?}");
    };
    assert_eq!(text, "CONNECTION_FORCED - lunch");
    client.raw().send_method(0, method::CONNECTION_CLOSE_OK, &Args::new()).unwrap();
    poll("it is gone", || names(&http).is_empty().then_some(())).unwrap();
}

#[test]
fn publishers_that_an_operator_holds_are_told_and_told_when_they_may_go_on() {
    let node = Node::start().unwrap();
    let hold = |active: bool| {
        let state = serde_json::json!({ "active": active });
        assert_eq!(node.http().put("/api/alarms/operator", &state).unwrap().status, 204);
    };
    hold(true);
    let alarms = node.http().get("/api/alarms").unwrap().json();
    assert_eq!(alarms["reason"], "held by the operator");
    // A client that said nothing of `connection.blocked` hears nothing, and waits.
    let mut quiet = Client::open(node.amqp()).unwrap();
    quiet.declare_queue("q").unwrap();
    quiet.publish("", "q", &Props::new(), b"first").unwrap();
    assert_eq!(quiet.receive_within(std::time::Duration::from_millis(200)).unwrap(), None);
    hold(false);
    quiet.sync().unwrap();

    let arguments = serde_json::json!({
        "url": node.amqp_url(),
        "alarm": format!("http://{}/api/alarms/operator", node.http_address()),
    });
    let Some(seen) = clients::pika("blocked.py", &arguments).unwrap() else { return };
    assert_eq!(seen, serde_json::json!(["blocked: held by the operator", "unblocked"]));
}

#[test]
fn what_is_larger_than_the_sockets_buffers_passes_in_parts() {
    let node = Node::builder()
        .setting("amqp.receive_buffer_bytes", 70_000)
        .setting("amqp.send_buffer_bytes", 1_000)
        .start()
        .unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    for number in 0..4 {
        let body: Vec<u8> = (0..1 << 20).map(|at| (at * 7 + number) as u8).collect();
        client.publish("", "q", &Props::new(), &body).unwrap();
        assert!(client.get("q").unwrap().unwrap().body == body);
    }
}

#[test]
fn a_client_that_takes_nothing_is_cut_off() {
    let node = Node::builder().setting("amqp.send_timeout_ms", 500).start().unwrap();
    let http = node.http();
    let mut publisher = Client::open(node.amqp()).unwrap();
    publisher.declare_queue("q").unwrap();
    let mut stuck = Client::open(node.amqp()).unwrap();
    stuck.consume("q", Consume { no_ack: true, ..Consume::default() }).unwrap();
    // More than the sockets' buffers hold.
    let body = vec![0; 1 << 20];
    for _ in 0..64 {
        publisher.publish("", "q", &Props::new(), &body).unwrap();
    }
    publisher.sync().unwrap();
    poll("the stuck one is gone", || (names(&http).len() == 1).then_some(())).unwrap();
    // What it had not been sent is still there.
    assert!(publisher.get("q").unwrap().is_some());
    drop(stuck);
}
