//! `shunt route …`: each action is one call of the HTTP API.

use anyhow::{Context as _, anyhow};
use hyper::Method;
use serde_json::{Map, Value, json};

use crate::cli::{Destinations, RouteAction, RouteCommand, TryArgs};
use crate::http_client::{HttpClient, RequestBody, encode_segment};
use crate::output::{self, OutputFormat};

/// Does what the command says, and prints what the node answered.
pub(crate) fn run(command: RouteCommand) -> anyhow::Result<()> {
    let RouteCommand { node, action } = command;
    let client = HttpClient::of(&node)?;
    let done = done_text(&action);
    let call = call(action, &node.vhost)?;
    let answer = client.send(call.method, &call.path, call.body)?;
    let text = match (&answer, node.output) {
        (Value::Null, OutputFormat::Human) => format!("{done}\n"),
        (Value::Array(routes), OutputFormat::Human) if routes.is_empty() => {
            format!("no routes in virtual host '{}'\n", node.vhost)
        }
        (answer, format) => output::render(answer, format),
    };
    output::print(&text)
}

/// One call of the HTTP API.
struct Call {
    method: Method,
    path: String,
    body: RequestBody,
}

fn call(action: RouteAction, vhost: &str) -> anyhow::Result<Call> {
    let routes = format!("/api/routes/{}", encode_segment(vhost));
    let of = |name: &str| format!("{routes}/{}", encode_segment(name));
    let call = |method, path, body| Call { method, path, body };
    Ok(match action {
        RouteAction::Deploy { name, file, no_activate, destinations, grant } => {
            let module = std::fs::read(&file).with_context(|| file.display().to_string())?;
            let query = deploy_query(no_activate, destinations, &grant);
            call(Method::PUT, format!("{}{query}", of(&name)), RequestBody::Module(module))
        }
        RouteAction::List => call(Method::GET, routes, RequestBody::Empty),
        RouteAction::Show { name } => call(Method::GET, of(&name), RequestBody::Empty),
        RouteAction::Activate { name, version } => {
            let body = RequestBody::Json(json!({"version": version}));
            call(Method::POST, format!("{}/activate", of(&name)), body)
        }
        RouteAction::Remove { name } => call(Method::DELETE, of(&name), RequestBody::Empty),
        RouteAction::Try(arguments) => {
            let body = RequestBody::Json(dry_run(&arguments)?);
            call(Method::POST, format!("{}/dry-run", of(&arguments.name)), body)
        }
    })
}

/// What is said where the node says nothing more than that it worked.
fn done_text(action: &RouteAction) -> String {
    match action {
        RouteAction::Deploy { name, .. } => format!("route '{name}' deployed"),
        RouteAction::Activate { name, version } => {
            format!("route '{name}': version {version} is active")
        }
        RouteAction::Remove { name } => format!("route '{name}' removed"),
        RouteAction::List | RouteAction::Show { .. } | RouteAction::Try(_) => "done".to_owned(),
    }
}

/// Only what differs from the defaults; each capability is a parameter of its own.
fn deploy_query(no_activate: bool, destinations: Destinations, grant: &[String]) -> String {
    let mut parts = Vec::new();
    if no_activate {
        parts.push("activate=false".to_owned());
    }
    if destinations == Destinations::Any {
        parts.push("destinations=any".to_owned());
    }
    parts.extend(grant.iter().map(|name| format!("grant={}", encode_segment(name))));
    match parts.is_empty() {
        true => String::new(),
        false => format!("?{}", parts.join("&")),
    }
}

fn dry_run(arguments: &TryArgs) -> anyhow::Result<Value> {
    let mut body = json!({
        "exchange": arguments.exchange,
        "routing_key": arguments.routing_key,
        "properties": fields("--property", &arguments.properties)?,
        "headers": fields("--header", &arguments.headers)?,
    });
    let given_json = |flag: &str, text: &Option<String>| -> anyhow::Result<Option<Value>> {
        let text = text.as_ref();
        text.map(|text| serde_json::from_str(text).with_context(|| format!("{flag} is not JSON")))
            .transpose()
    };
    if let Some(bindings) = given_json("--bindings", &arguments.bindings)? {
        body["bindings"] = bindings;
    }
    if let Some(exchange_arguments) = given_json("--arguments", &arguments.arguments)? {
        body["arguments"] = exchange_arguments;
    }
    if let Some(version) = arguments.version {
        body["version"] = version.into();
    }
    Ok(body)
}

/// `NAME=VALUE` pairs as an object.
fn fields(flag: &str, pairs: &[String]) -> anyhow::Result<Value> {
    let mut fields = Map::new();
    for pair in pairs {
        let (name, text) = pair
            .split_once('=')
            .ok_or_else(|| anyhow!("{flag} '{pair}' is not of the form NAME=VALUE"))?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        fields.insert(name.to_owned(), value);
    }
    Ok(fields.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deploy_names_only_what_differs() {
        assert_eq!(deploy_query(false, Destinations::Bindings, &[]), "");
        let grant = ["clock".to_owned(), "load".to_owned()];
        assert_eq!(
            deploy_query(true, Destinations::Any, &grant),
            "?activate=false&destinations=any&grant=clock&grant=load"
        );
    }

    #[test]
    fn names_are_escaped_in_paths() {
        let call = call(RouteAction::Show { name: "a/b".into() }, "/").unwrap();
        assert_eq!(call.path, "/api/routes/%2F/a%2Fb");
    }

    #[test]
    fn a_dry_run_takes_headers_as_json_or_text() {
        let arguments = TryArgs {
            name: "geo".into(),
            exchange: "orders".into(),
            routing_key: "k".into(),
            headers: vec!["region=eu".into(), "n=5".into(), "text=\"5\"".into()],
            properties: vec!["priority=3".into()],
            bindings: Some("[[\"queue\",\"q\",\"\",{}]]".into()),
            arguments: None,
            version: Some(2),
        };
        let expected = json!({
            "exchange": "orders", "routing_key": "k",
            "properties": {"priority": 3},
            "headers": {"region": "eu", "n": 5, "text": "5"},
            "bindings": [["queue", "q", "", {}]],
            "version": 2,
        });
        assert_eq!(dry_run(&arguments).unwrap(), expected);
        let error = fields("--header", &["x".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "--header 'x' is not of the form NAME=VALUE");
    }
}
