//! A log folder's bytes. The input is a small program: it fills a metadata log and a segment log
//! on a disk in memory, then damages the files, and may put files of its own beside. Opening
//! must not panic; what it hands out can be read back; and what it says it has repaired stays so.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use shunt_storage::{
    Batch, Disk, FaultyDisk, LogWriter, RecordPosition, SegmentLog, SegmentLogOptions,
    SegmentWriter,
};

const OPTIONS: SegmentLogOptions = SegmentLogOptions { segment_size: 512, batch_bytes_max: 256 };

fuzz_target!(|bytes: &[u8]| {
    let disk = Arc::new(FaultyDisk::new(0));
    let Some((appends, damage)) = bytes.split_first() else { return };
    fill(&disk, *appends);
    let mut rest = damage;
    while let Some((step, after)) = rest.split_first_chunk() {
        rest = harm(&disk, *step, after);
    }
    open_metadata(&disk);
    open_segments(&disk);
});

/// Batches of known records in both logs.
fn fill(disk: &Arc<FaultyDisk>, appends: u8) {
    let (mut metadata, _) = LogWriter::open(disk.clone()).unwrap();
    let (segments, _) = SegmentWriter::open(disk.clone(), OPTIONS, &mut |_, _, _| {}).unwrap();
    let log = SegmentLog::start(segments, |_| {}).unwrap();
    for number in 0..appends % 32 {
        let mut batch = Batch::default();
        batch.push(number, &vec![number; usize::from(number) * 7]);
        batch.push(1, b"x");
        metadata.commit(&batch).unwrap();
        log.append(&mut batch, &mut Vec::new()).unwrap();
        if number % 10 == 9 {
            metadata.snapshot(&[number; 100]).unwrap();
        }
    }
}

/// One step of damage: which file, what, where; answers the bytes that it left.
fn harm<'a>(disk: &FaultyDisk, step: [u8; 4], after: &'a [u8]) -> &'a [u8] {
    let [what, which, low, high] = step;
    let names = disk.list().unwrap();
    let Some(at) = usize::from(which).checked_rem(names.len()) else { return &[] };
    let name = &names[at];
    let file = disk.open(name).unwrap();
    let offset = u64::from(u16::from_le_bytes([low, high]));
    match what % 6 {
        0 => disk.flip_bit(name, offset as usize, u32::from(what / 6)),
        1 => file.set_size(offset).unwrap(),
        2 => disk.remove(name).unwrap_or_default(),
        3 => disk.rename(name, &file_name(offset, what)).unwrap(),
        other => {
            let (bytes, after) = after.split_at(after.len().min(usize::from(what)));
            let file =
                if other == 4 { file } else { disk.create(&file_name(offset, what)).unwrap() };
            file.write_at(offset, bytes).unwrap();
            return after;
        }
    }
    after
}

fn file_name(number: u64, which: u8) -> String {
    let extension = ["segment", "log", "snapshot", "snapshot.tmp"][usize::from(which / 6) % 4];
    // Large numbers too.
    let number = if number > 0xff00 { u64::MAX - (0xffff - number) } else { number };
    format!("{number:020}.{extension}")
}

fn open_metadata(disk: &Arc<FaultyDisk>) {
    match LogWriter::open(disk.clone()) {
        Ok((_, first)) => {
            let (_, second) = LogWriter::open(disk.clone()).unwrap();
            assert_eq!(second.commands, first.commands);
            assert_eq!(second.snapshot, first.snapshot);
            assert_eq!(second.cut_tail, None);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

type Records = Vec<(RecordPosition, u8, Vec<u8>)>;

fn open_segments(disk: &Arc<FaultyDisk>) {
    let open = |found: &mut Records| {
        let mut replay = |at, kind, payload: &[u8]| found.push((at, kind, payload.to_vec()));
        SegmentWriter::open(disk.clone(), OPTIONS, &mut replay)
    };
    let (mut first, mut second) = (Vec::new(), Vec::new());
    match open(&mut first) {
        Ok((_, recovery)) => assert_eq!(recovery.records, first.len() as u64),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    }
    assert!(first.is_sorted_by_key(|(at, ..)| *at));
    let (writer, recovery) = open(&mut second).unwrap();
    assert_eq!(second, first);
    assert_eq!(recovery.cut_tail, None);
    let log = SegmentLog::start(writer, |_| {}).unwrap();
    for (at, kind, payload) in first {
        assert_eq!(log.read(at).unwrap(), (kind, payload));
    }
}
