//! Deliveries that wait too long for their settlement, found without a time in each of them.
//!
//! A look notes the channel's last delivery tag. A tag that was noted by a look some time ago has
//! been outstanding for at least that time, so that one list of looks per channel tells the age of
//! every delivery, to within the time between two looks.

use std::collections::VecDeque;

/// Looks that are kept. Beyond these every other one goes: old deliveries need not be known to
/// the second.
const LOOKS_MAX: usize = 64;

/// When which delivery tag was the last.
#[derive(Default)]
pub(crate) struct Looks(VecDeque<(u64, u64)>);

impl Looks {
    /// Notes a look at `now_ms`. Looks from before the longest time that is asked for are dropped.
    pub(crate) fn note(&mut self, now_ms: u64, last_tag: u64, longest_ms: u64) {
        while self.0.get(1).is_some_and(|&(at_ms, _)| at_ms.saturating_add(longest_ms) <= now_ms) {
            self.0.pop_front();
        }
        if self.0.back().is_some_and(|&(_, tag)| tag == last_tag) {
            return;
        }
        if self.0.len() >= LOOKS_MAX {
            let mut keeps = false;
            self.0.retain(|_| {
                keeps = !keeps;
                keeps
            });
        }
        self.0.push_back((now_ms, last_tag));
    }

    /// The last tag that was delivered at least `age_ms` ago; 0 where none is known to be.
    pub(crate) fn tag_of_age(&self, now_ms: u64, age_ms: u64) -> u64 {
        let old_enough =
            self.0.iter().rev().find(|&&(at_ms, _)| at_ms.saturating_add(age_ms) <= now_ms);
        old_enough.map_or(0, |&(_, tag)| tag)
    }

    /// Forgets all, where nothing is outstanding.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_as_old_as_the_first_look_that_saw_it() {
        let mut looks = Looks::default();
        looks.note(100, 3, 1000);
        looks.note(200, 3, 1000);
        looks.note(300, 9, 1000);
        assert_eq!(looks.tag_of_age(300, 200), 3);
        assert_eq!(looks.tag_of_age(300, 201), 0);
        assert_eq!(looks.tag_of_age(300, 0), 9);
        assert_eq!(looks.tag_of_age(5_000, 1000), 9);
    }

    #[test]
    fn the_list_stays_short_and_keeps_an_old_look() {
        let mut looks = Looks::default();
        for n in 1..=10_000 {
            looks.note(n, n, 5_000);
        }
        assert!(looks.0.len() <= LOOKS_MAX, "{}", looks.0.len());
        let tag = looks.tag_of_age(10_000, 5_000);
        assert!((1..=5_000).contains(&tag), "{tag}");
        // What is older than the longest time is one look.
        looks.note(1_000_000, 10_001, 5_000);
        assert_eq!(looks.0.len(), 2);
    }
}
