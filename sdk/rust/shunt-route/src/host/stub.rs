//! The host as a test sets it up, one for each thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::string::String;
use std::vec::Vec;

use super::{Level, Load};
use crate::binding::BindingIndex;
use crate::hash::stable_hash_with;

/// What the functions of [`host`](crate::host) answer in a test, and what they were told.
#[derive(Debug, Default)]
pub struct HostStub {
    /// What `now_ms` answers.
    pub now_ms: i64,
    /// Where the sequence of `random` starts; it moves on by itself.
    pub seed: u64,
    /// What `queue_load` answers; what is not here is no queue.
    pub load: HashMap<(BindingIndex, Load), u64>,
    /// What `state_get` answers and `state_put` changes.
    pub state: HashMap<Vec<u8>, Vec<u8>>,
    /// Most bytes of keys and values that `state_put` takes; `None` is without a limit.
    pub state_length_max: Option<usize>,
    /// The lines that were logged.
    pub log: Vec<(Level, String)>,
}

impl HostStub {
    /// Reads or changes this thread's host.
    pub fn with<T>(change: impl FnOnce(&mut HostStub) -> T) -> T {
        HOST.with_borrow_mut(change)
    }

    fn state_length(&self) -> usize {
        let pairs = self.state.iter();
        pairs.map(|(key, value)| key.len() + value.len()).sum()
    }
}

thread_local! {
    static HOST: RefCell<HostStub> = RefCell::default();
}

const LEVELS: [Level; 5] = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error];
const LOADS: [Load; 3] = [Load::Ready, Load::Unacked, Load::Consumers];

pub(super) fn log(level: i32, text: &str) {
    HostStub::with(|host| host.log.push((LEVELS[level as usize], text.into())));
}

pub(super) fn now_ms() -> i64 {
    HostStub::with(|host| host.now_ms)
}

pub(super) fn random() -> i64 {
    HostStub::with(|host| {
        host.seed += 1;
        stable_hash_with(host.seed, &[]).cast_signed()
    })
}

pub(super) fn queue_load(index: i32, what: i32) -> i64 {
    let asked = (BindingIndex(index.cast_unsigned()), LOADS[what as usize]);
    HostStub::with(|host| host.load.get(&asked).map_or(-1, |load| *load as i64))
}

pub(super) fn state_get(key: &[u8], value: &mut [u8]) -> i32 {
    HostStub::with(|host| {
        let Some(kept) = host.state.get(key) else {
            return -1;
        };
        if let Some(room) = value.get_mut(..kept.len()) {
            room.copy_from_slice(kept);
        }
        kept.len() as i32
    })
}

pub(super) fn state_put(key: &[u8], value: &[u8]) -> i32 {
    HostStub::with(|host| {
        let replaced = host.state.remove(key);
        if value.is_empty() {
            return 0;
        }
        let length = host.state_length() + key.len() + value.len();
        if host.state_length_max.is_some_and(|max| length > max) {
            host.state.extend(replaced.map(|old| (key.to_vec(), old)));
            return -1;
        }
        host.state.insert(key.to_vec(), value.to_vec());
        0
    })
}
