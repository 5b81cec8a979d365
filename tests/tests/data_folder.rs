//! Data folders that a node can't have: it says which and why, does not start, and changes
//! nothing in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use shunt_tests::{Client, Node, Props, SmallDisk, command};

/// Every file below the folder, and what is in it.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

fn arguments(folder: &Path) -> [std::ffi::OsString; 6] {
    let folder = folder.as_os_str().to_owned();
    let free = "127.0.0.1:0".into();
    [
        "--data-dir".into(),
        folder,
        "--amqp-listen".into(),
        "127.0.0.1:0".into(),
        "--http-listen".into(),
        free,
    ]
}

#[track_caller]
fn check_refused(output: &Output, folder: &Path, reason: &str) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "started on it: {said}");
    assert!(said.contains(&folder.display().to_string()), "names the folder: {said}");
    assert!(said.contains(reason), "says {reason:?}: {said}");
}

/// A folder with a queue and messages in it.
fn used_folder(disk: &SmallDisk) -> PathBuf {
    let builder = Node::builder().setting("node.disk_free_limit_bytes", 0);
    let mut node = builder.on_disk(disk).start().unwrap();
    let mut client = Client::open(node.amqp()).unwrap();
    client.declare_queue("q").unwrap();
    client.confirm_select().unwrap();
    for _ in 0..100 {
        client.publish("", "q", &Props::persistent(), &[7; 1000]).unwrap();
    }
    client.wait_confirms(0).unwrap();
    node.kill().unwrap();
    node.data_dir()
}

fn mounted() -> Option<SmallDisk> {
    SmallDisk::mount(8 << 20)
        .inspect_err(|error| eprintln!("skipped, no file system could be mounted: {error:#}"))
        .ok()
}

#[test]
fn a_read_only_disk() {
    let Some(disk) = mounted() else { return };
    let folder = used_folder(&disk);
    let before = contents(&folder);
    disk.make_read_only().unwrap();
    let output = command(arguments(&folder)).unwrap().output().unwrap();
    check_refused(&output, &folder, "Read-only file system");
    assert_eq!(contents(&folder), before);
    let new = disk.path().join("new");
    let output = command(arguments(&new)).unwrap().output().unwrap();
    check_refused(&output, &new, "Read-only file system");
}

#[test]
fn a_full_disk() {
    let Some(disk) = mounted() else { return };
    let filler = disk.path().join("filler");
    fs::write(&filler, "").unwrap();
    // As many bytes as there are.
    let _ = fs::write(&filler, vec![1; 9 << 20]);
    let new = disk.path().join("new");
    let output = command(arguments(&new)).unwrap().output().unwrap();
    check_refused(&output, &new, "No space left on device");
    assert!(!new.exists(), "nothing is left of the try");
}

#[test]
fn a_folder_without_rights() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("data");
    fs::create_dir(&folder).unwrap();
    let plain = command(arguments(&folder)).unwrap();
    // As somebody who may not even look into it; the test itself may be root, who may everything.
    let mut other = Command::new("setpriv");
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    other.arg(plain.get_program()).args(plain.get_args());
    match Command::new("setpriv").args(["--reuid=65534", "true"]).status() {
        Ok(status) if status.success() => {}
        _ => return eprintln!("skipped, it takes root to be somebody else"),
    }
    let output = other.current_dir("/").output().unwrap();
    check_refused(&output, &folder, "Permission denied");
    assert!(contents(&folder).is_empty());
}

#[test]
fn a_newer_version_another_program_s_folder_and_one_in_use() {
    let place = tempfile::tempdir().unwrap();
    let newer = place.path().join("newer");
    fs::create_dir(&newer).unwrap();
    fs::write(newer.join("shunt.version"), "shunt data folder, format 99\n").unwrap();
    let output = command(arguments(&newer)).unwrap().output().unwrap();
    check_refused(&output, &newer, "format version 99, this shunt knows version");
    assert_eq!(contents(&newer).len(), 1);

    let foreign = place.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("thesis.txt"), "years of work").unwrap();
    let output = command(arguments(&foreign)).unwrap().output().unwrap();
    check_refused(&output, &foreign, "not a data folder of shunt");
    assert_eq!(contents(&foreign).len(), 1);

    let node = Node::start().unwrap();
    let output = command(arguments(&node.data_dir())).unwrap().output().unwrap();
    check_refused(&output, &node.data_dir(), "in use");
    Client::open(node.amqp()).unwrap().declare_queue("still served").unwrap();
}
