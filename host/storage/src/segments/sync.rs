//! What the log's own thread does: writes, syncs, and takes segments away, in turns. A thread that
//! has nothing else to do may take a turn in its place, where the disk is quick.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::log::{Position, RETRY, SyncOutcome};
use crate::segments::SegmentWriter;
use crate::segments::log::Shared;
use crate::segments::waiting::Group;

/// What whoever takes a turn has.
pub(super) struct Syncer {
    shared: Arc<Shared>,
    writer: SegmentWriter,
    tell: Box<dyn FnMut(SyncOutcome) + Send>,
    /// Whether the turn before took a segment away, or a piece of one: that and groups alternate.
    removed_last: bool,
    told_durable: Position,
    /// Whether the last try failed.
    told_trouble: bool,
}

/// What a turn came to.
#[derive(Debug)]
pub(super) enum Turn {
    /// Something was done.
    Done,
    /// There is nothing to do.
    Idle,
    /// The disk is full, or a write or sync failed. The next turn tries again.
    Trouble(io::Error),
}

impl Syncer {
    pub(super) fn new(
        shared: Arc<Shared>,
        writer: SegmentWriter,
        tell: Box<dyn FnMut(SyncOutcome) + Send>,
    ) -> Self {
        Self {
            shared,
            writer,
            tell,
            removed_last: false,
            told_durable: Position(0),
            told_trouble: false,
        }
    }

    /// Writes one group, or what nobody waits for, or takes one segment away.
    pub(super) fn turn(&mut self) -> Turn {
        let mut state = self.shared.state();
        self.writer.keep_spares(state.keeps_spares);
        let group_first = self.removed_last && state.waiting.has_group();
        if let Some(number) = state.waiting.next_removal().filter(|_| !group_first) {
            drop(state);
            return self.remove(number);
        }
        let group = state.waiting.first_group();
        let unwritten = if group.is_none() { state.waiting.take_unwritten() } else { None };
        drop(state);
        if let Some(unwritten) = unwritten {
            if self.writer.write_ahead(&unwritten).is_err() {
                // It is written and synced as a group then, which is tried until it succeeds.
                self.shared.state().waiting.hasten();
            }
            return Turn::Done;
        }
        if self.writer.is_shrinking() && (group.is_none() || !self.removed_last) {
            // Room is what a group that found none waits for.
            self.writer.shrink(self.told_trouble);
            self.removed_last = true;
            return Turn::Done;
        }
        group.map_or(Turn::Idle, |group| self.commit(group))
    }

    /// Whether a turn would find something to do, whatever waits.
    pub(super) fn is_shrinking(&self) -> bool {
        self.writer.is_shrinking()
    }

    /// All is on disk already; this only helps the next start to judge damage.
    pub(super) fn close(&mut self) {
        let _ = self.writer.close();
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "how quick the disk is; no outcome depends on it"
    )]
    fn commit(&mut self, group: Arc<Group>) -> Turn {
        self.removed_last = false;
        let started = Instant::now();
        let outcome = self.writer.commit(&group);
        self.shared.sync_took(started.elapsed());
        match outcome {
            Ok(()) => {}
            Err(error) => {
                self.writer.give_up_spares();
                if !std::mem::replace(&mut self.told_trouble, true) {
                    (self.tell)(SyncOutcome::trouble(&error));
                }
                return Turn::Trouble(error.into());
            }
        }
        self.told_trouble = false;
        let durable = group.last;
        drop(group);
        let group = {
            let mut state = self.shared.state();
            let group = state.waiting.first_group_is_durable();
            self.shared.unsynced.store(state.waiting.unsynced(), Ordering::Relaxed);
            group
        };
        // A group that only ends a segment makes nothing durable that was not before.
        if self.told_durable < durable {
            self.told_durable = durable;
            (self.tell)(SyncOutcome::Durable(durable));
        }
        if let Some(group) = group.and_then(Arc::into_inner) {
            self.shared.spares.put(group.into_buffers());
        }
        self.writer.write_index();
        self.writer.make_ahead();
        Turn::Done
    }

    fn remove(&mut self, number: u32) -> Turn {
        self.removed_last = true;
        // First nobody finds it any more, then nobody has it open, then it goes.
        let taken = self.shared.state().waiting.take_oldest();
        self.shared.handles.forget(number);
        if let (Err(_), Some(segment)) = (self.writer.remove(number), taken) {
            self.shared.state().waiting.put_oldest_back(segment);
        }
        Turn::Done
    }

    fn fail(&mut self, error: io::Error) {
        self.shared.state().failed = true;
        (self.tell)(SyncOutcome::Failed(error));
    }
}

impl std::fmt::Debug for Syncer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Syncer({:?})", self.writer)
    }
}

/// Turns until the log is dropped and nothing waits any more.
pub(super) fn run(shared: &Shared, syncer: &Mutex<Syncer>) {
    let syncer = || syncer.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        // The guard is gone before the outcome is looked at.
        let turn = syncer().turn();
        match turn {
            Turn::Done => {}
            Turn::Idle if shared.sleep() => {}
            Turn::Idle => break,
            Turn::Trouble(_) if !shared.pause() => {}
            // The node stops: what waits was never confirmed.
            Turn::Trouble(error) => return syncer().fail(error),
        }
    }
    syncer().close();
}

impl Shared {
    /// Waits for something to do, and answers whether there may ever be.
    fn sleep(&self) -> bool {
        let mut state = self.state();
        while !std::mem::take(&mut state.is_shrinking) && !state.waiting.has_work() {
            if state.closing {
                return false;
            }
            state.asleep = true;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.asleep = false;
        }
        true
    }

    /// Waits until the disk is worth another try, and answers whether the log is to end.
    fn pause(&self) -> bool {
        let state = self.state();
        let waited = self
            .wake
            .wait_timeout_while(state, RETRY, |state| !state.closing)
            .unwrap_or_else(PoisonError::into_inner);
        waited.0.closing
    }
}
