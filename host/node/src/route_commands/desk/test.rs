//! `shunt route test`: a cases file against a module.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use serde_json::json;
use shunt_routing::{Failure, FailureCause};
use shunt_wasm::{Destinations, DryRunDestination, Guards, Metering};

use super::super::manifest;
use super::cases::{Cases, Expected};
use super::{desk, load};
use crate::cli::TestArgs;
use crate::output::{self, OutputFormat};

/// What came of one case.
struct Outcome {
    name: String,
    /// What was expected and what came, where these differ.
    difference: Option<(String, String)>,
}

/// Runs the cases, prints those that don't hold, and fails if there are any.
pub(in super::super) fn test(arguments: &TestArgs, format: OutputFormat) -> anyhow::Result<()> {
    let cases = Cases::read(&arguments.cases)?;
    let outcomes = run(arguments, &cases)?;
    let failed = outcomes.iter().filter(|outcome| outcome.difference.is_some()).count();
    if let Some(file) = &arguments.junit {
        let report = junit(&arguments.module.display().to_string(), &outcomes);
        std::fs::write(file, report).with_context(|| file.display().to_string())?;
    }
    output::print(&match format {
        OutputFormat::Human => told(&outcomes),
        OutputFormat::Json => {
            let cases: Vec<_> = outcomes
                .iter()
                .map(|outcome| {
                    let difference = outcome.difference.as_ref();
                    json!({"name": outcome.name, "passed": difference.is_none(),
                        "expected": difference.map(|(expected, _)| expected),
                        "found": difference.map(|(_, found)| found)})
                })
                .collect();
            let passed = outcomes.len() - failed;
            output::render(&json!({"passed": passed, "failed": failed, "cases": cases}), format)
        }
    })?;
    match failed {
        0 => Ok(()),
        failed => bail!("{failed} of {} cases failed", outcomes.len()),
    }
}

fn run(arguments: &TestArgs, cases: &Cases) -> anyhow::Result<Vec<Outcome>> {
    let desk = desk()?;
    // Fuel, not time, so that a busy machine fails no case.
    let guards = Guards::parse(&manifest::guards(&arguments.guards, &arguments.module)?)?;
    let route = load(&desk, &arguments.module, Metering::Fuel, Destinations::Any)?;
    let route = route.guarded(guards);
    let mut outcomes = Vec::new();
    for refused in &cases.refused_exchanges {
        let declared = route.declare(Cases::exchange(&refused.what)?, Vec::new()).map(drop);
        outcomes.push(refusal(&refused.name, &refused.reason, declared));
    }
    let spec = Cases::exchange(&cases.arguments)?;
    let mut exchange = route
        .declare(spec, cases.bindings.clone())
        .context("the exchange of the cases, or one of its bindings, is refused")?;
    for refused in &cases.refused_bindings {
        let bound = exchange.check_binding(&refused.what);
        outcomes.push(refusal(&refused.name, &refused.reason, bound));
    }
    let mut destinations = Vec::new();
    for case in &cases.cases {
        let decided = case.message.with(|header| exchange.decide(header, &mut destinations));
        let found = decided.map(|()| names(&destinations));
        let holds = match (&case.expected, &found) {
            (Expected::Queues(expected), Ok(found)) => expected == found,
            (Expected::Failure(cause, reason), Err(failure)) => {
                failure.cause.name() == cause && failure.detail.contains(reason.as_str())
            }
            _ => false,
        };
        let difference = (!holds).then(|| (expected(&case.expected), found_text(&found)));
        outcomes.push(Outcome { name: case.name.clone(), difference });
    }
    Ok(outcomes)
}

/// Something that has to be refused, with a reason that contains this.
fn refusal(name: &str, reason: &str, outcome: Result<(), Failure>) -> Outcome {
    let difference = match outcome {
        Err(Failure { cause: FailureCause::Refused, detail }) if detail.contains(reason) => None,
        Err(failure) => Some((format!("refused: {reason}"), failure.to_string())),
        Ok(()) => Some((format!("refused: {reason}"), "accepted".to_owned())),
    };
    Outcome { name: name.to_owned(), difference }
}

fn names(destinations: &[DryRunDestination]) -> Vec<String> {
    let mut names: Vec<_> = destinations.iter().map(|d| d.name.to_string()).collect();
    names.sort();
    names.dedup();
    names
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "no queue".to_owned() } else { names.join(" ") }
}

fn expected(expected: &Expected) -> String {
    match expected {
        Expected::Queues(names) => listed(names),
        Expected::Failure(cause, reason) => format!("{cause}: {reason}"),
    }
}

fn found_text(found: &Result<Vec<String>, Failure>) -> String {
    match found {
        Ok(names) => listed(names),
        Err(failure) => failure.to_string(),
    }
}

fn told(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        // Writing to a string can't fail.
        let _ = match &outcome.difference {
            None => writeln!(text, "ok    {}", outcome.name),
            Some((expected, found)) => {
                writeln!(text, "FAIL  {}\n  - {expected}\n  + {found}", outcome.name)
            }
        };
    }
    let failed = outcomes.iter().filter(|outcome| outcome.difference.is_some()).count();
    let _ = writeln!(text, "{} passed, {failed} failed", outcomes.len() - failed);
    text
}

/// A report in the form that CI systems read.
fn junit(suite: &str, outcomes: &[Outcome]) -> String {
    let failed = outcomes.iter().filter(|outcome| outcome.difference.is_some()).count();
    let (suite, count) = (escaped(suite), outcomes.len());
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuite name=\"{suite}\" tests=\"{count}\" failures=\"{failed}\">\n"
    );
    for outcome in outcomes {
        let name = escaped(&outcome.name);
        let _ = match &outcome.difference {
            None => writeln!(text, "  <testcase classname=\"{suite}\" name=\"{name}\"/>"),
            Some((expected, found)) => writeln!(
                text,
                "  <testcase classname=\"{suite}\" name=\"{name}\">\n    <failure \
                 message=\"expected {}, found {}\"/>\n  </testcase>",
                escaped(expected),
                escaped(found)
            ),
        };
    }
    text.push_str("</testsuite>\n");
    text
}

/// Text in an attribute; what XML can't carry becomes a question mark.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => out.push('?'),
            other if other.is_control() => out.push('?'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_shown_and_reported() {
        let outcomes = [
            Outcome { name: "one".into(), difference: None },
            Outcome { name: "a <b>".into(), difference: Some(("q0".into(), "trap: \"x\"".into())) },
        ];
        let text = "ok    one\nFAIL  a <b>\n  - q0\n  + trap: \"x\"\n1 passed, 1 failed\n";
        assert_eq!(told(&outcomes), text);
        let report = junit("m.wasm", &outcomes);
        assert!(report.contains("tests=\"2\" failures=\"1\""), "{report}");
        assert!(report.contains("name=\"a &lt;b&gt;\""), "{report}");
        assert!(report.contains("expected q0, found trap: &quot;x&quot;"), "{report}");
    }
}
