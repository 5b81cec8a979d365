//! Alarms: while one is on, publishers wait and consumers go on, so that memory and disk are not
//! used up (RabbitMQ, "memory and disk alarms").

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::broker::Broker;

/// The alarms of the node.
#[derive(Debug, Default)]
pub struct Alarms {
    memory: AtomicBool,
    disk: AtomicBool,
    /// The log could not write for want of space.
    log: AtomicBool,
    /// An operator wants publishers to wait.
    operator: AtomicBool,
    /// Held while one is changed, so that changes are told in their order.
    changing: Mutex<()>,
}

/// Why there may be an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// Memory is above its limit.
    Memory,
    /// Free disk is below its limit.
    Disk,
    /// The log could not write for want of space.
    Log,
    /// An operator holds publishers back. Not kept over a restart.
    Operator,
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

    fn flag(&self, alarm: Alarm) -> &AtomicBool {
        match alarm {
            Alarm::Memory => &self.memory,
            Alarm::Disk => &self.disk,
            Alarm::Log => &self.log,
            Alarm::Operator => &self.operator,
        }
    }

    /// The resources that are short, by RabbitMQ's names, and whether each is.
    fn sources(&self) -> [(&'static str, bool); 3] {
        [
            ("memory", self.is_low_on_memory()),
            ("disk", self.is_low_on_disk()),
            ("operator", self.is_held_by_operator()),
        ]
    }

    /// Turns an alarm on or off, and calls `tell` with each resource of which that is news.
    fn set(&self, alarm: Alarm, is_on: bool, mut tell: impl FnMut(&'static str, bool)) -> bool {
        let flag = self.flag(alarm);
        // Each sync of the log says that there is space.
        if flag.load(Ordering::Relaxed) == is_on {
            return false;
        }
        let _changing = self.changing.lock();
        let before = self.sources();
        let is_news = flag.swap(is_on, Ordering::Relaxed) != is_on;
        for ((source, was_on), (_, is_on)) in before.into_iter().zip(self.sources()) {
            if was_on != is_on {
                tell(source, is_on);
            }
        }
        is_news
    }
}

impl Broker {
    /// Turns an alarm on or off, and tells the event exchange; whether that is news.
    pub fn set_alarm(&self, alarm: Alarm, is_on: bool) -> bool {
        self.alarms().set(alarm, is_on, |source, is_on| self.tell_alarm(source, is_on))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_what_is_low() {
        let alarms = Alarms::default();
        let mut told = Vec::new();
        let mut set = |alarm, is_on| alarms.set(alarm, is_on, |what, on| told.push((what, on)));
        assert_eq!(alarms.reason(), None);
        assert!(set(Alarm::Memory, true));
        assert!(!set(Alarm::Memory, true));
        assert_eq!(alarms.reason(), Some("low on memory"));
        set(Alarm::Log, true);
        assert_eq!(alarms.reason(), Some("low on memory & disk"));
        assert!(set(Alarm::Disk, true), "though the disk is short already");
        set(Alarm::Memory, false);
        set(Alarm::Disk, false);
        assert_eq!(alarms.reason(), Some("low on disk"));
        set(Alarm::Log, false);
        set(Alarm::Operator, true);
        assert_eq!(alarms.reason(), Some("held by the operator"));
        let changes = [
            ("memory", true),
            ("disk", true),
            ("memory", false),
            ("disk", false),
            ("operator", true),
        ];
        assert_eq!(told, changes);
    }
}
