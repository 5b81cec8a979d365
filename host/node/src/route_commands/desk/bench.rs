//! `shunt route bench`: what a decision costs.

use anyhow::{Context as _, anyhow, ensure};
use hyper::Method;
use serde_json::{Value, json};
use shunt_wasm::{Desk, DeskExchange, DeskRoute, Destinations, Metering};

use super::super::route_path;
use super::cases::{Case, Cases};
use super::{desk, read};
use crate::cli::{BenchArgs, NodeArgs};
use crate::http_client::{HttpClient, RequestBody};
use crate::output::{self, OutputFormat};

/// Decisions that are timed together: a clock costs as much as a small decision.
const BATCH: usize = 16;

/// What is measured: a name for people, and a module.
type Candidate = (String, Vec<u8>);

/// Measures a module over the headers of its cases, and another one beside it.
pub(in super::super) fn bench(node: &NodeArgs, arguments: &BenchArgs) -> anyhow::Result<()> {
    let cases = Cases::read(&arguments.cases)?;
    ensure!(!cases.cases.is_empty(), "{} has no cases", arguments.cases.display());
    let mut modules = vec![(arguments.module.display().to_string(), read(&arguments.module)?)];
    if let Some(against) = &arguments.against {
        modules.push((against.display().to_string(), read(against)?));
    }
    if let Some(name) = &arguments.deployed {
        modules.push(deployed(node, name, arguments.version)?);
    }
    let desk = desk()?;
    let rows = modules.iter().map(|module| measure(&desk, module, &cases, arguments.calls));
    let mut rows = rows.collect::<anyhow::Result<Vec<_>>>()?;
    if let [one, other] = &mut rows[..] {
        for of in ["ns", "fuel"] {
            let number = |row: &Value| row[format!("{of}_p50")].as_f64();
            let ratio = number(one).zip(number(other)).filter(|(_, other)| *other > 0.0);
            one[format!("{of}_ratio")] = ratio.map(|(one, other)| one / other).into();
        }
    }
    output::print(&match node.output {
        OutputFormat::Json => output::render(&Value::Array(rows), node.output),
        OutputFormat::Human => told(&rows),
    })
}

/// The module of a version on the node, the active one without a number.
fn deployed(node: &NodeArgs, name: &str, version: Option<u32>) -> anyhow::Result<Candidate> {
    let client = HttpClient::of(node)?;
    let path = route_path(&node.vhost, name);
    let version = match version {
        Some(version) => u64::from(version),
        None => {
            let route = client.send(Method::GET, &path, RequestBody::Empty)?;
            let active = route["active"].as_u64();
            active.ok_or_else(|| anyhow!("no version of route '{name}' is active"))?
        }
    };
    let module = client.download(&format!("{path}/versions/{version}/module"))?;
    Ok((format!("{name} version {version}"), module.to_vec()))
}

fn measure(desk: &Desk, module: &Candidate, cases: &Cases, calls: u32) -> anyhow::Result<Value> {
    let (name, bytes) = module;
    let load = |metering| {
        let route = desk.load(bytes, metering, Destinations::Any);
        route.with_context(|| format!("{name} is refused"))
    };
    let fuelled = load(Metering::Fuel)?;
    let mut exchange = declare(&fuelled, cases)?;
    let (mut fuel, mut failed) = (Vec::new(), 0);
    for case in &cases.cases {
        failed += usize::from(!decide(&mut exchange, case));
        fuel.push(exchange.fuel());
    }
    let timed = load(Metering::Time)?;
    let mut exchange = declare(&timed, cases)?;
    let mut times = Vec::new();
    let mut turn = cases.cases.iter().cycle();
    // The first decisions warm the caches up.
    let warm_up = cases.cases.len().max(1_000);
    let memory_before = exchange.memory_bytes();
    for case in turn.by_ref().take(warm_up) {
        decide(&mut exchange, case);
    }
    let batches = calls.div_ceil(BATCH as u32);
    for _ in 0..batches {
        let start_ns = DeskExchange::clock_ns();
        for case in turn.by_ref().take(BATCH) {
            decide(&mut exchange, case);
        }
        times.push(DeskExchange::clock_ns().saturating_sub(start_ns) / BATCH as u64);
    }
    let memory = exchange.memory_bytes();
    let grown = memory.saturating_sub(memory_before) as f64;
    let [ns_p50, ns_p99] = percentiles(times);
    let [fuel_p50, fuel_p99] = percentiles(fuel);
    Ok(json!({
        "module": name, "ns_p50": ns_p50, "ns_p99": ns_p99,
        "fuel_p50": fuel_p50, "fuel_p99": fuel_p99, "memory_bytes": memory,
        "memory_grown_per_call": grown / (f64::from(batches) * BATCH as f64 + warm_up as f64),
        "failed": failed, "calls": calls, "cases": cases.cases.len(),
    }))
}

fn declare<'a>(route: &'a DeskRoute, cases: &Cases) -> anyhow::Result<DeskExchange<'a>> {
    let declared = route.declare(Cases::exchange(&cases.arguments)?, cases.bindings.clone());
    declared.context("the exchange of the cases, or one of its bindings, is refused")
}

/// Whether there was a decision.
fn decide(exchange: &mut DeskExchange<'_>, case: &Case) -> bool {
    let mut destinations = Vec::new();
    case.message.with(|header| exchange.decide(header, &mut destinations)).is_ok()
}

/// The median and the 99th percentile.
fn percentiles(mut values: Vec<u64>) -> [u64; 2] {
    values.sort_unstable();
    [50, 99].map(|part| match values.len() {
        0 => 0,
        length => values[(length * part / 100).min(length - 1)],
    })
}

fn told(rows: &[Value]) -> String {
    let shown = rows.iter().map(|row| {
        let mut row = row.clone();
        row["memory_kib"] = (row["memory_bytes"].as_u64().unwrap_or(0) / 1024).into();
        let grown = row["memory_grown_per_call"].as_f64().unwrap_or(0.0);
        row["grown_per_call"] = format!("{grown:.1}").into();
        row
    });
    let names = ["module", "ns_p50", "ns_p99", "fuel_p50", "fuel_p99", "memory_kib"];
    let more = ["grown_per_call", "failed", "calls"];
    let mut text = output::columns(&shown.collect(), &[&names[..], &more].concat());
    if let [one, other] = rows
        && let (Some(ns), Some(fuel)) = (one["ns_ratio"].as_f64(), one["fuel_ratio"].as_f64())
    {
        let name = other["module"].as_str().unwrap_or_default();
        text.push_str(&format!("{ns:.2} times the time and {fuel:.2} times the fuel of {name}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_is_told_in_one_line() {
        let row = |name: &str, ns: f64| {
            json!({"module": name, "ns_p50": ns, "ns_p99": ns, "fuel_p50": 5, "fuel_p99": 9,
                "memory_bytes": 131_072, "memory_grown_per_call": 0.5, "failed": 0, "calls": 16})
        };
        let mut rows = vec![row("new.wasm", 30.0), row("geo version 1", 20.0)];
        rows[0]["ns_ratio"] = 1.5.into();
        rows[0]["fuel_ratio"] = 1.0.into();
        let text = told(&rows);
        assert!(text.contains("128         0.5"), "{text}");
        let last = "1.50 times the time and 1.00 times the fuel of geo version 1\n";
        assert!(text.ends_with(last), "{text}");
        assert!(!told(&rows[..1]).contains("times"));
    }
}
