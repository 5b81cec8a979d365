//! Folders that are damaged, repaired, and damaged on the way.

use std::sync::Arc;

use super::*;
use crate::check::check_log;
use crate::faulty::Random;
use crate::salt::BATCH_RECORD_SIZE;
use crate::{
    Batch, Faults, FaultyDisk, SPLIT_KIND_MIN, SegmentLog, SegmentLogOptions, SegmentWriter,
};

const OPTIONS: SegmentLogOptions =
    SegmentLogOptions { segment_size: 2048, batch_bytes_max: 600, index_size_max: 2048 };

/// Heads of the records that a start finds, and whether it finds damage.
fn start(disk: &FaultyDisk) -> (Vec<Vec<u8>>, Vec<Damage>) {
    let mut heads = Vec::new();
    let mut replay = |_, _, head: &[u8]| heads.push(head.to_vec());
    let (_, found) = SegmentWriter::open(Arc::new(disk.clone()), OPTIONS, &mut replay).unwrap();
    (heads, found.damaged)
}

/// A log of so many records; the heads say which it is.
fn log(disk: &FaultyDisk, random: &mut Random) -> Vec<Vec<u8>> {
    let (writer, _) =
        SegmentWriter::open(Arc::new(disk.clone()), OPTIONS, &mut |_, _, _| {}).unwrap();
    let log = SegmentLog::start(writer, |_| {}).unwrap();
    let mut heads = Vec::new();
    for number in 0..10 + random.below(60) {
        let mut batch = Batch::default();
        let head = number.to_le_bytes();
        if random.below(2) == 0 {
            batch.push(1, &head);
        } else {
            let body = vec![7; random.below(300) as usize];
            batch.push_split(SPLIT_KIND_MIN, &[&head], &[&body]);
        }
        log.append(&mut batch, &mut Vec::new()).unwrap();
        heads.push(head.to_vec());
    }
    heads
}

fn check(disk: &FaultyDisk) -> (Vec<Damage>, usize) {
    let (mut damaged, mut others) = (Vec::new(), 0);
    check_log(disk, LogRole::Messages, &mut |file, done, total| {
        assert!(done <= total);
        damaged.extend(file.damaged);
        others += usize::from(file.cut_tail.is_some()) + usize::from(file.leftover.is_some());
    })
    .unwrap();
    (damaged, others)
}

fn repair(disk: &FaultyDisk, write: bool) -> Result<Vec<Repair>, OpenError> {
    let mut steps = Vec::new();
    repair_log(disk, LogRole::Messages, write, &mut |step| steps.push(step)).map(|()| steps)
}

/// Flips bits, overwrites a range, or cuts a file's end.
fn damage(disk: &FaultyDisk, random: &mut Random) {
    let names = disk.list().unwrap();
    for _ in 0..1 + random.below(3) {
        let name = &names[random.below(names.len() as u64) as usize];
        let file = disk.open(name).unwrap();
        let size = file.size().unwrap().max(1);
        let offset = random.below(size);
        match random.below(4) {
            0 => file.set_size(offset).unwrap(),
            1 => {
                let garbage = vec![random.below(256) as u8; random.below(200) as usize];
                file.write_at(offset, &garbage).unwrap();
            }
            _ => disk.flip_bit(name, offset as usize, random.below(8) as u32),
        }
        file.sync().unwrap();
    }
    disk.sync().unwrap();
}

/// Every head of `part` is in `all`, in the same order.
fn is_part_of(part: &[Vec<u8>], all: &[Vec<u8>]) -> bool {
    let mut all = all.iter();
    part.iter().all(|head| all.any(|other| other == head))
}

#[test]
fn a_repair_that_is_interrupted_anywhere_loses_nothing_more() {
    for seed in 0..3000 {
        let mut random = Random(seed);
        let disk = FaultyDisk::new(random.next());
        let all = log(&disk, &mut random);
        damage(&disk, &mut random);
        let readable = readable(&disk);
        assert!(is_part_of(&readable, &all), "seed {seed}");
        for _ in 0..random.below(4) {
            let per_mille = random.below(300) as u32;
            disk.set_faults(Faults {
                write_error_per_mille: per_mille,
                sync_error_per_mille: per_mille,
                ..Faults::default()
            });
            let interrupted = repair(&disk, true).is_err();
            disk.set_faults(Faults::default());
            if interrupted || random.below(2) == 0 {
                disk.crash();
            }
            let now = self::readable(&disk);
            assert!(is_part_of(&readable, &now), "seed {seed}: records were lost");
        }
        if random.below(2) == 0 {
            // An index may still say the head of a record whose body is damaged.
            let (found, _) = start(&disk);
            assert!(is_part_of(&readable, &found) && is_part_of(&found, &all), "seed {seed}");
        }
        repair(&disk, true).unwrap();
        let beyond = repair(&disk, false).unwrap();
        let is_beyond = |step: &Repair| matches!(step, Repair::Beyond(_));
        assert!(beyond.iter().all(is_beyond), "seed {seed}: {beyond:?}");
        let (damaged, others) = check(&disk);
        assert_eq!((damaged.len(), others), (beyond.len(), 0), "seed {seed}: {damaged:?}");
        let (found, told) = start(&disk);
        assert_eq!(found, readable, "seed {seed}");
        assert_eq!(told.len(), damaged.len(), "seed {seed}");
    }
}

/// The heads of all records that are whole, by their segments alone.
fn readable(disk: &FaultyDisk) -> Vec<Vec<u8>> {
    let mut heads = Vec::new();
    let names = check::list(disk).unwrap();
    check::walk(disk, LogRole::Messages, &names, &mut |inspection| {
        if let Inspected::Batches { bytes, verdict, id, .. } = inspection.what {
            let scan = Scan::of(&bytes, id);
            let whole = scan.records(&bytes).filter(|record| record.offset < verdict.end);
            let own = whole.filter(|record| record.kind <= crate::KIND_MAX);
            let parts = own.filter_map(|record| record::split(record.kind, record.payload));
            heads.extend(parts.map(|(head, _)| head.to_vec()));
        }
        Ok(())
    })
    .unwrap();
    heads
}

#[test]
fn a_dry_run_tells_and_does_nothing() {
    let mut random = Random(1);
    let disk = FaultyDisk::new(1);
    log(&disk, &mut random);
    let name = FileRole::Segment.file_name(1);
    disk.flip_bit(&name, HEADER_SIZE + BATCH_RECORD_SIZE + 3, 1);
    let (damaged, _) = check(&disk);
    assert_eq!(damaged.len(), 1);
    assert_eq!(damaged[0].offset, (HEADER_SIZE + BATCH_RECORD_SIZE) as u64);
    let names = disk.list().unwrap();
    let steps = repair(&disk, false).unwrap();
    let kept = disk.path(&format!("{name}.damaged-1"));
    let path = disk.path(&name);
    assert!(steps.contains(&Repair::TakeOut { path, damaged: damaged.clone(), kept }));
    assert_eq!(disk.list().unwrap(), names);
    assert_eq!(check(&disk).0, damaged);
    let before = read_all(&*disk.open(&name).unwrap()).unwrap();
    repair(&disk, true).unwrap();
    assert_eq!(check(&disk), (vec![], 0));
    let kept = disk.open(&format!("{name}.damaged-1")).unwrap();
    assert_eq!(read_all(&*kept).unwrap(), before);
}

#[test]
fn large_damage_becomes_several_records() {
    let mut bytes = vec![0; REMOVED_SIZE_MAX + 64];
    for size in [9, 20, REMOVED_SIZE_MAX, REMOVED_SIZE_MAX + 1, REMOVED_SIZE_MAX + 30] {
        put_removed(&mut bytes, 3, HEADER_SIZE..HEADER_SIZE + size).unwrap();
        let scan = Scan::of(&bytes[..HEADER_SIZE + size], 3);
        assert_eq!((scan.gaps.len(), scan.end), (0, HEADER_SIZE + size));
    }
    assert_eq!(put_removed(&mut bytes, 3, 30..38), None);
}
