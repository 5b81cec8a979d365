//! What tells a segment's records from what else its file may hold.
//!
//! The file of a segment that was removed becomes a later segment's as it is, so that old bytes
//! stand behind the last record instead of zeros. Some of them came from publishers, who might
//! guess where in which segment they will stand, and put a record there. Therefore each segment
//! has a salt: random bits that nobody outside knows. They make up the upper half of the id that its
//! checksums cover; the lower half is its number.
//!
//! The salt stands in the segment's header, and again in each batch record, so that a damaged header
//! takes no record with it. What is no segment has no salt, nor have segments of format version 3:
//! the id is the number then.

use memchr::memmem;

use crate::header::HEADER_SIZE;
use crate::record::{self, Found, KIND_BATCH, RECORD_OVERHEAD};

/// Bytes of a segment's batch record: its payload is the salt.
pub(crate) const BATCH_RECORD_SIZE: usize = RECORD_OVERHEAD + 4;

/// Stands behind a segment's last group: no record has the length 0. Behind it may be what the file
/// held before.
pub(crate) const TERMINATOR: [u8; 8] = [0; 8];

/// How a segment's batch records begin: the length of kind and payload.
const BATCH_LENGTH: [u8; 4] = 5_u32.to_le_bytes();

/// Gives new segments their salts.
#[derive(Clone, Copy)]
pub(crate) struct Salts(u64);

impl Salts {
    /// Salts made of random bits that nobody outside knows.
    pub(crate) fn new(random: u64) -> Self {
        Self(random)
    }

    /// The id of a new segment: the same for the same number.
    pub(crate) fn id(&self, number: u32) -> u64 {
        // The finalizer of splitmix64: each bit of the result hangs on each of the argument.
        let mut mixed = self.0 ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // A salt of 0 would be none.
        id(number, ((mixed >> 32) as u32).max(1))
    }
}

impl std::fmt::Debug for Salts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salts")
    }
}

/// The id of the segment with that number and salt.
fn id(number: u32, salt: u32) -> u64 {
    u64::from(salt) << 32 | u64::from(number)
}

/// The payload of a segment's batch records.
pub(crate) fn batch_payload(id: u64) -> [u8; 4] {
    ((id >> 32) as u32).to_le_bytes()
}

/// The id of a segment with that number by its batch records, for want of a header.
pub(crate) fn find_id(bytes: &[u8], number: u64) -> u64 {
    batch_ids(bytes, number as u32, HEADER_SIZE).next().unwrap_or(number)
}

/// Whether a segment's file whose header is damaged, and in which no record was found, may have held
/// some. One that was made ahead of its turn has zeros behind a header that is more than zeros.
pub(crate) fn may_hold_records(bytes: &[u8]) -> bool {
    let Some((header, rest)) = bytes.split_at_checked(HEADER_SIZE) else { return false };
    let is_made_ahead = rest.starts_with(&TERMINATOR) && header.iter().any(|byte| *byte != 0);
    !rest.is_empty() && !is_made_ahead
}

/// Whether what is written of a segment ends there, though not only zeros follow: old bytes of its
/// file do, but no batch of its own.
pub(crate) fn ends_at(bytes: &[u8], id: u64, offset: usize) -> bool {
    let is_salted = id > u64::from(u32::MAX);
    is_salted
        && bytes.get(offset..).is_some_and(|rest| rest.starts_with(&TERMINATOR))
        && !batch_ids(bytes, id as u32, offset).any(|found| found == id)
}

/// The ids that batch records from `offset` on give the segment of that number.
fn batch_ids(bytes: &[u8], number: u32, offset: usize) -> impl Iterator<Item = u64> {
    let rest = bytes.get(offset..).unwrap_or_default();
    memmem::find_iter(rest, &BATCH_LENGTH).filter_map(move |at| {
        let (_, from_kind) = rest.get(at..at + BATCH_RECORD_SIZE)?.split_at(RECORD_OVERHEAD - 1);
        let [KIND_BATCH, s0, s1, s2, s3] = *from_kind else { return None };
        let id = id(number, u32::from_le_bytes([s0, s1, s2, s3]));
        let found = record::read(bytes, id, offset + at);
        matches!(found, Found::Record { .. }).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::put;

    /// A segment's bytes: a header's room, and batches of one record each.
    fn segment(id: u64, batches: usize) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_SIZE];
        for _ in 0..batches {
            for (kind, payload) in [(KIND_BATCH, &batch_payload(id)[..]), (1, b"one")] {
                let offset = bytes.len() as u64;
                put(&mut bytes, id, offset, kind, payload);
            }
        }
        bytes
    }

    /// The file of a segment with two batches, as a later segment with one.
    fn reused(old: u64, new: u64) -> Vec<u8> {
        let mut bytes = segment(new, 1);
        bytes.extend(TERMINATOR);
        let before = segment(old, 3);
        bytes.extend(&before[bytes.len()..]);
        bytes
    }

    #[test]
    fn salts_differ_and_numbers_stay() {
        let (a, b) = (Salts::new(1), Salts::new(2));
        for number in [0, 1, 7, u32::MAX] {
            assert_eq!(a.id(number) as u32, number);
            assert!(a.id(number) >> 32 != 0 && a.id(number) != b.id(number));
        }
        assert_ne!(a.id(1) >> 32, a.id(2) >> 32);
        assert_eq!(a.id(1), a.id(1));
    }

    #[test]
    fn an_id_is_found_without_the_header() {
        let (old, new) = (Salts::new(1).id(3), Salts::new(1).id(7));
        let mut bytes = reused(old, new);
        assert_eq!(find_id(&bytes, 7), new);
        assert_eq!(find_id(&segment(new, 2), 7), new);
        // Not by the first batch either: by the second.
        let mut damaged = segment(new, 2);
        damaged[HEADER_SIZE + 9] ^= 1;
        assert_eq!(find_id(&damaged, 7), new);
        // Nothing is left but what the file held before, which is not of this number.
        bytes[HEADER_SIZE + 9] ^= 1;
        assert_eq!(find_id(&bytes, 7), 7);
    }

    #[test]
    fn old_bytes_behind_the_end_are_none_of_the_segment() {
        let (old, new) = (Salts::new(1).id(3), Salts::new(1).id(7));
        let bytes = reused(old, new);
        let end = segment(new, 1).len();
        assert!(ends_at(&bytes, new, end));
        assert!(!ends_at(&bytes, new, HEADER_SIZE), "a record stands there");
        assert!(!ends_at(&bytes, 7, end), "without a salt only zeros are no damage");
        // Zeros with a batch of the segment's own behind them are damage.
        let mut zeroed = segment(new, 2);
        zeroed[end - 12..end].fill(0);
        assert!(!ends_at(&zeroed, new, end - 12));
    }

    #[test]
    fn a_record_that_a_publisher_made_up_is_none() {
        let new = Salts::new(1).id(7);
        let mut bytes = segment(new, 1);
        let end = bytes.len();
        bytes.extend(TERMINATOR);
        for guess in 1..100 {
            let offset = bytes.len() as u64;
            let guessed = id(7, guess);
            put(&mut bytes, guessed, offset, KIND_BATCH, &batch_payload(guessed));
        }
        assert!(ends_at(&bytes, new, end));
        assert_eq!(record::find_next(&bytes, new, end), None);
    }
}
