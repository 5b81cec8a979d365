//! Records that go into a log together, in the form in which they will stand on disk.

use crate::record::{self, KIND_MAX, RECORD_OVERHEAD, RECORD_SIZE_MAX, SPLIT_KIND_MIN};

/// Why records were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The log has failed, see [`SyncOutcome::Failed`](crate::SyncOutcome::Failed).
    #[error("the log has failed and takes nothing more")]
    Failed,
    /// A kind above [`KIND_MAX`].
    #[error("record kinds end at {KIND_MAX}, {0} is the log's own")]
    ReservedKind(u8),
    /// A head and a body for a kind below [`SPLIT_KIND_MIN`].
    #[error("records of kind {0} are not split, only those from {SPLIT_KIND_MIN} on are")]
    NotSplit(u8),
    /// More bytes than a record may have.
    #[error("a record of {0} bytes, at most {RECORD_SIZE_MAX} are allowed")]
    TooLarge(usize),
    /// More bytes than fit into one file, whose offsets have 32 bits.
    #[error("a batch of {0} bytes is larger than a segment can be")]
    BatchTooLarge(usize),
}

/// Records to be written with one write and one sync. Their bytes are copied and checksummed
/// here, once, by whoever fills the batch; the log only completes the checksums with the place.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Unplaced records, one after the other.
    bytes: Vec<u8>,
    /// Bytes of each record on disk.
    sizes: Vec<u32>,
    /// The first record that was none; the log answers it.
    refused: Option<AppendError>,
}

impl Batch {
    /// Adds a record; one of a split kind has no body then. One of a reserved kind, or too large,
    /// makes the log refuse the batch.
    pub fn push(&mut self, kind: u8, payload: &[u8]) {
        self.push_parts(kind, &[payload]);
    }

    /// Adds a record whose payload is the parts, one after the other.
    pub fn push_parts(&mut self, kind: u8, parts: &[&[u8]]) {
        if record::is_split(kind) {
            self.push_split(kind, parts, &[]);
        } else {
            self.put(kind, parts.iter().copied());
        }
    }

    /// Adds a record of a split kind; head and body are their parts, one after the other. A start
    /// hands out the head alone, so that whatever a start must know belongs there.
    pub fn push_split(&mut self, kind: u8, head: &[&[u8]], body: &[&[u8]]) {
        if kind < SPLIT_KIND_MIN {
            self.refused.get_or_insert(AppendError::NotSplit(kind));
            return;
        }
        let head_size: usize = head.iter().map(|part| part.len()).sum();
        // One that is cut off here is larger than a record may be, and refused.
        let length = u32::try_from(head_size).unwrap_or(u32::MAX).to_le_bytes();
        self.put(kind, std::iter::once(&length[..]).chain(head.iter().chain(body).copied()));
    }

    fn put<'a>(&mut self, kind: u8, parts: impl Iterator<Item = &'a [u8]> + Clone) {
        let size = parts.clone().map(<[u8]>::len).sum();
        if let Err(error) = check_record(kind, size) {
            self.refused.get_or_insert(error);
            return;
        }
        record::put_unplaced_parts(&mut self.bytes, kind, parts);
        self.sizes.push((RECORD_OVERHEAD + size) as u32);
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Bytes of all records on disk.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that it has room for without more memory.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Takes all records out; the memory stays for the next ones.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.sizes.clear();
        self.refused = None;
    }

    /// Whether all that was pushed may be a record.
    pub(crate) fn check(&self) -> Result<(), AppendError> {
        self.refused.map_or(Ok(()), Err)
    }

    /// The records, unplaced.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the records' bytes; the batch goes on with an empty buffer.
    pub(crate) fn take_bytes(&mut self, buffer: Vec<u8>) -> Vec<u8> {
        std::mem::replace(&mut self.bytes, buffer)
    }

    /// Bytes of each record on disk.
    pub(crate) fn sizes(&self) -> &[u32] {
        &self.sizes
    }
}

/// Whether a caller's record may be one.
pub(crate) fn check_record(kind: u8, payload_size: usize) -> Result<(), AppendError> {
    if kind > KIND_MAX {
        return Err(AppendError::ReservedKind(kind));
    }
    if payload_size >= RECORD_SIZE_MAX {
        return Err(AppendError::TooLarge(payload_size));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_record_that_their_sum_makes() {
        let (mut whole, mut parts) = (Batch::default(), Batch::default());
        whole.push(3, b"header and body");
        parts.push_parts(3, &[b"header", b" and ", b"", b"body"]);
        assert_eq!(whole.bytes(), parts.bytes());
        assert_eq!(whole.sizes(), [RECORD_OVERHEAD as u32 + 15]);
        whole.clear();
        assert!(whole.is_empty() && whole.size() == 0);
    }

    #[test]
    fn a_split_record_says_how_long_its_head_is() {
        let (mut split, mut plain) = (Batch::default(), Batch::default());
        split.push_split(SPLIT_KIND_MIN, &[b"he", b"ad"], &[b"bo", b"dy"]);
        record::put_unplaced(&mut plain.bytes, SPLIT_KIND_MIN, &[b"\x04\0\0\0headbody"]);
        assert_eq!(split.bytes(), plain.bytes());
        assert_eq!(split.sizes(), [RECORD_OVERHEAD as u32 + 12]);
        let (mut split, mut plain) = (Batch::default(), Batch::default());
        split.push_split(KIND_MAX, &[b"head"], &[]);
        plain.push(KIND_MAX, b"head");
        assert_eq!(split.bytes(), plain.bytes());
        split.push_split(SPLIT_KIND_MIN - 1, &[b"head"], &[]);
        assert_eq!(split.check(), Err(AppendError::NotSplit(SPLIT_KIND_MIN - 1)));
    }

    #[test]
    fn what_is_no_record_spoils_the_batch_until_it_is_cleared() {
        let mut batch = Batch::default();
        batch.push(1, b"x");
        batch.push(KIND_MAX + 1, b"x");
        batch.push(1, &vec![0; RECORD_SIZE_MAX]);
        assert_eq!(batch.len(), 1);
        assert_eq!(batch.check(), Err(AppendError::ReservedKind(KIND_MAX + 1)));
        batch.clear();
        assert_eq!(batch.check(), Ok(()));
    }
}
