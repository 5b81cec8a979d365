//! Puts the Rust SDK's sources into the binary: `shunt route new` writes them into the project,
//! which then builds wherever it is.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let sdk = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../sdk/rust").canonicalize()?;
    let mut files = Vec::new();
    for package in ["shunt-route", "shunt-route-macros"] {
        collect(&sdk.join(package), &mut files)?;
    }
    files.push(sdk.join("Cargo.toml"));
    files.sort();
    let mut list = String::from("&[");
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.strip_prefix(&sdk)?.to_str().ok_or("a name that is no text")?;
        write!(list, "({name:?}, include_str!({:?})), ", file.to_str().ok_or("no text")?)?;
    }
    list.push(']');
    println!("cargo::rerun-if-changed={}", sdk.display());
    fs::write(Path::new(&env::var("OUT_DIR")?).join("rust_sdk.rs"), list)?;
    Ok(())
}

/// What a package is made of, without its tests' own folder and what was built.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !["target", "tests", "benches", "examples"].contains(&name) {
                collect(&path, files)?;
            }
        } else if name == "Cargo.toml" || name.ends_with(".rs") || name.ends_with(".md") {
            files.push(path);
        }
    }
    Ok(())
}
