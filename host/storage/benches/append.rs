//! What an append costs: `cargo bench -p shunt-storage --bench append [folder] [MiB]`.
//!
//! Records of 1 KiB, in batches of 1, 64 and 512, appended by one thread that keeps at most a
//! bounded number of records unconfirmed, as a shard does with confirms outstanding. Printed are
//! processor time per record on the appending thread (the filling of its batch alone, and with
//! the append) and in the whole process, how many syncs served how many records, the rate, and
//! how long it takes to open the log afterwards.
//! The rows "none" are for a disk that takes 1 ms for a sync and does nothing: without the kernel's
//! part, which is most of it, and varies most.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use shunt_storage::{
    Batch, Disk, DiskFile, FolderDisk, SegmentLog, SegmentLogOptions, SegmentWriter, SyncOutcome,
};

const RECORD_SIZE: usize = 1024;
const UNCONFIRMED_MAX: u64 = 4096;

fn main() -> io::Result<()> {
    // `cargo bench` adds --bench.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let place = tempfile::tempdir()?;
    let folder = arguments.next().map_or(place.path().to_owned(), PathBuf::from);
    let megabytes: usize = arguments.next().and_then(|size| size.parse().ok()).unwrap_or(512);
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "disk  batch  records  CPU ns/record: fill  appender  in all  syncs  records/sync  records/s  open ms"
    )?;
    for (disk, batch_size) in
        ["none", "real"].into_iter().flat_map(|disk| [1, 64, 512].map(|size| (disk, size)))
    {
        let records = (megabytes << 20) / RECORD_SIZE / batch_size * batch_size;
        let folder = folder.join(format!("bench-{batch_size}"));
        let run = run(&folder, disk == "none", batch_size, records)?;
        writeln!(
            out,
            "{disk}  {batch_size:5}  {records:7}  {:19.0}  {:8.0}  {:6.0}  {:5}  {:12.0}  {:9.0}  {:7.0}",
            run.fill.as_nanos() as f64 / records as f64,
            run.appender.as_nanos() as f64 / records as f64,
            run.process.as_nanos() as f64 / records as f64,
            run.syncs,
            records as f64 / run.syncs as f64,
            records as f64 / run.wall.as_secs_f64(),
            run.open.as_secs_f64() * 1e3,
        )?;
    }
    Ok(())
}

struct Run {
    fill: Duration,
    open: Duration,
    appender: Duration,
    process: Duration,
    wall: Duration,
    syncs: u64,
}

fn run(folder: &Path, discard: bool, batch_size: usize, records: usize) -> io::Result<Run> {
    let counts = Counts { discard, syncs: Arc::default() };
    let disk = Arc::new(CountingDisk { disk: FolderDisk::open(folder)?, counts: counts.clone() });
    let options = SegmentLogOptions::default();
    let (writer, _) =
        SegmentWriter::open(disk, options, &mut |_, _, _| {}).map_err(io::Error::other)?;
    let durable = Arc::new((Mutex::new(0), Condvar::new()));
    let tell = {
        let durable = durable.clone();
        move |outcome| {
            if let SyncOutcome::Durable(position) = outcome {
                *durable.0.lock().expect("no panics") = position.0;
                durable.1.notify_one();
            }
        }
    };
    let log = SegmentLog::start(writer, tell)?;
    let wait_until = |position: u64| {
        let mut reached = durable.0.lock().expect("no panics");
        while *reached < position {
            reached = durable.1.wait(reached).expect("no panics");
        }
    };

    let bodies: Vec<Vec<u8>> = (0..64u8).map(|number| vec![number; RECORD_SIZE]).collect();
    let (mut batch, mut positions) = (Batch::default(), Vec::new());
    let fill_batch = |batch: &mut Batch| {
        batch.clear();
        for number in 0..batch_size {
            batch.push(1, &bodies[number % bodies.len()]);
        }
    };
    let fill = clock(ClockId::ThreadCPUTime);
    for _ in 0..records / batch_size {
        fill_batch(std::hint::black_box(&mut batch));
    }
    let fill = clock(ClockId::ThreadCPUTime) - fill;
    let (thread, process) = (clock(ClockId::ThreadCPUTime), clock(ClockId::ProcessCPUTime));
    let start = clock(ClockId::Monotonic);
    let mut appended = 0;
    while appended < records as u64 {
        fill_batch(&mut batch);
        positions.clear();
        appended = log.append(&mut batch, &mut positions).map_err(io::Error::other)?.0;
        // Half of it at once, as confirms come.
        if appended % (UNCONFIRMED_MAX / 2) < batch_size as u64 {
            wait_until(appended.saturating_sub(UNCONFIRMED_MAX / 2));
        }
    }
    let thread = clock(ClockId::ThreadCPUTime) - thread;
    wait_until(appended);
    let wall = clock(ClockId::Monotonic) - start;
    let process = clock(ClockId::ProcessCPUTime) - process;
    drop(log);
    let disk = Arc::new(FolderDisk::open(folder)?);
    let open = clock(ClockId::Monotonic);
    SegmentWriter::open(disk, options, &mut |_, _, _| {}).map_err(io::Error::other)?;
    let run = Run {
        fill,
        open: clock(ClockId::Monotonic) - open,
        appender: thread,
        process,
        wall,
        syncs: counts.syncs.load(Ordering::Relaxed),
    };
    std::fs::remove_dir_all(folder)?;
    Ok(run)
}

fn clock(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[derive(Clone)]
struct Counts {
    discard: bool,
    syncs: Arc<AtomicU64>,
}

/// A folder whose syncs are counted.
struct CountingDisk {
    disk: FolderDisk,
    counts: Counts,
}

struct CountingFile {
    file: Box<dyn DiskFile>,
    counts: Counts,
}

impl CountingDisk {
    fn count(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(CountingFile { file, counts: self.counts.clone() })
    }
}

impl Disk for CountingDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.count(self.disk.open(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.count(self.disk.create(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync()
    }

    fn random(&self) -> io::Result<u64> {
        self.disk.random()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }
}

impl DiskFile for CountingFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn write_parts_at(&self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        match self.counts.discard {
            true => Ok(()),
            false => self.file.write_parts_at(offset, parts),
        }
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.file.set_size(size)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        match self.counts.discard {
            true => Ok(()),
            false => self.file.allocate(size),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.counts.syncs.fetch_add(1, Ordering::Relaxed);
        match self.counts.discard {
            true => std::thread::sleep(Duration::from_millis(1)),
            false => self.file.sync()?,
        }
        Ok(())
    }
}
