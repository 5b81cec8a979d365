//! What routes do on a running node: an overview, counters by version, the log.

use std::fmt::Write as _;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use super::{route_path, routes_path};
use crate::cli::{LogsArgs, NodeArgs};
use crate::http_client::{HttpClient, RequestBody};
use crate::output::{self, OutputFormat};

/// How often a log that is followed is asked for.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(300);

/// One line for each route.
pub(super) fn overview(routes: &Value) -> String {
    let rows: Vec<_> = list(routes)
        .map(|route| {
            let versions = || list(&route["versions"]);
            let failed: u64 = versions().map(|version| failures(version).1).sum();
            let calls: u64 = versions().map(|version| number(&version["counters"]["calls"])).sum();
            json!({
                "name": route["name"], "active": route["active"], "previous": route["previous"],
                "versions": versions().count(), "exchanges": route["exchanges"],
                "calls": calls, "failed": failed + number(&route["unavailable"]),
            })
        })
        .collect();
    let names = ["name", "active", "previous", "versions", "exchanges", "calls", "failed"];
    output::columns(&rows.into(), &names)
}

/// Prints what each version did.
pub(super) fn stats(
    client: &HttpClient,
    node: &NodeArgs,
    name: Option<&str>,
) -> anyhow::Result<()> {
    let path = name.map_or_else(|| routes_path(&node.vhost), |name| route_path(&node.vhost, name));
    let answer = client.send(Method::GET, &path, RequestBody::Empty)?;
    let routes = if answer.is_array() { answer } else { json!([answer]) };
    let rows: Value = list(&routes)
        .flat_map(|route| list(&route["versions"]).map(move |version| row(route, version)))
        .collect();
    output::print(&match node.output {
        OutputFormat::Json => output::render(&rows, node.output),
        OutputFormat::Human if list(&rows).next().is_none() => {
            format!("no routes in virtual host '{}'\n", node.vhost)
        }
        OutputFormat::Human => table(&rows),
    })
}

/// The counters of a version; the times are means of a call.
fn row(route: &Value, version: &Value) -> Value {
    let counters = &version["counters"];
    let calls = number(&counters["calls"]);
    let mut row = counters.as_object().cloned().unwrap_or_default();
    row.insert("route".into(), route["name"].clone());
    row.insert("version".into(), version["version"].clone());
    row.insert("active".into(), version["active"].clone());
    row.insert("instances".into(), version["instances"].clone());
    row.insert("failed".into(), failures(version).1.into());
    let mean = number(&counters["cpu_time_ns"]).checked_div(calls);
    row.insert("cpu_ns_per_call".into(), mean.into());
    row.into()
}

fn table(rows: &Value) -> String {
    let mut shown = rows.clone();
    for row in shown.as_array_mut().into_iter().flatten() {
        row["causes"] = counts_text(&row["failures"]).into();
        row["guards"] = counts_text(&row["guard_breaks"]).into();
    }
    let names = ["route", "version", "active", "calls", "failed", "cpu_ns_per_call", "instances"];
    output::columns(&shown, &[&names[..], &["causes", "guards"]].concat())
}

/// Failures by cause, and their sum.
fn failures(version: &Value) -> (&Value, u64) {
    let causes = &version["counters"]["failures"];
    (causes, causes.as_object().into_iter().flatten().map(|(_, count)| number(count)).sum())
}

/// The causes that happened, or the guards that were broken.
fn counts_text(counts: &Value) -> String {
    let counts = counts.as_object().into_iter().flatten();
    let counts = counts.filter(|(_, count)| number(count) > 0);
    let texts: Vec<_> = counts.map(|(name, count)| format!("{name} {count}")).collect();
    if texts.is_empty() { "-".to_owned() } else { texts.join(", ") }
}

/// Prints what a route logged, and goes on if it is to be followed.
pub(super) fn logs(client: &HttpClient, node: &NodeArgs, asked: &LogsArgs) -> anyhow::Result<()> {
    let path = route_path(&node.vhost, &asked.name);
    let first = format!("{path}/logs?limit={}", asked.lines);
    let mut page = client.send(Method::GET, &first, RequestBody::Empty)?;
    loop {
        output::print(&page_text(&page, node.output))?;
        if !asked.follow {
            return Ok(());
        }
        std::thread::sleep(FOLLOW_INTERVAL);
        let next = format!("{path}/logs?limit=1000&after={}", number(&page["next"]));
        page = client.send(Method::GET, &next, RequestBody::Empty)?;
    }
}

/// Lines for people, or a JSON object a line.
fn page_text(page: &Value, format: OutputFormat) -> String {
    let mut text = String::new();
    let missed = number(&page["missed"]);
    if missed > 0 && format == OutputFormat::Human {
        let _ = writeln!(text, "({missed} lines are no longer kept)");
    }
    for line in list(&page["lines"]) {
        let _ = match format {
            OutputFormat::Json => writeln!(text, "{line}"),
            OutputFormat::Human => writeln!(
                text,
                "{} v{} {:5} {}",
                clock_time(number(&line["time_ms"])),
                line["version"],
                line["level"].as_str().unwrap_or_default(),
                // A guest must not drive the terminal.
                line["text"].as_str().unwrap_or_default().escape_debug(),
            ),
        };
    }
    text
}

/// Hours, minutes, seconds and milliseconds of a day in UTC.
fn clock_time(unix_ms: u64) -> String {
    let day_ms = unix_ms % 86_400_000;
    let (s, ms) = (day_ms / 1_000, day_ms % 1_000);
    format!("{:02}:{:02}:{:02}.{ms:03}Z", s / 3_600, s / 60 % 60, s % 60)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_become_a_row_a_version() {
        let routes = json!([{"name": "geo", "active": 1, "previous": null, "exchanges": 2,
            "unavailable": 1, "versions": [{"version": 1, "active": true, "instances": 3,
            "counters": {"calls": 4, "failures": {"trap": 1, "refused": 0}, "cpu_time_ns": 800,
            "guard_breaks": {"eu": 2, "few": 0}}}]}]);
        let row = row(&routes[0], &routes[0]["versions"][0]);
        assert_eq!((&row["failed"], &row["cpu_ns_per_call"]), (&json!(1), &json!(200)));
        let text = table(&json!([row]));
        assert!(text.ends_with("trap 1  eu 2\n"), "{text}");
        assert!(overview(&routes).contains("geo   1       -         1         2          4"));
    }

    #[test]
    fn a_line_of_the_log_is_one_line() {
        let page = json!({"missed": 2, "lines": [{"number": 3, "time_ms": 3_723_004, "version": 1,
            "level": "warn", "text": "a\nb"}]});
        let text = page_text(&page, OutputFormat::Human);
        assert_eq!(text, "(2 lines are no longer kept)\n01:02:03.004Z v1 warn  a\\nb\n");
    }
}
