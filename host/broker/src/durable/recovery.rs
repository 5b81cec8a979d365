//! From the log's records back to the contents of queues.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use shunt_storage::RecordPosition;
use shunt_types::Message;

use super::record::{QueueUid, Record, RecordError};

/// A message that a queue gets back.
#[derive(Debug)]
pub(crate) struct RecoveredEntry {
    pub(crate) message: Message,
    pub(crate) expires_at_ms: u64,
    pub(crate) redelivered: bool,
    pub(crate) position: RecordPosition,
    /// How many queues share the record.
    pub(crate) shares: u16,
}

/// A queue's contents at the end of the log.
#[derive(Debug, Default)]
pub struct RecoveredQueue {
    pub(crate) entries: BTreeMap<u64, RecoveredEntry>,
    /// By priority lane: the highest sequence that was handed out.
    pub(crate) handed_out: BTreeMap<u8, u64>,
    /// The sequence after the highest that the log names.
    pub(crate) next_sequence: u64,
}

impl RecoveredQueue {
    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn saw(&mut self, sequence: u64) {
        self.next_sequence = self.next_sequence.max(sequence + 1);
    }
}

/// Replays the log. Records of a queue that was deleted, or whose declaration never reached the
/// disk, are left over at the end and mean nothing.
#[derive(Debug, Default)]
pub struct Recovery {
    queues: HashMap<QueueUid, RecoveredQueue>,
}

impl Recovery {
    /// Nothing replayed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Performs one record of the log; in the log's order.
    ///
    /// # Errors
    /// The record has no meaning to this build.
    pub fn replay(
        &mut self,
        position: RecordPosition,
        kind: u8,
        payload: &[u8],
    ) -> Result<(), RecordError> {
        match Record::decode(kind, payload)? {
            Record::Message { targets, settled, message } => {
                self.settle(&settled);
                let shares = targets.len() as u16;
                for target in targets {
                    let queue = self.queues.entry(target.queue).or_default();
                    queue.saw(target.sequence);
                    let entry = RecoveredEntry {
                        message: message.clone(),
                        expires_at_ms: target.expires_at_ms,
                        redelivered: target.redelivered,
                        position,
                        shares,
                    };
                    // A message that was moved to the log's end stands there again.
                    queue.entries.insert(target.sequence, entry);
                }
            }
            Record::Settled(settled) => self.settle(&settled),
            Record::HandedOut(marks) => {
                for (queue, lane, sequence) in marks {
                    let queue = self.queues.entry(queue).or_default();
                    queue.saw(sequence);
                    let mark = queue.handed_out.entry(lane).or_default();
                    *mark = sequence.max(*mark);
                }
            }
            Record::Dropped { queue, below, kept } => {
                let queue = self.queues.entry(queue).or_default();
                queue.next_sequence = queue.next_sequence.max(below);
                queue.entries.retain(|&sequence, _| sequence >= below || kept.contains(&sequence));
            }
            Record::Deleted(queue) => {
                self.queues.remove(&queue);
            }
        }
        Ok(())
    }

    fn settle(&mut self, settled: &[(QueueUid, u64)]) {
        for (queue, sequence) in settled {
            let queue = self.queues.entry(*queue).or_default();
            queue.saw(*sequence);
            queue.entries.remove(sequence);
        }
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
    use shunt_types::Properties;

    use super::super::record::{
        Target, kind, put_deleted, put_dropped, put_handed_out, put_message, put_settled,
    };
    use super::*;

    const QUEUE: QueueUid = QueueUid(1);
    const AT: RecordPosition = RecordPosition { segment: 1, offset: 0, size: 100 };

    fn message(recovery: &mut Recovery, sequence: u64, settled: &[(QueueUid, u64)]) {
        let message = Message::build("", "q", &Properties::default(), b"x").unwrap();
        let target = Target { queue: QUEUE, sequence, expires_at_ms: u64::MAX, redelivered: false };
        let mut payload = Vec::new();
        put_message(&mut payload, &[target], settled, &message);
        recovery.replay(AT, kind::MESSAGE, &payload).unwrap();
    }

    fn sequences(recovery: &mut Recovery) -> Vec<u64> {
        recovery.take(QUEUE).unwrap().entries.into_keys().collect()
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
        let queue = recovery.take(QUEUE).unwrap();
        assert_eq!(queue.next_sequence, 10);
        assert_eq!(queue.handed_out.get(&0), Some(&9));
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
