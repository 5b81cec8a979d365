//! The log of the node's metadata: appended to from any thread, synced by one of its own.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::batch::{AppendError, Batch, check_record};
use crate::writer::{CommitError, LogWriter};

/// How long a disk that is full or failed is left alone before the next try.
pub(crate) const RETRY: Duration = Duration::from_secs(1);

/// A record's place in the log since it was opened: the first appended one has 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// What became of what was appended. Told on the log's own thread, in order.
#[derive(Debug)]
pub enum SyncOutcome {
    /// Every record up to this position is on disk.
    Durable(Position),
    /// The disk is full. Nothing is lost or confirmed; the log tries again until there is space.
    NoSpace(io::Error),
    /// A write or sync failed. Nothing is lost or confirmed; the log writes the same again until
    /// that succeeds.
    Retrying(io::Error),
    /// The last outcome but those of snapshots: the log was dropped while the disk was full or
    /// failed. Nothing is confirmed from here on, and nobody knows which of the unconfirmed
    /// records are on disk.
    Failed(io::Error),
    /// A snapshot is on disk, and the log before it is gone.
    SnapshotWritten,
    /// A snapshot could not be written; the log goes on without it.
    SnapshotFailed(io::Error),
}

impl SyncOutcome {
    /// What is told of a try that is going to be repeated.
    pub(crate) fn trouble(error: &CommitError) -> Self {
        let told = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        match error {
            CommitError::NoSpace(error) => Self::NoSpace(told(error)),
            CommitError::Io(error) => Self::Retrying(told(error)),
            CommitError::Refused(error) => Self::Retrying(io::Error::other(error.to_string())),
        }
    }
}

impl From<CommitError> for io::Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::NoSpace(error) | CommitError::Io(error) => error,
            CommitError::Refused(error) => Self::other(error),
        }
    }
}

/// A log of opaque commands with snapshots. Dropping it writes what was appended, then ends
/// its thread.
#[derive(Debug)]
pub struct MetadataLog {
    shared: Arc<Shared>,
    /// Taken when the log is dropped.
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    snapshot_due: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// What the thread has not taken yet, in order.
    waiting: Vec<Work>,
    appended: u64,
    closing: bool,
    failed: bool,
}

enum Work {
    /// Records, and the position of the last of them.
    Commit(Batch, Position),
    Snapshot(SnapshotContent),
}

/// Makes a snapshot's bytes, on the log's own thread.
type SnapshotContent = Box<dyn FnOnce() -> io::Result<Vec<u8>> + Send>;

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Commit(_, last) => write!(f, "Commit(through {})", last.0),
            Self::Snapshot(_) => f.write_str("Snapshot"),
        }
    }
}

impl MetadataLog {
    /// Gives the log its thread. `tell` is called there with each outcome and should be quick:
    /// the next batch waits for it.
    pub fn start(
        writer: LogWriter,
        tell: impl FnMut(SyncOutcome) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            snapshot_due: AtomicBool::new(writer.snapshot_due()),
        });
        let sync_thread = SyncThread { shared: shared.clone(), writer, tell: Box::new(tell) };
        let thread = std::thread::Builder::new()
            .name("metadata-log".to_owned())
            .spawn(move || sync_thread.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Takes a record, behind all that were taken before. Never waits for the disk.
    pub fn append(&self, kind: u8, payload: &[u8]) -> Result<Position, AppendError> {
        check_record(kind, payload.len())?;
        let mut state = self.shared.state();
        if state.failed {
            return Err(AppendError::Failed);
        }
        state.appended += 1;
        let position = Position(state.appended);
        match state.waiting.last_mut() {
            Some(Work::Commit(batch, last)) => {
                batch.push(kind, payload);
                *last = position;
            }
            _ => {
                let mut batch = Batch::default();
                batch.push(kind, payload);
                state.waiting.push(Work::Commit(batch, position));
            }
        }
        self.shared.wake.notify_one();
        Ok(position)
    }

    /// Takes a snapshot, which must say all that the records appended so far say, and nothing
    /// that later ones do; its bytes are made on the log's own thread. Never waits for the disk.
    pub fn snapshot(&self, content: impl FnOnce() -> io::Result<Vec<u8>> + Send + 'static) {
        self.shared.snapshot_due.store(false, Ordering::Relaxed);
        self.shared.state().waiting.push(Work::Snapshot(Box::new(content)));
        self.shared.wake.notify_one();
    }

    /// Whether the log has grown so long that a snapshot would save more than it costs.
    pub fn snapshot_due(&self) -> bool {
        self.shared.snapshot_due.load(Ordering::Relaxed)
    }
}

impl Drop for MetadataLog {
    fn drop(&mut self) {
        self.shared.state().closing = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was `tell`'s, and has been reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log's own thread.
struct SyncThread {
    shared: Arc<Shared>,
    writer: LogWriter,
    tell: Box<dyn FnMut(SyncOutcome) + Send>,
}

impl SyncThread {
    fn run(mut self) {
        while let Some(works) = self.wait() {
            for work in works {
                match work {
                    Work::Commit(batch, last) => {
                        if !self.commit(&batch, last) {
                            return;
                        }
                    }
                    Work::Snapshot(content) => self.snapshot(content),
                }
            }
            self.shared.snapshot_due.store(self.writer.snapshot_due(), Ordering::Relaxed);
        }
        // All is on disk already; this only helps the next start to judge damage.
        let _ = self.writer.close();
    }

    /// What is to be done; None when nothing is and nothing will be.
    fn wait(&self) -> Option<Vec<Work>> {
        let mut state = self.shared.state();
        while state.waiting.is_empty() && !state.closing {
            state = self.shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (!state.waiting.is_empty()).then(|| std::mem::take(&mut state.waiting))
    }

    /// Whether the log can go on.
    fn commit(&mut self, batch: &Batch, last: Position) -> bool {
        let mut told = false;
        loop {
            let error = match self.writer.commit(batch) {
                Ok(()) => {
                    (self.tell)(SyncOutcome::Durable(last));
                    return true;
                }
                Err(error) => error,
            };
            // No other try takes what the log's own front let through and its writer does not.
            let is_final = matches!(error, CommitError::Refused(_));
            if !is_final && !std::mem::replace(&mut told, true) {
                (self.tell)(SyncOutcome::trouble(&error));
            }
            if is_final || self.pause() {
                // The node stops: what waits was never confirmed.
                self.shared.state().failed = true;
                (self.tell)(SyncOutcome::Failed(error.into()));
                return false;
            }
        }
    }

    /// Waits until the disk is worth another try, and answers whether the log is to end.
    fn pause(&self) -> bool {
        let state = self.shared.state();
        let waited = self
            .shared
            .wake
            .wait_timeout_while(state, RETRY, |state| !state.closing)
            .unwrap_or_else(PoisonError::into_inner);
        waited.0.closing
    }

    fn snapshot(&mut self, content: SnapshotContent) {
        (self.tell)(match content().and_then(|content| self.writer.snapshot(&content)) {
            Ok(()) => SyncOutcome::SnapshotWritten,
            Err(error) => SyncOutcome::SnapshotFailed(error),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::record::{KIND_MAX, RECORD_SIZE_MAX};
    use crate::{Disk, Faults, FaultyDisk, Recovered};

    fn start(disk: &FaultyDisk) -> (MetadataLog, Receiver<SyncOutcome>, Recovered) {
        let (writer, recovered) = LogWriter::open(Arc::new(disk.clone())).unwrap();
        let (tell, told) = channel();
        let log = MetadataLog::start(writer, move |outcome| drop(tell.send(outcome))).unwrap();
        (log, told, recovered)
    }

    #[test]
    fn appends_of_many_threads_are_durable_in_order() {
        let disk = FaultyDisk::new(1);
        let (log, told, _) = start(&disk);
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let log = &log;
                scope.spawn(move || {
                    for number in 0..100u8 {
                        log.append(1, &[thread, number]).unwrap();
                    }
                });
            }
        });
        let mut reached = Position(0);
        while reached < Position(400) {
            match told.recv().unwrap() {
                SyncOutcome::Durable(position) => {
                    assert!(position > reached);
                    reached = position;
                }
                other => panic!("{other:?}"),
            }
        }
        disk.crash();
        drop(log);
        let (_, _, recovered) = start(&disk);
        for thread in 0..4 {
            let numbers = recovered.commands.iter().filter(|(_, payload)| payload[0] == thread);
            assert!(numbers.map(|(_, payload)| payload[1]).eq(0..100));
        }
    }

    #[test]
    fn a_snapshot_stands_between_what_was_appended_before_and_after() {
        let disk = FaultyDisk::new(1);
        let (log, told, _) = start(&disk);
        log.append(1, b"before").unwrap();
        log.snapshot(|| Ok(b"state".to_vec()));
        log.append(2, b"after").unwrap();
        drop(log);
        let outcomes: Vec<_> = told.iter().collect();
        assert!(outcomes.iter().any(|outcome| matches!(outcome, SyncOutcome::SnapshotWritten)));
        let (_, _, recovered) = start(&disk);
        assert_eq!(recovered.snapshot.as_deref(), Some(&b"state"[..]));
        assert_eq!(recovered.commands, [(2, b"after".to_vec())]);
        assert_eq!(disk.list().unwrap().len(), 2);
    }

    #[test]
    fn a_failed_sync_delays_and_loses_nothing() {
        let disk = FaultyDisk::new(1);
        let (log, told, _) = start(&disk);
        disk.set_faults(Faults { sync_error_per_mille: 1000, ..Faults::default() });
        log.append(1, b"x").unwrap();
        assert!(matches!(told.recv().unwrap(), SyncOutcome::Retrying(_)));
        log.append(1, b"y").unwrap();
        disk.set_faults(Faults::default());
        assert!(matches!(told.recv().unwrap(), SyncOutcome::Durable(Position(1))));
        assert!(matches!(told.recv().unwrap(), SyncOutcome::Durable(Position(2))));
        disk.crash();
        drop(log);
        let (_, _, recovered) = start(&disk);
        assert_eq!(recovered.commands, [(1, b"x".to_vec()), (1, b"y".to_vec())]);
    }

    #[test]
    fn a_log_that_is_dropped_on_a_failing_disk_says_so() {
        let disk = FaultyDisk::new(1);
        let (log, told, _) = start(&disk);
        disk.set_faults(Faults { sync_error_per_mille: 1000, ..Faults::default() });
        log.append(1, b"x").unwrap();
        assert!(matches!(told.recv().unwrap(), SyncOutcome::Retrying(_)));
        drop(log);
        assert!(matches!(told.recv().unwrap(), SyncOutcome::Failed(_)));
        assert!(told.recv().is_err(), "no more outcomes");
    }

    #[test]
    fn a_full_disk_delays_and_loses_nothing() {
        let disk = FaultyDisk::new(1);
        let (log, told, _) = start(&disk);
        disk.set_faults(Faults { space_max: Some(30), ..Faults::default() });
        let position = log.append(1, b"x").unwrap();
        assert!(matches!(told.recv().unwrap(), SyncOutcome::NoSpace(_)));
        disk.set_faults(Faults::default());
        assert!(
            matches!(told.recv().unwrap(), SyncOutcome::Durable(reached) if reached == position)
        );
        drop(log);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let (log, _, _) = start(&FaultyDisk::new(1));
        assert_eq!(log.append(KIND_MAX + 1, b""), Err(AppendError::ReservedKind(KIND_MAX + 1)));
        let big = vec![0; RECORD_SIZE_MAX];
        assert_eq!(log.append(1, &big), Err(AppendError::TooLarge(RECORD_SIZE_MAX)));
    }
}
