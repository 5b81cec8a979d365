//! `shunt route …`: what asks a running node is a call of its HTTP API.

mod desk;
mod manifest;
mod rollout;
mod watching;

use anyhow::{Context as _, anyhow, bail, ensure};
use hyper::Method;
use serde_json::{Map, Value, json};

use crate::cli::{DeployArgs, Destinations, RouteAction, RouteCommand, TryArgs};
use crate::http_client::{HttpClient, RequestBody, encode_segment};
use crate::output::{self, OutputFormat};

/// Does what the command says, and prints what came of it.
pub(crate) fn run(command: RouteCommand) -> anyhow::Result<()> {
    let RouteCommand { node, action } = command;
    let client = match &action {
        // No node is asked, and no password, unless the command needs one.
        RouteAction::New(arguments) => return desk::new(arguments, node.output),
        RouteAction::Build(arguments) => return desk::build(arguments, node.output),
        RouteAction::Test(arguments) => return desk::test(arguments, node.output),
        RouteAction::Bench(arguments) => return desk::bench(&node, arguments),
        RouteAction::Replay(arguments) => return rollout::replay(&node, arguments),
        _ => HttpClient::of(&node)?,
    };
    match action {
        RouteAction::Trace(action) => rollout::trace(&client, &node, action),
        RouteAction::Shadow(action) => rollout::shadow(&client, &node, action),
        RouteAction::Canary(action) => rollout::canary(&client, &node, action),
        RouteAction::List => {
            let routes = client.send(Method::GET, &routes_path(&node.vhost), RequestBody::Empty)?;
            let text = match (routes.as_array().is_some_and(Vec::is_empty), node.output) {
                (true, OutputFormat::Human) => {
                    format!("no routes in virtual host '{}'\n", node.vhost)
                }
                (_, OutputFormat::Human) => watching::overview(&routes),
                (_, format) => output::render(&routes, format),
            };
            output::print(&text)
        }
        RouteAction::Stats { name } => watching::stats(&client, &node, name.as_deref()),
        RouteAction::Logs(arguments) => watching::logs(&client, &node, &arguments),
        action => {
            let activates = matches!(&action, RouteAction::Deploy(deploy) if !deploy.no_activate);
            let done = done_text(&action);
            let call = call(action, &node.vhost)?;
            let answer = client.send(call.method, &call.path, call.body)?;
            output::print(&match node.output {
                OutputFormat::Json => output::render(&answer, node.output),
                OutputFormat::Human => match done {
                    Some(done) => format!("{}\n", done(&answer)),
                    None => output::render(&answer, node.output),
                },
            })?;
            let is_held_back = activates && answer["active"] == false;
            ensure!(!is_held_back, "recorded messages break its guards, so it is not active");
            Ok(())
        }
    }
}

/// One call of the HTTP API.
struct Call {
    method: Method,
    path: String,
    body: RequestBody,
}

/// Where the routes of a virtual host are.
fn routes_path(vhost: &str) -> String {
    format!("/api/routes/{}", encode_segment(vhost))
}

/// Where a route is.
fn route_path(vhost: &str, name: &str) -> String {
    format!("{}/{}", routes_path(vhost), encode_segment(name))
}

fn call(action: RouteAction, vhost: &str) -> anyhow::Result<Call> {
    let of = |name: &str| route_path(vhost, name);
    let call = |method, path, body| Call { method, path, body };
    Ok(match action {
        RouteAction::Deploy(arguments) => {
            let file = &arguments.file;
            let module = std::fs::read(file).with_context(|| file.display().to_string())?;
            let query = deploy_query(&arguments)?;
            let path = format!("{}{query}", of(&arguments.name));
            call(Method::PUT, path, RequestBody::Module(module))
        }
        RouteAction::Show { name } => call(Method::GET, of(&name), RequestBody::Empty),
        RouteAction::Activate { name, version, force } => {
            let mut body = json!({"version": version});
            if force {
                body["force"] = true.into();
            }
            let body = RequestBody::Json(body);
            call(Method::POST, format!("{}/activate", of(&name)), body)
        }
        RouteAction::Rollback { name } => {
            call(Method::POST, format!("{}/rollback", of(&name)), RequestBody::Empty)
        }
        RouteAction::Remove { name, version: None } => {
            call(Method::DELETE, of(&name), RequestBody::Empty)
        }
        RouteAction::Remove { name, version: Some(version) } => {
            let path = format!("{}/versions/{version}", of(&name));
            call(Method::DELETE, path, RequestBody::Empty)
        }
        RouteAction::Try(arguments) => {
            let body = RequestBody::Json(dry_run(&arguments)?);
            call(Method::POST, format!("{}/dry-run", of(&arguments.name)), body)
        }
        _ => bail!("this command is more than one call"),
    })
}

type Done = Box<dyn Fn(&Value) -> String>;

/// How a change is told to people; nothing where the answer is what they want to see.
fn done_text(action: &RouteAction) -> Option<Done> {
    Some(match action {
        RouteAction::Deploy(arguments) => {
            let name = arguments.name.clone();
            Box::new(move |answer| {
                let version = &answer["version"];
                let state = match answer["active"].as_bool() {
                    Some(true) => "is active".to_owned(),
                    _ => format!("waits for `shunt route activate {name} {version}`"),
                };
                let was_there = match answer["created"].as_bool() {
                    Some(false) => ", which was there before,",
                    _ => "",
                };
                let checked = guard_check(&answer["guard_check"]);
                format!("route '{name}': version {version}{was_there} {state}{checked}")
            })
        }
        RouteAction::Activate { name, .. } | RouteAction::Rollback { name } => {
            let name = name.clone();
            Box::new(move |answer| {
                let before = answer["previous"].as_u64();
                let before = before.map(|version| format!(", version {version} was before"));
                let (active, before) = (&answer["active"], before.unwrap_or_default());
                let checked = guard_check(&answer["guard_check"]);
                format!("route '{name}': version {active} is active{before}{checked}")
            })
        }
        RouteAction::Remove { name, version } => {
            let what = match version {
                Some(version) => format!("version {version} of route '{name}' removed"),
                None => format!("route '{name}' removed"),
            };
            Box::new(move |_| what.clone())
        }
        _ => return None,
    })
}

/// What recorded messages said of a version's guards, as a line of its own.
fn guard_check(check: &Value) -> String {
    if check.is_null() {
        return String::new();
    }
    if let Some(reason) = check["unchecked"].as_str() {
        return format!("\nits guards are not checked by the trace: {reason}");
    }
    let broken = check["broken"].as_object().into_iter().flatten();
    let broken: Vec<_> = broken.map(|(guard, count)| format!("'{guard}' {count} times")).collect();
    let broken = if broken.is_empty() { "none".to_owned() } else { broken.join(", ") };
    format!("\nguards broken on {} recorded messages: {broken}", check["messages"])
}

/// Only what differs from the defaults; each capability and limit is a parameter of its own.
fn deploy_query(arguments: &DeployArgs) -> anyhow::Result<String> {
    let mut parts = Vec::new();
    if arguments.no_activate {
        parts.push("activate=false".to_owned());
    }
    if arguments.destinations == Destinations::Any {
        parts.push("destinations=any".to_owned());
    }
    parts.extend(arguments.grant.iter().map(|name| format!("grant={}", encode_segment(name))));
    for limit in &arguments.limits {
        let (name, number) = limit
            .split_once('=')
            .ok_or_else(|| anyhow!("--limit '{limit}' is not of the form NAME=NUMBER"))?;
        parts.push(format!("limit.{}={}", encode_segment(name), encode_segment(number)));
    }
    for (name, rule) in manifest::guards(&arguments.guards, &arguments.file)? {
        parts.push(format!("guard.{}={}", encode_segment(&name), encode_segment(&rule)));
    }
    if arguments.force {
        parts.push("force=true".to_owned());
    }
    Ok(match parts.is_empty() {
        true => String::new(),
        false => format!("?{}", parts.join("&")),
    })
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
    use crate::cli::GuardArgs;

    #[test]
    fn a_deploy_names_only_what_differs() {
        let arguments = |no_activate, destinations, grant: &[&str], limits: &[&str]| DeployArgs {
            name: "r".into(),
            file: "r.wasm".into(),
            no_activate,
            destinations,
            grant: grant.iter().map(|&name| name.to_owned()).collect(),
            limits: limits.iter().map(|&limit| limit.to_owned()).collect(),
            guards: GuardArgs { guards: Vec::new(), manifest: None },
            force: false,
        };
        let query = |arguments| deploy_query(&arguments).unwrap();
        assert_eq!(query(arguments(false, Destinations::Bindings, &[], &[])), "");
        assert_eq!(
            query(arguments(true, Destinations::Any, &["clock", "load"], &["memory_bytes=5"])),
            "?activate=false&destinations=any&grant=clock&grant=load&limit.memory_bytes=5"
        );
        let mut guarded = arguments(false, Destinations::Bindings, &[], &[]);
        guarded.guards.guards.push("few=at most 1".into());
        guarded.force = true;
        assert_eq!(query(guarded), "?guard.few=at%20most%201&force=true");
        let wrong = arguments(false, Destinations::Bindings, &[], &["memory_bytes"]);
        assert!(deploy_query(&wrong).unwrap_err().to_string().contains("NAME=NUMBER"));
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
