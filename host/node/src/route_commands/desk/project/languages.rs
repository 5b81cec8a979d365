//! What a project is made of, by its language.

use clap::ValueEnum as _;

use crate::cli::Language;

include!(concat!(env!("OUT_DIR"), "/sdks.rs"));

/// A project's files and words. In all of them `{name}` stands for the route's name, and
/// `{python_module}` for the same as a name in Python.
pub(super) struct Template {
    pub(super) language: &'static str,
    /// The rule's file.
    pub(super) source: &'static str,
    /// What is deployed.
    pub(super) module: &'static str,
    /// What runs the tests that need no broker.
    pub(super) native_test: &'static str,
    /// Texts by their paths in the project.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// The SDK, by paths in its folder `sdk`.
    pub(super) sdk: &'static [(&'static str, &'static str)],
}

/// The language of that name in a manifest.
pub(super) fn parse(name: &str) -> Option<Language> {
    Language::from_str(name, false).ok()
}

/// A file of `templates/`.
macro_rules! file {
    ($path:literal) => {
        include_str!(concat!("../../../../templates/", $path, ".in"))
    };
}

/// The files of a language's own, and those of every project.
macro_rules! files {
    ($(($path:literal, $text:expr),)*) => {
        &[
            $(($path, $text),)*
            ("route.toml", file!("route.toml")),
            ("cases.json", file!("cases.json")),
            ("README.md", file!("README.md")),
        ]
    };
}

/// The project of a language.
pub(super) fn template(language: Language) -> &'static Template {
    match language {
        Language::Rust => &Template {
            language: "rust",
            source: "src/lib.rs",
            module: "{name}.wasm",
            native_test: "cargo test",
            files: files![
                ("Cargo.toml", file!("rust/Cargo.toml")),
                ("src/lib.rs", file!("rust/lib.rs")),
                (".gitignore", "/target\n"),
            ],
            sdk: RUST,
        },
        Language::Go => &Template {
            language: "go",
            source: "main.go",
            module: "{name}.wasm",
            native_test: "go test .",
            files: files![
                ("go.mod", file!("go/go.mod")),
                ("main.go", file!("go/main.go")),
                ("main_test.go", file!("go/main_test.go")),
            ],
            sdk: GO,
        },
        Language::C => &Template {
            language: "c",
            source: "{name}.c",
            module: "{name}.wasm",
            native_test: "cc -I sdk/include -o {name}_test {name}_test.c && ./{name}_test",
            files: files![
                ("{name}.c", file!("c/route.c")),
                ("{name}_test.c", file!("c/route_test.c")),
                (".gitignore", "/{name}_test\n"),
            ],
            sdk: C,
        },
        Language::AssemblyScript => &Template {
            language: "assemblyscript",
            source: "{name}.ts",
            module: "{name}.wasm",
            native_test: "npm install && shunt route build && node --test",
            files: files![
                ("{name}.ts", file!("assemblyscript/route.ts")),
                ("{name}.test.mjs", file!("assemblyscript/route.test.mjs")),
                ("package.json", file!("assemblyscript/package.json")),
                (".gitignore", "/node_modules\n"),
            ],
            sdk: ASSEMBLYSCRIPT,
        },
        Language::JavaScript => &Template {
            language: "javascript",
            source: "{name}.js",
            module: "{name}.js",
            native_test: "node --import ./sdk/register.js --test {name}.test.js",
            files: files![
                ("{name}.js", file!("javascript/route.js")),
                ("{name}.test.js", file!("javascript/route.test.js")),
                ("package.json", file!("javascript/package.json")),
                ("jsconfig.json", file!("javascript/jsconfig.json")),
            ],
            sdk: JAVASCRIPT,
        },
        Language::Python => &Template {
            language: "python",
            source: "{python_module}.py",
            module: "{name}.wasm",
            native_test: "python3 test_{python_module}.py",
            files: files![
                ("{python_module}.py", file!("python/route.py")),
                ("test_{python_module}.py", file!("python/test_route.py")),
                (".gitignore", "__pycache__\n"),
            ],
            sdk: PYTHON,
        },
        Language::Zig => &Template {
            language: "zig",
            source: "{name}.zig",
            module: "{name}.wasm",
            native_test: "zig test --dep shunt -Mroot={name}.zig -Mshunt=sdk/shunt.zig",
            files: files![("{name}.zig", file!("zig/route.zig")),],
            sdk: ZIG,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_carries_its_sdk_and_its_manifest_names_its_language() {
        for language in Language::value_variants() {
            let template = template(*language);
            assert_eq!(parse(template.language), Some(*language));
            let names: Vec<_> = template.sdk.iter().map(|(name, _)| *name).collect();
            assert!(names.contains(&"README.md"), "{names:?}");
            assert!(!names.iter().any(|name| name.contains("guests")), "{names:?}");
            let has = |path: &str| template.files.iter().any(|(name, _)| *name == path);
            assert!(has(template.source) && has("route.toml") && has("cases.json"));
        }
    }
}
