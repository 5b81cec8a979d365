//! Recording: shards append to one buffer, a thread writes it to a ring of files.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use shunt_routing::{ExchangeSpec, Header};

use super::format;
use crate::clock;
use crate::fields::Field;
use crate::list::BindingList;

/// How often the buffer is written.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);
/// Bytes that the buffer may hold: what comes while it is full is not recorded.
const BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes after which the writer is woken before its time.
const BUFFER_BYTES_WAKE: usize = 256 * 1024;
/// Files of a ring: the oldest one is removed when the bytes are used up.
const SEGMENTS: u64 = 8;
/// Attempts for the buffer's lock before a message goes by unrecorded.
const ATTEMPTS: usize = 64;

/// What is recorded, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSettings {
    /// Fields beside those that the versions of the route read.
    pub fields: Vec<String>,
    /// Only messages of this exchange; those of every exchange of the route where there is none.
    pub exchange: Option<String>,
    /// One message of this many; 1 is every one.
    pub every: u64,
    /// Bytes on disk; the oldest messages make room for new ones.
    pub bytes: u64,
    /// Seconds after which it stops by itself.
    pub seconds: u64,
}

/// How a trace is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceStatus {
    /// Whether it records.
    pub is_running: bool,
    /// The fields that are recorded.
    pub fields: Vec<String>,
    /// Messages that were recorded; the ring may have dropped the oldest since.
    pub recorded: u64,
    /// Messages that should have been recorded, and weren't: the buffer was full or busy.
    pub missed: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// When it began, in Unix milliseconds.
    pub started_at_ms: u64,
    /// Why it stopped by itself, if it did.
    pub stopped: Option<String>,
    /// Its settings.
    pub settings: TraceSettings,
}

/// A trace that is recorded, or was until it stopped.
pub(crate) struct Recorder {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    settings: TraceSettings,
    fields: Vec<Field>,
    started_at_ms: u64,
    buffer: Mutex<Buffer>,
    seen: AtomicU64,
    recorded: AtomicU64,
    missed: AtomicU64,
    bytes: AtomicU64,
    stop: AtomicBool,
    ended: Mutex<Option<String>>,
}

/// One chunk in the making.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// The exchanges that stand in it: their ids, the revisions of their bindings, their numbers.
    exchanges: Vec<(u64, u64)>,
}

/// An exchange as a recorder needs it.
pub(crate) struct Source<'a> {
    pub(crate) id: u64,
    pub(crate) revision: u64,
    pub(crate) spec: &'a ExchangeSpec,
    pub(crate) bindings: &'a BindingList,
}

impl Recorder {
    /// Begins with an empty ring; what was recorded there before is removed.
    pub(crate) fn start(
        directory: &Path,
        settings: TraceSettings,
        fields: Vec<Field>,
        now_ms: u64,
    ) -> io::Result<Self> {
        remove(directory)?;
        let shared = Arc::new(Shared {
            settings,
            fields,
            started_at_ms: now_ms,
            buffer: Mutex::default(),
            seen: AtomicU64::new(0),
            recorded: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            ended: Mutex::default(),
        });
        let mut ring = Ring::start(directory, shared.settings.bytes)?;
        let state = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("route-trace".to_owned())
            .spawn(move || state.run(&mut ring))?;
        Ok(Self { shared, writer: Mutex::new(Some(writer)) })
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.shared.stop.load(Ordering::Relaxed)
    }

    /// Records a message, unless it is one that is left out.
    pub(crate) fn record(&self, source: &Source<'_>, header: &Header<'_>) {
        let shared = &self.shared;
        let only = shared.settings.exchange.as_deref();
        let is_other = only.is_some_and(|only| source.spec.name.as_str() != only);
        if shared.stop.load(Ordering::Relaxed) || is_other {
            return;
        }
        let count = shared.seen.fetch_add(1, Ordering::Relaxed);
        if !count.is_multiple_of(shared.settings.every) {
            return;
        }
        if let Some(bytes) = shared.append(source, header) {
            shared.recorded.fetch_add(1, Ordering::Relaxed);
            if bytes > BUFFER_BYTES_WAKE
                && let Some(writer) = self.writer.try_lock()
                && let Some(writer) = writer.as_ref()
            {
                writer.thread().unpark();
            }
        } else {
            shared.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends the recording; returns when all of it is written.
    pub(crate) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(writer) = self.writer.lock().take() {
            writer.thread().unpark();
            // What went wrong in it stands in the status.
            let _ = writer.join();
        }
    }

    pub(crate) fn status(&self) -> TraceStatus {
        let shared = &self.shared;
        TraceStatus {
            is_running: self.is_running(),
            fields: shared.fields.iter().map(ToString::to_string).collect(),
            recorded: shared.recorded.load(Ordering::Relaxed),
            missed: shared.missed.load(Ordering::Relaxed),
            bytes: shared.bytes.load(Ordering::Relaxed),
            started_at_ms: shared.started_at_ms,
            stopped: shared.ended.lock().clone(),
            settings: shared.settings.clone(),
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// Bytes of the buffer, if there was room and the lock was to be had.
    fn append(&self, source: &Source<'_>, header: &Header<'_>) -> Option<usize> {
        let time_ms = clock::unix_ns() / 1_000_000;
        for _ in 0..ATTEMPTS {
            if let Some(mut buffer) = self.buffer.try_lock() {
                let is_in = buffer.append(&self.fields, source, time_ms, header);
                return is_in.then_some(buffer.bytes.len());
            }
            std::hint::spin_loop();
        }
        None
    }

    fn run(&self, ring: &mut Ring) {
        let interval_ms = FLUSH_INTERVAL.as_millis() as u64;
        let mut left_ms = self.settings.seconds.saturating_mul(1_000);
        loop {
            let is_last = self.stop.load(Ordering::Relaxed);
            let chunk = std::mem::take(&mut *self.buffer.lock()).bytes;
            if let Err(error) = ring.write(&chunk) {
                *self.ended.lock() = Some(format!("the trace can't be written: {error}"));
                self.stop.store(true, Ordering::Relaxed);
                return;
            }
            self.bytes.store(ring.bytes(), Ordering::Relaxed);
            if is_last {
                return;
            }
            if left_ms == 0 {
                let seconds = self.settings.seconds;
                *self.ended.lock() = Some(format!("{seconds} seconds have passed"));
                self.stop.store(true, Ordering::Relaxed);
                continue;
            }
            std::thread::park_timeout(FLUSH_INTERVAL.min(Duration::from_millis(left_ms)));
            left_ms = left_ms.saturating_sub(interval_ms);
        }
    }
}

impl Buffer {
    fn append(
        &mut self,
        fields: &[Field],
        source: &Source<'_>,
        time_ms: u64,
        header: &Header<'_>,
    ) -> bool {
        if self.bytes.len() >= BUFFER_BYTES_MAX {
            return false;
        }
        if self.bytes.is_empty() {
            format::put_about(&mut self.bytes, fields);
        }
        let key = (source.id, source.revision);
        let known = self.exchanges.iter().position(|known| *known == key);
        let number = match known {
            Some(number) => number,
            None => {
                let number = self.exchanges.len();
                if number >= usize::from(u16::MAX) {
                    return false;
                }
                self.exchanges.push(key);
                let spec = source.spec;
                let (name, arguments) = (spec.name.as_str(), &spec.arguments);
                let bytes = &mut self.bytes;
                let bindings: Vec<_> = source.bindings.iter().cloned().collect();
                format::put_exchange(bytes, number as u16, name, arguments, &bindings);
                number
            }
        };
        format::put_message(&mut self.bytes, number as u16, time_ms, fields, header);
        true
    }
}

/// Files that are written one after another, and removed from the oldest end.
struct Ring {
    directory: PathBuf,
    segment_bytes: u64,
    bytes_max: u64,
    file: File,
    /// Numbers and lengths of the files, the last of them the one that is written.
    segments: Vec<(u64, u64)>,
}

impl Ring {
    fn start(directory: &Path, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let file = File::create(segment_path(directory, 1))?;
        let mut ring = Self {
            directory: directory.to_owned(),
            segment_bytes: (bytes_max / SEGMENTS).max(1),
            bytes_max,
            file,
            segments: vec![(1, 0)],
        };
        ring.put(&format::header())?;
        Ok(ring)
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|(_, bytes)| bytes).sum()
    }

    fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        if chunk.is_empty() {
            return Ok(());
        }
        if self.segments.last().is_some_and(|(_, bytes)| *bytes >= self.segment_bytes) {
            let number = self.segments.last().map_or(1, |(number, _)| number + 1);
            self.file = File::create(segment_path(&self.directory, number))?;
            self.segments.push((number, 0));
            self.put(&format::header())?;
        }
        self.put(&format::chunk_head(chunk))?;
        self.put(chunk)?;
        while self.bytes() > self.bytes_max && self.segments.len() > 1 {
            let (oldest, _) = self.segments.remove(0);
            fs::remove_file(segment_path(&self.directory, oldest))?;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        if let Some((_, length)) = self.segments.last_mut() {
            *length += bytes.len() as u64;
        }
        Ok(())
    }
}

fn segment_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:010}.trace"))
}

/// The whole of a trace: its files, the oldest first. A file that is removed meanwhile is left
/// out.
pub(crate) fn read(directory: &Path) -> io::Result<Vec<u8>> {
    let mut paths: Vec<_> = match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| entry.map(|e| e.path())).collect::<io::Result<_>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "trace"));
    paths.sort();
    let mut trace = Vec::new();
    for path in paths {
        match fs::read(&path) {
            Ok(segment) => trace.extend(whole_chunks(&segment)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(trace)
}

/// A segment without a last chunk that is only being written: another one follows it.
fn whole_chunks(segment: &[u8]) -> &[u8] {
    let mut end = format::HEADER_BYTES.min(segment.len());
    while let Some(head) = segment.get(end..end + format::CHUNK_HEAD_BYTES) {
        let length: [u8; 4] = [head[0], head[1], head[2], head[3]];
        let next = end + format::CHUNK_HEAD_BYTES + u32::from_le_bytes(length) as usize;
        if next > segment.len() {
            break;
        }
        end = next;
    }
    &segment[..end]
}

/// Removes a trace.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
