//! What the sources gave, before and while it is checked.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

use serde_json::Value;

use super::SECRETS;
use super::value::SettingValue;

/// A value as its source has it.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    /// From a file's string, or from a source that has nothing but text.
    Text(String),
    /// A number in a file, in decimal digits.
    Number(String),
    /// A list of strings in a file.
    List(Vec<String>),
    /// Anything else in a file, as it stands there; no setting takes it.
    Other(String),
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{}", Value::from(text.as_str())),
            Self::Number(text) | Self::Other(text) => f.write_str(text),
            Self::List(names) => write!(f, "{}", Value::from(names.clone())),
        }
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The table of settings.
    Default,
    /// A line of a file.
    File {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// The environment.
    Environment {
        /// The variable.
        variable: String,
    },
    /// The command line.
    Flag {
        /// The flag.
        flag: &'static str,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { variable } => write!(f, "environment {variable}"),
            Self::Flag { flag } => write!(f, "flag {flag}"),
        }
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingError {
    /// The file can't be read.
    #[error("can't read {path}", path = path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The file is no TOML, or something in it is no setting.
    #[error("{path}:{line}:{column}: {message}", path = path.display())]
    File { path: PathBuf, line: usize, column: usize, message: String },
    /// A variable with our prefix that no setting has.
    #[error("unknown environment variable {variable}{suggestion}")]
    UnknownVariable { variable: String, suggestion: String },
    /// A variable's value is not text.
    #[error("environment variable {variable} is not UTF-8")]
    NotText { variable: String },
    /// A value that the setting doesn't take.
    #[error("{name} = {value} (from {source_name}): must be {expected}")]
    Value { name: &'static str, value: String, source_name: String, expected: String },
}

/// A setting in force, for `shunt config show`.
#[derive(Debug)]
pub(crate) struct ShownSetting {
    /// `section.name`.
    pub(crate) name: &'static str,
    /// Secrets are masked.
    pub(crate) value: Value,
    pub(crate) source: Source,
}

/// What stands for a secret.
const MASK: &str = "********";

/// The values given so far, the strongest source's for each setting.
#[derive(Debug, Default)]
pub(super) struct Given {
    values: HashMap<&'static str, (Raw, Source)>,
    shown: Vec<ShownSetting>,
}

impl Given {
    /// Gives a value; sources come in the order of their strength, the weakest first.
    pub(super) fn put(&mut self, name: &'static str, value: Raw, source: Source) {
        self.values.insert(name, (value, source));
    }

    /// The setting's value, checked: the given one, else the default.
    pub(super) fn take<T: SettingValue>(
        &mut self,
        name: &'static str,
        default: T,
        rule: T::Rule,
    ) -> Result<T, SettingError> {
        let is_secret = SECRETS.contains(&name);
        let (value, source) = match self.values.remove(name) {
            None => (default, Source::Default),
            Some((raw, source)) => match T::read(&raw, &rule) {
                Some(value) => (value, source),
                None => {
                    let value = if is_secret { Raw::Text(MASK.to_owned()) } else { raw };
                    return Err(SettingError::Value {
                        name,
                        value: value.to_string(),
                        source_name: source.to_string(),
                        expected: T::expected(&rule),
                    });
                }
            },
        };
        let shown = if is_secret { Value::from(MASK) } else { value.shown() };
        self.shown.push(ShownSetting { name, value: shown, source });
        Ok(value)
    }

    /// Every setting taken, in order.
    pub(super) fn into_shown(self) -> Vec<ShownSetting> {
        self.shown
    }
}

/// `, did you mean 'x'?` where one of the names is near.
pub(super) fn suggestion<'a>(
    wrong: &str,
    names: impl IntoIterator<Item = &'a str>,
    quote: &str,
) -> String {
    let nearest = names.into_iter().map(|name| (edits(wrong, name), name)).min();
    match nearest {
        Some((edits, name)) if edits <= 2.max(wrong.len() / 4) => {
            format!(", did you mean {quote}{name}{quote}?")
        }
        _ => String::new(),
    }
}

/// How many letters must be put in, taken out or replaced to get from one to the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_others_not() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(suggestion("listn", ["listen", "frame_max"], "'"), ", did you mean 'listen'?");
        assert_eq!(suggestion("speed", ["listen", "frame_max"], "'"), "");
    }
}
