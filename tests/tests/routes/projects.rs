//! `shunt route new` and `build`: a project of each language builds and passes its tests at once.
//! A language whose tools aren't there is skipped, though not in CI; `scripts/build-guests.sh`
//! installs some of them below `target/guest-tools`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use shunt_tests::command;

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guest-tools")
}

/// Where programs are found: those of the tools first.
fn path() -> OsString {
    let own = [tools().join("python/bin")];
    let usual = std::env::var_os("PATH").unwrap();
    let more = [PathBuf::from("/usr/local/go/bin")];
    std::env::join_paths(own.into_iter().chain(std::env::split_paths(&usual)).chain(more)).unwrap()
}

fn run(folder: &Path, line: &str) -> Output {
    let mut shell = Command::new("sh");
    shell.current_dir(folder).args(["-c", line]).env("PATH", path()).env("PYTHONPATH", "");
    shell.output().unwrap()
}

/// Whether the command worked, its output and its error.
fn shunt(folder: &Path, arguments: &[&str]) -> (bool, String, String) {
    let mut command = command(arguments).unwrap();
    let command = command.current_dir(folder).env("PATH", path());
    let output = command.env("XDG_CACHE_HOME", folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// A project of the language, whose tools `needs` looks for; `tests` are those that need no
/// broker, run after the build.
#[track_caller]
fn check(language: &str, needs: &str, prepare: &str, tests: &str) {
    let parent = tempfile::tempdir().unwrap();
    if !run(parent.path(), needs).status.success() {
        let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!is_ci, "{language} has no tools: {needs}");
        eprintln!("skipped: {language} has no tools: {needs}");
        return;
    }
    let new = ["route", "new", "--lang", language, "geo-fence"];
    let (written, said, error) = shunt(parent.path(), &new);
    assert!(written && said.starts_with("geo-fence is written."), "{said}{error}");
    let project = parent.path().join("geo-fence");
    assert!(run(&project, prepare).status.success());
    let (built, said, error) = shunt(&project, &["route", "build"]);
    assert!(built, "{said}{error}");
    let tested = run(&project, tests);
    let said = [tested.stdout, tested.stderr].concat();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&said));
    let module = if language == "javascript" { "geo-fence.js" } else { "geo-fence.wasm" };
    let (passed, said, error) = shunt(&project, &["route", "test", "--module", module]);
    assert!(passed && said.ends_with("3 passed, 0 failed\n"), "{said}{error}");
}

#[test]
fn javascript() {
    let tests = "node --import ./sdk/register.js --test geo-fence.test.js";
    check("javascript", "node --version", "true", tests);
}

#[test]
fn go() {
    check("go", "go version", "true", "go test .");
}

#[test]
fn c() {
    let needs = "cc --version && (clang-19 --print-targets || clang --print-targets) | grep wasm32";
    let tests = "cc -I sdk/include -o geo-fence_test geo-fence_test.c && ./geo-fence_test";
    check("c", needs, "true", tests);
}

#[test]
fn zig() {
    let tests = "python3 -m ziglang test --dep shunt -Mroot=geo-fence.zig -Mshunt=sdk/shunt.zig";
    check("zig", "python3 -m ziglang version", "true", tests);
}

#[test]
fn assemblyscript() {
    let installed = tools().join("npm/node_modules");
    let needs = format!("test -f {}/assemblyscript/bin/asc.js", installed.display());
    let link = format!("ln -s {} node_modules", installed.display());
    check("assemblyscript", &needs, &link, "node --test geo-fence.test.mjs");
}

#[test]
fn python() {
    check("python", "componentize-py --version", "true", "python3 test_geo_fence.py");
}

#[test]
fn rust() {
    let folder = tempfile::tempdir().unwrap();
    let (written, said, error) = shunt(folder.path(), &["route", "new", "--lang", "rust", "geo"]);
    assert!(written && said.starts_with("geo is written."), "{said}{error}");
    let (_, _, error) = shunt(folder.path(), &["route", "new", "geo"]);
    assert!(error.contains("geo is there already"), "{error}");
    let (_, _, error) = shunt(folder.path(), &["route", "new", "Geo!"]);
    assert!(error.contains("no name of a project"), "{error}");

    let project = folder.path().join("geo");
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.current_dir(&project).args(["test", "--quiet"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the new project fails its tests:\n{said}");
    // The module itself takes a target that may not be here; then that is what is said.
    let (built, _, error) = shunt(&project, &["route", "build"]);
    if built {
        let (passed, said, error) = shunt(&project, &["route", "test", "--module", "geo.wasm"]);
        assert!(passed && said.ends_with("3 passed, 0 failed\n"), "{said}{error}");
    } else {
        assert!(error.contains("rustup target add wasm32-unknown-unknown"), "{error}");
    }
}

#[test]
fn what_can_not_be_built_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (_, _, error) = shunt(folder.path(), &["route", "build"]);
    assert!(error.contains("no route.toml in"), "{error}");
    let manifest = folder.path().join("route.toml");
    std::fs::write(&manifest, "name = \"r\"\nlanguage = \"cobol\"\n").unwrap();
    let (_, _, error) = shunt(folder.path(), &["route", "build"]);
    assert!(error.contains("there is no SDK for 'cobol'"), "{error}");
    std::fs::write(&manifest, "name = \"r\"\nlanguage = \"assemblyscript\"\n").unwrap();
    let (_, _, error) = shunt(folder.path(), &["route", "build"]);
    assert!(error.contains("npm install"), "{error}");
}
