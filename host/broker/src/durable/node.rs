//! What the shards share of the log: the log itself, how much of it lives, who waits for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard};
use shunt_storage::{SegmentLog, SyncOutcome};
use shunt_types::ShardId;

use super::contents::RecoveredQueue;
use super::pages::PageRequests;
use super::reclaim::{Usage, share};
use super::record::QueueUid;
use super::recovery::Recovery;
use crate::alarms::Alarm;
use crate::broker::Broker;
use crate::ports::OnDurable;
use crate::queue::MemoryBudget;
use crate::shard::Task;

/// The node's log of messages, where it keeps one.
#[derive(Default)]
pub(crate) struct MessageLog {
    log: OnceLock<Arc<SegmentLog>>,
    usage: Mutex<Usage>,
    /// Some shard moves live messages out of the oldest segment now.
    evacuating: AtomicBool,
    recovery: Mutex<Recovery>,
    last_uid: AtomicU64,
    waiters: Mutex<Waiters>,
    /// How far the log is on disk.
    durable: AtomicU64,
    /// The first position that each shard waits for; above all if none.
    awaited: OnceLock<Box<[AtomicU64]>>,
    /// Whether each shard has yet to have written what it journalled.
    owing: OnceLock<Box<[AtomicBool]>>,
    pages: PageRequests,
    budget: Mutex<MemoryBudget>,
    /// Grows with each change of the budget, so that shards see it without the lock.
    budget_changes: AtomicU64,
}

/// Who waits for a position, other than publishers.
#[derive(Default)]
struct Waiters {
    durable: u64,
    failed: bool,
    waiting: Vec<(u64, OnDurable)>,
}

impl Broker {
    /// Hands over what the log kept, before the declarations are restored.
    pub fn set_recovery(&self, recovery: Recovery) {
        *self.messages().recovery.lock() = recovery;
    }

    /// Gives each queue that was restored what the log kept of it, and drops what belongs to no
    /// queue any more; answers how many messages came back, and how many were dropped.
    pub fn finish_recovery(&self) -> (usize, usize) {
        let before = self.messages().recovery.lock().messages();
        for shard in 0..self.shard_count() {
            self.inbox(ShardId(shard)).each_creation(|creation| {
                creation.recovered = creation.uid.and_then(|uid| self.recover_queue(uid));
            });
        }
        let dropped = std::mem::take(&mut *self.messages().recovery.lock()).messages();
        (before - dropped, dropped)
    }

    /// Gives the broker its log, before the shards run. Without one, durable queues live in
    /// memory alone.
    pub fn set_message_log(&self, log: Arc<SegmentLog>) {
        // A broker has one log in its life.
        let _ = self.messages().log.set(log);
        let nothing = (0..self.shard_count()).map(|_| AtomicU64::new(u64::MAX));
        let _ = self.messages().awaited.set(nothing.collect());
        let nothing = (0..self.shard_count()).map(|_| AtomicBool::new(false));
        let _ = self.messages().owing.set(nothing.collect());
    }

    /// Has what the shard has journalled written, by this thread or the log's own, whichever is sooner
    /// done. For the shard's thread when it has nothing else to do. What other shards journalled is
    /// theirs to see to: they would only have to be woken to hear of it.
    pub fn settle_log(&self, shard: ShardId) {
        if let (Some(log), Some(owing)) = (self.message_log(), self.owing(shard))
            && owing.swap(false, Ordering::Relaxed)
        {
            log.settle();
        }
    }

    /// The shard's thread will settle what the shard has journalled.
    pub(crate) fn owe_log(&self, shard: ShardId) {
        if let Some(owing) = self.owing(shard) {
            owing.store(true, Ordering::Relaxed);
        }
    }

    fn owing(&self, shard: ShardId) -> Option<&AtomicBool> {
        self.messages().owing.get()?.get(usize::from(shard.0))
    }

    /// The log said how far it is on disk; on the log's own thread.
    pub fn message_log_said(&self, outcome: &SyncOutcome) {
        match outcome {
            SyncOutcome::NoSpace(_) | SyncOutcome::Retrying(_) => {
                self.set_alarm(Alarm::Log, true);
            }
            SyncOutcome::Durable(_) => {
                self.set_alarm(Alarm::Log, false);
            }
            _ => {}
        }
        let (position, result) = match outcome {
            SyncOutcome::Durable(position) => (position.0, Ok(())),
            SyncOutcome::Failed(error) => (0, Err(error.to_string())),
            _ => return,
        };
        if result.is_ok() {
            // Sequentially consistent, as in `await_log`: either this sees that a shard waits, or
            // the shard sees that it need not.
            self.messages().durable.store(position, Ordering::SeqCst);
        }
        let awaited = self.messages().awaited.get();
        for shard in 0..self.shard_count() {
            let from = awaited.and_then(|awaited| awaited.get(usize::from(shard)));
            let from = from.map_or(0, |from| from.load(Ordering::SeqCst));
            match result {
                Ok(()) if from <= position => {
                    self.inbox(ShardId(shard)).post(Task::Synced(position));
                }
                Ok(()) => {}
                Err(_) => self.inbox(ShardId(shard)).post(Task::LogFailed),
            }
        }
        let due: Vec<_> = {
            let mut waiters = self.messages().waiters.lock();
            waiters.durable = waiters.durable.max(position);
            waiters.failed |= result.is_err();
            let (durable, failed) = (waiters.durable, waiters.failed);
            waiters.waiting.extract_if(.., |(at, _)| failed || *at <= durable).collect()
        };
        due.into_iter().for_each(|(_, then)| then(result.clone()));
    }

    /// From now on the shard is told when the log is on disk up to `from`. Answers how far it is, if
    /// that is as far already.
    pub(crate) fn await_log(&self, shard: ShardId, from: u64) -> Option<u64> {
        let awaited = self.messages().awaited.get()?.get(usize::from(shard.0))?;
        awaited.store(from, Ordering::SeqCst);
        Some(self.durable_log_position()).filter(|durable| *durable >= from)
    }

    /// How far the log of messages is on disk.
    pub(crate) fn durable_log_position(&self) -> u64 {
        self.messages().durable.load(Ordering::SeqCst)
    }

    /// Calls `then` once the log of messages is on disk up to `position`.
    pub fn when_messages_durable(&self, position: u64, then: OnDurable) {
        let mut waiters = self.messages().waiters.lock();
        if position <= waiters.durable {
            drop(waiters);
            then(Ok(()));
        } else if waiters.failed {
            drop(waiters);
            then(Err("the log of messages has failed".to_owned()));
        } else {
            waiters.waiting.push((position, then));
            drop(waiters);
            if let Some(log) = self.message_log() {
                log.hasten();
            }
        }
    }

    /// Bytes of the messages that live in the log.
    pub fn live_log_bytes(&self) -> u64 {
        self.usage().live_bytes()
    }

    /// Bytes that publishers put into the log faster than the disk takes them.
    pub fn unsynced_log_bytes(&self) -> u64 {
        self.message_log().map_or(0, SegmentLog::unsynced_bytes)
    }

    /// Says whether the log of messages may keep files of removed segments for later ones; see
    /// [`SegmentLog::keep_spares`].
    pub fn keep_spare_segments(&self, keeps: bool) {
        if let Some(log) = self.message_log() {
            log.keep_spares(keeps);
        }
    }

    /// Sets how much memory the ready messages of each queue may take; what is there already
    /// stays until it is consumed.
    pub fn set_memory_budget(&self, budget: MemoryBudget) {
        let mut current = self.messages().budget.lock();
        if *current != budget {
            *current = budget;
            self.messages().budget_changes.fetch_add(1, Ordering::Release);
        }
    }

    /// How often the budget changed.
    pub(crate) fn memory_budget_changes(&self) -> u64 {
        self.messages().budget_changes.load(Ordering::Acquire)
    }

    /// What a queue's messages may take; all they like where there is no log to put them.
    pub(crate) fn memory_budget(&self) -> MemoryBudget {
        match self.message_log() {
            Some(_) => *self.messages().budget.lock(),
            None => MemoryBudget::UNLIMITED,
        }
    }

    pub(crate) fn pages(&self) -> &PageRequests {
        &self.messages().pages
    }

    pub(crate) fn message_log(&self) -> Option<&SegmentLog> {
        self.messages().log.get().map(Arc::as_ref)
    }

    pub(crate) fn usage(&self) -> MutexGuard<'_, Usage> {
        self.messages().usage.lock()
    }

    /// Whether the caller may begin to move messages; [`Broker::finish_evacuation`] ends it.
    pub(crate) fn begin_evacuation(&self) -> bool {
        !self.messages().evacuating.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn finish_evacuation(&self) {
        self.messages().evacuating.store(false, Ordering::Release);
    }

    /// An id for a queue that is declared; never used again, not even after a restart.
    pub(crate) fn next_queue_uid(&self) -> QueueUid {
        // By the clock, so that ids of queues whose declaration is gone from every log don't
        // come back; by the last one, in case the clock was set back.
        let by_clock = self.now_ms() << 16;
        let next = |last: u64| Some(by_clock.max(last + 1));
        let last = self.messages().last_uid.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        QueueUid(by_clock.max(last.unwrap_or_default() + 1))
    }

    /// Notes the id of a queue that was declared in an earlier life, and answers what the log
    /// kept of it.
    fn recover_queue(&self, uid: QueueUid) -> Option<RecoveredQueue> {
        self.messages().last_uid.fetch_max(uid.0, Ordering::AcqRel);
        let recovered = self.messages().recovery.lock().take(uid)?;
        let mut usage = self.usage();
        for entry in recovered.iter() {
            usage.add(entry.position.segment, share(entry.position, entry.shares));
        }
        Some(recovered)
    }
}
