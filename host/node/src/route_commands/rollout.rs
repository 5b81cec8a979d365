//! `shunt route trace | replay | shadow | canary` against a running node.

use std::fmt::Write as _;

use anyhow::{Context as _, anyhow};
use hyper::Method;
use serde_json::{Value, json};

use super::{desk, route_path};
use crate::cli::{CanaryAction, NodeArgs, ReplayArgs, ShadowAction, TraceAction};
use crate::http_client::{HttpClient, RequestBody};
use crate::output::{self, OutputFormat};

/// Moves, destinations and values that are printed.
const SHOWN_MAX: usize = 10;

pub(super) fn trace(
    client: &HttpClient,
    node: &NodeArgs,
    action: TraceAction,
) -> anyhow::Result<()> {
    let path = |name: &str| format!("{}/trace", route_path(&node.vhost, name));
    match action {
        TraceAction::Start { name, fields, exchange, every, bytes, seconds } => {
            let body = json!({"fields": fields, "exchange": exchange, "every": every,
                "bytes": bytes, "seconds": seconds});
            let view = client.send(Method::PUT, &path(&name), RequestBody::Json(body))?;
            show(&view, node.output)
        }
        TraceAction::Status { name } => {
            show(&client.send(Method::GET, &path(&name), RequestBody::Empty)?, node.output)
        }
        TraceAction::Stop { name, discard } => {
            let path = format!("{}?discard={discard}", path(&name));
            client.send(Method::DELETE, &path, RequestBody::Empty)?;
            done(node.output, &format!("route '{name}' is not traced"))
        }
        TraceAction::Download { name, file } => {
            let bytes = client.download(&format!("{}/download", path(&name)))?;
            std::fs::write(&file, &bytes).with_context(|| file.display().to_string())?;
            done(node.output, &format!("{} bytes written to {}", bytes.len(), file.display()))
        }
    }
}

pub(super) fn replay(node: &NodeArgs, arguments: &ReplayArgs) -> anyhow::Result<()> {
    let Some(name) = &arguments.name else {
        let view = desk::replay(arguments)?;
        return print_replay(&view, node.output);
    };
    let version = arguments.version;
    let version = version.ok_or_else(|| anyhow!("name the candidate: --version N"))?;
    let against = arguments.against.as_ref().map(|text| {
        text.parse::<u32>().map_err(|_| anyhow!("--against '{text}' is no version's number"))
    });
    let body = json!({"version": version, "against": against.transpose()?});
    let path = format!("{}/replay", route_path(&node.vhost, name));
    let view = HttpClient::of(node)?.send(Method::POST, &path, RequestBody::Json(body))?;
    print_replay(&view, node.output)
}

pub(super) fn shadow(
    client: &HttpClient,
    node: &NodeArgs,
    action: ShadowAction,
) -> anyhow::Result<()> {
    let of = |name: &str| route_path(&node.vhost, name);
    match action {
        ShadowAction::Start { name, version, time_per_cent } => {
            let body = json!({"version": version, "time_per_cent": time_per_cent});
            let path = format!("{}/shadow", of(&name));
            client.send(Method::PUT, &path, RequestBody::Json(body))?;
            done(node.output, &format!("route '{name}': version {version} is the shadow"))
        }
        ShadowAction::Status { name } => {
            let route = client.send(Method::GET, &of(&name), RequestBody::Empty)?;
            show(present(&route, "shadow")?, node.output)
        }
        ShadowAction::Stop { name } => {
            let path = format!("{}/shadow", of(&name));
            client.send(Method::DELETE, &path, RequestBody::Empty)?;
            done(node.output, &format!("route '{name}' has no shadow"))
        }
    }
}

pub(super) fn canary(
    client: &HttpClient,
    node: &NodeArgs,
    action: CanaryAction,
) -> anyhow::Result<()> {
    let of = |name: &str| route_path(&node.vhost, name);
    match action {
        CanaryAction::Start(arguments) => {
            let body = json!({
                "version": arguments.version, "steps": arguments.steps,
                "interval_ms": arguments.interval.as_millis() as u64, "field": arguments.field,
                "max_failed_per_cent": arguments.max_failed,
                "max_unroutable_per_cent": arguments.max_unroutable,
                "max_time_factor": arguments.max_time, "max_fuel_factor": arguments.max_fuel,
                "min_calls": arguments.min_calls,
            });
            let path = format!("{}/canary", of(&arguments.name));
            let route = client.send(Method::PUT, &path, RequestBody::Json(body))?;
            let said = format!(
                "route '{}': version {} has {} % of the messages",
                arguments.name, arguments.version, route["canary"]["per_cent"]
            );
            done(node.output, &said)
        }
        CanaryAction::Status { name } => {
            let route = client.send(Method::GET, &of(&name), RequestBody::Empty)?;
            show(present(&route, "canary")?, node.output)
        }
        CanaryAction::Stop { name } => {
            let path = format!("{}/canary", of(&name));
            let route = client.send(Method::DELETE, &path, RequestBody::Empty)?;
            let active = &route["active"];
            done(node.output, &format!("route '{name}': version {active} decides alone"))
        }
        CanaryAction::Promote { name } => {
            let route = client.send(Method::GET, &of(&name), RequestBody::Empty)?;
            let version = &present(&route, "canary")?["version"];
            let path = format!("{}/activate", of(&name));
            // It was judged by live messages: an older trace has nothing to add.
            let body = RequestBody::Json(json!({"version": version, "force": true}));
            client.send(Method::POST, &path, body)?;
            done(node.output, &format!("route '{name}': version {version} is active"))
        }
    }
}

/// What a route has of this kind; else an error that says how the last one ended.
fn present<'a>(route: &'a Value, what: &str) -> anyhow::Result<&'a Value> {
    if !route[what].is_null() {
        return Ok(&route[what]);
    }
    let name = route["name"].as_str().unwrap_or_default();
    let end = &route["last_rollout"];
    Err(match end["outcome"].as_str() {
        None => anyhow!("route '{name}' has no {what}; see shunt route {what} start --help"),
        Some(outcome) => anyhow!(
            "route '{name}' has no {what}; the last candidate was version {}: {outcome}, {}",
            end["version"],
            end["reason"].as_str().unwrap_or_default()
        ),
    })
}

fn show(value: &Value, format: OutputFormat) -> anyhow::Result<()> {
    output::print(&output::render(value, format))
}

fn done(format: OutputFormat, said: &str) -> anyhow::Result<()> {
    match format {
        OutputFormat::Human => output::print(&format!("{said}\n")),
        OutputFormat::Json => output::print(&output::render(&json!({"done": said}), format)),
    }
}

fn print_replay(view: &Value, format: OutputFormat) -> anyhow::Result<()> {
    output::print(&match format {
        OutputFormat::Json => output::render(view, format),
        OutputFormat::Human => replay_text(view),
    })
}

/// A replay for people.
fn replay_text(view: &Value) -> String {
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = writeln!(text, "{} messages, {} would change", view["messages"], view["changed"]);
    for (side, name) in [("candidate", "candidate"), ("against", "now")] {
        let side = &view[side];
        if side.is_null() {
            continue;
        }
        let counts = |name: &str| side[name].as_object().into_iter().flatten();
        let causes = counts("failures").map(|(cause, n)| format!("{cause} {n}"));
        let guards = counts("guards").map(|(guard, n)| format!("guard '{guard}' {n}"));
        let failures: Vec<_> = causes.chain(guards).collect();
        let _ = writeln!(
            text,
            "{name:9}  unroutable {}, failed: {}, fuel p50 {} p99 {} max {}",
            side["unroutable"],
            if failures.is_empty() { "none".to_owned() } else { failures.join(", ") },
            side["fuel_p50"],
            side["fuel_p99"],
            side["fuel_max"],
        );
    }
    let list = |name: &str| view[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let plain = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names = |value: &Value| {
        let names: Vec<_> = value.as_array().into_iter().flatten().map(plain).collect();
        if names.is_empty() { "(unroutable)".to_owned() } else { names.join(" ") }
    };
    let mut table = |title: [&str; 3], rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            let mut lines = vec![title.map(str::to_owned).to_vec()];
            lines.extend(rows);
            text.push('\n');
            text.push_str(&output::align(&lines));
        }
    };
    let moves = list("moves").iter().take(SHOWN_MAX);
    let moves = moves.map(|m| vec![m["messages"].to_string(), names(&m["from"]), names(&m["to"])]);
    table(["messages", "from", "to"], moves.collect());
    let destinations = list("destinations").iter().take(SHOWN_MAX).map(|d| {
        let by = match &d["binding"] {
            Value::Null => String::new(),
            index => format!(" (binding {index}, key '{}')", plain(&d["key"])),
        };
        let name = format!("{}{by}", plain(&d["name"]));
        vec![d["gained"].to_string(), d["lost"].to_string(), name]
    });
    table(["gained", "lost", "destination"], destinations.collect());
    let values = list("values").iter().take(SHOWN_MAX).map(|v| {
        let value = format!("{} = {}", plain(&v["field"]), plain(&v["value"]));
        vec![v["changed"].to_string(), v["messages"].to_string(), value]
    });
    table(["changed", "of", "value"], values.collect());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_is_told_by_moves_bindings_and_values() {
        let text = replay_text(&json!({
            "messages": 10, "changed": 3,
            "candidate": {"unroutable": 1, "failures": {"trap": 2}, "fuel_p50": 5, "fuel_p99": 9,
                "fuel_max": 11},
            "against": null,
            "moves": [{"from": ["a"], "to": [], "messages": 3, "examples": []}],
            "destinations": [{"exchange": "e", "name": "a", "binding": 0, "key": "k",
                "gained": 0, "lost": 3}],
            "values": [{"field": "headers.region", "value": "eu", "messages": 5, "changed": 3}],
        }));
        assert_eq!(
            text,
            "10 messages, 3 would change\n\
             candidate  unroutable 1, failed: trap 2, fuel p50 5 p99 9 max 11\n\
             \nmessages  from  to\n3         a     (unroutable)\n\
             \ngained  lost  destination\n0       3     a (binding 0, key 'k')\n\
             \nchanged  of  value\n3        5   headers.region = eu\n"
        );
    }

    #[test]
    fn what_is_not_there_is_told_with_how_it_ended() {
        let route = json!({"name": "r", "canary": null, "last_rollout":
            {"version": 2, "outcome": "taken-back", "reason": "it failed", "at_ms": 1}});
        let error = present(&route, "canary").unwrap_err().to_string();
        assert!(error.ends_with("version 2: taken-back, it failed"), "{error}");
    }
}
