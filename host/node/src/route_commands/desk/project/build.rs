//! Building a module by the tools of its language.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

use crate::cli::Language;

/// Builds the module of a project that isn't in Rust, and answers its path.
pub(super) fn build(folder: &Path, name: &str, language: Language) -> anyhow::Result<PathBuf> {
    let module = format!("{name}.wasm");
    let (mut command, advice) = match language {
        Language::Rust => bail!("Rust has a build of its own"),
        Language::JavaScript => return Ok(folder.join(format!("{name}.js"))),
        Language::Go => {
            let mut go = Command::new("go");
            go.env("GOOS", "wasip1").env("GOARCH", "wasm");
            go.args(["build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w"]);
            go.args(["-o", &module, "."]);
            (go, "install Go 1.24 or newer from https://go.dev")
        }
        Language::C => {
            let clang = first(&["clang-19", "clang"]).unwrap_or("clang");
            let mut clang = Command::new(clang);
            clang.args(["--target=wasm32", "-O2", "-std=c11", "-ffreestanding", "-nostdlib"]);
            clang.args(["-I", "sdk/include", "-Wl,--no-entry", "-Wl,--strip-all"]);
            clang.args(["-Wl,--stack-first", "-Wl,-z,stack-size=16384"]);
            clang.args(["-o", &module, &format!("{name}.c")]);
            (clang, "install clang and lld, 19 or newer")
        }
        Language::AssemblyScript => {
            let compiler = "node_modules/assemblyscript/bin/asc.js";
            let is_there = folder.join(compiler).exists();
            ensure!(is_there, "the compiler is missing; install it by: npm install");
            let mut node = Command::new("node");
            node.args([compiler, &format!("{name}.ts"), "-O3", "--runtime", "incremental"]);
            node.args(["-o", &module]);
            (node, "install Node.js 20 or newer")
        }
        Language::Python => {
            let mut python = python(folder);
            python.env("PYTHONPATH", "sdk").args(["-m", "shunt_route.build"]);
            python.args([&format!("{}.py", name.replace('-', "_")), "-o", &module]);
            (python, "install Python 3.11 or newer")
        }
        Language::Zig => {
            let mut zig = match first(&["zig"]) {
                Some(zig) => Command::new(zig),
                // As `pip install ziglang` has it.
                None => {
                    let mut python = python(folder);
                    python.args(["-m", "ziglang"]);
                    python
                }
            };
            zig.args(["build-exe", "-target", "wasm32-freestanding", "-O", "ReleaseSmall"]);
            zig.args(["-fno-entry", "-fstrip", "-rdynamic", "--stack", "16384", "--dep", "shunt"]);
            zig.args([&format!("-Mroot={name}.zig"), "-Mshunt=sdk/shunt.zig"]);
            zig.arg(format!("-femit-bin={module}"));
            (zig, "install Zig 0.17.1, such as by: pip install ziglang==0.17.1")
        }
    };
    let tool = command.get_program().to_string_lossy().into_owned();
    let status = command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("{tool} can't be run; {advice}"))?;
    ensure!(
        status.success(),
        "the route does not build; what {tool} says stands above (it takes: {advice})"
    );
    Ok(folder.join(module))
}

/// The interpreter of the project's own environment, or else of the system.
fn python(folder: &Path) -> Command {
    let own = folder.join("venv/bin/python");
    if own.exists() { Command::new("venv/bin/python") } else { Command::new("python3") }
}

/// The first of these programs that is there.
fn first(names: &[&'static str]) -> Option<&'static str> {
    let paths = std::env::var_os("PATH")?;
    names
        .iter()
        .copied()
        .find(|name| std::env::split_paths(&paths).any(|path| path.join(name).is_file()))
}
