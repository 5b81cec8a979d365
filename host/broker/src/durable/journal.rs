//! What a shard has to tell the log, collected over a batch.

use shunt_storage::{Batch, RecordPosition};
use shunt_types::Message;
use smallvec::{SmallVec, smallvec};

use super::record::{
    QueueUid, Target, kind, put_deleted, put_dropped, put_handed_out, put_message, put_settled,
};

/// Pairs in one record of settled messages.
const SETTLED_MAX: usize = 4_096;

/// Queues in one message's record; more need another record.
const TARGETS_MAX: usize = 255;

/// A message that left its queue for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) queue: QueueUid,
    pub(crate) sequence: u64,
    pub(crate) position: RecordPosition,
    pub(crate) shares: u16,
}

/// A message's record to be.
struct Pending {
    message: Message,
    targets: SmallVec<[Target; 1]>,
    /// The slot of each target's queue, which gets the record's position.
    slots: SmallVec<[u32; 1]>,
    /// What left a queue by becoming this message (dead-lettering).
    settled: SmallVec<[Left; 1]>,
}

/// Where a message that was journalled stands now.
pub(crate) struct Placed {
    pub(crate) slot: u32,
    pub(crate) sequence: u64,
    pub(crate) position: RecordPosition,
    pub(crate) shares: u16,
}

/// The records of a batch.
#[derive(Default)]
pub(crate) struct Journal {
    pending: Vec<Pending>,
    settled: Vec<(QueueUid, u64)>,
    handed_out: Vec<(QueueUid, u8, u64)>,
    /// Whole records, made already: purges and deletions.
    others: Vec<(u8, Vec<u8>)>,
    payload: Vec<u8>,
    positions: Vec<RecordPosition>,
}

impl Journal {
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
            && self.settled.is_empty()
            && self.handed_out.is_empty()
            && self.others.is_empty()
    }

    /// Whether messages wait for their position.
    pub(crate) fn has_messages(&self) -> bool {
        !self.pending.is_empty()
    }

    /// A message is in the queue of `slot`. Copies of one publish follow one another and share a
    /// record.
    pub(crate) fn enqueued(&mut self, slot: u32, target: Target, message: &Message) {
        if let Some(last) = self.pending.last_mut()
            && last.message.is_same(message)
            && last.targets.len() < TARGETS_MAX
        {
            last.targets.push(target);
            last.slots.push(slot);
            return;
        }
        self.pending.push(Pending {
            message: message.clone(),
            targets: smallvec![target],
            slots: smallvec![slot],
            settled: SmallVec::new(),
        });
    }

    /// Messages enqueued so far, to find out whether a dead letter was among them.
    pub(crate) fn message_count(&self) -> usize {
        self.pending.len()
    }

    /// What left its queue by becoming the message journalled last.
    pub(crate) fn became_last(&mut self, left: Left) {
        if let Some(last) = self.pending.last_mut() {
            last.settled.push(left);
        }
    }

    pub(crate) fn left(&mut self, left: &Left) {
        self.settled.push((left.queue, left.sequence));
    }

    pub(crate) fn handed_out(&mut self, queue: QueueUid, lane: u8, sequence: u64) {
        self.handed_out.push((queue, lane, sequence));
    }

    pub(crate) fn dropped(&mut self, queue: QueueUid, below: u64, kept: &[u64]) {
        let mut payload = Vec::new();
        put_dropped(&mut payload, queue, below, kept);
        self.others.push((kind::DROPPED, payload));
    }

    pub(crate) fn deleted(&mut self, queue: QueueUid) {
        let mut payload = Vec::new();
        put_deleted(&mut payload, queue);
        self.others.push((kind::DELETED, payload));
    }

    /// Makes the log's batch of it; messages come first, so that their positions do.
    pub(crate) fn batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        for pending in &self.pending {
            let settled: SmallVec<[(QueueUid, u64); 1]> =
                pending.settled.iter().map(|left| (left.queue, left.sequence)).collect();
            self.payload.clear();
            put_message(&mut self.payload, &pending.targets, &settled, &pending.message);
            batch.push(kind::MESSAGE, &self.payload);
        }
        for (kind, payload) in self.others.drain(..) {
            batch.push(kind, &payload);
        }
        for settled in self.settled.chunks(SETTLED_MAX) {
            self.payload.clear();
            put_settled(&mut self.payload, settled);
            batch.push(kind::SETTLED, &self.payload);
        }
        if !self.handed_out.is_empty() {
            self.payload.clear();
            put_handed_out(&mut self.payload, &self.handed_out);
            batch.push(kind::HANDED_OUT, &self.payload);
        }
        self.settled.clear();
        self.handed_out.clear();
        batch
    }

    /// The list for the positions of the batch's records.
    pub(crate) fn positions(&mut self) -> &mut Vec<RecordPosition> {
        self.positions.clear();
        &mut self.positions
    }

    /// Takes the messages out, with the positions that the log gave their records.
    pub(crate) fn placed(&mut self) -> Vec<Placed> {
        let mut placed = Vec::with_capacity(self.pending.len());
        for (pending, &position) in self.pending.drain(..).zip(&self.positions) {
            let shares = pending.targets.len() as u16;
            for (target, slot) in pending.targets.into_iter().zip(pending.slots) {
                placed.push(Placed { slot, sequence: target.sequence, position, shares });
            }
        }
        placed
    }
}
