//! The shard's side of making room in the node's log: the oldest segment is gone through, and what
//! still lives in it is written again at the log's end.
//!
//! In small steps, between which the shard does its other work: first its queues are looked
//! through, some thousand messages at a time, then what was found is written. A message that moves
//! within its queue meanwhile may be missed; the segment then stays, and its turn comes again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shunt_storage::{SegmentInfo, SegmentLog};
use shunt_types::ShardId;

use super::{Shard, Task};
use crate::durable::Evacuation;
use crate::queue::ScanPlace;

/// Messages that one step looks at: about a tenth of a millisecond.
const SCANNED_AT_ONCE: usize = if cfg!(test) { 3 } else { 16 * 1024 };
/// Bytes of messages that one step writes again: half a millisecond, about.
const WRITTEN_AT_ONCE: usize = 128 * 1024;
/// Bytes that wait for the disk beyond which an evacuation waits too, so that what publishers
/// write does not wait behind it.
const UNSYNCED_MAX: u64 = 512 * 1024;

/// A segment that is being made empty, as far as one shard's queues live in it.
pub(super) struct Evacuating {
    segment: u32,
    /// How many shards are still at it.
    shards: Arc<AtomicUsize>,
    /// Where the looking goes on; None when all queues were looked through.
    scan: Option<(u32, ScanPlace)>,
    /// What was found: offset in the segment, queue's slot, sequence.
    found: VecDeque<(u32, u32, u64)>,
    /// Whether it goes on when the disk is further.
    pub(super) waits: bool,
}

impl Shard {
    /// Gives space back, and begins to make some. Now and then, by one shard.
    pub fn reclaim(&mut self) {
        self.reclaim_after(None);
    }

    /// Gives back the oldest segments, as far as nothing lives in them; answers those that stay.
    pub(super) fn remove_dead(&self) -> Vec<SegmentInfo> {
        let Some(log) = self.broker.message_log() else { return Vec::new() };
        let mut segments = log.segments();
        if let Evacuation::Remove(last) = self.broker.usage().advise(&segments) {
            log.remove_through(last);
            segments.retain(|segment| segment.number > last);
        }
        segments
    }

    /// As [`Shard::reclaim`], but for a segment that was just gone through.
    fn reclaim_after(&self, done: Option<u32>) {
        let segments = self.remove_dead();
        match self.broker.usage().advise(&segments) {
            Evacuation::Move(segment) if Some(segment) != done => self.evacuate(segment),
            _ => {}
        }
    }

    /// Has every shard go through the segment, unless one is being gone through.
    fn evacuate(&self, segment: u32) {
        if !self.broker.begin_evacuation() {
            return;
        }
        let shards = Arc::new(AtomicUsize::new(self.broker.shard_count().into()));
        for shard in 0..self.broker.shard_count() {
            let evacuating = Evacuating {
                segment,
                shards: shards.clone(),
                scan: Some((0, ScanPlace::default())),
                found: VecDeque::new(),
                waits: false,
            };
            self.broker.inbox(ShardId(shard)).post(Task::Call(Box::new(move |shard| {
                // What this batch journals gets its place now, so that it is found.
                shard.append_journal();
                shard.log.evacuation = Some(evacuating);
                shard.evacuate_some();
            })));
        }
    }

    /// The disk is further than it was.
    pub(super) fn go_on_evacuating(&mut self) {
        if let Some(evacuating) = &mut self.log.evacuation
            && std::mem::take(&mut evacuating.waits)
        {
            self.broker.inbox(self.id).post(Task::Call(Box::new(Shard::evacuate_some)));
        }
    }

    /// One step, which sees to it that the next one comes; the last shard to finish ends it.
    fn evacuate_some(&mut self) {
        let Some(mut evacuating) = self.log.evacuation.take() else { return };
        let unsynced = self.broker.message_log().map_or(0, SegmentLog::unsynced_bytes);
        evacuating.waits = unsynced > UNSYNCED_MAX;
        if !evacuating.waits {
            match evacuating.scan {
                Some(from) => self.scan_some(&mut evacuating, from),
                None => self.move_some(&mut evacuating),
            }
        }
        if evacuating.scan.is_some() || !evacuating.found.is_empty() {
            let waits = evacuating.waits;
            self.log.evacuation = Some(evacuating);
            if waits {
                self.await_disk();
            } else {
                let next = Task::Call(Box::new(Shard::evacuate_some));
                self.broker.inbox(self.id).post(next);
            }
        } else if evacuating.shards.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.broker.finish_evacuation();
            self.reclaim_after(Some(evacuating.segment));
        }
    }

    fn scan_some(&self, evacuating: &mut Evacuating, (from, mut place): (u32, ScanPlace)) {
        let mut left = SCANNED_AT_ONCE;
        for (index, slot) in (from..).zip(&self.slots[from as usize..]) {
            if let Some(slot) = slot {
                let segment = evacuating.segment;
                let found = &mut evacuating.found;
                let next = slot.queue.stored_in(segment, place, &mut left, |offset, sequence| {
                    found.push_back((offset, index, sequence));
                });
                if let Some(next) = next {
                    evacuating.scan = Some((index, next));
                    return;
                }
            }
            place = ScanPlace::default();
        }
        evacuating.scan = None;
        // In the order of the log, so that what shared a record shares one again.
        evacuating.found.make_contiguous().sort_unstable();
    }

    fn move_some(&mut self, evacuating: &mut Evacuating) {
        let mut moved = Vec::new();
        let mut bytes = 0;
        while bytes < WRITTEN_AT_ONCE
            && let Some((_, index, sequence)) = evacuating.found.pop_front()
        {
            let Some(Some(slot)) = self.slots.get_mut(index as usize) else { continue };
            let Some(kept) = slot.queue.record_of(sequence) else { continue };
            // It may have been listed twice, where it moved within its queue.
            if kept.stored.position.segment == evacuating.segment {
                bytes += kept.stored.position.size as usize;
                moved.push((index, kept));
            }
        }
        self.write_again(moved);
        self.append_journal();
    }
}
