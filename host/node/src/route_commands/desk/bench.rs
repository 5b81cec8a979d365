//! `shunt route bench`: what a decision costs.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use shunt_wasm::{Desk, DeskExchange, Destinations, Metering};

use super::cases::{Case, Cases};
use super::{desk, load};
use crate::cli::BenchArgs;
use crate::output::{self, OutputFormat};

/// Decisions that are timed together: a clock costs as much as a small decision.
const BATCH: usize = 16;

/// Measures a module over the headers of its cases, and another one beside it.
pub(in super::super) fn bench(arguments: &BenchArgs, format: OutputFormat) -> anyhow::Result<()> {
    let cases = Cases::read(&arguments.cases)?;
    ensure!(!cases.cases.is_empty(), "{} has no cases", arguments.cases.display());
    let desk = desk()?;
    let mut rows = vec![measure(&desk, &arguments.module, &cases, arguments.calls)?];
    if let Some(against) = &arguments.against {
        rows.push(measure(&desk, against, &cases, arguments.calls)?);
    }
    let rows = Value::Array(rows);
    output::print(&match format {
        OutputFormat::Json => output::render(&rows, format),
        OutputFormat::Human => {
            let names = ["module", "ns_p50", "ns_p99", "fuel_p50", "fuel_p99", "failed", "calls"];
            output::columns(&rows, &names)
        }
    })
}

fn measure(desk: &Desk, file: &Path, cases: &Cases, calls: u32) -> anyhow::Result<Value> {
    let declare = |route| -> anyhow::Result<_> {
        let route: &shunt_wasm::DeskRoute = route;
        let declared = route.declare(Cases::exchange(&cases.arguments)?, cases.bindings.clone());
        declared.context("the exchange of the cases, or one of its bindings, is refused")
    };
    let fuelled = load(desk, file, Metering::Fuel, Destinations::Any)?;
    let mut exchange = declare(&fuelled)?;
    let (mut fuel, mut failed) = (Vec::new(), 0);
    for case in &cases.cases {
        failed += usize::from(!decide(&mut exchange, case));
        fuel.push(exchange.fuel());
    }
    let timed = load(desk, file, Metering::Time, Destinations::Any)?;
    let mut exchange = declare(&timed)?;
    let mut times = Vec::new();
    let mut turn = cases.cases.iter().cycle();
    // The first decisions warm the caches up.
    for case in turn.by_ref().take(cases.cases.len().max(1_000)) {
        decide(&mut exchange, case);
    }
    for _ in 0..calls.div_ceil(BATCH as u32) {
        let start_ns = DeskExchange::clock_ns();
        for case in turn.by_ref().take(BATCH) {
            decide(&mut exchange, case);
        }
        times.push(DeskExchange::clock_ns().saturating_sub(start_ns) / BATCH as u64);
    }
    let [ns_p50, ns_p99] = percentiles(times);
    let [fuel_p50, fuel_p99] = percentiles(fuel);
    Ok(json!({
        "module": file.display().to_string(), "ns_p50": ns_p50, "ns_p99": ns_p99,
        "fuel_p50": fuel_p50, "fuel_p99": fuel_p99, "failed": failed, "calls": calls,
        "cases": cases.cases.len(),
    }))
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
