//! Where a connection would be better off.
//!
//! What a connection publishes to a queue of another shard, or gets from there, costs a wake of the other
//! thread: on an idle node that is most of the way of a message. So a connection whose batches go to
//! and fro between its shard and another one moves there, as long as both threads have time. Once its thread
//! is busy it goes back to where it was accepted: then it is work that has to be shared out, and a
//! thread that is awake anyway is cheap to tell.

use std::cell::Cell;
use std::sync::Arc;

use shunt_types::ShardId;

use crate::neighbours::{LOOK_MS, Neighbours};
use crate::settings::Moves;

/// How many more batches must have gone to or come from one shard than any others before the connection
/// moves there for the first time; twice as many each further time.
const BATCHES: u32 = 32;

/// So many are enough however often it has moved.
const BATCHES_MAX: u32 = 1 << 16;

/// For how long, in milliseconds: how busy the threads are is known by then, with these batches.
const PERIOD_MS: u64 = 2 * LOOK_MS;

/// Thousandths of one thread's time that both threads together may be at work for a connection to follow its
/// queues. Less than [`BUSY`], since connections would go to and fro.
const IDLE: u32 = 400;

/// Thousandths of its time that a thread is at work when connections go back from it.
const BUSY: u32 = 600;

/// Milliseconds between two connections that leave one shard to follow their queues, and to go back.
const PAUSE_MS: u64 = 10;
const PAUSE_WHEN_BUSY_MS: u64 = 1;

/// One connection's wish to move.
pub(crate) struct Affinity {
    neighbours: Arc<Neighbours>,
    moves: Moves,
    own: ShardId,
    /// Where it was accepted.
    home: Cell<ShardId>,
    /// The shard that most batches were for, by how many more they were than all others, and since when.
    candidate: Cell<ShardId>,
    lead: Cell<u32>,
    since_ms: Cell<u64>,
    /// How many have to lead for a move.
    wanted: u32,
    wish: Cell<Option<ShardId>>,
}

/// What is left of it after a move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    home: ShardId,
    wanted: u32,
}

impl Affinity {
    /// Of a connection that was accepted by `own`, or has moved there.
    pub(crate) fn new(
        own: ShardId,
        moves: Moves,
        neighbours: Arc<Neighbours>,
        moved: Option<Moved>,
    ) -> Self {
        let moves = if neighbours.count() == 1 { Moves::Never } else { moves };
        let Moved { home, wanted } = moved.unwrap_or(Moved { home: own, wanted: BATCHES });
        Self {
            neighbours,
            moves,
            own,
            home: Cell::new(home),
            candidate: Cell::new(own),
            lead: Cell::new(0),
            since_ms: Cell::new(0),
            wanted,
            wish: Cell::new(None),
        }
    }

    /// Notes a batch for or from queues of `shard`. Whether the connection wants to move now, and did not
    /// before.
    #[inline]
    pub(crate) fn note(&self, shard: ShardId, now_ms: impl FnOnce() -> u64) -> bool {
        match self.moves {
            Moves::Never => false,
            Moves::Always => {
                let next = (usize::from(self.own.0) + 1) % self.neighbours.count();
                self.wish.replace(Some(ShardId(next as u16))).is_none()
            }
            Moves::Auto => self.weigh(shard, now_ms),
        }
    }

    fn weigh(&self, shard: ShardId, now_ms: impl FnOnce() -> u64) -> bool {
        if self.home.get() != self.own && self.neighbours.busy(self.own) >= BUSY {
            return self.wish.get().is_none()
                && self.neighbours.takes_leave(self.own, now_ms(), PAUSE_WHEN_BUSY_MS)
                && self.wish.replace(Some(self.home.get())).is_none();
        }
        let lead = self.lead.get();
        if shard != self.candidate.get() {
            if lead > 0 {
                self.lead.set(lead - 1);
            } else {
                self.candidate.set(shard);
                self.begin(now_ms());
            }
            return false;
        }
        if lead < self.wanted {
            self.lead.set(lead + 1);
            if lead == 0 {
                self.begin(now_ms());
            }
            return false;
        }
        if shard == self.own {
            return false;
        }
        let now_ms = now_ms();
        if now_ms.saturating_sub(self.since_ms.get()) < PERIOD_MS {
            return false;
        }
        let together = self.neighbours.busy(self.own) + self.neighbours.busy(shard);
        if together > IDLE {
            self.begin(now_ms);
            return false;
        }
        self.wish.get().is_none()
            && self.neighbours.takes_leave(self.own, now_ms, PAUSE_MS)
            && self.wish.replace(Some(shard)).is_none()
    }

    fn begin(&self, now_ms: u64) {
        self.lead.set(1);
        self.since_ms.set(now_ms);
    }

    /// Where the connection wants to be.
    pub(crate) fn wish(&self) -> Option<ShardId> {
        self.wish.get()
    }

    /// The connection can't move now.
    pub(crate) fn stay(&self) {
        self.wish.set(None);
        self.home.set(self.own);
        self.lead.set(0);
    }

    /// What the connection takes along.
    pub(crate) fn moved(&self) -> Moved {
        Moved { home: self.home.get(), wanted: (2 * self.wanted).min(BATCHES_MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: ShardId = ShardId(0);
    const THERE: ShardId = ShardId(1);

    fn neighbours(count: usize) -> Arc<Neighbours> {
        Arc::new(Neighbours::new(count))
    }

    fn affinity(neighbours: &Arc<Neighbours>, own: ShardId, moved: Option<Moved>) -> Affinity {
        Affinity::new(own, Moves::Auto, neighbours.clone(), moved)
    }

    /// Notes batches, one a millisecond; how many it took until the connection wanted to move.
    fn until_wish(
        affinity: &Affinity,
        batches: impl IntoIterator<Item = ShardId>,
    ) -> Option<usize> {
        batches
            .into_iter()
            .enumerate()
            .find_map(|(n, shard)| affinity.note(shard, || 1_000 + n as u64).then_some(n))
    }

    #[test]
    fn a_connection_follows_its_queues_while_both_threads_have_time() {
        let neighbours = neighbours(2);
        let always_there = || std::iter::repeat_n(THERE, 10_000);
        let idle = affinity(&neighbours, HERE, None);
        assert_eq!(until_wish(&idle, always_there()), Some(PERIOD_MS as usize));
        assert_eq!(idle.wish(), Some(THERE));
        assert!(!idle.note(THERE, || 9_999), "it wants to already");
        neighbours.set_busy(THERE, IDLE - 100);
        neighbours.set_busy(HERE, 101);
        assert_eq!(until_wish(&affinity(&neighbours, HERE, None), always_there()), None);
        neighbours.set_busy(HERE, 100);
        let wish = until_wish(&affinity(&neighbours, HERE, None), always_there());
        assert!(wish.is_some());
    }

    #[test]
    fn it_stays_where_most_of_its_batches_are_for() {
        let neighbours = neighbours(3);
        let mixed = |there: usize, others: [ShardId; 2]| {
            let round = std::iter::repeat_n(THERE, there).chain(others);
            std::iter::repeat_n(round, 5_000).flatten()
        };
        let wish = |batches| until_wish(&affinity(&neighbours, HERE, None), batches);
        assert_eq!(wish(mixed(0, [HERE; 2])), None);
        assert_eq!(wish(mixed(2, [HERE; 2])), None);
        assert_eq!(wish(mixed(1, [HERE, ShardId(2)])), None);
        assert!(wish(mixed(3, [HERE, ShardId(2)])).is_some());
    }

    #[test]
    fn each_move_makes_the_next_one_harder() {
        let neighbours = neighbours(2);
        let first = affinity(&neighbours, HERE, None);
        let mut moved = first.moved();
        for _ in 0..4 {
            moved = affinity(&neighbours, HERE, Some(moved)).moved();
        }
        let later = affinity(&neighbours, HERE, Some(moved));
        let took = until_wish(&later, std::iter::repeat_n(THERE, 10_000));
        assert_eq!(took, Some(32 * BATCHES as usize));
    }

    #[test]
    fn it_goes_home_from_a_busy_thread_unless_it_cannot() {
        let neighbours = neighbours(2);
        let moved = affinity(&neighbours, HERE, None).moved();
        let away = affinity(&neighbours, THERE, Some(moved));
        assert_eq!(until_wish(&away, std::iter::repeat_n(THERE, 1_000)), None);
        neighbours.set_busy(THERE, BUSY);
        assert!(away.note(THERE, || 100));
        assert_eq!(away.wish(), Some(HERE));
        away.stay();
        assert!(!away.note(THERE, || 200) && away.wish().is_none());
    }

    #[test]
    fn a_thousand_that_want_to_go_go_one_after_the_other() {
        let neighbours = neighbours(2);
        let all: Vec<Affinity> = (0..5).map(|_| affinity(&neighbours, HERE, None)).collect();
        let mut left = Vec::new();
        for now_ms in 1_000..2_000 {
            let noted = all.iter().filter(|one| one.note(THERE, || now_ms));
            left.extend(noted.map(|_| now_ms));
        }
        let first = 1_000 + PERIOD_MS;
        assert_eq!(left, [0, 1, 2, 3, 4].map(|n| first + n * PAUSE_MS));
    }

    #[test]
    fn where_there_is_one_shard_nobody_moves() {
        let alone = Affinity::new(HERE, Moves::Always, neighbours(1), None);
        assert!(!alone.note(HERE, || 0) && alone.wish().is_none());
        let restless = Affinity::new(ShardId(2), Moves::Always, neighbours(3), None);
        assert!(restless.note(HERE, || 0));
        assert_eq!(restless.wish(), Some(HERE));
    }
}
