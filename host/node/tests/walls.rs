//! The walls of the house: which crate may depend on which stands in a table of ARCHITECTURE.md,
//! and no manifest may say otherwise. Beside it, what else a machine can see of the style.

#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected is found")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The rows of the table: crate, and the crates of ours that it may import.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = map.split("| crate | may import of ours |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let names = |cell: &str| -> BTreeSet<String> {
        cell.split(',').map(|name| name.trim().trim_matches('`').to_owned()).collect()
    };
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        let own = cells[1].trim().trim_matches('`').to_owned();
        let imports = match cells[2].trim() {
            "nothing" => BTreeSet::new(),
            cell => names(cell),
        };
        (own, imports)
    })
    .collect()
}

/// The folders under `host`, with the crates of ours that each manifest names.
fn manifests() -> BTreeMap<String, BTreeSet<String>> {
    let host = root().join("host");
    let folders = fs::read_dir(host).unwrap().map(|entry| entry.unwrap().path());
    folders
        .filter(|folder| folder.join("Cargo.toml").exists())
        .map(|folder| {
            let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            let manifest: toml::Table = text.parse().unwrap();
            let imports = ["dependencies", "dev-dependencies", "build-dependencies"]
                .into_iter()
                .filter_map(|section| manifest.get(section)?.as_table())
                .flat_map(|section| section.keys())
                .filter_map(|name| name.strip_prefix("shunt-"))
                .map(str::to_owned);
            (folder.file_name().unwrap().to_string_lossy().into_owned(), imports.collect())
        })
        .collect()
}

#[test]
fn no_crate_depends_on_one_that_it_may_not() {
    let allowed = allowed();
    assert!(allowed.len() >= 10, "the table is not where it was: {allowed:?}");
    for (own, imports) in manifests() {
        let Some(may) = allowed.get(&own) else { panic!("host/{own} is not in the table") };
        if may.contains("all") {
            continue;
        }
        for import in imports {
            assert!(may.contains(&import), "host/{own} may not depend on host/{import}");
        }
    }
}

#[test]
fn the_table_names_crates_that_exist_or_are_to_come() {
    let manifests = manifests();
    let to_come = ["raft", "cluster"];
    for own in allowed().keys() {
        let known = manifests.contains_key(own) || to_come.contains(&own.as_str());
        assert!(known, "the table has a crate '{own}' that isn't there");
    }
}

#[test]
fn only_the_wasm_crate_imports_wasmtime_and_sync_crates_no_tokio() {
    let sync = ["types", "amqp-codec", "routing", "auth", "storage", "wasm", "broker"];
    for folder in manifests().keys() {
        let text = fs::read_to_string(root().join("host").join(folder).join("Cargo.toml")).unwrap();
        let names = |name: &str| text.lines().any(|line| line.starts_with(name));
        assert!(folder == "wasm" || !names("wasmtime"), "host/{folder} imports wasmtime");
        assert!(!sync.contains(&folder.as_str()) || !names("tokio"), "host/{folder} imports tokio");
        let json = ["http-api", "node", "perf"].contains(&folder.as_str());
        assert!(json || !names("serde_json"), "host/{folder} knows JSON");
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn rooms_are_small_and_tidy() {
    let mut files = Vec::new();
    sources(&root().join("host"), &mut files);
    sources(&root().join("tests"), &mut files);
    assert!(files.len() > 100);
    let unfinished = ["FIX", "ME"].concat();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        assert!(lines <= 700, "{} has {lines} lines: split it", path.display());
        assert!(!text.contains(&unfinished), "{} is unfinished", path.display());
    }
}

#[test]
fn the_map_names_files_that_exist() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let quoted = map.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|text| {
        let is_path = ["host/", "tests/", "sdk/", "examples/", "docs/"];
        is_path.iter().any(|start| text.starts_with(start)) && !text.contains(['<', '*', ' '])
    });
    let to_come = ["host/raft/", "host/cluster/"];
    for path in paths.filter(|path| !to_come.contains(path)) {
        assert!(root().join(path).exists(), "ARCHITECTURE.md names {path}, which isn't there");
    }
}
