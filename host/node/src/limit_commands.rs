//! `shunt user limits …` and `shunt vhost limits …`: calls of the HTTP API.

use hyper::Method;
use serde_json::{Value, json};

use crate::cli::{NodeArgs, UserLimitsAction, VhostLimitsAction};
use crate::http_client::{HttpClient, RequestBody, encode_segment};
use crate::manage_commands::{list, say};
use crate::output::OutputFormat;

/// `shunt user limits …`
pub(crate) fn user(
    client: &HttpClient,
    node: &NodeArgs,
    action: UserLimitsAction,
) -> anyhow::Result<()> {
    let of = |name: &str| format!("/api/user-limits/{}", encode_segment(name));
    match action {
        UserLimitsAction::Set { name, limit, value } => {
            set(client, &of(&name), &limit, value)?;
            say(&format!("user '{name}' has the limit {limit} {value}"), node.output)
        }
        UserLimitsAction::List { name } => {
            let path = name.map_or_else(|| "/api/user-limits".to_owned(), |name| of(&name));
            show(client, node, &path, "user", ["max-connections", "max-channels"])
        }
        UserLimitsAction::Clear { name, limit } => {
            clear(client, &of(&name), &limit)?;
            say(&format!("user '{name}' has no limit {limit}"), node.output)
        }
    }
}

/// `shunt vhost limits …`
pub(crate) fn vhost(
    client: &HttpClient,
    node: &NodeArgs,
    action: VhostLimitsAction,
) -> anyhow::Result<()> {
    let vhost = &node.vhost;
    let path = format!("/api/vhost-limits/{}", encode_segment(vhost));
    match action {
        VhostLimitsAction::Set { limit, value } => {
            set(client, &path, &limit, value)?;
            say(&format!("virtual host '{vhost}' has the limit {limit} {value}"), node.output)
        }
        VhostLimitsAction::List => {
            show(client, node, "/api/vhost-limits", "vhost", ["max-connections", "max-queues"])
        }
        VhostLimitsAction::Clear { limit } => {
            clear(client, &path, &limit)?;
            say(&format!("virtual host '{vhost}' has no limit {limit}"), node.output)
        }
    }
}

fn set(client: &HttpClient, path: &str, limit: &str, value: i64) -> anyhow::Result<()> {
    let path = format!("{path}/{}", encode_segment(limit));
    client.send(Method::PUT, &path, RequestBody::Json(json!({ "value": value }))).map(drop)
}

fn clear(client: &HttpClient, path: &str, limit: &str) -> anyhow::Result<()> {
    let path = format!("{path}/{}", encode_segment(limit));
    client.send(Method::DELETE, &path, RequestBody::Empty).map(drop)
}

/// Prints limits, a column each.
fn show(
    client: &HttpClient,
    node: &NodeArgs,
    path: &str,
    owner: &str,
    limits: [&str; 2],
) -> anyhow::Result<()> {
    let mut rows = client.send(Method::GET, path, RequestBody::Empty)?;
    if node.output == OutputFormat::Human {
        for row in rows.as_array_mut().into_iter().flatten() {
            let Value::Object(value) = row["value"].take() else { continue };
            value.into_iter().for_each(|(name, value)| row[name] = value);
        }
    }
    list(&rows, &[owner, limits[0], limits[1]], node.output)
}
