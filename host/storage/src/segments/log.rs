//! The segment log: appended to and read from any thread.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::batch::{AppendError, Batch};
use crate::log::{Position, SyncOutcome};
use crate::segments::handles::Handles;
use crate::segments::spares::Spares;
use crate::segments::sync::{self, Syncer};
use crate::segments::waiting::Waiting;
use crate::segments::{
    OwnedRecord, ReadError, RecordPosition, RecordRef, SegmentInfo, SegmentWriter,
};

/// A write and sync that takes so long as a rule is worth no thread that waits for it.
const QUICK_SYNC: Duration = Duration::from_micros(500);
/// Bytes that a thread writes in the place of the log's own.
const SETTLED_BYTES_MAX: u64 = 256 * 1024;

/// Who sees to it that what is appended is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Urgency {
    /// The log: its thread is woken if it sleeps.
    Now,
    /// The caller, soon.
    Owed,
    /// As [`Urgency::Owed`], and synced with what comes next: nobody waits for this.
    Later,
}

/// A log of records in segments, shared by all threads. Dropping the last reference writes what
/// was appended, then ends its thread.
#[derive(Debug)]
pub struct SegmentLog {
    shared: Arc<Shared>,
    syncer: Arc<Mutex<Syncer>>,
    /// Taken when the log is dropped.
    thread: Option<JoinHandle<()>>,
}

/// What the log shares with its thread. Of the locks, `handles` is taken before `state`, and
/// `state` before `spares`.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) wake: Condvar,
    pub(super) spares: Spares,
    pub(super) handles: Handles,
    /// Bytes that wait; changed under the lock of `state`, read without it.
    pub(super) unsynced: AtomicU64,
    /// Whether the thread sleeps though there is something to do, until somebody settles that;
    /// changed under the lock of `state`, read without it.
    owed: AtomicBool,
    /// What a write and sync takes as a rule, in nanoseconds; by whoever does it.
    sync_ns: AtomicU64,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) waiting: Waiting,
    /// Whether the thread waits for something to do: waking it is a system call.
    pub(super) asleep: bool,
    /// Whether whoever took its turn has left a file to be shrunk.
    pub(super) is_shrinking: bool,
    /// Whether files of removed segments are kept for later ones.
    pub(super) keeps_spares: bool,
    pub(super) closing: bool,
    pub(super) failed: bool,
}

impl SegmentLog {
    /// Gives the log its thread. `tell` is called there with each outcome and should be quick:
    /// the next batch waits for it.
    pub fn start(
        writer: SegmentWriter,
        tell: impl FnMut(SyncOutcome) + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let mut log = Self::without_thread(writer, tell);
        let (shared, syncer) = (log.shared.clone(), log.syncer.clone());
        let thread = std::thread::Builder::new().name("segment-log".to_owned());
        log.thread = Some(thread.spawn(move || sync::run(&shared, &syncer))?);
        Ok(Arc::new(log))
    }

    /// The log, of which somebody else takes the turns.
    pub(super) fn without_thread(
        writer: SegmentWriter,
        tell: impl FnMut(SyncOutcome) + Send + 'static,
    ) -> Self {
        let state = State {
            waiting: writer.waiting(),
            asleep: false,
            is_shrinking: false,
            keeps_spares: true,
            closing: false,
            failed: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            wake: Condvar::new(),
            // One group is being written while the next one collects.
            spares: Spares::new(2 * writer.options().batch_bytes_max),
            handles: Handles::new(writer.disk()),
            unsynced: AtomicU64::new(0),
            owed: AtomicBool::new(false),
            // Until it is known, it is not quick.
            sync_ns: AtomicU64::new(u64::MAX),
        });
        let syncer = Syncer::new(shared.clone(), writer, Box::new(tell));
        Self { shared, syncer: Arc::new(Mutex::new(syncer)), thread: None }
    }

    #[cfg(test)]
    pub(super) fn syncer(&self) -> MutexGuard<'_, Syncer> {
        self.syncer.lock().unwrap()
    }

    /// Takes the records out of a batch, in order, behind all that were taken before; the batch is
    /// empty then, and its memory another. Adds the position of each to `positions`, and answers the one that [`SyncOutcome::Durable`] will
    /// reach when all of them are on disk. Never waits for the disk.
    pub fn append(
        &self,
        batch: &mut Batch,
        positions: &mut Vec<RecordPosition>,
    ) -> Result<Position, AppendError> {
        self.append_and(batch, positions, Urgency::Now)
    }

    /// As [`SegmentLog::append`], but a thread that sleeps is not woken for it: the caller sees to
    /// that soon, by [`SegmentLog::settle`] when it has nothing else to do, or else by
    /// [`SegmentLog::wake`].
    pub fn append_owing(
        &self,
        batch: &mut Batch,
        positions: &mut Vec<RecordPosition>,
    ) -> Result<Position, AppendError> {
        self.append_and(batch, positions, Urgency::Owed)
    }

    /// As [`SegmentLog::append_owing`], but nobody waits for these records: they are written, so that
    /// the end of the process takes none of them, and synced with what is appended next in one of
    /// the other ways, or after [`SegmentLog::hasten`]. To sync for them alone would only hold up
    /// who does wait.
    pub fn append_unwanted(
        &self,
        batch: &mut Batch,
        positions: &mut Vec<RecordPosition>,
    ) -> Result<Position, AppendError> {
        self.append_and(batch, positions, Urgency::Later)
    }

    fn append_and(
        &self,
        batch: &mut Batch,
        positions: &mut Vec<RecordPosition>,
        urgency: Urgency,
    ) -> Result<Position, AppendError> {
        batch.check()?;
        let mut state = self.shared.state();
        if state.failed {
            return Err(AppendError::Failed);
        }
        if batch.is_empty() {
            return Ok(state.waiting.appended());
        }
        let is_wanted = urgency != Urgency::Later;
        let placed = state.waiting.append(batch, is_wanted, &self.shared.spares)?;
        self.shared.unsynced.store(state.waiting.unsynced(), Ordering::Relaxed);
        if urgency == Urgency::Now {
            self.shared.wake(state);
        } else if state.asleep {
            self.shared.owed.store(true, Ordering::Relaxed);
        }
        let mut offset = placed.offset;
        positions.extend(batch.sizes().iter().map(|size| {
            let at = RecordPosition { segment: placed.segment, offset, size: *size };
            offset += size;
            at
        }));
        batch.clear();
        Ok(placed.position)
    }

    /// Reads a record back, whether it is on disk or waits to be written. Its checksum is
    /// verified.
    pub fn read(&self, at: RecordPosition) -> Result<OwnedRecord, ReadError> {
        let source = self.shared.state().waiting.find(at);
        self.shared.handles.read(at, &source, &|segment| self.has_segment(segment))
    }

    /// Reads records back as [`SegmentLog::read`] does, and hands each to `each` with its index
    /// in `positions`, in that order. Those that follow one another in a segment with little
    /// between them are read at once, up to a megabyte: give positions in the log's order. What
    /// goes wrong with one record is told for that one.
    pub fn read_many(
        &self,
        positions: &[RecordPosition],
        each: &mut dyn FnMut(usize, Result<RecordRef<'_>, ReadError>),
    ) {
        let sources: Vec<_> = {
            let state = self.shared.state();
            positions.iter().map(|at| state.waiting.find(*at)).collect()
        };
        let is_there = |segment| self.has_segment(segment);
        self.shared.handles.read_many(positions, &sources, &is_there, each);
    }

    fn has_segment(&self, number: u32) -> bool {
        self.shared.state().waiting.has_segment(number)
    }

    /// The segments from oldest to newest; the last one is being written.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.shared.state().waiting.segments().collect()
    }

    /// Takes the oldest segments away, up to and including `number`, but never the last one.
    /// It is done on the log's own thread, when all that was appended before this call is
    /// durable. One that can't be taken away stays, and is tried again with the next call.
    pub fn remove_through(&self, number: u32) {
        let mut state = self.shared.state();
        state.waiting.hasten();
        state.waiting.remove_through(number);
        self.shared.wake(state);
    }

    /// Says whether the file of a removed segment may be kept for a later one, as it is at first. If not,
    /// its space is given back, and so is that of one that is kept already.
    pub fn keep_spares(&self, keeps: bool) {
        let mut state = self.shared.state();
        if std::mem::replace(&mut state.keeps_spares, keeps) != keeps {
            state.is_shrinking |= !keeps;
            self.shared.wake(state);
        }
    }

    /// Whether something was appended that the log's thread sleeps through. Takes no lock.
    pub fn is_owing(&self) -> bool {
        self.shared.owed.load(Ordering::Relaxed)
    }

    /// Wakes the log's thread if it sleeps through what was appended.
    pub fn wake(&self) {
        if self.is_owing() {
            self.shared.wake(self.shared.state());
        }
    }

    /// Has what was appended as unwanted synced.
    pub fn hasten(&self) {
        let mut state = self.shared.state();
        if state.waiting.hasten() {
            self.shared.wake(state);
        }
    }

    /// Has what was appended without a wake written: by the caller, which then waits for the disk,
    /// where that is little and the disk is quick as a rule, and otherwise by the log's thread. The
    /// wake of a thread, and the wake back, take as long as a quick disk.
    pub fn settle(&self) {
        if !self.is_owing() {
            return;
        }
        let mut state = self.shared.state();
        let is_quick = self.shared.sync_ns.load(Ordering::Relaxed) <= QUICK_SYNC.as_nanos() as u64
            && state.waiting.unsynced() <= SETTLED_BYTES_MAX;
        if is_quick
            && state.asleep
            && !state.closing
            && let Ok(mut syncer) = self.syncer.try_lock()
        {
            self.shared.owed.store(false, Ordering::Relaxed);
            drop(state);
            syncer.turn();
            let is_shrinking = syncer.is_shrinking();
            drop(syncer);
            state = self.shared.state();
            state.is_shrinking |= is_shrinking;
            if !is_shrinking && !state.waiting.has_work() {
                return;
            }
        }
        self.shared.wake(state);
    }

    /// Bytes that were appended and are not durable yet, with the log's own records among them.
    /// Takes no lock.
    pub fn unsynced_bytes(&self) -> u64 {
        self.shared.unsynced.load(Ordering::Relaxed)
    }

    /// Bytes of all segments, those included that wait to be written.
    pub fn bytes(&self) -> u64 {
        self.shared.state().waiting.segments().map(|info| info.size).sum()
    }
}

impl Drop for SegmentLog {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.closing = true;
            state.waiting.hasten();
        }
        self.shared.wake.notify_one();
        let thread = self.thread.take();
        // Whoever is told an outcome may have held the last reference, on that very thread.
        let own = |thread: &JoinHandle<()>| thread.thread().id() == std::thread::current().id();
        if let Some(thread) = thread.filter(|thread| !own(thread)) {
            // A panic of the thread was `tell`'s, and has been reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Wakes the thread if it sleeps.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        self.owed.store(false, Ordering::Relaxed);
        let wake = std::mem::take(&mut state.asleep);
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    /// A write and sync took so long. One that is slow now and then does not make the disk slow.
    pub(super) fn sync_took(&self, time: Duration) {
        let took = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let before = self.sync_ns.load(Ordering::Relaxed);
        let rule = if before == u64::MAX { took } else { before - before / 8 + took / 8 };
        self.sync_ns.store(rule, Ordering::Relaxed);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
