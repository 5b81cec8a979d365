//! `shunt user …`, `shunt permission …`, `shunt vhost …`: calls of the HTTP API.

use hyper::Method;
use serde_json::{Value, json};

use crate::cli::{
    PermissionAction, PermissionCommand, Switch, UserAction, UserCommand, VhostAction, VhostCommand,
};
use crate::http_client::{HttpClient, RequestBody, encode_segment};
use crate::output::{self, OutputFormat};
use crate::{limit_commands, password_input, topic_commands};

/// `shunt user …`
pub(crate) fn user(command: UserCommand) -> anyhow::Result<()> {
    let UserCommand { node, action } = command;
    let client = HttpClient::of(&node)?;
    let of = |name: &str| format!("/api/users/{}", encode_segment(name));
    let done = match action {
        UserAction::Add { name, new_password, no_password, tags } => {
            let mut user = json!({"tags": tags});
            if !no_password {
                let what = format!("the password of the new user '{name}'");
                user["password"] = password_input::resolve(&new_password, &what)?.into();
            }
            // An addition must not change a user who is there.
            let known = client.send(Method::GET, "/api/users", RequestBody::Empty)?;
            let mut known = known.as_array().into_iter().flatten();
            anyhow::ensure!(
                !known.any(|user| user["name"] == *name),
                "there is a user '{name}' already; see set-password and set-tags"
            );
            client.send(Method::PUT, &of(&name), RequestBody::Json(user))?;
            format!("user '{name}' added")
        }
        UserAction::List => {
            let users = client.send(Method::GET, "/api/users", RequestBody::Empty)?;
            return list(&users, &["name", "tags"], node.output);
        }
        UserAction::Limits(action) => return limit_commands::user(&client, &node, action),
        UserAction::Delete { name } => {
            client.send(Method::DELETE, &of(&name), RequestBody::Empty)?;
            format!("user '{name}' deleted")
        }
        UserAction::SetPassword { name, new_password } => {
            let what = format!("the new password of user '{name}'");
            let password = password_input::resolve(&new_password, &what)?;
            let user = client.send(Method::GET, &of(&name), RequestBody::Empty)?;
            let user = json!({"password": password, "tags": user["tags"]});
            client.send(Method::PUT, &of(&name), RequestBody::Json(user))?;
            format!("user '{name}' has another password")
        }
        UserAction::SetTags { name, tags } => {
            let user = client.send(Method::GET, &of(&name), RequestBody::Empty)?;
            let changed = json!({
                "password_hash": user["password_hash"],
                "hashing_algorithm": user["hashing_algorithm"],
                "tags": tags,
            });
            client.send(Method::PUT, &of(&name), RequestBody::Json(changed))?;
            match tags.is_empty() {
                true => format!("user '{name}' has no tags"),
                false => format!("user '{name}' has the tags {}", tags.join(", ")),
            }
        }
    };
    say(&done, node.output)
}

/// `shunt permission …`
pub(crate) fn permission(command: PermissionCommand) -> anyhow::Result<()> {
    let PermissionCommand { node, action } = command;
    let client = HttpClient::of(&node)?;
    let vhost = encode_segment(&node.vhost);
    let of = |name: &str| format!("/api/permissions/{vhost}/{}", encode_segment(name));
    let done = match action {
        PermissionAction::Set { name, configure, write, read } => {
            let body = json!({"configure": configure, "write": write, "read": read});
            client.send(Method::PUT, &of(&name), RequestBody::Json(body))?;
            format!("user '{name}' has permissions in virtual host '{}'", node.vhost)
        }
        PermissionAction::List { name } => {
            let path = match name {
                Some(name) => format!("/api/users/{}/permissions", encode_segment(&name)),
                None => format!("/api/vhosts/{vhost}/permissions"),
            };
            let permissions = client.send(Method::GET, &path, RequestBody::Empty)?;
            let columns = ["user", "vhost", "configure", "write", "read"];
            return list(&permissions, &columns, node.output);
        }
        PermissionAction::Topic(action) => return topic_commands::run(&client, &node, action),
        PermissionAction::Clear { name } => {
            client.send(Method::DELETE, &of(&name), RequestBody::Empty)?;
            format!("user '{name}' has no access to virtual host '{}'", node.vhost)
        }
    };
    say(&done, node.output)
}

/// `shunt vhost …`
pub(crate) fn vhost(command: VhostCommand) -> anyhow::Result<()> {
    let VhostCommand { node, action } = command;
    let client = HttpClient::of(&node)?;
    let of = |name: &str| format!("/api/vhosts/{}", encode_segment(name));
    let done = match action {
        VhostAction::Add { name, description, tags, default_queue_type } => {
            let body = json!({
                "description": description,
                "tags": tags,
                "default_queue_type": default_queue_type,
            });
            client.send(Method::PUT, &of(&name), RequestBody::Json(body))?;
            format!("virtual host '{name}' is there")
        }
        VhostAction::Protect { name } => {
            let path = format!("{}/deletion/protection", of(&name));
            client.send(Method::POST, &path, RequestBody::Empty)?;
            format!("virtual host '{name}' is protected from deletion")
        }
        VhostAction::Unprotect { name } => {
            let path = format!("{}/deletion/protection", of(&name));
            client.send(Method::DELETE, &path, RequestBody::Empty)?;
            format!("virtual host '{name}' can be deleted")
        }
        VhostAction::Limits(action) => return limit_commands::vhost(&client, &node, action),
        VhostAction::List => {
            let vhosts = client.send(Method::GET, "/api/vhosts", RequestBody::Empty)?;
            let columns = ["name", "messages_ready", "messages_unacknowledged"];
            return list(&vhosts, &columns, node.output);
        }
        VhostAction::Trace { state, name } => {
            // To put a virtual host that isn't there would make it.
            client.send(Method::GET, &of(&name), RequestBody::Empty)?;
            let traced = matches!(state, Switch::On);
            let tracing = RequestBody::Json(json!({"tracing": traced}));
            client.send(Method::PUT, &of(&name), tracing)?;
            let traced = if traced { "traced" } else { "not traced" };
            format!("virtual host '{name}' is {traced}")
        }
        VhostAction::Delete { name } => {
            client.send(Method::DELETE, &of(&name), RequestBody::Empty)?;
            format!("virtual host '{name}' deleted")
        }
    };
    say(&done, node.output)
}

/// Prints rows of these columns.
pub(crate) fn list(rows: &Value, columns: &[&str], format: OutputFormat) -> anyhow::Result<()> {
    output::print(&match format {
        OutputFormat::Human => output::columns(rows, columns),
        OutputFormat::Json => output::render(rows, format),
    })
}

/// Says what was done; to programs the status of the process says it.
pub(crate) fn say(done: &str, format: OutputFormat) -> anyhow::Result<()> {
    match format {
        OutputFormat::Human => output::print(&format!("{done}\n")),
        OutputFormat::Json => output::print(&output::render(&json!({"done": done}), format)),
    }
}
