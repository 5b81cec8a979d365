//! `shunt config show`: the settings in force. The form for people is a file of settings that
//! would give the same.

use serde_json::json;

use super::{LoadedSettings, SECRETS, Source};
use crate::output::{self, OutputFormat};

/// The settings, each with where it came from.
pub(crate) fn show(loaded: &LoadedSettings, format: OutputFormat) -> String {
    match format {
        OutputFormat::Human => human(loaded),
        OutputFormat::Json => json(loaded),
    }
}

fn human(loaded: &LoadedSettings) -> String {
    let mut text = String::new();
    let of_one_section = |a: &super::ShownSetting, b: &super::ShownSetting| {
        a.name.split('.').next() == b.name.split('.').next()
    };
    for section in loaded.shown.chunk_by(of_one_section) {
        let mut lines = Vec::new();
        for setting in section {
            let (section, name) = setting.name.split_once('.').unwrap_or(("", setting.name));
            if lines.is_empty() {
                let gap = if text.is_empty() { "" } else { "\n" };
                text.push_str(&format!("{gap}[{section}]\n"));
            }
            // A secret's mask must not be taken for the secret when the text becomes a file.
            let mark = if SECRETS.contains(&setting.name) { "# " } else { "" };
            // JSON's strings, numbers and lists are TOML's.
            let assignment = format!("{mark}{name} = {}", setting.value);
            lines.push(vec![assignment, format!("# {}", setting.source)]);
        }
        text.push_str(&output::align(&lines));
    }
    text
}

fn json(loaded: &LoadedSettings) -> String {
    let settings = loaded.shown.iter().map(|setting| {
        let source = match &setting.source {
            Source::Default => json!({"kind": "default"}),
            Source::File { path, line } => {
                json!({"kind": "file", "path": path.to_string_lossy(), "line": line})
            }
            Source::Environment { variable } => {
                json!({"kind": "environment", "variable": variable})
            }
            Source::Flag { flag } => json!({"kind": "flag", "flag": flag}),
        };
        json!({"name": setting.name, "value": setting.value, "source": source})
    });
    let settings: Vec<_> = settings.collect();
    format!("{:#}\n", json!({ "settings": settings }))
}
