//! Settings from a TOML file, each with the line that it stands on.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeArray, DeTable, DeValue};

use super::given::{Given, Raw, SettingError, Source, suggestion};
use super::{NAMES, SECTIONS};

/// Reads the file.
pub(super) fn read(path: &Path, given: &mut Given) -> Result<(), SettingError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| SettingError::Unreadable { path: path.to_owned(), source })?;
    let file = File { path, text: &text };
    let table = DeTable::parse(&text).map_err(|error| {
        file.error(error.span().unwrap_or_default(), error.message().to_owned())
    })?;
    for (section, value) in table.get_ref() {
        let name: &str = section.get_ref();
        if !SECTIONS.contains(&name) {
            let suggestion = suggestion(name, SECTIONS.iter().copied(), "'");
            return Err(file.error(section.span(), format!("unknown section '{name}'{suggestion}")));
        }
        let DeValue::Table(settings) = value.get_ref() else {
            return Err(file.error(section.span(), format!("'{name}' is a section, not a value")));
        };
        for (key, value) in settings {
            let full_name = format!("{name}.{}", key.get_ref());
            let Some(known) = NAMES.iter().find(|known| **known == full_name) else {
                let suggestion = suggestion(&full_name, NAMES.iter().copied(), "'");
                let message = format!("unknown setting '{full_name}'{suggestion}");
                return Err(file.error(key.span(), message));
            };
            let (line, _) = file.line_and_column(key.span().start);
            let source = Source::File { path: path.to_owned(), line };
            given.put(known, raw(value.get_ref(), &text[value.span()]), source);
        }
    }
    Ok(())
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn error(&self, span: Range<usize>, message: String) -> SettingError {
        let (line, column) = self.line_and_column(span.start);
        SettingError::File { path: self.path.to_owned(), line, column, message }
    }

    /// Both counted from 1, columns in characters.
    fn line_and_column(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

fn raw(value: &DeValue<'_>, written: &str) -> Raw {
    let other = || Raw::Other(written.to_owned());
    match value {
        DeValue::String(text) => Raw::Text(text.clone().into_owned()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| other(), |number| Raw::Number(number.to_string())),
        DeValue::Array(items) => list(items).map_or_else(other, Raw::List),
        _ => other(),
    }
}

fn list(items: &DeArray<'_>) -> Option<Vec<String>> {
    let texts = items.iter().map(|item| match item.get_ref() {
        DeValue::String(text) => Some(text.clone().into_owned()),
        _ => None,
    });
    texts.collect()
}
