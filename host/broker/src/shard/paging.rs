//! Messages of this shard's queues that are in the log alone come back into memory.

use shunt_types::{AmqpError, Message, QueueId, ReplyCode};

use super::{Shard, requests};
use crate::durable::PageRequest;
use crate::queue::{Dead, Paged, Wanted};

/// Bytes that are read with a message that somebody fetches: the next ones are likely wanted too.
const FETCHED_AHEAD: u64 = 64 * 1024;

impl Shard {
    /// Sees to it that consumers find messages in memory; what is read comes later.
    pub(super) fn read_ahead(&mut self, index: u32) {
        let now_ms = self.now_ms;
        let Some(Some(slot)) = self.slots.get_mut(index as usize) else { return };
        let queue = slot.queue.id();
        let wanted = slot.queue.take_wanted(now_ms);
        if wanted.is_empty() {
            return;
        }
        let request = PageRequest { queue, wanted };
        if let Some(PageRequest { queue, wanted }) = self.broker.pages().post(request) {
            let pages = self.broker.read_pages(&wanted);
            self.take_pages(queue, pages);
        }
    }

    /// What was read ahead is there; it is dealt out with the next flush.
    pub(crate) fn take_pages(&mut self, queue: QueueId, pages: Vec<(Wanted, Paged)>) {
        let now_ms = self.now_ms;
        let Some(slot) = self.slot(queue) else { return };
        let lost = slot.queue.take_paged(now_ms, pages);
        self.broker.counters().messages_lost_to_damage.add(lost);
        self.mark_dirty(queue.slot());
    }

    /// Reads the message that is next in a queue, where it is in the log alone.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` (541) where the disk refuses.
    pub(super) fn read_front(&mut self, queue: QueueId) -> Result<(), AmqpError> {
        let now_ms = self.now_ms;
        loop {
            let slot = self.slot(queue).ok_or_else(requests::gone)?;
            let wanted = slot.queue.front_away(now_ms, FETCHED_AHEAD);
            if wanted.is_empty() {
                return Ok(());
            }
            let pages = self.broker.read_pages(&wanted);
            let has_failed = pages.iter().any(|(_, paged)| matches!(paged, Paged::Failed));
            self.take_pages(queue, pages);
            if has_failed {
                let text = "the queue's messages can't be read from disk";
                return Err(AmqpError::new(ReplyCode::InternalError, text));
            }
        }
    }

    /// Reads what of a queue's dead is in the log alone. What is damaged gets no letter; what the
    /// disk refuses goes back, to be buried later.
    pub(super) fn with_messages(
        &mut self,
        queue: QueueId,
        dead: Vec<Dead>,
    ) -> Vec<(Dead, Message)> {
        let away = dead.iter().filter(|dead| dead.message.is_none());
        let wanted: Vec<_> =
            away.map(|dead| Wanted { sequence: 0, position: dead.stored.position }).collect();
        let mut pages = self.broker.read_pages(&wanted).into_iter();
        let mut found = Vec::with_capacity(dead.len());
        let mut later = Vec::new();
        for mut dead in dead {
            if let Some(message) = dead.message.take() {
                found.push((dead, message));
                continue;
            }
            match pages.next() {
                Some((_, Paged::Read(message))) => found.push((dead, message)),
                Some((_, Paged::Lost)) => {
                    self.broker.counters().messages_lost_to_damage.add(1);
                    dead.left.into_iter().for_each(|left| self.left_as_letter(left));
                }
                Some((_, Paged::Failed)) | None => later.push(dead),
            }
        }
        if !later.is_empty() {
            let now_ms = self.now_ms;
            if let Some(slot) = self.slot(queue) {
                slot.queue.put_back_dead(now_ms, later);
                // To be dealt out sets the time of the next try.
                self.mark_dirty(queue.slot());
            }
        }
        found
    }

    /// Writes messages again at the log's end, so that the segment where they stand can go.
    pub(super) fn write_again(&mut self, moved: Vec<(u32, crate::queue::Kept)>) {
        let away = moved.iter().filter(|(_, kept)| kept.message.is_none());
        let wanted: Vec<_> = away
            .map(|(_, kept)| Wanted {
                sequence: kept.target.sequence,
                position: kept.stored.position,
            })
            .collect();
        let mut pages = self.broker.read_pages(&wanted).into_iter();
        for (index, kept) in moved {
            let message = match kept.message {
                Some(message) => message,
                None => match pages.next() {
                    Some((_, Paged::Read(message))) => message,
                    Some((wanted, Paged::Lost)) => {
                        self.lose(index, wanted);
                        continue;
                    }
                    // Tried again when the segment's turn comes the next time.
                    _ => continue,
                },
            };
            self.log.freed(kept.stored.position, kept.stored.shares);
            match kept.stored.is_logged {
                true => self.log.journal.enqueued(index, kept.target, &message),
                false => self.log.journal.paged(index, kept.target.sequence, &message),
            }
        }
    }

    fn lose(&mut self, index: u32, wanted: Wanted) {
        let Some(Some(slot)) = self.slots.get_mut(index as usize) else { return };
        if slot.queue.drop_lost(wanted.sequence, wanted.position) {
            self.broker.counters().messages_lost_to_damage.add(1);
            self.mark_dirty(index);
        }
    }

    /// Passes a new memory budget on to the queues.
    pub(super) fn look_at_budget(&mut self) {
        let changes = self.broker.memory_budget_changes();
        if changes != self.budget_changes {
            self.budget_changes = changes;
            self.budget = self.broker.memory_budget();
            let budget = self.budget;
            self.slots.iter_mut().flatten().for_each(|slot| slot.queue.set_memory_budget(budget));
        }
    }
}
