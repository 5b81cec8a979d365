//! `shunt route new` and `build`: a project for a route, and its module.

mod build;
mod languages;
mod rust;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use serde_json::json;

use self::languages::{Template, template};
use crate::cli::{BuildArgs, Language, NewArgs};
use crate::output::{self, OutputFormat};

/// A project's manifest.
const MANIFEST: &str = "route.toml";

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
    let template = template(arguments.lang);
    for (path, text) in template.files {
        write(&folder.join(template.fill(path, name)), &template.fill(text, name))?;
    }
    for (path, text) in template.sdk {
        write(&folder.join("sdk").join(path), text)?;
    }
    let fill = |text| template.fill(text, name);
    output::print(&match format {
        OutputFormat::Json => {
            output::render(&json!({"name": name, "folder": folder.display().to_string()}), format)
        }
        OutputFormat::Human => format!(
            "{0} is written. Next:\n  cd {0}\n  {1}\n  shunt route build\n  shunt route test \
             --module {2}\n",
            folder.display(),
            fill(template.native_test),
            fill(template.module),
        ),
    })
}

impl Template {
    /// A text of the template with what stands for the route's names.
    fn fill(&self, text: &str, name: &str) -> String {
        text.replace("{native_test}", self.native_test)
            .replace("{module}", self.module)
            .replace("{source}", self.source)
            .replace("{language}", self.language)
            .replace("{python_module}", &name.replace('-', "_"))
            .replace("{name}", name)
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all);
    written.and_then(|()| fs::write(path, text)).with_context(|| path.display().to_string())
}

/// Builds the project's module and puts it beside its manifest.
pub(in super::super) fn build(arguments: &BuildArgs, format: OutputFormat) -> anyhow::Result<()> {
    let folder = &arguments.folder;
    let (name, language) = manifest(folder)?;
    let module = match language {
        Language::Rust => rust::build(folder)?,
        other => build::build(folder, &name, other)?,
    };
    let size = fs::metadata(&module).with_context(|| module.display().to_string())?.len();
    output::print(&match format {
        OutputFormat::Json => {
            output::render(&json!({"module": module.display().to_string(), "bytes": size}), format)
        }
        OutputFormat::Human if language == Language::JavaScript => {
            format!("{}: {size} bytes, deployed as it is\n", module.display())
        }
        OutputFormat::Human => format!("{}: {size} bytes\n", module.display()),
    })
}

/// The route's name and language. A project in Rust may have nothing but its Cargo.toml.
fn manifest(folder: &Path) -> anyhow::Result<(String, Language)> {
    let file = folder.join(MANIFEST);
    if !file.exists() && folder.join("Cargo.toml").exists() {
        return Ok((String::new(), Language::Rust));
    }
    let text = fs::read_to_string(&file).with_context(|| {
        format!("no {MANIFEST} in {}: name a project's folder", folder.display())
    })?;
    let manifest: toml::Table = text.parse().with_context(|| file.display().to_string())?;
    let said = |key: &str| {
        let value = manifest.get(key).and_then(toml::Value::as_str);
        value.ok_or_else(|| anyhow!("{} has no {key}", file.display()))
    };
    let (name, spelled) = (said("name")?, said("language")?);
    let language = languages::parse(spelled)
        .ok_or_else(|| anyhow!("{}: there is no SDK for '{spelled}'", file.display()))?;
    Ok((name.to_owned(), language))
}
