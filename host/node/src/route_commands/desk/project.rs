//! `shunt route new` and `build`: a project for a route, and its module.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::json;

use crate::cli::{BuildArgs, Language, NewArgs};
use crate::output::{self, OutputFormat};

/// The files of a Rust project, by their paths; `{name}` stands for the route's name.
const RUST: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../../templates/rust/Cargo.toml.in")),
    ("src/lib.rs", include_str!("../../../templates/rust/lib.rs.in")),
    ("cases.json", include_str!("../../../templates/rust/cases.json.in")),
    ("README.md", include_str!("../../../templates/rust/README.md.in")),
    (".gitignore", "/target\n"),
];

/// The SDK's sources, by their paths in `sdk/`.
const RUST_SDK: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/rust_sdk.rs"));

/// The target that routes in Rust are built for.
const WASM: &str = "wasm32-unknown-unknown";

/// Writes a project into a new folder.
pub(in super::super) fn new(arguments: &NewArgs, format: OutputFormat) -> anyhow::Result<()> {
    let name = &arguments.name;
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    ensure!(
        name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_good),
        "'{name}' is no name of a project: take lower-case letters, digits and '-'"
    );
    let folder = arguments.folder.clone().unwrap_or_else(|| PathBuf::from(name));
    ensure!(!folder.exists(), "{} is there already", folder.display());
    let (files, sdk) = match arguments.lang {
        Language::Rust => (RUST, RUST_SDK),
    };
    for (path, text) in files {
        write(&folder.join(path), &text.replace("{name}", name))?;
    }
    for (path, text) in sdk {
        write(&folder.join("sdk").join(path), text)?;
    }
    output::print(&match format {
        OutputFormat::Json => {
            output::render(&json!({"name": name, "folder": folder.display().to_string()}), format)
        }
        OutputFormat::Human => format!(
            "{0} is written. Next:\n  cd {0}\n  cargo test\n  shunt route build\n  shunt route \
             test --module {name}.wasm\n",
            folder.display()
        ),
    })
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all);
    written.and_then(|()| fs::write(path, text)).with_context(|| path.display().to_string())
}

/// Builds the project's module and puts it beside its manifest.
pub(in super::super) fn build(arguments: &BuildArgs, format: OutputFormat) -> anyhow::Result<()> {
    let folder = &arguments.folder;
    let manifest = folder.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).with_context(|| {
        format!("no Cargo.toml in {}: name a project's folder", folder.display())
    })?;
    let manifest: toml::Table = text.parse().context("Cargo.toml can't be read")?;
    let name = manifest.get("package").and_then(|package| package.get("name")?.as_str());
    let name = name.ok_or_else(|| anyhow!("Cargo.toml names no package"))?;
    let target_folder = std::path::absolute(folder.join("target"))?;
    let mut cargo = Command::new("cargo");
    cargo.current_dir(folder).env("CARGO_TARGET_DIR", &target_folder);
    // A small stack leaves a route with one page of memory; what builds it stays out of it.
    let home = std::env::var("HOME").unwrap_or_default();
    let here = std::path::absolute(folder)?.display().to_string();
    let mut flags = vec!["-Clink-arg=-zstack-size=32768".to_owned()];
    flags.push(format!("--remap-path-prefix={here}=/route"));
    if !home.is_empty() {
        flags.push(format!("--remap-path-prefix={home}=/home"));
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    cargo.args(["build", "--release", "--target", WASM, "--lib"]);
    check_toolchain()?;
    let status = cargo.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.context("cargo can't be run; install Rust from https://rustup.rs")?;
    ensure!(status.success(), "the route does not build; what cargo says stands above");
    let built = target_folder.join(WASM).join("release");
    let built = built.join(format!("{}.wasm", name.replace('-', "_")));
    let module = folder.join(format!("{name}.wasm"));
    let size = fs::copy(&built, &module).with_context(|| built.display().to_string())?;
    output::print(&match format {
        OutputFormat::Json => {
            output::render(&json!({"module": module.display().to_string(), "bytes": size}), format)
        }
        OutputFormat::Human => format!("{}: {size} bytes\n", module.display()),
    })
}

/// Says what is missing, and how it is installed, before cargo says it in its own way.
fn check_toolchain() -> anyhow::Result<()> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).stdin(Stdio::null()).output();
    let sysroot = match sysroot {
        Ok(output) if output.status.success() => output.stdout,
        _ => bail!("rustc can't be run; install Rust from https://rustup.rs"),
    };
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot).trim());
    ensure!(
        sysroot.join("lib/rustlib").join(WASM).is_dir(),
        "Rust's target {WASM} is missing; install it by: rustup target add {WASM}"
    );
    Ok(())
}
