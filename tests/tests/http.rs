//! HTTP: publish and consume for programs, and the management calls that tools need first.

mod consume;
mod management;
mod publish;

use shunt_tests::{Client, Node};

/// A node with the queue `q`.
fn start() -> (Node, Client) {
    let node = Node::start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    (node, client)
}
