//! What a command says: results to standard output, one line of error to standard error, and
//! JSON as people like to read it.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use anyhow::Context as _;
use serde_json::Value;

/// In what form a command answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    Human,
    /// For programs.
    Json,
}

/// Writes to standard output. That the reader has gone away, as `head` does, is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("can't write to standard output"),
    }
}

/// Writes the one line of a failed command.
pub(crate) fn error(message: &str) {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    // Nobody is left to be told if this fails.
    let _ = writeln!(io::stderr().lock(), "shunt: error: {line}");
}

/// An answer of the node, in the form asked for.
pub(crate) fn render(value: &Value, format: OutputFormat) -> String {
    match (format, value) {
        (OutputFormat::Json, value) => format!("{value:#}\n"),
        (OutputFormat::Human, Value::Array(rows)) if rows.iter().all(Value::is_object) => {
            table(rows)
        }
        (OutputFormat::Human, value) => {
            let mut text = String::new();
            outline(value, 0, &mut text);
            text
        }
    }
}

/// Objects as rows, the fields of the first as columns; what is nested is left to `show`.
fn table(rows: &[Value]) -> String {
    let is_scalar = |value: &Value| !value.is_object() && !value.is_array();
    let Some(first) = rows.first().and_then(Value::as_object) else { return String::new() };
    let columns: Vec<&str> =
        first.iter().filter(|(_, value)| is_scalar(value)).map(|(name, _)| name.as_str()).collect();
    let header = columns.iter().map(|name| (*name).to_owned()).collect();
    let cells = |row: &Value| columns.iter().map(|name| scalar(&row[*name])).collect();
    let lines: Vec<Vec<String>> = std::iter::once(header).chain(rows.iter().map(cells)).collect();
    align(&lines)
}

/// Objects as rows of the fields that are named, in that order.
pub(crate) fn columns(rows: &Value, names: &[&str]) -> String {
    let header = names.iter().map(|name| (*name).to_owned()).collect();
    let cell = |value: &Value| inline(value).unwrap_or_default();
    let cells = |row: &Value| names.iter().map(|name| cell(&row[*name])).collect();
    let rows = rows.as_array().into_iter().flatten().map(cells);
    align(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

/// Cells under each other; the last one of a line ends it.
pub(crate) fn align(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let padded = padded.collect::<Vec<_>>().join("  ");
        text.push_str(padded.trim_end());
        text.push('\n');
    }
    text
}

/// Nested fields, indented; short lists on one line.
fn outline(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match inline(value) {
                    Some(inline) => drop(writeln!(text, "{indent}{name}: {inline}")),
                    None => {
                        let _ = writeln!(text, "{indent}{name}:");
                        outline(value, depth + 1, text);
                    }
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut nested = String::new();
                outline(item, depth + 1, &mut nested);
                // The first field stands behind the dash, the others under it.
                let nested = nested.trim_start();
                let _ = write!(text, "{indent}- {nested}");
            }
        }
        scalar_value => drop(writeln!(text, "{indent}{}", scalar(scalar_value))),
    }
}

/// The value, where one line can hold it.
fn inline(value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) => fields.is_empty().then(|| "none".to_owned()),
        Value::Array(items) if items.is_empty() => Some("none".to_owned()),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            Some(items.iter().map(scalar).collect::<Vec<_>>().join(", "))
        }
        Value::Array(_) => None,
        value => Some(scalar(value)),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Bool(value) => if *value { "yes" } else { "no" }.to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_becomes_a_table() {
        let value = json!([
            {"name": "geo", "active": 2, "reads": ["routing_key"]},
            {"name": "a-longer-name", "active": null, "reads": []},
        ]);
        let expected = "active  name\n2       geo\n-       a-longer-name\n";
        assert_eq!(render(&value, OutputFormat::Human), expected);
        assert_eq!(render(&json!([]), OutputFormat::Human), "");
    }

    #[test]
    fn columns_stand_in_the_order_asked_for() {
        let rows = json!([{"tags": ["a", "b"], "name": "ann"}, {"tags": [], "name": "b"}]);
        assert_eq!(columns(&rows, &["name", "tags"]), "name  tags\nann   a, b\nb     none\n");
    }

    #[test]
    fn an_object_becomes_an_outline() {
        let value = json!({
            "name": "geo",
            "reads": ["routing_key", "headers.region"],
            "versions": [{"hash": "ab", "version": 1}, {"hash": "cd", "version": 2}],
        });
        let expected = "name: geo\n\
                        reads: routing_key, headers.region\n\
                        versions:\n  - hash: ab\n    version: 1\n  - hash: cd\n    version: 2\n";
        assert_eq!(render(&value, OutputFormat::Human), expected);
    }
}
