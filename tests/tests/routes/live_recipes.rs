//! The recipes that look at queues or remember what was: each does at a node what it is for.

use serde_json::{Value as Json, json};
use shunt_tests::amqp_raw::{RawError, Value};
use shunt_tests::{Client, Consume, Incoming, Props, poll};

use super::recipes::Recipe;

/// Asks the recipe where a message would go, as its queues are now and with nothing remembered.
fn would_go(recipe: &Recipe, message: &Json) -> String {
    let mut asked = message.clone();
    asked["exchange"] = "e".into();
    let answer = recipe.node.http().post("/api/routes/%2F/recipe/dry-run", &asked).unwrap();
    let answer = answer.expect(200);
    answer["destinations"][0]["name"].as_str().unwrap_or_default().to_owned()
}

/// Waits until the recipe sees its queues such that a message would go there.
#[track_caller]
fn wait_for(recipe: &Recipe, message: &Json, queue: &str) {
    let seen = || (would_go(recipe, message) == queue).then_some(());
    poll(&format!("{message} to go to {queue}"), seen).unwrap();
}

/// Fills a queue past its exchange.
fn fill(client: &mut Client, queue: &str, count: usize) {
    for _ in 0..count {
        client.publish("", queue, &Props::new(), b"filling").unwrap();
    }
    client.confirms().unwrap();
}

fn publish(recipe: &mut Recipe, props: &Props) {
    recipe.client.publish("e", "", props, b"x").unwrap();
    assert!(recipe.client.confirms().unwrap().nacked.is_empty());
}

fn consume(client: &mut Client, queue: &str) -> Result<String, RawError> {
    client.consume(queue, Consume { no_ack: true, ..Consume::default() })
}

/// The body of the next delivery.
#[track_caller]
fn body(client: &mut Client) -> String {
    match client.receive().unwrap() {
        Incoming::Deliver(message) => String::from_utf8(message.body).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_less_loaded_of_two_gets_what_comes() {
    let mut recipe = Recipe::start("least-loaded", "least-loaded.wasm");
    // By the cases, m-1 draws workers.2 first while the queues are empty.
    let message = json!({"properties": {"message_id": "m-1"}});
    wait_for(&recipe, &message, "workers.2");
    fill(&mut recipe.client, "workers.2", 50);
    let other = poll("the other one", || {
        let queue = would_go(&recipe, &message);
        (queue != "workers.2").then_some(queue)
    });
    let other = other.unwrap();
    for _ in 0..20 {
        publish(&mut recipe, &Props::new().text("message_id", "m-1"));
    }
    assert_eq!(recipe.client.drain(&other).unwrap(), ["x"; 20]);
    assert_eq!(recipe.client.drain("workers.2").unwrap(), ["filling"; 50]);

    // Where one of the two has a consumer, the other is left aside however empty it is.
    let mut worker = Client::open(recipe.node.amqp()).unwrap();
    consume(&mut worker, "workers.2").unwrap();
    wait_for(&recipe, &message, "workers.2");
}

#[test]
fn a_full_rung_sends_to_the_next_one() {
    let mut recipe = Recipe::start("overflow-ladder", "overflow-ladder.wasm");
    recipe.client.declare_queue("small").unwrap();
    recipe.client.declare_queue("smaller").unwrap();
    // A ladder of its own, since the one of the cases is high.
    let arguments = [("x-route".to_owned(), Value::Str("recipe".into()))];
    recipe.client.declare_exchange("f", "x-wasm", "d", &arguments).unwrap();
    for (queue, key, limit) in [("small", "1", 5), ("smaller", "2", 2)] {
        let limit = [("limit".to_owned(), Value::I64(limit))];
        recipe.client.bind(queue, "f", key, &limit).unwrap();
    }
    let mut sent = 0;
    let refused = poll("every rung to be full", || {
        sent += 1;
        let number = recipe.client.publish("f", "", &Props::new(), b"x").unwrap();
        recipe.client.confirms().unwrap().nacked.contains(&number).then_some(())
    });
    refused.unwrap();
    let (small, smaller) =
        (recipe.client.drain("small").unwrap(), recipe.client.drain("smaller").unwrap());
    // A limit is passed by what the queue's thread has not shown yet.
    assert!(small.len() >= 5 && smaller.len() >= 2, "{small:?} {smaller:?}");
    assert_eq!(small.len() + smaller.len() + 1, sent);
    // The lowest has room again.
    let again = poll("the first rung", || {
        recipe.client.publish("f", "", &Props::new(), b"y").unwrap();
        recipe.client.confirms().unwrap();
        recipe.client.drain("small").unwrap().pop()
    });
    assert_eq!(again.unwrap(), "y");
}

#[test]
fn a_session_stays_until_nobody_is_there() {
    let mut recipe = Recipe::start("sticky-session", "sticky-session.wasm");
    let session = json!({"headers": {"session": "s-1"}});
    let props = Props::new().text_header("session", "s-1");
    let mut workers: Vec<Client> =
        (0..2).map(|_| Client::open(recipe.node.amqp()).unwrap()).collect();
    // It gets a queue with a consumer, though by the cases the hash would take game.3.
    consume(&mut workers[0], "game.1").unwrap();
    wait_for(&recipe, &session, "game.1");
    publish(&mut recipe, &props);
    assert_eq!(body(&mut workers[0]), "x");
    // Others have consumers too: a new session would go to game.3, this one stays.
    consume(&mut workers[1], "game.3").unwrap();
    wait_for(&recipe, &session, "game.3");
    publish(&mut recipe, &props);
    assert_eq!(body(&mut workers[0]), "x");
    // Its consumer goes: so does the session, and it doesn't come back.
    workers.remove(0).close().unwrap();
    let moved = poll("the session to move", || {
        publish(&mut recipe, &props);
        recipe.client.drain("game.1").unwrap().is_empty().then_some(())
    });
    moved.unwrap();
    assert_eq!(body(&mut workers[0]), "x");
    let mut back = Client::open(recipe.node.amqp()).unwrap();
    consume(&mut back, "game.1").unwrap();
    wait_for(&recipe, &json!({"headers": {"session": "a"}}), "game.1");
    publish(&mut recipe, &props);
    assert_eq!(body(&mut workers[0]), "x");
}

#[test]
fn a_tenant_above_its_rate_is_slow_and_no_other() {
    let mut recipe = Recipe::start("tenant-rate-limit", "tenant-rate-limit.wasm");
    let of = |tenant: &str| Props::new().text_header("tenant", tenant);
    for _ in 0..40 {
        publish(&mut recipe, &of("noisy"));
    }
    let fast = recipe.client.drain("orders").unwrap().len();
    let slow = recipe.client.drain("orders.slow").unwrap().len();
    // Three at once, and two for each second that the test took.
    assert!((3..40).contains(&fast) && fast + slow == 40, "{fast} fast, {slow} slow");
    publish(&mut recipe, &of("quiet"));
    assert_eq!(recipe.client.drain("orders").unwrap(), ["x"]);
    // The bucket fills again: a tenant that waited is fast.
    let again = poll("the noisy tenant to be fast again", || {
        publish(&mut recipe, &of("noisy"));
        recipe.client.drain("orders").unwrap().pop()
    });
    assert_eq!(again.unwrap(), "x");
}
