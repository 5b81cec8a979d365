//! One scenario against two brokers, in turn A B A B ...: what changes on the machine meanwhile
//! then meets both alike.

use std::fmt::Write as _;

use clap::{ArgAction, Args, Parser};
use serde_json::{Value as Json, json};

use crate::interrupt::Interrupts;
use crate::load;
use crate::report::{Report, rounded};
use crate::scenario::{Output, Scenario};

/// Two brokers and a scenario
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct CompareArgs {
    /// How often each of the two runs
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    pairs: u16,

    /// Form of the result
    #[arg(long, value_enum, default_value = "human")]
    pub(crate) output: Output,

    /// The first broker: its URI, and with a space between further options for its runs only
    a: String,

    /// The second
    b: String,

    /// The scenario, by the options of `shunt perf`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    scenario: Vec<String>,

    /// Print help
    #[arg(short = '?', long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// The options of one side.
#[derive(Debug, Parser)]
#[command(name = "shunt perf", disable_help_flag = true, args_override_self = true)]
struct Side {
    #[command(flatten)]
    scenario: Scenario,
}

/// What is compared: a name for people, one for programs, and where it stands in a report.
type Measure = (&'static str, &'static str, fn(&Report) -> Option<f64>);

const MEASURES: [Measure; 8] = [
    ("received, messages/s", "received_per_s", |report| Some(report.received_per_s())),
    ("published, messages/s", "published_per_s", |report| Some(report.published_per_s())),
    ("broker, µs/message", "broker_us_per_message", Report::broker_us),
    ("broker, memory in MiB", "broker_rss_mib", |report| {
        report.span.broker.map(|broker| broker.rss as f64 / f64::from(1 << 20))
    }),
    ("delivery, 50 % in µs", "delivery_p50_us", |report| {
        (!report.deliveries.is_empty()).then(|| report.deliveries.quantile_us(0.5))
    }),
    ("delivery, 99 % in µs", "delivery_p99_us", |report| {
        (!report.deliveries.is_empty()).then(|| report.deliveries.quantile_us(0.99))
    }),
    ("confirm, 50 % in µs", "confirm_p50_us", |report| {
        (!report.confirms.is_empty()).then(|| report.confirms.quantile_us(0.5))
    }),
    ("confirm, 99 % in µs", "confirm_p99_us", |report| {
        (!report.confirms.is_empty()).then(|| report.confirms.quantile_us(0.99))
    }),
];

/// Runs the pairs; returns what to print, and why it ended early if it did.
pub(crate) fn compare(
    arguments: &CompareArgs,
    interrupts: &Interrupts,
) -> anyhow::Result<(String, Option<String>)> {
    let sides = [
        ("A", side(&arguments.a, &arguments.scenario)?),
        ("B", side(&arguments.b, &arguments.scenario)?),
    ];
    let mut runs: [Vec<Report>; 2] = [Vec::new(), Vec::new()];
    let mut failure = None;
    'pairs: for pair in 1..=arguments.pairs {
        for ((name, scenario), runs) in sides.iter().zip(&mut runs) {
            eprintln!("{name}, run {pair} of {}: {}", arguments.pairs, scenario.uri.address());
            let outcome = load::run(scenario, false, &interrupts.begin());
            if interrupts.seen() {
                failure = Some("interrupted".to_owned());
                break 'pairs;
            }
            match outcome {
                Ok(report) if report.is_clean() => runs.push(report),
                Ok(report) => {
                    failure = Some(format!("a run on {name} failed:\n{}", report.render(scenario)));
                    break 'pairs;
                }
                Err(error) => {
                    failure = Some(format!("a run on {name} failed: {error:#}"));
                    break 'pairs;
                }
            }
        }
    }
    let pairs = runs[0].len().min(runs[1].len());
    let rows: Vec<Row> = MEASURES.iter().filter_map(|measure| Row::of(measure, &runs)).collect();
    // Said among the scenario's options it means the same.
    let json_wanted = sides.iter().any(|(_, side)| side.output == Output::Json);
    let output = if json_wanted { Output::Json } else { arguments.output };
    let text = match output {
        Output::Human => text(&sides[0].1, &sides[1].1, pairs, &rows),
        Output::Json => format!("{:#}\n", json(&sides, pairs, &rows, &runs)),
    };
    Ok((text, failure))
}

/// A side's options: those of both, then its own.
fn side(own: &str, common: &[String]) -> anyhow::Result<Scenario> {
    let mut words = own.split_whitespace();
    let uri = words.next().unwrap_or_default();
    let name = ["shunt perf", "--uri", uri].into_iter();
    let line = name.chain(common.iter().map(String::as_str)).chain(words);
    let side = Side::try_parse_from(line).map_err(|error| anyhow::anyhow!("{own}: {error}"))?;
    side.scenario.check()?;
    Ok(side.scenario)
}

/// One measure of all runs.
#[derive(Debug)]
struct Row {
    measure: Measure,
    a: Spread,
    b: Spread,
    /// Of A to B, pair by pair.
    ratio: Spread,
}

/// Median, lowest and highest.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// `None` of nothing.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            (values[middle - 1] + values[middle]) / 2.0
        } else {
            values[middle]
        };
        Some(Self { median, min, max })
    }

    fn json(self) -> Json {
        json!({
            "median": rounded(self.median, 4),
            "min": rounded(self.min, 4),
            "max": rounded(self.max, 4),
        })
    }
}

impl Row {
    /// `None` where one of the two has nothing to compare.
    fn of(measure: &Measure, runs: &[Vec<Report>; 2]) -> Option<Self> {
        let values = |runs: &[Report]| runs.iter().map(measure.2).collect::<Option<Vec<_>>>();
        let (a, b) = (values(&runs[0])?, values(&runs[1])?);
        let ratios = a.iter().zip(&b).filter(|(_, b)| **b != 0.0).map(|(a, b)| a / b).collect();
        Some(Self {
            measure: *measure,
            a: Spread::of(a)?,
            b: Spread::of(b)?,
            ratio: Spread::of(ratios)?,
        })
    }
}

fn text(a: &Scenario, b: &Scenario, pairs: usize, rows: &[Row]) -> String {
    let mut text = format!("A {}: {}\n", a.uri.address(), a.title());
    let _ = writeln!(text, "B {}: {}", b.uri.address(), b.title());
    let _ = writeln!(text, "medians of {pairs} pairs (lowest to highest)\n");
    let header = ["", "A", "B", "A/B"].map(str::to_owned);
    let mut lines = vec![header];
    for row in rows {
        let digits = if row.a.median.max(row.b.median) < 1000.0 { 2 } else { 0 };
        let spread = |spread: Spread, digits: usize| {
            let Spread { median, min, max } = spread;
            format!("{median:.digits$} ({min:.digits$} to {max:.digits$})")
        };
        let name = row.measure.0.to_owned();
        lines.push([name, spread(row.a, digits), spread(row.b, digits), spread(row.ratio, 3)]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths = [0, 1, 2, 3].map(|column| width(column).unwrap_or(0));
    for line in &lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

fn json(
    sides: &[(&str, Scenario); 2],
    pairs: usize,
    rows: &[Row],
    runs: &[Vec<Report>; 2],
) -> Json {
    let rows = rows.iter().map(|row| {
        let value = json!({ "a": row.a.json(), "b": row.b.json(), "a_to_b": row.ratio.json() });
        (row.measure.1.to_owned(), value)
    });
    let reports = |index: usize| -> Vec<Json> {
        runs[index].iter().map(|report| report.json(&sides[index].1)).collect()
    };
    json!({
        "a": sides[0].1.title(),
        "b": sides[1].1.title(),
        "pairs": pairs,
        "measures": rows.collect::<serde_json::Map<_, _>>(),
        "runs": { "a": reports(0), "b": reports(1) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sides_own_options_win() {
        let common = ["-t", "topic", "-s", "64"].map(str::to_owned);
        let a = side("amqp://h:1 -t direct", &common).unwrap();
        assert_eq!((a.exchange_type.as_str(), a.size, a.uri.port), ("direct", 64, 1));
        assert_eq!(side("amqp://h:1", &common).unwrap().exchange_type, "topic");
        assert!(side("amqp://h:1 --nonsense", &[]).is_err());
        assert!(side("h:1", &[]).is_err());
    }

    #[test]
    fn spreads() {
        let spread = |values: &[f64]| Spread::of(values.to_vec());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    }
}
