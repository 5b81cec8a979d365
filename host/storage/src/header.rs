//! The first bytes of each file of the log.
//!
//! ```text
//! header   magic 8 bytes | format version u32 | file id u64 | checksum u32 of these
//! ```
//! Little-endian. The id is the file's number; that of a segment has the [salt](crate::salt) in its
//! upper half. A whole header with another version is refused by that version's number.

use crate::recover::OpenError;

/// Bytes of a header.
pub(crate) const HEADER_SIZE: usize = 24;
/// The version of segments with a salt.
pub(crate) const SALTED_VERSION: u32 = 4;
/// The version of all other files, and of segments from before there were salts.
pub(crate) const UNSALTED_VERSION: u32 = 3;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileRole {
    /// Batches of records.
    Log,
    /// All that the log files before it said.
    Snapshot,
    /// A part of the segment log: batches of records.
    Segment,
    /// What a start needs of the segment of the same number.
    Index,
}

impl FileRole {
    fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Log => b"shuntlog",
            Self::Snapshot => b"shuntsnp",
            Self::Segment => b"shuntseg",
            Self::Index => b"shuntidx",
        }
    }

    /// The version that this build writes.
    fn version(self) -> u32 {
        if self == Self::Segment { SALTED_VERSION } else { UNSALTED_VERSION }
    }

    /// The number of the file with that id.
    pub(crate) fn number_of(self, id: u64) -> u64 {
        if self == Self::Segment { u64::from(id as u32) } else { id }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Snapshot => "snapshot",
            Self::Segment => "segment",
            Self::Index => "index",
        }
    }

    /// The name of the file with that number; names sort as numbers do.
    pub(crate) fn file_name(self, number: u64) -> String {
        format!("{number:020}.{}", self.extension())
    }

    /// The number of a file of this role; None for any other name.
    pub(crate) fn number(self, name: &str) -> Option<u64> {
        let digits = name.strip_suffix(self.extension())?.strip_suffix('.')?;
        let number = digits.parse().ok()?;
        (self.file_name(number) == name).then_some(number)
    }
}

/// The header of a file.
pub(crate) fn encode(role: FileRole, id: u64) -> Vec<u8> {
    let mut bytes = role.magic().to_vec();
    bytes.extend(role.version().to_le_bytes());
    bytes.extend(id.to_le_bytes());
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// The file's id, if the bytes start with the header that the file of that number should have. A
/// whole header of another version is an error: what follows it is not ours to read, let alone to
/// cut.
pub(crate) fn check(
    role: FileRole,
    number: u64,
    bytes: &[u8],
    path: impl FnOnce() -> std::path::PathBuf,
) -> Result<Option<u64>, OpenError> {
    let Some(header) = bytes.first_chunk::<HEADER_SIZE>() else { return Ok(None) };
    let (content, checksum) = header.split_at(HEADER_SIZE - 4);
    let whole =
        crc32c::crc32c(content).to_le_bytes() == checksum && content.starts_with(role.magic());
    if !whole {
        return Ok(None);
    }
    let [.., v0, v1, v2, v3, i0, i1, i2, i3, i4, i5, i6, i7, _, _, _, _] = *header;
    let version = u32::from_le_bytes([v0, v1, v2, v3]);
    if version != role.version() && version != UNSALTED_VERSION {
        return Err(OpenError::UnknownVersion { path: path(), version });
    }
    let id = u64::from_le_bytes([i0, i1, i2, i3, i4, i5, i6, i7]);
    Ok((role.number_of(id) == number).then_some(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_one_to_one() {
        let name = FileRole::Log.file_name(12);
        assert_eq!(name, "00000000000000000012.log");
        assert_eq!(FileRole::Log.number(&name), Some(12));
        for other in ["12.log", "00000000000000000012.snapshot", "x.log", ".log", "LOCK"] {
            assert_eq!(FileRole::Log.number(other), None, "{other}");
        }
    }

    #[test]
    fn an_unknown_version_is_refused_by_name() {
        let mut bytes = encode(FileRole::Log, 1);
        bytes[8] = 9;
        let checksum = crc32c::crc32c(&bytes[..20]).to_le_bytes();
        bytes[20..].copy_from_slice(&checksum);
        let error = check(FileRole::Log, 1, &bytes, || "/data/1.log".into()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/data/1.log: written in format version 9, this shunt reads versions 3 and 4"
        );
    }

    #[test]
    fn a_segments_id_has_its_salt() {
        let check = |role, number, bytes: &[u8]| check(role, number, bytes, || "x".into()).unwrap();
        let id = (5 << 32) | 7;
        assert_eq!(check(FileRole::Segment, 7, &encode(FileRole::Segment, id)), Some(id));
        assert_eq!(check(FileRole::Segment, 8, &encode(FileRole::Segment, id)), None);
        assert_eq!(check(FileRole::Log, 7, &encode(FileRole::Log, id)), None);
        // A segment from before there were salts.
        let mut old = encode(FileRole::Segment, 7);
        old[8] = UNSALTED_VERSION as u8;
        let checksum = crc32c::crc32c(&old[..20]).to_le_bytes();
        old[20..].copy_from_slice(&checksum);
        assert_eq!(check(FileRole::Segment, 7, &old), Some(7));
    }
}
