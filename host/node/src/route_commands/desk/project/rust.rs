//! Building a module in Rust.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow, bail, ensure};

/// The target that routes in Rust are built for.
const WASM: &str = "wasm32-unknown-unknown";

/// Builds the project's module, puts it beside its manifest, and answers its path.
pub(super) fn build(folder: &Path) -> anyhow::Result<PathBuf> {
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
    fs::copy(&built, &module).with_context(|| built.display().to_string())?;
    Ok(module)
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
