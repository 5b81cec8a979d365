//! Records: how bytes stand in a file of the log.
//!
//! ```text
//! record   length u32 | checksum u32 | kind u8 | payload
//! ```
//! Numbers are little-endian. `length` counts kind and payload, so no record has the length 0:
//! zeros are where nothing was written yet. `checksum` is the CRC-32C of `length`, kind, payload,
//! the file's id (u64) and the record's offset in the file (u64). The id is the file's number, with a
//! [salt](crate::salt) where the file is a segment: an older file's record in a block that is used
//! again is no record, nor is one that a payload contains. They come last, so that whoever makes a record can checksum its bytes long
//! before its place is known: see [`put_unplaced`] and [`place`].
//!
//! A record of a split kind has two parts, so that a start can do with the first:
//!
//! ```text
//! payload  head length u32 | head | body
//! ```

/// Most bytes of kind and payload: more than the largest message with all that is known of it.
pub const RECORD_SIZE_MAX: usize = 1024 * 1024 * 1024;
/// The highest kind that a caller may give a record; those above are the log's own.
pub const KIND_MAX: u8 = 239;
/// The lowest kind whose records are split into a head, which a start hands out, and a body,
/// which is only read back by position. All kinds from here to [`KIND_MAX`] are split.
pub const SPLIT_KIND_MIN: u8 = 128;

/// Kind of the record before each batch; its payload is a segment's salt. It says that the file was synced up to
/// this record's own offset when the batch was written. What is damaged below the highest such
/// offset was once whole; what is wrong above it may never have been written.
pub(crate) const KIND_BATCH: u8 = 255;
/// Kind of the last record of a segment that another one follows; without payload. A segment that
/// ends without it has lost its end.
pub(crate) const KIND_SEGMENT_END: u8 = 252;
/// Kind of a part of a snapshot.
pub(crate) const KIND_SNAPSHOT_PART: u8 = 254;
/// Kind of a snapshot's last record; its payload is the size (u64) of all parts.
pub(crate) const KIND_SNAPSHOT_END: u8 = 253;
/// Kind of a record that a repair put in the place of damaged bytes: it says nothing.
pub(crate) const KIND_REMOVED: u8 = 249;
/// Kind of a part of an index.
pub(crate) const KIND_INDEX_PART: u8 = 251;
/// Kind of an index's last record.
pub(crate) const KIND_INDEX_END: u8 = 250;

/// Bytes before the kind.
const PREFIX_SIZE: usize = 8;
/// Bytes of a record beside its payload.
pub(crate) const RECORD_OVERHEAD: usize = PREFIX_SIZE + 1;

/// Bytes of a split record before its head.
pub(crate) const HEAD_LENGTH_SIZE: usize = 4;

/// Bytes that one search for the next whole record may checksum: hostile lengths could make it
/// quadratic otherwise. What is left then counts as damaged.
const SEARCH_WORK_MAX: usize = 1 << 30;

/// What stands at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A whole record, and where the next one starts.
    Record { kind: u8, payload: &'a [u8], next: usize },
    /// The end of the file, or zeros up to there.
    NotWritten,
    /// Something else, and why.
    Damaged(&'static str),
}

/// Whether a caller's records of that kind are split.
pub(crate) fn is_split(kind: u8) -> bool {
    (SPLIT_KIND_MIN..=KIND_MAX).contains(&kind)
}

/// Head and body of a record's payload; where the kind is not split, everything is head. None
/// for a split record whose head is longer than itself, which no batch makes.
pub(crate) fn split(kind: u8, payload: &[u8]) -> Option<(&[u8], &[u8])> {
    if !is_split(kind) {
        return Some((payload, &[]));
    }
    let (length, rest) = payload.split_first_chunk::<HEAD_LENGTH_SIZE>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// Appends a record that will stand at `offset` of the file.
pub(crate) fn put(out: &mut Vec<u8>, file: u64, offset: u64, kind: u8, payload: &[u8]) {
    let start = out.len();
    put_unplaced(out, kind, &[payload]);
    place(&mut out[start..], file, offset);
}

/// Appends a record whose place is not known yet; its checksum covers length, kind and payload,
/// which is given in parts.
pub(crate) fn put_unplaced(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    put_unplaced_parts(out, kind, parts.iter().copied());
}

/// As [`put_unplaced`].
pub(crate) fn put_unplaced_parts<'a>(
    out: &mut Vec<u8>,
    kind: u8,
    parts: impl Iterator<Item = &'a [u8]> + Clone,
) {
    let size: usize = parts.clone().map(<[u8]>::len).sum();
    let length = (size as u32 + 1).to_le_bytes();
    out.reserve(RECORD_OVERHEAD + size);
    out.extend_from_slice(&length);
    let [l0, l1, l2, l3] = length;
    let mut checksum = crc32c::crc32c(&[l0, l1, l2, l3, kind]);
    let checksum_at = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind]);
    for part in parts {
        checksum = crc32c::crc32c_append(checksum, part);
        out.extend_from_slice(part);
    }
    out[checksum_at..checksum_at + 4].copy_from_slice(&checksum.to_le_bytes());
}

/// Completes the checksums of unplaced records, now that they are known to stand at `offset`.
pub(crate) fn place(mut records: &mut [u8], file: u64, mut offset: u64) {
    while let Some((prefix, rest)) = records.split_first_chunk_mut::<PREFIX_SIZE>() {
        let [l0, l1, l2, l3, c0, c1, c2, c3] = *prefix;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let checksum = placed(u32::from_le_bytes([c0, c1, c2, c3]), file, offset);
        prefix[4..].copy_from_slice(&checksum.to_le_bytes());
        offset += (PREFIX_SIZE + length) as u64;
        records = rest.get_mut(length..).unwrap_or_default();
    }
}

/// Reads what stands at `offset` of a file's bytes.
pub(crate) fn read(bytes: &[u8], file: u64, offset: usize) -> Found<'_> {
    read_rest(bytes.get(offset..).unwrap_or_default(), file, offset)
}

/// Reads what stands at the start of the bytes that a file has from `offset` on.
pub(crate) fn read_rest(rest: &[u8], file: u64, offset: usize) -> Found<'_> {
    let Some((prefix, body)) = rest.split_first_chunk::<PREFIX_SIZE>() else {
        return match rest.iter().all(|byte| *byte == 0) {
            true => Found::NotWritten,
            false => Found::Damaged("the file ends within a record"),
        };
    };
    let [l0, l1, l2, l3, c0, c1, c2, c3] = *prefix;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    if length == 0 {
        return match rest.iter().all(|byte| *byte == 0) {
            true => Found::NotWritten,
            false => Found::Damaged("a record has the length 0"),
        };
    }
    if length as usize > RECORD_SIZE_MAX {
        return Found::Damaged("a record is longer than a record may be");
    }
    let Some(body) = body.get(..length as usize) else {
        return Found::Damaged("the file ends within a record");
    };
    let (kind, payload) = (body[0], &body[1..]);
    let expected = crc32c::crc32c_append(crc32c::crc32c(&[l0, l1, l2, l3]), body);
    let expected = placed(expected, file, offset as u64);
    if expected != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Found::Damaged("a record's checksum is wrong");
    }
    Found::Record { kind, payload, next: offset + PREFIX_SIZE + length as usize }
}

/// Kind, payload and end of the record at `offset`, which [`read`] has found whole.
pub(crate) fn reread(bytes: &[u8], offset: usize) -> Option<(u8, &[u8], usize)> {
    let (prefix, rest) = bytes.get(offset..)?.split_first_chunk::<PREFIX_SIZE>()?;
    let [l0, l1, l2, l3, ..] = *prefix;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let (kind, payload) = rest.get(..length)?.split_first()?;
    Some((*kind, payload, offset + PREFIX_SIZE + length))
}

/// The offset of the first whole record after `offset`, where something damaged stands.
pub(crate) fn find_next(bytes: &[u8], file: u64, offset: usize) -> Option<usize> {
    let mut work = 0;
    for candidate in offset + 1..bytes.len().saturating_sub(PREFIX_SIZE) {
        let length = bytes.get(candidate..)?.first_chunk().map(|b| u32::from_le_bytes(*b))?;
        let fits = length as usize <= bytes.len() - candidate - PREFIX_SIZE;
        if length == 0 || !fits {
            continue;
        }
        if let Found::Record { .. } = read(bytes, file, candidate) {
            return Some(candidate);
        }
        work += length as usize;
        if work > SEARCH_WORK_MAX {
            return None;
        }
    }
    None
}

/// The checksum of an unplaced record when it stands there.
fn placed(checksum: u32, file: u64, offset: u64) -> u32 {
    let place = (u128::from(offset) << 64) | u128::from(file);
    crc32c::crc32c_append(checksum, &place.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file_of(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for payload in payloads {
            let offset = bytes.len() as u64;
            put(&mut bytes, 7, offset, 1, payload);
        }
        bytes
    }

    fn read_from(bytes: &[u8], mut offset: usize) -> (Vec<Vec<u8>>, usize) {
        let mut payloads = Vec::new();
        while let Found::Record { payload, next, .. } = read(bytes, 7, offset) {
            payloads.push(payload.to_vec());
            offset = next;
        }
        (payloads, offset)
    }

    fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..8)
    }

    proptest! {
        #[test]
        fn records_are_read_as_written(payloads in payloads(), zeros in 0usize..20) {
            let mut bytes = file_of(&payloads);
            bytes.extend(vec![0; zeros]);
            let (read_back, end) = read_from(&bytes, 0);
            prop_assert_eq!(read_back, payloads);
            prop_assert_eq!(read(&bytes, 7, end), Found::NotWritten);
        }

        #[test]
        fn a_flipped_bit_hides_its_record_and_no_other(payloads in payloads(), at in any::<prop::sample::Index>()) {
            let mut bytes = file_of(&payloads);
            let bit = at.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (mut read_back, end) = read_from(&bytes, 0);
            prop_assert!(read_back.len() < payloads.len());
            if let Some(next) = find_next(&bytes, 7, end) {
                read_back.extend(read_from(&bytes, next).0);
            }
            prop_assert_eq!(read_back.len(), payloads.len() - 1);
        }

        #[test]
        fn a_cut_record_is_damaged_and_never_a_record(payloads in payloads(), at in any::<prop::sample::Index>()) {
            let bytes = file_of(&payloads);
            let cut = &bytes[..at.index(bytes.len())];
            let (read_back, _) = read_from(cut, 0);
            prop_assert!(payloads.starts_with(&read_back) && read_back.len() < payloads.len());
        }

        #[test]
        fn hostile_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let (_, end) = read_from(&bytes, 0);
            let _ = find_next(&bytes, 7, end);
        }
    }

    #[test]
    fn only_split_kinds_are_split() {
        assert_eq!(split(1, b"12345"), Some((&b"12345"[..], &b""[..])));
        assert_eq!(split(SPLIT_KIND_MIN, b"\x02\0\0\0headbody").unwrap().0, b"he");
        assert_eq!(split(KIND_MAX, b"\x04\0\0\0head"), Some((&b"head"[..], &b""[..])));
        assert_eq!(split(KIND_MAX, b"\x05\0\0\0head"), None);
        assert_eq!(split(KIND_MAX, b"\0\0\0"), None);
        assert_eq!(split(KIND_BATCH, b""), Some((&b""[..], &b""[..])));
    }

    #[test]
    fn a_record_of_another_file_or_offset_is_none() {
        let mut bytes = file_of(&[b"x".to_vec()]);
        assert!(matches!(read(&bytes, 8, 0), Found::Damaged(_)));
        bytes.insert(0, 1);
        assert!(matches!(read(&bytes, 7, 1), Found::Damaged(_)));
    }
}
