//! Sets of versions: `3`, `"1-3"`, `"5+"`, or an array of such.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use shunt_route::{Refusal, Value};

pub(crate) struct Versions(Vec<RangeInclusive<u32>>);

impl Versions {
    pub(crate) fn parse(value: Value<'_>) -> Result<Self, Refusal> {
        let ranges = match value {
            Value::Array(values) => values.iter().map(range).collect(),
            value => range(value).map(|range| Vec::from([range])),
        };
        match ranges {
            Some(ranges) if !ranges.is_empty() => Ok(Self(ranges)),
            _ => Err("versions are like 3, \"1-3\" or \"5+\", or an array of such".into()),
        }
    }

    pub(crate) fn contains(&self, version: u32) -> bool {
        self.0.iter().any(|range| range.contains(&version))
    }
}

fn range(value: Value<'_>) -> Option<RangeInclusive<u32>> {
    let range = match value {
        Value::Integer(version) => {
            let version = version.try_into().ok()?;
            version..=version
        }
        Value::Text(text) => {
            if let Some(first) = text.strip_suffix('+') {
                first.parse().ok()?..=u32::MAX
            } else if let Some((first, last)) = text.split_once('-') {
                first.parse().ok()?..=last.parse().ok()?
            } else {
                let version = text.parse().ok()?;
                version..=version
            }
        }
        _ => return None,
    };
    (!range.is_empty()).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::{Value, Versions, range};

    #[test]
    fn forms() {
        assert_eq!(range(Value::Integer(3)), Some(3..=3));
        assert_eq!(range(Value::Text("3")), Some(3..=3));
        assert_eq!(range(Value::Text("1-3")), Some(1..=3));
        assert_eq!(range(Value::Text("5+")), Some(5..=u32::MAX));
    }

    #[test]
    fn what_is_no_version() {
        for text in ["", "+", "-", "3-1", "-3", "1-2-3", "v1", "1.0"] {
            assert_eq!(range(Value::Text(text)), None, "{text}");
        }
        assert_eq!(range(Value::Integer(-1)), None);
        assert!(Versions::parse(Value::Absent).is_err());
    }
}
