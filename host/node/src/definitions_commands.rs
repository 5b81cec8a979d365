//! `shunt definitions …`: all that is declared, out of a node and into one.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use hyper::Method;
use serde_json::Value;

use crate::cli::{DefinitionsAction, DefinitionsCommand};
use crate::http_client::{HttpClient, RequestBody, encode_segment};
use crate::output::{self, OutputFormat};

/// Does what the command says.
pub(crate) fn run(command: DefinitionsCommand) -> anyhow::Result<()> {
    let DefinitionsCommand { node, only_vhost, action } = command;
    let client = HttpClient::of(&node)?;
    let path = match only_vhost {
        true => format!("/api/definitions/{}", encode_segment(&node.vhost)),
        false => "/api/definitions".to_owned(),
    };
    match action {
        DefinitionsAction::Export { file } => {
            let definitions = client.send(Method::GET, &path, RequestBody::Empty)?;
            let text = format!("{definitions:#}\n");
            if is_standard(&file) {
                return output::print(&text);
            }
            write(&file, &text).with_context(|| format!("can't write {}", file.display()))
        }
        DefinitionsAction::Import { file } => {
            let text = read(&file).with_context(|| format!("can't read {}", file.display()))?;
            let report = client.send(Method::POST, &path, RequestBody::JsonText(text))?;
            output::print(&match node.output {
                OutputFormat::Human => told(&report),
                OutputFormat::Json => output::render(&report, node.output),
            })
        }
    }
}

fn is_standard(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// The hashes of passwords are in it.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    if !is_standard(file) {
        return std::fs::read(file);
    }
    let mut text = Vec::new();
    std::io::stdin().lock().read_to_end(&mut text)?;
    Ok(text)
}

/// What an import did, for people.
fn told(report: &Value) -> String {
    let counted = [
        "users",
        "vhosts",
        "permissions",
        "topic_permissions",
        "policies",
        "exchanges",
        "queues",
        "bindings",
    ];
    let counts =
        counted.map(|kind| format!("{} {}", report["imported"][kind], kind.replace('_', " ")));
    let mut text = format!("imported: {}\n", counts.join(", "));
    let left_out = &report["not_honoured"];
    if left_out.as_array().is_some_and(|items| !items.is_empty()) {
        text.push_str("not honoured:\n");
        text.push_str(&output::columns(left_out, &["kind", "vhost", "name", "reason"]));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_left_out_is_told_in_rows() {
        let counts = json!({
            "users": 1, "vhosts": 2, "permissions": 3, "topic_permissions": 8, "policies": 7, "exchanges": 4, "queues": 5,
            "bindings": 6,
        });
        let policy = json!({"kind": "policy", "name": "ha", "vhost": "/", "reason": "no"});
        let report = json!({"imported": counts, "not_honoured": [policy]});
        let expected = "imported: 1 users, 2 vhosts, 3 permissions, 8 topic permissions, 7 policies, \
                        4 exchanges, 5 queues, 6 bindings\n\
                        not honoured:\nkind    vhost  name  reason\npolicy  /      ha    no\n";
        assert_eq!(told(&report), expected);
    }
}
