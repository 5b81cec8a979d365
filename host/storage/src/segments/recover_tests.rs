//! Folders that a crash, a fault or a hand has left.

use std::sync::Arc;

use super::*;
use crate::header::{self, FileRole, HEADER_SIZE};
use crate::record::{KIND_BATCH, KIND_SEGMENT_END, put};
use crate::salt;
use crate::{CutTail, Damage, Disk, Faults, FaultyDisk, OpenError};

const OPTIONS: SegmentLogOptions =
    SegmentLogOptions { segment_size: 4096, batch_bytes_max: 16 * 1024, index_size_max: 4096 };

/// A segment's bytes: header, and records of these kinds with the kind as payload.
fn segment(number: u32, kinds: &[u8]) -> Vec<u8> {
    let mut bytes = header::encode(FileRole::Segment, u64::from(number));
    for kind in kinds {
        let own = [KIND_BATCH, KIND_SEGMENT_END].contains(kind);
        let payload = if own { &[][..] } else { std::slice::from_ref(kind) };
        let offset = bytes.len() as u64;
        put(&mut bytes, u64::from(number), offset, *kind, payload);
    }
    bytes
}

/// The id of a segment with a salt.
fn salted(number: u32) -> u64 {
    9 << 32 | u64::from(number)
}

/// As [`segment`], with a salt, in a file that held a longer segment before.
fn reused(number: u32, kinds: &[u8]) -> Vec<u8> {
    let bytes = |id: u64, kinds: &[u8]| {
        let mut bytes = header::encode(FileRole::Segment, id);
        for kind in kinds {
            let payload = match *kind {
                KIND_BATCH => &salt::batch_payload(id)[..],
                KIND_SEGMENT_END => &[],
                _ => std::slice::from_ref(kind),
            };
            let offset = bytes.len() as u64;
            put(&mut bytes, id, offset, *kind, payload);
        }
        bytes
    };
    let before = bytes(8 << 32 | 1, &[255, 91, 255, 92, 93, 255, 94, 95, 255, 96, 252]);
    let mut bytes = bytes(salted(number), kinds);
    bytes.extend(salt::TERMINATOR);
    bytes.extend(&before[bytes.len()..]);
    bytes
}

fn disk(files: &[(u32, Vec<u8>)]) -> FaultyDisk {
    let disk = FaultyDisk::new(1);
    for (number, bytes) in files {
        disk.create(&handles::name(*number)).unwrap().write_at(0, bytes).unwrap();
    }
    disk
}

fn open(disk: &FaultyDisk) -> Result<(Vec<u8>, SegmentRecovery, u32), OpenError> {
    let mut kinds = Vec::new();
    let mut replay = |_, kind, _: &[u8]| kinds.push(kind);
    let (writer, recovery) = SegmentWriter::open(Arc::new(disk.clone()), OPTIONS, &mut replay)?;
    let next = writer.waiting().segments().last().unwrap().number;
    Ok((kinds, recovery, next))
}

/// Opens the folder twice: what is replayed, told as damage, told as cut, and written next.
#[track_caller]
fn check(
    files: &[(u32, Vec<u8>)],
    kinds: &[u8],
    damaged: &[(u32, u64, &str)],
    cut: Option<(u32, u64)>,
    next: u32,
) {
    let disk = disk(files);
    for again in [false, true] {
        let (found, recovery, number) = open(&disk).unwrap();
        assert_eq!(found, kinds);
        let path = |number| disk.path(&handles::name(number));
        let told = recovery
            .damaged
            .iter()
            .map(|Damage { path, offset, reason, .. }| (path.clone(), *offset, *reason));
        let expected = damaged.iter().map(|(number, offset, why)| (path(*number), *offset, *why));
        assert!(told.eq(expected), "{:?}", recovery.damaged);
        let told = recovery.cut_tail.map(|CutTail { path, offset, .. }| (path, offset));
        let cut = cut.filter(|_| !again).map(|(number, offset)| (path(number), offset));
        assert_eq!(told, cut, "again: {again}");
        assert_eq!(number, next, "again: {again}");
    }
}

#[test]
fn an_empty_folder_begins_with_the_first_segment() {
    check(&[], &[], &[], None, 1);
    check(&[(1, segment(1, &[]))], &[], &[], None, 1);
    check(&[(1, segment(1, &[])[..10].to_vec())], &[], &[], None, 1);
}

#[test]
fn segments_follow_each_other() {
    let (one, two) = (segment(1, &[255, 1, 2, 252]), segment(2, &[255, 3]));
    check(&[(1, one.clone()), (2, two.clone())], &[1, 2, 3], &[], None, 2);
    // One made ahead, and one whose making was interrupted.
    check(&[(1, one.clone()), (2, two), (3, segment(3, &[]))], &[1, 2, 3], &[], None, 2);
    check(&[(1, one.clone()), (2, vec![])], &[1, 2], &[], None, 2);
    check(&[(1, one)], &[1, 2], &[], None, 2);
    // The oldest were taken away.
    check(&[(7, segment(7, &[255, 1]))], &[1], &[], None, 7);
    check(&[(7, segment(7, &[]))], &[], &[], None, 7);
}

#[test]
fn a_torn_tail_is_cut() {
    let whole = segment(1, &[255, 1, 255, 2, 3]);
    let torn = whole[..whole.len() - 1].to_vec();
    check(&[(1, torn)], &[1, 2], &[], Some((1, (whole.len() - 10) as u64)), 1);
    // The first batch of a segment.
    let mut torn = segment(2, &[]);
    torn.extend([9; 100]);
    let one = segment(1, &[255, 1, 252]);
    check(&[(1, one), (2, torn)], &[1], &[], Some((2, HEADER_SIZE as u64)), 2);
    // An end record behind something torn is none.
    let mut torn = segment(1, &[255, 1, 255, 2, 252]);
    torn[HEADER_SIZE + 9 + 10 + 9 + 9] ^= 1;
    check(&[(1, torn)], &[1], &[], Some((1, (HEADER_SIZE + 28) as u64)), 1);
}

#[test]
fn what_a_file_held_before_is_no_part_of_the_segment() {
    check(&[(7, reused(7, &[255, 1, 2]))], &[1, 2], &[], None, 7);
    // One that was made ahead, and one that was not cut when it had ended.
    check(&[(7, reused(7, &[]))], &[], &[], None, 7);
    check(&[(7, reused(7, &[255, 1, 252]))], &[1], &[], None, 8);
    check(&[(7, reused(7, &[255, 1, 252])), (8, reused(8, &[255, 2]))], &[1, 2], &[], None, 8);
    // The last batch is torn, with its end or without.
    let second = HEADER_SIZE + 13 + 10;
    for torn in [second + 2, second + 13 + 12] {
        let mut bytes = reused(7, &[255, 1, 255, 2, 3]);
        bytes[torn] ^= 1;
        let cut = if torn == second + 2 { second } else { second + 13 + 10 };
        let kinds: &[u8] = if torn == second + 2 { &[1] } else { &[1, 2] };
        check(&[(7, bytes)], kinds, &[], Some((7, cut as u64)), 7);
    }
    let mut bytes = reused(7, &[255, 1, 255, 2, 3]);
    bytes[second + 13 + 10 + 10..second + 13 + 10 + 18].fill(77);
    check(&[(7, bytes)], &[1, 2, 3], &[], Some((7, (second + 13 + 20) as u64)), 7);
}

#[test]
fn damage_in_a_file_that_was_used_before_is_told() {
    // Zeros in place of a record, with a batch behind them that says that it was there.
    let mut bytes = reused(7, &[255, 1, 255, 2]);
    let first = HEADER_SIZE + 13;
    bytes[first..first + 10].fill(0);
    let reason = "a record has the length 0";
    check(&[(7, bytes)], &[2], &[(7, first as u64, reason)], None, 7);
    // The salt is in the batch records too.
    let mut bytes = reused(7, &[255, 1, 255, 2]);
    bytes[15] ^= 1;
    check(&[(7, bytes)], &[1, 2], &[(7, 0, "the header is wrong")], None, 8);
}

#[test]
fn damage_is_told_and_the_rest_served() {
    let (one, two) = (segment(1, &[255, 1, 2, 252]), segment(2, &[255, 3, 255, 4]));
    let mut flipped = one.clone();
    flipped[HEADER_SIZE + 9 + 9] ^= 1;
    let reason = "a record's checksum is wrong";
    let files = [(1, flipped), (2, two.clone())];
    check(&files, &[2, 3, 4], &[(1, (HEADER_SIZE + 9) as u64, reason)], None, 2);

    let cut = one[..one.len() - 9].to_vec();
    let end = cut.len() as u64;
    check(&[(1, cut), (2, two.clone())], &[1, 2, 3, 4], &[(1, end, "the end is missing")], None, 2);

    let mut no_header = two.clone();
    no_header[0] ^= 1;
    let files = [(1, one.clone()), (2, no_header)];
    check(&files, &[1, 2, 3, 4], &[(2, 0, "the header is wrong")], None, 3);

    let files = [(1, one), (4, segment(4, &[255, 5, 200, 250]))];
    let strange = (HEADER_SIZE + 9 + 10 + 10) as u64;
    let expected = [
        (2, 0, "the file is missing"),
        (4, strange - 10, crate::verdict::HEAD_TOO_LONG),
        (4, strange, "a record of a kind that such a file doesn't have"),
    ];
    check(&files, &[1, 2, 5], &expected, None, 4);

    let garbage = vec![b'M'; 500];
    let end = "a record is longer than a record may be";
    let expected = [(3, 0, "the header is wrong"), (3, HEADER_SIZE as u64, end)];
    check(&[(3, garbage)], &[], &expected, None, 4);
}

#[test]
fn what_can_not_be_read_or_is_of_another_version_is_refused() {
    let files = [(1, segment(1, &[255, 1]))];
    let disk = disk(&files);
    disk.set_faults(Faults { read_error_per_mille: 1000, ..Faults::default() });
    assert!(matches!(open(&disk), Err(OpenError::Io { .. })));
    disk.set_faults(Faults::default());
    assert_eq!(open(&disk).unwrap().0, [1]);

    let mut newer = segment(2, &[255, 1]);
    newer[8] = 99;
    let checksum = crc32c::crc32c(&newer[..HEADER_SIZE - 4]).to_le_bytes();
    newer[HEADER_SIZE - 4..HEADER_SIZE].copy_from_slice(&checksum);
    disk.create(&handles::name(2)).unwrap().write_at(0, &newer).unwrap();
    assert!(matches!(open(&disk), Err(OpenError::UnknownVersion { version: 99, .. })));
    assert_eq!(disk.list().unwrap().len(), 2);
}

#[test]
fn numbers_end_somewhere() {
    let last = u32::MAX;
    check(&[(last, segment(last, &[255, 1]))], &[1], &[], None, last);
    let full = disk(&[(last, segment(last, &[255, 1, 252]))]);
    assert!(matches!(open(&full), Err(OpenError::Io { .. })));
    let beyond = FileRole::Segment.file_name(1 << 40);
    let disk = FaultyDisk::new(1);
    disk.create(&beyond).unwrap();
    let (_, recovery, next) = open(&disk).unwrap();
    assert_eq!((recovery.damaged.len(), next), (1, 1));
    assert!(disk.list().unwrap().contains(&beyond), "left alone");
}

#[test]
fn zeros_in_the_last_group_of_a_segment_take_nothing_else_with_them() {
    // A record's place is zeros; what follows in the same group is whole, the end record included.
    let (one, two) = (reused(7, &[255, 1, 255, 2, 3, 4, 252]), reused(8, &[255, 5]));
    let second = HEADER_SIZE + 13 + 10 + 13;
    let mut zeroed = one.clone();
    zeroed[second..second + 10].fill(0);
    let reason = "a record has the length 0";
    let files = [(7, zeroed), (8, two.clone())];
    check(&files, &[1, 3, 4, 5], &[(7, second as u64, reason)], None, 8);
}

/// A segment whose last group, with the end record, has reached the disk but for the zeros behind it:
/// the power went, or the process was killed between two pages of the write.
fn ended_but_for_the_zeros() -> (Vec<u8>, u64) {
    let mut bytes = reused(7, &[255, 1, 255, 2, 252]);
    let end = HEADER_SIZE + 2 * (13 + 10) + 9;
    bytes[end..end + 8].fill(77);
    (bytes, end as u64)
}

#[test]
fn nothing_is_appended_behind_an_end_record() {
    let (bytes, end) = ended_but_for_the_zeros();
    let disk = disk(&[(7, bytes)]);
    let (found, recovery, next) = open(&disk).unwrap();
    assert_eq!((found, recovery.damaged.len()), (vec![1, 2], 0));
    assert_eq!(recovery.cut_tail.unwrap().offset, end);
    assert_eq!(next, 8, "the segment has ended");
}

#[test]
fn a_segment_with_an_end_record_and_old_bytes_behind_it_loses_nothing_later() {
    let disk = disk(&[(7, ended_but_for_the_zeros().0)]);
    let (writer, _) =
        SegmentWriter::open(Arc::new(disk.clone()), OPTIONS, &mut |_, _, _| {}).unwrap();
    let log = SegmentLog::without_thread(writer, |outcome| {
        assert!(matches!(outcome, crate::SyncOutcome::Durable(_)));
    });
    for kind in 3..12 {
        let mut batch = crate::Batch::default();
        batch.push(kind, &[kind; 900]);
        log.append(&mut batch, &mut Vec::new()).unwrap();
        while let sync::Turn::Done = log.syncer().turn() {}
    }
    // All was confirmed, and nothing has failed. The process ends.
    drop(log);
    let (found, recovery, _) = open(&disk).unwrap();
    assert_eq!(recovery.damaged, []);
    assert_eq!(found, (1..12).collect::<Vec<u8>>());
}

#[test]
fn a_flipped_bit_in_a_file_made_ahead_is_no_damage_of_the_log() {
    let mut ahead = reused(8, &[]);
    ahead[15] ^= 1;
    // The last segment with records ends in a torn batch, as a crash may leave it.
    let mut last = reused(7, &[255, 1, 255, 2, 3]);
    let torn = HEADER_SIZE + 13 + 10 + 13 + 10;
    last[torn + 9] ^= 1;
    check(&[(7, last), (8, ahead)], &[1, 2], &[], Some((7, torn as u64)), 7);
}
