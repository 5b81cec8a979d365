//! Answers that were given before: a route without capabilities is a function of its fields.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use shunt_routing::{Destination, Header};
use smallvec::SmallVec;

use crate::fields::{Field, put_fields};
use crate::limits::{ANSWER_DESTINATIONS_MAX, ANSWER_KEY_BYTES_MAX};
use crate::msgpack::Writer;

/// Look-ups after which the cache asks itself whether it is worth its cost.
const TRIAL: u32 = 1_024;
/// Calls that pass it by after a trial with too few hits.
const PAUSE: u32 = 16 * TRIAL;
/// Hits in a trial below which the look-ups are taken not to pay.
const HITS_MIN: u32 = TRIAL / 4;

/// The answers of one instance, by the bytes of the declared fields. It belongs to one thread,
/// exchange, version and set of bindings, and goes with the first of them that changes.
///
/// Each key has one place; another key that falls on it takes it over. So it is bounded without
/// being swept, and whoever chooses colliding keys gains misses.
pub(crate) struct Answers {
    /// None until there is something to keep: most exchanges are quiet.
    slots: Box<[Slot]>,
    entries: usize,
    key: [u8; ANSWER_KEY_BYTES_MAX],
    /// Look-ups and hits of this trial.
    looked: u32,
    found: u32,
    /// Calls that still pass the cache by.
    paused: u32,
}

#[derive(Clone, Default)]
struct Slot {
    hash: u64,
    key: Box<[u8]>,
    destinations: SmallVec<[Destination; 2]>,
    is_used: bool,
}

/// Where an answer that isn't there belongs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    hash: u64,
    key_length: usize,
}

/// What a look-up found.
pub(crate) enum Found<'a> {
    Answer(&'a [Destination]),
    Missing(Place),
    /// The fields are too long, or the cache is passed by for now.
    Nothing,
}

impl Answers {
    /// A cache of as many answers, rounded up to a power of two; none for none.
    pub(crate) fn new(entries: u64) -> Option<Self> {
        let entries = usize::try_from(entries).ok().filter(|entries| *entries > 0)?;
        Some(Self {
            slots: Box::default(),
            entries: entries.next_power_of_two(),
            key: [0; ANSWER_KEY_BYTES_MAX],
            looked: 0,
            found: 0,
            paused: 0,
        })
    }

    /// Looks for the answer to a message.
    #[inline]
    pub(crate) fn find(&mut self, fields: &[Field], header: &Header<'_>) -> Found<'_> {
        if self.paused > 0 {
            self.paused -= 1;
            return Found::Nothing;
        }
        if self.looked == TRIAL {
            self.end_trial();
        }
        let mut writer = Writer::new(&mut self.key);
        put_fields(&mut writer, fields, header);
        let key_length = writer.length();
        let Some(key) = self.key.get(..key_length) else { return Found::Nothing };
        self.looked += 1;
        let hash = hash(key);
        if let Some(slot) = self.slots.get(hash as usize & (self.entries - 1))
            && slot.is_used
            && slot.hash == hash
            && *slot.key == *key
        {
            self.found += 1;
            return Found::Answer(&slot.destinations);
        }
        Found::Missing(Place { hash, key_length })
    }

    #[cold]
    fn end_trial(&mut self) {
        if self.found < HITS_MIN {
            self.paused = PAUSE;
        }
        self.looked = 0;
        self.found = 0;
    }

    /// Keeps the answer that [`Answers::find`] missed just before.
    pub(crate) fn keep(&mut self, place: &Place, destinations: &[Destination]) {
        if destinations.len() > ANSWER_DESTINATIONS_MAX {
            return;
        }
        if self.slots.is_empty() {
            self.slots = vec![Slot::default(); self.entries].into();
        }
        let slot = &mut self.slots[place.hash as usize & (self.entries - 1)];
        slot.hash = place.hash;
        slot.key = self.key[..place.key_length].into();
        slot.destinations = destinations.into();
        slot.is_used = true;
    }
}

/// The seed is no secret: whoever chooses colliding keys gains misses.
#[inline]
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use shunt_types::{PropertiesRef, VhostName};

    use super::*;
    use crate::tests::queue;

    fn find(answers: &mut Answers, key: &str) -> Result<Vec<Destination>, Option<Place>> {
        let vhost = VhostName::new("/").unwrap();
        let header = Header {
            vhost: &vhost,
            exchange: "e",
            routing_keys: &[key],
            properties: PropertiesRef::EMPTY,
            body_size: 0,
            user: "u",
            now_ms: 0,
            random: 0,
        };
        match answers.find(&[Field::RoutingKey], &header) {
            Found::Answer(destinations) => Ok(destinations.to_vec()),
            Found::Missing(place) => Err(Some(place)),
            Found::Nothing => Err(None),
        }
    }

    #[test]
    fn an_answer_is_found_by_its_fields_alone() {
        assert!(Answers::new(0).is_none());
        let mut answers = Answers::new(64).unwrap();
        let place = find(&mut answers, "a").unwrap_err().unwrap();
        answers.keep(&place, &[queue(1), queue(2), queue(3)]);
        let place = find(&mut answers, "b").unwrap_err().unwrap();
        answers.keep(&place, &[]);
        assert_eq!(find(&mut answers, "a"), Ok(vec![queue(1), queue(2), queue(3)]));
        assert_eq!(find(&mut answers, "b"), Ok(vec![]));
        assert!(matches!(find(&mut answers, "c"), Err(Some(_))));
        assert!(matches!(find(&mut answers, &"x".repeat(600)), Err(None)));
    }

    #[test]
    fn another_key_takes_the_place_over() {
        let mut answers = Answers::new(1).unwrap();
        for (key, slot) in [("a", 1), ("b", 2)] {
            let place = find(&mut answers, key).unwrap_err().unwrap();
            answers.keep(&place, &[queue(slot)]);
        }
        assert_eq!(find(&mut answers, "b"), Ok(vec![queue(2)]));
        assert!(matches!(find(&mut answers, "a"), Err(Some(_))));
    }

    #[test]
    fn keys_that_never_come_again_pass_it_by() {
        let mut answers = Answers::new(64).unwrap();
        let mut passed_by = 0;
        for n in 0..TRIAL + PAUSE + 10 {
            match find(&mut answers, &n.to_string()) {
                Err(Some(place)) => answers.keep(&place, &[]),
                Err(None) => passed_by += 1,
                Ok(_) => panic!("{n} was never asked for"),
            }
        }
        assert_eq!(passed_by, PAUSE);
    }
}
