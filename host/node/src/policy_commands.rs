//! `shunt policy …` and `shunt operator-policy …`: calls of the HTTP API.

use anyhow::Context as _;
use hyper::Method;
use serde_json::{Value, json};

use crate::cli::{PolicyAction, PolicyCommand};
use crate::http_client::{HttpClient, RequestBody, encode_segment};
use crate::manage_commands::{list, say};
use crate::output::{self, OutputFormat};

/// `shunt policy …`
pub(crate) fn policy(command: PolicyCommand) -> anyhow::Result<()> {
    run(command, "policies", "policy")
}

/// `shunt operator-policy …`
pub(crate) fn operator_policy(command: PolicyCommand) -> anyhow::Result<()> {
    run(command, "operator-policies", "operator policy")
}

fn run(command: PolicyCommand, path: &str, what: &str) -> anyhow::Result<()> {
    let PolicyCommand { node, action } = command;
    let client = HttpClient::of(&node)?;
    let all = format!("/api/{path}/{}", encode_segment(&node.vhost));
    let of = |name: &str| format!("{all}/{}", encode_segment(name));
    let done = match action {
        PolicyAction::Set { name, pattern, definition, priority, apply_to } => {
            let definition: Value = serde_json::from_str(&definition)
                .with_context(|| format!("the definition '{definition}' is not JSON"))?;
            let body = json!({
                "pattern": pattern,
                "definition": definition,
                "priority": priority,
                "apply-to": apply_to,
            });
            client.send(Method::PUT, &of(&name), RequestBody::Json(body))?;
            format!("{what} '{name}' is set in virtual host '{}'", node.vhost)
        }
        PolicyAction::List => {
            let mut policies = client.send(Method::GET, &all, RequestBody::Empty)?;
            if node.output == OutputFormat::Human {
                let rows = policies.as_array_mut().into_iter().flatten();
                rows.for_each(|row| row["definition"] = row["definition"].to_string().into());
            }
            let columns = ["name", "priority", "apply-to", "pattern", "definition"];
            return list(&policies, &columns, node.output);
        }
        PolicyAction::Show { name } => {
            let policy = client.send(Method::GET, &of(&name), RequestBody::Empty)?;
            return output::print(&output::render(&policy, node.output));
        }
        PolicyAction::Clear { name } => {
            client.send(Method::DELETE, &of(&name), RequestBody::Empty)?;
            format!("{what} '{name}' is cleared in virtual host '{}'", node.vhost)
        }
    };
    say(&done, node.output)
}
