//! The document and what is served are the same.

use std::path::Path;

use serde_json::Value as Json;

use crate::harness::Server;

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

fn document() -> Json {
    serde_json::from_str(shunt_http_api::openapi_json()).unwrap()
}

/// Run with `SHUNT_BLESS=1` to rewrite the file after a change that was meant.
#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let generated = shunt_http_api::openapi_json();
    if std::env::var_os("SHUNT_BLESS").is_some() {
        std::fs::write(&file, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == generated, "{} is out of date: SHUNT_BLESS=1", file.display());
}

/// Every path and method in the document is served, and no other method is served on it.
#[tokio::test]
async fn what_is_in_the_document_is_served() {
    let server = Server::start().await;
    let nobody = server.nobody();
    for (path, item) in document()["paths"].as_object().unwrap() {
        let concrete = path.replace(['{', '}'], "");
        for method in METHODS {
            let request = nobody.request(&method.to_uppercase(), &concrete);
            let answer = nobody.send(request.body(Default::default()).unwrap()).await;
            if item.get(method).is_some() {
                let open = ["/health", "/api/openapi.json"].contains(&path.as_str());
                assert_eq!(answer.status, if open { 200 } else { 401 }, "{method} {path}");
            } else {
                assert_eq!(answer.status, 405, "{method} {path}");
            }
        }
    }
}

/// Nothing is served that the document doesn't have: the only way to register an endpoint is the
/// macro that documents it.
#[test]
fn endpoints_are_registered_by_their_documentation_only() {
    fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                found.push((path.display().to_string(), std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 20);
    for (path, text) in found {
        for other_way in [".route(", ".route_service(", ".nest(", ".nest_service("] {
            assert!(!text.contains(other_way), "{path} registers by {other_way}");
        }
    }
}

#[test]
fn every_endpoint_says_what_it_is_and_names_its_path_variables() {
    let mut names = std::collections::HashSet::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap().to_owned();
            assert!(names.insert(name), "{method} {path} has another one's name");
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let named: Vec<_> = parameters.iter().filter(|p| p["in"] == "path").collect();
            assert_eq!(named.len(), path.matches('{').count(), "{method} {path}");
        }
    }
}
