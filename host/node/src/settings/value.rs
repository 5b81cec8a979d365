//! The types that settings have: how each is read, what it takes, how it is shown.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde_json::Value;
use shunt_amqp_server::Moves;
use tracing_subscriber::EnvFilter;

use super::given::Raw;

/// A type of settings.
pub(super) trait SettingValue: Sized {
    /// What one setting asks beyond the type.
    type Rule;
    /// Reads what a source gave; None where the setting doesn't take it.
    fn read(raw: &Raw, rule: &Self::Rule) -> Option<Self>;
    /// What the setting takes, as the end of "must be".
    fn expected(rule: &Self::Rule) -> String;
    /// The value in `shunt config show`.
    fn shown(&self) -> Value;
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl SettingValue for $type {
            type Rule = RangeInclusive<$type>;

            fn read(raw: &Raw, rule: &Self::Rule) -> Option<Self> {
                match raw {
                    Raw::Text(text) | Raw::Number(text) => {
                        text.trim().parse().ok().filter(|number| rule.contains(number))
                    }
                    Raw::List(_) | Raw::Other(_) => None,
                }
            }

            fn expected(rule: &Self::Rule) -> String {
                format!("a number from {} to {}", rule.start(), rule.end())
            }

            fn shown(&self) -> Value {
                (*self).into()
            }
        }
    )*};
}
number!(u16, u32, u64);

fn text(raw: &Raw) -> Option<&str> {
    match raw {
        Raw::Text(text) => Some(text),
        Raw::Number(_) | Raw::List(_) | Raw::Other(_) => None,
    }
}

impl SettingValue for String {
    type Rule = ();

    fn read(raw: &Raw, (): &()) -> Option<Self> {
        text(raw).filter(|text| (1..=255).contains(&text.len())).map(str::to_owned)
    }

    fn expected((): &()) -> String {
        "1 to 255 bytes of text".to_owned()
    }

    fn shown(&self) -> Value {
        self.as_str().into()
    }
}

impl SettingValue for bool {
    type Rule = ();

    fn read(raw: &Raw, (): &()) -> Option<Self> {
        match raw {
            Raw::Text(text) | Raw::Other(text) => text.trim().parse().ok(),
            Raw::Number(_) | Raw::List(_) => None,
        }
    }

    fn expected((): &()) -> String {
        "true or false".to_owned()
    }

    fn shown(&self) -> Value {
        (*self).into()
    }
}

impl SettingValue for PathBuf {
    type Rule = ();

    fn read(raw: &Raw, (): &()) -> Option<Self> {
        text(raw).filter(|text| !text.is_empty()).map(Self::from)
    }

    fn expected((): &()) -> String {
        "a path".to_owned()
    }

    fn shown(&self) -> Value {
        self.to_string_lossy().into()
    }
}

impl SettingValue for SocketAddr {
    type Rule = ();

    fn read(raw: &Raw, (): &()) -> Option<Self> {
        text(raw)?.parse().ok()
    }

    fn expected((): &()) -> String {
        "an address and a port, such as 127.0.0.1:5672".to_owned()
    }

    fn shown(&self) -> Value {
        self.to_string().into()
    }
}

impl SettingValue for Vec<String> {
    type Rule = ();

    fn read(raw: &Raw, (): &()) -> Option<Self> {
        match raw {
            Raw::List(names) => Some(names.clone()),
            // Sources that have nothing but text separate names by commas.
            Raw::Text(text) => {
                let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
                Some(names.map(str::to_owned).collect())
            }
            Raw::Number(_) | Raw::Other(_) => None,
        }
    }

    fn expected((): &()) -> String {
        "a list of names".to_owned()
    }

    fn shown(&self) -> Value {
        self.clone().into()
    }
}

/// Whether connections move between shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConnectionMoves(pub(crate) Moves);

impl ConnectionMoves {
    const NAMES: [(&str, Moves); 3] =
        [("auto", Moves::Auto), ("never", Moves::Never), ("always", Moves::Always)];
}

impl SettingValue for ConnectionMoves {
    type Rule = ();

    fn read(raw: &Raw, (): &()) -> Option<Self> {
        let text = text(raw)?;
        Self::NAMES.into_iter().find(|(name, _)| *name == text).map(|(_, moves)| Self(moves))
    }

    fn expected((): &()) -> String {
        "auto, never or always".to_owned()
    }

    fn shown(&self) -> Value {
        let name = Self::NAMES.into_iter().find(|(_, moves)| *moves == self.0);
        name.map_or("auto", |(name, _)| name).into()
    }
}

/// How the node's log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Human,
    /// A JSON object a line.
    Json,
}

impl SettingValue for LogFormat {
    type Rule = ();

    fn read(raw: &Raw, (): &()) -> Option<Self> {
        match text(raw)? {
            "human" => Some(Self::Human),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    fn expected((): &()) -> String {
        "human or json".to_owned()
    }

    fn shown(&self) -> Value {
        match self {
            Self::Human => "human",
            Self::Json => "json",
        }
        .into()
    }
}

/// What the node logs: a level, or levels by part, such as `info,shunt_amqp_server=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLevel(String);

impl LogLevel {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

    /// The directives for the log's filter.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl SettingValue for LogLevel {
    type Rule = ();

    fn read(raw: &Raw, (): &()) -> Option<Self> {
        let text = text(raw)?;
        // A word without `=` would count as a part's name to the filter, a misspelt level too.
        let is_level = |part: &str| part.contains('=') || Self::LEVELS.contains(&part);
        let is_whole = text.split(',').all(is_level) && EnvFilter::try_new(text).is_ok();
        is_whole.then(|| Self(text.to_owned()))
    }

    fn expected((): &()) -> String {
        format!("{}, or a list of PART=LEVEL", Self::LEVELS.join(", "))
    }

    fn shown(&self) -> Value {
        self.as_str().into()
    }
}
