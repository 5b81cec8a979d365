//! The functions that a component may import from `shunt:route`.

use wasmtime::component::HasSelf;

use super::Linker;
use super::contract::shunt::route::{clock, host, random, types};
use crate::guest::Guest;
use crate::log::LogLevel;

/// Links what this version serves. What needs a capability is linked for all: a component that
/// may not have it was refused at deploy.
pub(super) fn link(linker: &mut Linker) -> wasmtime::Result<()> {
    host::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    clock::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    random::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    Ok(())
}

impl types::Host for Guest {}

impl host::Host for Guest {
    fn log(&mut self, level: host::Level, text: String) {
        let level = match level {
            host::Level::Trace => LogLevel::Trace,
            host::Level::Debug => LogLevel::Debug,
            host::Level::Info => LogLevel::Info,
            host::Level::Warn => LogLevel::Warn,
            host::Level::Error => LogLevel::Error,
        };
        self.log.write(level, text.as_bytes());
    }
}

impl clock::Host for Guest {
    fn now_ms(&mut self) -> i64 {
        Guest::now_ms(self) as i64
    }
}

impl random::Host for Guest {
    fn random(&mut self) -> u64 {
        self.next_random()
    }
}
