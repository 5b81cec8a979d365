//! The log with its thread.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use super::sync::Turn;
use super::*;
use crate::disk::read_all;
use crate::header::HEADER_SIZE;
use crate::record::{KIND_MAX, RECORD_OVERHEAD, RECORD_SIZE_MAX, SPLIT_KIND_MIN};
use crate::salt::{BATCH_RECORD_SIZE, TERMINATOR};
use crate::{AppendError, Batch, Disk, Faults, FaultyDisk, FolderDisk, Position, SyncOutcome};

const OPTIONS: SegmentLogOptions =
    SegmentLogOptions { segment_size: 4096, batch_bytes_max: 16 * 1024, index_size_max: 4096 };

/// Where the first record of a segment stands that is not the log's own.
const FIRST_OFFSET: u32 = (HEADER_SIZE + BATCH_RECORD_SIZE) as u32;

type Found = Vec<(RecordPosition, Vec<u8>)>;

fn start(disk: impl Disk + 'static) -> (Arc<SegmentLog>, Receiver<SyncOutcome>, Found) {
    let mut found = Vec::new();
    let mut replay = |at, _, payload: &[u8]| found.push((at, payload.to_vec()));
    let (writer, recovery) = SegmentWriter::open(Arc::new(disk), OPTIONS, &mut replay).unwrap();
    assert_eq!(recovery.damaged, []);
    let (tell, told) = channel();
    let log = SegmentLog::start(writer, move |outcome| drop(tell.send(outcome))).unwrap();
    (log, told, found)
}

/// The log of a disk in memory, of which the test takes the turns.
fn start_by_hand(disk: &FaultyDisk) -> (SegmentLog, SegmentRecovery) {
    let (writer, recovery) =
        SegmentWriter::open(Arc::new(disk.clone()), OPTIONS, &mut |_, _, _| {}).unwrap();
    (SegmentLog::without_thread(writer, |_| {}), recovery)
}

fn batch(payloads: &[&[u8]]) -> Batch {
    let mut batch = Batch::default();
    payloads.iter().for_each(|payload| batch.push(1, payload));
    batch
}

fn append(log: &SegmentLog, payloads: &[&[u8]]) -> (Position, Vec<RecordPosition>) {
    let mut positions = Vec::new();
    let position = log.append(&mut batch(payloads), &mut positions).unwrap();
    (position, positions)
}

#[track_caller]
fn wait_for(told: &Receiver<SyncOutcome>, position: Position) {
    loop {
        match told.recv().unwrap() {
            SyncOutcome::Durable(reached) if reached >= position => return,
            SyncOutcome::Durable(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn appends_of_many_threads_are_durable_in_order_and_read_while_they_wait() {
    let disk = FaultyDisk::new(1);
    let (log, told, _) = start(disk.clone());
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..100u8 {
                    let records = [[thread, number, 0], [thread, number, 1]];
                    let (_, positions) = append(log, &[&records[0], &records[1]]);
                    assert_eq!(log.read(positions[1]).unwrap().head(), records[1]);
                    assert_eq!(log.read(positions[0]).unwrap().head(), records[0]);
                }
            });
        }
    });
    wait_for(&told, Position(800));
    disk.crash();
    drop(log);
    let (log, _, found) = start(disk);
    assert!(found.is_sorted_by_key(|(at, _)| *at));
    for thread in 0..4 {
        let own = found.iter().filter(|(_, payload)| payload[0] == thread);
        let expected = (0..100).flat_map(|number| [[thread, number, 0], [thread, number, 1]]);
        assert!(own.map(|(_, payload)| payload.clone()).eq(expected));
    }
    for (at, payload) in &found {
        assert_eq!(log.read(*at).unwrap().head(), *payload);
    }
}

#[test]
fn segments_roll_and_the_oldest_go() {
    let place = tempfile::tempdir().unwrap();
    let disk = || FolderDisk::open(place.path()).unwrap();
    let (log, told, _) = start(disk());
    let mut all = Vec::new();
    let mut last = Position(0);
    for number in 0..100u8 {
        let (position, positions) = append(&log, &[&[number; 500]]);
        all.extend(positions);
        last = position;
    }
    // One batch that is larger than a segment, and has one of its own.
    let (_, large) = append(&log, &[&[1; 5000], &[2; 5000]]);
    assert_eq!((large[0].segment, large[0].offset), (large[1].segment, FIRST_OFFSET));
    let (position, after) = append(&log, &[b"after"]);
    assert_eq!(after[0].segment, large[0].segment + 1);
    assert!(position > last);
    wait_for(&told, position);

    let segments = log.segments();
    assert_eq!(segments.last().unwrap().number, after[0].segment);
    let sizes = segments.iter().filter(|info| info.number != large[0].segment);
    assert!(sizes.clone().all(|info| info.size <= OPTIONS.segment_size));
    assert_eq!(log.bytes(), segments.iter().map(|info| info.size).sum());
    for info in &segments {
        let on_disk = disk().open(&handles::name(info.number)).unwrap().size().unwrap();
        // The last one has taken space ahead.
        assert!(on_disk == info.size || (info.number == after[0].segment && on_disk > info.size));
    }

    let middle = all[50];
    assert_eq!(log.read(all[0]).unwrap().head(), [0; 500]);
    log.remove_through(middle.segment - 1);
    log.remove_through(2);
    while log.segments()[0].number < middle.segment {
        std::thread::yield_now();
    }
    assert!(matches!(log.read(all[0]), Err(ReadError::Gone(1))));
    assert_eq!(log.read(middle).unwrap().head(), [50; 500]);
    drop(log);
    let (log, _, found) = start(disk());
    assert_eq!(found.first().map(|(at, _)| at.segment), Some(middle.segment));
    assert_eq!(found.last().unwrap().0, after[0]);

    log.remove_through(u32::MAX);
    drop(log);
    let (log, ..) = start(disk());
    assert_eq!(log.segments().len(), 1, "never the last one");
    assert_eq!(log.read(after[0]).unwrap().head(), b"after");
}

#[test]
fn a_full_disk_delays_and_loses_nothing() {
    let disk = FaultyDisk::new(1);
    let (log, told, _) = start(disk.clone());
    disk.set_faults(Faults { space_max: Some(40), ..Faults::default() });
    let (first, before) = append(&log, &[b"before", &[7; 3000]]);
    assert!(matches!(told.recv().unwrap(), SyncOutcome::NoSpace(_)));
    let (last, after) = append(&log, &[&[8; 3000], b"after"]);
    assert!(after[0].segment > before[0].segment);
    assert_eq!(log.read(before[1]).unwrap().head(), [7; 3000], "while it waits");
    assert_eq!(log.read(after[1]).unwrap().head(), b"after");
    disk.set_faults(Faults::default());
    assert!(matches!(told.recv().unwrap(), SyncOutcome::Durable(reached) if reached == first));
    wait_for(&told, last);
    drop(log);
    let (_, _, found) = start(disk);
    let positions: Vec<_> = found.iter().map(|(at, _)| *at).collect();
    assert_eq!(positions, [before, after].concat());
}

#[test]
fn what_is_owed_is_written_by_whoever_settles_it_and_never_forgotten() {
    let disk = FaultyDisk::new(1);
    let (writer, _) =
        SegmentWriter::open(Arc::new(disk.clone()), OPTIONS, &mut |_, _, _| {}).unwrap();
    let (tell, told) = channel();
    let log = SegmentLog::start(writer, move |outcome| {
        let SyncOutcome::Durable(position) = outcome else { panic!("{outcome:?}") };
        let _ = tell.send((position, std::thread::current().id()));
    })
    .unwrap();
    let append = |owing: bool| {
        let mut positions = Vec::new();
        let mut batch = batch(&[b"x"]);
        match owing {
            true => log.append_owing(&mut batch, &mut positions),
            false => log.append(&mut batch, &mut positions),
        }
        .unwrap()
    };
    let next = || told.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    let here = std::thread::current().id();
    // The first times tell how quick the disk is.
    for _ in 0..20 {
        let position = append(false);
        let (durable, thread) = next();
        assert!(durable == position && thread != here);
    }
    let mut settled_here = 0;
    for _ in 0..200 {
        let position = append(true);
        // Nothing is owed where the thread was still awake.
        log.settle();
        let (durable, thread) = next();
        assert_eq!(durable, position);
        settled_here += u32::from(thread == here);
    }
    assert!(settled_here > 50, "only {settled_here} of 200");
    for end in 0..3 {
        let position = append(true);
        match end {
            0 => log.wake(),
            1 => drop(append(false)),
            _ => {}
        }
        while end < 2 && next().0 < position {}
    }
    drop(log);
    assert!(told.iter().last().is_none_or(|(durable, _)| durable == Position(224)));
    let (_, _, found) = start(disk);
    assert_eq!(found.len(), 224);
}

#[test]
fn what_nobody_waits_for_is_synced_with_what_follows_or_when_asked() {
    let disk = FaultyDisk::new(1);
    let (log, told, _) = start(disk.clone());
    let unwanted =
        |payload: &[u8]| log.append_unwanted(&mut batch(&[payload]), &mut Vec::new()).unwrap();
    unwanted(b"first");
    log.settle();
    assert!(told.recv_timeout(std::time::Duration::from_millis(50)).is_err());
    let (second, _) = append(&log, &[b"second"]);
    assert!(matches!(told.recv().unwrap(), SyncOutcome::Durable(at) if at == second), "at once");
    let third = unwanted(b"third");
    log.hasten();
    wait_for(&told, third);
    let fourth = unwanted(b"fourth");
    log.remove_through(1);
    wait_for(&told, fourth);
    // What is much does not wait.
    let fifth = unwanted(&[0; 70_000]);
    log.settle();
    wait_for(&told, fifth);
    unwanted(b"sixth");
    drop(log);
    assert_eq!(start(disk).2.len(), 6, "the last one when the log ended");
}

#[test]
fn what_nobody_waits_for_outlives_the_process() {
    let place = tempfile::tempdir().unwrap();
    let disk = FolderDisk::open(place.path()).unwrap();
    let options = SegmentLogOptions { segment_size: 300, ..OPTIONS };
    let (writer, _) = SegmentWriter::open(Arc::new(disk), options, &mut |_, _, _| {}).unwrap();
    let log = SegmentLog::without_thread(writer, |_| {});
    let mut payloads = Vec::new();
    for number in 0..40_u8 {
        let payload = [number; 25];
        payloads.push(payload.to_vec());
        match number % 8 {
            0 => append(&log, &[&payload]).0,
            _ => log.append_unwanted(&mut batch(&[&payload]), &mut Vec::new()).unwrap(),
        };
        while let Turn::Done = log.syncer().turn() {}
        // What the kernel has outlives the process.
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(place.path()).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
        let (_, _, found) = start(FolderDisk::open(copy.path()).unwrap());
        let found: Vec<_> = found.into_iter().map(|(_, payload)| payload).collect();
        assert_eq!(found, payloads);
    }
}

#[test]
fn a_log_that_is_dropped_on_a_full_disk_confirms_nothing_more() {
    let disk = FaultyDisk::new(1);
    let (log, told, _) = start(disk.clone());
    disk.set_faults(Faults { space_max: Some(40), ..Faults::default() });
    append(&log, &[b"never on disk"]);
    assert!(matches!(told.recv().unwrap(), SyncOutcome::NoSpace(_)));
    drop(log);
    assert!(matches!(told.recv().unwrap(), SyncOutcome::Failed(_)));
    assert!(told.recv().is_err());
    disk.set_faults(Faults::default());
    assert_eq!(start(disk).2, []);
}

#[test]
fn a_failed_sync_delays_and_loses_nothing() {
    for seed in 0..10 {
        let disk = FaultyDisk::new(seed);
        let (log, told, _) = start(disk.clone());
        disk.set_faults(Faults { sync_error_per_mille: 1000, ..Faults::default() });
        let (_, first) = append(&log, &[b"x"]);
        assert!(matches!(told.recv().unwrap(), SyncOutcome::Retrying(_)));
        assert_eq!(log.read(first[0]).unwrap().head(), b"x", "while it waits");
        let (position, second) = append(&log, &[b"y"]);
        disk.set_faults(Faults::default());
        wait_for(&told, position);
        disk.crash();
        drop(log);
        let (_, _, found) = start(disk);
        let positions: Vec<_> = found.iter().map(|(at, _)| *at).collect();
        assert_eq!(positions, [first, second].concat(), "seed {seed}");
    }
}

#[test]
fn what_is_no_record_is_refused_and_an_empty_batch_is_nothing() {
    let (log, _, _) = start(FaultyDisk::new(1));
    let mut positions = Vec::new();
    let mut wrong = Batch::default();
    wrong.push(KIND_MAX + 1, b"");
    let refused = log.append(&mut wrong, &mut positions);
    assert_eq!(refused, Err(AppendError::ReservedKind(KIND_MAX + 1)));
    let mut big = batch(&[b"small", &vec![0; RECORD_SIZE_MAX]]);
    let refused = log.append(&mut big, &mut positions);
    assert_eq!(refused, Err(AppendError::TooLarge(RECORD_SIZE_MAX)));
    assert_eq!(log.append(&mut Batch::default(), &mut positions), Ok(Position(0)));
    assert_eq!(positions, []);
}

#[test]
fn the_last_reference_may_go_on_the_logs_own_thread() {
    let (writer, _) =
        SegmentWriter::open(Arc::new(FaultyDisk::new(1)), OPTIONS, &mut |_, _, _| {}).unwrap();
    let (give, given) = channel::<Arc<SegmentLog>>();
    let (done, was_done) = channel();
    let log = SegmentLog::start(writer, move |_| {
        drop(given.recv());
        done.send(()).unwrap();
    })
    .unwrap();
    append(&log, &[b"x"]);
    give.send(log).unwrap();
    was_done.recv().unwrap();
}

#[test]
fn reads_of_many_segments_keep_few_files_open_and_hurt_nobody() {
    let disk = FaultyDisk::new(1);
    let (log, told, _) = start(disk.clone());
    let mut all = Vec::new();
    for number in 0..200u8 {
        all.extend(append(&log, &[&[number; 2000]]).1);
    }
    wait_for(&told, Position(200));
    for _ in 0..2 {
        for (number, at) in (0..).zip(&all) {
            assert_eq!(log.read(*at).unwrap().head(), [number; 2000]);
        }
    }
    disk.set_faults(Faults { read_error_per_mille: 1000, ..Faults::default() });
    assert!(matches!(log.read(all[0]), Err(ReadError::Io { .. })));
    disk.set_faults(Faults::default());
    disk.flip_bit(&handles::name(all[1].segment), all[1].offset as usize + 100, 1);
    let error = log.read(all[1]).unwrap_err();
    assert!(
        matches!(error, ReadError::Damaged { offset, .. } if offset == u64::from(all[1].offset))
    );
    assert_eq!(log.read(all[0]).unwrap().head(), [0; 2000]);
    let nowhere = RecordPosition { segment: 1_000, offset: 24, size: 10 };
    assert!(matches!(log.read(nowhere), Err(ReadError::Gone(1_000))));
}

#[test]
fn a_start_hands_out_heads_and_bodies_are_read_when_wanted() {
    let disk = FaultyDisk::new(1);
    let (log, told, _) = start(disk.clone());
    let mut batch = Batch::default();
    let mut positions = Vec::new();
    for number in 0..20u8 {
        batch.push_split(SPLIT_KIND_MIN, &[b"head ", &[number]], &[&[number; 300]]);
    }
    let position = log.append(&mut batch, &mut positions).unwrap();
    wait_for(&told, position);
    drop(log);
    let (log, _, found) = start(disk.clone());
    let heads = (0..20).map(|number| [&b"head "[..], &[number]].concat());
    assert!(found.iter().map(|(_, head)| head.clone()).eq(heads));

    // One of them is damaged, and one is not there: the others are read all the same.
    disk.flip_bit(&handles::name(1), positions[3].offset as usize + 40, 1);
    positions.push(RecordPosition { segment: 9, offset: 24, size: 10 });
    let mut read = Vec::new();
    log.read_many(&positions, &mut |index, record| {
        assert_eq!(index, read.len());
        read.push(record.map(|record| record.body.to_vec()));
    });
    for (index, body) in read.into_iter().enumerate() {
        match (index, body) {
            (3, Err(ReadError::Damaged { offset, .. })) => {
                assert_eq!(offset, u64::from(positions[3].offset));
            }
            (20, Err(ReadError::Gone(9))) => {}
            (_, body) => assert_eq!(body.unwrap(), [index as u8; 300]),
        }
    }
}

#[test]
fn bytes_that_wait_are_counted() {
    let disk = FaultyDisk::new(1);
    let (log, told, _) = start(disk.clone());
    assert_eq!(log.unsynced_bytes(), 0);
    disk.set_faults(Faults { space_max: Some(40), ..Faults::default() });
    let (_, first) = append(&log, &[&[7; 1000]]);
    // From here on nothing more is added to its group.
    assert!(matches!(told.recv().unwrap(), SyncOutcome::NoSpace(_)));
    let (last, second) = append(&log, &[&[8; 3500]]);
    assert_ne!(first[0].segment, second[0].segment);
    // With three batch records, and the first segment's end record between.
    let own = (3 * BATCH_RECORD_SIZE + RECORD_OVERHEAD) as u64;
    assert_eq!(log.unsynced_bytes(), u64::from(first[0].size + second[0].size) + own);
    disk.set_faults(Faults::default());
    wait_for(&told, last);
    assert_eq!(log.unsynced_bytes(), 0);
}

#[test]
fn a_removed_segments_file_becomes_a_later_segments() {
    let disk = FaultyDisk::new(1);
    let (log, ..) = start_by_hand(&disk);
    let mut last = None;
    for number in 0..24u8 {
        // The last one's group is followed by what the file held before.
        let size = if number == 23 { 100 } else { 900 };
        last = append(&log, &[&vec![number + 1; size]]).1.pop();
        while let Turn::Done = log.syncer().turn() {}
        let oldest = log.segments()[0].number;
        log.remove_through(log.segments().last().unwrap().number - 1);
        while let Turn::Done = log.syncer().turn() {}
        // At most one is kept, and whole.
        let kept = disk.list().unwrap().into_iter().filter(|name| handles::is_removed(name));
        assert!(kept.count() <= 1, "{oldest} was the oldest");
    }
    let at = last.unwrap();
    let bytes = read_all(&*disk.open(&handles::name(at.segment)).unwrap()).unwrap();
    let (_, behind) = bytes.split_at((at.offset + at.size) as usize);
    let (end, old) = behind.split_at(TERMINATOR.len());
    assert_eq!(end, TERMINATOR);
    assert!(old.iter().any(|byte| *byte != 0), "it is a new file");

    // The power goes, nothing was lost, and the log goes on there.
    disk.crash();
    let (log, recovery) = start_by_hand(&disk);
    assert_eq!((recovery.damaged.len(), recovery.cut_tail), (0, None));
    assert_eq!(log.read(at).unwrap().head(), [24; 100]);
    let (_, more) = append(&log, &[b"more"]);
    assert_eq!(more[0].segment, at.segment);
    while let Turn::Done = log.syncer().turn() {}
    disk.crash();
    let (log, _) = start_by_hand(&disk);
    assert_eq!(log.read(more[0]).unwrap().head(), b"more");
}

#[test]
fn a_full_disk_gets_the_spare_file_back() {
    let disk = FaultyDisk::new(1);
    let (log, _) = start_by_hand(&disk);
    for _ in 0..6 {
        append(&log, &[&[7; 900]]);
        while let Turn::Done = log.syncer().turn() {}
    }
    log.remove_through(log.segments().last().unwrap().number - 1);
    while let Turn::Done = log.syncer().turn() {}
    let kept = || disk.list().unwrap().into_iter().filter(|name| handles::is_removed(name)).count();
    assert_eq!(kept(), 1);
    disk.set_faults(Faults { space_max: Some(0), ..Faults::default() });
    append(&log, &[&[8; 900]]);
    assert!(matches!(log.syncer().turn(), Turn::Trouble(_)));
    while let Turn::Done = log.syncer().turn() {}
    assert_eq!(kept(), 0);
}

/// A folder, whose next sync can be made to fail: as one does when no file descriptor is left, for
/// which nothing need be wrong with the disk.
struct OneFailedSync {
    folder: FolderDisk,
    is_due: Arc<std::sync::atomic::AtomicBool>,
}

impl Disk for OneFailedSync {
    fn list(&self) -> io::Result<Vec<String>> {
        self.folder.list()
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn crate::DiskFile>> {
        self.folder.open(name)
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn crate::DiskFile>> {
        self.folder.create(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.folder.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.folder.remove(name)
    }
    fn sync(&self) -> io::Result<()> {
        match self.is_due.swap(false, std::sync::atomic::Ordering::Relaxed) {
            true => Err(io::Error::from_raw_os_error(24)),
            false => self.folder.sync(),
        }
    }
    fn random(&self) -> io::Result<u64> {
        self.folder.random()
    }
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }
}

#[test]
fn a_spare_file_that_has_its_new_name_is_not_shrunk() {
    let place = tempfile::tempdir().unwrap();
    let is_due = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let folder = FolderDisk::open(place.path()).unwrap();
    let disk = Arc::new(OneFailedSync { folder, is_due: is_due.clone() });
    let (writer, _) = SegmentWriter::open(disk, OPTIONS, &mut |_, _, _| {}).unwrap();
    let (tell, told) = channel();
    let log = SegmentLog::without_thread(writer, move |outcome| drop(tell.send(outcome)));
    // A removed segment's file is spare.
    for number in 1..3 {
        append(&log, &[&[number; 3900]]);
        while let Turn::Done = log.syncer().turn() {}
    }
    append(&log, &[&[3; 1000]]);
    while let Turn::Done = log.syncer().turn() {}
    log.remove_through(2);
    while let Turn::Done = log.syncer().turn() {}
    // It becomes the next segment's, but for one failed sync of the folder; groups follow.
    is_due.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut all = Vec::new();
    all.extend(append(&log, &[&[4; 1800]]).1);
    all.extend(append(&log, &[&[5; 3900]]).1);
    let (last, more) = append(&log, &[&[6; 3900]]);
    all.extend(more);
    while let Turn::Done = log.syncer().turn() {}
    let told: Vec<_> = told.try_iter().collect();
    assert!(matches!(told.last(), Some(SyncOutcome::Durable(position)) if *position == last));
    assert!(told.iter().all(|outcome| matches!(outcome, SyncOutcome::Durable(_))), "{told:?}");
    assert!(!is_due.load(std::sync::atomic::Ordering::Relaxed));
    for (number, at) in (4..).zip(all) {
        let read = log.read(at);
        assert!(read.is_ok(), "record {number}, which was confirmed: {}", read.unwrap_err());
        assert!(read.unwrap().head().iter().all(|byte| *byte == number));
    }
}

#[test]
fn no_more_is_kept_than_a_segment_takes() {
    let disk = FaultyDisk::new(1);
    let (log, _) = start_by_hand(&disk);
    // A batch that is larger than a segment, and has one of its own.
    append(&log, &[&[1; 100_000]]);
    append(&log, &[b"after"]);
    while let Turn::Done = log.syncer().turn() {}
    log.remove_through(1);
    while let Turn::Done = log.syncer().turn() {}
    let kept = disk.list().unwrap().into_iter().filter(|name| handles::is_removed(name));
    let bytes: u64 = kept.map(|name| disk.open(&name).unwrap().size().unwrap()).sum();
    assert!(bytes <= OPTIONS.segment_size, "{bytes} bytes are kept");
}

#[test]
fn where_no_spare_file_may_be_kept_its_space_comes_back() {
    let disk = FaultyDisk::new(1);
    let (log, _) = start_by_hand(&disk);
    let kept = || disk.list().unwrap().iter().filter(|name| handles::is_removed(name)).count();
    let turn = || while let Turn::Done = log.syncer().turn() {};
    for (keeps, expected) in [(true, 1), (false, 0), (true, 1)] {
        log.keep_spares(keeps);
        turn();
        let last = log.segments().last().unwrap().number;
        append(&log, &[&[1; 3900]]);
        append(&log, &[&[2; 3900]]);
        turn();
        log.remove_through(last);
        turn();
        assert_eq!(kept(), expected, "keeps {keeps}");
    }
    log.keep_spares(false);
    turn();
    assert_eq!(kept(), 0, "one that was kept goes");
}
