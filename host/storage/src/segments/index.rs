//! Indexes: what a start needs of a finished segment, in a small file beside it.
//!
//! ```text
//! index    header | part* | end
//! part     a record of kind 251; payload: entry*
//! entry    offset u32 | size u32 | kind u8 | head length u32 | head
//! end      a record of kind 250; payload: segment's size u64 | entries u64 | tail u32
//! ```
//! `tail` is the CRC-32C of the segment's last 4096 bytes, or of all of it. An index is a cache:
//! it is written part by part behind what of its segment is durable, and not synced. One that is
//! missing, or not whole, or of another segment than the one beside it, means that the segment is
//! read in full. A
//! segment with damage has none, so that its damage is told at each start.

use std::io;

use crate::disk::{Disk, DiskFile};
use crate::header::{self, FileRole, HEADER_SIZE};
use crate::record::{
    self, Found, KIND_INDEX_END, KIND_INDEX_PART, KIND_MAX, KIND_SEGMENT_END, RECORD_OVERHEAD,
    RECORD_SIZE_MAX,
};

/// Bytes of entries after which a part ends: what a start holds in memory, but for one entry.
const PART_SIZE: usize = if cfg!(test) { 100 } else { 256 * 1024 };
/// Bytes of an entry before its head.
const ENTRY_PREFIX_SIZE: usize = 13;
const END_PAYLOAD_SIZE: usize = 20;
const END_SIZE: usize = RECORD_OVERHEAD + END_PAYLOAD_SIZE;
/// Bytes at a segment's end that must be those that its index was made for.
const TAIL_SIZE: usize = if cfg!(test) { 64 } else { 4096 };

/// The name of a segment's index.
pub(super) fn name(segment: u32) -> String {
    FileRole::Index.file_name(u64::from(segment))
}

/// What an index says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) offset: u32,
    pub(super) size: u32,
    pub(super) kind: u8,
    pub(super) head: &'a [u8],
}

/// Collects a segment's index while the segment is written or read.
pub(crate) struct IndexBuilder {
    number: u64,
    /// The file, once a part was written to it, and how many bytes those are.
    file: Option<Box<dyn DiskFile>>,
    written: u64,
    /// What follows these bytes, so far.
    bytes: Vec<u8>,
    /// Entries of the part to come.
    part: Vec<u8>,
    entries: u64,
    size_max: u64,
    /// Whether the segment is to have no index.
    given_up: bool,
    ended: bool,
}

impl IndexBuilder {
    /// Nothing yet; at most as many bytes, beyond which there will be none.
    pub(crate) fn new(number: u32, size_max: u64) -> Self {
        Self {
            number: u64::from(number),
            file: None,
            written: 0,
            bytes: header::encode(FileRole::Index, u64::from(number)),
            part: Vec::new(),
            entries: 0,
            size_max,
            given_up: false,
            ended: false,
        }
    }

    /// Adds records that stand one after the other in the segment, from `offset` on.
    pub(crate) fn add_records(&mut self, bytes: &[u8], offset: u64) {
        let mut at = 0;
        while let Some((kind, payload, next)) = record::reread(bytes, at) {
            self.add_record((offset + at as u64) as u32, kind, payload);
            at = next;
        }
    }

    /// Adds a record.
    pub(super) fn add_record(&mut self, offset: u32, kind: u8, payload: &[u8]) {
        self.ended |= kind == KIND_SEGMENT_END;
        if kind > KIND_MAX || self.given_up {
            return;
        }
        let Some((head, _)) = record::split(kind, payload) else { return self.give_up() };
        let size = (RECORD_OVERHEAD + payload.len()) as u32;
        for number in [offset, size] {
            self.part.extend_from_slice(&number.to_le_bytes());
        }
        self.part.push(kind);
        self.part.extend_from_slice(&(head.len() as u32).to_le_bytes());
        self.part.extend_from_slice(head);
        self.entries += 1;
        if self.written + (self.bytes.len() + self.part.len()) as u64 > self.size_max {
            self.give_up();
        } else if self.part.len() >= PART_SIZE {
            self.end_part();
        }
    }

    /// The segment is to have no index: it is damaged, or the index would be too large.
    pub(super) fn give_up(&mut self) {
        self.given_up = true;
        self.file = None;
        self.bytes = Vec::new();
        self.part = Vec::new();
    }

    /// Writes the parts that are whole, so that they need not be held in memory. The segment must
    /// be durable as far as its records were added.
    pub(super) fn write_parts(&mut self, disk: &dyn Disk) {
        if self.bytes.len() >= PART_SIZE && self.write_out(disk).is_err() {
            self.give_up();
        }
    }

    fn write_out(&mut self, disk: &dyn Disk) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => disk.create(&FileRole::Index.file_name(self.number))?,
        };
        file.write_at(self.written, &self.bytes)?;
        self.file = Some(file);
        self.written += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }

    /// Whether the segment's end record was among the records.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Writes the index of a segment that has ended and is durable, if it is to have one. Not
    /// synced: what a crash leaves of it is no index.
    pub(super) fn write(
        mut self,
        disk: &dyn Disk,
        segment: &dyn DiskFile,
        size: u64,
    ) -> io::Result<()> {
        if self.end(size, tail(segment, size)?) {
            return self.write_out(disk);
        }
        if self.written > 0 {
            disk.remove(&FileRole::Index.file_name(self.number))?;
        }
        Ok(())
    }

    /// The index's bytes, if the segment is to have one and nothing of it was written.
    pub(crate) fn finish(mut self, size: u64, tail: u32) -> Option<Vec<u8>> {
        (self.end(size, tail) && self.written == 0).then_some(self.bytes)
    }

    /// Adds what comes last, if the segment is to have an index.
    fn end(&mut self, size: u64, tail: u32) -> bool {
        if self.given_up || !self.ended {
            return false;
        }
        if !self.part.is_empty() {
            self.end_part();
        }
        let mut end = [0; END_PAYLOAD_SIZE];
        end[..8].copy_from_slice(&size.to_le_bytes());
        end[8..16].copy_from_slice(&self.entries.to_le_bytes());
        end[16..].copy_from_slice(&tail.to_le_bytes());
        let offset = self.written + self.bytes.len() as u64;
        record::put(&mut self.bytes, self.number, offset, KIND_INDEX_END, &end);
        true
    }

    fn end_part(&mut self) {
        let offset = self.written + self.bytes.len() as u64;
        record::put(&mut self.bytes, self.number, offset, KIND_INDEX_PART, &self.part);
        self.part.clear();
    }
}

impl std::fmt::Debug for IndexBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IndexBuilder({}, {} entries)", self.number, self.entries)
    }
}

/// The checksum of a segment's last bytes.
pub(super) fn tail(segment: &dyn DiskFile, size: u64) -> io::Result<u32> {
    let mut bytes = [0; TAIL_SIZE];
    let length = size.min(TAIL_SIZE as u64);
    let read = segment.read_at(size - length, &mut bytes[..length as usize])?;
    Ok(crc32c::crc32c(&bytes[..read]))
}

/// As [`tail`], of a segment's bytes.
pub(crate) fn tail_of(segment: &[u8]) -> u32 {
    crc32c::crc32c(&segment[segment.len().saturating_sub(TAIL_SIZE)..])
}

/// Reads an index part by part.
pub(super) struct IndexReader {
    file: Box<dyn DiskFile>,
    number: u64,
    /// Where the next part starts, and where the last one ends.
    next: u64,
    end: u64,
    /// How many entries there are beyond the parts read so far.
    entries: u64,
    segment_size: u64,
    /// The offset behind the last record so far.
    reached: u64,
    buffer: Vec<u8>,
}

impl IndexReader {
    /// The index of a segment, if it has one that was made for it as it is now.
    pub(super) fn open(
        disk: &dyn Disk,
        number: u32,
        segment: &dyn DiskFile,
        segment_size: u64,
    ) -> Option<Self> {
        let name = name(number);
        let number = u64::from(number);
        let file = disk.open(&name).ok()?;
        let size = file.size().ok()?;
        let end = size.checked_sub(END_SIZE as u64).filter(|end| *end >= HEADER_SIZE as u64)?;
        let mut first = [0; HEADER_SIZE];
        file.read_at(0, &mut first).ok()?;
        // One of another version is as good as none, and is replaced.
        header::check(FileRole::Index, number, &first, || disk.path(&name)).ok()??;
        let mut last = [0; END_SIZE];
        file.read_at(end, &mut last).ok()?;
        let Found::Record { kind: KIND_INDEX_END, payload, .. } =
            record::read_rest(&last, number, usize::try_from(end).ok()?)
        else {
            return None;
        };
        let (size, rest) = payload.split_first_chunk::<8>()?;
        let (entries, expected) = rest.split_first_chunk::<8>()?;
        if u64::from_le_bytes(*size) != segment_size {
            return None;
        }
        let entries = u64::from_le_bytes(*entries);
        if tail(segment, segment_size).ok()?.to_le_bytes() != *expected {
            return None;
        }
        Some(Self {
            file,
            number,
            next: HEADER_SIZE as u64,
            end,
            entries,
            segment_size,
            reached: HEADER_SIZE as u64,
            buffer: Vec::new(),
        })
    }

    /// Hands out the entries of the next part. Ok(false) behind the last one; an error for a part
    /// that is damaged, of which nothing was handed out.
    pub(super) fn next_part(
        &mut self,
        each: &mut dyn FnMut(Entry<'_>),
    ) -> Result<bool, IndexDamaged> {
        if self.next == self.end {
            return if self.entries == 0 { Ok(false) } else { Err(IndexDamaged) };
        }
        let mut length = [0; 4];
        self.fill(self.next, &mut length)?;
        let size = u64::from(u32::from_le_bytes(length)) + RECORD_OVERHEAD as u64 - 1;
        if size > self.end - self.next || size > (RECORD_SIZE_MAX + RECORD_OVERHEAD) as u64 {
            return Err(IndexDamaged);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(size as usize, 0);
        self.fill(self.next, &mut buffer)?;
        let offset = usize::try_from(self.next).map_err(|_| IndexDamaged)?;
        match record::read_rest(&buffer, self.number, offset) {
            Found::Record { kind: KIND_INDEX_PART, payload, .. } => {
                let (count, reached) = self.checked(payload).ok_or(IndexDamaged)?;
                entries(payload).flatten().for_each(each);
                self.entries -= count;
                self.reached = reached;
            }
            _ => return Err(IndexDamaged),
        }
        self.next += size;
        self.buffer = buffer;
        Ok(true)
    }

    /// How many entries a part has, and where the last record ends, if all of it makes sense.
    fn checked(&self, part: &[u8]) -> Option<(u64, u64)> {
        let (mut count, mut reached) = (0, self.reached);
        for entry in entries(part) {
            let Entry { offset, size, kind, head } = entry?;
            let end = u64::from(offset) + u64::from(size);
            let fits = u64::from(offset) >= reached && end <= self.segment_size;
            if !fits || kind > KIND_MAX || head.len() + RECORD_OVERHEAD > size as usize {
                return None;
            }
            (count, reached) = (count + 1, end);
        }
        (count <= self.entries).then_some((count, reached))
    }

    /// The offset behind the last record that was handed out.
    pub(super) fn reached(&self) -> u64 {
        self.reached
    }

    fn fill(&self, offset: u64, bytes: &mut [u8]) -> Result<(), IndexDamaged> {
        match self.file.read_at(offset, bytes) {
            Ok(read) if read == bytes.len() => Ok(()),
            _ => Err(IndexDamaged),
        }
    }
}

/// An index can't be read any further.
#[derive(Debug)]
pub(super) struct IndexDamaged;

/// The entries of a part; None for what is none, which ends it.
fn entries(part: &[u8]) -> impl Iterator<Item = Option<Entry<'_>>> {
    let mut rest = part;
    std::iter::from_fn(move || {
        (!rest.is_empty()).then(|| {
            let entry = take_entry(&mut rest);
            rest = if entry.is_some() { rest } else { &[] };
            entry
        })
    })
}

fn take_entry<'a>(rest: &mut &'a [u8]) -> Option<Entry<'a>> {
    let (prefix, heads) = rest.split_first_chunk::<ENTRY_PREFIX_SIZE>()?;
    let [o0, o1, o2, o3, s0, s1, s2, s3, kind, h0, h1, h2, h3] = *prefix;
    let length = u32::from_le_bytes([h0, h1, h2, h3]) as usize;
    let (head, next) = heads.split_at_checked(length)?;
    *rest = next;
    Some(Entry {
        offset: u32::from_le_bytes([o0, o1, o2, o3]),
        size: u32::from_le_bytes([s0, s1, s2, s3]),
        kind,
        head,
    })
}

/// The segment whose index has that name.
pub(super) fn segment_of(index: &str) -> Option<u32> {
    FileRole::Index.number(index).and_then(|number| u32::try_from(number).ok())
}

/// Takes a segment's index away, if it has one. Best effort: without its segment it is taken away
/// at the next start.
pub(crate) fn remove(disk: &dyn Disk, segment: u32) {
    let _ = disk.remove(&name(segment));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::FaultyDisk;
    use crate::record::{KIND_BATCH, SPLIT_KIND_MIN};
    use crate::segments::handles;

    const NUMBER: u32 = 7;

    type Records = Vec<(u8, Vec<u8>)>;

    /// A segment's file with these records, and where each of them stands.
    fn segment(disk: &FaultyDisk, records: &Records) -> (u64, Vec<u32>) {
        let mut bytes = header::encode(FileRole::Segment, NUMBER.into());
        let mut offsets = Vec::new();
        let own = [(KIND_BATCH, vec![])].into_iter();
        for (kind, payload) in
            own.chain(records.iter().cloned()).chain([(KIND_SEGMENT_END, vec![])])
        {
            let offset = bytes.len() as u64;
            offsets.push(offset as u32);
            record::put(&mut bytes, NUMBER.into(), offset, kind, &payload);
        }
        let name = handles::name(NUMBER);
        disk.create(&name).unwrap().write_at(0, &bytes).unwrap();
        offsets.pop();
        (bytes.len() as u64, offsets.split_off(1))
    }

    fn build(disk: &FaultyDisk, size: u64) {
        let file = disk.open(&handles::name(NUMBER)).unwrap();
        let bytes = crate::disk::read_all(&*file).unwrap();
        let mut builder = IndexBuilder::new(NUMBER, 1 << 20);
        // One by one, as a writer does with groups.
        let mut at = HEADER_SIZE;
        while let Some((kind, payload, next)) = record::reread(&bytes, at) {
            builder.add_record(at as u32, kind, payload);
            builder.write_parts(disk);
            assert!(builder.bytes.len() < PART_SIZE, "held in memory");
            at = next;
        }
        builder.write(disk, &*file, size).unwrap();
    }

    type Read = Vec<(u32, u32, u8, Vec<u8>)>;

    /// What the index says, and whether it says so to its end; None where there is none.
    fn read(disk: &FaultyDisk, size: u64) -> Option<(Read, bool)> {
        let file = disk.open(&handles::name(NUMBER)).unwrap();
        let mut reader = IndexReader::open(disk, NUMBER, &*file, size)?;
        let mut found = Vec::new();
        loop {
            let mut each = |entry: Entry<'_>| {
                found.push((entry.offset, entry.size, entry.kind, entry.head.to_vec()));
            };
            match reader.next_part(&mut each) {
                Ok(true) => {}
                Ok(false) => return Some((found, true)),
                Err(IndexDamaged) => return Some((found, false)),
            }
        }
    }

    fn records() -> impl Strategy<Value = Records> {
        let plain = (0..SPLIT_KIND_MIN, prop::collection::vec(any::<u8>(), 0..60));
        let split = (SPLIT_KIND_MIN..=KIND_MAX, prop::collection::vec(any::<u8>(), 0..60))
            .prop_flat_map(|(kind, rest)| (Just(kind), 0..=rest.len(), Just(rest)))
            .prop_map(|(kind, head, rest)| {
                (kind, [&(head as u32).to_le_bytes()[..], &rest].concat())
            });
        prop::collection::vec(prop_oneof![plain, split], 0..30)
    }

    fn expected(records: &Records, offsets: &[u32]) -> Read {
        let entry = |((kind, payload), offset): (&(u8, Vec<u8>), &u32)| {
            let (head, _) = record::split(*kind, payload).unwrap();
            (*offset, (RECORD_OVERHEAD + payload.len()) as u32, *kind, head.to_vec())
        };
        records.iter().zip(offsets).map(entry).collect()
    }

    proptest! {
        #[test]
        fn an_index_says_what_its_segment_does(records in records()) {
            let disk = FaultyDisk::new(1);
            let (size, offsets) = segment(&disk, &records);
            prop_assert_eq!(read(&disk, size), None);
            build(&disk, size);
            prop_assert_eq!(read(&disk, size), Some((expected(&records, &offsets), true)));
            // The segment has grown, or its end is another one.
            prop_assert_eq!(read(&disk, size + 1), None);
            disk.flip_bit(&handles::name(NUMBER), size as usize - 1, 0);
            prop_assert_eq!(read(&disk, size), None);
        }

        #[test]
        fn a_flipped_bit_or_a_cut_is_noticed(
            records in records(),
            at in any::<prop::sample::Index>(),
            cut in any::<bool>(),
        ) {
            let disk = FaultyDisk::new(1);
            let (size, offsets) = segment(&disk, &records);
            build(&disk, size);
            let index = disk.open(&name(NUMBER)).unwrap();
            let index_size = index.size().unwrap() as usize;
            if cut {
                index.set_size(at.index(index_size) as u64).unwrap();
            } else {
                let bit = at.index(index_size * 8);
                disk.flip_bit(&name(NUMBER), bit / 8, (bit % 8) as u32);
            }
            let expected = expected(&records, &offsets);
            if let Some((found, whole)) = read(&disk, size) {
                prop_assert!(!whole && !cut);
                prop_assert!(expected.starts_with(&found));
            }
        }

        #[test]
        fn hostile_parts_are_read_without_panic(part in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(entries(&part).count() <= part.len());
        }
    }

    #[test]
    fn an_index_that_would_be_too_large_is_none() {
        let disk = FaultyDisk::new(1);
        let (size, _) = segment(&disk, &vec![(1, vec![0; 100])]);
        let file = disk.open(&handles::name(NUMBER)).unwrap();
        let bytes = crate::disk::read_all(&*file).unwrap();
        let mut builder = IndexBuilder::new(NUMBER, 130);
        builder.add_records(&bytes[HEADER_SIZE..], HEADER_SIZE as u64);
        assert!(builder.is_ended());
        builder.write(&disk, &*file, size).unwrap();
        assert_eq!(read(&disk, size), None);
    }
}
