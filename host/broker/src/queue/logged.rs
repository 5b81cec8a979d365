//! What a queue has to tell the log: which messages are to be written, which left for good, how
//! far it has handed out. The shard collects it; the queue itself touches no disk.

use shunt_storage::RecordPosition;
use shunt_types::Message;

use super::{Entry, Queue};
use crate::durable::{Left, QueueUid, RecoveredEntry, RecoveredQueue, Target};

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
    pub(super) const TOLD: Self = Self { is_logged: true, ..Self::NOWHERE };
}

/// A message of the queue that has a record.
pub(crate) struct Kept {
    pub(crate) target: Target,
    /// Nothing where the log alone has it.
    pub(crate) message: Option<Message>,
    pub(crate) stored: Stored,
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
    /// By lane: the sequence after the highest that was handed out.
    handed_out: Vec<u64>,
    /// Lanes whose mark has grown since it was last taken.
    grown: Vec<u8>,
    purged: Option<Purged>,
}

/// Where a look through a queue's messages goes on: those that wait for their ack by their keys,
/// then those that are ready by their sequences, one part after the other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ScanPlace {
    part: usize,
    from: u64,
}

impl Queue {
    /// Has the queue keep its persistent messages in the log, under this id.
    pub(crate) fn with_log(mut self, uid: QueueUid) -> Self {
        let lanes = self.ready.lane_count();
        self.log =
            Some(QueueLog { uid, handed_out: vec![0; lanes], grown: Vec::new(), purged: None });
        self
    }

    /// The queue's id in the log.
    #[inline]
    pub(crate) fn uid(&self) -> Option<QueueUid> {
        self.log.as_ref().map(|log| log.uid)
    }

    /// Takes back what the log kept; the messages themselves stay there until they are wanted.
    pub(crate) fn restore(&mut self, mut recovered: RecoveredQueue) {
        self.next_sequence = self.next_sequence.max(recovered.next_sequence());
        let handed_out = recovered.take_handed_out();
        recovered.drain(|entry| {
            let lane = self.ready.lane_of(entry.priority);
            let mark = handed_out.get(&lane);
            let was_handed_out = mark.is_some_and(|&mark| entry.sequence <= mark);
            let RecoveredEntry { position, shares, .. } = entry;
            self.ready.push(Entry {
                sequence: entry.sequence,
                expires_at_ms: entry.expires_at_ms,
                message: None,
                stored: Stored { position, shares, is_logged: true },
                body_size: entry.body_size,
                lane,
                redelivered: entry.redelivered || was_handed_out,
            });
        });
        if let Some(log) = &mut self.log {
            for (lane, sequence) in handed_out {
                if let Some(mark) = log.handed_out.get_mut(usize::from(lane)) {
                    *mark = sequence + 1;
                }
            }
        }
    }

    /// How the log names the queue in records that a restart doesn't read.
    #[inline]
    pub(super) fn log_uid(&self) -> QueueUid {
        self.uid().unwrap_or_default()
    }

    /// Whether the log may have to be told of a message that comes in.
    #[inline]
    pub(crate) fn may_need_record(&self, message: &Message) -> bool {
        self.keeps(message) || self.is_over_budget()
    }

    /// Whether a message is to be there after a restart.
    #[inline]
    pub(super) fn keeps(&self, message: &Message) -> bool {
        self.log.is_some() && message.is_persistent()
    }

    /// The log has given a message's record its place; the message may leave memory now.
    pub(crate) fn set_stored(&mut self, sequence: u64, position: RecordPosition, shares: u16) {
        let placed = |entry: &mut Entry| {
            entry.stored = Stored { position, shares, ..entry.stored };
            entry.lane
        };
        if let Some(lane) = self.ready.edit(sequence, placed) {
            return self.page_out(sequence, lane);
        }
        let unacked = self.unacked.iter_mut().map(|(_, unacked)| &mut unacked.entry);
        for entry in unacked.filter(|entry| entry.sequence == sequence) {
            entry.stored = Stored { position, shares, ..entry.stored };
        }
    }

    /// A message left for good.
    #[inline]
    pub(super) fn note_left(&mut self, sequence: u64, stored: Stored) {
        if let Some(left) = self.left(sequence, stored) {
            self.left.push(left);
        }
    }

    /// How the log is told that a message left; nothing where it has no record.
    #[inline]
    pub(super) fn left(&self, sequence: u64, stored: Stored) -> Option<Left> {
        let Stored { position, shares, is_logged } = stored;
        let has_record = is_logged || position.size > 0;
        let queue = self.log_uid();
        has_record.then_some(Left { queue, sequence, position, shares, is_logged })
    }

    /// A message that was handed out for good comes back. Answers its target where the log was
    /// told already that it left, so that it has to be written again.
    pub(super) fn note_returned(&mut self, entry: &mut Entry) -> Option<Target> {
        if self.left.last().is_some_and(|left| left.sequence == entry.sequence) {
            self.left.pop();
            return None;
        }
        if !entry.stored.is_logged {
            entry.stored = Stored::NOWHERE;
            return None;
        }
        entry.stored = Stored::TOLD;
        Some(Target {
            queue: self.log_uid(),
            sequence: entry.sequence,
            expires_at_ms: entry.expires_at_ms,
            redelivered: entry.redelivered,
        })
    }

    /// A message was handed out to be settled: after a restart it is a redelivered one.
    #[inline]
    pub(super) fn note_handed_out(&mut self, entry: &Entry) {
        if !entry.stored.is_logged {
            return;
        }
        let Some(log) = &mut self.log else { return };
        if let Some(mark) = log.handed_out.get_mut(usize::from(entry.lane))
            && entry.sequence >= *mark
        {
            *mark = entry.sequence + 1;
            if log.grown.last() != Some(&entry.lane) {
                log.grown.push(entry.lane);
            }
        }
    }

    /// Notes a purge, which is one record however many messages it drops.
    pub(super) fn note_purge(&mut self) {
        let dropped = self.ready.stored();
        let Some(log) = &mut self.log else {
            // Those that were written to leave memory.
            let dropped = dropped.into_iter().filter(|stored| stored.position.size > 0);
            let dropped: Vec<_> = dropped.collect();
            return dropped.into_iter().for_each(|stored| self.note_left(0, stored));
        };
        let kept = self.unacked.iter().map(|(_, unacked)| unacked.entry.sequence).collect();
        let earlier = log.purged.take().map(|purged| purged.dropped).unwrap_or_default();
        let dropped = earlier.into_iter().chain(dropped).collect();
        log.purged = Some(Purged { below: self.next_sequence, kept, dropped });
    }

    /// Takes what left since the last time.
    pub(crate) fn take_left(&mut self) -> Vec<Left> {
        std::mem::take(&mut self.left)
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

    /// Every message that has a record and is not dead, for what its deletion gives back.
    pub(crate) fn all_stored(&self) -> Vec<Stored> {
        let unacked = self.unacked.iter().map(|(_, unacked)| unacked.entry.stored);
        self.ready.stored().into_iter().chain(unacked).collect()
    }

    /// Looks from `place` on at as many messages as are `left`, and tells those whose records stand
    /// in `segment`: offset there, sequence here. Answers where to go on; None at the end.
    pub(crate) fn stored_in(
        &self,
        segment: u32,
        place: ScanPlace,
        left: &mut usize,
        mut each: impl FnMut(u32, u64),
    ) -> Option<ScanPlace> {
        let mut look = |entry: &Entry| {
            let position = entry.stored.position;
            if position.size > 0 && position.segment == segment {
                each(position.offset, entry.sequence);
            }
        };
        let ScanPlace { mut part, mut from } = place;
        if part == 0 {
            let unacked = self.unacked.iter().skip_while(|(key, _)| (*key as u64) < from);
            for (key, unacked) in unacked {
                if *left == 0 {
                    return Some(ScanPlace { part, from: key as u64 });
                }
                *left -= 1;
                look(&unacked.entry);
            }
            (part, from) = (1, 0);
        }
        while let Some(entries) = self.ready.part_from(part - 1, from) {
            for entry in entries {
                if *left == 0 {
                    return Some(ScanPlace { part, from: entry.sequence });
                }
                *left -= 1;
                look(entry);
            }
            (part, from) = (part + 1, 0);
        }
        None
    }

    /// A message that has a record, and how its record names it.
    pub(crate) fn record_of(&mut self, sequence: u64) -> Option<Kept> {
        let queue = self.log_uid();
        let kept = |entry: &mut Entry| Kept {
            target: Target {
                queue,
                sequence,
                expires_at_ms: entry.expires_at_ms,
                redelivered: entry.redelivered,
            },
            message: entry.message.clone(),
            stored: entry.stored,
        };
        let found = self.ready.edit(sequence, kept).or_else(|| {
            let mut unacked = self.unacked.iter_mut().map(|(_, unacked)| &mut unacked.entry);
            unacked.find(|entry| entry.sequence == sequence).map(kept)
        });
        found.filter(|kept| kept.stored.position.size > 0)
    }
}
