//! The first bytes of each file of the log.
//!
//! ```text
//! header   magic 8 bytes | format version u32 | file number u64 | checksum u32 of these
//! ```
//! Little-endian. A whole header with another version is refused by that version's number.

use crate::recover::OpenError;

/// Bytes of a header.
pub(crate) const HEADER_SIZE: usize = 24;
/// The version that this build writes, and the only one that it reads.
pub(crate) const FORMAT_VERSION: u32 = 3;

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
pub(crate) fn encode(role: FileRole, number: u64) -> Vec<u8> {
    let mut bytes = role.magic().to_vec();
    bytes.extend(FORMAT_VERSION.to_le_bytes());
    bytes.extend(number.to_le_bytes());
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// Whether the bytes start with the header that the file should have. A whole header of another
/// version is an error: what follows it is not ours to read, let alone to cut.
pub(crate) fn check(
    role: FileRole,
    number: u64,
    bytes: &[u8],
    path: impl FnOnce() -> std::path::PathBuf,
) -> Result<bool, OpenError> {
    let Some(header) = bytes.first_chunk::<HEADER_SIZE>() else { return Ok(false) };
    let (content, checksum) = header.split_at(HEADER_SIZE - 4);
    let whole =
        crc32c::crc32c(content).to_le_bytes() == checksum && content.starts_with(role.magic());
    if !whole {
        return Ok(false);
    }
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if version != FORMAT_VERSION {
        return Err(OpenError::UnknownVersion { path: path(), version });
    }
    Ok(*header == *encode(role, number))
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
            "/data/1.log: written in format version 9, this shunt reads version 3"
        );
    }
}
