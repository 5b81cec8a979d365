//! What a module says about itself.

use crate::capability::{Capabilities, Capability};
use crate::error::DeployError;
use crate::fields::Field;
use crate::limits::READS_MAX;
use crate::msgpack::{ReadError, Reader, Token};

/// What a module is, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) reads: Vec<Field>,
    pub(crate) wants: Capabilities,
}

impl Description {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, DeployError> {
        let mut reader = Reader::new(bytes);
        let Token::Map(fields) = reader.next().map_err(unreadable)? else {
            return Err(invalid("it is no map"));
        };
        let (mut name, mut version, mut reads, mut wants) = (None, None, None, None);
        for _ in 0..fields {
            let Token::Text(key) = reader.next().map_err(unreadable)? else {
                return Err(invalid("a key is no string"));
            };
            match key {
                "name" => name = Some(text(&mut reader, "name")?),
                "version" => version = Some(text(&mut reader, "version")?),
                "reads" => reads = Some(texts(&mut reader, "reads")?),
                "wants" => wants = Some(texts(&mut reader, "wants")?),
                // Later versions of the contract may say more.
                _ => reader.skip().map_err(unreadable)?,
            }
        }
        let missing = |key: &str| invalid(format!("'{key}' is missing"));
        Self::new(
            name.ok_or_else(|| missing("name"))?,
            version.ok_or_else(|| missing("version"))?,
            &reads.ok_or_else(|| missing("reads"))?,
            &wants.ok_or_else(|| missing("wants"))?,
        )
    }

    /// Checks the names of fields and capabilities.
    pub(crate) fn new(
        name: &str,
        version: &str,
        reads: &[&str],
        wants: &[&str],
    ) -> Result<Self, DeployError> {
        Ok(Self {
            name: name.to_owned(),
            version: version.to_owned(),
            reads: parse_reads(reads)?,
            wants: parse_wants(wants)?,
        })
    }
}

fn parse_reads(names: &[&str]) -> Result<Vec<Field>, DeployError> {
    check_count("reads", names.len())?;
    let unknown: Vec<_> =
        names.iter().filter(|name| Field::parse(name).is_none()).map(|&name| name.into()).collect();
    if !unknown.is_empty() {
        return Err(DeployError::UnknownFields(unknown));
    }
    Ok(names.iter().filter_map(|name| Field::parse(name)).collect())
}

fn parse_wants(names: &[&str]) -> Result<Capabilities, DeployError> {
    names
        .iter()
        .map(|&name| {
            Capability::parse(name).ok_or_else(|| DeployError::UnknownCapability(name.into()))
        })
        .collect()
}

fn text<'a>(reader: &mut Reader<'a>, key: &str) -> Result<&'a str, DeployError> {
    match reader.next().map_err(unreadable)? {
        Token::Text(text) => Ok(text),
        _ => Err(invalid(format!("'{key}' is no string"))),
    }
}

fn texts<'a>(reader: &mut Reader<'a>, key: &str) -> Result<Vec<&'a str>, DeployError> {
    let Token::Array(items) = reader.next().map_err(unreadable)? else {
        return Err(invalid(format!("'{key}' is no array")));
    };
    check_count(key, items as usize)?;
    (0..items).map(|_| text(reader, key)).collect()
}

fn check_count(key: &str, items: usize) -> Result<(), DeployError> {
    if items > READS_MAX {
        return Err(invalid(format!("'{key}' has {items} entries, at most {READS_MAX} fit")));
    }
    Ok(())
}

fn invalid(reason: impl Into<String>) -> DeployError {
    DeployError::Description(reason.into())
}

fn unreadable(error: ReadError) -> DeployError {
    invalid(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(bytes: &[u8], text: &str) {
        let error = Description::read(bytes).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }

    #[test]
    fn a_description_is_read_in_any_order_and_knows_unknown_keys() {
        let bytes = b"\x85\xa1x\x91\x80\xa5wants\x91\xa5clock\xa4name\xa1n\
            \xa7version\xa11\xa5reads\x92\xabrouting_key\xaeheaders.region";
        let description = Description::read(bytes).unwrap();
        assert_eq!(description.name, "n");
        assert_eq!(description.version, "1");
        assert_eq!(description.reads, [Field::RoutingKey, Field::Header("region".into())]);
        assert!(description.wants.contains(Capability::Clock));
    }

    #[test]
    fn a_bad_description_is_refused_by_name() {
        check_refused(b"", "ends in the middle");
        check_refused(b"\x90", "no map");
        check_refused(b"\x80", "'name' is missing");
        check_refused(b"\x81\xa4name\x01", "'name' is no string");
        check_refused(b"\x81\xa5reads\xdd\xff\xff\xff\xff", "4294967295 entries");
        let start = b"\x84\xa4name\xa1n\xa7version\xa11".to_vec();
        check_refused(&[&start[..], b"\xa5wants\x90\xa5reads\x91\xa4body"].concat(), "'body'");
        check_refused(&[&start[..], b"\xa5wants\x91\xa4disk\xa5reads\x90"].concat(), "'disk'");
    }
}
