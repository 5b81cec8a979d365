//! What a project's `route.toml` says to the commands: its guards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use shunt_wasm::Guards;

use crate::cli::GuardArgs;

/// The manifest's name, where none is given.
const MANIFEST: &str = "route.toml";

/// Names and rules of the guards for a module: the manifest's, and those that were given in their
/// place.
pub(super) fn guards(
    arguments: &GuardArgs,
    module: &Path,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut guards = match manifest(arguments, module) {
        Some(file) => {
            let text = std::fs::read_to_string(&file);
            let text = text.with_context(|| format!("can't read {}", file.display()))?;
            read(&text).with_context(|| file.display().to_string())?
        }
        None => BTreeMap::new(),
    };
    for guard in &arguments.guards {
        let (name, rule) = guard
            .split_once('=')
            .ok_or_else(|| anyhow!("--guard '{guard}' is not of the form NAME=RULE"))?;
        guards.insert(name.to_owned(), rule.to_owned());
    }
    // Told here, with what was given, as a node would tell it.
    Guards::parse(&guards)?;
    Ok(guards)
}

fn manifest(arguments: &GuardArgs, module: &Path) -> Option<PathBuf> {
    let beside = || Some(module.with_file_name(MANIFEST)).filter(|file| file.is_file());
    arguments.manifest.clone().or_else(beside)
}

fn read(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let manifest: toml::Table = text.parse()?;
    let Some(guards) = manifest.get("guards") else { return Ok(BTreeMap::new()) };
    let guards = guards.as_table().ok_or_else(|| anyhow!("'guards' is no table"))?;
    let rules = guards.iter().map(|(name, rule)| {
        let rule = rule.as_str().ok_or_else(|| anyhow!("guard '{name}' is no text"))?;
        Ok((name.clone(), rule.to_owned()))
    });
    rules.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_and_arguments_are_one_set() {
        let folder = tempfile::tempdir().unwrap();
        let module = folder.path().join("geo.wasm");
        let given = |guards: &[&str]| GuardArgs {
            guards: guards.iter().map(|&guard| guard.to_owned()).collect(),
            manifest: None,
        };
        assert!(guards(&given(&[]), &module).unwrap().is_empty());
        let text = "name = \"geo\"\n[guards]\na = \"at least 1\"\nb = \"at most 2\"\n";
        std::fs::write(folder.path().join(MANIFEST), text).unwrap();
        let both = guards(&given(&["b=at most 3", "c=keys orders.#"]), &module).unwrap();
        let rules: Vec<_> = both.iter().map(|(name, rule)| format!("{name}: {rule}")).collect();
        assert_eq!(rules, ["a: at least 1", "b: at most 3", "c: keys orders.#"]);
        let error = guards(&given(&["c"]), &module).unwrap_err().to_string();
        assert!(error.contains("NAME=RULE"), "{error}");
        let error = guards(&given(&["c=body"]), &module).unwrap_err().to_string();
        assert!(error.contains("'body' is no rule"), "{error}");
        assert!(read("guards = 1").unwrap_err().to_string().contains("no table"));
        assert!(read("[guards]\na = 1").unwrap_err().to_string().contains("'a' is no text"));
        let arguments = GuardArgs { guards: vec![], manifest: Some("none.toml".into()) };
        assert!(guards(&arguments, &module).unwrap_err().to_string().contains("none.toml"));
    }
}
