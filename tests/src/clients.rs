//! Clients in other languages: small scripts in `clients/`, each run with one argument, a JSON
//! object, that answer a JSON value on standard output.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::wait::Deadline;

const PIKA: &str = "pika==1.4.4";
const CELERY: &str = "celery==5.7.0";
const AMQPLIB: &str = "amqplib@2.3.1";

/// How long a script may run.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Runs a script that uses pika; `None` where there is no Python, which CI does not excuse.
pub fn pika(script: &str, arguments: &Value) -> anyhow::Result<Option<Value>> {
    static ENVIRONMENT: OnceLock<Result<Option<PathBuf>, String>> = OnceLock::new();
    let environment = ENVIRONMENT.get_or_init(|| prepared("pika", "python3", PIKA, make_venv));
    let Some(environment) = found(environment)? else { return Ok(None) };
    let mut command = Command::new(environment.join("bin/python"));
    command.arg("-B").arg(script_path(script));
    run(command, arguments).map(Some)
}

/// Runs a script that uses Celery; `None` where there is no Python, which CI does not excuse.
pub fn celery(script: &str, arguments: &Value) -> anyhow::Result<Option<Value>> {
    static ENVIRONMENT: OnceLock<Result<Option<PathBuf>, String>> = OnceLock::new();
    let environment = ENVIRONMENT.get_or_init(|| prepared("celery", "python3", CELERY, make_venv));
    let Some(environment) = found(environment)? else { return Ok(None) };
    let mut command = Command::new(environment.join("bin/python"));
    command.arg("-B").arg(script_path(script));
    run(command, arguments).map(Some)
}

/// Runs a script that uses amqplib; `None` where there is no Node.js, which CI does not excuse.
pub fn amqplib(script: &str, arguments: &Value) -> anyhow::Result<Option<Value>> {
    static ENVIRONMENT: OnceLock<Result<Option<PathBuf>, String>> = OnceLock::new();
    let environment =
        ENVIRONMENT.get_or_init(|| prepared("amqplib", "node", AMQPLIB, make_modules));
    let Some(environment) = found(environment)? else { return Ok(None) };
    let mut command = Command::new("node");
    command.arg(script_path(script)).env("NODE_PATH", environment.join("node_modules"));
    run(command, arguments).map(Some)
}

fn script_path(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script)
}

fn found(prepared: &Result<Option<PathBuf>, String>) -> anyhow::Result<Option<&Path>> {
    match prepared {
        Ok(environment) => Ok(environment.as_deref()),
        Err(error) => bail!("{error}"),
    }
}

/// A folder with the package in it, made once and by one process at a time.
fn prepared(
    name: &str,
    interpreter: &str,
    package: &str,
    make: fn(&Path, &str) -> anyhow::Result<()>,
) -> Result<Option<PathBuf>, String> {
    let prepare = || -> anyhow::Result<Option<PathBuf>> {
        let version = Command::new(interpreter).arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            ensure!(!is_ci, "{interpreter} is needed, and isn't there");
            eprintln!("skipped: there is no {interpreter} to run {name} with");
            return Ok(None);
        }
        let clients = target_dir().join("test-clients");
        fs::create_dir_all(&clients)?;
        let lock = File::create(clients.join(format!("{name}.lock")))?;
        lock.lock()?;
        let folder = clients.join(name);
        let done = folder.join("package");
        if fs::read_to_string(&done).is_ok_and(|installed| installed == package) {
            return Ok(Some(folder));
        }
        // What another version, or an attempt that broke off, has left.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        make(&folder, package)?;
        fs::write(done, package)?;
        Ok(Some(folder))
    };
    prepare().map_err(|error| format!("{name} can't be prepared: {error:#}"))
}

/// Where this very binary was built, whatever the settings of cargo.
fn target_dir() -> PathBuf {
    let binary = std::env::current_exe().unwrap_or_default();
    let tagged = binary.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    tagged.map_or(beside, Path::to_owned)
}

fn make_venv(folder: &Path, package: &str) -> anyhow::Result<()> {
    finish(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let pip = folder.join("bin/pip");
    finish(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check", package]))
}

fn make_modules(folder: &Path, package: &str) -> anyhow::Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-save", "--ignore-scripts", "--prefix"]);
    finish(npm.arg(folder).arg(package))
}

fn finish(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(())
}

fn run(mut command: Command, arguments: &Value) -> anyhow::Result<Value> {
    command.arg(arguments.to_string()).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // What scripts write fits into a pipe.
    let end = Deadline::after(TIMEOUT).poll("a client's end", || child.try_wait().transpose());
    if end.is_err() {
        let _ = child.kill();
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(end.is_ok() && output.status.success(), "{command:?}: {}\n{said}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| {
        format!("{command:?} answered no JSON: {}", String::from_utf8_lossy(&output.stdout))
    })
}
