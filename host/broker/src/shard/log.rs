//! The shard's side of the node's log: what it journals in a batch, and which confirms wait for the
//! disk.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use shunt_storage::RecordPosition;
use shunt_types::{Message, QueueId};

use super::evacuation::Evacuating;
use super::{Shard, Slot};
use crate::durable::{Journal, Left, Target, Usage, Written, share};
use crate::ports::{ConfirmSink, Confirmation};
use crate::queue::Enqueued;

/// How often this shard may find other work while the log's thread sleeps.
const OWING_MAX: u32 = 8;

/// How often to look whether what nobody waits for was synced with something that somebody does. It is
/// synced within two looks; the loss of power forgets settlements of so long, whose messages come again.
const UNWANTED_LOOK_MS: u64 = 5;

/// Segments that are begun before this shard looks for space by itself. Sooner than the node's own
/// look, it would copy what is about to go anyway.
const SEGMENTS_PER_RECLAIM: u32 = 4;

/// Publishers that wait: the token of each publish, and where its answer goes.
type Waiting = Vec<(u64, Arc<dyn ConfirmSink>)>;

/// What a shard keeps for the log.
#[derive(Default)]
pub(super) struct ShardLog {
    pub(super) journal: Journal,
    /// Live bytes by segment that changed in this batch.
    changes: BTreeMap<u32, i64>,
    /// Who waits for the messages journalled in this batch.
    waiting: Waiting,
    /// Who waits for the disk, by position in the log.
    unsynced: VecDeque<(u64, Waiting)>,
    /// Whether the shard's thread settles what the log is owed.
    settles: bool,
    /// How often this shard found other work since the log was first seen to be owed a wake.
    owing_for: u32,
    /// The last segment that a message of this shard was put into, and the one that was the last
    /// when this shard looked for space.
    segment: u32,
    reclaimed_at: u32,
    /// The position of the last batch that was handed to the log.
    last_position: u64,
    /// What nobody waits for, as long as it may not be on disk.
    unwanted: Option<Unwanted>,
    /// The segment that is being made empty, if one is.
    pub(super) evacuation: Option<Evacuating>,
}

/// Records that nobody waits for.
#[derive(Clone, Copy)]
struct Unwanted {
    look_at_ms: u64,
    /// The position that is to be on disk by then.
    by_then: u64,
    last: u64,
}

impl Shard {
    /// The position that the log must be on disk up to for all that this shard did so far.
    pub fn logged_position(&mut self) -> u64 {
        self.append_journal();
        self.log.last_position
    }

    /// A message is in a durable queue: it has to be written, and its publisher waits for that.
    pub(super) fn journal_enqueued(
        &mut self,
        slot: u32,
        target: Target,
        message: &Message,
        confirm: Option<(u64, &Arc<dyn ConfirmSink>)>,
        written: Option<Written>,
    ) {
        match written {
            None => {
                self.make_room_for(message);
                self.log.journal.enqueued(slot, target, message);
            }
            Some(written) => {
                self.log.journal.referred(target, message, written);
                self.set_stored(slot, target.sequence, written);
            }
        }
        self.log.waiting.extend(confirm.map(|(token, sink)| (token, sink.clone())));
    }

    /// A message is in a queue that is too long for memory.
    pub(super) fn journal_paged(
        &mut self,
        slot: u32,
        sequence: u64,
        message: &Message,
        written: Option<Written>,
    ) {
        match written {
            None => {
                self.make_room_for(message);
                self.log.journal.paged(slot, sequence, message);
            }
            Some(written) => self.set_stored(slot, sequence, written),
        }
    }

    /// A batch of large messages goes to the log in parts, none of which takes much memory.
    #[inline]
    fn make_room_for(&mut self, message: &Message) {
        if self.log.journal.is_full_for(message) {
            self.append_journal();
        }
    }

    /// The publisher's shard counted on a queue here that has no use for its record.
    pub(super) fn no_use(&mut self, written: Option<Written>) {
        if let Some(Written { position, shares }) = written {
            self.log.freed(position, shares);
        }
    }

    fn set_stored(&mut self, slot: u32, sequence: u64, written: Written) {
        if let Some(Some(slot)) = self.slots.get_mut(slot as usize) {
            slot.queue.set_stored(sequence, written.position, written.shares);
        }
    }

    /// Hands the batch so far to the log, which gives each message its place. Called before
    /// anything is dealt out, so that what leaves a queue has its place by then.
    pub(super) fn append_journal(&mut self) {
        if self.log.journal.is_empty() {
            if !self.log.changes.is_empty() {
                self.broker.usage().apply(&mut self.log.changes);
            }
            self.wake_log_in_time();
            return;
        }
        let broker = self.broker.clone();
        let Some(log) = broker.message_log() else { return };
        let unwanted = self.log.settles && self.log.waiting.is_empty();
        let unwanted = unwanted && self.log.journal.is_unwanted();
        let (told, untold) = self.log.journal.tell_deaths();
        told.iter().for_each(|left| self.log.freed(left.position, left.shares));
        let mut batch = self.log.journal.batch();
        let segment = self.log.segment;
        let appended = {
            // Held until the new bytes are counted: a segment must not look dead meanwhile.
            let mut usage = broker.usage();
            let positions = self.log.journal.positions();
            let appended = match (self.log.settles, unwanted) {
                (_, true) => log.append_unwanted(&mut batch, positions),
                (true, _) => log.append_owing(&mut batch, positions),
                (false, _) => log.append(&mut batch, positions),
            };
            match appended {
                Ok(_) => self.place(&mut usage),
                Err(_) => self.log.journal.refused(),
            }
            usage.apply(&mut self.log.changes);
            appended
        };
        self.log.journal.give_back(batch);
        self.broker.owe_log(self.id);
        if self.log.segment >= self.log.reclaimed_at + SEGMENTS_PER_RECLAIM {
            // Space is made as fast as it is taken, however short segments are.
            self.log.reclaimed_at = self.log.segment;
            self.reclaim();
        } else if self.log.segment > segment {
            // The next segment can have the file of one that is dead.
            self.remove_dead();
        }
        let waiting = std::mem::take(&mut self.log.waiting);
        match appended {
            Ok(position) => {
                self.log.last_position = position.0;
                if unwanted {
                    self.sync_in_time(position.0);
                }
                if !waiting.is_empty() {
                    let is_first = self.log.unsynced.is_empty();
                    self.log.unsynced.push_back((position.0, waiting));
                    if is_first {
                        self.await_disk();
                    }
                }
            }
            // Nothing more is written, so nothing more can be promised.
            Err(_) => answer(waiting, false),
        }
        // Other shards may have written their letters meanwhile. What this journals goes with the end of
        // the flush.
        untold.into_iter().for_each(|left| self.left_as_letter(left));
        self.wake_log_in_time();
    }

    /// What nobody waits for is synced soon, even if nothing follows.
    fn sync_in_time(&mut self, position: u64) {
        if let Some(unwanted) = &mut self.log.unwanted {
            unwanted.last = position;
            return;
        }
        let look_at_ms = self.now_ms + UNWANTED_LOOK_MS;
        self.log.unwanted = Some(Unwanted { look_at_ms, by_then: position, last: position });
        self.broker.inbox(self.id).nudge();
    }

    /// When [`Shard::hasten_log`] wants to be called.
    pub(super) fn log_deadline_ms(&self) -> Option<u64> {
        self.log.unwanted.map(|unwanted| unwanted.look_at_ms)
    }

    /// Has what nobody waits for synced when its time is over.
    pub(super) fn hasten_log(&mut self) {
        let now_ms = self.now_ms;
        let due = self.log.unwanted.take_if(|unwanted| unwanted.look_at_ms <= now_ms);
        let (Some(Unwanted { by_then, last, .. }), Some(log)) = (due, self.broker.message_log())
        else {
            return;
        };
        let durable = self.broker.durable_log_position();
        if durable < by_then {
            log.hasten();
        } else if durable < last {
            let look_at_ms = now_ms + UNWANTED_LOOK_MS;
            self.log.unwanted = Some(Unwanted { look_at_ms, by_then: last, last });
        }
    }

    /// From now on, this shard's thread calls [`Broker::settle_log`] whenever it has nothing to do.
    pub fn settles_log(&mut self) {
        self.log.settles = true;
    }

    /// A shard that always finds other work does not let what it journalled wait for long.
    fn wake_log_in_time(&mut self) {
        if !self.log.settles {
            return;
        }
        match self.broker.message_log().filter(|log| log.is_owing()) {
            Some(log) if self.log.owing_for == OWING_MAX => log.wake(),
            Some(_) => return self.log.owing_for += 1,
            None => {}
        }
        self.log.owing_for = 0;
    }

    /// The log has given the batch's records their places.
    fn place(&mut self, usage: &mut Usage) {
        let placed = self.log.journal.placed();
        for (slot, sequence, Written { position, shares }) in placed.entries {
            self.log.segment = self.log.segment.max(position.segment);
            usage.add(position.segment, share(position, shares));
            self.set_stored(slot, sequence, Written { position, shares });
        }
        for ((shard, batch, item), written) in placed.outgoing {
            usage.add(written.position.segment, share(written.position, written.shares));
            let outbox = &mut self.outboxes[usize::from(shard)];
            let batch = outbox.publishes.get_mut(batch);
            if let Some(item) = batch.and_then(|batch| batch.items.get_mut(item)) {
                item.written = Some(written);
            }
        }
    }

    /// The log is on disk up to `position`.
    pub(super) fn synced(&mut self, position: u64) {
        self.answer_through(position);
        self.await_disk();
    }

    /// Sees to it that this shard is told of the disk when it waits for it.
    pub(super) fn await_disk(&mut self) {
        loop {
            let confirm = self.log.unsynced.front().map_or(u64::MAX, |(at, _)| *at);
            let evacuation = match &self.log.evacuation {
                Some(evacuating) if evacuating.waits => self.broker.durable_log_position() + 1,
                _ => u64::MAX,
            };
            match self.broker.await_log(self.id, confirm.min(evacuation)) {
                Some(durable) => self.answer_through(durable),
                None => break,
            }
        }
    }

    /// Confirms leave, and an evacuation that waited goes on.
    fn answer_through(&mut self, position: u64) {
        while let Some((at, _)) = self.log.unsynced.front()
            && *at <= position
        {
            if let Some((_, waiting)) = self.log.unsynced.pop_front() {
                answer(waiting, true);
            }
        }
        self.go_on_evacuating();
    }

    /// The log has failed: what waits for it is refused.
    pub(super) fn log_failed(&mut self) {
        for (_, waiting) in std::mem::take(&mut self.log.unsynced) {
            answer(waiting, false);
        }
    }

    /// Journals what a queue has to tell.
    pub(super) fn collect(&mut self, index: u32) {
        let Some(Some(slot)) = self.slots.get_mut(index as usize) else { return };
        let log = &mut self.log;
        for left in slot.queue.take_left() {
            log.left(&left);
        }
        let Some(uid) = slot.queue.uid() else { return };
        for (lane, sequence) in slot.queue.take_handed_out() {
            log.journal.handed_out(uid, lane, sequence);
        }
        if let Some(purge) = slot.queue.take_purged() {
            log.journal.dropped(uid, purge.below, &purge.kept);
            for stored in purge.dropped {
                log.freed(stored.position, stored.shares);
            }
        }
    }

    /// Journals the deletion of a queue. Letters that wait in it go with it.
    pub(super) fn collect_deleted(&mut self, slot: &mut Slot) {
        for stored in slot.queue.all_stored() {
            self.log.freed(stored.position, stored.shares);
        }
        let dead = slot.queue.take_dead(u64::MAX).into_iter();
        dead.filter_map(|dead| dead.left).for_each(|left| self.left_as_letter(left));
        if let Some(uid) = slot.queue.uid() {
            self.log.journal.deleted(uid);
        }
    }

    /// A queue has answered to a letter: what is written tells of the death, what is refused leaves that
    /// to the letter that it becomes itself, and what is only in memory or dropped has no record to come.
    pub(super) fn letter_enqueued(&mut self, queue: QueueId, enqueued: Enqueued, left: Arc<Left>) {
        let left = match (enqueued, self.slot(queue)) {
            (Enqueued::Logged(_), _) => return self.log.journal.became_last(left),
            (Enqueued::Rejected, Some(slot)) => slot.queue.mourn_for(left),
            _ => Some(left),
        };
        left.into_iter().for_each(|left| self.left_as_letter(left));
    }

    /// Journals that a dead message left, if it has no letter on its way any more.
    pub(super) fn left_as_letter(&mut self, left: Arc<Left>) {
        if let Some(left) = Arc::into_inner(left) {
            self.log.left(&left);
        }
    }
}

impl ShardLog {
    fn left(&mut self, left: &Left) {
        if left.is_logged {
            self.journal.left(left);
        }
        self.freed(left.position, left.shares);
    }

    /// A queue has no use for its part of a record any more.
    pub(super) fn freed(&mut self, position: RecordPosition, shares: u16) {
        if position.size > 0 {
            *self.changes.entry(position.segment).or_default() -= share(position, shares);
        }
    }
}

/// Answers publishers, those of one sink at once.
fn answer(waiting: Waiting, accepted: bool) {
    let mut confirmations = Vec::new();
    let mut waiting = waiting.into_iter().peekable();
    while let Some((token, sink)) = waiting.next() {
        confirmations.push(Confirmation { token, accepted });
        let same = waiting.peek().is_some_and(|(_, next)| Arc::ptr_eq(next, &sink));
        if !same {
            sink.confirm(&confirmations);
            confirmations.clear();
        }
    }
}
