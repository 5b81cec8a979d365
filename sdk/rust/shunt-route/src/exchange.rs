//! The exchange that an instance serves.

use crate::cursor::{Cursor, Malformed};
use crate::value::{Table, Value};

/// The exchange that an instance serves, as it was declared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exchange<'a> {
    /// Its name.
    pub name: &'a str,
    /// The virtual host in which it is.
    pub vhost: &'a str,
    /// Its arguments, the broker's own (`x-route`, `x-on-failure`) among them.
    pub arguments: Table<'a>,
}

impl<'a> Exchange<'a> {
    pub(crate) fn parse(input: &'a [u8]) -> Result<Self, Malformed> {
        let table = Cursor::new(input).read_table()?;
        let Value::Text(name) = table.get("exchange") else {
            return Err(Malformed);
        };
        let Value::Text(vhost) = table.get("vhost") else {
            return Err(Malformed);
        };
        let Value::Table(arguments) = table.get("arguments") else {
            return Err(Malformed);
        };
        Ok(Self { name, vhost, arguments })
    }
}
