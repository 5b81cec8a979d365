//! The log of what is declared: it is replaced by a snapshot while the node runs and clients
//! declare and delete, and nothing that was declared is lost by that.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shunt_tests::amqp_raw::Value;
use shunt_tests::{Client, Node, poll};

/// Bytes of an argument that makes the log long.
const FILLER: usize = 60_000;
/// Bytes of a log that is worth a snapshot, in the broker.
const DUE: u64 = 4 << 20;

fn files(folder: &Path, extension: &str) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(folder).unwrap().filter_map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        // One may go while they are listed.
        name.ends_with(extension).then(|| Some((name, entry.metadata().ok()?.len())))?
    });
    entries.collect()
}

/// Declares and deletes until it is stopped; answers what of it is there at the end.
fn churn(node: &Node, thread: usize, stop: &AtomicBool) -> BTreeSet<String> {
    let mut client = Client::open(node.amqp()).unwrap();
    let mut there = BTreeSet::new();
    let filler = Value::Str("x".repeat(FILLER));
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("{thread}.{number}");
        let arguments = [("note".to_owned(), filler.clone())];
        client.declare_exchange(&name, "topic", "d", &arguments).unwrap();
        client.declare_queue(&name).unwrap();
        client.bind(&name, &name, "a.#", &[]).unwrap();
        there.insert(name);
        if number >= 5 {
            let old = format!("{thread}.{}", number - 5);
            client.delete_queue(&old).unwrap();
            client.delete_exchange(&old).unwrap();
            there.remove(&old);
        }
    }
    there
}

fn names(node: &Node, path: &str) -> BTreeSet<String> {
    let list = node.http().get(path).unwrap().expect(200);
    let names = list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap());
    names.filter(|name| !name.is_empty() && !name.starts_with("amq.")).map(str::to_owned).collect()
}

#[test]
fn a_long_log_becomes_a_snapshot_while_clients_declare() {
    let mut node = Node::start().unwrap();
    let folder = node.data_dir().join("metadata");
    let user = serde_json::json!({"password": "p", "tags": "monitoring"});
    node.http().put("/api/users/kept", &user).unwrap().expect(201);
    let stop = AtomicBool::new(false);
    let there: BTreeSet<String> = std::thread::scope(|scope| {
        let churning: Vec<_> = (0..3)
            .map(|thread| {
                scope.spawn({
                    let (node, stop) = (&node, &stop);
                    move || churn(node, thread, stop)
                })
            })
            .collect();
        let two = poll("the second snapshot", || {
            let snapshots = files(&folder, ".snapshot");
            let second = "00000000000000000003.snapshot".to_owned();
            snapshots.iter().any(|(name, _)| *name >= second).then_some(())
        });
        std::thread::sleep(Duration::from_millis(100));
        stop.store(true, Ordering::Relaxed);
        let there = churning.into_iter().flat_map(|churn| churn.join().unwrap()).collect();
        two.unwrap();
        there
    });
    node.kill().unwrap();
    let logged: u64 = files(&folder, ".log").iter().map(|(_, size)| size).sum();
    assert!(logged < 3 * DUE, "{logged} bytes of log are left");

    node.start_again().unwrap();
    assert_eq!(names(&node, "/api/exchanges/%2f"), there);
    assert_eq!(names(&node, "/api/queues/%2f"), there);
    let bindings = node.http().get("/api/bindings/%2f").unwrap().expect(200);
    let bound = bindings.as_array().unwrap().iter().filter(|binding| binding["source"] != "");
    assert_eq!(bound.count(), there.len());
    node.http().get("/api/users/kept").unwrap().expect(200);
}
