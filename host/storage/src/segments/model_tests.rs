//! The log against a model, on a disk that fails. The log's thread is turned by hand, so that a
//! run depends on its seed alone: `SHUNT_STORAGE_SEED=<seed> cargo test -p shunt-storage model`
//! repeats the one that failed, and `SHUNT_STORAGE_SEEDS=<count>` tries so many.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::sync::Turn;
use super::*;
use crate::faulty::Random;
use crate::header::HEADER_SIZE;
use crate::salt::BATCH_RECORD_SIZE;
use crate::{
    AppendError, Batch, Damage, Disk, Faults, FaultyDisk, Position, SPLIT_KIND_MIN, SyncOutcome,
};

const OPTIONS: SegmentLogOptions =
    SegmentLogOptions { segment_size: 4096, batch_bytes_max: 1500, index_size_max: 2500 };
const KINDS: [u8; 2] = [3, SPLIT_KIND_MIN + 3];

/// A record that may be on disk.
#[derive(Clone, Debug)]
struct Entry {
    at: RecordPosition,
    kind: u8,
    head: Vec<u8>,
    body: Vec<u8>,
}

/// What a start hands out of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    at: RecordPosition,
    kind: u8,
    head: Vec<u8>,
}

impl PartialEq<Found> for Entry {
    fn eq(&self, found: &Found) -> bool {
        (self.at, self.kind, &self.head) == (found.at, found.kind, &found.head)
    }
}

impl Entry {
    fn is(&self, record: RecordRef<'_>) -> bool {
        (self.kind, &self.head[..], &self.body[..]) == (record.kind, record.head, record.body)
    }
}

/// What may, and what must be there.
#[derive(Debug, Default)]
struct Model {
    /// All that may be there, in order.
    entries: Vec<Entry>,
    /// How many of them must.
    confirmed: usize,
    /// Segments up to this one may be gone.
    removed_through: u32,
    next_number: u64,
}

/// One life of the log, and what it has told.
struct Life {
    log: SegmentLog,
    told: Arc<Mutex<Told>>,
    /// How many entries the model had at the start: positions count from there.
    base: usize,
    /// What was asked to go, and how much had been appended then.
    removals: Vec<(Position, u32)>,
}

#[derive(Debug, Default)]
struct Told {
    durable: Position,
    trouble: u32,
    failed: bool,
}

fn open(disk: &FaultyDisk) -> (SegmentWriter, SegmentRecovery, Vec<Found>) {
    let mut found = Vec::new();
    let (writer, recovery) =
        SegmentWriter::open(Arc::new(disk.clone()), OPTIONS, &mut |at, kind, head| {
            found.push(Found { at, kind, head: head.to_vec() });
        })
        .unwrap();
    assert_eq!(recovery.records, found.len() as u64);
    (writer, recovery, found)
}

impl Model {
    /// What a start found is the model's entries, but for the beginning, which may have been
    /// removed, and the end, which was not confirmed.
    fn check_found(&mut self, found: &[Found]) {
        let is_first = |entry: &Entry| found.first().is_some_and(|first| entry == first);
        let removed = self.entries.iter().take_while(|entry| !is_first(entry)).count();
        if let Some(last) = self.entries[..removed.min(self.confirmed)].last() {
            assert!(last.at.segment <= self.removed_through, "lost: {last:?}");
        }
        if let (Some(first), Some(last)) = (found.first(), self.entries[..removed].last()) {
            assert!(first.at.segment > last.at.segment, "a part of a segment is gone");
        }
        let end = removed + found.len();
        assert!(end >= self.confirmed, "{} confirmed, {end} found", self.confirmed);
        assert!(end <= self.entries.len() && self.entries[removed..end] == *found, "{found:?}");
        self.confirmed = found.len();
        self.entries.truncate(end);
        self.entries.drain(..removed);
    }
}

impl Life {
    fn start(writer: SegmentWriter, model: &Model) -> Self {
        let told = Arc::new(Mutex::new(Told::default()));
        let tell = {
            let told = told.clone();
            move |outcome| {
                let mut told = told.lock().unwrap();
                match outcome {
                    SyncOutcome::Durable(position) => {
                        assert!(position > told.durable && !told.failed);
                        told.durable = position;
                    }
                    SyncOutcome::NoSpace(_) | SyncOutcome::Retrying(_) => told.trouble += 1,
                    SyncOutcome::Failed(_) => told.failed = true,
                    other => panic!("{other:?}"),
                }
            }
        };
        let log = SegmentLog::without_thread(writer, tell);
        Self { log, told, base: model.entries.len(), removals: Vec::new() }
    }

    fn append(&mut self, model: &mut Model, random: &mut Random) {
        let mut batch = Batch::default();
        let filler_max = [10, 100, 800, 6000][random.below(4) as usize];
        let mut records = Vec::new();
        for _ in 0..1 + random.below(5) {
            let kind = KINDS[random.below(2) as usize];
            let mut head = model.next_number.to_le_bytes().to_vec();
            let fill = if random.below(2) == 0 { 0 } else { model.next_number as u8 };
            let filler = vec![fill; random.below(filler_max) as usize];
            model.next_number += 1;
            let mut body = Vec::new();
            if kind < SPLIT_KIND_MIN {
                head.extend(filler);
                batch.push(kind, &head);
            } else {
                let (of_head, of_body) = filler.split_at(filler.len() / 8);
                head.extend(of_head);
                body.extend(of_body);
                batch.push_split(kind, &[&head], &[&body]);
            }
            records.push((kind, head, body));
        }
        let mut positions = Vec::new();
        let appended = match random.below(4) {
            0 => self.log.append_unwanted(&mut batch, &mut positions),
            _ => self.log.append(&mut batch, &mut positions),
        };
        match appended {
            Ok(position) => {
                assert_eq!(positions.len(), records.len());
                let segment = positions[0].segment;
                assert!(positions.iter().all(|at| at.segment == segment), "a batch was split");
                let end = positions.last().map_or(0, |at| u64::from(at.offset + at.size));
                let own = positions[0].offset as usize == HEADER_SIZE + BATCH_RECORD_SIZE;
                assert!(end <= OPTIONS.segment_size || own, "{positions:?}");
                let records = positions.into_iter().zip(records);
                let entry = |(at, (kind, head, body))| Entry { at, kind, head, body };
                model.entries.extend(records.map(entry));
                assert_eq!(position.0 as usize, model.entries.len() - self.base);
            }
            Err(error) => {
                assert_eq!(error, AppendError::Failed);
                assert!(self.told.lock().unwrap().failed);
            }
        }
    }

    /// Answers whether the log can go on.
    fn turn(&mut self, model: &mut Model) -> Turn {
        let before = self.log.segments();
        let turn = self.log.syncer().turn();
        let durable = self.told.lock().unwrap().durable;
        model.confirmed = model.confirmed.max(self.base + durable.0 as usize);
        let after = self.log.segments();
        for gone in before.iter().filter(|info| !after.contains(info)) {
            let asked = |(position, through): &(Position, u32)| {
                *through >= gone.number && *position <= durable
            };
            assert!(self.removals.iter().any(asked), "{gone:?} was not to go yet");
        }
        turn
    }

    fn read(&self, model: &Model, random: &mut Random) {
        if model.entries.is_empty() {
            return;
        }
        let check = |entry: &Entry, read: Result<RecordRef<'_>, ReadError>| match read {
            Ok(record) => assert!(entry.is(record), "{entry:?}: {record:?}"),
            Err(ReadError::Gone(segment)) => assert!(segment <= model.removed_through),
            // A fault of the read, or a removal that failed half way.
            Err(ReadError::Io { .. }) => {}
            Err(error) => panic!("{entry:?}: {error}"),
        };
        let from = random.below(model.entries.len() as u64) as usize;
        let entry = &model.entries[from];
        match self.log.read(entry.at) {
            Ok(record) => check(entry, Ok(record.as_record_ref())),
            Err(error) => check(entry, Err(error)),
        }
        let step = 1 + random.below(3) as usize;
        let wanted: Vec<_> = model.entries[from..].iter().step_by(step).take(20).collect();
        let positions: Vec<_> = wanted.iter().map(|entry| entry.at).collect();
        let mut next = 0;
        self.log.read_many(&positions, &mut |index, read| {
            assert_eq!(index, next);
            next += 1;
            check(wanted[index], read);
        });
        assert_eq!(next, wanted.len());
        let wrong = RecordPosition { size: entry.at.size - 1, ..entry.at };
        assert!(self.log.read(wrong).is_err());
    }

    fn remove(&mut self, model: &mut Model, random: &mut Random) {
        let segments = self.log.segments();
        let asked = segments[random.below(segments.len() as u64) as usize].number;
        let last = segments.last().unwrap().number;
        let through = asked.min(last - 1);
        let appended = Position((model.entries.len() - self.base) as u64);
        self.removals.push((appended, through));
        model.removed_through = model.removed_through.max(through);
        self.log.remove_through(asked);
    }
}

/// What came about in a run.
#[derive(Debug, Default)]
struct Coverage {
    /// Segments that were read by their index.
    by_index: AtomicU64,
    /// Lives that ended while old bytes of a removed segment stood behind the last record.
    reused: AtomicU64,
}

/// One life after the other, on one disk.
fn run(seed: u64, coverage: &Coverage) {
    let mut random = Random(seed);
    let disk = FaultyDisk::new(random.next());
    let mut model = Model::default();
    let mut old_index = None;
    for _ in 0..5 {
        disk.set_faults(Faults::default());
        // Starts that fail half way, and crashes after them.
        while random.below(2) == 0 {
            let rate = random.below(300) as u32;
            disk.set_faults(Faults {
                write_error_per_mille: rate,
                sync_error_per_mille: rate,
                ..Faults::default()
            });
            let opened = SegmentWriter::open(Arc::new(disk.clone()), OPTIONS, &mut |_, _, _| {});
            drop(opened);
            disk.set_faults(Faults::default());
            if random.below(2) == 0 {
                disk.crash();
            }
        }
        if random.below(2) == 0 {
            spoil_index(&disk, &mut random, &mut old_index);
        }
        let (writer, recovery, found) = open(&disk);
        coverage.by_index.fetch_add(recovery.segments_by_index.into(), Ordering::Relaxed);
        assert_eq!(recovery.damaged, [], "a crash damages nothing");
        model.check_found(&found);
        let mut life = Life::start(writer, &model);
        assert!(life.log.segments().is_sorted_by_key(|info| info.number));
        assert!(life.log.bytes() >= recovery.bytes);
        live(&mut life, &mut model, &disk, &mut random);
        disk.set_faults(Faults::default());
        coverage.reused.fetch_add(has_old_bytes(&life, &disk).into(), Ordering::Relaxed);
        if random.below(4) != 0 {
            disk.crash();
        }
    }
}

/// Whether anything but zeros stands behind all that may have been written to the last segment.
fn has_old_bytes(life: &Life, disk: &FaultyDisk) -> bool {
    let last = life.log.segments().pop().unwrap();
    let file = disk.open(&handles::name(last.number));
    let bytes = file.and_then(|file| crate::disk::read_all(&*file)).unwrap_or_default();
    bytes.iter().skip(last.size as usize).any(|byte| *byte != 0)
}

/// Takes an index away, or damages it, or puts another one in its place: an older one of the same
/// segment, if there is one, or that of another segment.
fn spoil_index(disk: &FaultyDisk, random: &mut Random, old: &mut Option<(String, Vec<u8>)>) {
    let mut names = disk.list().unwrap();
    names.retain(|name| index::segment_of(name).is_some());
    if names.is_empty() {
        return;
    }
    let name = names.swap_remove(random.below(names.len() as u64) as usize);
    let file = disk.open(&name).unwrap();
    let bytes = crate::disk::read_all(&*file).unwrap();
    let size = bytes.len() as u64;
    match random.below(5) {
        0 => disk.remove(&name).unwrap(),
        1 => file.set_size(random.below(size + 1)).unwrap(),
        2 if size > 0 => {
            disk.flip_bit(&name, random.below(size) as usize, random.below(8) as u32);
        }
        3 => *old = Some((name, bytes)),
        _ => {
            if let Some((old_name, bytes)) = old {
                let to = if random.below(2) == 0 { &name } else { old_name };
                disk.create(to).unwrap().write_at(0, bytes).unwrap();
            }
        }
    }
}

fn live(life: &mut Life, model: &mut Model, disk: &FaultyDisk, random: &mut Random) {
    let error_per_mille = if random.below(2) == 0 { 0 } else { random.below(80) as u32 };
    let faults = Faults {
        write_error_per_mille: error_per_mille,
        sync_error_per_mille: error_per_mille,
        read_error_per_mille: error_per_mille,
        space_max: (random.below(3) == 0).then(|| random.below(20_000)),
    };
    disk.set_faults(faults);
    for _ in 0..random.below(40) {
        match random.below(10) {
            0..4 => life.append(model, random),
            4..7 => match life.turn(model) {
                Turn::Trouble(_) => {
                    assert!(life.told.lock().unwrap().trouble > 0);
                    if random.below(3) == 0 {
                        disk.set_faults(Faults { space_max: None, ..faults });
                    }
                }
                Turn::Done | Turn::Idle => {}
            },
            7..9 => life.read(model, random),
            _ => life.remove(model, random),
        }
    }
    if random.below(3) == 0 {
        life.log.hasten();
        loop {
            match life.turn(model) {
                Turn::Done => {}
                Turn::Idle => break life.log.syncer().close(),
                Turn::Trouble(_) => break,
            }
        }
    }
}

fn is_in(entry: &Entry, found: &[Found]) -> bool {
    found.iter().any(|found| entry == found)
}

/// Says which seed it was.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SHUNT_STORAGE_SEED={}", self.0);
        }
    }
}

fn for_seeds(count: u64, run: impl Fn(u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (one, count) =
        (number("SHUNT_STORAGE_SEED"), number("SHUNT_STORAGE_SEEDS").unwrap_or(count));
    for seed in one.map_or(0..count, |seed| seed..seed + 1) {
        let _seed = Seed(seed);
        run(seed);
    }
}

#[test]
fn nothing_durable_is_lost_whatever_fails() {
    let coverage = Coverage::default();
    for_seeds(12_000, |seed| run(seed, &coverage));
    let one_alone = std::env::var_os("SHUNT_STORAGE_SEED").is_some();
    let Coverage { by_index, reused } = &coverage;
    let enough = by_index.load(Ordering::Relaxed) > 10_000 && reused.load(Ordering::Relaxed) > 500;
    assert!(enough || one_alone, "{coverage:?}");
}

#[test]
fn a_flipped_bit_hides_one_record_and_is_told() {
    for_seeds(2_000, |seed| {
        let mut random = Random(seed);
        let disk = FaultyDisk::new(random.next());
        let mut model = Model::default();
        let mut life = Life::start(open(&disk).0, &model);
        for _ in 0..2 + random.below(20) {
            life.append(&mut model, &mut random);
            life.turn(&mut model);
        }
        life.log.hasten();
        while let Turn::Done = life.turn(&mut model) {}
        life.log.syncer().close();

        let names = disk.list().unwrap();
        let name = &names[random.below(names.len() as u64) as usize];
        let size = disk.open(name).unwrap().size().unwrap();
        let offset = random.below(size) as usize;
        disk.flip_bit(name, offset, random.below(8) as u32);

        let (writer, recovery, found) = open(&disk);
        let missing: Vec<_> =
            model.entries.iter().filter(|entry| !is_in(entry, &found)).cloned().collect();
        assert!(missing.len() <= 1, "{missing:?}");
        assert_eq!(found.len() + missing.len(), model.entries.len());
        assert!(found.is_sorted_by_key(|entry| entry.at));
        let hit = |at: RecordPosition| {
            handles::name(at.segment) == *name
                && (at.offset..at.offset + at.size).contains(&(offset as u32))
        };
        assert!(missing.iter().all(|entry| hit(entry.at)));
        if let Some(Entry { at, .. }) = missing.first() {
            let damage = recovery.damaged.iter().find(|damage| damage.path.ends_with(name));
            assert_eq!(damage.unwrap().offset, u64::from(at.offset));
        }
        let is_told = recovery.cut_tail.is_some() || !recovery.damaged.is_empty();
        // A file made ahead is simply made again, a segment with an index is not looked at, and
        // an index is made anew.
        let is_index = index::segment_of(name).is_some();
        let not_looked_at = is_index || recovery.segments_by_index > 0;
        assert!(is_told || size == HEADER_SIZE as u64 || not_looked_at, "{name} {offset}");
        assert!(!is_index || (missing.is_empty() && !is_told));

        // It goes on, and says the same at the next start.
        let damaged = recovery.damaged;
        model.entries.retain(|entry| is_in(entry, &found));
        let mut life = Life::start(writer, &model);
        life.append(&mut model, &mut random);
        life.log.hasten();
        while let Turn::Done = life.turn(&mut model) {}
        for entry in &model.entries {
            match life.log.read(entry.at) {
                Ok(record) => assert!(entry.is(record.as_record_ref())),
                // Of a segment with an index.
                Err(ReadError::Damaged { offset, .. }) => {
                    assert!(hit(entry.at) && offset == u64::from(entry.at.offset));
                    assert!(!is_told);
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(missing.iter().all(|entry| life.log.read(entry.at).is_err()));
        life.log.syncer().close();
        let (_, recovery, found) = open(&disk);
        assert!(model.entries == found);
        let places = |damaged: &[Damage]| -> Vec<_> {
            damaged.iter().map(|damage| (damage.path.clone(), damage.offset)).collect()
        };
        assert_eq!(places(&recovery.damaged), places(&damaged));
    });
}
