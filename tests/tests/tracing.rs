//! Firehose tracing: copies of what is published and delivered, while a virtual host is traced.

use shunt_tests::{Client, Consume, Node, Props, command};

fn trace(node: &Node, state: &str) {
    let http = format!("http://{}", node.http_address());
    let arguments = ["vhost", "trace", state, "/", "--url", &http];
    let output = command(arguments).unwrap().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn said(properties: &[u8]) -> String {
    String::from_utf8_lossy(properties).into_owned()
}

#[test]
fn publishes_and_deliveries_are_copied_while_a_virtual_host_is_traced() {
    let node = Node::builder().setting("node.shards", 1).start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    client.declare_queue("firehose").unwrap();
    client.bind("firehose", "amq.rabbitmq.trace", "#", &[]).unwrap();
    let publish_and_get = |client: &mut Client, body: &str| {
        let props = Props::new().text("message_id", "m-1").text_header("colour", "red");
        client.publish("", "q", &props, body.as_bytes()).unwrap();
        assert_eq!(client.get("q").unwrap().unwrap().text(), body);
    };
    publish_and_get(&mut client, "before");
    trace(&node, "on");
    assert_eq!(node.http().get("/api/vhosts/%2F").unwrap().json()["tracing"], true);
    publish_and_get(&mut client, "traced");
    let consumer = Consume { no_ack: true, tag: "c", ..Consume::default() };
    client.consume("q", consumer).unwrap();
    client.publish("", "q", &Props::new(), b"consumed").unwrap();
    assert_eq!(client.delivery().unwrap().text(), "consumed");
    client.cancel("c").unwrap();
    trace(&node, "off");
    client.publish("", "q", &Props::new(), b"after").unwrap();

    for (key, body) in [
        ("publish.", "traced"),
        ("deliver.q", "traced"),
        ("publish.", "consumed"),
        ("deliver.q", "consumed"),
    ] {
        let copy = client.get("firehose").unwrap().unwrap();
        assert_eq!(
            (copy.exchange.as_str(), copy.routing_key.as_str()),
            ("amq.rabbitmq.trace", key)
        );
        assert_eq!(copy.text(), body);
        let headers = said(&copy.properties);
        for name in [
            "exchange_name",
            "routing_keys",
            "properties",
            "node",
            "vhost",
            "connection",
            "channel",
            "user",
            "guest",
            "127.0.0.1:",
        ] {
            assert!(headers.contains(name), "{name} in {headers:?}");
        }
        let own = if key == "publish." { "routed_queues" } else { "redelivered" };
        assert!(headers.contains(own), "{own} in {headers:?}");
        if body == "traced" {
            assert!(headers.contains("m-1") && headers.contains("colour"), "{headers:?}");
        }
    }
    assert_eq!(client.get("firehose").unwrap(), None);
}
