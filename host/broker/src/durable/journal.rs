//! What a shard has to tell the log, collected over a batch.

use std::sync::Arc;

use shunt_storage::{Batch, RECORD_SIZE_MAX, RecordPosition};
use shunt_types::Message;
use shunt_types::limits::MESSAGE_SIZE_HARD_MAX;
use smallvec::{SmallVec, smallvec};

use super::record::{
    Placement, QueueUid, Target, content, kind, put_content_head, put_deleted, put_dropped,
    put_handed_out, put_message, put_page, put_reference, put_settled,
};

/// Pairs in one record of settled messages.
const SETTLED_MAX: usize = 4_096;

/// Bytes of a batch whose memory is kept for the next one.
const BATCH_KEPT_MAX: usize = 1024 * 1024;

/// Queues that share one message's record; more need another record.
const SHARES_MAX: usize = 60_000;

/// Bytes of bodies above which no further message is collected before these are in the log. What is
/// collected is copied.
const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// The largest message is a record, with half as much again for what is known of it.
const _: () = assert!(MESSAGE_SIZE_HARD_MAX + MESSAGE_SIZE_HARD_MAX / 2 < RECORD_SIZE_MAX as u64);

/// A message that left its queue for good. The letters of one that is dead share it: the last of them
/// that is in the log tells that it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) queue: QueueUid,
    pub(crate) sequence: u64,
    pub(crate) position: RecordPosition,
    pub(crate) shares: u16,
    /// A restart has to know of it.
    pub(crate) is_logged: bool,
}

/// A record that is there already, and how many queues share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) position: RecordPosition,
    pub(crate) shares: u16,
}

/// Where a message for another shard's queue waits to leave: shard, batch, item.
pub(crate) type Outgoing = (u16, usize, usize);

/// A record to be: a message, or a reference to one that is written.
struct Pending {
    source: Source,
    placement: Placement,
    /// Slot and sequence of each entry that gets the record's position.
    entries: SmallVec<[(u32, u64); 1]>,
    /// Messages for other shards' queues, which will refer to the record.
    outgoing: SmallVec<[Outgoing; 1]>,
}

enum Source {
    Message(Message),
    Written(RecordPosition),
}

impl Pending {
    fn shares(&self) -> usize {
        self.entries.len() + self.outgoing.len()
    }

    fn is_of(&self, message: &Message) -> bool {
        matches!(&self.source, Source::Message(own) if own.is_same(message))
            && self.shares() < SHARES_MAX
    }
}

/// The log has given the records of a batch their places.
#[derive(Default)]
pub(crate) struct Placed {
    /// Slot and sequence of each entry, and where its message stands.
    pub(crate) entries: Vec<(u32, u64, Written)>,
    /// Messages for other shards, and where they stand.
    pub(crate) outgoing: Vec<(Outgoing, Written)>,
}

/// The records of a batch.
#[derive(Default)]
pub(crate) struct Journal {
    pending: Vec<Pending>,
    /// Of all messages in `pending`.
    body_bytes: u64,
    /// By record in `pending`: the death of which it is a letter.
    deaths: Vec<(usize, Arc<Left>)>,
    settled: Vec<(QueueUid, u64)>,
    handed_out: Vec<(QueueUid, u8, u64)>,
    /// Whole records, made already: purges and deletions.
    others: Vec<(u8, Vec<u8>)>,
    payload: Vec<u8>,
    positions: Vec<RecordPosition>,
    /// Of the last one, for its memory.
    batch: Batch,
}

impl Journal {
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
            && self.settled.is_empty()
            && self.handed_out.is_empty()
            && self.others.is_empty()
    }

    /// Whether it holds only what nobody waits for: what was settled, and what was handed out.
    pub(crate) fn is_unwanted(&self) -> bool {
        self.pending.is_empty() && self.others.is_empty()
    }

    /// Whether messages wait for their position.
    pub(crate) fn has_messages(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether what is collected should be in the log before this message, which makes another record,
    /// is collected too.
    #[inline]
    pub(crate) fn is_full_for(&self, message: &Message) -> bool {
        self.body_bytes >= BODY_BYTES_MAX
            && !self.pending.last().is_some_and(|last| last.is_of(message))
    }

    /// A message is in the queue of `slot`. Copies of one publish follow one another and share a
    /// record.
    pub(crate) fn enqueued(&mut self, slot: u32, target: Target, message: &Message) {
        let sequence = target.sequence;
        let pending = self.of(message);
        pending.placement.targets.push(target);
        pending.entries.push((slot, sequence));
    }

    /// A message of the queue of `slot` is to leave memory; a restart forgets it.
    pub(crate) fn paged(&mut self, slot: u32, sequence: u64, message: &Message) {
        self.of(message).entries.push((slot, sequence));
    }

    /// A message that is written already is in a queue.
    pub(crate) fn referred(&mut self, target: Target, message: &Message, written: Written) {
        if let Some(last) = self.pending.last_mut()
            && matches!(last.source, Source::Written(position) if position == written.position)
        {
            return last.placement.targets.push(target);
        }
        let mut placement = placement_of(message);
        placement.shares = written.shares;
        placement.targets = smallvec![target];
        self.pending.push(Pending {
            source: Source::Written(written.position),
            placement,
            entries: SmallVec::new(),
            outgoing: SmallVec::new(),
        });
    }

    /// A message leaves for another shard's queue. Where this batch writes it anyway, that queue
    /// will get the record's position with it.
    pub(crate) fn leaves(&mut self, message: &Message, outgoing: Outgoing) {
        if let Some(last) = self.pending.last_mut()
            && last.is_of(message)
        {
            last.outgoing.push(outgoing);
        }
    }

    fn of(&mut self, message: &Message) -> &mut Pending {
        let is_known = self.pending.last().is_some_and(|last| last.is_of(message));
        if !is_known {
            self.body_bytes += message.body_size() as u64;
            self.pending.push(Pending {
                source: Source::Message(message.clone()),
                placement: placement_of(message),
                entries: SmallVec::new(),
                outgoing: SmallVec::new(),
            });
        }
        let last = self.pending.len() - 1;
        &mut self.pending[last]
    }

    /// What left its queue by becoming the message journalled last.
    pub(crate) fn became_last(&mut self, left: Arc<Left>) {
        let Some(last) = self.pending.len().checked_sub(1) else { return };
        // A letter before it in this batch is in the log when this one is.
        self.deaths.pop_if(|(_, earlier)| Arc::ptr_eq(earlier, &left));
        self.deaths.push((last, left));
    }

    /// Has each letter tell of its death, if no other one is still on its way. Answers the deaths that
    /// are told, and those that are not, whose letters are in the log once this batch is.
    pub(crate) fn tell_deaths(&mut self) -> (Vec<Left>, Vec<Arc<Left>>) {
        let (mut told, mut untold) = (Vec::new(), Vec::new());
        for (record, left) in self.deaths.drain(..) {
            match Arc::try_unwrap(left) {
                Ok(left) => {
                    if left.is_logged {
                        let settled = &mut self.pending[record].placement.settled;
                        settled.push((left.queue, left.sequence));
                    }
                    told.push(left);
                }
                Err(left) => untold.push(left),
            }
        }
        (told, untold)
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

    /// Makes the log's batch of it; messages come first, so that their positions do. It wants to
    /// be [given back](Self::give_back).
    pub(crate) fn batch(&mut self) -> Batch {
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        for pending in &mut self.pending {
            self.payload.clear();
            match &pending.source {
                Source::Message(message) => {
                    pending.placement.shares = pending.shares() as u16;
                    let placement = &pending.placement;
                    // A restart has nothing to do with a message of no queue.
                    let is_page = placement.targets.is_empty() && placement.settled.is_empty();
                    let kind = if is_page { kind::PAGE } else { kind::MESSAGE };
                    match is_page {
                        true => put_page(&mut self.payload, message),
                        false => put_message(&mut self.payload, message, placement),
                    }
                    let length = self.payload.len();
                    put_content_head(&mut self.payload, message);
                    let (head, rest) = self.payload.split_at(length);
                    let [names, properties, body] = content(message);
                    batch.push_split(kind, &[head], &[rest, names, properties, body]);
                }
                Source::Written(position) => {
                    put_reference(&mut self.payload, *position, &pending.placement);
                    batch.push(kind::REFERENCE, &self.payload);
                }
            }
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

    /// Keeps the memory of a batch for the next one: to grow it anew each time would copy every
    /// message several times.
    pub(crate) fn give_back(&mut self, batch: Batch) {
        if batch.capacity() <= BATCH_KEPT_MAX {
            self.batch = batch;
        }
    }

    /// The list for the positions of the batch's records.
    pub(crate) fn positions(&mut self) -> &mut Vec<RecordPosition> {
        self.positions.clear();
        &mut self.positions
    }

    /// Takes the messages out, with the positions that the log gave their records.
    pub(crate) fn placed(&mut self) -> Placed {
        let mut placed = Placed::default();
        self.body_bytes = 0;
        for (pending, &position) in self.pending.drain(..).zip(&self.positions) {
            let written = Written { position, shares: pending.placement.shares };
            let entries = pending.entries.into_iter();
            placed.entries.extend(entries.map(|(slot, sequence)| (slot, sequence, written)));
            let outgoing = pending.outgoing.into_iter();
            placed.outgoing.extend(outgoing.map(|item| (item, written)));
        }
        placed
    }

    /// Forgets messages that the log did not take.
    pub(crate) fn refused(&mut self) {
        self.pending.clear();
        self.body_bytes = 0;
    }
}

fn placement_of(message: &Message) -> Placement {
    Placement {
        body_size: message.body().len() as u32,
        priority: message.priority(),
        ..Placement::default()
    }
}
