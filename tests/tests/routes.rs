//! Routes: modules deployed by HTTP, exchanges that name them declared by AMQP.

mod commands;
mod desk;
mod failures;
mod guards;
mod live_recipes;
mod projects;
mod recipes;
mod registry;
mod rollout;

use serde_json::Value as Json;
use shunt_tests::amqp_raw::{RawError, Value};
use shunt_tests::{Client, Guest, Http, Node, Response};

/// Deploys a module, and activates it.
fn deploy(http: &Http, name: &str, module: impl Into<Vec<u8>>) -> anyhow::Result<Response> {
    deploy_with(http, name, "", module)
}

/// Deploys a module with a query such as `?destinations=any`.
fn deploy_with(
    http: &Http,
    name: &str,
    query: &str,
    module: impl Into<Vec<u8>>,
) -> anyhow::Result<Response> {
    let request = http.request("PUT", &format!("/api/routes/%2F/{name}{query}"));
    request.header("Content-Type", "application/wasm").body(module).send()
}

/// A node with a route `r`, an exchange `e` of it, and queues `q0` and `q1` bound in this order.
fn start(guest: &Guest, query: &str, arguments: &[(&str, &str)]) -> (Node, Client) {
    let node = Node::start().unwrap();
    deploy_with(&node.http(), "r", query, guest.wat()).unwrap().expect(201);
    let mut client = Client::open(node.amqp()).unwrap();
    declare(&mut client, "e", "r", arguments).unwrap();
    for queue in ["q0", "q1"] {
        client.declare_queue(queue).unwrap();
        client.bind(queue, "e", queue, &[]).unwrap();
    }
    client.confirm_select().unwrap();
    (node, client)
}

/// Declares an exchange of a route.
fn declare(
    client: &mut Client,
    exchange: &str,
    route: &str,
    arguments: &[(&str, &str)],
) -> Result<(), RawError> {
    let own = [("x-route", route)];
    let arguments = own.iter().chain(arguments);
    let arguments: Vec<_> = arguments
        .map(|(name, text)| ((*name).to_owned(), Value::Str((*text).to_owned())))
        .collect();
    client.declare_exchange(exchange, "x-wasm", "d", &arguments)
}

/// What the broker says of the route `r`.
fn show(node: &Node) -> Json {
    node.http().get("/api/routes/%2F/r").unwrap().expect(200)
}
