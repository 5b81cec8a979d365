//! From the log's records back to the contents of queues.

use hashbrown::HashMap;
use shunt_storage::RecordPosition;

use super::contents::{RecoveredEntry, RecoveredQueue};
use super::record::{Placement, QueueUid, Record, RecordError, Settled};

/// Replays the log. Records of a queue that was deleted, or whose declaration never reached the
/// disk, are left over at the end and mean nothing.
#[derive(Debug, Default)]
pub struct Recovery {
    queues: HashMap<QueueUid, RecoveredQueue, foldhash::fast::FixedState>,
}

impl Recovery {
    /// Nothing replayed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Performs one record of the log, given its head; in the log's order.
    ///
    /// # Errors
    /// The record has no meaning to this build.
    pub fn replay(
        &mut self,
        position: RecordPosition,
        kind: u8,
        head: &[u8],
    ) -> Result<(), RecordError> {
        match Record::decode(kind, head)? {
            Record::Message(placement) => self.place(position, &placement),
            Record::Reference(position, placement) => self.place(position, &placement),
            Record::Page => {}
            Record::Settled(settled) => self.settle(&settled),
            Record::HandedOut(marks) => {
                for (queue, lane, sequence) in marks {
                    self.queue(queue).mark_handed_out(lane, sequence);
                }
            }
            Record::Dropped { queue, below, kept } => {
                self.queue(queue).settle_below(below, &kept);
            }
            Record::Deleted(queue) => {
                self.queues.remove(&queue);
            }
        }
        Ok(())
    }

    fn place(&mut self, position: RecordPosition, placement: &Placement) {
        self.settle(&placement.settled);
        for target in &placement.targets {
            self.queue(target.queue).insert(RecoveredEntry {
                sequence: target.sequence,
                expires_at_ms: target.expires_at_ms,
                position,
                body_size: placement.body_size,
                shares: placement.shares,
                priority: placement.priority,
                redelivered: target.redelivered,
            });
        }
    }

    fn settle(&mut self, settled: &[Settled]) {
        for (queue, sequence) in settled {
            self.queue(*queue).settle(*sequence);
        }
    }

    fn queue(&mut self, queue: QueueUid) -> &mut RecoveredQueue {
        self.queues.entry(queue).or_default()
    }

    /// Takes a queue's contents out.
    pub fn take(&mut self, queue: QueueUid) -> Option<RecoveredQueue> {
        self.queues.remove(&queue)
    }

    /// Messages that were recovered, in all queues.
    pub fn messages(&self) -> usize {
        self.queues.values().map(RecoveredQueue::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use shunt_types::{Message, Properties};
    use smallvec::{SmallVec, smallvec};

    use super::super::record::{
        Target, kind, put_deleted, put_dropped, put_handed_out, put_message, put_reference,
        put_settled,
    };
    use super::*;

    const QUEUE: QueueUid = QueueUid(1);
    const AT: RecordPosition = RecordPosition { segment: 1, offset: 0, size: 100 };

    fn placement(sequence: u64, settled: &[Settled]) -> Placement {
        let target = Target { queue: QUEUE, sequence, expires_at_ms: u64::MAX, redelivered: false };
        let (targets, settled) = (smallvec![target], SmallVec::from_slice(settled));
        Placement { shares: 1, body_size: 1, priority: 0, targets, settled }
    }

    fn message(recovery: &mut Recovery, sequence: u64, settled: &[Settled]) {
        let mut head = Vec::new();
        let message = Message::build("", "q", &Properties::default(), b"m").unwrap();
        put_message(&mut head, &message, &placement(sequence, settled));
        recovery.replay(AT, kind::MESSAGE, &head).unwrap();
    }

    fn sequences(recovery: &mut Recovery) -> Vec<u64> {
        let mut sequences = Vec::new();
        recovery.take(QUEUE).unwrap().drain(|entry| sequences.push(entry.sequence));
        sequences
    }

    #[test]
    fn a_reference_is_to_the_record_that_it_names() {
        let mut recovery = Recovery::new();
        let elsewhere = RecordPosition { segment: 7, offset: 8, size: 9 };
        let mut payload = Vec::new();
        put_reference(&mut payload, elsewhere, &placement(3, &[]));
        recovery.replay(AT, kind::REFERENCE, &payload).unwrap();
        let queue = recovery.take(QUEUE).unwrap();
        assert_eq!(queue.iter().map(|entry| entry.position).collect::<Vec<_>>(), [elsewhere]);
    }

    #[test]
    fn what_was_settled_does_not_come_back() {
        let mut recovery = Recovery::new();
        (0..4).for_each(|sequence| message(&mut recovery, sequence, &[]));
        let mut payload = Vec::new();
        put_settled(&mut payload, &[(QUEUE, 1)]);
        recovery.replay(AT, kind::SETTLED, &payload).unwrap();
        message(&mut recovery, 4, &[(QUEUE, 0)]);
        assert_eq!(recovery.messages(), 3);
        assert_eq!(sequences(&mut recovery), [2, 3, 4]);
    }

    #[test]
    fn a_purge_leaves_what_was_handed_out() {
        let mut recovery = Recovery::new();
        (0..5).for_each(|sequence| message(&mut recovery, sequence, &[]));
        let mut payload = Vec::new();
        put_dropped(&mut payload, QUEUE, 4, &[1]);
        recovery.replay(AT, kind::DROPPED, &payload).unwrap();
        assert_eq!(sequences(&mut recovery), [1, 4]);
    }

    #[test]
    fn sequences_go_on_after_what_the_log_names() {
        let mut recovery = Recovery::new();
        message(&mut recovery, 7, &[]);
        let mut payload = Vec::new();
        put_handed_out(&mut payload, &[(QUEUE, 0, 9)]);
        recovery.replay(AT, kind::HANDED_OUT, &payload).unwrap();
        let mut queue = recovery.take(QUEUE).unwrap();
        assert_eq!(queue.next_sequence(), 10);
        assert_eq!(queue.take_handed_out().get(&0), Some(&9));
    }

    #[test]
    fn a_deleted_queue_has_no_contents() {
        let mut recovery = Recovery::new();
        message(&mut recovery, 0, &[]);
        let mut payload = Vec::new();
        put_deleted(&mut payload, QUEUE);
        recovery.replay(AT, kind::DELETED, &payload).unwrap();
        assert!(recovery.take(QUEUE).is_none());
    }
}
