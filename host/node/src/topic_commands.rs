//! `shunt permission topic …`: calls of the HTTP API.

use hyper::Method;
use serde_json::json;

use crate::cli::{NodeArgs, TopicAction};
use crate::http_client::{HttpClient, RequestBody, encode_segment};
use crate::manage_commands::{list, say};

/// Does what the command says.
pub(crate) fn run(client: &HttpClient, node: &NodeArgs, action: TopicAction) -> anyhow::Result<()> {
    let vhost = encode_segment(&node.vhost);
    let of = |name: &str| format!("/api/topic-permissions/{vhost}/{}", encode_segment(name));
    let done = match action {
        TopicAction::Set { name, exchange, write, read } => {
            let body = json!({"exchange": exchange, "write": write, "read": read});
            client.send(Method::PUT, &of(&name), RequestBody::Json(body))?;
            format!("user '{name}' is restricted with exchange '{exchange}'")
        }
        TopicAction::List { name } => {
            let path = match name {
                Some(name) => format!("/api/users/{}/topic-permissions", encode_segment(&name)),
                None => format!("/api/vhosts/{vhost}/topic-permissions"),
            };
            let permissions = client.send(Method::GET, &path, RequestBody::Empty)?;
            let columns = ["user", "vhost", "exchange", "write", "read"];
            return list(&permissions, &columns, node.output);
        }
        TopicAction::Clear { name, exchange: Some(exchange) } => {
            let path = format!("{}/{}", of(&name), encode_segment(&exchange));
            client.send(Method::DELETE, &path, RequestBody::Empty)?;
            format!("user '{name}' is not restricted with exchange '{exchange}'")
        }
        TopicAction::Clear { name, exchange: None } => {
            client.send(Method::DELETE, &of(&name), RequestBody::Empty)?;
            format!("user '{name}' is not restricted in virtual host '{}'", node.vhost)
        }
    };
    say(&done, node.output)
}
