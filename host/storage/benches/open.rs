//! What a start costs: `cargo bench -p shunt-storage --bench open [folder] [records]`.
//!
//! Appends records with a head of 60 bytes and a body of 1 KiB (a million, where no number is
//! given), closes the log, and opens it: by its indexes, without them (which reads every segment
//! and makes the indexes again), and by the new ones. Printed are the time and the process's
//! peak of resident memory so far. The page cache is warm, unless somebody empties it between.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use shunt_storage::{
    Batch, FolderDisk, SPLIT_KIND_MIN, SegmentLog, SegmentLogOptions, SegmentWriter, SyncOutcome,
};

const BATCH_SIZE: u64 = 64;
const HEAD: [u8; 60] = [1; 60];
const BODY: [u8; 1024] = [2; 1024];

fn main() -> io::Result<()> {
    // `cargo bench` adds --bench.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let place = tempfile::tempdir()?;
    let folder = arguments.next().map_or(place.path().to_owned(), PathBuf::from);
    let folder = folder.join("bench-open");
    let records: u64 = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    fill(&folder, records)?;
    let mut out = io::stdout().lock();
    writeln!(out, "how               records  MiB   by index  scanned  open ms  peak MiB")?;
    open(&mut out, "indexes", &folder)?;
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "index") {
            std::fs::remove_file(path)?;
        }
    }
    open(&mut out, "no indexes", &folder)?;
    open(&mut out, "indexes again", &folder)?;
    std::fs::remove_dir_all(folder)
}

fn fill(folder: &Path, records: u64) -> io::Result<()> {
    let disk = Arc::new(FolderDisk::open(folder)?);
    let options = SegmentLogOptions::default();
    let (writer, _) =
        SegmentWriter::open(disk, options, &mut |_, _, _| {}).map_err(io::Error::other)?;
    let (tell, told) = mpsc::channel();
    let log = SegmentLog::start(writer, move |outcome| drop(tell.send(outcome)))?;
    let (mut batch, mut positions) = (Batch::default(), Vec::new());
    let mut appended = 0;
    while appended < records {
        batch.clear();
        for _ in 0..BATCH_SIZE.min(records - appended) {
            batch.push_split(SPLIT_KIND_MIN, &[&HEAD], &[&BODY]);
        }
        positions.clear();
        appended = log.append(&mut batch, &mut positions).map_err(io::Error::other)?.0;
        while log.unsynced_bytes() > 16 << 20 {
            match told.recv().map_err(io::Error::other)? {
                SyncOutcome::Durable(_) => {}
                other => return Err(io::Error::other(format!("{other:?}"))),
            }
        }
    }
    Ok(())
}

fn open(out: &mut impl Write, how: &str, folder: &Path) -> io::Result<()> {
    let disk = Arc::new(FolderDisk::open(folder)?);
    let mut bytes = 0;
    let start = clock_gettime(ClockId::Monotonic);
    let (_, found) = SegmentWriter::open(disk, SegmentLogOptions::default(), &mut |_, _, head| {
        bytes += head.len();
    })
    .map_err(io::Error::other)?;
    let end = clock_gettime(ClockId::Monotonic);
    let took = Duration::new(end.tv_sec as u64, end.tv_nsec as u32)
        - Duration::new(start.tv_sec as u64, start.tv_nsec as u32);
    assert_eq!(bytes as u64, found.records * HEAD.len() as u64);
    let segments = std::fs::read_dir(folder)?
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "segment"))
        .count();
    writeln!(
        out,
        "{how:<15}  {:8}  {:4}  {:8}  {:7}  {:7.0}  {:8}",
        found.records,
        found.bytes >> 20,
        found.segments_by_index,
        segments - found.segments_by_index as usize,
        took.as_secs_f64() * 1e3,
        peak_memory().unwrap_or_default() >> 10,
    )
}

/// The process's peak of resident memory, in KiB.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
