//! Who a client is: without a name, and after `connection.update-secret`.

use serde_json::json;
use shunt_tests::amqp_raw::{Args, Fields, RawConnection, RawError, method};
use shunt_tests::{Client, Consume, Incoming, Node};

/// The mechanisms that a node offers, and a connection that has seen them.
fn offered(node: &Node) -> (String, RawConnection) {
    let mut raw = RawConnection::dial(node.amqp()).unwrap();
    raw.send(b"AMQP\x00\x00\x09\x01").unwrap();
    let start = raw.expect(0, method::CONNECTION_START).unwrap();
    let mut fields = Fields(&start);
    fields.short().unwrap();
    fields.longstr().unwrap();
    let mechanisms = fields.longstr().unwrap();
    (String::from_utf8(mechanisms.to_vec()).unwrap(), raw)
}

/// Logs in without a name.
fn anonymous(raw: &mut RawConnection) -> Result<Vec<u8>, RawError> {
    let start_ok = Args::new().table(&[]).shortstr("ANONYMOUS").longstr(b"").shortstr("en_US");
    raw.call(0, method::CONNECTION_START_OK, &start_ok, method::CONNECTION_TUNE)
}

#[test]
fn a_client_without_a_name_is_guest_as_long_as_guest_has_the_known_password() {
    let node = Node::start().unwrap();
    let (mechanisms, mut raw) = offered(&node);
    assert_eq!(mechanisms, "PLAIN AMQPLAIN ANONYMOUS");
    anonymous(&mut raw).unwrap();
    let other = json!({"password": "of my own", "tags": "administrator"});
    node.http().put("/api/users/guest", &other).unwrap().expect(204);
    let (_, mut raw) = offered(&node);
    let refused = anonymous(&mut raw);
    assert!(matches!(refused, Err(RawError::EndOfStream)), "{refused:?}");
}

#[test]
fn clients_without_a_name_may_be_somebody_else_or_nobody() {
    let node = Node::builder()
        .setting("auth.anonymous_user", "\"visitor\"")
        .setting("auth.anonymous_pass", "\"come in\"")
        .start()
        .unwrap();
    let (_, mut raw) = offered(&node);
    assert!(anonymous(&mut raw).is_err(), "there is no such user yet");
    let visitor = json!({"password": "come in", "tags": ""});
    node.http().put("/api/users/visitor", &visitor).unwrap().expect(201);
    let (_, mut raw) = offered(&node);
    anonymous(&mut raw).unwrap();

    let node = Node::builder().setting("auth.anonymous_user", "\"none\"").start().unwrap();
    let (mechanisms, mut raw) = offered(&node);
    assert_eq!(mechanisms, "PLAIN AMQPLAIN");
    assert!(anonymous(&mut raw).is_err(), "a mechanism that was not offered");
}

fn update_secret(client: &mut Client) -> Result<Vec<u8>, RawError> {
    let secret = Args::new().longstr(b"another").shortstr("it was time");
    client.raw().send_method(0, method::CONNECTION_UPDATE_SECRET, &secret)?;
    client.raw().expect(0, method::CONNECTION_UPDATE_SECRET_OK)
}

#[test]
fn a_new_secret_is_an_occasion_to_look_at_permissions_again() {
    let node = Node::start().unwrap();
    let http = node.http();
    let permit = |read: &str| {
        let patterns = json!({"configure": ".*", "write": ".*", "read": read});
        let answer = http.put("/api/permissions/%2F/u", &patterns).unwrap();
        assert!(answer.status < 300, "{}", answer.text());
    };
    http.put("/api/users/u", &json!({"password": "p", "tags": ""})).unwrap().expect(201);
    permit(".*");
    let mut client = Client::open_as(node.amqp(), "u", "p", "/").unwrap();
    for queue in ["kept", "lost"] {
        client.declare_queue(queue).unwrap();
        client.consume(queue, Consume { tag: queue, ..Consume::default() }).unwrap();
    }
    update_secret(&mut client).unwrap();
    client.sync().unwrap();

    permit("^kept$");
    let secret = Args::new().longstr(b"another").shortstr("it was time");
    client.raw().send_method(0, method::CONNECTION_UPDATE_SECRET, &secret).unwrap();
    match client.receive().unwrap() {
        Incoming::Cancel(tag) => assert_eq!(tag, "lost"),
        other => panic!("{other:?}"),
    }
    client.raw().expect(0, method::CONNECTION_UPDATE_SECRET_OK).unwrap();
    let (_, _, consumers) = client.declare_queue("lost").unwrap();
    assert_eq!(consumers, 0);
    let (_, _, consumers) = client.declare_queue("kept").unwrap();
    assert_eq!(consumers, 1);

    http.delete("/api/permissions/%2F/u").unwrap().expect(204);
    match update_secret(&mut client) {
        Err(RawError::Closed { channel: 0, code: 530, text, .. }) => {
            assert_eq!(text, "NOT_ALLOWED - access to vhost '/' refused for user 'u'");
        }
        other => panic!("{other:?}"),
    }
}
