//! The binary that is tested: built once, run without any setting of this machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, anyhow, ensure};
use serde_json::Value;

/// Names a binary that is tested instead of the one of this workspace.
const OVERRIDE: &str = "SHUNT_BIN";

/// The path of `shunt`, which is built at the first call.
pub fn binary() -> anyhow::Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BINARY.get_or_init(|| match std::env::var_os(OVERRIDE) {
        Some(path) => Ok(path.into()),
        None => build().map_err(|error| format!("{error:#}")),
    });
    built.as_deref().map_err(|error| anyhow!("{error}"))
}

fn build() -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    cargo.args(["build", "--package", "shunt", "--bin", "shunt"]);
    cargo.arg("--message-format=json-render-diagnostics");
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.stdin(Stdio::null()).output().context("cargo can't be run")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "shunt can't be built:\n{said}");
    let messages = output.stdout.split(|&byte| byte == b'\n');
    let messages = messages.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut binaries = messages.filter_map(|message| {
        (message["target"]["name"] == "shunt").then_some(())?;
        message["executable"].as_str().map(PathBuf::from)
    });
    binaries.next_back().context("cargo named no binary")
}

/// A call of `shunt` that knows no setting but those of its arguments.
pub fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> anyhow::Result<Command> {
    let mut command = Command::new(binary()?);
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SHUNT_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}
