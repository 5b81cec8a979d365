//! Which shard a queue lives on, and in which of its slots.

use shunt_types::{QueueId, ShardId};

/// The slots of every shard.
pub(crate) struct Placement {
    shards: Vec<Slots>,
}

#[derive(Default)]
struct Slots {
    /// How often each slot was used.
    generations: Vec<u32>,
    free: Vec<u32>,
}

impl Slots {
    fn used(&self) -> usize {
        self.generations.len() - self.free.len()
    }
}

impl Placement {
    pub(crate) fn new(shards: u16) -> Self {
        Self { shards: (0..shards).map(|_| Slots::default()).collect() }
    }

    /// A place for a new queue: near the client that wants it where that is fair, since a publish
    /// within a shard is a function call; always there when the client alone may use it.
    pub(crate) fn take(&mut self, near: Option<ShardId>, exclusive: bool) -> QueueId {
        let fewest = self.shards.iter().map(Slots::used).min().unwrap_or(0);
        let near = near.filter(|shard| {
            let used = self.shards.get(usize::from(shard.0)).map(Slots::used);
            used.is_some_and(|used| exclusive || used == fewest)
        });
        let index = near.map_or_else(
            || self.shards.iter().position(|slots| slots.used() == fewest).unwrap_or(0),
            |shard| usize::from(shard.0),
        );
        let slots = &mut self.shards[index];
        let slot = slots.free.pop().unwrap_or_else(|| {
            slots.generations.push(0);
            slots.generations.len() as u32 - 1
        });
        let generation = &mut slots.generations[slot as usize];
        *generation = generation.wrapping_add(1);
        QueueId::new(ShardId(index as u16), slot, *generation)
    }

    pub(crate) fn give_back(&mut self, id: QueueId) {
        self.shards[usize::from(id.shard().0)].free.push(id.slot());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_spread_but_exclusive_ones_stay_near_their_client() {
        let mut placement = Placement::new(2);
        let near = Some(ShardId(1));
        assert_eq!(placement.take(near, false).shard(), ShardId(1));
        assert_eq!(placement.take(near, false).shard(), ShardId(0));
        assert_eq!(placement.take(near, true).shard(), ShardId(1));
        assert_eq!(placement.take(near, true).shard(), ShardId(1));
    }

    #[test]
    fn a_slot_used_again_has_another_id() {
        let mut placement = Placement::new(1);
        let first = placement.take(None, false);
        placement.give_back(first);
        let second = placement.take(None, false);
        assert_eq!(first.slot(), second.slot());
        assert_ne!(first, second);
    }
}
