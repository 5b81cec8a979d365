//! Classes confirm (85) and tx (90).

use super::*;

fn confirming(client: &mut Client) {
    client.confirm_select().unwrap();
}

fn transactional(client: &mut Client) {
    client.tx_select().unwrap();
}

/// A publish and an acknowledgement wait for the commit.
fn with_work(client: &mut Client) {
    one_unsettled(client);
    client.tx_select().unwrap();
    client.publish("", "q", &Props::new(), b"in the transaction").unwrap();
    client.ack(1, false).unwrap();
}

/// As [`with_work`], but the exchange goes before the commit.
fn with_a_publish_to_nowhere(client: &mut Client) {
    client.declare_exchange("short-lived", "fanout", "", &[]).unwrap();
    client.tx_select().unwrap();
    client.publish("short-lived", "", &Props::new(), b"x").unwrap();
    let args = Args::new().short(0).shortstr("short-lived").bits(&[false, false]);
    client.call(method::EXCHANGE_DELETE, &args, method::EXCHANGE_DELETE_OK).unwrap();
}

#[test]
fn confirm_and_tx() {
    let none = Args::new;
    let no_wait = |set| Args::new().bits(&[set]);
    let not_tx = "PRECONDITION_FAILED - channel is not transactional";
    check(vec![
        row(
            "confirm.select",
            fresh,
            method::CONFIRM_SELECT,
            no_wait(false),
            Method(method::CONFIRM_SELECT_OK),
        ),
        row(
            "confirm.select again",
            confirming,
            method::CONFIRM_SELECT,
            no_wait(false),
            Method(method::CONFIRM_SELECT_OK),
        ),
        then_ask(row(
            "confirm.select, no wait",
            fresh,
            method::CONFIRM_SELECT,
            no_wait(true),
            Nothing,
        )),
        row(
            "confirm.select after tx.select",
            transactional,
            method::CONFIRM_SELECT,
            no_wait(false),
            Channel(406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode"),
        ),
        row("tx.select", fresh, method::TX_SELECT, none(), Method(method::TX_SELECT_OK)),
        row(
            "tx.select again",
            transactional,
            method::TX_SELECT,
            none(),
            Method(method::TX_SELECT_OK),
        ),
        row(
            "tx.select after confirm.select",
            confirming,
            method::TX_SELECT,
            none(),
            Channel(406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode"),
        ),
        row("commit without select", fresh, method::TX_COMMIT, none(), Channel(406, not_tx)),
        row("rollback without select", fresh, method::TX_ROLLBACK, none(), Channel(406, not_tx)),
        row(
            "commit of nothing",
            transactional,
            method::TX_COMMIT,
            none(),
            Method(method::TX_COMMIT_OK),
        ),
        row("commit", with_work, method::TX_COMMIT, none(), Method(method::TX_COMMIT_OK)),
        row("rollback", with_work, method::TX_ROLLBACK, none(), Method(method::TX_ROLLBACK_OK)),
        row(
            "commit of a publish to an exchange that went",
            with_a_publish_to_nowhere,
            method::TX_COMMIT,
            none(),
            Channel(404, "NOT_FOUND - no exchange 'short-lived' in vhost '/'"),
        ),
        publish(
            "publish to no exchange",
            transactional,
            ("none", ""),
            Props::new(),
            b"",
            Channel(404, "NOT_FOUND - no exchange 'none' in vhost '/'"),
        ),
        row(
            "ack of an unknown tag",
            transactional,
            method::BASIC_ACK,
            none().longlong(9).bits(&[false]),
            Channel(406, "PRECONDITION_FAILED - unknown delivery tag 9"),
        ),
    ]);
}

#[test]
fn a_commit_fails_where_a_queue_refuses_whichever_its_shard() {
    let node = Node::builder().setting("node.shards", 2).start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    let full = table(&[("x-max-length", Value::I32(1)), ("x-overflow", text("reject-publish"))]);
    // Queues are spread over the shards, so one of two is on the other.
    for queue in ["full-1", "full-2"] {
        client.declare_queue_as(queue, "d", &full).unwrap();
        client.tx_select().unwrap();
        client.publish("", queue, &Props::persistent(), b"fits").unwrap();
        client.tx_commit().unwrap();
        client.publish("", queue, &Props::persistent(), b"does not").unwrap();
        let refused = client.tx_commit();
        let Err(RawError::Closed { code: 406, text, .. }) = &refused else {
            panic!("{refused:?}");
        };
        assert_eq!(text, "PRECONDITION_FAILED - partial tx completion");
        client.reopen().unwrap();
    }
}
