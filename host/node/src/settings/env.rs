//! Settings from the environment: `SHUNT_`, the section, the name, in capitals. The section
//! `node` is left out: `SHUNT_DATA_DIR`.

use std::ffi::OsString;
use std::path::PathBuf;

use super::NAMES;
use super::given::{SettingError, suggestion};

const PREFIX: &str = "SHUNT_";

/// Names the file of settings.
const CONFIG: &str = "SHUNT_CONFIG";

/// Read by the commands that talk to a node (see `cli.rs`); may be set for all of them.
const CLIENT: &[&str] = &["SHUNT_URL", "SHUNT_USER", "SHUNT_PASSWORD", "SHUNT_VHOST"];

/// Read by the scripts that build guests, run a peer, or run others' test suites: whoever exports
/// them for these may start a node from the same shell.
const SCRIPTS: &[&str] = &["SHUNT_PEER_", "SHUNT_SUITE_", "SHUNT_SOAK_", "SHUNT_WASM_TOOLCHAIN"];

/// What Kubernetes puts into every pod beside a service of the name `shunt`.
const KUBERNETES: &[&str] = &["SHUNT_SERVICE_", "SHUNT_PORT_"];

/// What the environment gives.
#[derive(Debug, Default)]
pub(super) struct Environment {
    pub(super) config: Option<PathBuf>,
    /// Setting, variable and value.
    pub(super) values: Vec<(&'static str, String, String)>,
}

/// Reads the variables that are ours. An empty one counts as not set.
pub(super) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Environment, SettingError> {
    let mut environment = Environment::default();
    for (variable, value) in variables {
        let variable = variable.to_string_lossy().into_owned();
        if !variable.starts_with(PREFIX) || value.is_empty() || is_foreign(&variable) {
            continue;
        }
        if variable == CONFIG {
            environment.config = Some(value.into());
            continue;
        }
        let name = NAMES.iter().find(|name| variable_of(name) == variable);
        let name = name.ok_or_else(|| unknown(&variable))?;
        let value = value
            .into_string()
            .map_err(|_| SettingError::NotText { variable: variable.clone() })?;
        environment.values.push((name, variable, value));
    }
    Ok(environment)
}

/// The variable of a setting.
fn variable_of(name: &str) -> String {
    let name = name.strip_prefix("node.").unwrap_or(name);
    format!("{PREFIX}{}", name.replace('.', "_").to_uppercase())
}

/// Starts with our prefix and is none of our settings.
fn is_foreign(variable: &str) -> bool {
    CLIENT.contains(&variable)
        || variable == "SHUNT_PORT"
        || SCRIPTS.iter().chain(KUBERNETES).any(|prefix| variable.starts_with(prefix))
}

fn unknown(variable: &str) -> SettingError {
    let names: Vec<String> = NAMES.iter().map(|name| variable_of(name)).collect();
    let names = names.iter().map(String::as_str).chain([CONFIG]);
    let suggestion = suggestion(variable, names, "");
    SettingError::UnknownVariable { variable: variable.to_owned(), suggestion }
}
