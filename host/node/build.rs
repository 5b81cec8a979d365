//! Puts the SDKs' sources into the binary: `shunt route new` writes one into the project, which
//! then builds wherever it is.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The SDKs, each a folder of `sdk/`.
const SDKS: [&str; 7] = ["assemblyscript", "c", "go", "javascript", "python", "rust", "zig"];
/// What builds components is written against this file.
const CONTRACT: &str = "wit/shunt-route.wit";
/// The SDKs that have the contract beside them in a project.
const WITH_CONTRACT: [&str; 2] = ["javascript", "python"];
/// Folders and files that are for whoever works on an SDK, not with it.
const LEFT_OUT: [&str; 11] = [
    "target",
    "tests",
    "benches",
    "examples",
    "guests",
    "build",
    "node_modules",
    "__pycache__",
    "tests.zig",
    "Makefile",
    "pyproject.toml",
];

fn main() -> Result<(), Box<dyn Error>> {
    let sdks = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../sdk").canonicalize()?;
    let mut lists = String::new();
    for sdk in SDKS {
        let folder = sdks.join(sdk);
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut files = Vec::new();
        collect(&folder, &mut files)?;
        files.sort();
        let mut named = Vec::new();
        for file in files {
            let name = file.strip_prefix(&folder)?.to_str().ok_or("a name that is no text")?;
            named.push((name.to_owned(), file));
        }
        if WITH_CONTRACT.contains(&sdk) {
            named.push((CONTRACT.to_owned(), sdks.join(CONTRACT)));
        }
        writeln!(lists, "const {}: &[(&str, &str)] = &[", sdk.to_uppercase())?;
        for (name, file) in named {
            println!("cargo::rerun-if-changed={}", file.display());
            let file = file.to_str().ok_or("a path that is no text")?;
            writeln!(lists, "    ({name:?}, include_str!({file:?})),")?;
        }
        writeln!(lists, "];")?;
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("sdks.rs"), lists)?;
    Ok(())
}

/// What an SDK is made of.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if LEFT_OUT.contains(&name) || name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
