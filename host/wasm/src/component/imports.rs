//! The functions that a component may import from `shunt:route`.

use wasmtime::component::HasSelf;

use super::Linker;
use super::contract::shunt::route::{clock, host, load, random, state, types};
use crate::guest::Guest;
use crate::log::LogLevel;

/// Links what this version serves. What needs a capability is linked for all: a component that
/// may not have it was refused at deploy.
pub(super) fn link(linker: &mut Linker) -> wasmtime::Result<()> {
    host::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    clock::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    random::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    load::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    state::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
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
        self.has_logged = true;
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

impl load::Host for Guest {
    fn of(&mut self, binding: u32) -> Option<load::QueueLoad> {
        self.load(binding).map(|load| load::QueueLoad {
            ready: load.ready,
            unacked: load.unacked,
            consumers: load.consumers,
        })
    }
}

impl state::Host for Guest {
    fn get(&mut self, key: Vec<u8>) -> Option<Vec<u8>> {
        self.state.get(&key).map(|value| value.to_vec())
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), ()> {
        if self.put_state(&key, &value) { Ok(()) } else { Err(()) }
    }
}
