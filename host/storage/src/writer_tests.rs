//! The log against a model, on a disk that fails: whatever was committed is there after any
//! crash, and what is there was appended, in that order.

use super::*;
use crate::disk::FolderDisk;
use crate::faulty::Random;
use crate::{Faults, FaultyDisk};

/// What the records say, in the form of a snapshot: the numbers so far.
fn decode(recovered: &Recovered) -> Vec<u64> {
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let snapshot = recovered.snapshot.as_deref().unwrap_or_default();
    let commands = recovered.commands.iter().map(|(kind, payload)| {
        assert_eq!(*kind, 3);
        number(payload)
    });
    snapshot.chunks(8).map(number).chain(commands).collect()
}

fn encode(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// A batch of the numbers, with payloads of various lengths.
fn batch(numbers: std::ops::Range<u64>) -> Batch {
    let mut batch = Batch::default();
    for number in numbers {
        let mut payload = number.to_le_bytes().to_vec();
        payload.resize(8 + (number % 50) as usize, number as u8);
        batch.push(3, &payload);
    }
    batch
}

fn open(disk: &FaultyDisk) -> (LogWriter, Recovered) {
    LogWriter::open(Arc::new(disk.clone())).unwrap()
}

/// One life of a node after the other, on one disk. Numbers are appended in order; `confirmed`
/// of them were committed, `appended` may be there.
fn run(seed: u64) {
    let mut random = Random(seed);
    let disk = FaultyDisk::new(random.next());
    let (mut confirmed, mut appended) = (0, 0);
    for life in 0..6 {
        disk.set_faults(Faults::default());
        let (mut writer, recovered) = open(&disk);
        assert_eq!(recovered.damaged, [], "seed {seed} life {life}: a crash damages nothing");
        let mut state = decode(&recovered);
        let expected: Vec<u64> = (0..state.len() as u64).collect();
        assert_eq!(state, expected, "seed {seed} life {life}: in order, without holes");
        let found = state.len() as u64;
        assert!(found >= confirmed, "seed {seed} life {life}: {found} of {confirmed} confirmed");
        assert!(found <= appended, "seed {seed} life {life}: nothing from nowhere");
        (confirmed, appended) = (found, found);

        let error_per_mille = random.below(60) as u32;
        disk.set_faults(Faults {
            write_error_per_mille: error_per_mille,
            sync_error_per_mille: error_per_mille,
            read_error_per_mille: 0,
            space_max: (random.below(3) == 0).then(|| random.below(4000)),
        });
        for _ in 0..random.below(20) {
            if random.below(6) == 0 {
                let _ = writer.snapshot(&encode(&state));
                continue;
            }
            appended = appended.max(confirmed + 1 + random.below(5));
            match writer.commit(&batch(confirmed..appended)) {
                Ok(()) => {
                    state.extend(confirmed..appended);
                    confirmed = appended;
                }
                Err(CommitError::NoSpace(_) | CommitError::Io(_)) => {
                    if random.below(3) == 0 {
                        disk.set_faults(Faults::default());
                    }
                }
                Err(CommitError::Refused(error)) => panic!("seed {seed}: {error}"),
            }
        }
        if random.below(4) == 0 {
            let _ = writer.close();
        }
        if random.below(4) != 0 {
            disk.crash();
        }
    }
}

#[test]
fn nothing_committed_is_lost_whatever_fails() {
    for seed in 0..10_000 {
        run(seed);
    }
}

#[test]
fn what_a_failed_sync_lost_is_written_again() {
    for seed in 0..50 {
        let disk = FaultyDisk::new(seed);
        let (mut writer, _) = open(&disk);
        writer.commit(&batch(0..2)).unwrap();
        disk.set_faults(Faults { sync_error_per_mille: 1000, ..Faults::default() });
        assert!(matches!(writer.commit(&batch(2..3)), Err(CommitError::Io(_))));
        disk.set_faults(Faults::default());
        assert!(writer.snapshot(&encode(&[0, 1])).is_err(), "not behind an unfinished batch");
        writer.commit(&batch(2..3)).unwrap();
        disk.crash();
        assert_eq!(decode(&open(&disk).1), [0, 1, 2], "seed {seed}");
    }
}

#[test]
fn a_rotation_that_failed_ends_nothing() {
    for seed in 0..50 {
        let disk = FaultyDisk::new(seed);
        let (mut writer, _) = open(&disk);
        writer.commit(&batch(0..2)).unwrap();
        disk.set_faults(Faults { sync_error_per_mille: 1000, ..Faults::default() });
        assert!(writer.snapshot(&encode(&[0, 1])).is_err());
        assert!(matches!(writer.commit(&batch(2..3)), Err(CommitError::Io(_))));
        disk.set_faults(Faults::default());
        writer.commit(&batch(2..3)).unwrap();
        disk.crash();
        let (_, recovered) = open(&disk);
        assert_eq!((decode(&recovered), recovered.damaged), (vec![0, 1, 2], vec![]));
    }
}

#[test]
fn a_full_disk_is_waited_out() {
    let disk = FaultyDisk::new(1);
    let (mut writer, _) = open(&disk);
    disk.set_faults(Faults { space_max: Some(60), ..Faults::default() });
    assert!(matches!(writer.commit(&batch(0..5)), Err(CommitError::NoSpace(_))));
    disk.set_faults(Faults::default());
    writer.commit(&batch(0..5)).unwrap();
    disk.crash();
    assert_eq!(decode(&open(&disk).1), [0, 1, 2, 3, 4]);
}

#[test]
fn damage_inside_is_reported_and_the_rest_served() {
    let disk = FaultyDisk::new(1);
    let (mut writer, _) = open(&disk);
    for number in 0..4 {
        writer.commit(&batch(number..number + 1)).unwrap();
    }
    writer.close().unwrap();
    let name = FileRole::Log.file_name(1);
    // The third batch starts after header, two batch records, and records of 17 and 18 bytes.
    let third = HEADER_SIZE + 9 + 17 + 9 + 18 + 9;
    disk.flip_bit(&name, third + 12, 3);

    let (mut writer, recovered) = open(&disk);
    assert_eq!(decode(&recovered), [0, 1, 3]);
    let damage = &recovered.damaged[0];
    assert_eq!((damage.offset, damage.size), (third as u64, 19));
    assert_eq!(damage.reason, "a record's checksum is wrong");
    assert!(damage.path.ends_with(&name));
    assert_eq!(recovered.cut_tail, None);

    writer.snapshot(&encode(&[0, 1, 3])).unwrap();
    let names = disk.list().unwrap();
    assert!(names.contains(&format!("{name}.damaged")), "kept for an expert: {names:?}");
    assert_eq!(decode(&open(&disk).1), [0, 1, 3]);
}

#[test]
fn a_torn_tail_is_cut_and_named() {
    let disk = FaultyDisk::new(1);
    let (mut writer, _) = open(&disk);
    writer.commit(&batch(0..3)).unwrap();
    let end = writer.end;
    drop(writer);
    let name = FileRole::Log.file_name(1);
    disk.open(&name).unwrap().write_at(end, b"\x09\0\0\0torn").unwrap();
    let (_, recovered) = open(&disk);
    assert_eq!(decode(&recovered), [0, 1, 2]);
    let cut = recovered.cut_tail.unwrap();
    assert_eq!((cut.offset, cut.size), (end, 8));
    let (_, recovered) = open(&disk);
    assert_eq!(recovered.cut_tail, None, "cut for good");
}

#[test]
fn flipped_bits_anywhere_never_panic_and_never_invent() {
    for seed in 0..500 {
        let mut random = Random(seed);
        let disk = FaultyDisk::new(seed);
        let (mut writer, _) = open(&disk);
        writer.commit(&batch(0..4)).unwrap();
        writer.snapshot(&encode(&[0, 1, 2, 3])).unwrap();
        writer.commit(&batch(4..8)).unwrap();
        writer.close().unwrap();
        let names = disk.list().unwrap();
        let name = &names[random.below(names.len() as u64) as usize];
        let size = disk.open(name).unwrap().size().unwrap();
        disk.flip_bit(name, random.below(size) as usize, random.below(8) as u32);
        match LogWriter::open(Arc::new(disk)) {
            Ok((_, recovered)) => {
                let found = decode(&recovered);
                assert!(found.is_sorted() && found.len() >= 7, "seed {seed}: {found:?}");
                let told = !recovered.damaged.is_empty() || recovered.cut_tail.is_some();
                assert!(told, "seed {seed}");
            }
            Err(OpenError::SnapshotDamaged { .. }) => {}
            Err(other) => panic!("seed {seed}: {other}"),
        }
    }
}

#[test]
fn a_log_without_its_beginning_is_refused() {
    let disk = FaultyDisk::new(1);
    let (mut writer, _) = open(&disk);
    writer.snapshot(b"").unwrap();
    disk.remove(&FileRole::Snapshot.file_name(2)).unwrap();
    let error = LogWriter::open(Arc::new(disk)).unwrap_err();
    assert!(matches!(error, OpenError::SnapshotMissing { .. }));
}

#[test]
fn a_snapshot_is_due_when_the_log_has_outgrown_it() {
    let place = tempfile::tempdir().unwrap();
    let disk = Arc::new(FolderDisk::open(place.path()).unwrap());
    let (mut writer, _) = LogWriter::open(disk.clone()).unwrap();
    let mut big = Batch::default();
    big.push(3, &vec![0; SNAPSHOT_LOG_SIZE_MIN as usize]);
    assert!(!writer.snapshot_due());
    writer.commit(&big).unwrap();
    assert!(writer.snapshot_due());
    writer.snapshot(&vec![7; 3 * 1024 * 1024]).unwrap();
    assert!(!writer.snapshot_due());
    assert_eq!(disk.list().unwrap().len(), 2, "one snapshot, one log file");
    let (_, recovered) = LogWriter::open(disk).unwrap();
    assert_eq!(recovered.snapshot.unwrap(), vec![7; 3 * 1024 * 1024]);
    assert!(recovered.commands.is_empty());
}
