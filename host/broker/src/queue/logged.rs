//! What a durable queue has to tell the log: which messages are to be written, which left for
//! good, how far it has handed out. The shard collects it; the queue itself touches no disk.

use shunt_storage::RecordPosition;
use shunt_types::Message;

use super::{Entry, Queue};
use crate::durable::{Left, QueueUid, RecoveredQueue, Target};

/// Where an entry's record stands; a message that is in no log has a record of size 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) position: RecordPosition,
    /// How many queues share the record.
    pub(crate) shares: u16,
    /// The log knows the message, though perhaps not yet where.
    pub(crate) is_logged: bool,
}

impl Stored {
    /// In memory only.
    pub(crate) const NOWHERE: Self = Self {
        position: RecordPosition { segment: 0, offset: 0, size: 0 },
        shares: 1,
        is_logged: false,
    };

    /// Told to the log, which has not answered yet.
    const TOLD: Self = Self { is_logged: true, ..Self::NOWHERE };
}

/// A purge, for the log.
pub(crate) struct Purged {
    /// What was purged is below this sequence.
    pub(crate) below: u64,
    /// What was handed out then, and stays.
    pub(crate) kept: Vec<u64>,
    /// Where the dropped messages' records stand.
    pub(crate) dropped: Vec<Stored>,
}

/// A durable queue's side of the log.
pub(super) struct QueueLog {
    uid: QueueUid,
    /// What left for good since it was last taken.
    left: Vec<Left>,
    /// By lane: the sequence after the highest that was handed out.
    handed_out: Vec<u64>,
    /// Lanes whose mark has grown since it was last taken.
    grown: Vec<u8>,
    purged: Option<Purged>,
}

impl Queue {
    /// Has the queue keep its persistent messages in the log, under this id.
    pub(crate) fn with_log(mut self, uid: QueueUid) -> Self {
        let lanes = self.ready.lane_count();
        self.log = Some(QueueLog {
            uid,
            left: Vec::new(),
            handed_out: vec![0; lanes],
            grown: Vec::new(),
            purged: None,
        });
        self
    }

    /// The queue's id in the log.
    pub(crate) fn uid(&self) -> Option<QueueUid> {
        self.log.as_ref().map(|log| log.uid)
    }

    /// Takes back what the log kept.
    pub(crate) fn restore(&mut self, recovered: RecoveredQueue) {
        self.next_sequence = self.next_sequence.max(recovered.next_sequence);
        for (sequence, entry) in recovered.entries {
            let lane = self.ready.lane_of(&entry.message);
            let mark = recovered.handed_out.get(&(lane as u8));
            let redelivered = entry.redelivered || mark.is_some_and(|&mark| sequence <= mark);
            self.ready.push(Entry {
                sequence,
                expires_at_ms: entry.expires_at_ms,
                message: entry.message,
                redelivered,
                stored: Stored { position: entry.position, shares: entry.shares, is_logged: true },
            });
        }
        if let Some(log) = &mut self.log {
            for (lane, sequence) in recovered.handed_out {
                if let Some(mark) = log.handed_out.get_mut(usize::from(lane)) {
                    *mark = sequence + 1;
                }
            }
        }
    }

    /// Whether a message is to be kept in the log, and how the log names it.
    pub(super) fn target(
        &self,
        message: &Message,
        sequence: u64,
        expires_at_ms: u64,
    ) -> Option<Target> {
        let log = self.log.as_ref().filter(|_| message.is_persistent())?;
        Some(Target { queue: log.uid, sequence, expires_at_ms, redelivered: false })
    }

    pub(super) fn stored_as(target: Option<&Target>) -> Stored {
        if target.is_some() { Stored::TOLD } else { Stored::NOWHERE }
    }

    /// The log has given a message's record its place.
    pub(crate) fn set_stored(&mut self, sequence: u64, position: RecordPosition, shares: u16) {
        let stored = Stored { position, shares, is_logged: true };
        if let Some(entry) = self.ready.find_mut(sequence) {
            entry.stored = stored;
            return;
        }
        let unacked = self.unacked.iter_mut().map(|(_, unacked)| &mut unacked.entry);
        for entry in unacked.filter(|entry| entry.sequence == sequence) {
            entry.stored = stored;
        }
    }

    /// A message left for good.
    pub(super) fn note_left(&mut self, sequence: u64, stored: Stored) {
        if let Some(left) = self.left(sequence, stored)
            && let Some(log) = &mut self.log
        {
            log.left.push(left);
        }
    }

    /// How the log is told that a message left.
    pub(super) fn left(&self, sequence: u64, stored: Stored) -> Option<Left> {
        let log = self.log.as_ref().filter(|_| stored.is_logged)?;
        let Stored { position, shares, .. } = stored;
        Some(Left { queue: log.uid, sequence, position, shares })
    }

    /// A message that was handed out for good comes back. Answers its target where the log was
    /// told already that it left, so that it has to be written again.
    pub(super) fn note_returned(&mut self, entry: &mut Entry) -> Option<Target> {
        let log = self.log.as_mut().filter(|_| entry.stored.is_logged)?;
        if log.left.last().is_some_and(|left| left.sequence == entry.sequence) {
            log.left.pop();
            return None;
        }
        entry.stored = Stored::TOLD;
        Some(Target {
            queue: log.uid,
            sequence: entry.sequence,
            expires_at_ms: entry.expires_at_ms,
            redelivered: entry.redelivered,
        })
    }

    /// A message was handed out to be settled: after a restart it is a redelivered one.
    pub(super) fn note_handed_out(&mut self, entry: &Entry) {
        if !entry.stored.is_logged {
            return;
        }
        let lane = self.ready.lane_of(&entry.message);
        let Some(log) = &mut self.log else { return };
        if let Some(mark) = log.handed_out.get_mut(lane)
            && entry.sequence >= *mark
        {
            *mark = entry.sequence + 1;
            if log.grown.last() != Some(&(lane as u8)) {
                log.grown.push(lane as u8);
            }
        }
    }

    /// Notes a purge, which is one record however many messages it drops.
    pub(super) fn note_purge(&mut self) {
        let dropped = self.ready.stored();
        let kept = self.unacked.iter().map(|(_, unacked)| unacked.entry.sequence).collect();
        let Some(log) = &mut self.log else { return };
        let earlier = log.purged.take().map(|purged| purged.dropped).unwrap_or_default();
        let dropped = earlier.into_iter().chain(dropped).collect();
        log.purged = Some(Purged { below: self.next_sequence, kept, dropped });
    }

    /// Takes what left since the last time.
    pub(crate) fn take_left(&mut self) -> Vec<Left> {
        self.log.as_mut().map(|log| std::mem::take(&mut log.left)).unwrap_or_default()
    }

    /// Takes the marks that have grown: lane, and the highest sequence handed out.
    pub(crate) fn take_handed_out(&mut self) -> Vec<(u8, u64)> {
        let Some(log) = &mut self.log else { return Vec::new() };
        let marks = &log.handed_out;
        log.grown.drain(..).map(|lane| (lane, marks[usize::from(lane)] - 1)).collect()
    }

    /// Takes the purge.
    pub(crate) fn take_purged(&mut self) -> Option<Purged> {
        self.log.as_mut()?.purged.take()
    }

    /// Every message that is in the log, for what its deletion gives back.
    pub(crate) fn all_stored(&self) -> Vec<Stored> {
        let unacked = self.unacked.iter().map(|(_, unacked)| unacked.entry.stored);
        self.ready.stored().into_iter().chain(unacked).filter(|s| s.is_logged).collect()
    }

    /// The messages whose records stand in `segment`: offset there, sequence here.
    pub(crate) fn stored_in(&self, segment: u32) -> Vec<(u32, u64)> {
        if self.log.is_none() {
            return Vec::new();
        }
        let unacked = self.unacked.iter().map(|(_, unacked)| &unacked.entry);
        let stored = self.ready.iter().chain(unacked).map(|entry| (entry.stored, entry.sequence));
        stored
            .filter(|(stored, _)| stored.position.size > 0 && stored.position.segment == segment)
            .map(|(stored, sequence)| (stored.position.offset, sequence))
            .collect()
    }

    /// A message that is in the log, and how its record names it.
    pub(crate) fn record_of(&mut self, sequence: u64) -> Option<(Target, Message, Stored)> {
        let uid = self.uid()?;
        let entry = match self.ready.find_mut(sequence) {
            Some(entry) => entry,
            None => {
                let mut unacked = self.unacked.iter_mut().map(|(_, unacked)| &mut unacked.entry);
                unacked.find(|entry| entry.sequence == sequence)?
            }
        };
        if entry.stored.position.size == 0 {
            return None;
        }
        let Entry { expires_at_ms, redelivered, stored, .. } = *entry;
        let target = Target { queue: uid, sequence, expires_at_ms, redelivered };
        Some((target, entry.message.clone(), stored))
    }
}
