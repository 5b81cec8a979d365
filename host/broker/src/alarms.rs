//! Alarms: while one is on, publishers wait and consumers go on, so that memory and disk are not
//! used up (RabbitMQ, "memory and disk alarms").

use std::sync::atomic::{AtomicBool, Ordering};

/// The alarms of the node.
#[derive(Debug, Default)]
pub struct Alarms {
    memory: AtomicBool,
    disk: AtomicBool,
    /// The log could not write for want of space.
    log: AtomicBool,
    /// An operator wants publishers to wait.
    operator: AtomicBool,
}

impl Alarms {
    /// Why publishers have to wait, in RabbitMQ's words; nothing while no alarm is on.
    pub fn reason(&self) -> Option<&'static str> {
        match (self.is_low_on_memory(), self.is_low_on_disk()) {
            (false, false) if self.is_held_by_operator() => Some("held by the operator"),
            (false, false) => None,
            (true, false) => Some("low on memory"),
            (false, true) => Some("low on disk"),
            (true, true) => Some("low on memory & disk"),
        }
    }

    /// Whether memory is above its limit.
    pub fn is_low_on_memory(&self) -> bool {
        self.memory.load(Ordering::Relaxed)
    }

    /// Whether disk is short.
    pub fn is_low_on_disk(&self) -> bool {
        self.disk.load(Ordering::Relaxed) || self.log.load(Ordering::Relaxed)
    }

    /// Whether an operator holds publishers back.
    pub fn is_held_by_operator(&self) -> bool {
        self.operator.load(Ordering::Relaxed)
    }

    /// An operator holds publishers back, or lets them go on. Not kept over a restart.
    pub fn set_operator(&self, is_held: bool) {
        self.operator.store(is_held, Ordering::Relaxed);
    }

    /// Memory is above its limit, or is not any more; whether that is news.
    pub fn set_memory(&self, is_low: bool) -> bool {
        self.memory.swap(is_low, Ordering::Relaxed) != is_low
    }

    /// Free disk is below its limit, or is not any more; whether that is news.
    pub fn set_disk(&self, is_low: bool) -> bool {
        self.disk.swap(is_low, Ordering::Relaxed) != is_low
    }

    pub(crate) fn set_log(&self, is_full: bool) {
        self.log.store(is_full, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_what_is_low() {
        let alarms = Alarms::default();
        assert_eq!(alarms.reason(), None);
        assert!(alarms.set_memory(true));
        assert!(!alarms.set_memory(true));
        assert_eq!(alarms.reason(), Some("low on memory"));
        alarms.set_log(true);
        assert_eq!(alarms.reason(), Some("low on memory & disk"));
        alarms.set_memory(false);
        assert_eq!(alarms.reason(), Some("low on disk"));
        alarms.set_log(false);
        alarms.set_operator(true);
        assert_eq!(alarms.reason(), Some("held by the operator"));
    }
}
